"""One training of the comparison: a network on a fold with a seed, from an open corpus to a tested model."""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from pydantic import TypeAdapter

from examples.aver.recipe import (
    TARGET,
    Recipe,
    build_model,
    evaluation_draws,
    modalities_of,
    objective_for,
    training_draws,
)
from examples.aver.trained_on import DATA, check_trained_on, data_of
from mrpnkit.data import Corpus, CorpusDataset, Fold, Loader, group_folds, held_out, loader
from mrpnkit.data.adaptation import values_of
from mrpnkit.errors import TrainingError
from mrpnkit.report import write_json
from mrpnkit.train import Evaluation, Trainer, evaluate, load_weights
from mrpnkit.train.state import BEST, LAST

RUN, TEST, SCORES = "run.json", "test.json", "test.npz"


@dataclass(frozen=True)
class Job:
    """What is trained: a network of the comparison, on one of the folds, with a seed."""

    corpus: Path
    out: Path
    network: str
    fold: int
    folds: int
    seed: int
    recipe: Recipe
    test_actors: tuple[str, ...] = ()
    validation_actors: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where this job's run lies."""
        part = f"test-{'+'.join(self.test_actors)}" if self.test_actors else f"fold-{self.fold + 1:02d}"
        return self.out / self.network / part / f"seed-{self.seed}"

    def split(self, corpus: Corpus) -> Fold:
        """Rows to train, validate and test on: the actors that were named, or one of the folds."""
        if not self.test_actors:
            return actor_folds(corpus, self.folds)[self.fold]
        labels = corpus.targets[TARGET]
        return held_out(corpus.groups["actor"], test=self.test_actors, validation=self.validation_actors, labels=labels)

    def settings(self) -> dict[str, Any]:
        """What was chosen, as it is stored in ``run.json``; ``corpus`` is only where the data lies in ``out``."""
        return {
            "corpus": self.corpus.name,
            "network": self.network,
            "fold": self.fold,
            "folds": self.folds,
            "seed": self.seed,
            "test_actors": list(self.test_actors),
            "validation_actors": list(self.validation_actors),
            "recipe": asdict(self.recipe),
        }

    def description(self, corpus: Corpus) -> dict[str, Any]:
        """Everything that decides the result, as it is stored in ``run.json``: the settings and the data."""
        return {**self.settings(), DATA: data_of(corpus, self.split(corpus))}

    @classmethod
    def of_run(cls, run: Path) -> "Job":
        """The job of a finished run's folder, whose corpus is still the one that it was trained on.

        Raises:
            TrainingError: no finished run in the folder, or another corpus in the place of the run's own.
        """
        if not (run / TEST).is_file():
            raise TrainingError(
                f"{run} holds no finished run: it has no {TEST}. Runs lie in OUT/NETWORK/fold-NN/seed-N, or in "
                "OUT/NETWORK/test-ACTORS/seed-N where the tested actors were named, such as test-21+22."
            )
        stored = json.loads((run / RUN).read_text(encoding="utf-8"))
        if "recipe" not in stored:
            raise TrainingError(
                f"{run} is a run on pixels and sound; this command needs a run on landmarks + speech, as `train` and "
                "`table` make them."
            )
        out = above(run, 3)
        settings = {key: value for key, value in stored.items() if key != DATA}
        job = TypeAdapter(cls).validate_python({**settings, "corpus": out / stored["corpus"], "out": out})
        check_trained_on(run, stored, job.corpus, job.split)
        return job

    def done(self) -> dict[str, Any] | None:
        """The test figures of a finished run, or None.

        Raises:
            TrainingError: the folder holds a run that was made with other settings or on other data, whether it is
                finished or not.
        """
        result = finished(self.folder, self.settings())
        if (self.folder / RUN).is_file():
            stored = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
            check_trained_on(self.folder, stored, self.corpus, self.split)
        return result


def above(run: Path, steps: int) -> Path:
    """The folder so many steps above a run's; the topmost one where the run lies higher, as one that was moved may."""
    parents = run.absolute().parents
    return parents[min(steps, len(parents)) - 1]


def finished(folder: Path, description: dict[str, Any]) -> dict[str, Any] | None:
    """The test figures of a finished run, or None.

    Raises:
        TrainingError: the folder holds a run of another description.
    """
    if (folder / RUN).is_file():
        stored = json.loads((folder / RUN).read_text(encoding="utf-8"))
        wanted = json.loads(json.dumps(description))
        differing = sorted(key for key in wanted if stored.get(key) != wanted[key])
        if differing:
            raise TrainingError(
                f"{folder} holds a run with another {', '.join(differing)}. Give another --out, or remove it."
            )
    if not (folder / TEST).is_file():
        return None
    result: dict[str, Any] = json.loads((folder / TEST).read_text(encoding="utf-8"))
    return result


def actor_folds(corpus: Corpus, folds: int) -> list[Fold]:
    """Actor-disjoint folds with balanced sexes; the actors of the next fold serve for validation.

    Raises:
        SplitError: as :func:`mrpnkit.data.folds.group_folds` says.
    """
    return group_folds(
        corpus.groups["actor"].tolist(),
        folds,
        strata=corpus.groups["sex"].tolist(),
        labels=values_of(corpus, TARGET),
    )


def run_job(job: Job, *, progress_bar: bool = False) -> dict[str, Any]:
    """Trains, selects on the validation actors, tests on the test actors once, and writes the run's folder.

    A run that was killed goes on where it was; one that is finished is only read.

    Raises:
        TrainingError: the folder holds a run that was made with other settings or on other data.
    """
    before = job.done()
    if before is not None:
        return before
    start = time.perf_counter()
    corpus = Corpus.open(job.corpus)
    fold = job.split(corpus)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / RUN, job.description(corpus))
    trainer, objective = make_trainer(job, corpus, fold)
    trainer.fit(keep=job.recipe.keep, progress_bar=progress_bar)
    evaluation = evaluate(trainer.plain_model, evaluation_loader(job.network, corpus, fold.test), objective)
    facts = {"network": job.network, "fold": fold.name, "seed": job.seed}
    return conclude(job.folder, facts, fold, trainer, evaluation, corpus.classes[TARGET], job.recipe.keep, start)


def conclude(
    folder: Path,
    facts: dict[str, Any],
    fold: Fold,
    trainer: Trainer,
    evaluation: Evaluation,
    classes: list[str],
    keep: str,
    start: float,
) -> dict[str, Any]:
    """Writes scores and test figures of a training that has ended; returns what stands in ``test.json``.

    Args:
        folder: of the run.
        facts: what tells the run from others, such as network, fold and seed; they come first.
        fold: what was trained, validated and tested on.
        trainer: which has ended.
        evaluation: on the test part.
        classes: of the target.
        keep: which epoch was tested, ``"best"`` or ``"last"``.
        start: ``time.perf_counter()`` at the beginning.
    """
    evaluation.save(folder / SCORES)
    result = {
        **facts,
        "test_actors": list(fold.test_groups),
        "validation_actors": list(fold.validation_groups),
        "selected_epoch": trainer.progress.best_epoch + 1 if keep == "best" else trainer.progress.epoch,
        "metrics": evaluation.metrics,
        "classes": classes,
        "confusion": {
            head: evaluation.confusion(TARGET, head, classes=len(classes)).tolist() for head in evaluation.scores
        },
        "seconds": sum(report.seconds for report in trainer.history),
        "wall_seconds": time.perf_counter() - start,
        "peak_gib": peak_memory_gib(),
    }
    write_json(folder / TEST, result)
    return result


def make_trainer(job: Job, corpus: Corpus, fold: Fold) -> tuple[Trainer, Any]:
    """The trainer of a job, not yet started, and its objective."""
    recipe = job.recipe
    set_seed(job.seed)
    modalities = modalities_of(job.network)
    model = build_model(job.network, corpus, recipe)
    objective = objective_for(corpus, recipe)
    train = loader(
        CorpusDataset(
            corpus,
            fold.train,
            modalities=modalities,
            augmentation=training_draws(corpus, fold, recipe, modalities),
            seed=job.seed,
        ),
        recipe.batch_size,
        shuffle_seed=job.seed,
    )
    validation = evaluation_loader(job.network, corpus, fold.validation)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=len(train) * recipe.epochs, pct_start=recipe.warm_up
    )
    trainer = Trainer(
        model,
        objective,
        train,
        validation,
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=recipe.epochs,
        clip_norm=recipe.clip_norm,
        monitor=f"{TARGET}/fused/{recipe.select_by}",
        folder=job.folder,
    )
    return trainer, objective


def evaluation_loader(network: str, corpus: Corpus, rows: NDArray[np.int64]) -> Loader:
    """Batches of whole, unchanged clips, in the order of the rows."""
    modalities = modalities_of(network)
    return loader(CorpusDataset(corpus, rows, modalities=modalities, augmentation=evaluation_draws(modalities)), 64)


def peak_memory_gib() -> float:
    """Largest memory that this process has had, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def evaluate_run(run: Path, part: str, unseen: Path | None = None) -> tuple[Evaluation, tuple[str, ...]]:
    """Evaluates a finished run's kept weights; returns also the actors that it was evaluated on.

    Args:
        run: folder of the run.
        part: ``"train"``, ``"validation"`` or ``"test"`` of the run's own corpus.
        unseen: another corpus, prepared in the same way; all of it is evaluated, whatever ``part`` says.

    Raises:
        TrainingError: no finished run in the folder, another corpus in the place of its own, or an unseen corpus of
            other features or classes.
    """
    job = Job.of_run(run)
    own = Corpus.open(job.corpus)
    corpus = own if unseen is None else Corpus.open(unseen)
    if corpus.classes != own.classes or any(
        corpus.about.get(key) != own.about.get(key) for key in ("features", "versions")
    ):
        raise TrainingError(f"{unseen} has other classes or features than the corpus that {run} was trained on.")
    rows = np.arange(len(corpus)) if unseen is not None else getattr(job.split(own), part)
    model = build_model(job.network, corpus, job.recipe)
    load_weights(run / (BEST if job.recipe.keep == "best" else LAST), model)
    batches = evaluation_loader(job.network, corpus, rows)
    actors = tuple(dict.fromkeys(corpus.groups["actor"][rows].tolist()))
    return evaluate(model, batches, objective_for(corpus, job.recipe)), actors

"""One training of the paper's system: a network with options on a fold, from a corpus to a tested model."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from numpy.typing import NDArray
from pydantic import TypeAdapter

from examples.aver.job import RUN, TEST, above, actor_folds, conclude, finished
from examples.aver.paper.cache import keep_features, place_of
from examples.aver.paper.options import Options, Protocol, Schedule, System
from examples.aver.paper.system import (
    Shape,
    build_system,
    build_tail,
    evaluation_draws,
    objective_of,
    training_draws,
)
from examples.aver.paper.thawing import freeze_for, is_gradual
from examples.aver.recipe import TARGET, modalities_of
from examples.aver.trained_on import DATA, check_trained_on, data_of, prints_of
from mrpnkit import MRPN, Objective
from mrpnkit.data import Corpus, CorpusDataset, Fold, Loader, loader
from mrpnkit.errors import TrainingError
from mrpnkit.report import write_json
from mrpnkit.train import Trainer, evaluate
from mrpnkit.train.state import STATE

KIND = "pixels + sound"
NOT_OF_THE_JOB = ("kind", "shape", "where", "preparation", DATA)
EVALUATION_BATCH = 8


@dataclass(frozen=True)
class PaperJob:
    """What is trained: a network with the paper's options, on one of the folds, with a seed.

    Attributes:
        corpus: folder of a corpus of frames and sound.
        out: where runs lie.
        network: ``am``, ``vm``, ``n0`` (JM), ``n1`` or ``n2``.
        fold: from 0.
        folds: how many there are.
        seed: of weights, order and augmentation.
        protocol: what selects the epoch, see :data:`examples.aver.paper.options.PROTOCOLS`.
        options, system, schedule: what is switched, built and done.
    """

    corpus: Path
    out: Path
    network: str
    fold: int
    folds: int
    seed: int = 0
    protocol: Protocol = "honest"
    options: Options = field(default_factory=Options)
    system: System = field(default_factory=System)
    schedule: Schedule = field(default_factory=Schedule)

    @property
    def modalities(self) -> list[str]:
        """What the network reads."""
        return modalities_of(self.network)

    @property
    def folder(self) -> Path:
        """Where this job's run lies: OUT/PROTOCOL/NETWORK-OPTIONS/fold-NN/seed-N."""
        name = f"{self.network}-{self.options.name}"
        return self.out / self.protocol / name / f"fold-{self.fold + 1:02d}" / f"seed-{self.seed}"

    def split(self, corpus: Corpus) -> Fold:
        """Rows of the fold; under the protocol ``paper`` its test part also selects, and the rest trains."""
        fold = actor_folds(corpus, self.folds)[self.fold]
        if self.protocol == "honest":
            return fold
        train = np.sort(np.concatenate([fold.train, fold.validation]))
        return Fold(train, fold.test, fold.test, fold.test_groups, fold.test_groups)

    def settings(self) -> dict[str, Any]:
        """What was chosen, as it is stored in ``run.json``."""
        schedule = {key: value for key, value in asdict(self.schedule).items() if key != "workers"}
        system = {**asdict(self.system), "weights": self.system.weights.fingerprint()}
        return {
            "kind": KIND,
            "network": self.network,
            "fold": self.fold,
            "folds": self.folds,
            "seed": self.seed,
            "protocol": self.protocol,
            "options": asdict(self.options),
            "system": system,
            "schedule": schedule,
        }

    def description(self, corpus: Corpus) -> dict[str, Any]:
        """Everything that decides the result, as it is stored in ``run.json``: the settings and the data.

        ``corpus`` is the one of frames and sound, also where the network reads features of it.
        """
        return {**self.settings(), DATA: data_of(corpus, self.split(corpus))}

    def done(self) -> dict[str, Any] | None:
        """The test figures of a finished run, or None.

        Raises:
            TrainingError: the folder holds a run that was made with other settings or on other data, whether it is
                finished or not.
        """
        result = finished(self.folder, self.settings())
        self._check_data()
        return result

    def read_corpus(self) -> Corpus:
        """What the network reads: frames and sound, or the kept features of frozen CNNs, made where they lack.

        Raises:
            TrainingError: the job's folder holds a run on another corpus, or the features are of another one.
        """
        self._check_data()
        source = Corpus.open(self.corpus)
        if not self.system.frozen:
            return source
        place = place_of(self.out, self.system, self.options, self.modalities, self.corpus)
        kept = place._replace(about={**place.about, DATA: prints_of(source)})
        features = Corpus.open(keep_features(kept, self.corpus, self.system, self.options, cpu=on_cpu()))
        if features.about.get(DATA) != kept.about[DATA]:
            raise TrainingError(
                f"{kept.folder} holds features of another corpus than {self.corpus}, or does not say of which. Give "
                "another --out, or remove that folder, so that they are computed anew."
            )
        return features

    def _check_data(self) -> None:
        """Checks that a run in the folder, finished or not, was made on the corpus that lies there now."""
        if (self.folder / RUN).is_file():
            stored = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
            check_trained_on(self.folder, stored, self.corpus, self.split)


def on_cpu() -> bool:
    """Whether there is nothing but a CPU; accelerate joins several processes on CPUs only where it is told so."""
    return not torch.accelerator.is_available()


def run_paper_job(job: PaperJob, *, progress_bar: bool = False) -> dict[str, Any]:
    """Trains, selects by the protocol, tests the selected weights, and writes the run's folder.

    A run that was killed goes on where it was; one that is finished is only read, and its state is removed.

    Raises:
        TrainingError: the folder holds a run that was made with other settings or on other data.
    """
    before = job.done()
    if before is not None:
        return before
    start = time.perf_counter()
    corpus, source = job.read_corpus(), Corpus.open(job.corpus)
    fold, shape = job.split(corpus), Shape.of(source)
    first = PartialState(cpu=on_cpu()).is_main_process
    if first:
        job.folder.mkdir(parents=True, exist_ok=True)
        about = {key: value for key, value in source.about.items() if key != "clips"}
        facts: dict[str, Any] = {"shape": shape._asdict(), "where": _where(job), "preparation": about}
        write_json(job.folder / RUN, {**job.description(source), **facts})
    trainer, objective = make_paper_trainer(job, corpus, fold, shape)
    train_by(job.schedule, trainer, progress_bar=progress_bar)
    batches = evaluation_batches(job, corpus, fold.test)
    evaluation = evaluate(
        trainer.model,
        trainer.accelerator.prepare(batches),
        objective,
        accelerator=trainer.accelerator,
        bfloat16=trainer.bfloat16,
    )
    if not first:
        return {}
    identity = {
        "network": job.network,
        "options": job.options.name,
        "protocol": job.protocol,
        "fold": fold.name,
        "seed": job.seed,
    }
    result = conclude(job.folder, identity, fold, trainer, evaluation, list(shape.classes), "best", start)
    (job.folder / STATE).unlink(missing_ok=True)  # hundreds of MB; what is finished is only read
    return result


def make_paper_trainer(
    job: PaperJob, corpus: Corpus, fold: Fold, shape: Shape, *, folder: Path | None = None, written: bool = True
) -> tuple[Trainer, Objective]:
    """The trainer of a job, not yet started, and its objective.

    Args:
        job: what is trained.
        corpus: of :meth:`PaperJob.read_corpus`.
        fold: of :meth:`PaperJob.split`.
        shape: of the corpus of frames and sound.
        folder: where the training is written; by default the job's.
        written: whether it is written at all.
    """
    set_seed(job.seed)
    model = make_model(job, shape, corpus)
    objective, schedule, kept = objective_of(shape), job.schedule, job.system.frozen
    draws = training_draws(job.options, job.system, corpus, fold.train, job.modalities, kept=kept)
    processes = PartialState(cpu=on_cpu()).num_processes
    if schedule.batch_size % processes:
        raise TrainingError(
            f"The batch size {schedule.batch_size} cannot be shared by {processes} processes; give a --batch-size that "
            f"is a multiple of {processes}."
        )
    train = loader(
        CorpusDataset(corpus, fold.train, modalities=job.modalities, augmentation=draws, seed=job.seed),
        schedule.batch_size,
        shuffle_seed=job.seed,
        workers=schedule.workers,
        pin_memory=torch.cuda.is_available(),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
    if is_gradual(schedule) and processes > 1:
        raise TrainingError(
            "CNNs are unfrozen gradually in one process only: several processes agree at the start on what they train. "
            "Give no --frozen-epochs and --epochs-per-stage, or one process."
        )
    trainer = Trainer(
        model,
        objective,
        train,
        evaluation_batches(job, corpus, fold.validation),
        optimizer=optimizer,
        scheduler=plateau,
        epochs=schedule.epochs,
        clip_norm=schedule.clip_norm,
        monitor="loss" if schedule.select_by == "loss" else f"{TARGET}/fused/{schedule.select_by}",
        patience=schedule.stop_after,
        precision=job.system.precision,
        folder=(folder or job.folder) if written else None,
        cpu=on_cpu(),
    )
    return trainer, objective


def train_by(schedule: Schedule, trainer: Trainer, *, progress_bar: bool = False) -> None:
    """Trains to the end, freezing as the schedule has it; afterwards the model has the best epoch's weights."""
    if is_gradual(schedule):
        trainer.resume()
        freeze_for(trainer.plain_model, schedule, trainer.progress.epoch)
        for _ in trainer.epochs():
            freeze_for(trainer.plain_model, schedule, trainer.progress.epoch)
    trainer.fit(keep="best", progress_bar=progress_bar)


def make_model(job: PaperJob, shape: Shape, corpus: Corpus) -> MRPN:
    """The job's network with initial weights; without its CNNs where the corpus holds their features."""
    if not job.system.frozen:
        return build_system(job.network, job.system, job.options, shape)
    widths = {name: corpus.features(name) for name in job.modalities}
    return build_tail(job.network, widths, job.system, job.options, shape)


def evaluation_batches(job: PaperJob, corpus: Corpus, rows: NDArray[Any]) -> Loader:
    """Batches of whole, unchanged clips, in the order of the rows."""
    draws = evaluation_draws(job.system, corpus, job.modalities, kept=job.system.frozen)
    dataset = CorpusDataset(corpus, rows, modalities=job.modalities, augmentation=draws)
    processes = PartialState(cpu=on_cpu()).num_processes  # each takes an equal share of a batch
    size = -(-EVALUATION_BATCH // processes) * processes
    return loader(dataset, size, workers=job.schedule.workers, pin_memory=torch.cuda.is_available())


def open_job(run: Path) -> tuple[PaperJob, Shape]:
    """The job of a finished run's folder, and the shape of its corpus, which itself need not be there.

    Raises:
        TrainingError: no finished run of this system in the folder.
    """
    if not (run / TEST).is_file():
        raise TrainingError(f"{run} holds no finished run: it has no {TEST}. `table 1` and `system` make runs.")
    stored = json.loads((run / RUN).read_text(encoding="utf-8"))
    if stored.get("kind") != KIND:
        raise TrainingError(
            f"{run} is a run on prepared features, such as landmarks + speech; this command needs a run on pixels and "
            "sound, as `table 1` and `system` make them."
        )
    where = stored["where"]
    content = {
        **{key: value for key, value in stored.items() if key not in NOT_OF_THE_JOB},
        "system": {**stored["system"], "weights": where["weights"]},
        "schedule": stored["schedule"],
        "corpus": where["corpus"],
        "out": above(run, 4),
    }
    return TypeAdapter(PaperJob).validate_python(content), TypeAdapter(Shape).validate_python(stored["shape"])


def _where(job: PaperJob) -> dict[str, Any]:
    """Where corpus and weights lay when the run was made: they decide nothing, and may have gone."""
    return {"corpus": str(job.corpus), "weights": dict(vars(job.system.weights))}

"""One training of the missing-modality benchmark: a network with or without modality dropout, and its curves."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import set_seed

from benchmarks._multiview_data import split
from benchmarks._variant_training import kept
from examples.aver.files import file_print
from examples.aver.job import actor_folds, evaluation_loader
from examples.aver.recipe import TARGET, Recipe, build_model, objective_for, training_draws
from examples.aver.trained_on import prints_of
from mrpnkit import MRPN, Branch, Classification, FusionComponent, Objective
from mrpnkit.aggregators import Last
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, Loader, ModalityDropout, loader
from mrpnkit.extractors import MLP
from mrpnkit.mrpn import Network
from mrpnkit.report import write_json
from mrpnkit.robustness import judge_rates, judge_subsets
from mrpnkit.train import Trainer

DROPOUT = 0.3
REPEATS = 3
RATES = tuple(round(0.1 * step, 1) for step in range(10))
VIEWS_RECIPE: Mapping[str, Any] = {
    "branch": "two layers of Dense, batch norm, ReLU, Dropout", "width": 64, "branch_dropout": 0.1, "hidden": 128,
    "batch_size": 256, "epochs": 25, "optimizer": "AdamW", "learning_rate": 1e-2, "weight_decay": 1e-2,
    "schedule": "one cycle, warm-up 0.2", "weights": "of the last epoch",
}  # fmt: skip


class Variant(NamedTuple):
    """A network, the probability that training leaves a modality out, and what stands for it."""

    network: Network
    dropout: float = 0.0
    absent: str = "zero"


VARIANTS: Mapping[str, Variant] = {
    "n0": Variant("n0"),
    "n1": Variant("n1"),
    "n2": Variant("n2"),
    "n0_dropout": Variant("n0", DROPOUT),
    "n1_dropout": Variant("n1", DROPOUT),
    "n2_dropout": Variant("n2", DROPOUT),
    "n2_dropout_learned": Variant("n2", DROPOUT, "learned"),
}


@dataclass(frozen=True)
class Training:
    """A variant on one split of a set.

    Attributes:
        set_name: ``ravdess`` or ``handwritten``.
        source: of ravdess the corpus of statistics, of handwritten the folder of the multi-view sets.
        out: what is finished stays there.
        name: of the variant.
        fold: of ravdess; for handwritten the seed of the split.
        epochs: None for those of the recipe.
    """

    set_name: str
    source: Path
    out: Path
    name: str
    fold: int
    folds: int = 10
    epochs: int | None = None

    @property
    def network(self) -> str:
        """What is trained."""
        return f"{self.set_name} {self.name}"

    @property
    def file(self) -> Path:
        """Where the result stands."""
        return self.out / self.set_name / self.name / f"{self.fold:02d}.json"

    def done(self) -> dict[str, Any] | None:
        """The result, if the same training was finished before, on the data that is there now."""
        return kept(self.file, self.description()) if self.file.is_file() else None

    def description(self) -> dict[str, Any]:
        """What decides the result, beside set, variant and fold, which its place tells."""
        data = (
            prints_of(Corpus.open(self.source))
            if self.set_name == "ravdess"
            else file_print(self.source / f"{self.set_name}.npz")
        )
        return {"data": data, "folds": self.folds, "epochs": self.epochs}


def train(job: Training) -> dict[str, Any]:
    """Trains and judges a variant; gives, by fall-back, the accuracy of every subset and at every rate."""
    found = job.done()
    if found is not None:
        return found
    start = time.process_time()
    model, objective, batches = (ravdess if job.set_name == "ravdess" else handwritten)(job, VARIANTS[job.name])
    trained = time.process_time() - start
    curves = {"never": _curves(model, objective, batches)}
    if model.network != "n0":
        model.fallback = "incomplete"
        curves["incomplete"] = _curves(model, objective, batches)
    result = {**job.description(), "set": job.set_name, "variant": job.name, "fold": job.fold, "curves": curves,
              "cpu_seconds": {"training": trained, "all": time.process_time() - start}}  # fmt: skip
    write_json(job.file, result)
    return result


def ravdess(job: Training, variant: Variant) -> tuple[MRPN, Objective, Loader]:
    """The recipe of the RAVDESS table; the epoch is selected on the validation actors, the test actors are judged."""
    corpus, recipe = Corpus.open(job.source), Recipe()
    if job.epochs is not None:
        recipe = replace(recipe, epochs=job.epochs)
    fold = actor_folds(corpus, job.folds)[job.fold]
    set_seed(0)
    model = build_model(variant.network, corpus, recipe)
    if variant.absent == "learned":
        _stand_in(model, {TARGET: len(corpus.classes[TARGET])}, dropout=recipe.dropout)
    names = list(model.branches)
    draws = training_draws(corpus, fold, recipe, names)._replace(dropout=_dropout(names, variant))
    data = CorpusDataset(corpus, fold.train, modalities=names, augmentation=draws)
    objective = objective_for(corpus, recipe)
    batches = loader(data, recipe.batch_size, shuffle_seed=0)
    validation = evaluation_loader(variant.network, corpus, fold.validation)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    _fit(model, objective, batches, optimizer, recipe.epochs, recipe.warm_up, clip=recipe.clip_norm,
         validation=validation, monitor=f"{TARGET}/fused/{recipe.select_by}")  # fmt: skip
    return model, objective, evaluation_loader(variant.network, corpus, fold.test)


def handwritten(job: Training, variant: Variant) -> tuple[MRPN, Objective, Loader]:
    """A recipe fixed before; a random fifth is judged, nothing is selected on it."""
    parts, recipe = split(job.source, "handwritten", job.fold, validation=False), VIEWS_RECIPE
    corpus, judged = parts.train.corpus(parts.classes), parts.normal.corpus(parts.classes)
    set_seed(job.fold)
    names, width = list(corpus.modalities), int(recipe["width"])
    branches = {
        view: Branch(
            MLP(corpus.features(view), hidden=[width, width], dropout=float(recipe["branch_dropout"])), Last(width)
        )
        for view in names
    }
    targets = {"label": parts.classes}
    model = MRPN(branches, targets, network=variant.network, hidden=int(recipe["hidden"]))
    if variant.absent == "learned":
        _stand_in(model, targets, hidden=int(recipe["hidden"]))
    objective = Objective({"label": Classification(parts.classes)})
    data = CorpusDataset(corpus, augmentation=Augmentation(dropout=_dropout(names, variant)), seed=job.fold)
    batches = loader(data, int(recipe["batch_size"]), shuffle_seed=job.fold)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=float(recipe["learning_rate"]), weight_decay=float(recipe["weight_decay"])
    )
    _fit(model, objective, batches, optimizer, job.epochs or int(recipe["epochs"]), 0.2)
    return model, objective, loader(CorpusDataset(judged), 512)


def _fit(
    model: MRPN, objective: Objective, batches: Loader, optimizer: torch.optim.Optimizer, epochs: int, warm_up: float,
    *, clip: float | None = None, validation: Loader | None = None, monitor: str = "loss",
) -> None:  # fmt: skip
    highest = float(optimizer.param_groups[0]["lr"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, highest, total_steps=epochs * len(batches), pct_start=warm_up
    )
    trainer = Trainer(model, objective, batches, validation, optimizer=optimizer, scheduler=schedule, epochs=epochs,
                      clip_norm=clip, monitor=monitor, cpu=True)  # fmt: skip
    trainer.fit(keep="best" if validation is not None else "last")


def _stand_in(model: MRPN, targets: Mapping[str, int], *, hidden: int | None = None, dropout: float = 0.0) -> None:
    widths: list[int] = [branch.out_features for branch in model.branches.values()]  # type: ignore[misc]
    model.fusion = FusionComponent(widths, targets, hidden=hidden, dropout=dropout, absent="learned")


def _dropout(names: Sequence[str], variant: Variant) -> ModalityDropout | None:
    return ModalityDropout(dict.fromkeys(names, variant.dropout)) if variant.dropout else None


def _curves(model: MRPN, objective: Objective, batches: Loader) -> dict[str, dict[str, float]]:
    """Accuracy of the fusion, by the modalities that are left and by the rate at which they are missing."""
    metric = f"{next(iter(objective.targets))}/fused/accuracy"
    subsets = judge_subsets(model, objective, batches)
    rates = judge_rates(model, objective, batches, rates=RATES, repeats=REPEATS)
    return {
        "subsets": {" + ".join(subset): metrics[metric] for subset, (metrics, _) in subsets.items()},
        "rates": {f"{rate:g}": metrics[metric] for rate, metrics in rates.items()},
    }


def size_of(subset: str) -> int:
    """How many modalities a subset's name joins."""
    return subset.count(" + ") + 1


def mean_by_size(subsets: Mapping[str, float]) -> dict[int, float]:
    """Mean over the subsets of each size."""
    sizes = sorted({size_of(subset) for subset in subsets})
    return {size: float(np.mean([v for s, v in subsets.items() if size_of(s) == size])) for size in sizes}

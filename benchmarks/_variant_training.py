"""How a variant is trained on RAVDESS landmarks + speech; no benchmark by itself."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from torch import nn

from benchmarks._variants import Variant, varied
from examples.aver.job import evaluation_loader
from examples.aver.recipe import TARGET, Recipe, build_model, modalities_of, objective_for, training_draws
from examples.aver.trained_on import prints_of
from mrpnkit import Objective
from mrpnkit.data import Corpus, CorpusDataset, FirstStep, Fold, loader
from mrpnkit.data.adaptation import Adaptation
from mrpnkit.report import write_json
from mrpnkit.train import Trainer, evaluate


@dataclass(frozen=True)
class Training:
    """A variant trained with a seed on everybody but ``held_out``, through all epochs, and tried on these."""

    corpus: Path
    out: Path
    name: str
    variant: Variant
    held_out: tuple[str, ...]
    seed: int
    recipe: Recipe
    fold: int = 0

    @property
    def network(self) -> str:
        """What is trained."""
        return self.name

    @property
    def file(self) -> Path:
        """Where the result stands."""
        return self.out / self.name / f"without-{'+'.join(self.held_out)}-seed-{self.seed}.json"

    def done(self) -> dict[str, Any] | None:
        """The result, if the same training was finished before, on the corpus that is there now."""
        return kept(self.file, self.description()) if self.file.is_file() else None

    def description(self) -> dict[str, Any]:
        """What decides the result and is not told by its place: the variant, the recipe and the data."""
        corpus = Corpus.open(self.corpus)
        return {"variant": asdict(self.variant), "recipe": asdict(self.recipe), "data": prints_of(corpus)}


def kept(file: Path, description: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result in a file, if it was made by what is described; results that do not tell all of it count as others."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(description))
    return found if {key: found.get(key) for key in wanted} == wanted else None


def train(job: Training) -> dict[str, Any]:
    """Trains; gives, for each tested clip, its row, label and the probabilities of all heads."""
    found = job.done()
    if found is not None:
        return found
    start = time.perf_counter()
    corpus = Corpus.open(job.corpus)
    fold = without(corpus, job.held_out)
    if job.variant.relative:
        corpus = relative(corpus, fold)
    model, objective = fit(job.variant, corpus, fold, job.recipe, job.seed)
    evaluation = evaluate(model, evaluation_loader(job.variant.network, corpus, fold.test), objective)
    result = {
        **job.description(),
        "rows": evaluation.rows.tolist(),
        "labels": evaluation.labels[TARGET].tolist(),
        "probabilities": {
            head: _rounded(torch.softmax(scores[TARGET], dim=-1).double().numpy())
            for head, scores in evaluation.scores.items()
        },
        "seconds": time.perf_counter() - start,
    }
    write_json(job.file, result)
    return result


def relative(corpus: Corpus, fold: Fold) -> Corpus:
    """Every number relative to its speaker, and as the population has it; only speakers who train are known."""
    fitted = Adaptation.fit(corpus, "actor", fold.train, window=FirstStep(), with_population=True)
    return fitted.apply(corpus, "actor")


def without(corpus: Corpus, actors: tuple[str, ...]) -> Fold:
    """Everybody else trains, nobody selects, these are tested."""
    tested = np.isin(corpus.groups["actor"], actors)
    return Fold(np.flatnonzero(~tested), np.flatnonzero(tested)[:0], np.flatnonzero(tested), (), actors)


def pairs_spoken(tested: Iterable[Sequence[str]]) -> str:
    """Who is tested and who trains, where everybody is tested once; a pair may be named several times.

    >>> pairs_spoken([("1", "2"), ("3", "4"), ("1", "2"), ("5",)])
    '3 pairs of actors (one of 1); the other 3 to 4 train'
    """
    pairs = list(dict.fromkeys(tuple(pair) for pair in tested))
    actors = sum(map(len, pairs))
    others = sorted({actors - len(pair) for pair in pairs})
    alone = "".join(f" (one of {len(pair)})" for pair in pairs if len(pair) != 2)
    return f"{len(pairs)} pairs of actors{alone}; the other {' to '.join(map(str, others))} train"


def fit(variant: Variant, corpus: Corpus, fold: Fold, recipe: Recipe, seed: int) -> tuple[nn.Module, Objective]:
    """Trains a variant through all epochs; the network, and what it was trained on."""
    recipe = replace(recipe, pairing=variant.pairing, epochs=variant.epochs or recipe.epochs)
    set_seed(seed)
    model = varied(build_model(variant.network, corpus, recipe), variant)
    modalities = modalities_of(variant.network)
    objective = objective_for(corpus, recipe)
    if variant.network in ("n1", "n2") and variant.side_weight != 1.0:
        objective = Objective(objective.targets, weights=dict.fromkeys(modalities, variant.side_weight))
    draws = training_draws(corpus, fold, recipe, modalities)
    data = CorpusDataset(corpus, fold.train, modalities=modalities, augmentation=draws, seed=seed)
    batches = loader(data, recipe.batch_size, shuffle_seed=seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=len(batches) * recipe.epochs, pct_start=recipe.warm_up
    )
    trainer = Trainer(
        model,
        objective,
        batches,
        None,
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=recipe.epochs,
        clip_norm=recipe.clip_norm,
        monitor="loss",
        cpu=True,
    )
    trainer.fit(keep="last")
    return trainer.plain_model, objective


def _rounded(values: NDArray[np.float64]) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.tolist()]


def right(result: Mapping[str, Any], rule: str) -> NDArray[np.bool_]:
    """(n,): whether each held-out clip is recognised, by the rule that decides."""
    heads = result["probabilities"]
    chosen = list(heads.values()) if rule == "mean" else [heads["fused"]]
    decided = np.mean([np.asarray(values) for values in chosen], axis=0).argmax(axis=1)
    correct: NDArray[np.bool_] = decided == np.asarray(result["labels"])
    return correct

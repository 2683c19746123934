"""Variants of N1 and N2 for the study of interference, and how one of them is trained; no benchmark by itself.

Each differs from the paper's network in named settings and in nothing else. They are put together from the parts of
:class:`mrpnkit.MRPN`, so that a setting that proves worth it can be read here in a few lines.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from accelerate.utils import set_seed
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.aver.job import actor_folds, evaluation_loader
from examples.aver.recipe import TARGET, Recipe, build_model, modalities_of, objective_for, training_draws
from mrpnkit import MRPN, FeatureNorm, MRPNOutput, Objective, Sequences
from mrpnkit.data import Corpus, CorpusDataset, Fold, loader
from mrpnkit.feature_norm import Present
from mrpnkit.report import write_json
from mrpnkit.train import Trainer, evaluate

RULES = ("fused", "mean")
"""How a clip is decided: by the fusion alone, as in the paper, or by the mean of the probabilities of all heads."""


@dataclass(frozen=True)
class Variant:
    """What differs from the paper's network.

    Attributes:
        network: ``am``, ``vm``, ``n0``, ``n1`` or ``n2``: what it starts from.
        gradient: share of the fusion's gradient that reaches the extractors; 1 is the paper's.
        sides: what side scores read, f̂ (the paper) or f' behind the residual perceptron.
        residual: of N2: the paper's, ``zero`` (its FeatureNorm's weight begins at 0), ``wide`` (four times the width
            inside), ``deep`` (two of them, one after the other).
        modality_dropout: probability that a training sample lacks one modality, drawn evenly.
        pairing: share of the training samples whose voice comes from another clip of the same class.
        side_weight: of each side loss; 1 is the paper's.
    """

    network: str
    gradient: float = 1.0
    sides: Literal["normalised", "corrected"] = "normalised"
    residual: Literal["paper", "zero", "wide", "deep"] = "paper"
    modality_dropout: float = 0.0
    pairing: float = 0.0
    side_weight: float = 1.0


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.scale, None


class Held(nn.Module):
    """A residual perceptron, or nothing, that lets through only a share of the gradient of what reads it."""

    def __init__(self, inner: nn.Module | None, gradient: float) -> None:
        super().__init__()
        self.inner, self.gradient = inner, gradient

    def forward(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch features"]:
        """(B, D) → (B, D)."""
        held = cast(Tensor, _ScaledGradient.apply(x, self.gradient))
        return held if self.inner is None else cast(Tensor, self.inner(held, present))


class WideResidual(nn.Module):
    """x + FeatureNorm(Dense(Sigmoid(Dense(x)))) with a wider layer inside."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.dense, self.output, self.norm = (
            nn.Linear(features, width),
            nn.Linear(width, features),
            FeatureNorm(features),
        )

    def forward(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch features"]:
        """(B, D) → (B, D)."""
        return x + cast(Tensor, self.norm(self.output(torch.sigmoid(self.dense(x))), present))


class Twice(nn.Module):
    """Two residual perceptrons, one after the other."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch features"]:
        """(B, D) → (B, D)."""
        return cast(Tensor, self.second(self.first(x, present), present))


class Study(nn.Module):
    """An MRPN whose side scores may read f', and whose training samples may lose a modality."""

    def __init__(self, model: MRPN, variant: Variant) -> None:
        super().__init__()
        self.model, self.variant = model, variant

    def forward(self, inputs: Mapping[str, Sequences], *, sides: bool | None = None) -> MRPNOutput:
        """As :meth:`mrpnkit.MRPN.forward`."""
        if self.training and self.variant.modality_dropout and len(inputs) > 1:
            inputs = without_some(inputs, self.variant.modality_dropout)
        features = self.model.features(inputs)
        asked = self.training if sides is None else sides
        output = self.model.score(features, sides=asked and self.variant.sides == "normalised")
        if asked and self.variant.sides == "corrected":
            read = features._replace(normalised=features.corrected)
            output = output._replace(branches=self.model.score(read, sides=True).branches)
        return output


def without_some(inputs: Mapping[str, Sequences], share: float) -> dict[str, Sequences]:
    """Takes from a share of the samples one of their modalities, drawn evenly from torch's generator."""
    names, count = list(inputs), next(iter(inputs.values())).batch_size
    lost = torch.where(torch.rand(count) < share, torch.randint(len(names), (count,)), -1)
    found = {}
    for place, name in enumerate(names):
        kept = lost != place
        steps = inputs[name].steps[torch.repeat_interleave(kept, inputs[name].lengths)]
        found[name] = Sequences(steps, inputs[name].lengths * kept)
    return found


def build(variant: Variant, corpus: Corpus, recipe: Recipe) -> Study:
    """The network of a variant, with weights drawn from torch's generator."""
    model = build_model(variant.network, corpus, recipe)
    for name, width in ((name, branch.out_features) for name, branch in model.branches.items()):
        inner: nn.Module | None = model.perceptrons[name] if variant.network == "n2" else None
        if inner is not None and variant.residual == "zero":
            nn.init.zeros_(cast(Tensor, cast(FeatureNorm, inner.norm).weight))
        elif inner is not None and variant.residual == "wide":
            inner = WideResidual(cast(int, width), 4 * cast(int, width))
        elif inner is not None and variant.residual == "deep":
            inner = Twice(inner, type(inner)(cast(int, width)))
        if variant.gradient != 1.0:
            inner = Held(inner, variant.gradient)
        if inner is not None:
            model.perceptrons[name] = inner
    return Study(model, variant)


@dataclass(frozen=True)
class Training:
    """A variant trained with a seed and tried on what it has not seen.

    Either on everybody but ``held_out``, through all epochs; or, where nobody is named, on a fold of the table, whose
    next pair of actors selects the epoch.
    """

    corpus: Path
    out: Path
    name: str
    variant: Variant
    held_out: tuple[str, ...]
    seed: int
    recipe: Recipe
    fold: int = 0
    folds: int = 10

    @property
    def network(self) -> str:
        """What is trained."""
        return self.name

    @property
    def file(self) -> Path:
        """Where the result stands."""
        part = f"without-{'+'.join(self.held_out)}" if self.held_out else f"fold-{self.fold + 1:02d}"
        return self.out / self.name / f"{part}-seed-{self.seed}.json"

    def split(self, corpus: Corpus) -> Fold:
        """Who trains, who selects, who is tested."""
        return without(corpus, self.held_out) if self.held_out else actor_folds(corpus, self.folds)[self.fold]

    def done(self) -> dict[str, Any] | None:
        """The result, if the same training was finished before."""
        if not self.file.is_file():
            return None
        found: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        wanted = json.loads(json.dumps({"variant": asdict(self.variant), "recipe": asdict(self.recipe)}))
        return found if {key: found[key] for key in wanted} == wanted else None


def train(job: Training) -> dict[str, Any]:
    """Trains; gives, for each tested clip, its row, label and the probabilities of all heads."""
    found = job.done()
    if found is not None:
        return found
    start = time.perf_counter()
    corpus = Corpus.open(job.corpus)
    fold = job.split(corpus)
    model, objective = fit(job.variant, corpus, fold, job.recipe, job.seed)
    evaluation = evaluate(model, evaluation_loader(job.variant.network, corpus, fold.test), objective)
    result = {
        "variant": asdict(job.variant),
        "recipe": asdict(job.recipe),
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


def without(corpus: Corpus, actors: tuple[str, ...]) -> Fold:
    """Everybody else trains, nobody selects, these are tested."""
    tested = np.isin(corpus.groups["actor"], actors)
    return Fold(np.flatnonzero(~tested), np.flatnonzero(tested)[:0], np.flatnonzero(tested), (), actors)


def fit(variant: Variant, corpus: Corpus, fold: Fold, recipe: Recipe, seed: int) -> tuple[nn.Module, Objective]:
    """Trains a variant; the network, and what it was trained on.

    The epoch is selected on the fold's validation part, as :mod:`examples.aver.job` does it; without one, the network
    is that of the last epoch.
    """
    recipe = replace(recipe, pairing=variant.pairing)
    set_seed(seed)
    model = build(variant, corpus, recipe)
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
    selecting = bool(len(fold.validation))
    trainer = Trainer(
        model,
        objective,
        batches,
        evaluation_loader(variant.network, corpus, fold.validation) if selecting else None,
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=recipe.epochs,
        clip_norm=recipe.clip_norm,
        monitor=f"{TARGET}/fused/{recipe.select_by}" if selecting else "loss",
        cpu=True,
    )
    trainer.fit(keep="best" if selecting else "last")
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

"""Variants of N1 and N2 for the studies of interference; no benchmark by itself.

Each differs from the paper's network in named settings and in nothing else. They are put together from the parts of
:class:`mrpnkit.MRPN`, so that a setting that proves worth it can be read here in a few lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit import MRPN, FeatureNorm, MRPNOutput, Sequences
from mrpnkit.feature_norm import Present

RULES = ("fused", "mean")
"""How a sample is decided: by the fusion alone, as in the paper, or by the mean of the probabilities of all heads."""


@dataclass(frozen=True)
class Variant:
    """What differs from the paper's network.

    Attributes:
        network: ``n0``, ``n1`` or ``n2``, on RAVDESS also ``am`` or ``vm``: what it starts from.
        gradient: share of the fusion's gradient that reaches the extractors; 1 is the paper's.
        sides: what side scores read, f̂ (the paper) or f' behind the residual perceptron.
        residual: of N2: the paper's, ``zero`` (its FeatureNorm's weight begins at 0), ``wide`` (four times the width
            inside), ``deep`` (two of them, one after the other).
        modality_dropout: probability that a training sample lacks one modality, drawn evenly.
        pairing: share of the training samples whose second and further modalities come from another of the same class.
        side_weight: of each side loss; 1 is the paper's.
        relative: on RAVDESS: every number stands twice, as it is and relative to its speaker. Those who are not trained
            on are not known, so that both are the same; nothing of them is used beforehand.
        epochs: how many, where they are not the recipe's.
    """

    network: str
    gradient: float = 1.0
    sides: Literal["normalised", "corrected"] = "normalised"
    residual: Literal["paper", "zero", "wide", "deep"] = "paper"
    modality_dropout: float = 0.0
    pairing: float = 0.0
    side_weight: float = 1.0
    relative: bool = False
    epochs: int | None = None


VARIANTS: Mapping[str, Variant] = {
    "n0": Variant("n0"),
    "n1": Variant("n1"),
    "n2": Variant("n2"),
    "n1_gradient_0.3": Variant("n1", gradient=0.3),
    "n1_gradient_0": Variant("n1", gradient=0.0),
    "n2_gradient_0.3": Variant("n2", gradient=0.3),
    "n2_gradient_0": Variant("n2", gradient=0.0),
    "n2_zero": Variant("n2", residual="zero"),
    "n1_pairing_0.5": Variant("n1", pairing=0.5),
    "n2_sides_corrected": Variant("n2", sides="corrected"),
    "n2_wide": Variant("n2", residual="wide"),
    "n2_deep": Variant("n2", residual="deep"),
    "n1_modality_dropout_0.2": Variant("n1", modality_dropout=0.2),
    "n2_modality_dropout_0.2": Variant("n2", modality_dropout=0.2),
    "n1_side_weight_0.5": Variant("n1", side_weight=0.5),
    "n1_side_weight_2": Variant("n1", side_weight=2.0),
}
"""All that the studies try; each with both rules of decision where it has side scores."""
SPEAKERS: Mapping[str, Variant] = {
    "n1_30_epochs": Variant("n1", epochs=30),
    "n1_120_epochs": Variant("n1", epochs=120),
    "n0_relative": Variant("n0", relative=True),
    "n1_relative": Variant("n1", relative=True),
    "n2_relative": Variant("n2", relative=True),
    "n1_relative_gradient_0.3": Variant("n1", relative=True, gradient=0.3),
    "n1_relative_side_weight_2": Variant("n1", relative=True, side_weight=2.0),
}
"""What the study on RAVDESS tries besides, where training is long and it is known whose the samples are."""


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


def varied(model: MRPN, variant: Variant) -> Study:
    """The network of a variant, made of the paper's."""
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

"""The choices between two layers of an extractor: normalisation and activation."""

from typing import Literal, get_args

from torch import nn

from mrpnkit.arguments import check_choice
from mrpnkit.feature_norm import FeatureNorm

Activation = Literal["relu", "gelu"]
Norm = Literal["batch", "layer", "none"]


def activation_unit(part: nn.Module, activation: Activation) -> nn.Module:
    """The activation of that name; ``part`` is who asks, for the error's text."""
    check_choice(part, "activation", activation, get_args(Activation))
    return nn.ReLU() if activation == "relu" else nn.GELU()


def norm_unit(part: nn.Module, norm: Norm, features: int) -> nn.Module:
    """The normalisation of (S, features) of that name; ``part`` is who asks, for the error's text.

    ``batch`` takes its statistics over the valid steps of all samples: there are no others among the S.
    """
    check_choice(part, "norm", norm, get_args(Norm))
    if norm == "batch":
        return FeatureNorm(features)
    return nn.LayerNorm(features) if norm == "layer" else nn.Identity()

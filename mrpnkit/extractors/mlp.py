"""A multi-layer perceptron for each step."""

from collections.abc import Sequence

from torch import nn

from mrpnkit.arguments import check_counts, check_rate, checked_steps
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.units import Activation, Norm, activation_unit, norm_unit
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("mlp")
class MLP(nn.Module):
    """The same perceptron of several layers for every step, each layer Dense → norm → activation → Dropout.

    Args:
        in_features: width of a step.
        hidden: width of each layer; the last is the width of the steps returned.
        activation: ``"relu"`` or ``"gelu"``.
        dropout: rate after each activation.
        norm: ``"batch"`` (over the valid steps of all samples; the Dense before it then has no bias), ``"layer"``
            (over the features of a step) or ``"none"``.

    >>> import torch
    >>> tuple(MLP(5, hidden=[8, 4])(Sequences.vectors(torch.zeros(3, 5))).steps.shape)
    (3, 4)
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "relu",
        dropout: float = 0.0,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "hidden": hidden})
        check_rate(self, "dropout", dropout)
        self.in_features, self.out_features = in_features, hidden[-1]
        self.layers = nn.Sequential()
        for width_in, width_out in zip([in_features, *hidden], hidden, strict=False):
            self.layers.append(nn.Linear(width_in, width_out, bias=norm != "batch"))
            self.layers.append(norm_unit(self, norm, width_out))
            self.layers.append(activation_unit(self, activation))
            self.layers.append(nn.Dropout(dropout))

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, in_features) → (S, hidden[-1])."""
        return inputs.with_steps(self.layers(checked_steps(self, inputs, self.in_features)))

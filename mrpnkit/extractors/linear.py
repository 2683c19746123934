"""One affine map for each step."""

from torch import nn

from mrpnkit.arguments import check_counts, checked_steps
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("linear")
class Linear(nn.Module):
    """The same affine map of every step: F(x)_t = W · x_t + b.

    Args:
        in_features: width of a step.
        out_features: width of the steps returned.

    >>> import torch
    >>> tuple(Linear(5, 4)(Sequences.vectors(torch.zeros(3, 5))).steps.shape)
    (3, 4)
    """

    def __init__(self, in_features: int, out_features: int = 128) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "out_features": out_features})
        self.in_features, self.out_features = in_features, out_features
        self.dense = nn.Linear(in_features, out_features)

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, in_features) → (S, out_features)."""
        return inputs.with_steps(self.dense(checked_steps(self, inputs, self.in_features)))

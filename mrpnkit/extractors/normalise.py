"""Normalisation of each feature, for vectors whose columns have scales of their own."""

from torch import nn

from mrpnkit.arguments import check_counts, check_rate, checked_steps
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.feature_norm import FeatureNorm
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("normalise")
class Normalise(nn.Module):
    """Dropout(FeatureNorm(x)) of each step: every feature gets mean 0 and variance 1 before something learns from it.

    The statistics are those of the steps of a batch, and the running ones in evaluation: nothing is fitted on data
    that are not trained on.

    Args:
        in_features: width of a step, also of the steps returned.
        dropout: rate after the normalisation.

    >>> import torch
    >>> Normalise(1)(Sequences.vectors(torch.tensor([[1.0], [3.0]]))).steps.detach().round()
    tensor([[-1.],
            [ 1.]])
    """

    def __init__(self, in_features: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features})
        check_rate(self, "dropout", dropout)
        self.in_features = self.out_features = in_features
        self.norm = FeatureNorm(in_features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, D) → (S, D)."""
        return inputs.with_steps(self.dropout(self.norm(checked_steps(self, inputs, self.in_features))))

"""Additive attention pooling.

Letters: B batch, S steps of all samples, T steps of the longest sample, H heads, D features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.arguments import check_counts, check_rate, checked_steps
from mrpnkit.sequences import Sequences


@AGGREGATORS.register("attention")
class Attention(nn.Module):
    """A weighted average of the steps of each sample, with weights that are learned from the steps.

    For each head h: s_t = v_h · tanh(W · x_t + b), a = softmax over the sample's steps of s, A_h(x) = Σ_t a_t · x_t;
    the heads' averages stand one after another. The score is the additive one of Bahdanau, Cho and Bengio (2015),
    arXiv:1409.0473, without a query. The softmax is computed in float32 at least.

    Args:
        in_features: D, width of a step. The result has heads · D features.
        heads: H, number of averages.
        hidden_features: width of the tanh.
        dropout: rate on the tanh.

    >>> tuple(Attention(5, heads=2)(Sequences.of([torch.ones(3, 5), torch.ones(0, 5)])).shape)
    (2, 10)
    """

    def __init__(self, in_features: int, *, heads: int = 1, hidden_features: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "heads": heads, "hidden_features": hidden_features})
        check_rate(self, "dropout", dropout)
        self.in_features, self.out_features = in_features, heads * in_features
        self.hidden = nn.Linear(in_features, hidden_features)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden_features, heads, bias=False)  # the softmax would cancel a bias

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch heads_features"]:
        """Steps (S, D) → (B, H · D)."""
        steps = checked_steps(self, inputs, self.in_features)
        scores = self.score(self.dropout(torch.tanh(self.hidden(steps))))
        scores = scores if scores.dtype == torch.float64 else scores.float()
        # A finite fill: a sample of no steps then gets equal weights of steps that are all zero, and no NaN.
        grid = inputs.with_steps(scores).padded(torch.finfo(scores.dtype).min).values  # (B, T, H)
        weights = torch.softmax(grid, dim=1).to(steps.dtype)
        values = inputs.with_steps(steps).padded().values  # (B, T, D)
        return (weights.transpose(1, 2) @ values).flatten(1)

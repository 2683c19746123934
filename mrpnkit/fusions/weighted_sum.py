"""Sums of the branches, plain and weighted.

Letters: B batch, N branches, W width of the sum, C scores of a target.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, presence, scored, scorings, shares
from mrpnkit.fusions.registry import FUSIONS


@FUSIONS.register("sum", paper="arXiv:1705.09406")
class Sum(nn.Module):
    """h = Σ_m Dense_m(g_m) over the branches that a sample has, then a Scoring for each target.

    The simplest joint representation of Baltrušaitis, Ahuja and Morency (2017), arXiv:1705.09406, beside the
    concatenation. A concatenation that is followed by a Dense is such a sum; this one is narrower before its ReLU.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        width: W.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> fusion = Sum([3, 2], {"y": 4}, width=8).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        width: int = 128,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_counts(self, {"width": width})
        check_dropout(self, dropout)
        self.dense = nn.ModuleList(nn.Linear(n, width) for n in features)
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        parts = [kept(dense(g), mask) for dense, g, mask in zip(self.dense, features, present, strict=True)]
        joint = torch.stack(parts).sum(0)
        return scored(self.scoring, joint, present)


@FUSIONS.register("weighted", paper="arXiv:1705.09406")
class Weighted(nn.Module):
    """h = Σ_m a_m · Dense_m(g_m), a = softmax of one learned number a branch, over those that a sample has.

    All start with equal weights. What was learned is in :attr:`weights`: how much the fusion relies on each branch,
    the same for every sample.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        width: W.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> Weighted([3, 2], {"y": 4}).weights.tolist()
    [0.5, 0.5]
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        width: int = 128,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_counts(self, {"width": width})
        check_dropout(self, dropout)
        self.dense = nn.ModuleList(nn.Linear(n, width) for n in features)
        self.logits = nn.Parameter(torch.zeros(len(features)))
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    @property
    def weights(self) -> Tensor:
        """a (N,) of a sample that has everything."""
        return torch.softmax(self.logits.detach(), dim=0)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        there = presence(present, features)
        parts = torch.stack([dense(g) for dense, g in zip(self.dense, features, strict=True)], dim=1)  # (B, N, W)
        weights = shares(self.logits.expand(len(there), -1), there)
        joint = (weights[:, :, None].to(parts.dtype) * parts).sum(1)
        return scored(self.scoring, joint, present)

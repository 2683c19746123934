"""Multiplicative interactions of two branches.

Letters: B batch, D features, W width, C scores of a target.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, scored, scorings
from mrpnkit.fusions.registry import FUSIONS


@FUSIONS.register("multiplicative")
class Multiplicative(nn.Module):
    """h = xᵀ · 𝕎 · z + U · z + V · x + b, the full bilinear form of two branches, x and z.

    Multiplicative interactions of Jayakumar et al. (2020), "Multiplicative interactions and where to find them"
    (ICLR 2020), which is defined for two inputs: one chooses the linear map that the other is read with. x and z are
    the branches behind a Dense of ``inner`` features each, since 𝕎 has inner² · W weights. A branch that a sample
    lacks is zero and leaves the linear form of the other.

    Args:
        features: widths of g_1 and g_2; exactly two branches.
        targets: number of scores of each target.
        inner: width of x and of z.
        width: W.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> fusion = Multiplicative([3, 2], {"y": 4}, inner=5, width=8).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        inner: int = 32,
        width: int = 128,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features, least=2, most=2, why="; for more, lmf multiplies all of them")
        check_counts(self, {"inner": inner, "width": width})
        check_dropout(self, dropout)
        self.dense = nn.ModuleList(nn.Linear(n, inner) for n in features)
        self.width = width
        self.interaction = nn.Linear(inner, width * inner, bias=False)  # nn.Bilinear does not run under autocast
        self.linear = nn.Linear(2 * inner, width)
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """Two tensors (B, D_m) and two masks (B,) or None → for each target its scores (B, C)."""
        x, z = (kept(dense(g), mask) for dense, g, mask in zip(self.dense, features, present, strict=True))
        maps = self.interaction(x).unflatten(1, (self.width, z.shape[1]))  # xᵀ · 𝕎: the map that z is read with
        joint = (maps * z[:, None, :]).sum(2) + self.linear(torch.cat([x, z], dim=1))
        return scored(self.scoring, joint, present)

"""Tensor fusion: the outer product of all branches.

Letters: B batch, N branches, W width of a branch, C scores of a target.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, scored, scorings
from mrpnkit.fusions.registry import FUSIONS

MOST = 1 << 17
"""Entries of the outer product, at most: the Dense that reads them has so many weights for each hidden unit."""


@FUSIONS.register("tfn", paper="arXiv:1707.07250")
class TFN(nn.Module):
    """h = [1; z_1] ⊗ … ⊗ [1; z_N] with z_m = ReLU(Dense_m(g_m)): every product of features of different branches.

    Tensor fusion network of Zadeh et al. (2017), arXiv:1707.07250. The ones keep the branches alone and every subset
    of them among the entries; a branch that a sample lacks is [1; 0] and leaves the products of the others. Size and
    cost grow as (W + 1)^N, so W has to fall with N.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        width: W; by default the largest of at most 32 that keeps (W + 1)^N at 4096 or less.
        hidden: width inside Scoring; 128 by default, not the huge width of what it reads.
        dropout: before each Dense of Scoring.

    Raises:
        InputError: the outer product would have more than 131,072 entries; or so many branches that W would be 0.

    >>> fusion = TFN([3, 2], {"y": 4}, width=8).eval()
    >>> fusion.joint([torch.ones(5, 3), torch.ones(5, 2)], [None, None]).shape
    torch.Size([5, 81])
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        width: int | None = None,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features, most=12, why=": its outer product doubles at least with each")
        check_dropout(self, dropout)
        if width is None:
            width = max(w for w in range(1, 33) if w == 1 or (w + 1) ** len(features) <= 4096)
        check_counts(self, {"width": width})
        entries = (width + 1) ** len(features)
        if entries > MOST:
            raise InputError(
                f"TFN: {len(features)} branches of width {width} have an outer product of {entries} entries, more than "
                f"{MOST}. Give a smaller width, or use lmf, whose size grows with the number of branches only."
            )
        self.dense = nn.ModuleList(nn.Linear(n, width) for n in features)
        self.scoring = scorings(entries, targets, hidden=hidden or 128, dropout=dropout)

    def joint(self, features: Sequence[Tensor], present: Sequence[Present]) -> Float[Tensor, "batch entries"]:
        """h (B, (W + 1)^N); the first branch varies slowest."""
        h = features[0].new_ones(features[0].shape[0], 1)
        for dense, g, mask in zip(self.dense, features, present, strict=True):
            z = kept(torch.relu(dense(g)), mask)
            h = (h[:, :, None] * torch.cat([torch.ones_like(z[:, :1]), z], dim=1)[:, None, :]).flatten(1)
        return h

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        joint = self.joint(features, present)
        return scored(self.scoring, joint, present)

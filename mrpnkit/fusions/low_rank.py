"""Low-rank tensor fusion.

Letters: B batch, N branches, D features, R rank, W width of the result, C scores of a target.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, scored, scorings
from mrpnkit.fusions.registry import FUSIONS


@FUSIONS.register("lmf", paper="arXiv:1806.00064")
class LMF(nn.Module):
    """h = Σ_r a_r · Π_m (U_m^r · [1; g_m]) + b: the tensor fusion's Dense, of rank R, without the tensor.

    Low-rank multimodal fusion of Liu et al. (2018), arXiv:1806.00064: the weights of a Dense that reads the outer
    product of all [1; g_m] are a sum of R products of one factor a branch, so that products are multiplied, entry by
    entry, after each branch has been read. Cost grows linearly with N. A branch that a sample lacks is [1; 0].

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        rank: R.
        width: W.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> fusion = LMF([3, 2], {"y": 4}, rank=2, width=8).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        rank: int = 4,
        width: int = 128,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_counts(self, {"rank": rank, "width": width})
        check_dropout(self, dropout)
        self.rank, self.width = rank, width
        self.factors = nn.ParameterList(nn.Parameter(torch.empty(n + 1, rank * width)) for n in features)
        self.mixture = nn.Parameter(torch.full((rank,), 1.0 / math.sqrt(rank)))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)
        for factor in self.factors:
            nn.init.normal_(factor, std=1.0 / math.sqrt(factor.shape[0]))
            with torch.no_grad():
                factor[0] = 1.0  # near 1, so that a product of many factors neither vanishes nor explodes

    def joint(self, features: Sequence[Tensor], present: Sequence[Present]) -> Float[Tensor, "batch width"]:
        """h (B, W)."""
        product = None
        for factor, g, mask in zip(self.factors, features, present, strict=True):
            read = torch.addmm(factor[0].to(g.dtype), kept(g, mask), factor[1:].to(g.dtype))  # (B, R · W)
            product = read if product is None else product * read
        assert product is not None
        terms = product.unflatten(1, (self.rank, self.width))
        joint: Tensor = (self.mixture.to(terms.dtype)[:, None] * terms).sum(1) + self.bias.to(terms.dtype)
        return joint

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        joint = self.joint(features, present)
        return scored(self.scoring, joint, present)

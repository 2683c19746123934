"""Gated multimodal units.

Letters: B batch, N branches, W width of the unit, C scores of a target.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_choice, check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, presence, scored, scorings, shares
from mrpnkit.fusions.registry import FUSIONS

Gate = Literal["sigmoid", "softmax"]


@FUSIONS.register("gmu", paper="arXiv:1702.01992")
class GMU(nn.Module):
    """h = Σ_m z_m ⊙ tanh(Dense_m(g_m)): each feature of each branch is let through as all branches together decide.

    Gated multimodal unit of Arevalo et al. (2017), arXiv:1702.01992. z_m is the sigmoid of a Dense of the
    concatenation, one gate a branch, as its general form has it. With ``gate="softmax"`` the gates of a feature add up
    to 1 over the branches; for two branches that is the tied form of the paper, z and 1 − z, since the softmax of two
    numbers is the sigmoid of their difference. A branch that a sample lacks adds nothing.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        width: W.
        gate: ``"sigmoid"`` or ``"softmax"``.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> fusion = GMU([3, 2], {"y": 4}, width=8).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        width: int = 128,
        gate: Gate = "sigmoid",
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_counts(self, {"width": width})
        check_choice(self, "gate", gate, get_args(Gate))
        check_dropout(self, dropout)
        self.width, self.gate = width, gate
        self.dense = nn.ModuleList(nn.Linear(n, width) for n in features)
        self.gates = nn.Linear(sum(features), len(features) * width)
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        there = presence(present, features)
        parts = [kept(torch.tanh(d(g)), mask) for d, g, mask in zip(self.dense, features, present, strict=True)]
        logits = self.gates(torch.cat([kept(g, mask) for g, mask in zip(features, present, strict=True)], dim=1))
        logits = logits.unflatten(1, (len(parts), self.width))  # (B, N, W)
        z = torch.sigmoid(logits) if self.gate == "sigmoid" else shares(logits, there).to(logits.dtype)
        joint = (z * torch.stack(parts, dim=1)).sum(1)
        return scored(self.scoring, joint, present)

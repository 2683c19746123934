"""Feature-wise linear modulation.

Letters: B batch, N branches, W width, C scores of a target.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, scored, scorings
from mrpnkit.fusions.registry import FUSIONS


@FUSIONS.register("film", paper="arXiv:1709.07871")
class FiLM(nn.Module):
    """h = (1 + γ) ⊙ Dense(g_content) + β, where γ and β are read from all other branches.

    Feature-wise linear modulation of Perez et al. (2018), arXiv:1709.07871: one branch is the content, the others are
    the condition under which it is read. γ and β are one Dense of the others' concatenation; around 1, as the paper
    has it, so that the content passes where the condition says nothing. A content that a sample lacks leaves β, a
    condition that it lacks adds nothing to γ and β but their biases.

    Args:
        features: widths of g_1 … g_N; two branches or more.
        targets: number of scores of each target.
        content: the place of the content among the branches, from 0.
        width: W.
        hidden: width inside Scoring; by default W.
        dropout: before each Dense of Scoring.

    >>> fusion = FiLM([3, 2], {"y": 4}, width=8).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        content: int = 0,
        width: int = 128,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features, least=2, why=": one is modulated, the others modulate")
        check_counts(self, {"width": width})
        check_dropout(self, dropout)
        if not 0 <= content < len(features):
            raise InputError(f"FiLM: content is {content}; expected the place of a branch, 0 to {len(features) - 1}.")
        self.content = content
        self.dense = nn.Linear(features[content], width)
        self.condition = nn.Linear(sum(features) - features[content], 2 * width)
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        values = [kept(g, mask) for g, mask in zip(features, present, strict=True)]
        content = kept(self.dense(values.pop(self.content)), present[self.content])
        gamma, beta = self.condition(torch.cat(values, dim=1)).chunk(2, dim=1)
        joint = (1 + gamma) * content + beta
        return scored(self.scoring, joint, present)

"""Late fusion: every branch gives scores of its own, and the scores are joined.

Letters: B batch, N branches, C scores of a target.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_choice
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, presence, scorings, shares
from mrpnkit.fusions.registry import FUSIONS

Rule = Literal["mean", "product", "weighted"]


@FUSIONS.register("late", paper="arXiv:1705.09406")
class Late(nn.Module):
    """s = rule(s_1 … s_N) with s_m = Scoring_m(g_m), over the branches that a sample has.

    ============ ======================================= ===================================================
    rule         scores s                                as probabilities
    ============ ======================================= ===================================================
    ``mean``     (1/n) Σ_m s_m                           normalised geometric mean of the branches'
    ``product``  Σ_m log softmax(s_m)                    product of experts (Hinton 2002), each with equal say
    ``weighted`` Σ_m a_m · s_m, a = softmax, learned     weighted geometric mean; one weight a branch and target
    ============ ======================================= ===================================================

    Late fusion of Baltrušaitis, Ahuja and Morency (2017), arXiv:1705.09406. ``mean`` and ``weighted`` also suit a
    target that is no classification; ``product`` is defined for classes only, and others are refused. A sample without
    any branch gets scores of zero.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        rule: how scores are joined.
        hidden: width inside the Scoring units; by default that of what they read.
        dropout: before each Dense of Scoring.

    >>> fusion = Late([3, 2], {"y": 4}, rule="product").eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None])["y"].shape)
    (5, 4)
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        rule: Rule = "mean",
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_choice(self, "rule", rule, get_args(Rule))
        check_dropout(self, dropout)
        self.rule, self.classes_only = rule, rule == "product"
        self.scoring = nn.ModuleList(scorings(n, targets, hidden=hidden, dropout=dropout) for n in features)
        learned = targets if rule == "weighted" else {}
        self.logits = nn.ParameterDict({target: nn.Parameter(torch.zeros(len(features))) for target in learned})

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its scores (B, C)."""
        there = presence(present, features)
        experts = [
            {target: scoring(g, mask) for target, scoring in heads.items()}  # type: ignore[operator]
            for heads, g, mask in zip(self.scoring, features, present, strict=True)
        ]
        return {
            target: self._joined(target, torch.stack([scores[target] for scores in experts], dim=1), there)
            for target in experts[0]
        }

    def _joined(self, target: str, scores: Tensor, there: Tensor) -> Tensor:
        if self.rule == "product":
            experts = torch.log_softmax(scores if scores.dtype == torch.float64 else scores.float(), dim=2)
            return experts.masked_fill(~there[:, :, None], 0.0).sum(1).to(scores.dtype)
        logits = self.logits[target] if self.rule == "weighted" else scores.new_zeros(there.shape[1])
        weights = shares(logits.expand(len(there), -1), there)
        return (weights[:, :, None].to(scores.dtype) * scores).sum(1)

"""Trusted multi-view classification: opinions with a share of "I do not know", combined by Dempster's rule.

Letters: B batch, N branches, C classes of a target.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_classes, check_dropout, kept, scorings
from mrpnkit.fusions.registry import FUSIONS
from mrpnkit.outputs import Fused, Part


class Opinion(NamedTuple):
    """Belief (B, C) in each class and the rest (B, 1) that is not known; together they are 1."""

    belief: Tensor
    unknown: Tensor


def opinion_of(evidence: Float[Tensor, "batch classes"]) -> Opinion:
    """Evidence e ≥ 0 for each class: belief e / S and unknown C / S, with S = Σ e + C."""
    strength = evidence.sum(1, keepdim=True) + evidence.shape[1]
    return Opinion(evidence / strength, evidence.shape[1] / strength)


def combined(first: Opinion, second: Opinion) -> Opinion:
    """Dempster's rule for two opinions: what contradicts is left out, and the rest scaled to 1.

    What does not contradict is summed up, rather than 1 less the contradiction, which loses digits where two confident
    opinions contradict each other.
    """
    agreed = first.belief * second.belief + first.belief * second.unknown + second.belief * first.unknown
    unknown = first.unknown * second.unknown
    whole = (agreed.sum(1, keepdim=True) + unknown).clamp(min=torch.finfo(unknown.dtype).tiny)
    return Opinion(agreed / whole, unknown / whole)


class EvidentialLoss:
    """Digamma cross-entropy of the Dirichlet distribution, and a divergence that grows over the first epochs.

    L = Σ_c y_c (ψ(S) − ψ(α_c)) + λ_t · KL(Dir(α̃) ‖ Dir(1)), S = Σ α, α̃ = y + (1 − y) ⊙ α, λ_t = min(1, t / annealing),
    t the epoch from 0: equations (5) to (8) of arXiv:2102.02051. Scores are log α. A label of −1 costs nothing.
    The objective multiplies it by the weight of the label's class; the label smoothing of a target is left out.

    Args:
        annealing: epochs until the divergence counts in full.
    """

    def __init__(self, annealing: int) -> None:
        self.annealing = annealing
        self.share = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """Sets λ_t for the epoch, counted from 0."""
        self.share = min(1.0, epoch / self.annealing)

    def __call__(
        self, scores: Float[Tensor, "batch classes"], labels: Int64[Tensor, "batch"]
    ) -> Float[Tensor, "batch"]:
        """Scores log α (B, C) and labels (B,) → losses (B,)."""
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise InputError(
                "The evidential loss is defined for classes: expected int64 labels (B,), got "
                f"{labels.dtype} of shape {tuple(labels.shape)}. Choose another fusion than tmc for this target."
            )
        alpha = torch.exp(scores if scores.dtype == torch.float64 else scores.float())
        known = labels >= 0
        y = F.one_hot(labels.clamp(min=0), alpha.shape[1]).to(alpha.dtype)
        fit = torch.digamma(alpha.sum(1)) - (y * torch.digamma(alpha)).sum(1)
        return torch.where(known, fit + self.share * divergence(y + (1 - y) * alpha), 0.0)


def divergence(alpha: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch"]:
    """KL(Dir(α) ‖ Dir(1)): what the evidence claims beyond knowing nothing."""
    strength = alpha.sum(1, keepdim=True)
    constant = (
        torch.lgamma(strength.squeeze(1)) - torch.lgamma(alpha).sum(1) - torch.lgamma(alpha.new_tensor(alpha.shape[1]))
    )
    return constant + ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(strength))).sum(1)


@FUSIONS.register("tmc", paper="arXiv:2102.02051")
class TMC(nn.Module):
    """Every branch gives evidence for each class; opinions are combined by Dempster's rule, so that doubt is kept.

    Trusted multi-view classification of Han et al. (2021), arXiv:2102.02051. Evidence is the softplus of
    Scoring_m(g_m); it makes an :class:`Opinion`; those of the branches that a sample has are combined one after
    another. A branch that it lacks would have no belief at all, and changes nothing. Scores are log α, α = evidence +
    1, whose softmax is the expected probability α / S. The opinions of the branches are trained too, as parts
    ``fused.0`` …, all with :class:`EvidentialLoss`, which :attr:`criterion` hands to the objective.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of classes of each target, two or more.
        annealing: epochs until the divergence counts in full; the paper's is 50.
        hidden: width inside the Scoring units; by default that of what they read.
        dropout: before each Dense of Scoring.

    >>> fusion = TMC([3, 2], {"y": 4}).eval()
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None]).scores["y"].shape)
    (5, 4)
    """

    classes_only = True

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        annealing: int = 50,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_classes(self, targets)
        check_dropout(self, dropout)
        if annealing < 1:
            raise InputError(f"TMC: annealing must be 1 epoch or more, got {annealing}.")
        self.criterion = EvidentialLoss(annealing)
        self.scoring = nn.ModuleList(scorings(n, targets, hidden=hidden, dropout=dropout) for n in features)

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> Fused:
        """N tensors (B, D_m) and N masks (B,) or None → log α (B, C) of each target, and of each branch's opinion."""
        evidence = [
            {target: kept(_evidence(scoring(g, mask)), mask) for target, scoring in heads.items()}  # type: ignore[operator]
            for heads, g, mask in zip(self.scoring, features, present, strict=True)
        ]
        parts = {
            f"fused.{place}": Part({target: torch.log1p(e) for target, e in branch.items()}, present[place])
            for place, branch in enumerate(evidence)
        }
        return Fused({target: _scores([branch[target] for branch in evidence]) for target in evidence[0]}, parts)


def _evidence(scores: Tensor) -> Tensor:
    return F.softplus(scores if scores.dtype == torch.float64 else scores.float())


def _scores(evidence: Sequence[Tensor]) -> Tensor:
    """log α of the combination of all branches' evidence."""
    if len(evidence) == 1:
        return torch.log1p(evidence[0])
    whole = opinion_of(evidence[0])
    for other in evidence[1:]:
        whole = combined(whole, opinion_of(other))
    # e = b · S with S = C / u
    strength = evidence[0].shape[1] / whole.unknown.clamp(min=torch.finfo(whole.unknown.dtype).tiny)
    return torch.log1p(whole.belief * strength)

"""A decision that allows for one branch that misleads.

Letters: B batch, N branches, C classes of a target.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_classes, check_dropout, presence
from mrpnkit.fusions.registry import FUSIONS
from mrpnkit.mrpn import Absent, FusionComponent

SMALLEST = 1e-9
"""Added to an agreement, so that probabilities that are zero in float32 divide nothing."""


class Verdict(NamedTuple):
    """What a :class:`Witnesses` says of a batch and a target.

    ``probabilities`` (B, C); ``trusted`` (B,), how probable it is that no branch misleads; ``misleading`` (B, N), how
    probable it is that this branch does. The last two add up to 1.
    """

    probabilities: Tensor
    trusted: Tensor
    misleading: Tensor


@FUSIONS.register("witnesses")
class Witnesses(nn.Module):
    """The paper's fusion, heard with and without each branch; a branch that contradicts the others counts less.

    In training this is the paper's :class:`mrpnkit.FusionComponent` to the last bit, and so are the gradients. Only the
    decision in evaluation differs, and it reads nothing but the N+1 scores that an N1 or N2 has anyway. Branches are
    taken as witnesses of one event: with probability 1 − ε all of them speak of it, with probability ε / n one of the
    n that a sample has speaks of another. Let q_S be what a set S of branches says,

        q_S = ½ · softmax(fusion of S) + ½ · mean over S of softmax(side scores),

    and p_m what branch m says alone. For classes of equal prior, and branches that depend on each other through the
    class alone, all branches occur together R_m = C · Σ_c p_m(c) · q_{S∖m}(c) times as often as they would if m spoke
    of another event. Bayes' rule then weighs the verdict of everybody with 1 − ε, the verdict without m with
    (ε / n) / R_m, and the fused probabilities are the weighted average. A branch that agrees with the rest has R_m near
    C and changes nothing; one that contradicts it has R_m near 0, and is left out. Where branches are sure of nothing,
    R_m is near 1 and nothing is left out either: confidence is weighed for the sample at hand.

    The rule is this library's own; its nearest kin is the estimation of a state from sensors of which one may have
    failed. The N + 1 fusions of an evaluation cost N + 1 times one. Scores are log probabilities. A sample with one
    branch has the verdict of that branch.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of classes of each target, two or more.
        doubt: ε, how probable it is beforehand that one of a sample's branches misleads; 0 trusts all of them.
        absent: what stands for a branch that a sample lacks, or that is left out to hear the others, as of
            :class:`mrpnkit.FusionComponent`; ``"learned"`` is learned from training samples that lack branches.
        hidden: width inside Scoring; by default that of the concatenation.
        dropout: before each Dense of Scoring.

    >>> fusion = Witnesses([3, 2], {"y": 4}).eval()
    >>> sides = [{"y": torch.zeros(5, 4)}, {"y": torch.zeros(5, 4)}]
    >>> tuple(fusion([torch.ones(5, 3), torch.ones(5, 2)], [None, None], sides)["y"].shape)
    (5, 4)
    """

    reads = ("sides",)
    classes_only = True

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        doubt: float = 0.3,
        absent: Absent = "zero",
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_classes(self, targets)
        check_dropout(self, dropout)
        if not 0.0 <= doubt < 1.0:
            raise InputError(f"Witnesses: doubt is a probability below 1, got {doubt}.")
        self.doubt = doubt
        self.concat = FusionComponent(features, targets, hidden=hidden, dropout=dropout, absent=absent)

    def forward(
        self, features: Sequence[Tensor], present: Sequence[Present], sides: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """N tensors (B, D_m), N masks (B,) or None, N side scores (B, C) by target → scores (B, C) by target."""
        if self.training:
            scores: dict[str, Tensor] = self.concat(features, present)
            return scores
        verdicts = self.verdicts(features, present, sides)
        return {target: (verdict.probabilities + SMALLEST).log() for target, verdict in verdicts.items()}

    def verdicts(
        self, features: Sequence[Tensor], present: Sequence[Present], sides: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Verdict]:
        """What is said, and which branch is thought to mislead, for each target; arguments as of :meth:`forward`."""
        there = presence(present, features)
        fused = [self.concat(features, present)]
        for place in range(len(features)):
            absent = there.new_zeros(len(there))
            rest = [*features[:place], torch.zeros_like(features[place]), *features[place + 1 :]]
            fused.append(self.concat(rest, [*present[:place], absent, *present[place + 1 :]]))
        return {
            target: judged(
                torch.stack([scores[target] for scores in fused], dim=1),
                torch.stack([scores[target] for scores in sides], dim=1),
                there,
                doubt=self.doubt,
            )
            for target in fused[0]
        }


def judged(
    fused: Float[Tensor, "batch sets classes"],
    sides: Float[Tensor, "batch branches classes"],
    there: Bool[Tensor, "batch branches"],
    *,
    doubt: float,
) -> Verdict:
    """Bayes' rule of :class:`Witnesses`.

    Args:
        fused: scores (B, 1 + N, C) of all branches together, then of all but each.
        sides: scores (B, N, C) of each branch alone.
        there: (B, N), True where a sample has the branch.
        doubt: ε.
    """
    of_sets, alone = (torch.softmax(x if x.dtype == torch.float64 else x.float(), dim=2) for x in (fused, sides))
    branches, classes = alone.shape[1:]
    all_but = torch.cat([alone.new_ones(1, branches), 1 - torch.eye(branches, dtype=alone.dtype, device=alone.device)])
    members = all_but * there[:, None, :].to(alone.dtype)  # (B, 1 + N, N): who is heard in which set
    heard = members.sum(2, keepdim=True)
    q = torch.where(heard > 0, (of_sets + members @ alone / heard.clamp(min=1)) / 2, of_sets)  # (B, 1 + N, C)
    possible = there & (heard[:, 1:, 0] > 0)  # without m somebody must be left
    agreement = classes * (alone * q[:, 1:]).sum(2)  # R_m, (B, N)
    prior = doubt / possible.sum(1, keepdim=True).clamp(min=1)
    misleading = torch.where(possible, prior / (agreement + SMALLEST), 0.0)
    weights = torch.cat([torch.full_like(misleading[:, :1], 1 - doubt), misleading], dim=1)
    weights = weights / weights.sum(1, keepdim=True)
    return Verdict((weights[:, :, None] * q).sum(1), weights[:, 0], weights[:, 1:])

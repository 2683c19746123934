"""What fusions share: which samples have which modality, the number of branches, and a Scoring for each target.

Letters: B batch, N branches, D features.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrpnkit.arguments import check_rate
from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.mrpn import Scoring
from mrpnkit.presence import anything


def check_branches(
    fusion: nn.Module, features: Sequence[int], *, least: int = 1, most: int | None = None, why: str = ""
) -> None:
    """Raises InputError unless there are as many branches as the fusion is defined for."""
    if least <= len(features) and (most is None or len(features) <= most):
        return
    wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    raise InputError(
        f"{type(fusion).__name__} is defined for {wanted} branches and was given {len(features)}{why}. Choose another "
        "fusion, such as concat, which takes any number."
    )


def check_classes(fusion: nn.Module, targets: Mapping[str, int]) -> None:
    """Raises InputError for a target of one score, which is no classification."""
    for target, number in targets.items():
        if number < 2:
            raise InputError(
                f"{type(fusion).__name__} is defined for classes; the target {target!r} has {number} score. Choose "
                "another fusion, such as concat."
            )


def check_kinds(fusion: object, kinds: Mapping[str, str]) -> None:
    """Raises InputError where a fusion that says ``classes_only`` meets a target of another kind.

    Args:
        fusion: any; one whose attribute ``classes_only`` is true takes the scores of a target for those of classes,
            one of which a sample has.
        kinds: of the targets, by name, as of :class:`mrpnkit.targets.Target`.
    """
    wrong = next((name for name, kind in kinds.items() if kind != "classification"), None)
    if wrong is not None and getattr(fusion, "classes_only", False):
        raise InputError(
            f"{type(fusion).__name__} is defined for classes, one a sample; the target {wrong!r} is of the kind "
            f"{kinds[wrong]!r}. Choose another fusion, such as concat, or leave the target out."
        )


def kept(x: Float[Tensor, "batch *width"], present: Present) -> Float[Tensor, "batch *width"]:
    """``x`` with zeros where a sample lacks the modality."""
    return x if present is None else x.masked_fill(~present.view(-1, *[1] * (x.ndim - 1)), 0.0)


def presence(present: Sequence[Present], like: Sequence[Tensor]) -> Bool[Tensor, "batch branches"]:
    """The masks of all branches side by side, (B, N)."""
    everybody = torch.ones(like[0].shape[0], dtype=torch.bool, device=like[0].device)
    return torch.stack([everybody if mask is None else mask for mask in present], dim=1)


def shares(logits: Float[Tensor, "batch branches *rest"], there: Bool[Tensor, "batch branches"]) -> Tensor:
    """Softmax over the branches that a sample has, in float32 at least; zeros where it has none."""
    values = logits if logits.dtype == torch.float64 else logits.float()
    absent = ~there.view(*there.shape, *[1] * (logits.ndim - 2))
    lowest = torch.finfo(values.dtype).min  # finite, so that a sample without anything gives no NaN
    return torch.softmax(values.masked_fill(absent, lowest), dim=1).masked_fill(absent, 0.0)


def scorings(width: int, targets: Mapping[str, int], *, hidden: int | None, dropout: float) -> nn.ModuleDict:
    """A Scoring (2) of ``width`` features for each target."""
    return nn.ModuleDict({target: Scoring(width, n, hidden=hidden, dropout=dropout) for target, n in targets.items()})


def scored(
    scoring: nn.ModuleDict, joint: Float[Tensor, "batch width"], present: Sequence[Present]
) -> dict[str, Tensor]:
    """Scores (B, C) of each target; a sample that lacks every branch counts in no batch statistic of Scoring."""
    some = anything(present)
    return {target: head(joint, some) for target, head in scoring.items()}


def check_dropout(fusion: nn.Module, dropout: float) -> None:
    """Raises InputError unless the rate lies in [0, 1)."""
    check_rate(fusion, "dropout", dropout)

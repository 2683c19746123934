"""What balancers read out of a step: how well each branch does by its own scores, and which parameters are its own."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.balancing.floats import exact
from mrpnkit.balancing.steering import Step, averaged
from mrpnkit.errors import InputError
from mrpnkit.mrpn import MRPN


def branches_of(balancer: object, model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters of each branch that has a side score, by name; those that branches share are left out.

    Raises:
        InputError: a model without side scores, by which this balancer compares branches.
    """
    if not isinstance(model, MRPN) or not len(model.sides):
        what = "N0" if isinstance(model, MRPN) else type(model).__name__
        raise InputError(
            f"{type(balancer).__name__} compares branches by their side scores, and {what} has none; choose network "
            "'n1' or 'n2'."
        )
    owners = Counter(p for branch in model.branches.values() for p in branch.parameters())
    return {
        name: [p for p in branch.parameters() if p.requires_grad and owners[p] == 1]
        for name, branch in model.branches.items()
    }


def classifications(balancer: object, kinds: Mapping[str, str]) -> list[str]:
    """The targets whose scores are those of classes, one of which a sample has.

    Raises:
        InputError: there is none, so that nothing tells how well a branch does.
    """
    found = [name for name, kind in kinds.items() if kind == "classification"]
    if not found:
        told = ", ".join(f"{name!r} is of the kind {kind!r}" for name, kind in kinds.items())
        raise InputError(
            f"{type(balancer).__name__} compares branches by the probability of the right class, and no target is a "
            f"classification: {told}. Choose another balancer, such as uncertainty."
        )
    return found


def confidence(step: Step, branch: str, targets: Sequence[str] | None = None) -> Tensor:
    """The mean probability that a branch's side scores give to the right class.

    A scalar, over samples, classifications and processes; samples without a label or without the modality are left
    out. NaN where nothing is left. ``targets`` are the classifications; by default those whose labels look like it.
    """
    like = next(iter(step.output.fused.values()))
    total = like.new_zeros(2, dtype=exact(like.device))
    present = step.output.present.get(branch)
    for target, scores in step.output.branches[branch].items():
        labels = step.labels[target]
        if (labels.dtype != torch.int64 or labels.ndim != 1) if targets is None else target not in targets:
            continue
        known = labels >= 0 if present is None else (labels >= 0) & present
        right = torch.softmax(scores.detach().to(total), dim=1).gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
        total = total + torch.stack([right.masked_fill(~known, 0.0).sum(), known.sum()])
    sums = averaged(total)
    return sums[0] / sums[1]


def ratios(scores: Mapping[str, Tensor]) -> dict[str, float]:
    """Each branch's score over the mean of the others'; 1 where there is no other, or nothing to compare.

    For two branches that is the ratio that the papers define; for more, this library's extension.
    """
    values: dict[str, float] = {name: float(score) for name, score in scores.items()}
    found = {}
    for name, value in values.items():
        others = [other for rival, other in values.items() if rival != name and other == other]
        mean = sum(others) / len(others) if others else 0.0
        found[name] = value / mean if mean > 0 and value == value else 1.0
    return found


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries of some tensors, one after another."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])

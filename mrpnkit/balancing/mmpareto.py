"""Gradients of the branches, joined so that the side loss never works against the fusion.

Letters: f gradient of the fused losses, s of the side loss, both of one branch's parameters.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mrpnkit.balancing.heads import branches_of, flat
from mrpnkit.balancing.steering import Step, averaged
from mrpnkit.errors import InputError
from mrpnkit.registry import BALANCERS


@BALANCERS.register("mmpareto", paper="arXiv:2405.17730")
class MMPareto:
    """Each branch's parameters go along 2a · f + 2(1 − a) · s, with a chosen so that neither loss rises.

    MMPareto of Wei and Hu (2024), arXiv:2405.17730. f is the gradient of the fused losses, s that of the branch's side
    loss. Where they agree, cos(f, s) ≥ 0, a = ½ and the direction is that of the sum. Where they conflict, a minimises
    ‖a · f + (1 − a) · s‖ over [0, 1], the Pareto direction, along which neither rises. Conflicts make that vector
    short; it gets the length of f + s where it is shorter, and ``scale`` times that in any case, since the noise of a
    larger step generalises better. Fusion, residual perceptrons, side heads, and what branches share have their usual
    gradient. For any number of branches and targets; the network must be N1 or N2.

    Args:
        scale: γ; 1.5 as in the paper.

    >>> MMPareto()({"y/fused": torch.tensor(1.0), "y/audio": torch.tensor(2.0)})
    tensor(3.)
    """

    def __init__(self, *, scale: float = 1.5) -> None:
        if not 0 < scale < float("inf"):
            raise InputError(f"MMPareto: scale must be more than 0, got {scale}.")
        self.scale = scale
        self._parameters: dict[str, list[nn.Parameter]] = {}

    def attach(self, model: nn.Module) -> None:
        """Raises InputError for a network without side scores."""
        self._parameters = branches_of(self, model)

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their sum."""
        return torch.stack(list(losses.values())).sum()

    def backward(self, step: Step) -> None:
        """One backward pass over the side losses, which end at the branches, and one over the sum."""
        owned = {name: own for name, own in self._parameters.items() if own}
        sides = [loss for name, loss in step.losses.items() if name.rpartition("/")[2] in self._parameters]
        every = [parameter for own in owned.values() for parameter in own]
        if not every:  # nothing but vectors, or all of it frozen
            step.total.backward()
            return
        # A side loss reaches no branch but its own, so the gradient of their sum holds each branch's own.
        gradients = torch.autograd.grad(torch.stack(sides).sum(), every, retain_graph=True, allow_unused=True)
        of_sides = {p: torch.zeros_like(p) if g is None else averaged(g) for p, g in zip(every, gradients, strict=True)}
        step.total.backward()
        for own in owned.values():
            s = flat([of_sides[p] for p in own])
            both = flat([p.grad if p.grad is not None else torch.zeros_like(p) for p in own])
            joined = joint_gradient(both - s, s, scale=self.scale)
            for parameter, part in zip(own, joined.split([p.numel() for p in own]), strict=True):
                parameter.grad = part.view_as(parameter).clone()


def joint_gradient(f: Tensor, s: Tensor, *, scale: float) -> Tensor:
    """The gradient that a branch's parameters are given.

    >>> joint_gradient(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), scale=1.0)
    tensor([1., 1.])
    """
    share = torch.where(torch.dot(f, s) >= 0, 0.5, least_norm(f, s))
    joined = 2 * share * f + 2 * (1 - share) * s
    wanted, length = torch.linalg.vector_norm(f + s), torch.linalg.vector_norm(joined)
    longer = torch.where((wanted > length) & (length > 0), wanted / length.clamp(min=1e-12), 1.0)
    return scale * longer * joined


def least_norm(f: Tensor, s: Tensor) -> Tensor:
    """The a in [0, 1] for which a · f + (1 − a) · s is shortest."""
    difference = f - s
    return (-torch.dot(s, difference) / torch.dot(difference, difference).clamp(min=1e-24)).clamp(0.0, 1.0)

"""Gradients of the branches, slowed where a branch is ahead of the others."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mrpnkit.balancing.heads import branches_of, classifications, confidence, ratios
from mrpnkit.balancing.steering import Step
from mrpnkit.errors import InputError
from mrpnkit.registry import BALANCERS


@BALANCERS.register("ogm_ge", paper="arXiv:2203.15332")
class OGMGE:
    """After the backward pass over the sum, the gradients of a branch that leads are multiplied by 1 − tanh(α · ρ_m).

    On-the-fly gradient modulation with generalisation enhancement of Peng et al. (2022), arXiv:2203.15332. ρ_m is the
    mean probability that branch m gives to the right class over that of the other branches; a branch leads where
    ρ_m > 1. Then noise of the gradient's own size is added to each of its tensors, N(0, noise² · var(gradient)), which
    gives back what the smaller step takes from the search. The paper gets the branches' probabilities by taking its
    linear fusion apart; here the side scores give them, whatever the fusion, so the network must be N1 or N2. For more
    than two branches the others' mean takes the other's place. What branches share keeps its gradient.

    Three further things differ from the authors' code. Here the leader alone gets noise; there every branch does, with
    a factor of 1 before the gradient of the one that does not lead. Here all parameters of the leader are modulated and
    get noise; there the kernels of two-dimensional convolutions only. Here this goes on to the last epoch; there it
    ends after the 51st by default.

    Args:
        alpha: α, how strongly the leader is slowed; 0 leaves gradients as they are, but for the noise.
        noise: of the generalisation enhancement, in standard deviations of each gradient; 0 is OGM alone.
        seed: of the noise, which is the same in all processes.

    >>> OGMGE()({"y/fused": torch.tensor(1.0), "y/audio": torch.tensor(2.0)})
    tensor(3.)
    """

    def __init__(self, *, alpha: float = 0.3, noise: float = 1.0, seed: int = 0) -> None:
        if not alpha >= 0 or not noise >= 0:
            raise InputError(f"OGMGE: alpha and noise must be 0 or more, got {alpha} and {noise}.")
        self.alpha, self.noise, self.seed = alpha, noise, seed
        self.begin()

    def begin(self) -> None:
        """Forgets an earlier training: noise is drawn from the seed again."""
        self.coefficients: dict[str, float] = {}
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._targets: list[str] | None = None
        self._generator = torch.Generator().manual_seed(self.seed)

    def look_at(self, kinds: Mapping[str, str]) -> None:
        """Raises InputError where no target is a classification; others are left aside."""
        self._targets = classifications(self, kinds)

    def attach(self, model: nn.Module) -> None:
        """Raises InputError for a network without side scores."""
        self._parameters = branches_of(self, model)

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their sum."""
        return torch.stack(list(losses.values())).sum()

    def backward(self, step: Step) -> None:
        """The backward pass over the sum; :attr:`coefficients` then tells by what each branch was multiplied."""
        step.total.backward()
        leads = ratios({name: confidence(step, name, self._targets) for name in self._parameters})
        for name, parameters in self._parameters.items():
            coefficient = 1.0 - math.tanh(self.alpha * leads[name]) if leads[name] > 1 else 1.0
            self.coefficients[name] = coefficient
            for parameter in parameters:
                if parameter.grad is not None and leads[name] > 1:
                    self._modulate(parameter.grad, coefficient)

    def _modulate(self, gradient: Tensor, coefficient: float) -> None:
        spread = float(gradient.std()) if gradient.numel() > 1 else 0.0
        gradient.mul_(coefficient)
        if self.noise and spread:
            drawn = torch.randn(gradient.shape, generator=self._generator)
            gradient.add_(drawn.to(gradient), alpha=self.noise * spread)

    def state_dict(self) -> dict[str, Any]:
        """The state of the noise."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`."""
        self._generator.set_state(state["generator"].cpu())

"""Weights that are learned: the uncertainty of each loss.

Letters: K losses.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mrpnkit.balancing.steering import Step, averaged
from mrpnkit.errors import InputError
from mrpnkit.registry import BALANCERS

LARGEST = 10.0
"""Of s_k, in either direction: weights stay between e⁻¹⁰ and e¹⁰."""


@BALANCERS.register("uncertainty", paper="arXiv:1705.07115")
class Uncertainty:
    """L = Σ_k (exp(−s_k) · L_k + s_k / 2), where s_k = log σ_k² is learned along with the network.

    Homoscedastic uncertainty of Kendall, Gal and Cipolla (2018), arXiv:1705.07115, in its form for classification: a
    loss that stays large is thought to be noisy and weighed down, and s_k / 2 keeps weights from falling to 0. All
    start at s_k = 0. The gradient of s_k is ½ − exp(−s_k) · L_k, with L_k of all processes; the steps along it are
    Adam's with a learning rate of their own, since these few numbers are no weights of the model and need another pace.
    A loss that no sample of a batch counts in is no loss of 0: its s_k stays as it is, and so does that of a loss whose
    weight in the objective is 0. A loss that does fall to 0 would have s_k fall for ever; it is held within ±10, where
    weights are up to 22,026.

    Args:
        learning_rate: of s_k.

    >>> losses = {"y/fused": torch.tensor(1.0), "y/audio": torch.tensor(2.0)}
    >>> Uncertainty()(losses)
    tensor(3.)
    """

    def __init__(self, *, learning_rate: float = 1e-2) -> None:
        if not learning_rate > 0:
            raise InputError(f"Uncertainty: learning_rate must be more than 0, got {learning_rate}.")
        self.learning_rate = learning_rate
        self.begin()

    def begin(self) -> None:
        """Forgets what an earlier training learned."""
        self.names: list[str] = []
        self._each: list[Tensor] = []
        self._adam: torch.optim.Adam | None = None

    @property
    def s(self) -> Tensor:
        """s_k (K,), in the order of :attr:`names`; empty before the first step."""
        return torch.stack(self._each) if self._each else torch.zeros(0)

    @property
    def weights(self) -> dict[str, float]:
        """exp(−s_k), what each loss is multiplied by now."""
        return dict(zip(self.names, torch.exp(-self.s).tolist(), strict=True))

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → the sum with the weights as they are; they are not differentiated here."""
        values = torch.stack(list(losses.values()))
        s = self.s.to(values) if self.names else torch.zeros_like(values.detach())
        return (torch.exp(-s) * values + s / 2).sum()

    def backward(self, step: Step) -> None:
        """The backward pass over the sum, then one step of Adam for each s_k whose loss has a sample and a weight."""
        step.total.backward()
        if self._adam is None:
            self._adam = self._adam_of(list(step.losses))
        losses = torch.stack([loss.detach() for loss in step.losses.values()]).float()
        counts = torch.ones_like(losses) if step.counts is None else torch.stack(list(step.counts.values()))
        losses, counts = averaged(torch.stack([losses, counts.to(losses)])).cpu()
        gradients, weights = 0.5 - torch.exp(-self.s) * losses, step.weights or {}
        for name, s, gradient, count in zip(self.names, self._each, gradients, counts.tolist(), strict=True):
            s.grad = gradient if count and weights.get(name, 1.0) else None
        self._adam.step()
        for s in self._each:
            s.clamp_(-LARGEST, LARGEST)

    def state_dict(self) -> dict[str, Any]:
        """s_k by name, and Adam's state."""
        return {"names": list(self.names), "s": self.s, "adam": self._adam.state_dict() if self._adam else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`."""
        self.begin()
        if state["adam"] is not None:
            self._adam = self._adam_of(state["names"])
            for s, value in zip(self._each, state["s"], strict=True):
                s.copy_(value)
            self._adam.load_state_dict(state["adam"])

    def _adam_of(self, names: list[str]) -> torch.optim.Adam:
        self.names = list(names)
        self._each = [torch.zeros(()) for _ in names]  # apart, so that Adam can leave one of them alone
        return torch.optim.Adam(self._each, lr=self.learning_rate)

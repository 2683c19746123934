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


@BALANCERS.register("uncertainty", paper="arXiv:1705.07115")
class Uncertainty:
    """L = Σ_k (exp(−s_k) · L_k + s_k / 2), where s_k = log σ_k² is learned along with the network.

    Homoscedastic uncertainty of Kendall, Gal and Cipolla (2018), arXiv:1705.07115, in its form for classification: a
    loss that stays large is thought to be noisy and weighed down, and s_k / 2 keeps weights from falling to 0. All
    start at s_k = 0. The gradient of s_k is ½ − exp(−s_k) · L_k, with L_k of all processes; the steps along it are
    Adam's with a learning rate of their own, since these few numbers are no weights of the model and need another pace.

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
        self.names: list[str] = []
        self.s = torch.zeros(0)
        self._adam = self._optimizer()

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
        """The backward pass over the sum, then one step of Adam for each s_k."""
        step.total.backward()
        if not self.names:
            self._begin(list(step.losses))
        losses = averaged(torch.stack([loss.detach() for loss in step.losses.values()]).float()).cpu()
        self.s.grad = 0.5 - torch.exp(-self.s) * losses
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """s_k by name, and Adam's state."""
        return {"names": list(self.names), "s": self.s, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`."""
        self._begin(state["names"])
        self.s.copy_(state["s"])
        self._adam.load_state_dict(state["adam"])

    def _begin(self, names: list[str]) -> None:
        self.names = list(names)
        self.s = torch.zeros(len(names))
        self._adam = self._optimizer()

    def _optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam([self.s], lr=self.learning_rate)

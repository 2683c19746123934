"""Weights that somebody chose."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.registry import BALANCERS


@BALANCERS.register("fixed")
class Fixed:
    """L = Σ_k w_k · L_k with weights by head; 1 for a head that has none.

    They multiply the weights of the objective. A key is a head, ``fused`` or a branch, or ``target/head`` where targets
    differ; the latter goes before the former. A part of the fusion has the weight of the fusion.

    Args:
        weights: 0 or more, by head or ``target/head``.

    >>> losses = {"emotion/fused": torch.tensor(1.0), "emotion/audio": torch.tensor(0.5)}
    >>> Fixed(weights={"audio": 0.2})(losses)
    tensor(1.1000)
    """

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise InputError(f"Fixed: the weight of {name!r} is {weight}; expected 0 or more.")

    def attach(self, model: nn.Module) -> None:
        """Raises InputError for a weight of a head that the model does not have."""
        if not isinstance(model, MRPN):
            return
        heads = [FUSED, *model.sides]
        known = [*heads, *(f"{target}/{head}" for target in model.targets for head in heads)]
        unknown = [name for name in self.weights if name not in known]
        if unknown:
            raise InputError(f"Fixed: weights are given for {unknown}; the model has {known}.")

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their weighted sum."""
        return torch.stack([self._weight(name) * loss for name, loss in losses.items()]).sum()

    def _weight(self, name: str) -> float:
        target, _, head = name.rpartition("/")
        head = head.partition(".")[0]
        return self.weights.get(f"{target}/{head}", self.weights.get(head, 1.0))

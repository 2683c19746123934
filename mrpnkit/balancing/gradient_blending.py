"""Weights by how well each loss generalises.

Letters: K heads of a target.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.registry import BALANCERS

SMALLEST = 1e-6
"""Least change of overfitting that is told from none; a head that did not overfit at all would get everything."""


class Losses(NamedTuple):
    """Training and validation loss of a head at the end of an epoch."""

    train: float
    validation: float


@BALANCERS.register("gradient_blending", paper="arXiv:1905.12681")
class GradientBlending:
    """L = Σ_k w_k · L_k, w_k ∝ ΔG_k / ΔO_k²: a head that learns what does not generalise counts less.

    Gradient-Blending of Wang, Tran and Feiszli (2020), arXiv:1905.12681, in its online form. Between two looks at the
    network, ``every`` epochs apart, the validation loss of head k falls by ΔG_k, its generalisation, and the gap
    between validation and training loss grows by ΔO_k, its overfitting; the weights minimise the
    overfitting-to-generalisation ratio of the sum. They hold until the next look, and add up to K for each target, so
    that the whole stays as large as a plain sum. All start at 1. Both losses are the one that is trained, with class
    weights, smoothing and the criterion of a fusion, so that a gap is one of samples and not of definitions.

    Where the paper measures copies of the network that are trained with one loss each, this measures the heads of the
    network itself, which costs nothing. A head whose validation loss rose has ΔG_k = 0 and is left out until the next
    look; where that is so for all heads of a target, its weights stay. A head that one of the two looks could not
    measure, for want of labels or of its modality, keeps its weight, and the others share what theirs added up to.
    Parts of a fusion have the fusion's weight.

    Args:
        every: epochs between two looks.

    Raises:
        InputError: no validation, or one that was not told the loss that is trained.

    >>> GradientBlending()({"y/fused": torch.tensor(1.0), "y/audio": torch.tensor(2.0)})
    tensor(3.)
    """

    def __init__(self, *, every: int = 5) -> None:
        if every < 1:
            raise InputError(f"GradientBlending: every must be 1 epoch or more, got {every}.")
        self.every = every
        self.begin()

    def begin(self) -> None:
        """Forgets what an earlier training measured."""
        self.epoch = 0
        self.weights: dict[str, float] = {}
        self._before: dict[str, Losses] = {}

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their weighted sum."""
        return torch.stack([self.weights.get(name.partition(".")[0], 1.0) * x for name, x in losses.items()]).sum()

    def end_epoch(self, train: Mapping[str, float], validation: Mapping[str, float] | None) -> None:
        """Looks at the heads after the first epoch, and then every so many."""
        if validation is None:
            raise InputError("GradientBlending compares training with validation losses; give the trainer validation.")
        self.epoch += 1
        if (self.epoch - 1) % self.every:
            return
        now: dict[str, Losses] = {}
        heads = [name for name in train if "." not in name.rpartition("/")[2]]
        for name in heads:
            if f"{name}/term" not in validation:
                raise InputError(
                    f"GradientBlending: validation has no {name}/term, the mean of the loss as it is trained; it has "
                    f"{', '.join(validation)}. Evaluation.terms gives it."
                )
            measured = Losses(train[name], validation[f"{name}/term"])
            if not any(math.isnan(one) for one in measured):
                now[name] = measured
        for target in {name.rpartition("/")[0]: None for name in heads}:
            of_target = [name for name in heads if name.rpartition("/")[0] == target]
            known = [name for name in of_target if name in now and name in self._before]
            kept = sum(self.weights.get(name, 1.0) for name in of_target if name not in known)
            found = blended({h: self._before[h] for h in known}, {h: now[h] for h in known}) or {}
            share = max(0.0, len(of_target) - kept) / max(len(known), 1)
            self.weights |= {name: share * weight for name, weight in found.items()}
        self._before = now

    def state_dict(self) -> dict[str, Any]:
        """The weights, and the losses at the last look."""
        before = {name: list(losses) for name, losses in self._before.items()}
        return {"epoch": self.epoch, "weights": dict(self.weights), "before": before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`."""
        self.epoch, self.weights = state["epoch"], dict(state["weights"])
        self._before = {name: Losses(*losses) for name, losses in state["before"].items()}


def blended(before: Mapping[str, Losses], now: Mapping[str, Losses]) -> dict[str, float] | None:
    """The weights of the heads of a target, which add up to their number; None where no head generalised.

    >>> now = {"a": Losses(1.0, 1.5), "b": Losses(1.0, 1.2)}
    >>> {name: round(w, 3) for name, w in blended(dict.fromkeys("ab", Losses(2.0, 2.0)), now).items()}
    {'a': 0.182, 'b': 1.818}
    """
    worth = {}
    for name, then in before.items():
        gain = max(0.0, then.validation - now[name].validation)
        overfitting = (now[name].validation - now[name].train) - (then.validation - then.train)
        worth[name] = gain / max(overfitting**2, SMALLEST)
    total = sum(worth.values())
    return {name: len(worth) * value / total for name, value in worth.items()} if total > 0 else None

"""The mean of each term of the loss over the samples of an epoch."""

import torch
from accelerate import Accelerator
from torch import Tensor

from mrpnkit.balancing.floats import exact
from mrpnkit.objective import Loss

WAITING = 64
"""Steps whose terms are gathered before they are added up: a step then costs one small operation."""


class TermMeans:
    """Adds up the terms of an epoch's steps, each as often as samples count in it.

    A sample counts in a term that it has a label for and, for a branch, the modality. So the mean of an epoch is that
    over its samples, however they are spread over batches and processes.

    Attributes:
        names: of the terms, ``target/head``, in their order.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._sums: Tensor | None = None
        self._waiting: list[Tensor] = []

    def add(self, loss: Loss) -> None:
        """Counts a step in."""
        self.names = list(loss.terms)
        self._waiting.append(torch.stack([*loss.terms.values(), *loss.counts.values()]).detach())
        if len(self._waiting) >= WAITING:
            self._add_up()

    @property
    def sums(self) -> Tensor | None:
        """(2, terms) in float64 on the CPU, of losses and of samples, in this process; None before the first step."""
        self._add_up()
        return self._sums

    @sums.setter
    def sums(self, sums: Tensor | None) -> None:
        self._sums, self._waiting = sums, []

    def over(self, accelerator: Accelerator, device: torch.device) -> dict[str, float]:
        """The mean of each term over the samples of all processes, on the training's device; NaN where none counted."""
        sums = self.sums
        assert sums is not None
        whole: Tensor = accelerator.reduce(sums.to(device, exact(device)), reduction="sum")
        return dict(zip(self.names, (whole[0] / whole[1]).tolist(), strict=True))

    def _add_up(self) -> None:
        """Step by step, so that the sums do not depend on when they are asked for."""
        if not self._waiting:
            return
        for step in torch.stack(self._waiting).cpu().double().view(len(self._waiting), 2, -1):
            step[0].mul_(step[1])
            self._sums = step.clone() if self._sums is None else self._sums.add_(step)
        self._waiting = []

"""The mean of each term of the loss over the samples of an epoch."""

import torch
from accelerate import Accelerator
from torch import Tensor

from mrpnkit.balancing.floats import exact
from mrpnkit.objective import Loss


class TermMeans:
    """Adds up the terms of an epoch's steps, each as often as samples count in it.

    A sample counts in a term that it has a label for and, for a branch, the modality. So the mean of an epoch is that
    over its samples, however they are spread over batches and processes.

    Attributes:
        names: of the terms, ``target/head``, in their order.
        sums: (2, terms), of losses and of samples, in this process; None before the first step.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None

    def add(self, loss: Loss) -> None:
        """Counts a step in."""
        self.names = list(loss.terms)
        losses, counts = (torch.stack(list(part.values())).detach() for part in (loss.terms, loss.counts))
        losses = losses.to(exact(losses.device))
        step = torch.stack([losses * counts, counts.to(losses)])
        self.sums = step if self.sums is None else self.sums.add_(step)

    def over(self, accelerator: Accelerator) -> dict[str, float]:
        """The mean of each term over the samples of all processes; NaN where none counted."""
        assert self.sums is not None
        whole: Tensor = accelerator.reduce(self.sums, reduction="sum")
        return dict(zip(self.names, (whole[0] / whole[1]).tolist(), strict=True))

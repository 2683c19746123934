"""A training that ends from outside, for tests of what goes on after it."""

from mrpnkit.data import Batch
from mrpnkit.train import Trainer


class Killed(Exception):
    """What ends a training from outside."""


class Fragile(Trainer):
    """Dies in its n-th step, after the weights have changed."""

    dies_in: int | None = None

    def _step(self, batch: Batch) -> None:
        super()._step(batch)
        if self.progress.step == self.dies_in:
            raise Killed

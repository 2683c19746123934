"""Augmentation in time and of steps: what is drawn anew each time a training sample is read.

A *window* decides which steps of a modality are read at all, a *change* alters the steps that were read, *pairing*
takes a modality from another sample, and *modality dropout* leaves modalities out. Everything is drawn from the
generator, or by the numbers, that are passed, so that a sample's augmentation depends on the seed, the epoch and the
sample alone.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.data.corpus import Window
from mrpnkit.errors import InputError


class Change(Protocol):
    """Alters the steps of one sample: (T, ...) → (T', ...), with randomness from ``generator`` only."""

    def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
        """The changed steps; the given ones are this function's own."""


class Slicing(Protocol):
    """Decides which steps of a sample are read, from its length and with randomness from ``generator`` only."""

    def draw(self, length: int, generator: np.random.Generator) -> Window:
        """First step and the step after the last, within a sample of ``length`` steps."""


class FirstStep:
    """The first step alone, such as the unchanged one of several versions of a sample."""

    def draw(self, length: int, generator: np.random.Generator) -> Window:
        """(0, 1), or nothing where there is nothing."""
        return 0, min(1, length)


class RandomStep:
    """One step, drawn evenly, such as one of several versions of a sample."""

    def draw(self, length: int, generator: np.random.Generator) -> Window:
        """A window of one step, or nothing where there is nothing."""
        if length == 0:
            return 0, 0
        place = int(generator.integers(length))
        return place, place + 1


class RandomSlice:
    """A random slice of a sample, of at least ``seconds`` (section 3.3, items 2 and 4 of the paper).

    The length is drawn evenly between the least and the whole, the start evenly among those that fit; a sample that
    is no longer than the least is taken whole.

    Args:
        seconds: the least duration; the paper's is 1.
        rate: steps a second of the modality.
        share: probability that a sample is sliced at all.
    """

    def __init__(self, seconds: float, rate: float, *, share: float = 1.0) -> None:
        if not (seconds > 0 and rate > 0 and 0 <= share <= 1):
            raise InputError(
                f"RandomSlice: seconds {seconds} and rate {rate} must be above 0, share {share} within 0 to 1."
            )
        self.least = max(1, round(seconds * rate))
        self.share = share

    def draw(self, length: int, generator: np.random.Generator) -> Window:
        """First step and the step after the last, within a sample of ``length`` steps."""
        if length <= self.least or (self.share < 1 and generator.random() >= self.share):
            return 0, length
        size = int(generator.integers(self.least, length, endpoint=True))
        start = int(generator.integers(0, length - size, endpoint=True))
        return start, start + size


class ClassPairing:
    """Takes every modality but the first from another sample with the same label (section 1.4, item 2 of the paper).

    Args:
        labels: label of each candidate; one without a label (−1) is paired with nobody.
        rows: corpus row of each candidate; give those of the training part only, so that nothing crosses a split.
        share: probability that a modality is taken from another sample.
    """

    def __init__(self, labels: NDArray[np.int64], rows: NDArray[np.int64], *, share: float = 1.0) -> None:
        if len(labels) != len(rows) or not 0 <= share <= 1:
            raise InputError(f"ClassPairing: {len(labels)} labels for {len(rows)} rows, share {share}.")
        self.share = share
        self._label_of = dict(zip(rows.tolist(), labels.tolist(), strict=True))
        self._rows_of = {label: rows[labels == label] for label in sorted(set(labels.tolist()))}

    def draw(self, row: int, generator: np.random.Generator) -> int:
        """The row that the modality is taken from; ``row`` itself with probability 1 − share."""
        if row not in self._label_of:
            raise InputError(f"ClassPairing: row {row} is none of the candidates; pair within the training part only.")
        label = self._label_of[row]
        if generator.random() >= self.share or label < 0:
            return row
        return int(generator.choice(self._rows_of[label]))


class ModalityDropout:
    """Leaves out modalities of a sample, so that a network learns to do without them (ModDrop of Neverova et al. 2016).

    Each modality that the sample has is left out with its own probability. Never all of them: where that would happen,
    one of them, drawn evenly, stays. A sample that has a single modality keeps it. So with N modalities and the
    probability p for each, one is left out with probability p − pᴺ / N.

    Source: Neverova, Wolf, Taylor and Nebout, "ModDrop: adaptive multi-modal gesture recognition", IEEE TPAMI 38,
    2016, arXiv:1501.00102.

    Args:
        rates: the probability of each modality by name, from 0 up to but not including 1; those not named stay.

    Raises:
        InputError: a rate out of range.

    >>> drop = ModalityDropout({"audio": 0.9, "video": 0.9})
    >>> everybody = np.ones(3, dtype=bool)
    >>> drop.draw({"audio": everybody, "video": everybody}, chances=drop.chances(0, samples=3, modalities=2))["video"]
    array([ True, False, False])
    """

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)
        for name, rate in self.rates.items():
            if not 0 <= rate < 1:
                raise InputError(f"ModalityDropout: the rate of {name!r} is {rate}; expected 0 or more and below 1.")

    def draw(
        self, present: Mapping[str, NDArray[np.bool_]], *, chances: NDArray[np.float64]
    ) -> dict[str, NDArray[np.bool_]]:
        """Which modalities of n samples are left out: (n,) for each modality, True where it is.

        Args:
            present: for each modality (n,), True where the sample has it.
            chances: (n, N + 1), drawn evenly from 0 to 1: a number for each modality, and one for which would stay.
        """
        here = np.stack(list(present.values()), axis=1)
        out = here & (chances[:, :-1] < [self.rates.get(name, 0.0) for name in present])
        count = here.sum(axis=1)
        nothing = out.any(axis=1) & (out.sum(axis=1) == count)
        stays = (chances[:, -1] * count).astype(np.int64)
        out &= ~(nothing[:, None] & (here.cumsum(axis=1) - 1 == stays[:, None]))
        return dict(zip(present, out.T, strict=True))

    @staticmethod
    def chances(seed: int | Sequence[int], *, samples: int, modalities: int) -> NDArray[np.float64]:
        """What :meth:`draw` draws by, (samples, modalities + 1); a row is the same whatever the number of samples."""
        return np.random.default_rng(seed).random((samples, modalities + 1))

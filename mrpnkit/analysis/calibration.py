"""Whether a head is as often right as it says: reliability, and the expected calibration error."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.errors import InputError


class Bin(NamedTuple):
    """The samples whose confidence lies in (low, high]: how many, its mean, and the share that is right."""

    low: float
    high: float
    samples: int
    confidence: float
    accuracy: float


class Calibration(NamedTuple):
    """Of one head: ``ece`` and ``mce`` in probability, ``brier`` from 0 to 2, ``nll`` in nats a sample.

    ``bins`` that hold nothing are left out.
    """

    samples: int
    ece: float
    mce: float
    brier: float
    nll: float
    bins: list[Bin]

    def by_chance(self) -> float:
        """About the ECE that a head which is as sure as it should be shows on so many samples.

        In a bin of n samples with mean confidence c, the share that is right then has about a normal distribution
        around c with variance c (1 − c) / n, and its mean distance from c is √(2 / π) of the standard deviation.
        """
        spread = sum(math.sqrt(one.samples * one.confidence * (1 - one.confidence)) for one in self.bins)
        return math.sqrt(2 / math.pi) * spread / self.samples if self.samples else math.nan


def calibration(outcomes: Outcomes, head: str, *, bins: int = 15) -> Calibration:
    """Reliability of a head in bins of equal width (Guo et al. 2017, arXiv:1706.04599).

    Its confidence is the probability that it gives to the class that it decides for: the highest, or of an ordinal
    target that of the median.

    ECE is the mean distance between confidence and accuracy over the bins, weighted by their samples; MCE the largest.
    The Brier score is the mean squared distance of the probabilities from the truth, summed over classes.

    Raises:
        InputError: fewer than one bin.

    >>> calibration(Outcomes.of({"fused": np.array([[0.8, 0.2]] * 5)}, [0, 0, 0, 0, 1]), "fused").ece
    0.0
    """
    if bins < 1:
        raise InputError(f"calibration: {bins} bins; expected one or more.")
    judged = outcomes.judged(head)
    p, labels = outcomes.probabilities[head][judged], outcomes.labels[judged]
    if not len(labels):
        return Calibration(0, float("nan"), float("nan"), float("nan"), float("nan"), [])
    confidence = outcomes.confidence(head)[judged]
    right = outcomes.right(head)[judged].astype(np.float64)
    place = np.clip(np.ceil(np.round(confidence * bins, 9)).astype(np.int64) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        if inside.any():
            found.append(
                Bin(
                    number / bins,
                    (number + 1) / bins,
                    int(inside.sum()),
                    float(confidence[inside].mean()),
                    float(right[inside].mean()),
                )
            )
    gaps = [abs(one.accuracy - one.confidence) for one in found]
    truth = np.zeros_like(p)
    truth[np.arange(len(labels)), labels] = 1.0
    return Calibration(
        len(labels),
        float(round(sum(gap * one.samples for gap, one in zip(gaps, found, strict=True)) / len(labels), 12)),
        float(max(gaps)),
        float(((p - truth) ** 2).sum(axis=1).mean()),
        float(-np.log(np.maximum(p[np.arange(len(labels)), labels], 1e-12)).mean()),
        found,
    )


class Agreement(NamedTuple):
    """Two heads on the samples that both judged.

    ``kappa`` is Cohen's: agreement beyond what their frequencies of classes would give by chance. ``both_right``,
    ``only_first``, ``only_second`` and ``both_wrong`` are shares that add up to 1.
    """

    first: str
    second: str
    samples: int
    agree: float
    kappa: float
    both_right: float
    only_first: float
    only_second: float
    both_wrong: float


def agreement(outcomes: Outcomes) -> list[Agreement]:
    """Every pair of heads; kappa is NaN where both always say the same one class."""
    heads, found = outcomes.heads, []
    for place, first in enumerate(heads):
        for second in heads[place + 1 :]:
            both = outcomes.judged(first) & outcomes.judged(second)
            if both.any():
                found.append(_pair(outcomes, first, second, both))
    return found


def _pair(outcomes: Outcomes, first: str, second: str, both: NDArray[np.bool_]) -> Agreement:
    a, b = outcomes.decided(first)[both], outcomes.decided(second)[both]
    right_a, right_b = outcomes.right(first)[both], outcomes.right(second)[both]
    size = len(outcomes.classes)
    agree = float((a == b).mean())
    chance = float(np.bincount(a, minlength=size) @ np.bincount(b, minlength=size)) / len(a) ** 2
    return Agreement(
        first,
        second,
        len(a),
        agree,
        (agree - chance) / (1 - chance) if chance < 1 else float("nan"),
        float((right_a & right_b).mean()),
        float((right_a & ~right_b).mean()),
        float((~right_a & right_b).mean()),
        float((~right_a & ~right_b).mean()),
    )

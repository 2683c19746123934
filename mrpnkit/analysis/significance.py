"""Whether a difference is more than chance: exact McNemar tests, many of them at once, and bootstrap intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import InputError


class Interval(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


def mcnemar(first_only: int, second_only: int) -> float:
    """The p value of McNemar's exact test, two-sided: could two classifiers on the same samples be equally good?

    Where both are right or both are wrong nothing is learned. Of the m samples that only one gets right, each is as
    likely the first's as the second's if they are equally good, so that their number follows Binomial(m, ½)
    (McNemar 1947, in its exact form). 1 where m is 0.

    >>> round(mcnemar(1, 9), 4)
    0.0215
    """
    if first_only < 0 or second_only < 0:
        raise InputError(f"mcnemar: counts must be 0 or more, got {first_only} and {second_only}.")
    count, least = first_only + second_only, min(first_only, second_only)
    tail = sum(math.exp(_log_choose(count, k) - count * math.log(2)) for k in range(least + 1))
    return min(1.0, 2 * tail)


def holm(probabilities: Sequence[float]) -> list[float]:
    """p values adjusted for having made several tests at once (Holm 1979), in the order given.

    A threshold of 0.05 on them keeps the probability of even one false finding below 0.05, whatever the dependence
    between the tests.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    adjusted, highest = [0.0] * len(order), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * probabilities[place]))
        adjusted[place] = highest
    return adjusted


def bootstrap(
    values: NDArray[np.float64],
    clusters: NDArray[Any] | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of values and its percentile interval by the bootstrap.

    Samples of one person resemble each other; where ``clusters`` says who belongs together, whole clusters are drawn
    (with replacement), so that the interval is that of other people and not of other clips of the same ones. With
    fewer than five clusters that tells too little, and samples are drawn.

    Args:
        values: (n,), such as right − right of two heads.
        clusters: (n,) which cluster each value belongs to.
        confidence: of the interval.
        draws: how many times.
        seed: of the draws; the same input gives the same interval.

    Raises:
        InputError: no values.
    """
    if not len(values):
        raise InputError("bootstrap was given no values; expected one or more.")
    if clusters is None or len(np.unique(clusters)) < 5:
        sums, counts = np.asarray(values, dtype=np.float64), np.ones(len(values))
    else:
        _, place = np.unique(clusters, return_inverse=True)
        sums = np.asarray(np.bincount(place, weights=values), dtype=np.float64)
        counts = np.bincount(place).astype(np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    block = max(1, 2_000_000 // len(sums))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        chosen = generator.integers(0, len(sums), size=(size, len(sums)))
        means[start : start + size] = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

"""Paired differences over folds, with an interval by Student's t.

A value that is not finite was not measured, such as a modality's accuracy where nobody has the modality: its fold is
left out, and how many are left is said.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from mrpnkit.errors import InputError

FEW_FOLDS = 5
"""What is established over fewer folds than these is said to be so."""
ROUNDING = 1e-12
"""Of the largest value: a spread that is no larger comes from rounding."""


class Difference(NamedTuple):
    """Mean of paired differences, with the ends of its interval; NaN and no bounds where there was no pair."""

    mean: float
    low: float
    high: float

    @property
    def established(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def paired_difference(first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95) -> Difference:
    """Mean of first − second over pairs and its interval by Student's t; the interval of one pair is unbounded.

    The t test takes pairs as independent, which folds that share training samples are not quite: read the interval
    as the least that is uncertain. Pairs of which one value is not finite do not count; where none is left, the mean
    is NaN and the interval unbounded. Differences that are all equal, but not 0, have no spread to reckon with, which
    is no certainty: the sign test decides. Its p is 2 · ½ⁿ, so that below six pairs the 95 % interval is unbounded;
    from there on it is the mean alone.

    Raises:
        InputError: no pairs.

    >>> paired_difference([2, 4, 6], [1, 2, 3]).mean
    2.0
    """
    if not len(first) and not len(second):
        raise InputError("paired_difference was given no pairs; expected one or more.")
    gains = gains_of(first, second)
    mean = mean_of_known(gains)
    equal = len(gains) > 1 and without_spread(gains)
    if len(gains) < 2 or (equal and any(gains) and sign_test(len(gains)) > 1 - confidence):
        return Difference(mean, -math.inf, math.inf)
    if equal:
        return Difference(mean, mean, mean)
    reach = t_quantile((1 + confidence) / 2, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
    return Difference(mean, mean - reach, mean + reach)


def gains_of(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """first − second of those pairs of which both are finite.

    >>> gains_of([2, math.nan, 6], [1, 2, 3])
    [1.0, 3.0]
    """
    pairs = zip(first, second, strict=True)
    return [float(a - b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def without_spread(values: Sequence[float]) -> bool:
    """Whether two values or more are equal but for rounding.

    >>> without_spread([0.5 - 0.25, 0.7 - 0.45]), without_spread([0.25, 0.26])
    (True, False)
    """
    return statistics.stdev(values) <= ROUNDING * max(map(abs, values))


def sign_test(count: int) -> float:
    """The p value, two-sided, of so many differences that all have one sign: 2 · ½ⁿ, 1 at most."""
    return min(1.0, 2 * 0.5**count)


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of the values that are finite; NaN where there is none."""
    known = [value for value in values if math.isfinite(value)]
    return statistics.fmean(known) if known else math.nan


def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with ``freedom`` degrees stays below with that probability, from 0.5 up to below 1.

    Solved by bisection from the finite sums that give the distribution for whole degrees of freedom (Abramowitz and
    Stegun, 26.7.3 and 26.7.4), written in θ = arctan(t / √ν).
    """
    if not 0.5 <= probability < 1 or freedom < 1:
        raise InputError(f"t_quantile: probability {probability} must lie in [0.5, 1), freedom {freedom} be 1 or more.")
    low, high = 0.0, math.pi / 2
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if _within(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def t_probability(value: float, freedom: int) -> float:
    """The probability that Student's t with ``freedom`` degrees lies beyond ±``value``: the p of a two-sided test.

    NaN where ``value`` is NaN.

    >>> round(t_probability(2.228, 10), 3)
    0.05
    """
    if freedom < 1 or value < 0:
        raise InputError(f"t_probability: value {value} must be 0 or more, freedom {freedom} 1 or more.")
    if math.isnan(value):
        return math.nan
    return max(0.0, 1.0 - _within(math.atan(value / math.sqrt(freedom)), freedom))


def _within(theta: float, freedom: int) -> float:
    """P(|T| ≤ √ν tan θ)."""
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for power in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (power - 1) / power
    return 2 / math.pi * (theta + sine * total) if odd else sine * total

"""Whether a difference is more than chance: tests with one side or two, many of them at once, and intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.analysis.differences import ROUNDING, sign_test, t_probability, t_quantile, without_spread
from mrpnkit.errors import InputError

FEWEST = 5
"""From so many clusters on, whole clusters are drawn or tested; fewer tell too little of how clusters differ."""

MANY = 20
"""From so many clusters on, percentiles of drawn ones make an interval; of fewer, Student's t does."""


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


def holm_of_candidates(probabilities: Sequence[float], *, above: float = 0.5) -> list[float]:
    """p values of one-sided tests adjusted together, where most hypotheses may be far from being refuted.

    Tests whose p is above the bound are no candidates (their adjusted p is 1); the others' p is divided by the bound,
    as it must be for having passed it, and adjusted among themselves by :func:`holm` (Zhao, Small and Su 2019). So a
    hundred places where nothing is amiss do not hide one where something is. It rests on one-sided p values that are,
    given that they are below the bound, no smaller than chance makes them, as those of Student's t test are, and on
    tests that are independent or nearly so.

    >>> holm_of_candidates([0.01, 0.3, 0.9, 1.0, 1.0, 0.7])
    [0.04, 0.6, 1.0, 1.0, 1.0, 1.0]
    """
    chosen = [place for place, p in enumerate(probabilities) if p <= above]
    adjusted = [1.0] * len(probabilities)
    for place, p in zip(chosen, holm([probabilities[place] / above for place in chosen]), strict=True):
        adjusted[place] = p
    return adjusted


def several(clusters: NDArray[Any]) -> bool:
    """Whether there are five clusters or more, so that they and not samples are drawn or tested."""
    return len(np.unique(clusters)) >= FEWEST


def bootstrap(
    values: NDArray[np.float64],
    clusters: NDArray[Any] | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of values and its interval: a percentile interval by the bootstrap, of few clusters one by Student's t.

    Samples of one person resemble each other; where ``clusters`` says who belongs together, whole clusters are drawn
    (with replacement), so that the interval is that of other people and not of other clips of the same ones. Drawn from
    few clusters, percentile intervals are too narrow: of five they hold the truth in 80 % and not in 95 %. Of five to
    nineteen clusters the interval is therefore that of Student's t, as in :func:`cluster_t_test`.
    Fewer than five tell too little, as do clusters without any spread: samples are drawn.

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
    sums, counts = np.asarray(values, dtype=np.float64), np.ones(len(values))
    if clusters is not None:
        grouped, sizes = _sums(values, clusters)
        mean, error = _over_clusters(grouped, sizes) if len(grouped) >= FEWEST else (0.0, 0.0)
        if error > 0 and len(grouped) < MANY:
            reach = t_quantile((1 + confidence) / 2, len(grouped) - 1) * error
            return Interval(mean, mean - reach, mean + reach)
        if error > 0:
            sums, counts = grouped, sizes
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    block = max(1, 2_000_000 // len(sums))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        chosen = generator.integers(0, len(sums), size=(size, len(sums)))
        means[start : start + size] = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def _over_clusters(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of values, and its standard error over whole clusters: 0 where they differ by rounding alone."""
    number, mean = len(sums), float(sums.sum() / counts.sum())
    off = sums - mean * counts
    if float(np.abs(off).max()) <= ROUNDING * float(np.abs(sums).max()):
        return mean, 0.0
    return mean, math.sqrt(number / (number - 1) * float((off**2).sum())) / float(counts.sum())


def cluster_t_test(values: NDArray[np.float64], clusters: NDArray[Any]) -> float:
    """The p value, two-sided: could the expectation of values be 0, whole clusters being what was drawn?

    The mean is the ratio Σ s_c / Σ n_c of the sums and the sizes of G clusters. Its variance, linearised, is
    G / (G − 1) · Σ (s_c − mean · n_c)² / (Σ n_c)² (Cochran 1977, chapter 6); the mean over its root follows Student's t
    with G − 1 degrees of freedom. Of clusters of one size this is the t test of their means. Where clusters have no
    spread, p is that of the sign test.

    Raises:
        InputError: fewer than two clusters.

    >>> people = np.repeat(np.arange(5), 4)
    >>> cluster_t_test(np.where(people == 0, -1.0, 1.0), people) > 0.05 > cluster_t_test(1.0 + people, people)
    True
    """
    sums, counts = _sums(values, clusters)
    if len(sums) < 2:
        raise InputError("cluster_t_test was given fewer than two clusters; test their samples instead.")
    mean, error = _over_clusters(sums, counts)
    if error == 0:
        return sign_test(len(sums)) if mean else 1.0
    return t_probability(abs(mean) / error, len(sums) - 1)


def below_zero(values: NDArray[np.float64], clusters: NDArray[Any] | None = None, *, most: float) -> float:
    """The p value of a one-sided test: could the expectation of values that are ``most`` at most be 0 or more?

    A test by betting, which needs neither a normal distribution nor many samples: somebody stakes a share s of the
    fortune on every sample's being below 0, so that it becomes Π (1 − s · value / most). If the expectation is 0 or
    more, no s makes it grow on average, and neither does the mean over several s; by Markov's inequality one over it is
    a p value (Waudby-Smith and Ramdas 2024). Where ``clusters`` names five clusters or more, Student's t test over
    their means has to agree: the larger p counts, since samples of one cluster are alike by nature, and few clusters
    can be so by accident.

    Raises:
        InputError: no values, or a value above ``most``.

    >>> below_zero(np.full(60, -0.3), most=1.0) < 1e-4 < 0.9 < below_zero(np.full(60, 0.1), most=1.0)
    True
    """
    if not len(values) or not most > 0 or float(np.max(values)) > most * (1 + 1e-9):
        raise InputError(f"below_zero: {len(values)} values; expected one or more, none above most = {most}.")
    shares = np.append(np.arange(1, 10) / 10, 0.99)
    fortunes = np.array([np.log1p(-np.minimum(share * values / most, share)).sum() for share in shares])
    highest = float(fortunes.max())
    log_p = -(highest + math.log(np.exp(fortunes - highest).mean()))
    betting = 1.0 if log_p >= 0 else math.exp(log_p)
    if clusters is None or not several(clusters):
        return betting
    return max(betting, _student_below_zero(_cluster_means(values, clusters)))


def sign_flip(
    values: NDArray[np.float64], clusters: NDArray[Any] | None = None, *, draws: int = 20_000, seed: int = 0
) -> float:
    """The p value of a one-sided paired test: could differences be as far below 0 if their signs were chance?

    If two heads are equally good, each difference of theirs is as likely with the other sign; p is the share of random
    signs (these among them) that give a sum as low. Where ``clusters`` names five clusters or more, Student's t test
    over their means instead.

    Raises:
        InputError: no values.

    >>> sign_flip(np.array([-1.0, -2.0, 1.5, -0.5])) > 0.05 > sign_flip(np.full(12, -1.0))
    True
    """
    if not len(values):
        raise InputError("sign_flip was given no values; expected one or more.")
    if clusters is not None and several(clusters):
        return _student_below_zero(_cluster_means(values, clusters))
    generator, sum_ = np.random.default_rng(seed), float(values.sum())
    lower, block = 0, max(1, 1_000_000 // len(values))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        signs = 2.0 * generator.integers(0, 2, size=(size, len(values)), dtype=np.int8) - 1.0
        lower += int((signs @ values <= sum_ + 1e-12).sum())
    return (1 + lower) / (1 + draws)


def _sums(values: NDArray[np.float64], clusters: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum and the number of the values of each cluster."""
    _, place = np.unique(clusters, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values), dtype=np.float64), np.bincount(place).astype(np.float64)


def _cluster_means(values: NDArray[np.float64], clusters: NDArray[Any]) -> NDArray[np.float64]:
    sums, counts = _sums(values, clusters)
    return sums / counts


def _student_below_zero(means: NDArray[np.float64]) -> float:
    mean = float(means.mean())
    if without_spread(means.tolist()):  # as of heads that are sure: the sign test
        return 1.0 if mean >= 0 else 0.5 ** len(means)
    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    tail = t_probability(abs(mean) / error, len(means) - 1) / 2
    return tail if mean < 0 else 1 - tail


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

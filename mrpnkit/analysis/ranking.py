"""A ranking that says which of its differences are not established."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mrpnkit.analysis.differences import Difference, paired_difference, t_probability
from mrpnkit.analysis.significance import holm
from mrpnkit.errors import InputError


class Rank(NamedTuple):
    """A variant in the ranking.

    ``behind`` is the first one's value less its own, paired over folds, with a 95 % interval (the other way round
    where less is better); ``adjusted`` the p value of a paired t test, adjusted for all comparisons with the first
    (Holm). The first has neither.
    """

    place: int
    name: str
    mean: float
    spread: float | None
    behind: Difference | None
    adjusted: float | None

    @property
    def established(self) -> bool:
        """Whether it is behind the first by more than chance."""
        return self.adjusted is not None and self.adjusted < 0.05

    def plain(self) -> dict[str, Any]:
        """As plain data for a table."""
        verdict = "first" if self.behind is None else "behind" if self.established else "not established"
        low, high = (None, None) if self.behind is None else (self.behind.low, self.behind.high)
        return {
            "place": self.place,
            "variant": self.name,
            "mean": self.mean,
            "sd": self.spread,
            "behind the first": None if self.behind is None else self.behind.mean,
            "low": low if low is not None and math.isfinite(low) else None,
            "high": high if high is not None and math.isfinite(high) else None,
            "p adjusted": self.adjusted,
            "verdict": verdict,
        }


def ranking(values: Mapping[str, Sequence[float]], *, less_is_better: bool = False) -> list[Rank]:
    """Variants by their mean over folds, the best first, each compared with the first on the same folds.

    The first was chosen by looking, so that the comparisons are a little too eager to call others worse; the interval
    of a difference that was asked for before is :func:`~mrpnkit.analysis.paired_difference`.

    Args:
        values: by variant, one value a fold.
        less_is_better: as for a loss.

    Raises:
        InputError: nothing to rank, or variants with different numbers of folds.

    >>> [rank.name for rank in ranking({"n0": [0.5, 0.6, 0.5], "n1": [0.7, 0.7, 0.6]})]
    ['n1', 'n0']
    """
    if not values or len({len(one) for one in values.values()}) != 1 or not len(next(iter(values.values()))):
        raise InputError("ranking needs one variant or more, each with the same number of folds.")
    sign = -1.0 if less_is_better else 1.0
    order = sorted(values, key=lambda name: -sign * statistics.fmean(values[name]))
    best = values[order[0]]
    behind = {name: paired_difference([sign * v for v in best], [sign * v for v in values[name]]) for name in order[1:]}
    adjusted = holm([p_of(best, values[name]) for name in order[1:]])
    p = dict(zip(order[1:], adjusted, strict=True))
    return [
        Rank(
            place,
            name,
            statistics.fmean(values[name]),
            statistics.stdev(values[name]) if len(values[name]) > 1 else None,
            behind.get(name),
            p.get(name),
        )
        for place, name in enumerate(order, start=1)
    ]


def p_of(first: Sequence[float], second: Sequence[float]) -> float:
    """The p value of a paired t test, two-sided; 1 for one pair or where all differences are 0."""
    gains = [a - b for a, b in zip(first, second, strict=True)]
    if len(gains) < 2:
        return 1.0
    spread = statistics.stdev(gains)
    if spread == 0.0:
        return 1.0 if not any(gains) else 0.0
    return t_probability(abs(statistics.fmean(gains)) / spread * len(gains) ** 0.5, len(gains) - 1)

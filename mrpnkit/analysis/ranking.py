"""A ranking that says which of its differences are not established, and of how many folds they are."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mrpnkit.analysis.differences import (
    Difference,
    gains_of,
    mean_of_known,
    paired_difference,
    sign_test,
    t_probability,
    without_spread,
)
from mrpnkit.analysis.significance import holm
from mrpnkit.errors import InputError


class Rank(NamedTuple):
    """A variant in the ranking.

    ``mean`` and ``spread`` are over the ``folds`` in which it has a finite value; NaN and None where there is none.
    ``behind`` is the first one's value less its own, with a 95 % interval (the other way round where less is better),
    over the ``paired`` folds in which both are finite; ``adjusted`` the p value of a paired t test, adjusted for all
    comparisons with the first (Holm), and None where no fold is shared. The first has none of the three, and neither
    has a variant without a value.
    """

    place: int
    name: str
    mean: float
    spread: float | None
    folds: int
    behind: Difference | None
    paired: int | None
    adjusted: float | None

    @property
    def established(self) -> bool:
        """Whether it is behind the first by more than chance, on the folds that both have."""
        return self.behind is not None and self.behind.mean > 0 and self.adjusted is not None and self.adjusted < 0.05

    @property
    def verdict(self) -> str:
        """``first``, ``behind``, ``not established``, or ``not measured`` where no fold has a value."""
        if not self.folds:
            return "not measured"
        return "first" if self.behind is None else "behind" if self.established else "not established"

    def plain(self) -> dict[str, Any]:
        """As plain data for a table; None for what there is not."""
        behind, low, high = (math.nan,) * 3 if self.behind is None else self.behind
        return {
            "place": self.place,
            "variant": self.name,
            "mean": _or_none(self.mean),
            "sd": self.spread,
            "folds": self.folds,
            "behind the first": _or_none(behind),
            "low": _or_none(low),
            "high": _or_none(high),
            "paired folds": self.paired,
            "p adjusted": self.adjusted,
            "verdict": self.verdict,
        }


def ranking(values: Mapping[str, Sequence[float]], *, less_is_better: bool = False) -> list[Rank]:
    """Variants by their mean over folds, the best first, each compared with the first on the same folds.

    The first was chosen by looking, so that the comparisons are a little too eager to call others worse; the interval
    of a difference that was asked for before is :func:`~mrpnkit.analysis.paired_difference`.

    A value that is not finite was not measured. A variant's mean is over the folds that it has, and its difference to
    the first over those that both have; one that has none comes last, as not measured.

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
    known = {name: [value for value in one if math.isfinite(value)] for name, one in values.items()}
    measured = [name for name in values if known[name]]
    measured.sort(key=lambda name: -sign * statistics.fmean(known[name]))
    gains, behind = {}, {}
    for name in measured[1:]:
        pair = [sign * v for v in values[measured[0]]], [sign * v for v in values[name]]
        gains[name], behind[name] = gains_of(*pair), paired_difference(*pair)
    tested = [name for name in gains if gains[name]]
    adjusted = dict(zip(tested, holm([p_of(gains[name]) for name in tested]), strict=True))
    return [
        Rank(
            place,
            name,
            mean_of_known(known[name]),
            statistics.stdev(known[name]) if len(known[name]) > 1 else None,
            len(known[name]),
            behind.get(name),
            len(gains[name]) if name in gains else None,
            adjusted.get(name),
        )
        for place, name in enumerate([*measured, *(name for name in values if not known[name])], start=1)
    ]


def p_of(gains: Sequence[float]) -> float:
    """The p value of a paired t test of differences, two-sided; 1 for one pair or where all differences are 0.

    Of differences that are all equal it is that of the sign test, as in
    :func:`~mrpnkit.analysis.paired_difference`.
    """
    if len(gains) < 2:
        return 1.0
    if without_spread(gains):
        return sign_test(len(gains)) if any(gains) else 1.0
    return t_probability(abs(statistics.fmean(gains)) / statistics.stdev(gains) * len(gains) ** 0.5, len(gains) - 1)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None

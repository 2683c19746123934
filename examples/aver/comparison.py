"""The comparison of networks over folds: what has been measured, its table and its figures."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table

from examples.aver.recipe import NETWORKS, TARGET
from mrpnkit.analysis import Difference, paired_difference
from mrpnkit.report import Figure

LABELS = {"am": "AM", "vm": "VM", "n0": "N0", "n1": "N1", "n2": "N2 (MRPN)"}
PAIRS = (("n1", "n0"), ("n2", "n0"), ("n2", "n1"))


class Comparison(NamedTuple):
    """Test accuracy by network and fold (a mean over seeds), folds in order."""

    folds: tuple[str, ...]
    accuracy: dict[str, list[float]]

    @classmethod
    def of(cls, results: Sequence[dict[str, Any]]) -> "Comparison":
        """Collects the results of jobs; every network must have every fold."""
        folds = tuple(dict.fromkeys(result["fold"] for result in results))
        accuracy = {}
        for network in (n for n in NETWORKS if any(result["network"] == n for result in results)):
            accuracy[network] = [
                statistics.fmean(
                    result["metrics"][f"{TARGET}/fused/accuracy"]
                    for result in results
                    if (result["network"], result["fold"]) == (network, fold)
                )
                for fold in folds
            ]
        return cls(folds, accuracy)

    def mean(self, network: str) -> float:
        """Mean accuracy over folds."""
        return statistics.fmean(self.accuracy[network])

    def difference(self, first: str, second: str) -> Difference:
        """Paired difference of two networks, first − second."""
        return paired_difference(self.accuracy[first], self.accuracy[second])

    @property
    def best(self) -> str:
        """The better of N1 and N2 by mean accuracy."""
        return max((n for n in ("n1", "n2") if n in self.accuracy), key=self.mean)

    @property
    def best_single(self) -> str:
        """The better of AM and VM by mean accuracy."""
        return max((n for n in ("am", "vm") if n in self.accuracy), key=self.mean)

    def folds_not_below_single(self) -> int:
        """On how many folds the better of N1 and N2 is not below the better of AM and VM."""
        singles = [max(pair) for pair in zip(self.accuracy["am"], self.accuracy["vm"], strict=True)]
        return sum(fused >= single for fused, single in zip(self.accuracy[self.best], singles, strict=True))

    def figures(self) -> dict[str, Figure]:
        """Means over folds as fractions, and what the better of N1 and N2 gains over N0."""
        figures = {network: Figure.mean(values, "fraction") for network, values in self.accuracy.items()}
        figures["best"] = figures[self.best]
        gains = [b - n for b, n in zip(self.accuracy[self.best], self.accuracy["n0"], strict=True)]
        figures["best_minus_n0"] = Figure.mean(gains, "fraction")
        figures["folds_not_below_single"] = Figure(self.folds_not_below_single(), f"of {len(self.folds)}")
        return figures

    def table(self, title: str) -> Table:
        """Accuracy in per cent: a row for each fold's test actors, a column a network; then mean and spread."""
        table = Table(title=f"{title}: accuracy in %", title_justify="left")
        table.add_column("test actors")
        for network in self.accuracy:
            table.add_column(LABELS[network], justify="right")
        for place, fold in enumerate(self.folds):
            cells = [f"{100 * values[place]:.1f}" for values in self.accuracy.values()]
            table.add_row(fold, *cells, end_section=place + 1 == len(self.folds))
        table.add_row("mean", *(f"{100 * self.mean(network):.1f}" for network in self.accuracy))
        if len(self.folds) > 1:
            spreads = (statistics.stdev(values) for values in self.accuracy.values())
            table.add_row("sd over folds", *(f"{100 * spread:.1f}" for spread in spreads))
        return table

    def differences(self) -> Table:
        """Paired differences in points, with 95 % intervals over folds."""
        table = Table(title="Paired differences over folds, in points", title_justify="left")
        for column in ("difference", "mean", "95 % interval", "established"):
            table.add_column(column, justify="left" if column == "difference" else "right")
        for first, second in self.pairs:
            mean, low, high = self.difference(first, second)
            established = "yes" if low > 0 or high < 0 else "no"
            unknown = "unknown: all equal" if len(self.folds) > 1 else "needs two folds"
            interval = f"{100 * low:+.1f} … {100 * high:+.1f}" if math.isfinite(low) else unknown
            table.add_row(f"{first.upper()} − {second.upper()}", f"{100 * mean:+.1f}", interval, established)
        return table

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The differences that are shown: between the networks, and of the better of N1 and N2 to the better single."""
        pairs = [pair for pair in PAIRS if set(pair) <= set(self.accuracy)]
        return [*pairs, (self.best, self.best_single)] if {"am", "vm"} & set(self.accuracy) else pairs

    def verdict(self) -> str:
        """In plain words: does fusion beat the better single modality?"""
        fused, single = self.best, self.best_single
        mean, low, _ = self.difference(fused, single)
        folds = f"on {self.folds_not_below_single()} of {len(self.folds)} folds it is not below the better of the two"
        clear = "the 95 % interval lies above zero" if low > 0 else "the 95 % interval includes zero"
        clear = clear if len(self.folds) > 1 else "one fold gives no interval"
        return (
            f"The better fusion is {LABELS[fused]}, {100 * self.mean(fused):.1f} %; the better single modality is "
            f"{LABELS[single]}, {100 * self.mean(single):.1f} %: {100 * mean:+.1f} points, {clear}; {folds}."
        )

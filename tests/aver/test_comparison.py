"""Means, intervals and tables of the comparison, against SciPy and worked by hand."""

import math
import re
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from examples.aver.comparison import Comparison
from mrpnkit.analysis import Difference, paired_difference
from mrpnkit.report import Figure

ACCURACY = {
    "am": [0.50, 0.70, 0.40],
    "vm": [0.60, 0.50, 0.45],
    "n0": [0.62, 0.66, 0.50],
    "n1": [0.70, 0.75, 0.44],
    "n2": [0.65, 0.72, 0.50],
}
FOLDS = ("1,2", "3,4", "5,6")


def results(accuracy: dict[str, list[float]] = ACCURACY, seeds: tuple[float, ...] = (0.0,)) -> list[dict[str, Any]]:
    """Results of jobs, fold by fold, the networks in no special order; ``seeds`` are added to the accuracy."""
    return [
        {"network": network, "fold": fold, "seed": seed, "metrics": {"emotion/fused/accuracy": values[place] + more}}
        for place, fold in enumerate(FOLDS)
        for network, values in reversed(accuracy.items())
        for seed, more in enumerate(seeds)
    ]


def shown(table: Any) -> list[list[str]]:
    """The lines of a table as cells."""
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        text = console.export_text()
    lines = [line for line in text.splitlines() if re.search(r"[│┃]", line)]
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines]


def test_collects_by_network_and_fold() -> None:
    comparison = Comparison.of(results())
    assert comparison.folds == FOLDS
    assert list(comparison.accuracy) == ["am", "vm", "n0", "n1", "n2"]
    assert comparison.accuracy == ACCURACY


def test_a_fold_is_the_mean_of_its_seeds() -> None:
    comparison = Comparison.of(results(seeds=(0.0, 0.03, -0.06)))
    for network, values in ACCURACY.items():
        assert comparison.accuracy[network] == pytest.approx(np.array(values) - 0.01)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=24), st.sampled_from([0.9, 0.95, 0.99])
)
def test_interval_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]], confidence: float) -> None:
    first, second = zip(*pairs, strict=True)
    gains = np.array(first) - np.array(second)
    found = paired_difference(first, second, confidence=confidence)
    assert found.mean == pytest.approx(gains.mean(), abs=1e-12)
    if gains.std() > 1e-6:
        one = stats.ttest_1samp(gains, 0).confidence_interval(confidence)
        two = stats.ttest_rel(first, second).confidence_interval(confidence)
        assert found[1:] == pytest.approx((one.low, one.high), rel=1e-6, abs=1e-9)
        assert found[1:] == pytest.approx((two.low, two.high), rel=1e-6, abs=1e-9)


def test_interval_worked_by_hand() -> None:
    # gains 1, 2, 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.302653
    assert paired_difference([2, 4, 6], [1, 2, 3]) == pytest.approx(
        (2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6
    )
    assert paired_difference([0.5], [0.25]) == Difference(0.25, -math.inf, math.inf)


def test_pairs_of_different_number() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0, 2.0], [1.0])


def test_best_and_figures() -> None:
    comparison = Comparison.of(results())
    assert comparison.best == "n1"
    assert comparison.mean("n1") == pytest.approx(0.63)
    # N1 is 0.70, 0.75, 0.44 and the better of the single ones 0.60, 0.70, 0.45.
    assert comparison.folds_not_below_single() == 2
    figures = comparison.figures()
    assert figures["best"] == figures["n1"]
    assert figures["n2"].value == pytest.approx(statistics.fmean(ACCURACY["n2"]))
    assert figures["n2"].spread == pytest.approx(statistics.stdev(ACCURACY["n2"]))
    assert (figures["n2"].unit, figures["n2"].n) == ("fraction", 3)
    assert figures["best_minus_n0"].value == pytest.approx((0.08 + 0.09 - 0.06) / 3)
    assert figures["best_minus_n0"].spread == pytest.approx(statistics.stdev([0.08, 0.09, -0.06]))
    assert figures["folds_not_below_single"] == Figure(2, "of 3")


def test_table_in_per_cent() -> None:
    comparison = Comparison.of(results())
    header, *rows = shown(comparison.table("title"))
    assert header == ["test actors", "AM", "VM", "N0", "N1", "N2 (MRPN)"]
    assert [row[0] for row in rows] == ["1,2", "3,4", "5,6", "mean", "sd over folds"]
    assert [row[1] for row in rows] == ["50.0", "70.0", "40.0", "53.3", "15.3"]
    assert [row[5] for row in rows] == ["65.0", "72.0", "50.0", "62.3", "11.2"]


def test_a_part_of_the_networks() -> None:
    comparison = Comparison.of(results({name: ACCURACY[name] for name in ("n0", "n2")}))
    assert comparison.best == "n2"
    assert shown(comparison.table("title"))[0] == ["test actors", "N0", "N2 (MRPN)"]
    assert [row[0] for row in shown(comparison.differences())] == ["difference", "N2 − N0"]


def test_differences_in_points() -> None:
    accuracy = {**ACCURACY, "n1": [0.70, 0.75, 0.57]}
    comparison = Comparison.of(results(accuracy))
    header, *rows = shown(comparison.differences())
    assert header == ["difference", "mean", "95 % interval", "established"]
    last = ("n1", comparison.best_single)
    assert [row[0] for row in rows] == ["N1 − N0", "N2 − N0", "N2 − N1", f"N1 − {last[1].upper()}"]
    for row, (first, second) in zip(rows, (("n1", "n0"), ("n2", "n0"), ("n2", "n1"), last), strict=True):
        test = stats.ttest_rel(accuracy[first], accuracy[second])
        low, high = test.confidence_interval(0.95)
        mean = 100 * (np.mean(accuracy[first]) - np.mean(accuracy[second]))
        assert row[1] == f"{mean:+.1f}"
        assert row[2] == f"{100 * low:+.1f} … {100 * high:+.1f}"
        assert row[3] == ("yes" if test.pvalue < 0.05 else "no")
    assert [row[3] for row in rows][:3] == ["yes", "no", "yes"]


def test_verdict_in_words() -> None:
    text = Comparison.of(results()).verdict()
    assert text.startswith("The better fusion is N1, 63.0 %; the better single modality is AM, 53.3 %: +9.7 points, ")
    assert text.endswith("on 2 of 3 folds it is not below the better of the two.")


def test_one_fold_has_no_interval() -> None:
    comparison = Comparison.of([result for result in results() if result["fold"] == "1,2"])
    assert {row[2] for row in shown(comparison.differences())[1:]} == {"needs two folds"}
    assert "one fold gives no interval" in comparison.verdict()

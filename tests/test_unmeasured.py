"""What was not measured in a fold, such as a modality that nobody there has, neither counts nor stops an ablation."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from mrpnkit.ablation import Ablation, run_ablation
from mrpnkit.analysis import Difference, paired_difference, ranking, t_probability
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus

NAN = math.nan


def test_the_p_value_of_nothing_is_nothing() -> None:
    assert math.isnan(t_probability(NAN, 3))


def test_pairs_are_those_of_which_both_are_finite() -> None:
    first, second = [0.5, NAN, 0.75, math.inf, 1.0], [0.25, 0.1, NAN, 0.1, 0.5]
    assert paired_difference(first, second) == paired_difference([0.5, 1.0], [0.25, 0.5])
    nothing = paired_difference([NAN, 0.5], [0.5, NAN])
    assert math.isnan(nothing.mean)
    assert nothing[1:] == (-math.inf, math.inf)
    assert not nothing.established
    assert not Difference(NAN, NAN, NAN).established


def test_a_ranking_counts_what_was_measured() -> None:
    generator = np.random.default_rng(0)
    folds = generator.normal(0, 0.05, 8)
    best, holed = 0.8 + folds, 0.6 + folds + generator.normal(0, 0.01, 8)
    holed[[2, 5]] = NAN
    values = {"never": [NAN] * 8, "holed": holed.tolist(), "best": best.tolist()}
    first, second, third = ranking(values)
    kept = [0, 1, 3, 4, 6, 7]
    assert [first.name, second.name, third.name] == ["best", "holed", "never"]
    assert (first.folds, second.folds, second.paired, third.folds, third.paired) == (8, 6, 6, 0, None)
    assert second.mean == pytest.approx(holed[kept].mean())
    assert second.spread == pytest.approx(holed[kept].std(ddof=1))
    assert second.adjusted == pytest.approx(ttest_rel(best[kept], holed[kept]).pvalue)
    assert [rank.verdict for rank in (first, second, third)] == ["first", "behind", "not measured"]
    json.dumps([rank.plain() for rank in (first, second, third)], allow_nan=False)
    assert third.plain()["mean"] is None


def test_what_shares_no_fold_with_the_first_is_not_established() -> None:
    first, second = ranking({"a": [0.9, 0.9, NAN, NAN], "b": [NAN, NAN, 0.1, 0.1]})
    assert (first.name, second.paired, second.adjusted, second.verdict) == ("a", 0, None, "not established")
    assert [rank.verdict for rank in ranking({"a": [NAN], "b": [NAN]})] == ["not measured"] * 2


def test_the_first_by_luck_of_its_folds_is_not_ahead_by_more_than_chance() -> None:
    """``lucky`` lacks the hard folds; where it was measured, ``all`` is better, which is not behind."""
    values = {"lucky": [0.9, 0.8, 0.85, NAN, NAN, NAN], "all": [0.95, 0.851, 0.9, 0.1, 0.2, 0.1]}
    first, second = ranking(values)
    assert first.name == "lucky"
    assert second.adjusted is not None
    assert second.adjusted < 0.05
    assert second.behind is not None
    assert second.behind.mean < 0
    assert second.verdict == "not established"


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    """Of groups g1, g2 and g3, of which nobody in g2 has the modality b."""
    folder = tmp_path_factory.mktemp("holed")
    generator = np.random.default_rng(0)
    groups = np.repeat(["g1", "g2", "g3"], 8)
    labels = np.arange(24) % 2
    corpus = Corpus.from_arrays(
        {
            "a": generator.normal(size=(24, 3)),
            "b": [generator.normal(size=(0 if group == "g2" else 1, 3)) for group in groups],
        },
        {"y": labels},
        groups={"g": groups.tolist()},
        classes={"y": ["p", "q"]},
    )
    content: dict[str, Any] = {
        "dataset": {"name": "corpus", "path": "corpus"},
        "branches": {"a": {}, "b": {}},
        "folds": {"group": "g", "count": 3, "audit": "report"},
        "training": {"epochs": 1},
    }
    return run_ablation(parse_config(content), folder / "out", base=folder, corpus=corpus, cpu=True)


def test_an_ablation_whose_one_group_lacks_a_modality(holed: Ablation) -> None:
    metric = "y/fused/accuracy"
    content = json.loads((holed.folder / "results.json").read_text(encoding="utf-8"))
    values = content["variants"]["only_b"]["folds"][metric]
    assert [value is None for value in values] == [False, True, False]
    rows = {row["variant"]: row for row in content["ranking"][metric]}
    assert {name: row["folds"] for name, row in rows.items()} == {"only_a": 3, "only_b": 2, "n0": 3, "n1": 3, "n2": 3}
    assert rows["only_b"]["mean"] == pytest.approx((values[0] + values[2]) / 2)
    assert holed.best_single(metric) in ("only_a", "only_b")
    for pair in holed.differences(metric):
        assert pair.folds == (2 if "only_b" in (pair.first, pair.second) else 3)
        assert math.isfinite(pair.difference.mean)

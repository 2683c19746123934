"""Sentences of the report on figures made by hand: what modalities add, and targets without classes."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_rel

from mrpnkit.analysis import Outcomes, Worth, calibration, interference, worth
from mrpnkit.report.findings import Findings, TargetFindings
from mrpnkit.report.words import _calibrated, _shares, inferior, misleading, over_folds, overall, without_classes

LABELS = np.repeat([0, 1], 20)


def telling(p: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """(40, 2): the true class has probability ``p``."""
    true = np.broadcast_to(p, 40)
    return np.where(np.eye(2)[LABELS] == 1, true[:, None], 1 - true[:, None])


def said(found: Worth) -> str:
    target = TargetFindings("y", cast(Any, None), cast(Any, None), {}, [], found, None, {}, [])
    return _shares(target)


def test_a_modality_takes_away_where_its_interval_says_so() -> None:
    text = said(worth({("a",): telling(0.9), ("b",): telling(0.4), ("a", "b"): telling(0.85)}, LABELS))
    assert text.startswith(
        "Of 1.00 bits that there are to know, all modalities together tell 0.77: a 0.97 bits (126 %), b -0.20 bits."
    )
    assert text.endswith(" b takes away more than it adds.")
    both = {("a",): 0.9, ("b",): 0.4, ("c",): 0.4, ("a", "b"): 0.8, ("a", "c"): 0.8, ("b", "c"): 0.3}
    text = said(worth({subset: telling(p) for subset, p in both.items()} | {("a", "b", "c"): telling(0.75)}, LABELS))
    assert text.endswith(" b and c take away more than they add.")


def test_a_negative_share_may_be_chance() -> None:
    """23 samples of 40 lose half a bit by b, 17 win it; beside a it changes nothing."""
    sign = np.where(np.arange(40) < 23, -1, 1)[np.random.default_rng(0).permutation(40)]
    text = said(worth({("a",): telling(0.9), ("b",): telling(0.5 * 2 ** (sign / 2)), ("a", "b"): telling(0.9)}, LABELS))
    assert "b -0.04 bits" in text
    assert text.endswith(" That b adds less than nothing may be chance.")
    assert "takes away" not in text


def test_where_all_together_tell_less_than_nothing_no_modality_is_blamed() -> None:
    """A network that is sure of guesses, and one that has learned nothing of classes of unequal frequency."""
    generator = np.random.default_rng(1)
    subsets = [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    sure = {subset: telling(np.where(generator.random(40) < 0.5, 0.95, 0.05)) for subset in subsets}
    uniform = {subset: telling(0.5) for subset in subsets}
    for found in (worth(sure, LABELS), worth(uniform, np.repeat([0, 1], [36, 4]))):
        text = said(found)
        assert f"all modalities together tell {sum(found.shares.values()):.2f}" in text
        assert "badly calibrated, or trained too little" in text
        assert "take" not in text


def folds(values: Mapping[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    count = len(next(iter(values.values())))
    return [{"metrics": {"loss": 1.0} | {name: one[n] for name, one in values.items()}} for n in range(count)]


def test_a_target_of_numbers_is_compared_over_folds() -> None:
    fused, face = [3.0, 3.2, 2.9, 3.1, 3.0, 2.8], [4.0, 4.1, 4.2, 4.0, 3.8, 4.1]
    found = folds(
        {"age/fused/mae": fused, "age/fused/ccc": [0.1] * 6, "age/voice/mae": [9.0] * 6, "age/face/mae": face}
    )
    interval = ttest_rel(fused, face).confidence_interval(0.95)
    assert over_folds(found, "age", "mae") == [
        "age: mae of the fusion is 3.000, a mean over 6 folds. The best single head is face, 4.033: fusion − face is "
        f"-1.033 (95 % interval {interval.low:+.3f} to {interval.high:+.3f}), paired over 6 folds; the fusion is "
        "better by more than chance."
    ]
    assert over_folds(found[:3], "age", "mae")[0].endswith(
        "the fusion is better by more than chance; folds are few, and share training samples, so that the interval is "
        "too narrow."
    )
    assert "(no interval), paired over one fold; that may be chance." in over_folds(found[:1], "age", "mae")[0]


def test_more_is_better_where_it_is_and_what_was_not_measured_is_left_out() -> None:
    f1 = folds({"mood/fused/macro_f1": [0.5, 0.55, 0.6, None], "mood/face/macro_f1": [0.8, 0.84, 0.91, 0.9]})
    text = over_folds(f1, "mood", "macro_f1")[0]
    assert "macro_f1 of the fusion is 0.550, a mean over 3 folds" in text
    assert "paired over 3 folds; the fusion is worse by more than chance" in text
    alone = folds({"mood/fused/macro_f1": [0.5]})
    assert over_folds(alone, "mood", "macro_f1")[0].endswith("There are no side scores to compare it with.")
    nothing = folds({"mood/fused/macro_f1": [None], "mood/face/macro_f1": [0.5]})
    assert over_folds(nothing, "mood", "macro_f1") == ["mood: macro_f1 could not be measured in any fold."]


def test_the_first_metric_of_every_target_without_classes_is_told() -> None:
    metrics = folds({"emotion/fused/accuracy": [0.5], "age/fused/mae": [3.0], "age/fused/rmse": [4.0]})
    summary = cast(Any, SimpleNamespace(folds={1: metrics[0]}))
    targets = cast(Any, [SimpleNamespace(target="emotion")])
    findings = Findings(cast(Any, None), summary, targets, {}, {}, True)
    first, note = without_classes(findings)
    assert first.startswith("age: mae of the fusion is 3.000, a mean over one fold.")
    assert note.endswith("are looked for where answers are classes, and not for age.")
    judged = folds({"emotion/fused/accuracy": [0.5]})[0]
    findings = findings._replace(summary=cast(Any, SimpleNamespace(folds={1: judged})))
    assert without_classes(findings) == []


@pytest.mark.parametrize("cluster", [None, "actor"])
def test_the_tests_are_named(cluster: str | None) -> None:
    right = np.eye(2)[LABELS]
    outcomes = Outcomes.of({"fused": right, "audio": right}, LABELS, groups={"actor": list("abcdefghij") * 4})
    (text,) = inferior(interference(outcomes, cluster=cluster, draws=10))
    assert "(McNemar's exact test, and Student's t over groups where there are five or more; adjusted within" in text


def test_a_branch_that_always_says_one_class_is_no_expert() -> None:
    """Noise that learned nothing but the most frequent class; the fusion misses 15 of its 60, and 4 of the others."""
    labels = np.repeat([0, 1], [60, 40])
    fused = np.where(np.arange(100) % 4 == 0, 1, labels)
    fused[60:64] = 0
    heads = {"fused": np.eye(2)[fused], "noise": np.eye(2)[np.zeros(100, dtype=int)]}
    outcomes = Outcomes.of(heads, labels, classes=["common", "rare"])
    found = inferior(interference(outcomes, draws=10))
    assert "class common: noise 100.0 % against 75.0 %." in found[0]
    assert found[1:] == [
        "In class common noise is right out of habit: it takes 100.0 % of the samples of other classes for common too, "
        "the fusion 10.0 %. It does not tell that class better."
    ]


def test_a_difference_that_may_be_chance_comes_with_its_p() -> None:
    """Of 40 samples the fusion misses 5 that the audio knows, and no other: p is 2 / 2^5, and twice that of two."""
    right, missed = np.eye(2)[LABELS], np.eye(2)[np.where(np.arange(40) % 8 == 0, 1 - LABELS, LABELS)]
    heads = {"fused": missed, "audio": right, "face": missed}
    (text,) = overall(interference(Outcomes.of(heads, LABELS), draws=10))
    assert binomtest(0, 5).pvalue == 2 / 2**5
    assert text.startswith("The best single head is audio, 100.0 %. The fusion differs by -12.5 points")
    assert text.endswith("that may be chance (p is 0.125, adjusted for 2 branches).")


def test_the_words_on_calibration_agree_with_its_numbers() -> None:
    """Two bins, too sure by 0.2 in one and too little in the other: sure as it should be on average, ECE 0.2."""
    sure = np.repeat([0.9, 0.6], 50)
    right = np.concatenate([np.arange(50) < 35, np.arange(50) < 40])
    outcomes = Outcomes.of({"fused": np.stack([sure, 1 - sure], axis=1)}, np.where(right, 0, 1))
    found = cast(Any, SimpleNamespace(calibration={"fused": calibration(outcomes, "fused")}))
    chance = 100 * np.sqrt(2 / np.pi) * (np.sqrt(0.9 * 0.1 / 50) + np.sqrt(0.6 * 0.4 / 50)) / 2
    assert _calibrated(found) == [
        "The fusion is about as sure as it should be on average: confidence − accuracy is +0.0 points. In bins of "
        f"confidence they differ by 20.0 points (ECE); chance alone would make it about {chance:.1f} of 100 samples."
    ]


def test_that_nothing_was_found_is_no_proof_that_nothing_is() -> None:
    heads = {"fused": np.eye(2)[[0, 1, 0]], "audio": np.eye(2)[[1, 0, 1]]}
    (text,) = misleading(interference(Outcomes.of(heads, [0, 1, 0]), draws=10))
    assert text.endswith("no interference is established.")

"""Folds against cases worked by hand, and against what every division must keep."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrpnkit.data import Fold, group_folds, held_out
from mrpnkit.errors import SplitError


def test_ravdess_pairs_as_the_paper_has_them() -> None:
    actors = [actor for actor in range(1, 25) for _ in range(3)]
    folds = group_folds(actors, 12, strata=["male" if actor % 2 else "female" for actor in actors])
    assert [fold.test_groups for fold in folds] == [(str(a), str(a + 1)) for a in range(1, 25, 2)]
    assert [fold.validation_groups for fold in folds] == [
        *((str(a), str(a + 1)) for a in range(3, 25, 2)),
        ("1", "2"),
    ]
    assert folds[0].name == "1,2"
    assert folds[0].test.tolist() == [0, 1, 2, 3, 4, 5]
    assert folds[0].validation.tolist() == [6, 7, 8, 9, 10, 11]
    assert folds[0].train.tolist() == list(range(12, 72))
    assert folds[11].test.tolist() == list(range(66, 72))


def test_ten_folds_of_twenty_actors() -> None:
    actors = [str(actor) for actor in range(1, 21)]
    folds = group_folds(actors, 10, strata=["m", "f"] * 10)
    assert [fold.name for fold in folds] == [f"{a},{a + 1}" for a in range(1, 21, 2)]


def test_without_strata_groups_are_dealt_in_runs_in_natural_order() -> None:
    folds = group_folds([f"actor_{n}" for n in (10, 2, 1, 11, 3)], 3)
    assert [fold.test_groups for fold in folds] == [
        ("actor_1", "actor_2"),
        ("actor_3", "actor_10"),
        ("actor_11",),
    ]


def test_the_rest_of_a_stratum_goes_to_the_smallest_folds() -> None:
    # a: 1 2 3 4 over three folds is [1 2] [3] [4]; b: 5 6 then goes to the two folds that have one group.
    folds = group_folds(["1", "2", "3", "4", "5", "6"], 3, strata=["a", "a", "a", "a", "b", "b"])
    assert [fold.test_groups for fold in folds] == [("1", "2"), ("3", "5"), ("4", "6")]


def test_rows_are_those_of_the_groups_however_they_are_mixed() -> None:
    folds = group_folds(["b", "c", "a", "c", "b"], 3)
    assert [fold.test.tolist() for fold in folds] == [[2], [0, 4], [1, 3]]
    assert [fold.train.tolist() for fold in folds] == [[1, 3], [2], [0, 4]]


@st.composite
def divisions(draw: st.DrawFn) -> tuple[list[str], list[str], int, int | None]:
    texts = st.text(max_size=4).filter(lambda text: not text.endswith("\0"))
    names = draw(st.lists(texts, min_size=3, max_size=15, unique=True))
    kinds = dict(
        zip(names, draw(st.lists(st.sampled_from("abc"), min_size=len(names), max_size=len(names))), strict=True)
    )
    rows = [*names, *draw(st.lists(st.sampled_from(names), max_size=20))]
    folds = draw(st.integers(3, len(names)))
    return rows, [kinds[name] for name in rows], folds, draw(st.none() | st.integers(0, 100))


@given(divisions())
def test_every_division(case: tuple[list[str], list[str], int, int | None]) -> None:
    groups, strata, count, seed = case
    folds = group_folds(groups, count, strata=strata, seed=seed)
    assert len(folds) == count
    assert Counter(name for fold in folds for name in fold.test_groups) == Counter(set(groups))
    kind_of = dict(zip(groups, strata, strict=True))
    dealt: dict[str, list[int]] = {kind: [] for kind in strata}
    for place, fold in enumerate(folds):
        parts = [{groups[row] for row in rows} for rows in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        assert sorted([*fold.train, *fold.validation, *fold.test]) == list(range(len(groups)))
        assert min(len(rows) for rows in (fold.train, fold.validation, fold.test)) >= 1
        assert parts[2] == set(fold.test_groups)
        assert fold.validation_groups == folds[(place + 1) % count].test_groups
        for kind, numbers in dealt.items():
            numbers.append(sum(kind_of[name] == kind for name in fold.test_groups))
    assert all(max(numbers) - min(numbers) <= 1 for numbers in dealt.values())
    sizes = [len(fold.test_groups) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert same(folds, group_folds(groups, count, strata=strata, seed=seed))


def test_the_order_of_rows_does_not_matter() -> None:
    groups = [str(n) for n in range(9)]
    forwards, backwards = group_folds(groups, 3, seed=4), group_folds(groups[::-1], 3, seed=4)
    assert [fold.test_groups for fold in forwards] == [fold.test_groups for fold in backwards]


def test_a_seed_shuffles() -> None:
    groups = [str(n) for n in range(20)]
    found = {tuple(fold.test_groups for fold in group_folds(groups, 5, seed=seed)) for seed in (None, 0, 1, 2)}
    assert len(found) == 4


def same(first: list[Fold], second: list[Fold]) -> bool:
    return all(
        a.test_groups == b.test_groups and all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    ("groups", "folds", "options", "text"),
    [
        ("ab", 3, {}, r"2 groups cannot fill 3 folds; a group is never split. Ask for at most 2 folds"),
        ("abc", 2, {}, r"2 folds; at least 3 are needed: to test, to validate and to train"),
        ("abca", 3, {"strata": "mmmf"}, r"group 'a' stands in the strata 'm' and 'f'"),
        ("abc", 3, {"strata": "mm"}, r"3 groups, but 2 strata"),
        ("abc", 3, {"labels": np.array([0, 1])}, r"3 groups, but .* 2 labels"),
        (
            "aabbccdd",
            4,
            {"labels": [0, 1, 0, 1, 0, 2, 0, 1]},
            r"training part of fold 'b' has no sample of the classes \[2\]; they occur only in the groups \['c'\]",
        ),
        (["a", "b\0", "c"], 3, {}, r"group 'b\\x00' ends with a NUL character"),
        (
            "aabbccdd",
            4,
            {"labels": ["sad", "calm", "sad", "", "sad", "joy", "sad", "calm"]},
            r"no sample of the classes \['joy'\]; they occur only in the groups \['c'\]",
        ),
    ],
)
def test_what_cannot_be_divided(groups: str | list[str], folds: int, options: Any, text: str) -> None:
    with pytest.raises(SplitError, match=text):
        group_folds(list(groups), folds, **options)


def test_labels_that_are_everywhere_are_accepted() -> None:
    labels = np.array([0, 1] * 4)
    folds = group_folds(list("aabbccdd"), 4, labels=labels)
    assert all(set(labels[fold.train]) == {0, 1} for fold in folds)


def test_held_out_groups() -> None:
    groups = ["a", "b", "c", "a", "d", "b"]
    fold = held_out(groups, test=["b"], validation=["d", "c"], labels=[0, 0, 0, 1, 1, 1])
    assert [part.tolist() for part in fold[:3]] == [[0, 3], [2, 4], [1, 5]]
    assert (fold.validation_groups, fold.test_groups, fold.name) == (("c", "d"), ("b",), "b")


@pytest.mark.parametrize(
    ("test", "validation", "labels", "text"),
    [
        (["x"], ["b"], None, r"no sample belongs to the groups \['x'\]; there are \['a', 'b', 'c'\]"),
        (["a"], ["a"], None, r"the groups \['a'\] are to test and to validate"),
        (["a", "b"], ["c"], None, "0 samples to train on"),
        ([], ["c"], None, "and 0 to test"),
        (["a"], ["b"], [0, 0, 1], r"has no sample of the classes \[0\]"),
    ],
)
def test_groups_that_cannot_be_held_out(test: list[str], validation: list[str], labels: Any, text: str) -> None:
    with pytest.raises(SplitError, match=text):
        held_out(["a", "b", "c"], test=test, validation=validation, labels=labels)


def test_a_missing_label_is_no_class() -> None:
    assert held_out(["a", "b", "c"], test=["a"], validation=["b"], labels=[-1, 0, 0]).test.tolist() == [0]

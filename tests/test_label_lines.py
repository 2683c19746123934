"""What ``check`` and ``train`` say of labels, against counts by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.cli.labels import label_lines
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from tests.small_runs import workplace
from tests.test_cli import call

NAN = float("nan")


def lines(targets: dict[str, Any], *, most: int | None = None, **options: Any) -> list[str]:
    content = {"dataset": {"name": "corpus", "path": "x"}, "branches": {"face": {}}, **options.pop("config", {})}
    count = len(next(iter(targets.values())))
    corpus = Corpus.from_arrays({"face": np.zeros((count, 2))}, targets, **options)
    return label_lines(parse_config(content), corpus, most=most)


def test_each_kind_of_target() -> None:
    found = lines(
        {
            "mood": ["sad", None, "calm", "sad"],
            "age": [20.5, NAN, 18.0, 31.0],
            "tags": [["laughs"], [], ["cries", "laughs"], None],
            "pain": [0, 2, 1, 1],
        },
        classes={"pain": ["mild", "strong", "worst"]},
        config={"targets": {"mood": {}, "age": {"kind": "regression"}, "tags": {"kind": "multilabel"},
                            "pain": {"kind": "ordinal"}}},
    )  # fmt: skip
    assert found == [
        "mood: classification, 2 classes: calm 1, sad 2; 1 of 4 labels missing",
        "age: regression, 3 numbers from 18 to 31; 1 of 4 labels missing",
        "tags: multilabel, 2 classes: cries 1, laughs 2; 2 of 8 labels missing",
        "pain: ordinal, 3 classes: mild 1, strong 2, worst 1; no labels missing",
    ]


def test_what_is_taken_for_something_else_is_seen() -> None:
    """Labels from 1 on, floats, and a column of flags."""
    assert lines({"y": np.array([1, 2, 3, 1])}) == [
        "y: classification, 4 classes: 0 0, 1 2, 2 1, 3 1; no labels missing",
        "warning: no sample has '0' of 'y'. Whole numbers are the classes 0 to 3, whether they occur or not.",
    ]
    assert lines({"y": np.array([0.0, 1.0, 1.0])}) == ["y: regression, 3 numbers from 0 to 1; no labels missing"]
    assert lines({"y": np.full(3, 2.5)}) == ["y: regression, 3 numbers, all of them 2.5; no labels missing"]
    assert lines({"y": np.array([[0], [1], [1]])}) == ["y: multilabel, 1 class: 0 2; no labels missing"]


@pytest.mark.parametrize("word", ["NA", "nan", "NaN", "null", "None", "N/A"])
def test_a_class_that_may_mean_missing_is_warned_of(word: str) -> None:
    first, *others = lines({"y": [word, "calm", "happy"]})
    assert f"{word} 1" in first
    assert others == [
        f"warning: {word!r} of 'y' is taken for a class. If it says that a label is missing, leave the cell empty, or "
        "give None or −1 in arrays."
    ]


def test_a_class_that_the_user_names_is_not_warned_of() -> None:
    """As the ordered classes of docs/concepts/targets.md, which begin with "none"."""
    dataset = {"name": "csv", "path": "x", "modalities": {}, "classes": {"pain": ["none", "mild"]}}
    targets = {"pain": ["none", "mild", "mild"], "y": ["none", "a", "a"]}
    found = lines(targets, classes={"pain": ["none", "mild"]}, config={"dataset": dataset})
    assert [line.split(" is ")[0] for line in found if line.startswith("warning")] == ["warning: 'none' of 'y'"]


def test_classes_that_no_sample_has() -> None:
    found = lines({"y": ["a", "c"], "tags": [["p"], []]}, classes={"y": ["a", "b", "c"], "tags": ["p", "q"]})
    assert [line for line in found if line.startswith("warning")] == [
        "warning: no sample has 'b' of 'y'.",
        "warning: no sample has 'q' of 'tags'.",
    ]


def test_many_classes_are_cut() -> None:
    names = [f"c{number:02d}" for number in range(20)]
    assert lines({"y": names}, most=2) == ["y: classification, 20 classes: c00 1, c01 1 and 18 more; no labels missing"]
    assert lines({"y": names})[0].count(" 1,") == 19


def test_check_and_train_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = workplace(tmp_path)
    told = "emotion: classification, 3 classes: calm 12, happy 12, sad 12; no labels missing"
    code, out, _ = call(capsys, "check", toml)
    assert code == 0
    assert told in out
    assert "warning" not in out
    changes = ("--set", "training.epochs=1", "--set", "folds.only=[1]", "--out", tmp_path / "run", "--cpu")
    code, _, err = call(capsys, "train", toml, *changes)
    assert code == 0
    assert told in err

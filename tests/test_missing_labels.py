"""Labels and groups that are missing, as pandas writes them: missing, and no class or person called nan."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.data import Corpus, group_folds
from mrpnkit.data.adaptation import Adaptation
from mrpnkit.data.datasets.sample_table import sample_table
from mrpnkit.data.labels import is_missing
from mrpnkit.errors import InputError

NAN = math.nan
FACES = np.arange(8, dtype=np.float32).reshape(4, 2)


class _NA:
    """As pandas' NA: of any comparison it makes itself, and it is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return self

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


_NA.__name__, _NA.__module__ = "NAType", "pandas._libs.missing"
ABSENT = [None, NAN, np.float32("nan"), np.datetime64("NaT"), _NA()]


@pytest.mark.parametrize("absent", ABSENT, ids=["None", "nan", "float32", "NaT", "NA"])
@pytest.mark.parametrize("as_array", [False, True], ids=["list", "array"])
def test_a_missing_label_is_no_class(absent: Any, as_array: bool) -> None:
    values: Any = ["calm", absent, "happy", "calm"]
    if as_array:
        values = np.array(values, dtype=object)
    corpus = Corpus.from_arrays({"face": FACES}, {"mood": values})
    assert corpus.classes == {"mood": ["calm", "happy"]}
    assert corpus.targets["mood"].tolist() == [0, -1, 1, 0]


@pytest.mark.parametrize("absent", ABSENT, ids=["None", "nan", "float32", "NaT", "NA"])
def test_missing_collections_of_labels(absent: Any) -> None:
    corpus = Corpus.from_arrays({"face": FACES}, {"mood": [["a"], absent, ["a", "b"], []]})
    assert corpus.targets["mood"].tolist() == [[1, 0], [-1, -1], [1, 1], [0, 0]]


def test_a_class_may_be_called_nan_and_numbers_stay_values() -> None:
    corpus = Corpus.from_arrays({"face": FACES}, {"mood": ["nan", "NaN", "NA", "nan"], "age": [1.0, NAN, 3.0, 4.0]})
    assert corpus.targets["mood"].tolist() == [2, 1, 0, 2]
    assert corpus.targets["age"].dtype == np.float32
    assert np.isnan(corpus.targets["age"]).tolist() == [False, True, False, False]


@pytest.mark.parametrize("absent", ABSENT, ids=["None", "nan", "float32", "NaT", "NA"])
def test_a_missing_group_has_no_name(absent: Any, tmp_path: Path) -> None:
    people = ["ann", absent, "bob", absent]
    corpus = Corpus.from_arrays({"face": FACES}, {"y": [0, 1, 0, 1]}, groups={"person": people})
    assert corpus.groups["person"].tolist() == ["ann", "", "bob", ""]
    assert Corpus.open(corpus.save(tmp_path / "corpus")).groups["person"].tolist() == ["ann", "", "bob", ""]
    assert list(Adaptation.fit(corpus, "person").groups) == ["ann", "bob"]
    table = sample_table(
        "table", list("abcd"), targets={"y": [absent, "p", "q", "p"]}, groups={"g": people}, classes={}
    )
    assert table.groups["g"] == ["ann", "", "bob", ""]
    assert table.targets["y"].tolist() == [-1, 0, 1, 0]
    folds = group_folds(["ann", absent, "bob", absent], 3)
    assert sorted(fold.name for fold in folds) == ["", "ann", "bob"]


def test_series_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    moods = ["calm", None, "happy", "calm"]
    for kind in (object, "string", "category", None):
        corpus = Corpus.from_arrays({"face": FACES}, {"mood": pandas.Series(moods, dtype=kind)})
        assert corpus.classes == {"mood": ["calm", "happy"]}
        assert corpus.targets["mood"].tolist() == [0, -1, 1, 0]
        groups = Corpus.from_arrays({"face": FACES}, {"y": [0] * 4}, groups={"g": pandas.Series(moods, dtype=kind)})
        assert groups.groups["g"].tolist() == ["calm", "", "happy", "calm"]
    assert is_missing(pandas.NA)
    assert is_missing(pandas.NaT)
    assert not is_missing(pandas.Timestamp(0))


def test_people_of_a_table_of_the_package_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from mrpnkit.data.datasets.hugging_face import ColumnModality, HuggingFace

    columns = {"x": FACES.tolist(), "y": ["p", "q", None, "p"], "person": ["ann", None, "bob", None]}
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "saved")
    source = HuggingFace(modalities={"x": ColumnModality(column="x")}, path="saved", targets=["y"], groups=["person"])
    corpus = source.load(tmp_path)
    assert corpus.groups["person"].tolist() == ["ann", "", "bob", ""]
    assert corpus.targets["y"].tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e39])
def test_a_number_that_is_no_number_is_named_by_target_and_sample(value: float) -> None:
    shown = re.escape(str(value))
    with pytest.raises(InputError, match=rf"'age': the value of sample 2 is {shown}; expected a number"):
        Corpus.from_arrays({"face": FACES}, {"age": np.array([20.0, NAN, value, 31.0])})


def test_codes_do_not_become_classes_until_memory_is_full() -> None:
    dates = np.array([20240101, 20240102, -1, 20240101])
    with pytest.raises(InputError, match=r"'day': label 20240102 of sample 1 would make 20240103 classes.*as texts"):
        Corpus.from_arrays({"face": FACES}, {"day": dates})
    as_texts = Corpus.from_arrays({"face": FACES}, {"day": [None if day < 0 else str(day) for day in dates]})
    assert as_texts.classes == {"day": ["20240101", "20240102"]}
    assert as_texts.targets["day"].tolist() == [0, 1, -1, 0]

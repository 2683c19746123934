"""Targets of several labels at once: arrays, names and tables become the same corpus, and come back from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mrpnkit.data import Corpus, CorpusDataset, CorpusWriter, loader
from mrpnkit.data.datasets import DATASETS, prepare
from mrpnkit.errors import CorpusError, InputError

FACES = np.arange(4, dtype=np.float32)[:, None]
NAMES = ["cries", "laughs", "shouts"]
COLUMNS = np.array([[0, 1, 0], [1, 1, -1], [0, 0, 0], [-1, -1, -1]])


def corpus(values: Any = COLUMNS) -> Corpus:
    return Corpus.from_arrays({"face": FACES}, {"mood": values, "age": [1.0, 2.0, float("nan"), 4.0]},
                              classes={"mood": NAMES})  # fmt: skip


def test_columns_and_names_give_the_same() -> None:
    given = corpus(COLUMNS)
    np.testing.assert_array_equal(given.targets["mood"], COLUMNS)
    assert given.targets["mood"].dtype == np.int64
    floats = np.where(COLUMNS == -1, np.nan, COLUMNS)
    np.testing.assert_array_equal(corpus(floats).targets["mood"], COLUMNS)
    named = corpus([["laughs"], {"cries", "laughs"}, [], None])
    whole = COLUMNS.copy()
    whole[1, 2] = 0  # a list of names knows of every label
    np.testing.assert_array_equal(named.targets["mood"], whole)
    assert given.label_names == {"mood": NAMES}
    assert given.single_classes == {}


def test_names_are_sorted_and_columns_numbered_unless_named() -> None:
    found = Corpus.from_arrays({"face": FACES[:2]}, {"mood": [["b", "a"], ["c"]], "tag": [[True, False], [True, True]]})
    assert found.classes == {"mood": ["a", "b", "c"], "tag": ["0", "1"]}
    assert found.targets["mood"].tolist() == [[1, 1, 0], [0, 0, 1]]


def test_a_corpus_comes_back_from_disk(tmp_path: Path) -> None:
    folder = corpus().save(tmp_path / "corpus")
    assert (folder / "samples.csv").read_text().splitlines() == [
        "id,mood/cries,mood/laughs,mood/shouts,age", "0,0,1,0,1.0", "1,1,1,,2.0", "2,0,0,0,", "3,,,,4.0",
    ]  # fmt: skip
    opened = Corpus.open(folder)
    np.testing.assert_array_equal(opened.targets["mood"], COLUMNS)
    assert opened.classes == {"mood": NAMES}
    again = opened.save(tmp_path / "again")
    assert (again / "samples.csv").read_text() == (folder / "samples.csv").read_text()


def test_a_writer_takes_names_and_what_is_known(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "corpus", labels={"mood": NAMES}) as writer:
        for row, value in enumerate([["laughs"], {"cries": 1, "laughs": True, "shouts": None}, (), None]):
            writer.add(str(row), {"face": FACES[row : row + 1]}, {"mood": value})
        with pytest.raises(InputError, match=r"Sample '4'.*the labels \['sings'\] are not among the declared"):
            writer.add("4", {"face": FACES[:1]}, {"mood": ["sings"]})
        with pytest.raises(InputError, match=r"Sample '4'.*has several labels; expected the names that hold, got 'cri"):
            writer.add("4", {"face": FACES[:1]}, {"mood": "cries"})
    np.testing.assert_array_equal(Corpus.open(tmp_path / "corpus").targets["mood"], COLUMNS)


def test_batches_have_rows_of_labels() -> None:
    batch = next(iter(loader(CorpusDataset(corpus(), np.array([2, 1])), 2)))
    torch.testing.assert_close(batch.labels["mood"], torch.tensor([[0, 0, 0], [1, 1, -1]]))


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'laughs' of sample 1 is 2; expected 1 where it holds"):
        corpus([[0, 1, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(InputError, match="has 2 columns, and 3 names of labels"):
        corpus(COLUMNS[:, :2])
    with pytest.raises(InputError, match="no sample has any label, and classes does not name them"):
        Corpus.from_arrays({"face": FACES[:2]}, {"mood": [[], []]})
    with pytest.raises(CorpusError, match="'mood' has 3 columns and 2 labels"):
        Corpus(list("abcd"), corpus().modalities, {"mood": COLUMNS}, classes={"mood": ["a", "b"]})
    folder = corpus().save(tmp_path / "corpus")
    table = folder / "samples.csv"
    table.write_text(table.read_text().replace("2,0,0,0,", "2,0,yes,0,"))
    with pytest.raises(CorpusError, match="labels of 'mood' are 'yes'; expected 0, 1 or nothing"):
        Corpus.open(folder)
    table.write_text(table.read_text().replace("mood/cries", "cries"))
    with pytest.raises(CorpusError, match=r"lacks the columns \['mood/cries'\]"):
        Corpus.open(folder)


def test_npz_reads_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", face=FACES, mood=COLUMNS)
    found = DATASETS["npz"](path="x.npz", targets=["mood"], classes={"mood": NAMES}).load(tmp_path)
    np.testing.assert_array_equal(found.targets["mood"], COLUMNS)
    assert found.classes == {"mood": NAMES}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_read_columns_that_are_no_features(kind: str, tmp_path: Path) -> None:
    lines = ["id,face,cries,laughs,shouts", "a,0,0,1,0", "b,1,1,1,", "c,2,0,0,0", "d,3,,,"]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    if kind == "parquet":
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pandas.read_csv(tmp_path / "x.csv").to_parquet(tmp_path / "x.parquet")
    data = DATASETS[kind](path=f"x.{kind}", modalities={"face": {}}, labels={"mood": NAMES})
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.targets["mood"], COLUMNS)
    assert found.features("face") == 1
    written = prepare(data, tmp_path, tmp_path / "corpus")
    np.testing.assert_array_equal(written.targets["mood"], COLUMNS)


def test_lists_of_class_labels_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "face": datasets.Sequence(datasets.Value("float32")),
            "mood": datasets.Sequence(datasets.ClassLabel(names=NAMES)),
        }
    )
    table = datasets.Dataset.from_dict({"face": FACES.tolist(), "mood": [[1], [0, 1], [], [2]]}, features=features)
    table.save_to_disk(str(tmp_path / "saved"))
    data = DATASETS["huggingface"](path="saved", modalities={"face": {"column": "face"}}, targets=["mood"])
    assert data.load(tmp_path).targets["mood"].tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert data.load(tmp_path).classes == {"mood": NAMES}

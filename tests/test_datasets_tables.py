"""Data sets of tables: CSV and Parquet, joined by id."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.data import Corpus
from mrpnkit.data.datasets import DATASETS, TableModality
from mrpnkit.errors import CorpusError, InputError

Table = Mapping[str, Sequence[Any]]
Write = Callable[..., str]
CLIPS: Table = {
    "id": ["c1", "c2", "c3", "c4"],
    "emotion": ["sad", "calm", None, "sad"],
    "level": [0.5, None, 2.0, 3.0],
    "actor": ["a", "a", "b", "b"],
    "v_0": [1.0, 2.0, 3.0, 4.0],
    "v_1": [0.1, 0.2, 0.3, 0.4],
}
FACE: Table = {"id": ["c3", "c1", "c3", "c4"], "frame": [2, 1, 1, 1], "x": [3.2, 1.1, 3.1, 4.1], "y": [0, 1, 2, 3]}


@pytest.fixture(params=["csv", "parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes tables to files of that kind, and returns the kind."""

    def save(**tables: Table) -> str:
        for name, table in tables.items():
            if request.param == "csv":
                rows = zip(*table.values(), strict=True)
                lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
                (tmp_path / f"{name}.csv").write_text("\n".join([",".join(table), *lines]) + "\n")
            else:
                pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mrpnkit[hub]'")
                parquet = pytest.importorskip("pyarrow.parquet")
                parquet.write_table(pyarrow.table(dict(table)), tmp_path / f"{name}.parquet")
        return str(request.param)

    return save


def load(kind: str, folder: Path, **options: Any) -> Corpus:
    corpus: Corpus = DATASETS[kind](path=f"clips.{kind}", **options).load(folder)
    return corpus


def test_columns_of_one_table(write: Write, tmp_path: Path) -> None:
    kind = write(clips=CLIPS)
    columns = {"voice": {"columns": ["v_*"]}}
    corpus = load(kind, tmp_path, modalities=columns, targets=["emotion"], values=["level"], groups=["actor"])
    expected = np.array([[1, 0.1], [2, 0.2], [3, 0.3], [4, 0.4]], dtype=np.float32)
    np.testing.assert_array_equal(corpus.modalities["voice"].steps, expected)
    assert corpus.modalities["voice"].lengths.tolist() == [1, 1, 1, 1]
    assert corpus.ids == ["c1", "c2", "c3", "c4"]
    assert corpus.classes == {"emotion": ["calm", "sad"]}
    assert corpus.targets["emotion"].tolist() == [1, 0, -1, 1]
    np.testing.assert_array_equal(corpus.targets["level"], np.array([0.5, np.nan, 2, 3], dtype=np.float32))
    assert corpus.groups["actor"].tolist() == ["a", "a", "b", "b"]


def test_by_default_a_modality_has_all_other_columns(write: Write, tmp_path: Path) -> None:
    kind = write(clips=CLIPS)
    corpus = load(kind, tmp_path, modalities={"v": {}}, targets=["emotion"], values=["level"], groups=["actor"])
    assert corpus.features("v") == 2


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["v_1", "v_0"], ["v_1", "v_0"]),
        (["v_0", "v_1"], ["v_0", "v_1"]),
        (["v_*"], ["v_0", "v_1"]),
        (["level", "v_1", "v_*"], ["level", "v_1", "v_0"]),
        (["v_?", "level", "v_0"], ["v_0", "v_1", "level"]),
    ],
)
def test_columns_stand_in_the_order_that_is_written(
    write: Write, tmp_path: Path, columns: list[str], expected: list[str]
) -> None:
    clips = {**CLIPS, "level": [0.5, 1.0, 2.0, 3.0]}
    corpus = load(write(clips=clips), tmp_path, modalities={"voice": {"columns": columns}})
    voice = corpus.modalities["voice"]
    assert voice.feature_names == tuple(expected)
    np.testing.assert_array_equal(voice.steps, np.array([clips[name] for name in expected], dtype=np.float32).T)
    saved = Corpus.open(corpus.save(tmp_path / "corpus")).modalities["voice"]
    assert saved.feature_names == tuple(expected)


def test_a_table_of_steps_is_joined_by_id(write: Write, tmp_path: Path) -> None:
    kind = write(clips=CLIPS, face=FACE)
    face = TableModality(path=f"face.{kind}", order="frame", rate=30.0)
    corpus = load(kind, tmp_path, modalities={"face": face, "v": {"columns": ["v_1"]}}, targets=["emotion"])
    assert corpus.modalities["face"].lengths.tolist() == [1, 0, 2, 1]
    np.testing.assert_array_equal(corpus.read("face", 2), np.array([[3.1, 2], [3.2, 0]], dtype=np.float32))
    assert corpus.modalities["face"].rate == 30.0
    unordered = load(
        kind, tmp_path, modalities={"f": {"path": f"face.{kind}", "columns": ["x"]}, "v": {"columns": ["v_1"]}}
    )
    np.testing.assert_array_equal(unordered.read("f", 2), np.array([[3.2], [3.1]], dtype=np.float32))


def test_classes_that_are_numbers_are_sorted_as_such(write: Write, tmp_path: Path) -> None:
    kind = write(clips={**CLIPS, "emotion": [10, 9, 9, 2]})
    corpus = load(kind, tmp_path, modalities={"v": {"columns": ["v_*"]}}, targets=["emotion"])
    assert corpus.classes == {"emotion": ["2", "9", "10"]}
    assert corpus.targets["emotion"].tolist() == [2, 1, 1, 0]


VOICE = {"voice": {"columns": ["v_*"]}}


@pytest.mark.parametrize(
    ("changes", "options", "text"),
    [
        ({}, {"targets": ["emotoin"]}, r"clips\.\w+ has no column 'emotoin'\. Did you mean 'emotion'\? It has 'id', "),
        ({}, {"groups": ["speaker"]}, "has no column 'speaker'"),
        ({}, {"id": "clip"}, "has no column 'clip'"),
        (
            {},
            {"modalities": {"voice": {"columns": ["w_*"]}}},
            "no column for 'voice' matches 'w_*'".replace("*", r"\*"),
        ),
        ({}, {"modalities": {"voice": {"columns": ["v_2"]}}}, r"has no column 'v_2'\. Did you mean 'v_"),
        (
            {},
            {"modalities": {"voice": {"columns": ["emotion"]}}, "targets": ["emotion"]},
            "'emotion' is an id, order, target or group; it cannot be a feature",
        ),
        ({}, {"modalities": {"voice": {"path": "non.csv"}}}, "There is no table 'non.csv'.* does not exist"),
        ({}, {"targets": ["emotion"], "values": ["emotion"]}, "'emotion' is named in targets and in values"),
        ({}, {"targets": ["emotion"], "classes": {"emotion": ["sad"]}}, r"classes \['calm'\] are not among"),
        ({}, {"targets": ["emotion"], "classes": {"emotoin": ["sad"]}}, "has no target 'emotoin'"),
        ({"id": ["c1", "c2", "c1", "c4"]}, {}, r"1 ids stand more than once, the first is 'c1' \(2 times\)"),
        ({"id": ["c1", None, "c3", "c4"]}, {}, "the id of row 2 is empty"),
        ({"emotion": [None] * 4}, {"targets": ["emotion"]}, "no sample is labelled with 'emotion'"),
        ({"v_1": [0.1, None, 0.3, 0.4]}, {}, "'voice' of sample 'c2' is empty, NaN or infinite .*column 'v_1'"),
        ({"v_1": [0.1, 0.2, float("nan"), 0.4]}, {}, "'voice' of sample 'c3' is empty, NaN or infinite"),
        ({"v_1": ["0.1", "x", "1", "2"]}, {}, "column 'v_1'(: 'x' is no number| holds string; expected numbers)"),
        ({name: [] for name in CLIPS}, {}, "has no samples"),
    ],
)
def test_what_does_not_fit(
    write: Write, tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    kind = write(clips={**CLIPS, **changes})
    with pytest.raises((CorpusError, InputError), match=text):
        load(kind, tmp_path, **{"modalities": VOICE, **options})


def test_a_sample_whose_cells_are_all_empty_lacks_the_modality(write: Write, tmp_path: Path) -> None:
    """In the table of samples; where only some cells are empty, it is a mistake."""
    empty = {name: [None if row == 1 else value for row, value in enumerate(CLIPS[name])] for name in ("v_1", "v_2")
             if name in CLIPS}  # fmt: skip
    both = {"voice": {"columns": list(empty)}, "other": {"columns": ["w"]}}
    kind = write(clips={**CLIPS, **empty, "w": [1.0, 2.0, 3.0, 4.0]})
    corpus = load(kind, tmp_path, modalities=both)
    assert corpus.modalities["voice"].lengths.tolist() == [1, 0, 1, 1]
    assert corpus.modalities["other"].lengths.tolist() == [1, 1, 1, 1]
    expected = [[CLIPS[name][row] for name in empty] for row in (0, 2, 3)]
    np.testing.assert_allclose(corpus.modalities["voice"].steps, expected, rtol=1e-6)


def test_ids_that_no_sample_has(write: Write, tmp_path: Path) -> None:
    kind = write(clips=CLIPS, face={**FACE, "id": ["c03", "c1", "c3", "c4"]})
    face = {"face": {"path": f"face.{kind}", "columns": ["x"]}, **VOICE}
    with pytest.raises(CorpusError, match=r"1 ids of 'face' are not in clips.*first is 'c03'.*unlisted = \"skip\""):
        load(kind, tmp_path, modalities=face)
    assert load(kind, tmp_path, modalities=face, unlisted="skip").modalities["face"].lengths.tolist() == [1, 0, 1, 1]
    with pytest.raises(CorpusError, match=r"1 samples have none of the modalities 'face', the first is 'c2'"):
        load(kind, tmp_path, modalities={"face": face["face"]}, unlisted="skip")
    write(face={**FACE, "id": ["d"] * 4})
    with pytest.raises(CorpusError, match="no sample has the modality 'face'"):
        load(kind, tmp_path, modalities=face, unlisted="skip")


def test_options_of_a_modality_are_checked() -> None:
    with pytest.raises(InputError, match=r"modalities.voice has no key 'colums'. Did you mean 'columns'"):
        DATASETS["csv"](path="x.csv", modalities={"voice": {"colums": ["a"]}})
    with pytest.raises(InputError, match=r"modalities.voice must be a table"):
        DATASETS["csv"](path="x.csv", modalities={"voice": "a"})
    with pytest.raises(InputError, match="modalities is empty"):
        DATASETS["csv"](path="x.csv", modalities={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a header line"),
        ("id,a,a\n1,2,3\n", "two columns named 'a'"),
        ("id;a\n1;2\n", r"a single column, 'id;a'\. If ';' separates its cells, give the data set delimiter = \";\""),
        ("id\ta\n1\t2\n", r"delimiter = \"\\t\""),
        ("name\nx\n", "has no column 'id'"),
        ("id,a\n1,2,3\n", "row 2: 3 cells for 2 columns"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        load("csv", tmp_path, modalities={"a": {}})
    (tmp_path / "clips.csv").write_bytes(b"id,a\n\xff,1\n")
    with pytest.raises(CorpusError, match="cannot be read as a CSV file in UTF-8"):
        load("csv", tmp_path, modalities={"a": {}})


def test_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("\ufeffid;a\nx;2\n", encoding="utf-8")
    assert load("csv", tmp_path, modalities={"a": {}}, delimiter=";").ids == ["x"]


def test_parquet_holds_lists(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mrpnkit[hub]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    steps = [[[1.0, 2.0], [3.0, 4.0]], None, [[5.0, 6.0]]]
    columns = {"id": ["a", "b", "c"], "e": [[1.0, 2.0]] * 3, "s": steps, "t": [[4, 5], [6], []]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "clips.parquet")
    modalities = {"e": {"columns": ["e"]}, "s": {"columns": ["s"]}, "t": {"columns": ["t"], "kind": "sequence"}}
    corpus = load("parquet", tmp_path, modalities=modalities)
    assert [m.lengths.tolist() for m in corpus.modalities.values()] == [[1, 1, 1], [2, 0, 1], [2, 1, 0]]
    np.testing.assert_array_equal(corpus.read("s", 0), np.array(steps[0], dtype=np.float32))
    assert corpus.read("t", 0).tolist() == [[4], [5]]
    assert corpus.modalities["t"].steps.dtype == np.int64
    with pytest.raises(InputError, match="the column 'e' holds lists; it must be the only column"):
        load("parquet", tmp_path, modalities={"x": {"columns": ["e", "s"]}})
    (tmp_path / "clips.parquet").write_bytes(b"nothing")
    with pytest.raises(CorpusError, match="cannot be read as Parquet"):
        load("parquet", tmp_path, modalities={"x": {}})

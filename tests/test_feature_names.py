"""Features by name: a run finds the columns of its training in a table of another order, or says what is lacking."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.cli import main
from mrpnkit.data import Corpus, CorpusWriter, Modality
from mrpnkit.data.datasets import DATASETS
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.predict import fit_corpus
from mrpnkit.runs import Run, corpus_of, outline_of
from tests.test_cli import call

RNG = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "voice_pitch": 200 + 50 * RNG.normal(size=24),
    "voice_energy": RNG.normal(size=24),
    "voice_rate": 0.01 * RNG.normal(size=24),
}
TOML = """
[dataset]
name = "csv"
path = "{path}"
{targets}
modalities = {{ voice = {{ columns = {columns} }} }}

[branches.voice]

[training]
epochs = 1
batch_size = 8

[folds]
count = 3
only = [1]
"""
TARGETS = 'targets = ["mood"]\nvalues = ["valence"]'


def write(path: Path, order: list[str], **further: Any) -> None:
    table = {"id": [f"c{row}" for row in range(24)], "mood": ["calm", "angry"] * 12, "valence": np.arange(24.0)}
    table |= {name: COLUMNS[name] for name in order} | further
    rows = zip(*table.values(), strict=True)
    path.write_text("\n".join([",".join(table), *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module", params=['["voice_*"]', '["voice_rate", "voice_pitch", "voice_energy"]'])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table whose columns are named by a pattern, or each; and the same table in another order."""
    folder = tmp_path_factory.mktemp("names")
    write(folder / "clips.csv", list(COLUMNS))
    write(folder / "moved.csv", ["voice_rate", "voice_energy", "voice_pitch"], remark=["nothing"] * 24)
    write(folder / "wider.csv", ["voice_energy", "voice_rate", "voice_pitch"], voice_new=np.ones(24))
    write(folder / "narrow.csv", ["voice_energy", "voice_rate"])
    (folder / "run.toml").write_text(TOML.format(path="clips.csv", targets=TARGETS, columns=request.param))
    for name in ("moved", "wider", "narrow"):
        text = TOML.format(path=f"{name}.csv", targets="", columns='["voice_*"]').partition("[branches")[0]
        (folder / f"{name}.toml").write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "run.toml"), "--out", str(folder / "run"), "--cpu"])
    assert left.value.code in (0, None)
    return folder


def test_a_run_keeps_the_names(place: Path) -> None:
    written = (place / "run.toml").read_text()
    expected = list(COLUMNS) if "*" in written else ["voice_rate", "voice_pitch", "voice_energy"]
    outline = json.loads((place / "run" / "run.json").read_text(encoding="utf-8"))["outline"]
    assert outline["modalities"]["voice"]["feature_names"] == expected


@pytest.mark.parametrize("name", ["moved", "wider"])
def test_answers_do_not_depend_on_the_order_of_columns(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, expected, _ = call(capsys, "predict", place / "run", place / "run.toml")
    assert code == 0
    code, found, _ = call(capsys, "predict", place / "run", place / f"{name}.toml")
    assert code == 0
    assert found == expected


def test_a_table_that_lacks_a_column_is_refused_by_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "predict", place / "run", place / "narrow.toml")
    assert code == 2
    assert "'voice' has no feature 'voice_pitch'; the network was trained on" in err
    assert "and the data have 'voice_energy', 'voice_rate'. Give the columns the names" in err


def test_a_table_whose_columns_moved_is_not_what_was_trained_on(place: Path, tmp_path: Path) -> None:
    modalities = {"voice": {"columns": ["voice_*"]}}
    options: dict[str, Any] = {"targets": ["mood"], "values": ["valence"], "modalities": modalities}
    moved = DATASETS["csv"](path="moved.csv", **options).load(place)
    run = Run.open(place / "run")
    assert not run.trained_on(moved)


def corpus(steps: np.ndarray, names: tuple[str, ...] | None, *, rate: float | None = None) -> Corpus:
    lengths = np.array([len(steps) - 1, 1])
    return Corpus(["a", "b"], {"m": Modality(steps, lengths, rate, names)}, {"y": np.zeros(2, np.float32)})


def test_features_are_put_in_order_only_where_both_have_names() -> None:
    steps = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    like = corpus_of(json.loads(json.dumps(outline_of(corpus(steps, ("x", "y", "z"), rate=2.0)))))
    fitted = fit_corpus(corpus(steps, ("z", "x", "y")), like, ["m"], labels="none").modalities["m"]
    np.testing.assert_array_equal(fitted.steps, [[1, 2, 0], [4, 5, 3], [7, 8, 6]])
    assert fitted.feature_names == ("x", "y", "z")
    nameless = fit_corpus(corpus(steps, None), like, ["m"], labels="none").modalities["m"]
    np.testing.assert_array_equal(nameless.steps, steps)
    with pytest.raises(InputError, match=r"'m' has no feature 'y'; the network was trained on 'x', 'y', 'z'"):
        fit_corpus(corpus(steps, ("x", "why", "z")), like, ["m"], labels="none")


def test_numbers_over_time_are_read_in_either_shape() -> None:
    """Runs of earlier versions may have been trained on steps without an axis."""
    wave = np.arange(3.0, dtype=np.float32)
    for given, known in ((wave, wave[:, None]), (wave[:, None], wave)):
        fitted = fit_corpus(corpus(given, None), corpus(known, None), ["m"], labels="none")
        np.testing.assert_array_equal(fitted.modalities["m"].steps, known)


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    steps = np.zeros((3, 2), dtype=np.float32)
    for names in (("x",), ("x", "y", "z"), ("x", "x")):
        with pytest.raises(CorpusError, match=r"'m' has \d distinct names of features and steps of shape \(2,\)"):
            corpus(steps, names)
    with (
        pytest.raises(CorpusError, match="'m' has 1 distinct names of features"),
        CorpusWriter(tmp_path / "corpus", feature_names={"m": ["x"]}) as writer,
    ):
        writer.add("a", {"m": steps}, {"y": 0.0})

"""Files of arrays that commands are given: read by what the run knows, also where nothing is labelled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpnkit.cli import main
from mrpnkit.cli.given import open_data
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.data.adaptation import Enrolment
from mrpnkit.data.datasets import DATASETS
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.runs import Run, claim
from tests.test_cli import call

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(2, 6, 24)
CLASSES = ["calm", "happy"]
ARRAYS: dict[str, NDArray[Any]] = {
    "face": RNG.normal(size=(24, 4)).astype(np.float32),
    "voice": RNG.normal(size=(int(LENGTHS.sum()), 3)).astype(np.float32),
    "voice.lengths": LENGTHS,
    "mood": np.arange(24) % 2,
    "person": np.repeat([1, 2, 3, 4, 5, 6], 4),
    "clip": np.array([f"c{row}" for row in range(24)]),
    "remark": np.zeros((5, 2)),
}
OPTIONS: dict[str, Any] = {
    "modalities": ["voice", "face"],
    "targets": ["mood"],
    "groups": ["person"],
    "ids": "clip",
    "classes": {"mood": CLASSES},
    "rates": {"voice": 10.0},
}
TOML = """
[dataset]
name = "npz"
path = "training.npz"
modalities = ["voice", "face"]
targets = ["mood"]
groups = ["person"]
ids = "clip"
classes = { mood = ["calm", "happy"] }
rates = { voice = 10.0 }

[branches.voice]

[branches.face]

[adaptation]
column = "person"
enrol = "all"

[training]
epochs = 1
batch_size = 8

[folds]
group = "person"
count = 3
only = [1]
"""


def some(*names: str) -> dict[str, Any]:
    return {name: ARRAYS[name] for name in names}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on ``training.npz``, and the same samples as nobody has judged them."""
    folder = tmp_path_factory.mktemp("given")
    np.savez(folder / "training.npz", **ARRAYS)  # type: ignore[arg-type]
    np.savez(folder / "unlabelled.npz", **some("face", "voice", "voice.lengths"))
    np.savez(folder / "faces.npz", **some("face"))
    (folder / "run.toml").write_text(TOML, encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "run.toml"), "--out", str(folder / "run"), "--cpu"])
    assert left.value.code in (0, None)
    return folder


def rows_of(text: str) -> list[list[str]]:
    """Without ids."""
    return [line.split(",")[1:] for line in text.splitlines()]


def test_predict_takes_what_nobody_has_judged(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The documented ``mrpnkit predict RUN features.npz``; labels, where there are some, change nothing."""
    answers = {}
    for name in ("training", "unlabelled", "faces"):
        code, answers[name], _ = call(capsys, "predict", place / "run", place / f"{name}.npz")
        assert code == 0
    assert rows_of(answers["training"]) == rows_of(answers["unlabelled"]) != rows_of(answers["faces"])
    assert [line.partition(",")[0] for line in answers["training"].splitlines()[1:]] == ARRAYS["clip"].tolist()
    assert [line.partition(",")[0] for line in answers["unlabelled"].splitlines()[1:]] == [str(n) for n in range(24)]
    code, labelled, _ = call(capsys, "predict", place / "run", place / "run.toml")
    assert (code, labelled) == (0, answers["training"])


def test_evaluate_takes_the_file_of_the_training(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = DATASETS["npz"](path="training.npz", **OPTIONS).load(place)
    corpus.save(place / "corpus")
    found = {}
    for given in ("training.npz", "corpus"):
        out = place / f"{given}.json"
        assert call(capsys, "evaluate", place / "run", "--data", place / given, "--out", out)[0] == 0
        found[given] = json.loads(out.read_text(encoding="utf-8"))["folds"]["1"]["metrics"]
    assert found["training.npz"] == found["corpus"]
    code, _, err = call(capsys, "evaluate", place / "run", "--data", place / "unlabelled.npz")
    assert code == 2
    assert "have no target 'mood', which the network predicts; they have []" in err


def test_enrol_measures_what_nobody_has_judged(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "people.npz"
    code, _, err = call(capsys, "enrol", place / "run", place / "unlabelled.npz", "--group", "anna", "--out", file)
    assert code == 0
    assert "anna: measured from so many samples: voice 24, face 24" in err
    measured = Enrolment.load(file).groups["anna"].moments["face"]
    np.testing.assert_allclose(measured.mean, ARRAYS["face"].mean(axis=0), atol=1e-6)


def test_the_training_s_file_is_the_training_s_corpus(place: Path) -> None:
    run = Run.open(place / "run")
    assert run.trained_on(open_data(place / "training.npz", run))
    unread = open_data(place / "training.npz", run, labels="none")
    assert unread.targets == {}
    assert unread.modalities["voice"].rate == 10.0
    assert unread.groups["person"].tolist() == [str(one) for one in ARRAYS["person"]]


def test_a_file_of_nothing_that_the_run_knows(place: Path, tmp_path: Path) -> None:
    run = Run.open(place / "run")
    np.savez(tmp_path / "other.npz", pose=ARRAYS["face"])
    with pytest.raises(InputError, match=r"none of the modalities that the network reads: voice, face\. It has 'pose'"):
        open_data(tmp_path / "other.npz", run, labels="none")
    with pytest.raises(CorpusError, match=r"which array is the target\? It has 'pose'; name it in targets, or give"):
        open_data(tmp_path / "other.npz")


def test_what_a_table_says_goes_before_what_the_run_knows(place: Path, tmp_path: Path) -> None:
    run = Run.open(place / "run")
    arrays = {"face": ARRAYS["face"], "voice": ARRAYS["face"][:, :3], "who": np.arange(24), "mood": ARRAYS["mood"]}
    np.savez(tmp_path / "new.npz", **arrays)  # type: ignore[arg-type]
    table = tmp_path / "new.toml"
    table.write_text('name = "npz"\npath = "new.npz"\nmodalities = ["face"]\nids = "who"\ntargets = []\n')
    found = open_data(table, run)
    assert (list(found.modalities), found.ids[3], found.targets) == (["face"], "3", {})
    table.write_text('name = "npz"\npath = "new.npz"\nids = "who"\n')
    found = open_data(table, run)
    assert (list(found.modalities), list(found.targets)) == (["voice", "face"], ["mood"])
    assert found.classes == {"mood": CLASSES}


CONFIG: dict[str, Any] = {
    "branches": {"voice": {}, "face": {}},
    "folds": {"count": 3},
    "training": {"epochs": 1},
}


def claimed(folder: Path, dataset: dict[str, Any], corpus: Corpus) -> Run:
    return claim(folder, parse_config({"dataset": dataset, **CONFIG}), corpus, base=folder.parent)


def test_fixed_parts_are_joined_where_the_file_has_them(tmp_path: Path) -> None:
    voice, face, mood = ARRAYS["face"][:, :3], ARRAYS["face"], ARRAYS["mood"]
    train = {"voice_train": voice[:16], "face_train": face[:16], "mood_train": mood[:16]}
    test = {"voice_test": voice[16:], "face_test": face[16:], "mood_test": mood[16:]}
    np.savez(tmp_path / "training.npz", **train, **test)  # type: ignore[arg-type]
    np.savez(tmp_path / "test.npz", **test)  # type: ignore[arg-type]
    np.savez(tmp_path / "new.npz", voice=voice, mood_test=mood)
    options = {"path": "training.npz", "targets": ["mood"], "parts": ["train", "test"]}
    corpus = DATASETS["npz"](**options).load(tmp_path)
    run = claimed(tmp_path / "run", {"name": "npz", **options}, corpus)
    whole, part, new = (open_data(tmp_path / f"{name}.npz", run) for name in ("training", "test", "new"))
    assert run.trained_on(whole)
    assert (part.ids[0], part.groups["part"].tolist()) == ("test-0", ["test"] * 8)
    np.testing.assert_array_equal(part.modalities["face"].steps, face[16:])
    assert (list(new.modalities), len(new), new.targets) == (["voice"], 24, {})


def test_a_run_on_other_data_names_the_arrays_too(tmp_path: Path) -> None:
    """A corpus folder has no options; its modalities, targets and groups are known all the same."""
    steps: dict[str, Any] = {"voice": ARRAYS["face"][:, :3], "face": ARRAYS["face"]}
    groups = {"person": ARRAYS["person"].tolist()}
    corpus = Corpus.from_arrays(steps, {"mood": np.array(CLASSES)[ARRAYS["mood"]]}, groups=groups)
    run = claimed(tmp_path / "run", {"name": "corpus", "path": "corpus"}, corpus)
    arrays = {**steps, "mood": np.array(CLASSES)[ARRAYS["mood"]], **groups, "remark": np.zeros(3)}
    np.savez(tmp_path / "same.npz", **arrays)
    found = open_data(tmp_path / "same.npz", run)
    assert run.trained_on(found)
    np.savez(tmp_path / "labelled.npz", face=steps["face"], label=ARRAYS["mood"])
    assert list(open_data(tmp_path / "labelled.npz", run).targets) == ["label"]
    assert open_data(tmp_path / "labelled.npz", run, labels="none").targets == {}


def test_tensors_are_read_alike(place: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(some("face", "voice", "voice.lengths", "mood", "person"), tmp_path / "new.safetensors")
    found = open_data(tmp_path / "new.safetensors", Run.open(place / "run"))
    assert list(found.modalities) == ["voice", "face"]
    assert found.classes == {"mood": CLASSES}
    np.testing.assert_array_equal(found.modalities["voice"].lengths, LENGTHS)

"""A full disk: a sentence that names the file, and nothing half-written. A limit on the size of files stands in."""

import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mrpnkit.cli import main
from mrpnkit.config import parse_config
from mrpnkit.experiment import run_experiment
from mrpnkit.records import write_json, write_text
from mrpnkit.train.state import load_weights, save_weights, write_state
from tests.small_runs import CONFIG, TOML, small_corpus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")


@contextmanager
def small_files(most: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_state(path, {"model": torch.ones(5000)}),
        lambda path: save_weights(path, torch.nn.Linear(50, 100)),
        lambda path: write_json(path, {"text": "a" * 20000}),
        lambda path: write_text(path, "a" * 20000),
    ],
)
def test_what_finds_no_room_is_named_and_the_older_file_stays(write: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("older")
    with small_files(8192), pytest.raises(OSError, match="File too large") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "older")]


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_state(tmp_path / "nowhere" / "state.pt", {})
    assert caught.value.filename == str(tmp_path / "nowhere" / "state.pt")


def test_a_training_without_room_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_corpus().save(tmp_path / "corpus")
    (tmp_path / "run.toml").write_text(TOML)
    command = ["train", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run"), "--cpu"]
    with small_files(12000), pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "state.pt: File too large. What was finished stays; with more room, the same command goes on." in told
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 0
    assert (tmp_path / "run" / "results.json").is_file()


def test_answers_take_the_place_of_older_ones_only_when_they_are_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_corpus().save(tmp_path / "corpus")
    run, answers = tmp_path / "run", tmp_path / "new" / "answers.csv"
    run_experiment(parse_config({**CONFIG, "folds": {**CONFIG["folds"], "only": [1]}}), run, base=tmp_path, cpu=True)
    answers.parent.mkdir()
    command = ["predict", str(run), str(tmp_path / "corpus"), "--out", str(answers)]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 0
    older = answers.read_text()
    assert len(older.splitlines()) == 37
    with small_files(1000), pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2
    assert f"{answers}: File too large." in capsys.readouterr().err.replace("\n", "")
    assert [(p.name, p.read_text()) for p in answers.parent.iterdir()] == [("answers.csv", older)]


def test_weights_are_readable_for_whom_other_files_are(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    save_weights(tmp_path / "weights", layer, {"made": "here"})
    write_json(tmp_path / "json", {})
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("weights", "json")}
    assert len(modes) == 1
    other = torch.nn.Linear(2, 3)
    load_weights(tmp_path / "weights", other)
    assert torch.equal(other.weight, layer.weight)


def test_a_report_without_room_says_so_and_the_older_one_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_corpus().save(tmp_path / "corpus")
    (tmp_path / "run.toml").write_text(TOML)
    out = tmp_path / "run"
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path / "run.toml"), "--out", str(out), "--cpu"])
    with pytest.raises(SystemExit) as caught:
        main(["report", str(out)])
    assert caught.value.code in (0, None)
    older = {path: path.read_bytes() for path in (out / "report").rglob("*") if path.is_file()}
    assert len(older) > 5
    capsys.readouterr()
    with small_files(2048), pytest.raises(SystemExit) as caught:
        main(["report", str(out)])
    assert caught.value.code == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "report/" in err
    assert "File too large" in err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in (out / "report").rglob("*") if path.is_file()} == older

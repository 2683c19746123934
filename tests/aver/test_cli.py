"""The command line: help with examples, and a user's mistake told in a sentence."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from examples.aver.__main__ import actors_named, app, main

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of ``python -m examples.aver ARGUMENTS``."""
    monkeypatch.setattr(sys, "argv", ["aver", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    shown = CliRunner().invoke(
        app, [command, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"}
    )
    assert shown.exit_code == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    assert f"python -m examples.aver {command}" in text
    assert "Example" in text


def test_there_are_commands_for_the_whole_way() -> None:
    assert {"demo", "prepare", "train", "evaluate", "table"} <= set(COMMANDS)


def test_without_a_command_the_help_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    shown = capsys.readouterr()
    assert all(command in shown.out + shown.err for command in COMMANDS)


@pytest.mark.parametrize("command", ["train", "prepare", "table", "prepare-movies", "pretrain"])
def test_one_process_s_work_is_not_done_by_several(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(monkeypatch, command, *(["fer2013"] if command == "pretrain" else [])) == 2
    told = capsys.readouterr().err
    assert f"`{command}` is one process's work, and a launcher started 2 of it" in told
    assert f"python -m examples.aver {command}. The command for several processes is `system`: torchrun" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "number"), [("system", "2"), ("train", "1"), ("train", "")])
def test_several_processes_of_system_and_one_of_the_others_are_let_in(
    command: str, number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", number)
    assert run(monkeypatch, command, "--help") == 0
    assert "Example" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["prepare", "--data", "{}/nowhere"], "nowhere"),
        (["train", "--data", "{}/nowhere"], "nowhere"),
        (["table", "--data", "{}/nowhere"], "nowhere"),
        (["demo", "--data", "{}/nowhere"], "nowhere"),
        (["prepare", "--data", "{}/with [bold] and [/red] brackets"], "with [bold] and [/red] brackets"),
        (["evaluate", "{}/nowhere"], "nowhere holds no finished run: it has no test.json"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = [] if arguments[0] == "evaluate" else ["--out", str(tmp_path / "out")]
    code = run(monkeypatch, *(argument.format(tmp_path) for argument in arguments), *out)
    shown = capsys.readouterr()
    assert code == 2
    assert shown.err.startswith("Error: ")
    assert len(shown.err.splitlines()) == 1
    assert text in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["prepare", "--data", "{}/a.mp4"], "a.mp4 is a file; expected the folder that the RAVDESS files were put in"),
        (["prepare-movies", "--data", "{}/a.mp4"], "a.mp4 is a file; expected the folder that the movies were put in"),
        (["prepare-movies", "--data", "{}/nowhere"], "nowhere does not exist"),
        (["prepare-movies", "--data", "{}/one", "--out", "/proc/xx"], "/proc/xx cannot be read or written: "),
        (
            ["prepare-movies", "--data", "{}/one", "--out", "{}/a.mp4"],
            "a.mp4 is a file, or lies below one; a folder is",
        ),
        (
            ["figure", "3", "--to", "{}/x.foo"],
            "x.foo ends in '.foo'; figures are written as PNG. Give a name that ends in",
        ),
        (["figure", "3", "--to", "{}/x"], "x ends in ''; figures are written as PNG"),
        (["figure", "5", "--to", "{}/x.jpg"], "x.jpg ends in '.jpg'; figures are written as PNG"),
    ],
)
def test_files_and_folders_that_cannot_serve(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no movie")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "01-01-01-01-01-01-01.mp4").write_bytes(b"no movie")
    before = sorted(tmp_path.rglob("*"))
    assert run(monkeypatch, *(argument.format(tmp_path) for argument in arguments)) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: ")
    assert len(shown.err.splitlines()) == 1
    assert text in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert sorted(tmp_path.rglob("*")) == before


def test_errors_of_the_system_without_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("examples.aver.demo.open_corpus", full)
    assert run(monkeypatch, "prepare", "--out", str(tmp_path)) == 2
    assert "Error: Reading or writing failed: [Errno 28] No space left on device." in capsys.readouterr().err


def test_too_little_memory_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import torch

    failure: list[Exception] = [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")]

    def fail(*_: object, **__: object) -> None:
        raise failure[0]

    monkeypatch.setattr("examples.aver.demo.open_corpus", fail)
    assert run(monkeypatch, "prepare", "--out", str(tmp_path)) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: Memory ran out: CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert len(told.splitlines()) == 1
    failure[0] = RuntimeError("a defect")
    monkeypatch.setattr(sys, "argv", ["aver", "prepare", "--out", str(tmp_path)])
    with pytest.raises(RuntimeError, match="a defect"):
        main()


@pytest.mark.parametrize(
    ("text", "known", "names"),
    [
        ("1, 2", "1 2 3", ("1", "2")),
        (" 01 ,2,", "1 2 3", ("1", "2")),
        ("1,01,1", "1 2 3", ("1",)),
        ("01,02", "01 02", ("01", "02")),
        ("01", "1 01", ("01",)),
        ("1", "01", ("1",)),  # is no actor, and is told so when the corpus is split
        ("0", "0 1", ("0",)),
        ("00", "0 1", ("0",)),
        ("anna, 007", "anna 7", ("anna", "7")),
        ("099", "1 2", ("099",)),
        (" , ", "1", ()),
        ("", "1", ()),
    ],
)
def test_actors_as_the_corpus_calls_them(text: str, known: str, names: tuple[str, ...]) -> None:
    assert actors_named(text, known.split()) == names


def test_train_reads_actors_with_blanks_and_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the training is told to test on; it is not run."""
    import numpy as np

    from examples.aver import demo, job
    from mrpnkit.data import Corpus

    actors = [str(number) for number in range(1, 7)]
    corpus = Corpus.from_arrays(
        {"video": [np.zeros((2, 3), np.float32)] * 6},
        {"emotion": ["calm", "happy"] * 3},
        ids=actors,
        groups={"actor": actors},
        classes={"emotion": ["calm", "happy"]},
    )
    asked: list[job.Job] = []

    def note(given: job.Job, **_: object) -> dict[str, object]:
        asked.append(given)
        return {"metrics": {}, "test_actors": given.test_actors}

    monkeypatch.setattr(demo, "open_corpus", lambda *_, **__: (corpus, 0.0))
    monkeypatch.setattr(job, "run_job", note)
    arguments = ["--test-actors", "1, 02", "--validation-actors", "03"]
    assert run(monkeypatch, "train", "--out", str(tmp_path), *arguments) == 0
    assert (asked[0].test_actors, asked[0].validation_actors) == (("1", "2"), ("3",))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "--network", "n3"], "n3"),
        (["train", "--fold", "0"], "--fold"),
        (["table", "--folds", "2"], "--folds"),
        (["nonsense"], "nonsense"),
        (["evaluate"], "Missing argument"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("data", [None, Path("given")])
def test_the_small_demo_has_one_fold_two_epochs_and_a_folder_of_its_own(
    data: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from examples.aver import demo
    from examples.aver.recipe import Recipe
    from mrpnkit.data import Corpus

    seen: list[Any] = []

    def table(corpus: Path, out: Path, recipe: Recipe, console: object, **settings: Any) -> None:
        seen.append((corpus, out, recipe.epochs, settings["only_folds"]))

    opened = Corpus.from_arrays({"video": [np.zeros((1, 2))] * 6}, {"emotion": ["a", "b"] * 3},
                                groups={"actor": list("112233")})  # fmt: skip
    opened.about = {"source": "some"}
    monkeypatch.setattr(demo, "open_corpus", lambda *given, **settings: (opened, 0.0))
    monkeypatch.setattr(demo, "_draw_clips", lambda folder: folder)
    monkeypatch.setattr("examples.aver.table.run_table", table)
    for small in (["--small"], []):
        shown = CliRunner().invoke(app, ["demo", *small, *(["--data", str(data)] if data else [])])
        assert shown.exit_code == 0, shown.output
    name = "runs/aver" if data else "runs/aver-demo"
    assert seen == [
        (Path(f"{name}-small/corpus"), Path(f"{name}-small"), 2, 1),
        (Path(f"{name}/corpus"), Path(name), *((Recipe().epochs, None) if data else (12, 3))),
    ]

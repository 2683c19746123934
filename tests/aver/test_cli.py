"""The command line: help with examples, and a user's mistake told in a sentence."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from examples.aver.__main__ import app, main

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

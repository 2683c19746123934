"""Result files: their form, their figures, the command that makes them again."""

import datetime
import json
import os
import statistics
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mrpnkit import records
from mrpnkit.records import versions
from mrpnkit.report import Figure, print_figures, write_json, write_result
from mrpnkit.report.results import this_command


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_and_spread_are_those_of_statistics(values: list[float]) -> None:
    figure = Figure.mean(values, "ms")
    assert figure.value == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-6)
    assert figure.spread == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)
    assert (figure.unit, figure.n) == ("ms", len(values))


def test_one_value_has_no_spread() -> None:
    assert Figure.mean([2.5], "s") == Figure(2.5, "s", None, 1)


def test_form(tmp_path: Path) -> None:
    path = write_result(
        tmp_path / "results" / "speed.json",
        claim="It is fast — as fast as it can be.",
        config={"seed": 0, "widths": (1, 2)},
        figures={"step": Figure.mean([1.0, 3.0], "ms"), "ratio": Figure(1.25, "times")},
        rows={"ms_a_step": [1.0, 3.0]},
    )
    assert path == tmp_path / "results" / "speed.json"
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    assert list(content) == ["claim", "command", "config", "versions", "machine", "date", "figures", "ms_a_step"]
    assert content["claim"] == "It is fast — as fast as it can be."
    assert "—" in text
    assert text.endswith("}\n")
    assert content["config"] == {"seed": 0, "widths": [1, 2]}
    assert content["figures"] == {
        "step": {"value": 2.0, "unit": "ms", "spread": pytest.approx(2**0.5), "n": 2},
        "ratio": {"value": 1.25, "unit": "times", "spread": None, "n": None},
    }
    assert content["ms_a_step"] == [1.0, 3.0]
    assert content["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert content["versions"]["numpy"] == numpy.__version__
    assert content["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert content["machine"].keys() == {"system", "processor", "vectors", "cores", "memory_gib", "accelerators"}
    assert content["machine"]["cores"] == os.cpu_count()
    assert abs(datetime.date.today() - datetime.date.fromisoformat(content["date"])) <= datetime.timedelta(days=1)


def test_the_machine_has_no_name_in_it(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r.json", claim="c", config={}, figures={}, command="python -m something")
    assert json.loads(path.read_text())["command"] == "python -m something"
    assert os.uname().nodename not in json.dumps(json.loads(path.read_text())["machine"])


def test_packages_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PACKAGES", ("torch", "a-package-that-nobody-has"))
    assert list(versions()) == ["python", "torch"]


def main_module(monkeypatch: pytest.MonkeyPatch, spec: str | None, argv: list[str]) -> None:
    made = ModuleType("__main__")
    made.__spec__ = SimpleNamespace(name=spec) if spec else None  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "__main__", made)
    monkeypatch.setattr(sys, "argv", argv)


@pytest.mark.parametrize(
    ("spec", "argv", "command"),
    [
        (
            "examples.aver.__main__",
            ["/x/__main__.py", "table", "--data", "a b"],
            "python -m examples.aver table --data 'a b'",
        ),
        ("benchmarks.speed", ["/x/speed.py"], "python -m benchmarks.speed"),
        (None, ["benchmarks/speed.py", "--small"], "python benchmarks/speed.py --small"),
    ],
)
def test_this_command(spec: str | None, argv: list[str], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    main_module(monkeypatch, spec, argv)
    assert this_command() == command


def test_this_command_shows_no_path_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    main_module(monkeypatch, None, [str(tmp_path / "benchmarks" / "speed.py")])
    assert this_command() == "python benchmarks/speed.py"
    main_module(monkeypatch, None, ["/somewhere/else/speed.py"])
    assert this_command() == "python speed.py"


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json(tmp_path / "deep" / "r.json", {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}

    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}

    def broken(self: Path, target: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="the disk is full"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    monkeypatch.undo()
    write_json(path, {"a": 3})
    assert json.loads(path.read_text()) == {"a": 3}
    assert [file.name for file in path.parent.iterdir()] == ["r.json"]


def test_figures_are_printed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures({"overhead": Figure(1.23456, "times"), "folds": Figure(12, "")})
    assert capsys.readouterr().out == "overhead: 1.235 times\nfolds: 12\n"

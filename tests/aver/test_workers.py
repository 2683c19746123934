"""How many trainings run at once, on which GPU, and that nothing is kept on a GPU that they need."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver import table
from examples.aver.paper import estimate, making
from examples.aver.paper.estimate import apart
from examples.aver.paper.job import PaperJob
from examples.aver.paper.making import make_table
from examples.aver.paper.options import Weights
from examples.aver.recipe import Recipe
from examples.aver.table import default_workers, run_jobs, run_table
from mrpnkit.devices import begin, cuda_devices
from tests.aver.paper_corpora import SCHEDULE, SYSTEM, noise
from tests.interrupts import answers_interrupts


@dataclass(frozen=True)
class Turn:
    """A training that tells where it ran."""

    network: str = "n2"
    fold: int = 0

    def done(self) -> None:
        return None


def told(job: Turn) -> dict[str, Any]:
    return {
        "device": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "process": os.getpid(),
        "threads": torch.get_num_threads(),
    }


def stopped(*arguments: Any, **settings: Any) -> None:
    raise InterruptedError


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("count", "expected"), [(0, 12), (1, 1), (4, 4)])
def test_one_training_a_gpu_or_a_core(count: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, count)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert default_workers() == expected


@pytest.mark.parametrize(("given", "expected"), [(None, 1), (3, 3)])
def test_the_tables_take_that_number_unless_they_are_given_one(
    given: int | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, 1)
    seen: list[int] = []

    def noted(jobs: list[Any], console: Console, *, workers: int, **settings: Any) -> None:
        seen.append(workers)
        raise InterruptedError

    monkeypatch.setattr(table, "run_jobs", noted)
    monkeypatch.setattr(making, "run_jobs", noted)
    monkeypatch.setattr(making, "_say_estimate", lambda jobs, workers, *rest, **settings: seen.append(workers))
    with pytest.raises(InterruptedError):
        run_table(Path("c"), tmp_path, Recipe(), Console(quiet=True), title="t", folds=3, workers=given)
    corpus = noise(tmp_path / "corpus", dataset="ravdess")
    with pytest.raises(InterruptedError):
        make_table(2, corpus, tmp_path, Console(quiet=True), system=SYSTEM, schedule=SCHEDULE, folds=3, workers=given)
    assert seen == [expected] * 3


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [(None, 0, []), (None, 1, []), (None, 3, ["0", "1", "2"]), ("5, 2", 2, ["5", "2"]), ("7", 1, []), ("", 0, [])],
)
def test_gpus_as_the_process_was_given_them(
    visible: str | None, count: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda_devices() == expected


def test_processes_take_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    found = run_jobs([Turn()], Console(quiet=True), threads=1, run=told)
    assert found[0]["device"] == "5"
    assert found[0]["threads"] == 1
    turn = type("Value", (), {"value": 1, "get_lock": lambda self: open(os.devnull)})()  # noqa: SIM115
    begin(turn, torch.get_num_threads(), ["5", "2"])
    assert (os.environ["CUDA_VISIBLE_DEVICES"], turn.value) == ("2", 2)


@pytest.mark.parametrize("there_is_one", [False, True])
def test_what_uses_a_gpu_before_the_trainings_is_a_process_that_ends(
    there_is_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, int(there_is_one))
    process = apart(os.getpid)
    assert (process != os.getpid()) is there_is_one
    if there_is_one:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    with pytest.raises(ZeroDivisionError):
        apart(divmod, 1, 0)


@pytest.mark.parametrize(
    ("frozen", "estimate_only", "expected"),
    [
        (False, True, ["total"]),
        (False, False, ["total"]),
        (True, True, ["keeping_seconds"]),  # the trainings cannot be measured before the features are there
        (True, False, ["keeping_seconds", "_keep", "total"]),
    ],
)
def test_a_table_measures_and_keeps_features_apart(
    frozen: bool, estimate_only: bool, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    threads: list[int] = []

    def noted(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
        called.append(function.__name__)
        threads.extend([settings["threads"]] if "threads" in settings else [])
        return {"keeping_seconds": 1.0, "total": (1.0, {})}.get(function.__name__)

    monkeypatch.setattr(making, "apart", noted)
    monkeypatch.setattr(estimate, "measure", lambda job: pytest.fail("measured in the process that waits"))
    monkeypatch.setattr(PaperJob, "read_corpus", lambda job: pytest.fail("computed in the process that waits"))
    weights = tmp_path / "weights"
    weights.write_bytes(b"some")
    system = replace(SYSTEM, frozen=frozen, weights=Weights(str(weights), str(weights)))
    monkeypatch.setattr(making, "run_jobs", stopped)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    console, corpus = Console(record=True, width=200), noise(tmp_path / "corpus", dataset="ravdess")
    with nullcontext() if estimate_only else pytest.raises(InterruptedError):
        make_table(2, corpus, tmp_path, console, system=system, schedule=SCHEDULE, folds=3, only_folds=1, workers=4,
                   estimate_only=estimate_only)  # fmt: skip
    assert called == expected
    assert threads == ([3] if "total" in expected else [])  # as each of the four trainings has
    said = console.export_text()
    assert ("features, once: about 1 s." in said) is frozen
    assert ("told once they are there" in said) is (expected == ["keeping_seconds"])


LONG = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from rich.console import Console
from examples.aver.table import run_jobs

@dataclass
class Job:
    network: str = "n0"
    fold: int = 0
    def done(self): return None

def run(job):
    Path(sys.argv[1], "begun").touch()
    time.sleep(1000)

if __name__ == "__main__":
    run_jobs([Job(), Job()], Console(quiet=True), workers=2, run=run)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_training_is_left_behind(sent: signal.Signals, tmp_path: Path) -> None:
    """Whoever still runs holds the other end of the pipe, so that reading it does not end."""
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    told = subprocess.Popen(
        [sys.executable, "long.py", str(tmp_path)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=answers_interrupts,
    )  # fmt: skip
    try:
        while not (tmp_path / "begun").exists():
            assert told.poll() is None
            time.sleep(0.1)
        told.send_signal(sent)
        told.communicate(timeout=30)
    finally:
        if told.returncode is None:
            os.killpg(told.pid, signal.SIGKILL)
            told.communicate()
    assert told.returncode != 0

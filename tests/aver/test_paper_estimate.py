"""How long trainings of the paper's system will take: what is measured, with what, and what it does not start."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver.__main__ import app
from examples.aver.paper import commands, estimate
from examples.aver.paper.estimate import keeping_seconds, total
from examples.aver.paper.options import Options
from mrpnkit import Sequences
from mrpnkit.data import Corpus
from tests.aver.paper_corpora import SCHEDULE, SYSTEM, initial_weights, noise, tiny_job


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise(tmp_path_factory.mktemp("estimate") / "corpus")


class Clock:
    """In place of the module ``time``: time passes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("readers", "expected"), [(0, 14.0), (3, 4.0), (6, 2.0), (12, 2.0)])
def test_a_step_lasts_as_long_as_the_slower_of_readers_and_network(
    readers: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading takes 12 s of one thread and computing 2, each a hundred more in the first step."""
    clock = Clock(monkeypatch)
    threads: list[int] = []
    steps: list[int] = []

    def read(positions: list[int]) -> torch.Tensor:
        threads.append(torch.get_num_threads())
        clock.passes(12.0 + 100 * (positions[0] == 0))
        return torch.tensor(positions)

    def compute(batch: torch.Tensor) -> None:
        steps.append(int(batch[0]))
        clock.passes(2.0 + 100 * (len(steps) == 1))

    batches = SimpleNamespace(batch_sampler=[[0], [1], [2], [3], [4]], dataset=SimpleNamespace(__getitems__=read))
    trainer: Any = SimpleNamespace(batches=batches, _step=compute, accelerator=SimpleNamespace(device="cpu"))
    before = torch.get_num_threads()
    with estimate._with_threads(2):
        assert estimate._step_seconds(trainer, readers=readers) == pytest.approx(expected)
    assert threads == [1 if readers else 2] * 3
    assert steps == [0, 1, 2]
    assert torch.get_num_threads() == before


def test_a_training_is_measured_with_its_own_threads_and_starts_no_readers(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []

    def noted(trainer: Any, *, readers: int) -> float:
        seen.append((torch.get_num_threads(), readers, trainer.batches.num_workers))
        return 10.0

    monkeypatch.setattr(estimate, "_step_seconds", noted)
    before = torch.get_num_threads()
    job = tiny_job(corpus, tmp_path, "am", schedule=replace(SCHEDULE, workers=5))
    seconds, _ = total([job], workers=1, threads=before + 2)
    assert seen == [(before + 2, 5, 0)]
    assert torch.get_num_threads() == before
    assert seconds > 10


def test_keeping_features_is_measured_after_a_first_clip(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    class Slow(torch.nn.Module):
        """A hundredth of a second a step, and 50 s more the first time."""

        first = 50.0

        def forward(self, inputs: Sequences) -> Sequences:
            clock.passes(self.first + 0.01 * len(inputs.steps))
            self.first = 0.0
            return inputs

    monkeypatch.setattr(estimate, "build_extractor", lambda *given: Slow())
    steps = {name: int(part.lengths.sum()) for name, part in Corpus.open(corpus).modalities.items()}
    every = 2  # of eight frames a second four are taken
    expected = 0.01 * (steps["video"] / every + steps["audio"])
    assert keeping_seconds(tiny_job(corpus, tmp_path)) == pytest.approx(expected)


def test_the_estimate_of_frozen_cnns_computes_no_features(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = replace(SYSTEM, frozen=True, weights=initial_weights(tmp_path / "weights"))
    monkeypatch.setattr(commands, "chosen", lambda **settings: (Options(image="none"), system, SCHEDULE))
    arguments = ["system", "--corpus", str(corpus), "--out", str(tmp_path / "out"), "--folds", "3"]
    shown = CliRunner().invoke(app, [*arguments, "--estimate"])
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.output.split())
    assert "features, once: about" in said
    assert "told once they are there" in said
    assert not (tmp_path / "out").exists()
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert 0 <= shown.output.find("features, once: about") < shown.output.find("s a step; about")
    assert "features, once" not in CliRunner().invoke(app, [*arguments, "--fold", "2", "--estimate"]).output

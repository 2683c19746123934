"""Memory: what a training takes, how many there is room for, and what is said where it runs out."""

import json
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver.memory import what_ran_out
from examples.aver.paper import memory
from examples.aver.paper.memory import memory_gib, training_gib, trainings_at_once
from examples.aver.paper.options import Options, Schedule, System
from mrpnkit.data import Corpus

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def clip(frames: int, seconds: float) -> Corpus:
    """A whole clip of 224×224."""
    return Corpus.from_arrays(
        {"video": [np.zeros((frames, 224, 224, 3), np.uint8)], "audio": [np.zeros(round(seconds * 16000), np.float32)]},
        {"emotion": ["calm"]},
        rates={"video": 29.97, "audio": 16000.0},
        classes={"emotion": ["calm", "happy"]},
    )


@pytest.mark.parametrize(
    ("file", "way"),
    [
        ("aver_throughput", "lstm/float32/eager"),
        ("aver_throughput", "lstm/bfloat16/eager"),
        ("aver_throughput", "lstm/bfloat16/checkpointing"),
        ("aver_throughput_gpu", "lstm/float32/eager"),
        ("aver_throughput_gpu", "lstm/bfloat16/eager"),
    ],
)
def test_the_reckoning_agrees_with_what_was_measured(file: str, way: str) -> None:
    stored = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))
    config, measured = stored["config"], stored["figures"][f"{way}/peak_memory"]["value"]
    system = System(precision=way.split("/")[1], checkpointing="checkpointing" in way)  # type: ignore[arg-type]
    corpus = clip(config["frames_per_clip"], config["seconds"])
    found = training_gib(corpus, Options(), system, Schedule(batch_size=config["batch"]))
    assert found == pytest.approx(measured, rel=0.1)


def test_what_needs_less() -> None:
    corpus, plain = clip(30, 1.0), System(frames_per_second=29.97)

    def beyond_base(system: System = plain, batch: int = 16) -> float:
        return training_gib(corpus, Options(), system, Schedule(batch_size=batch)) - memory.BASE_GIB

    whole, sound = beyond_base(), 16 * 256 * 250 / 224**2 * 11.5 / 1024
    assert beyond_base(batch=8) == pytest.approx(whole / 2)
    assert beyond_base(replace(plain, size=112)) == pytest.approx(sound + (whole - sound) / 4)
    assert beyond_base(replace(plain, frames_per_second=10)) == pytest.approx(sound + (whole - sound) / 3)
    assert beyond_base(replace(plain, frozen=True)) == 0


@pytest.mark.parametrize(("gib", "gpus", "expected"), [(1000.0, 0, 12), (10.0, 0, 3), (1.0, 0, 1), (1.0, 2, 2)])
def test_no_more_trainings_on_a_cpu_than_there_is_memory_for(
    gib: float, gpus: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: gpus)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    monkeypatch.setattr(memory, "memory_gib", lambda: gib)
    monkeypatch.setattr(memory, "training_gib", lambda *given: 3.0)
    assert trainings_at_once(clip(1, 1.0), Options(), System(), Schedule()) == expected


@pytest.mark.parametrize(("text", "expected"), [("1073741824\n", 1.0), ("max\n", None), ("9" * 19, None), (None, None)])
def test_a_container_s_limit_counts(
    text: str | None, expected: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "memory.max"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(memory, "LIMITS", (path,))
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert memory_gib() == (expected or whole)


def test_memory_that_really_cannot_be_had() -> None:
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(2**60, np.uint8)
    for error in (of_torch.value, of_numpy.value):
        told = what_ran_out(error)
        assert told is not None
        assert told.startswith("Memory ran out: ")
        assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"), "smaller --batch-size"),
        (MemoryError(), "Memory ran out: MemoryError"),
        (BrokenProcessPool("A process in the process pool was terminated abruptly."), "fewer --workers"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible"), "fewer --readers"),
        (RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nTraceback\nRuntimeError: unable to write "
                      "to file </torch_7_1_0>: No space left on device (28)"), "docker run --shm-size 8g"),
    ],
)  # fmt: skip
def test_what_to_do_where_memory_runs_out(error: Exception, text: str) -> None:
    told = what_ran_out(error)
    assert told is not None
    assert text in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["", "mat1 and mat2 cannot be multiplied", "Caught ValueError in DataLoader worker process 0.\nNo memory of it"],
)
def test_other_errors_are_none_of_memory(text: str) -> None:
    assert what_ran_out(RuntimeError(text)) is None

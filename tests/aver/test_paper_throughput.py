"""What the throughput benchmark makes of its measurements, by hand, and that it goes on where it was stopped."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from benchmarks._aver_system import CPU, GPU, Way, ways
from benchmarks.aver_throughput import figures_of, measured_before
from mrpnkit.records import versions
from mrpnkit.report.results import machine


def measured(way: str, device: str, seconds: list[float], gflop: float = 0.0) -> dict[str, Any]:
    half = [value / 2 for value in seconds]
    return {"way": way, "device": device, "step_seconds": seconds, "wait_seconds": [0.1 * s for s in seconds],
            "processor_seconds": half, "peak_gib": 3.0, "gflop_per_clip": gflop}  # fmt: skip


def test_every_way_is_measured_once() -> None:
    names = [way.name for way in ways(small=False)]
    assert len(names) == len(set(names)) == 9
    assert {"lstm/float32/eager", "transformer/bfloat16/compiled", "lstm/bfloat16/checkpointing"} <= set(names)
    assert Way("lstm", "bfloat16", compiled=True).name == "lstm/bfloat16/compiled"


def test_figures_of_a_cpu() -> None:
    found = [
        measured("lstm/float32/eager", "cpu", [4.0, 4.0]),
        measured("lstm/bfloat16/eager", "cpu", [1.0, 2.0], 410.0),
        measured("lstm/bfloat16/compiled", "cpu", [0.5, 0.7]),
    ]
    figures = figures_of(found, CPU, {})
    assert figures["lstm/float32/eager/clips_per_second"].value == pytest.approx(2 / 4)
    assert figures["lstm/bfloat16/eager/clips_per_second"].value == pytest.approx(4 / 3)
    assert figures["lstm/float32/eager/clips_per_processor_second"].value == pytest.approx(1.0)
    assert figures["lstm/bfloat16_speedup"].value == pytest.approx(2.0 / 0.75)
    assert figures["lstm/bfloat16/compiled_speedup"].value == pytest.approx(0.75 / 0.3)
    assert "lstm/float32/compiled_speedup" not in figures
    assert figures["lstm/bfloat16/eager/loader_wait"].value == pytest.approx(0.1)
    assert not any("matmul" in name for name in figures)


def test_figures_of_a_gpu_tell_the_share_of_the_peak() -> None:
    figures = figures_of([measured("lstm/bfloat16/eager", "H100", [0.5], 1000.0)], GPU, {"bfloat16": 320.0})
    clips = GPU.batch / 0.5
    assert figures["lstm/bfloat16/eager/share_of_matmul_peak"].value == pytest.approx(clips * 1e12 / 320e12)
    assert "lstm/bfloat16/eager/clips_per_processor_second" not in figures


def test_what_was_measured_is_kept_on_the_same_machine(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert measured_before(path, {"threads": 1}) == []
    stored = {"config": {"threads": 1, "load_average_before": 9.0, "not_measured": []}, "versions": versions(),
              "machine": machine(), "ways": [measured("lstm/float32/eager", "cpu", [1.0])]}  # fmt: skip
    path.write_text(json.dumps(stored))
    assert measured_before(path, {"threads": 1, "load_average_before": 0.1}) == stored["ways"]
    assert measured_before(path, {"threads": 2, "load_average_before": 0.1}) == []
    path.write_text(json.dumps({**stored, "machine": {"cores": 512}}))
    assert measured_before(path, {"threads": 1}) == []

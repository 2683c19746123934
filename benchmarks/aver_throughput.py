"""What the paper's full system costs: clips a second, memory, and how long the network waits for the loader.

Claim: training on whole clips of 224×224 frames and 256×250 segments of sound (ResNet-18 twice, N2, LSTM or
Transformer) goes at the measured rate on the machine that the result names; bfloat16 with channels_last is at least
1.5 times as fast as float32 where the processor knows bfloat16; and gradient checkpointing needs less memory. On a GPU
the share of the measured peak of matrix products is told, too.

Frames and sound are noise: speed does not depend on what they show. Everything that a training does is there: reading
from disk, augmentation (VA, T), forward, N+1 losses, backward, clipping, AdamW. Each way runs in a process of its own.

A run that was stopped goes on with the ways that are missing from the result file.

    python -m benchmarks.aver_throughput [--small] [--threads N] [--fresh] [--result FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._aver_system import CPU, FPS, GPU, SMALL, Size, Way, make_corpus, measure, ways
from mrpnkit.records import read_json, versions
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.report.results import machine

RESULTS = Path(__file__).parent / "results"


def measured_before(file: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    """The ways that the result file has already, where it was made on this machine with this configuration."""
    if not file.is_file():
        return []
    stored = read_json(file)
    free = ("load_average_before", "not_measured", "failed")
    before, now = ({k: v for k, v in c.items() if k not in free} for c in (stored["config"], config))
    same = before == now and stored["versions"] == versions() and stored["machine"] == machine()
    return list(stored["ways"]) if same else []


def matmul_peak(dtype: torch.dtype) -> float:
    """TFLOP/s of large square matrix products on the GPU, the best of several.

    Those of float32 are computed as torch computes its convolutions by default, with factors rounded to TensorFloat32.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    side, best = 8192, 0.0
    left, right = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(5):
            left @ right
        torch.cuda.synchronize()
        best = max(best, 5 * 2 * side**3 / (time.perf_counter() - start) / 1e12)
    return best


def figures_of(found: Sequence[dict[str, Any]], size: Size, peaks: dict[str, float]) -> dict[str, Figure]:
    """Clips a second by the clock and by the processor's time, memory, share of waiting, share of the peak."""
    figures: dict[str, Figure] = {}
    flops = {one["way"].split("/")[0]: one["gflop_per_clip"] for one in found if one["gflop_per_clip"]}
    for one in found:
        name = one["way"]
        whole, count = sum(one["step_seconds"]), len(one["step_seconds"])
        rate = size.batch * count / whole  # all clips by all seconds: a mean of the steps' rates would be more
        figures[f"{name}/clips_per_second"] = Figure(rate, "clips/s", n=count)
        if one["device"] == "cpu":
            busy = size.batch * count / sum(one["processor_seconds"])
            figures[f"{name}/clips_per_processor_second"] = Figure(busy, "clips/s", n=count)
        figures[f"{name}/loader_wait"] = Figure(sum(one["wait_seconds"]) / whole, "fraction of the time", n=count)
        figures[f"{name}/peak_memory"] = Figure(one["peak_gib"], "GiB")
        aggregator, precision = name.split("/")[:2]
        if precision in peaks and aggregator in flops:
            reached = flops[aggregator] * rate / 1e3
            figures[f"{name}/share_of_matmul_peak"] = Figure(reached / peaks[precision], "fraction")
    for aggregator, value in flops.items():
        figures[f"{aggregator}/gflop_per_clip"] = Figure(value, "GFLOP")
    costs = {one["way"]: statistics.fmean(one["processor_seconds" if one["device"] == "cpu" else "step_seconds"])
             for one in found}  # fmt: skip
    for aggregator in flops:
        pairs = {"bfloat16_speedup": ("float32/eager", "bfloat16/eager")}
        pairs |= {f"{p}/compiled_speedup": (f"{p}/eager", f"{p}/compiled") for p in ("float32", "bfloat16")}
        for name, both in pairs.items():
            slow, fast = (costs.get(f"{aggregator}/{way}") for way in both)
            if slow and fast:
                figures[f"{aggregator}/{name}"] = Figure(slow / fast, "times")
    for precision, value in peaks.items():
        figures[f"matmul_peak/{precision}"] = Figure(value, "TFLOP/s")
    return figures


def _apart(way: Way, size: Size, corpus: Path, threads: int, readers: int) -> dict[str, Any]:
    """:func:`measure` in a process of its own, so that its memory is its own.

    Raises:
        subprocess.CalledProcessError: it failed; what it said was printed by it.
    """
    given = json.dumps([asdict(way), asdict(size), str(corpus), threads, readers])
    command = [sys.executable, "-m", "benchmarks.aver_throughput", "--one", given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measures every way and writes the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny networks and pictures; writes no result file")
    parser.add_argument("--threads", type=int, default=None, help="of the CPU; default: all, with --small 1")
    parser.add_argument("--readers", type=int, default=None, help="loader processes; default: 0, on a GPU up to 12")
    parser.add_argument("--fresh", action="store_true", help="measure again what the result file has")
    parser.add_argument("--result", type=Path, default=None, help="default: aver_throughput.json, on a GPU …_gpu.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, size, corpus, threads, readers = json.loads(arguments.one)
        print(json.dumps(measure(Way(**way), Size(**size), Path(corpus), threads, readers)))
        return
    cuda = torch.cuda.is_available()
    file = arguments.result or RESULTS / ("aver_throughput_gpu.json" if cuda else "aver_throughput.json")
    threads = arguments.threads or (1 if arguments.small else os.cpu_count() or 1)
    size = SMALL if arguments.small else GPU if cuda else CPU
    readers = arguments.readers if arguments.readers is not None else min(12, os.cpu_count() or 1) if cuda else 0
    peaks = {"bfloat16": matmul_peak(torch.bfloat16), "float32": matmul_peak(torch.float32)} if cuda else {}
    config = {
        **asdict(size),
        "network": "n2",
        "frames_per_clip": round(size.seconds * FPS),
        "segments_per_clip": 1 + int(np.ceil(round((size.seconds - 1) / 0.2, 6))),
        "threads": threads,
        "readers": readers,
        "bfloat16": "autocast, with channels_last; float32 is contiguous",
        "compiled": "the two CNNs, by torch.compile; compiling falls into the steps that warm up",
        "load_average_before": round(os.getloadavg()[0], 1),
        "clock": "clips_per_second is by the clock and suffers from what else runs; clips_per_processor_second divides "
        "by the processor time of all threads of the process: the rate of one busy core",
        "gpu": f"{torch.cuda.get_device_name()}; float32 products in TensorFloat32 where torch does so by default"
        if cuda
        else "not measured",
    }
    planned = ways(small=arguments.small)
    found = [] if arguments.small or arguments.fresh else measured_before(file, config)
    done = {one["way"] for one in found}
    failed: list[str] = []

    def write() -> None:
        known = {one["way"] for one in found}
        write_result(
            file,
            claim="What a training step of the paper's full system costs on this machine.",
            config={
                **config,
                "not_measured": [way.name for way in planned if way.name not in known],
                **({"failed": failed} if failed else {}),
            },
            figures=figures_of(found, size, peaks),
            rows={"ways": found},
        )

    if found:
        write()
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder) / "corpus", size, (size.warm_up + size.steps + 1) * size.batch)
        for way in planned:
            if way.name in done:
                print(f"{way.name}: measured before")
                continue
            try:
                found.append(_apart(way, size, corpus, threads, readers))
            except subprocess.CalledProcessError as error:  # too little memory, no compiler: others may work
                failed.append(way.name)
                print(f"{way.name}: failed, exit code {error.returncode}; see above", flush=True)
                continue
            seconds = statistics.fmean(found[-1]["step_seconds"])
            print(f"{way.name}: {seconds:.2f} s a step, {found[-1]['peak_gib']:.1f} GiB", flush=True)
            if not arguments.small:  # after each way, so that a long run that is stopped leaves what it has measured
                write()
    if not found:
        raise SystemExit("No way to run the system could be measured; see above.")
    print_figures(figures_of(found, size, peaks))


if __name__ == "__main__":
    main()

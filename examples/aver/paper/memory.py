"""How much memory a training on frames and sound takes on a CPU, and for how many at once there is room."""

import os
from pathlib import Path

import torch

from examples.aver.paper.options import Options, Schedule, System
from examples.aver.paper.system import Shape, thin
from examples.aver.table import default_workers
from mrpnkit.data import Corpus

BASE_GIB = 1.5
PICTURE_MIB = {"float32": 21.0, "bfloat16": 11.5}
"""What a training of two ResNet-18 takes beside its batch, and for each picture of 224×224 in it: frames, or segments
of sound of as many pixels. Fitted to the peaks in ``benchmarks/results/aver_throughput.json`` and ``…_gpu.json``.
"""
CHECKPOINTING = 0.35
"""Share of that which is left with checkpointing."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells what a container may take."""


def training_gib(corpus: Corpus, options: Options, system: System, schedule: Schedule) -> float:
    """About what a training on both modalities takes, in GiB, with batches of whole clips and ResNet-18.

    With slices of clips (T) it takes less; other CNNs are taken for ResNet-18.

    Raises:
        InputError: no corpus of frames and sound.
    """
    shape = Shape.of(corpus)
    if system.frozen:
        return BASE_GIB
    frames, samples = (float(corpus.modalities[name].lengths.mean()) for name in ("video", "audio"))
    height, width = (system.size, system.size) if system.size else shape.frame[:2]
    segments = 1 + max(0.0, samples / shape.rate - 1) / options.hop_seconds
    pixels = frames / thin(system, shape.fps).n * height * width + segments * system.bands * shape.rate / system.hop
    mib = PICTURE_MIB[system.precision] * (CHECKPOINTING if system.checkpointing else 1)
    return BASE_GIB + schedule.batch_size * pixels / 224**2 * mib / 1024


def memory_gib() -> float:
    """Memory of this machine in GiB, or what of it the container may take."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in LIMITS:
        text = path.read_text(encoding="ascii").strip() if path.is_file() else ""
        sizes += [int(text)] if text.isdigit() else []
    return min(sizes) / 2**30


def trainings_at_once(corpus: Corpus, options: Options, system: System, schedule: Schedule) -> int:
    """One on each GPU; where there is none, one on each core as long as there is memory for all, and at least one."""
    if torch.accelerator.is_available():
        return default_workers()
    return max(1, min(default_workers(), int(memory_gib() / training_gib(corpus, options, system, schedule))))

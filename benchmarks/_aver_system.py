"""The paper's full system, trained for a few steps in one way; no benchmark by itself."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from examples.aver.clips import EMOTIONS
from examples.aver.paper.job import PaperJob, make_paper_trainer
from examples.aver.paper.options import Aggregator, Options, Schedule, System
from examples.aver.paper.system import Shape
from mrpnkit import MRPN
from mrpnkit.data import Corpus, CorpusWriter, Fold

FPS, RATE = 29.97, 16000.0


@dataclass(frozen=True)
class Size:
    """How much is measured: side of a frame, seconds of a clip, clips of a batch, steps after those that warm up."""

    side: int
    seconds: float
    batch: int
    steps: int
    warm_up: int
    cnn: str
    bands: int
    hop: int


SMALL = Size(side=32, seconds=1.2, batch=2, steps=1, warm_up=1, cnn="test_resnet", bands=32, hop=640)
CPU = Size(side=224, seconds=1.2, batch=2, steps=2, warm_up=1, cnn="resnet18", bands=256, hop=64)
GPU = Size(side=224, seconds=3.5, batch=8, steps=40, warm_up=4, cnn="resnet18", bands=256, hop=64)


@dataclass(frozen=True)
class Way:
    """One way to run the system."""

    aggregator: Aggregator
    precision: str
    compiled: bool
    checkpointing: bool = False

    @property
    def name(self) -> str:
        """Such as ``lstm/bfloat16/compiled``."""
        how = "compiled" if self.compiled else "checkpointing" if self.checkpointing else "eager"
        return f"{self.aggregator}/{self.precision}/{how}"


def ways(*, small: bool) -> list[Way]:
    """All that are measured: both aggregators and precisions, compiled or not, and checkpointing once."""
    if small:
        return [Way("lstm", "float32", compiled=False), Way("transformer", "bfloat16", compiled=False)]
    aggregators: tuple[Aggregator, ...] = ("lstm", "transformer")
    found = [Way(a, p, compiled=c) for p in ("float32", "bfloat16") for a in aggregators for c in (False, True)]
    return [*found, Way("lstm", "bfloat16", compiled=False, checkpointing=True)]


def make_corpus(folder: Path, size: Size, clips: int) -> Path:
    """Noise, shifted from clip to clip: three pretended actors, every emotion by each, written as a corpus is."""
    generator = np.random.default_rng(0)
    rates = {"video": FPS, "audio": RATE}
    frames, samples = round(size.seconds * FPS), round(size.seconds * RATE)
    video = generator.integers(0, 256, (frames, size.side, size.side, 3), dtype=np.uint8)
    audio = generator.standard_normal(samples).astype(np.float32)
    with CorpusWriter(folder, classes={"emotion": EMOTIONS}, rates=rates) as writer:
        for row in range(clips):
            groups = {"actor": str(row % 3), "sex": "male"}
            writer.add(
                str(row),
                {"video": np.roll(video, 7 * row, 1), "audio": np.roll(audio, 7 * row)},
                {"emotion": EMOTIONS[row % 8]},
                groups,
            )
    return folder


def measure(way: Way, size: Size, corpus: Path, threads: int, readers: int) -> dict[str, Any]:
    """Trains some steps in one way; seconds of each step and of waiting, memory, and FLOPs of a clip where eager."""
    torch.set_num_threads(threads)
    precision: Any = way.precision
    half = way.precision == "bfloat16"
    system = System(cnn=size.cnn, precision=precision, channels_last=half, checkpointing=way.checkpointing,
                    bands=size.bands, hop=size.hop)  # fmt: skip
    # Whole clips (NT), so that every step has as many frames; slicing only makes a step cheaper.
    job = PaperJob(corpus, corpus.parent, "n2", 0, 3, options=Options(time="NT", aggregator=way.aggregator),
                   system=system, schedule=Schedule(batch_size=size.batch, workers=readers))  # fmt: skip
    opened = Corpus.open(corpus)
    rows = np.arange(len(opened))
    fold = Fold(rows, rows[:2], rows[:2], (), ())  # all clips train; nothing is validated or tested here
    trainer, _ = make_paper_trainer(job, opened, fold, Shape.of(opened), written=False)
    model = trainer.plain_model
    cuda = trainer.accelerator.device.type == "cuda"
    if way.compiled:
        _compile(model)
    model.train()
    steps, waits, processor, flops = [], [], [], 0.0
    ticks, start = time.process_time(), time.perf_counter()
    # The loader reads one batch ahead, while the step before is called; so there is one batch more than steps.
    for number, batch in zip(range(size.warm_up + size.steps), trainer.batches, strict=False):
        waited = time.perf_counter() - start
        if number == 0 and not way.compiled and not way.checkpointing:
            with FlopCounterMode(display=False) as counter:
                trainer._step(batch)
            flops = counter.get_total_flops() / len(batch.rows)
        else:
            trainer._step(batch)
        if cuda:
            torch.cuda.synchronize()
        if number >= size.warm_up:
            steps.append(time.perf_counter() - start)
            waits.append(waited)
            processor.append(time.process_time() - ticks)
        elif cuda:
            torch.cuda.reset_peak_memory_stats()
        ticks, start = time.process_time(), time.perf_counter()
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "way": way.name,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "step_seconds": steps,
        "wait_seconds": waits,
        "processor_seconds": processor,
        "peak_gib": peak / 2**30,
        "gflop_per_clip": flops / 1e9,
    }


def _compile(model: torch.nn.Module) -> None:
    """Compiles the two CNNs, which do nearly all of the work; what is ragged around them stays eager."""
    if not isinstance(model, MRPN):
        raise TypeError(type(model))
    for branch in model.branches.values():
        network: torch.nn.Module = branch.extractor.network  # type: ignore[union-attr,assignment]
        network.compile(dynamic=False)

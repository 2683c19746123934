"""Tiny corpora of frames and sound, and settings that train on them in a moment."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from examples.aver.paper.job import PaperJob, run_paper_job
from examples.aver.paper.options import Options, Schedule, System, Weights
from examples.aver.paper.system import Shape, build_extractor
from mrpnkit.data import Corpus

ACTORS, CLASSES, SIDE, FPS, RATE = 6, ["calm", "happy", "sad"], 32, 8.0, 16000.0
SYSTEM = System(
    cnn="test_resnet", features=8, bands=32, hop=640, precision="float32", channels_last=False, frames_per_second=4.0
)
SHAPE = Shape(FPS, RATE, (SIDE, SIDE, 3), ("calm", "happy", "sad"))
SCHEDULE = Schedule(epochs=1, batch_size=6)


def noise(folder: Path, *, classes: list[str] | None = None, seconds: float = 1.2, dataset: str = "") -> Path:
    """Six actors of alternating sex, a clip of each class by each: noise whose level tells the class."""
    generator, names = np.random.default_rng(0), classes or CLASSES
    actors = np.repeat(np.arange(1, ACTORS + 1), len(names))
    labels = names * ACTORS
    video, audio = [], []
    for row, label in enumerate(labels):
        frames, samples = round((seconds + row % 2) * FPS), round((seconds + row % 2) * RATE)
        level = 40 + 60 * names.index(label)
        video.append(generator.integers(level, level + 50, (frames, SIDE, SIDE, 3), dtype=np.uint8))
        audio.append(generator.standard_normal(samples).astype(np.float32))
    corpus = Corpus.from_arrays(
        {"video": video, "audio": audio},
        {"emotion": labels},
        ids=[f"clip-{row}" for row in range(len(labels))],
        groups={"actor": actors.tolist(), "sex": ["male" if actor % 2 else "female" for actor in actors]},
        rates={"video": FPS, "audio": RATE},
        classes={"emotion": names},
    )
    corpus.about = {"dataset": dataset, "source": "noise"} if dataset else {"source": "noise"}
    return corpus.save(folder)


def finished(folder: Path) -> tuple[PaperJob, dict[str, Any]]:
    """A run of N2 on noise in ``folder/corpus``, and its figures."""
    job = tiny_job(noise(folder / "corpus"), folder / "runs")
    return job, run_paper_job(job)


def tiny_job(corpus: Path, out: Path, network: str = "n2", **changes: Any) -> PaperJob:
    """A job of one epoch on the first of three folds."""
    plain = PaperJob(corpus, out, network, 0, 3, 0, "honest", Options(), SYSTEM, SCHEDULE)
    return replace(plain, **changes)


def initial_weights(folder: Path) -> Weights:
    """Initial weights of both CNNs of :data:`SYSTEM`, as a pretraining leaves them."""
    torch.manual_seed(4)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("video", "audio"):
        network = build_extractor(name, SYSTEM, Options(), SHAPE).network
        files[name] = str(folder / f"{name}.safetensors")
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, files[name])
    return Weights(**files)

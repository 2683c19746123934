"""How long a run will take, measured on a few of its own steps before it starts."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch

from examples.aver.paper.job import PaperJob, evaluation_batches, make_paper_trainer
from examples.aver.paper.system import Shape, build_extractor, thin
from examples.aver.paper.thawing import freeze_for
from mrpnkit.data import Corpus
from mrpnkit.train import evaluate

STEPS = 2
"""Measured after one step that warms up."""


P = ParamSpec("P")
R = TypeVar("R")


def apart(function: Callable[P, R], *arguments: P.args, **settings: P.kwargs) -> R:
    """What a function returns, called in a process that then ends where there is a GPU: its memory is free again.

    The process that waits for trainings would else keep what it measured with, which they need. On a CPU the function
    is simply called.
    """
    if not torch.accelerator.is_available():
        return function(*arguments, **settings)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **settings).result()


class Estimate(NamedTuple):
    """Seconds of a training step, of a clip's evaluation, and of a whole run that takes all its epochs."""

    step_seconds: float
    clip_seconds: float
    run_seconds: float


def measure(job: PaperJob) -> Estimate:
    """Trains a few steps of a job, evaluates a batch, and reckons the whole; nothing is written."""
    corpus, shape = job.read_corpus(), Shape.of(Corpus.open(job.corpus))
    fold = job.split(corpus)
    trainer, objective = make_paper_trainer(job, corpus, fold, shape, written=False)
    freeze_for_end(job, trainer.plain_model)
    trainer.model.train()
    seconds, start = [], time.perf_counter()
    for batch in islice(trainer.batches, STEPS + 1):
        trainer._step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    step = statistics.fmean(seconds[1:] or seconds)
    some = fold.validation[:8]
    start = time.perf_counter()
    evaluate(trainer.plain_model, evaluation_batches(job, corpus, some), objective, bfloat16=trainer.bfloat16)
    clip = (time.perf_counter() - start) / len(some)
    epoch = step * len(trainer.batches) + clip * len(fold.validation)
    return Estimate(step, clip, epoch * job.schedule.epochs + clip * len(fold.test))


def freeze_for_end(job: PaperJob, model: torch.nn.Module) -> None:
    """Freezes as in the last epoch, the costliest."""
    if not job.system.frozen:
        freeze_for(model, job.schedule, job.schedule.epochs - 1)


def total(jobs: Sequence[PaperJob], *, workers: int) -> tuple[float, dict[str, Estimate]]:
    """Seconds that jobs take at most, and what was measured of each kind of job (network and options)."""
    measured: dict[str, Estimate] = {}
    seconds = 0.0
    for job in jobs:
        kind = f"{job.network}-{job.options.name}"
        if kind not in measured:
            measured[kind] = measure(job)
        seconds += measured[kind].run_seconds
    return seconds / max(1, min(workers, len(jobs))), measured


def spoken(seconds: float) -> str:
    """A duration as one says it.

    >>> spoken(50), spoken(600), spoken(10_000), spoken(1e6)
    ('50 s', '10 min', '2.8 h', '11.6 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def keeping_seconds(job: PaperJob) -> float:
    """Seconds to compute the features of frozen CNNs over the corpus, measured on two of its clips."""
    corpus = Corpus.open(job.corpus)
    shape = Shape.of(corpus)
    rows = np.array([0, len(corpus) - 1])
    seconds = 0.0
    for name in job.modalities:
        extractor = build_extractor(name, job.system, job.options, shape).eval()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        extractor.to(device)
        inputs = corpus.batch(name, rows)
        measured = type(inputs)(inputs.steps.to(device), inputs.lengths.to(device))
        start = time.perf_counter()
        with torch.no_grad():
            extractor(measured).steps.sum().item()
        every = thin(job.system, shape.fps).n if name == "video" else 1
        share = int(corpus.modalities[name].lengths.sum()) / max(1, int(inputs.lengths.sum()))
        seconds += (time.perf_counter() - start) * share / every
    return seconds

"""How long a run will take, measured on a few of its own steps before it starts."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from accelerate.utils import send_to_device

from examples.aver.paper.job import PaperJob, evaluation_batches, make_paper_trainer
from examples.aver.paper.system import Shape, build_extractor, thin
from examples.aver.paper.thawing import freeze_for
from mrpnkit.data import Corpus
from mrpnkit.devices import follow
from mrpnkit.train import Trainer, evaluate

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
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=follow) as pool:
        return pool.submit(function, *arguments, **settings).result()


class Estimate(NamedTuple):
    """Seconds of a training step, of a clip's evaluation, and of a whole run that takes all its epochs."""

    step_seconds: float
    clip_seconds: float
    run_seconds: float


def measure(job: PaperJob, *, threads: int | None = None) -> Estimate:
    """Trains a few steps of a job, evaluates a batch, and reckons the whole; nothing is written.

    Args:
        job: what is measured.
        threads: of the CPU, as the training will have them; by default those of this process.
    """
    corpus, shape = job.read_corpus(), Shape.of(Corpus.open(job.corpus))
    fold = job.split(corpus)
    alone = replace(job, schedule=replace(job.schedule, workers=0))  # readers are reckoned with, not started
    trainer, objective = make_paper_trainer(alone, corpus, fold, shape, written=False)
    freeze_for_end(job, trainer.plain_model)
    trainer.model.train()
    with _with_threads(threads):
        step = _step_seconds(trainer, readers=job.schedule.workers)
        some = fold.validation[:8]
        for rows in (some[:1], some):  # the first warms up
            start = time.perf_counter()
            batches = evaluation_batches(alone, corpus, rows)
            evaluate(trainer.plain_model, batches, objective, bfloat16=trainer.bfloat16)
        clip = (time.perf_counter() - start) / len(some)
    epoch = step * len(trainer.batches) + clip * len(fold.validation)
    return Estimate(step, clip, epoch * job.schedule.epochs + clip * len(fold.test))


def _step_seconds(trainer: Trainer, *, readers: int) -> float:
    """Of a step: its reading and its computing; the slower of the two where readers share the batches and read ahead.

    The first steps of a real training tell nothing of that: they take what readers had ready before.
    """
    reading, computing = [], []
    for positions in islice(trainer.batches.batch_sampler, STEPS + 1):
        start = time.perf_counter()
        with _with_threads(1 if readers else None):  # as a reader has
            batch = trainer.batches.dataset.__getitems__(positions)
        read = time.perf_counter()
        trainer._step(send_to_device(batch, trainer.accelerator.device))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        reading.append(read - start)
        computing.append(time.perf_counter() - read)
    read, computed = (statistics.fmean(seconds[1:] or seconds) for seconds in (reading, computing))
    return max(computed, read / readers) if readers else computed + read


@contextmanager
def _with_threads(count: int | None) -> Iterator[None]:
    """So many threads of torch in the block; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def freeze_for_end(job: PaperJob, model: torch.nn.Module) -> None:
    """Freezes as in the last epoch, the costliest."""
    if not job.system.frozen:
        freeze_for(model, job.schedule, job.schedule.epochs - 1)


def total(jobs: Sequence[PaperJob], *, workers: int, threads: int | None = None) -> tuple[float, dict[str, Estimate]]:
    """Seconds that jobs take, and what was measured of each kind of job (network and options).

    Args:
        jobs: all that are to be done.
        workers: trainings at once.
        threads: of each.
    """
    measured: dict[str, Estimate] = {}
    seconds = 0.0
    for job in jobs:
        kind = f"{job.network}-{job.options.name}"
        if kind not in measured:
            measured[kind] = measure(job, threads=threads)
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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seconds = 0.0
    for name in job.modalities:
        lengths = corpus.modalities[name].lengths
        if not lengths.any():
            continue
        rows = np.flatnonzero(lengths)[[0, -1]]
        extractor = build_extractor(name, job.system, job.options, shape).eval().to(device)
        for measured in (rows[:1], rows):  # the first warms up
            start = time.perf_counter()
            inputs = corpus.batch(name, measured)
            with torch.no_grad():
                extractor(send_to_device(inputs, device)).steps.sum().item()
        every = thin(job.system, shape.fps).n if name == "video" else 1
        seconds += (time.perf_counter() - start) * int(lengths.sum()) / int(lengths[rows].sum()) / every
    return seconds

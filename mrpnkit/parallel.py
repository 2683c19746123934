"""Folds of many runs at once: as many processes as there are cores or devices, each fold written whole by one."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.build import build_corpus, build_folds
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.devices import cuda_devices, join
from mrpnkit.errors import TrainingError
from mrpnkit.experiment import run_fold
from mrpnkit.holding import held
from mrpnkit.runs import FOLD, fold_folder


class FoldJob(NamedTuple):
    """A fold of a run to be trained and tested: the resolved configuration as JSON, where data and run lie, which."""

    config: str
    base: Path
    run: Path
    number: int
    cpu: bool

    @property
    def folder(self) -> Path:
        """Where the fold lies."""
        return fold_folder(self.run, self.number)

    def done(self) -> bool:
        """Whether it was finished before."""
        return (self.folder / FOLD).is_file()


def run_folds(jobs: Sequence[FoldJob], workers: int, *, say: Callable[[str], None] = lambda text: None) -> None:
    """Runs the folds that are not finished yet, so many at once; interrupted ones go on where they were.

    With several CUDA devices, of those that ``CUDA_VISIBLE_DEVICES`` names where it is set, the processes share them in
    turn; each has the cores divided by the number of processes as threads. An error in one fold lets those that have
    begun end, and is raised; what is finished stays. Ctrl-C ends them at once, and so does the end of this process,
    whatever ended it: no process is left behind.

    Args:
        jobs: of runs whose folders are claimed already (:func:`mrpnkit.runs.claim`).
        workers: processes, 1 or more.
        say: is told in a line what ends.

    Raises:
        TrainingError: a process was ended from outside, as where memory ran out.
    """
    waiting = [job for job in jobs if not job.done()]
    if not waiting:
        return
    workers = max(1, min(workers, len(waiting)))
    context = get_context("spawn")
    turn, stop, threads = context.Value("i", 0), context.RawValue("b", 0), max(1, (os.cpu_count() or 1) // workers)
    arguments = (threads, stop, turn, cuda_devices())
    with (
        _hidden_launcher(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=join, initargs=arguments) as pool,
    ):
        with _held_interrupts():
            futures = {pool.submit(_run, job): job for job in waiting}
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                job = futures[future]
                say(f"{count} of {len(waiting)}: {job.run.parent.name}/{job.run.name} fold {job.number}")
        except BrokenProcessPool as error:
            raise TrainingError(
                f"One of {workers} processes was ended from outside, perhaps because memory ran out: try fewer workers."
                " What is finished stays, and the same command goes on. A script of your own starts processes only "
                'below `if __name__ == "__main__":`.'
            ) from error
        except KeyboardInterrupt:
            stop.value = 1
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run(job: FoldJob) -> None:
    config = parse_config(json.loads(job.config), source="ablation")
    corpus = _corpus(job.config, job.base)
    fold = build_folds(config, corpus)[job.number - 1]
    with held(job.folder):
        run_fold(config, corpus, fold, job.number, job.folder, cpu=job.cpu)


@lru_cache(maxsize=4)
def _opened(source: str, base: Path) -> Corpus:
    return build_corpus(parse_config(json.loads(source), source="ablation"), base)


def _corpus(config: str, base: Path) -> Corpus:
    """The corpus, opened once a process for each choice of modalities, whatever the seed."""
    content: dict[str, Any] = json.loads(config)
    content["training"]["seed"] = 0
    return _opened(json.dumps(content, sort_keys=True), base)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Processes that begin here are deaf to Ctrl-C from their first moment; this one hears of it afterwards."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _hidden_launcher() -> Iterator[None]:
    """Processes of the pool are no processes of a launcher, whatever this one is."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)

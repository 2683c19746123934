"""Runs the comparison: all networks over all folds, several trainings at once, going on where it was stopped."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from examples.aver.comparison import Comparison
from examples.aver.figures import draw_figures
from examples.aver.job import Job, run_job
from examples.aver.recipe import CHOSEN_ON, NETWORKS, Recipe
from mrpnkit.devices import cuda_devices, join
from mrpnkit.report import Figure, print_figures, write_json, write_result

PROTOCOL = (
    "honest: folds without shared actors, sexes balanced; the epoch is selected on the actors of the next fold; the "
    "test actors are used once, after that"
)


def all_jobs(
    corpus: Path, out: Path, recipe: Recipe, *, folds: int, only_folds: int | None, seeds: Sequence[int],
    networks: Sequence[str] = NETWORKS,
) -> list[Job]:  # fmt: skip
    """Jobs of the comparison, fold by fold, the costly networks of a fold first."""
    chosen = range(folds if only_folds is None else min(only_folds, folds))
    order = [network for network in ("n2", "n1", "n0", "vm", "am") if network in networks]
    return [Job(corpus, out, n, fold, folds, seed, recipe) for fold in chosen for n in order for seed in seeds]


class Trainable(Protocol):
    """A training that :func:`run_jobs` runs: it can be pickled, and knows whether it was done before."""

    @property
    def network(self) -> str:
        """What is trained, as progress shows it."""

    @property
    def fold(self) -> int:
        """Number of the fold, from 0."""

    def done(self) -> dict[str, Any] | None:
        """The test figures of the finished run, or None."""


J = TypeVar("J", bound=Trainable)


def default_workers() -> int:
    """Trainings at once where nothing is said: one on each GPU, or one on each core where there is none."""
    return torch.accelerator.device_count() or os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[J],
    console: Console,
    *,
    workers: int | None = None,
    threads: int = 1,
    run: Callable[[J], dict[str, Any]] = run_job,  # type: ignore[assignment]
) -> list[dict[str, Any]]:
    """Runs what is not done yet, several trainings at once; results in job order. Several GPUs are taken in turn.

    An error in one training stops the rest and is raised; what is finished stays and is skipped next time. Ctrl-C ends
    all at once, and no process outlives this one.

    Args:
        jobs: what is run.
        console: where progress is shown.
        workers: trainings at once; by default :func:`default_workers`.
        threads: of each training.
        run: runs one job, in a process of its own; by default :func:`examples.aver.job.run_job`.
    """
    results = [job.done() for job in jobs]
    waiting = [place for place, result in enumerate(results) if result is None]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} trainings are done already.")
    workers = max(1, min(workers or default_workers(), len(waiting)))
    started, context = time.perf_counter(), get_context("spawn")
    stop = context.RawValue("b", 0)
    arguments = (threads, stop, context.Value("i", 0), cuda_devices())
    with (
        _bar(console, waiting) as (bar, task),
        ProcessPoolExecutor(workers, mp_context=context, initializer=join, initargs=arguments) as pool,
    ):
        futures = {pool.submit(run, jobs[place]): place for place in waiting}
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                results[futures[future]] = future.result()
                job = jobs[futures[future]]
                left = (time.perf_counter() - started) / count * (len(waiting) - count) / 60
                bar.update(task, advance=1, description=f"{job.network} fold {job.fold + 1}; {left:.0f} min left")
        except BaseException as error:
            stop.value = isinstance(error, KeyboardInterrupt)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [result for result in results if result is not None]


def run_table(
    corpus: Path,
    out: Path,
    recipe: Recipe,
    console: Console,
    *,
    title: str,
    folds: int,
    only_folds: int | None = None,
    seeds: Sequence[int] = (0,),
    workers: int | None = None,
    result: Path | None = None,
    prepare_seconds: float = 0.0,
) -> Comparison:
    """Trains what is missing, prints the table and the differences, draws the figures, writes the result file."""
    jobs = all_jobs(corpus, out, recipe, folds=folds, only_folds=only_folds, seeds=seeds)
    workers = workers or default_workers()
    results = run_jobs(jobs, console, workers=workers)
    comparison = Comparison.of(results)
    console.print(comparison.table(title))
    console.print(comparison.differences())
    console.print(comparison.verdict(), soft_wrap=True)
    console.print(f"Protocol: {PROTOCOL}.", soft_wrap=True)
    drawn = draw_figures(results, jobs, out / "figures")
    console.print(f"Figures: {', '.join(str(path) for path in drawn)}", soft_wrap=True)
    figures = comparison.figures()
    seconds = sum(one["wall_seconds"] for one in results)
    figures["minutes"] = Figure((seconds / min(workers, len(jobs)) + prepare_seconds) / 60, "min")
    figures["peak_gib"] = Figure(max(one["peak_gib"] for one in results), "GiB")
    write_json(out / "table.json", {"figures": {name: f._asdict() for name, f in figures.items()}, "runs": results})
    if result is not None:
        write_result(
            result,
            claim=(
                f"{title}: on test actors never seen in training or selection, the better of N1 and N2 is at least 2 "
                "points above N0 and not below the better single modality on nearly every fold."
            ),
            config={
                "recipe": asdict(recipe),
                "folds": folds,
                "seeds": list(seeds),
                "workers": workers,
                "threads_each": 1,
                "protocol": PROTOCOL,
                "settings": CHOSEN_ON,
                "minutes": "time of all trainings divided by the number of workers, and preparation",
            },
            figures=figures,
            rows={
                "folds": list(comparison.folds),
                "accuracy": comparison.accuracy,
                "differences": {f"{a}_minus_{b}": comparison.difference(a, b)._asdict() for a, b in comparison.pairs},
                "runs": [_row(one) for one in results],
            },
        )
        console.print(f"Result file: {result}")
    print_figures(figures)
    return comparison


def _row(result: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: round(value, 5) for name, value in result["metrics"].items()}
    rounded = {key: round(result[key], 2) for key in ("seconds", "wall_seconds", "peak_gib")}
    kept = {key: value for key, value in result.items() if key not in ("classes", "confusion")}
    return {**kept, **rounded, "metrics": metrics}


@contextmanager
def _bar(console: Console, waiting: Sequence[int]) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("trainings"), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console, disable=not waiting) as bar:
        yield bar, bar.add_task("", total=len(waiting))

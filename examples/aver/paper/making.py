"""Making a table of the paper: estimate, train what is missing, set ours beside the paper's, write everything."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.aver.demo import number_of_folds
from examples.aver.paper.cache import place_of
from examples.aver.paper.estimate import apart, keeping_seconds, measure, spoken, total
from examples.aver.paper.job import PaperJob, run_paper_job
from examples.aver.paper.memory import trainings_at_once
from examples.aver.paper.options import PROTOCOLS, Options, Protocol, Schedule, System
from examples.aver.paper.system import Shape
from examples.aver.paper.tables import FOLDS, Made, data_set_of, jobs_of, table_spec
from examples.aver.recipe import TARGET
from examples.aver.table import run_jobs
from mrpnkit.data import Corpus
from mrpnkit.report import print_figures, write_json, write_result

ON_FEATURES = (
    "How long training takes is measured on the features, so it is told once they are there; with them an epoch takes "
    "seconds."
)


def folds_of(corpus: Corpus, data: str) -> int:
    """How many folds the paper has for a data set: twelve pairs for RAVDESS, nine for CREMA-D; else a fold a pair."""
    actors = len(set(corpus.groups["actor"].tolist()))
    if data == "cremad" and actors >= 2 * len(FOLDS["cremad"]):
        return len(FOLDS["cremad"])
    return number_of_folds(corpus)


def make_table(
    number: int,
    corpus: Path,
    out: Path,
    console: Console,
    *,
    protocol: Protocol = "honest",
    options: Options | None = None,
    system: System | None = None,
    schedule: Schedule | None = None,
    folds: int | None = None,
    only_folds: int | None = None,
    seeds: Sequence[int] = (0,),
    workers: int | None = None,
    result: Path | None = None,
    estimate_only: bool = False,
) -> Made | None:
    """Runs a table of the paper on a corpus of frames and sound; finished runs are skipped.

    Args:
        number: 1 to 4.
        corpus: folder of the corpus.
        out: where runs and tables go.
        console: is told everything.
        protocol: what selects the epoch.
        options: what the table's rows do not say themselves.
        system: the networks.
        schedule: of training.
        folds: how many; by default the paper's number.
        only_folds: only the first so many of them.
        seeds: each fold is the mean over these.
        workers: trainings at once; by default one on each GPU, or on each core of a CPU that there is memory for.
        result: also write a result file.
        estimate_only: stop after the estimate, before anything is computed; None is returned.
    """
    opened = Corpus.open(corpus)
    shape = Shape.of(opened)
    data = data_set_of(shape.classes, opened.about)
    system, schedule, options = system or System(), schedule or Schedule(), options or Options()
    spec = table_spec(number, data, frozen=system.frozen)
    count = folds or folds_of(opened, data)
    planned = jobs_of(
        spec, corpus, out, folds=count, only_folds=only_folds, seeds=seeds, protocol=protocol, options=options,
        system=system, schedule=schedule,
    )  # fmt: skip
    jobs = list(dict.fromkeys(job for _, job in planned))  # rows may share a run
    for asked in overruled(options, [job.options for job in jobs]):
        console.print(
            f"Note: {asked} was asked for, and no row takes it: what a table is about, its rows say themselves.",
            soft_wrap=True,
        )
    parallel = workers or trainings_at_once(opened, options, system, schedule)
    threads = max(1, (os.cpu_count() or 1) // parallel)
    waiting = [job for job in jobs if job.done() is None]
    _say_estimate(waiting, parallel, threads, console, estimate_only=estimate_only)
    if estimate_only:
        return None
    done = dict(zip(jobs, run_jobs(jobs, console, workers=parallel, threads=threads, run=run_paper_job), strict=True))
    made = Made.of(spec, protocol, [(row, done[job]) for row, job in planned], frozen=system.frozen)
    _print(made, console)
    for note in made.notes():
        console.print(note, soft_wrap=True)
    stem = f"table-{number}-{data}-{protocol}"
    path = out / "tables" / f"{stem}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.markdown(), encoding="utf-8")
    figures = made.figures()
    rows = {"folds": list(made.folds), "accuracy": made.accuracy, "runs": [_brief(done[job]) for job in jobs]}
    write_json(out / "tables" / f"{stem}.json", {"figures": {n: f._asdict() for n, f in figures.items()}, **rows})
    console.print(f"Written: {path} and {stem}.json beside it.", soft_wrap=True)
    if result is not None:
        write_result(
            result,
            claim=f"Table {number} of the paper on {opened.about.get('source', data)}, by pixels and sound.",
            config={
                "protocol": PROTOCOLS[protocol],
                "options": asdict(options),
                "system": {**asdict(system), "weights": system.weights.fingerprint()},
                "schedule": asdict(schedule),
                "folds": count,
                "seeds": list(seeds),
                "clips": len(opened),
            },
            figures={f"table{number}/{label}": figure for label, figure in figures.items()},
            rows=rows,
        )
        console.print(f"Result file: {result}", soft_wrap=True)
    print_figures(figures)
    return made


def overruled(asked: Options, taken: Sequence[Options]) -> list[str]:
    """What was chosen by hand, other than the default, and is in none of the options that are taken.

    >>> overruled(Options(time="NT", overlap="WO"), [Options(overlap="WO")])
    ['time NT']
    """
    default = asdict(Options())
    return [
        f"{name} {value}"
        for name, value in asdict(asked).items()
        if value not in (default[name], *(getattr(one, name) for one in taken))
    ]


def say_features(jobs: Sequence[PaperJob], console: Console) -> list[PaperJob]:
    """Tells how long computing the features of frozen CNNs will take that are not there yet; a job for each of them."""
    kept = {
        place_of(job.out, job.system, job.options, job.modalities, job.corpus).folder: job
        for job in jobs
        if job.system.frozen
    }
    missing = [job for folder, job in kept.items() if not (folder / "corpus.json").is_file()]
    if missing:
        seconds = sum(apart(keeping_seconds, job) for job in missing)
        console.print(f"Computing the frozen CNNs' features, once: about {spoken(seconds)}.", soft_wrap=True)
    return missing


def say_time(job: PaperJob, console: Console, *, estimate_only: bool) -> None:
    """Tells how long a single training takes, unless it is done; what it must compute before that is told, too."""
    if job.done() is not None:
        return
    if say_features([job], console) and estimate_only:
        console.print(ON_FEATURES, soft_wrap=True)
        return
    measured = measure(job)
    console.print(
        f"{measured.step_seconds:.2f} s a step; about {spoken(measured.run_seconds)} in all, less if it stops early.",
        soft_wrap=True,
    )


def _say_estimate(
    jobs: Sequence[PaperJob], workers: int, threads: int, console: Console, *, estimate_only: bool
) -> None:
    if not jobs:
        console.print("Everything is trained already.")
        return
    missing = say_features(jobs, console)
    if missing and estimate_only:
        console.print(f"{len(jobs)} trainings to do. {ON_FEATURES}", soft_wrap=True)
        return
    for job in missing:
        apart(_keep, job)
    console.print(f"{len(jobs)} trainings to do; measuring a few steps …", soft_wrap=True)
    seconds, measured = apart(total, jobs, workers=workers, threads=threads)
    for kind, estimate in measured.items():
        console.print(
            f"  {kind}: {estimate.step_seconds:.2f} s a step, about {spoken(estimate.run_seconds)} a training",
            soft_wrap=True,
        )
    console.print(
        f"About {spoken(seconds)} in all, {workers} at once; less where trainings stop early.", soft_wrap=True
    )


def _keep(job: PaperJob) -> None:
    """Computes the features of a job's frozen CNNs; they are left on the disk, and not sent back."""
    job.read_corpus()


def print_heads(result: dict[str, Any], console: Console, title: str) -> None:
    """The test metrics of a run, a row a head."""
    shown = Table(title=title, title_justify="left")
    names = ("accuracy", "uar", "macro_f1", "loss")
    for name in ("head", *names):
        shown.add_column(name, justify="left" if name == "head" else "right")
    metrics = result["metrics"]
    for head in dict.fromkeys(key.split("/")[1] for key in metrics if "/" in key):
        shown.add_row(head, *(f"{metrics[f'{TARGET}/{head}/{name}']:.3f}" for name in names))
    console.print(shown)


def _print(made: Made, console: Console) -> None:
    """The table, six folds at a time as the paper prints it; mean and spread stand at the end."""
    header, *body = made.cells()
    folds = range(2, len(header) - 2)
    blocks = [folds[start : start + 6] for start in range(0, len(folds), 6)] or [folds]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        columns = [0, 1, *block, *((len(header) - 2, len(header) - 1) if last else ())]
        title = f"Table {made.spec.number}. {made.spec.title}" if number == 0 else None
        shown = Table(title=title, title_justify="left")
        for column in columns:
            shown.add_column(header[column], justify="left" if column < 2 else "right", no_wrap=True)
        for cells in body:
            shown.add_row(*(cells[column] for column in columns), style="dim" if cells[1] == "paper" else None)
        console.print(shown)


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in result.items() if key not in ("classes", "confusion")}
    return {**kept, "metrics": {name: round(value, 5) for name, value in result["metrics"].items()}}

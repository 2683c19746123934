"""The report of an epoch, and a progress bar over the epochs with the time left."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class EpochReport(NamedTuple):
    """What one epoch gave.

    Its number from 1, optimiser steps so far, seconds, learning rate, training loss of each term, validation metrics
    (of the fusion and of each branch), and whether it is the best so far. A training loss is the mean over the samples
    that have a label and, for a branch, its modality; it is NaN where none has.
    """

    epoch: int
    step: int
    seconds: float
    learning_rate: float
    train: dict[str, float]
    validation: dict[str, float] | None
    best: bool


@contextmanager
def epoch_bar(total: int, done: int, *, shown: bool) -> Iterator[Callable[[EpochReport], None]]:
    """Context that gives a function to call with each epoch's report; draws nothing where ``shown`` is False."""
    if not shown:
        yield lambda report: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda report: bar.update(task, advance=1, description=summary(report))


def summary(report: EpochReport) -> str:
    """One line of a report: training loss, and the first validation metric of each head, such as its accuracy."""
    loss = sum(value for value in report.train.values() if not math.isnan(value))
    parts, shown = [f"loss {loss:.3f}"], set()
    for name, value in (report.validation or {}).items():
        target, _, rest = name.partition("/")
        head = rest.partition("/")[0]
        if rest and (target, head) not in shown:
            shown.add((target, head))
            parts.append(f"{head} {value:.3f}")
    return "  ".join(parts)

"""A progress bar over the epochs, with the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrpnkit.train.trainer import EpochReport


@contextmanager
def epoch_bar(total: int, done: int, *, shown: bool) -> Iterator[Callable[["EpochReport"], None]]:
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


def summary(report: "EpochReport") -> str:
    """One line of a report: training loss, and each head's validation accuracy where there is one."""
    parts = [f"loss {sum(report.train.values()):.3f}"]
    for name, value in (report.validation or {}).items():
        if name.endswith("/accuracy"):
            parts.append(f"{name.split('/')[1]} {value:.3f}")
    return "  ".join(parts)

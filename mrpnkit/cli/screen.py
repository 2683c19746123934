"""What commands write on: the terminal, or a pipe that must not be cut at 80 columns."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


PIPE_WIDTH = 160


def console(*, errors: bool = False) -> "Console":
    """Where results go, or messages if ``errors``; a pipe gets wide lines."""
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else PIPE_WIDTH, soft_wrap=False)


def complain(what: str, text: str) -> None:
    """One message on the error stream, its first word red; the text is printed as it is."""
    from rich.text import Text

    console(errors=True).print(Text.assemble((f"{what}:", "red"), f" {text}"), soft_wrap=True)


def say(text: str) -> None:
    """A line about what happens, on the error stream, so that results can be piped; in the first process only."""
    from mrpnkit.runs import is_first_process

    if is_first_process():
        console(errors=True).print(text, markup=False, soft_wrap=True)


def print_protocol(told: str | None) -> None:
    """Beside figures of a run that adapts: which samples of those who are tested were used."""
    if told is not None:
        console().print(told, markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> "Table":
    """A table whose first ``left`` columns are aligned left and whose others right."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made

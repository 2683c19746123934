"""Tables of a report: one form for the page, for CSV and for LaTeX."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.errors import InputError
from mrpnkit.records import write_text

Value = str | int | float | bool | None
LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": r"\textless{}", ">": r"\textgreater{}",
         "|": r"\textbar{}", "−": "$-$", "±": r"$\pm$", "…": r"\dots{}"}  # fmt: skip


class Table(NamedTuple):
    """Rows of values under named columns; ``name`` is a file's name, ``caption`` a sentence."""

    name: str
    caption: str
    columns: list[str]
    rows: list[list[Value]]

    @classmethod
    def of(cls, name: str, caption: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> "Table":
        """From rows as mappings; columns in the order of their first appearance unless given, absent values None."""
        content = [dict(row) for row in rows]
        chosen = list(columns) or list(dict.fromkeys(key for row in content for key in row))
        return cls(name, caption, chosen, [[row.get(column) for column in chosen] for row in content])

    def csv(self) -> str:
        """Comma-separated, numbers in full, nothing for a value that is not there."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow(["" if absent(value) else value for value in row])
        return text.getvalue()

    def latex(self) -> str:
        """A ``table`` with ``booktabs`` rules; numbers as the page shows them."""
        numeric = [all(isinstance(row[place], int | float) or absent(row[place]) for row in self.rows)
                   for place in range(len(self.columns))]  # fmt: skip
        lines = [
            r"\begin{table}",
            rf"\caption{{{escaped(self.caption)}}}",
            rf"\begin{{tabular}}{{{''.join('r' if one else 'l' for one in numeric)}}}",
            r"\toprule",
            " & ".join(map(escaped, self.columns)) + r" \\",
            r"\midrule",
            *(" & ".join(escaped(shown(value)) for value in row) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Writes each table as ``NAME.csv`` and ``NAME.tex``; makes the folder. Returns the paths.

    Raises:
        InputError: two tables of one name.
    """
    names = [table.name for table in tables]
    if len(set(names)) != len(names):
        raise InputError(f"Two tables have one name: {sorted(names)}.")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        for ending, text in (("csv", table.csv()), ("tex", table.latex())):
            written.append(write_text(folder / f"{table.name}.{ending}", text))
    return written


def shown(value: Value) -> str:
    """As people read it: three decimals, yes and no, and a dash for what is not there.

    >>> shown(0.12345), shown(0.00004), shown(12), shown(None), shown(True)
    ('0.123', '4.0e-05', '12', '–', 'yes')
    """
    if absent(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
    return str(value)


def absent(value: Value) -> bool:
    """None, or a number that is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def escaped(text: str) -> str:
    """A text with LaTeX's signs as letters."""
    return "".join(LATEX.get(sign, sign) for sign in text)

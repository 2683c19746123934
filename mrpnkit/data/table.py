"""The table of samples of a corpus folder: ``samples.csv``.

A target has one column; one of several labels has a column ``TARGET/LABEL`` for each, of 0, 1 or nothing.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import CorpusError

Columns = tuple[list[str], dict[str, NDArray[Any]], dict[str, list[str]], dict[str, list[str]]]


LABELS = "labels"
"""The key that tells the names of several labels from those of classes in ``corpus.json``: ``{"labels": [...]}``."""
Named = Sequence[str] | Mapping[str, Sequence[str]] | None


def label_column(target: str, label: str) -> str:
    """The column of one of several labels."""
    return f"{target}/{label}"


def read_table(path: Path, targets: Mapping[str, Named], groups: Sequence[str]) -> Columns:
    """Ids, targets, classes and groups of a table.

    ``targets`` gives the class names, ``{"labels": names}`` for several labels, or None for values.

    Raises:
        CorpusError: a column or a class that ``corpus.json`` does not know, a value that is no number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise CorpusError(f"{path} has no samples.")
    several = {name: list(entry[LABELS]) for name, entry in targets.items() if isinstance(entry, Mapping)}
    single = [name for name in targets if name not in several]
    wanted = [label_column(name, label) for name, labels in several.items() for label in labels]
    missing = {"id", *single, *wanted, *groups} - set(rows[0])
    if missing:
        raise CorpusError(f"{path} lacks the columns {sorted(missing)}.")
    columns: dict[str, NDArray[Any]] = {}
    for name, classes in targets.items():
        if name in several:
            cells = [[row[label_column(name, label)] for label in several[name]] for row in rows]
            columns[name] = _cells(path, name, cells)
            continue
        texts = [row[name] for row in rows]
        if classes is None:
            columns[name] = np.array([float(text) if text else math.nan for text in texts], dtype=np.float32)
            continue
        place = {c: i for i, c in enumerate(cast(Sequence[str], classes))}
        unknown = sorted(set(texts) - set(place) - {""})
        if unknown:
            raise CorpusError(f"{path}: {name!r} has the classes {unknown}; corpus.json knows {list(classes)}.")
        columns[name] = np.array([place[text] if text else -1 for text in texts], dtype=np.int64)
    named = {name: several.get(name) or list(classes) for name, classes in targets.items() if classes is not None}
    return [row["id"] for row in rows], columns, named, {name: [row[name] for row in rows] for name in groups}


def _cells(path: Path, name: str, cells: list[list[str]]) -> NDArray[np.int64]:
    known = {"": -1, "0": 0, "1": 1}
    unknown = sorted({text for row in cells for text in row} - set(known))
    if unknown:
        raise CorpusError(f"{path}: labels of {name!r} are {unknown[0]!r}; expected 0, 1 or nothing.")
    return np.array([[known[text] for text in row] for row in cells], dtype=np.int64)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes the table; texts as they are, quoted where the CSV format needs it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        plain = csv.writer(file, lineterminator="\n")
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in (header, *rows):
            # A lone carriage return would end the line when it is read; the plain writer does not quote it.
            (quoted if any("\r" in text for text in row) else plain).writerow(row)

"""The table of samples of a corpus folder: ``samples.csv``."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import CorpusError

Columns = tuple[list[str], dict[str, NDArray[Any]], dict[str, list[str]], dict[str, list[str]]]


def read_table(path: Path, targets: Mapping[str, Sequence[str] | None], groups: Sequence[str]) -> Columns:
    """Ids, targets, classes and groups of a table; ``targets`` gives the class names, or None for values.

    Raises:
        CorpusError: a column or a class that ``corpus.json`` does not know, a value that is no number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise CorpusError(f"{path} has no samples.")
    missing = {"id", *targets, *groups} - set(rows[0])
    if missing:
        raise CorpusError(f"{path} lacks the columns {sorted(missing)}.")
    columns: dict[str, NDArray[Any]] = {}
    for name, classes in targets.items():
        texts = [row[name] for row in rows]
        if classes is None:
            columns[name] = np.array([float(text) if text else math.nan for text in texts], dtype=np.float32)
            continue
        place = {c: i for i, c in enumerate(classes)}
        unknown = sorted(set(texts) - set(place) - {""})
        if unknown:
            raise CorpusError(f"{path}: {name!r} has the classes {unknown}; corpus.json knows {list(classes)}.")
        columns[name] = np.array([place[text] if text else -1 for text in texts], dtype=np.int64)
    named = {name: list(classes) for name, classes in targets.items() if classes is not None}
    return [row["id"] for row in rows], columns, named, {name: [row[name] for row in rows] for name in groups}


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes the table; texts as they are, quoted where the CSV format needs it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        plain = csv.writer(file, lineterminator="\n")
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in (header, *rows):
            # A lone carriage return would end the line when it is read; the plain writer does not quote it.
            (quoted if any("\r" in text for text in row) else plain).writerow(row)

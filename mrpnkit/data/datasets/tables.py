"""Tables joined by id: one of samples, and for each modality its own, or some columns of the first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.arrays import Modality
from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.options import as_options
from mrpnkit.data.datasets.places import check_known, listed
from mrpnkit.data.datasets.registry import DATASETS
from mrpnkit.data.datasets.sample_table import (
    SampleTable,
    Unlisted,
    check_unique,
    pieces_of,
    rows_of,
    sample_table,
)
from mrpnkit.data.datasets.steps import Kind, as_steps
from mrpnkit.data.datasets.table_file import CsvTable, ParquetTable, TableFile
from mrpnkit.errors import CorpusError, InputError


@dataclass(frozen=True, kw_only=True)
class TableModality:
    """Where the steps of a modality stand.

    Attributes:
        path: its own table, joined by id. Each row is a step: several rows of one id are a sequence, and an id
            without a row lacks the modality. By default the table of samples, where every sample has one step, or none
            where all its cells are empty.
        columns: names, which are read in this order, or patterns with ``*`` and ``?``, which stand for what matches in
            the order of the table; by default all that are no id, order, target or group.
        order: column of numbers by which the steps of a sample are sorted; by default they stand in order.
        kind: for a single column of lists (Parquet): whether a list is a ``"vector"`` or a ``"sequence"``; ``"auto"``
            takes lists of numbers for vectors and lists of lists for sequences.
        rate: steps a second, if it has a time.
    """

    path: str | None = None
    columns: Sequence[str] = ("*",)
    order: str | None = None
    kind: Kind = "auto"
    rate: float | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  (pydantic's own name; no field)


class _Choices(NamedTuple):
    path: str
    modalities: dict[str, TableModality]
    targets: Sequence[str]
    values: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    groups: Sequence[str]
    id: str
    classes: Mapping[str, Sequence[str]]
    unlisted: Unlisted


@DATASETS.register("csv")
class Csv:
    """CSV files in UTF-8 with a header line: a table of samples, and modalities in columns of it or in further tables.

    The features of a modality are read line by line and kept as float32, in memory.

    Args:
        path: the table of samples, a row each, with the columns of ids, targets and groups.
        modalities: by name, in the order of the branches, where their steps stand: see :class:`TableModality`.
        targets: columns of names of classes; an empty cell is a missing label.
        values: columns of numbers that are to be predicted as such; an empty cell is a missing value.
        labels: targets of several labels at once: by name the columns of their labels, of 1, 0, or an empty cell where
            it is not known.
        groups: columns of what must not be split or must be balanced, such as the speaker.
        id: name of the column of ids, in all tables.
        classes: for a target the names of its classes in order; by default sorted, as numbers where all are.
        delimiter: what separates cells.
        unlisted: rows of a modality whose id the table of samples lacks: ``"refuse"`` or ``"skip"`` them.

    Raises:
        CorpusError: a file or column that is not there, ids that stand twice, ids of a modality that the table of
            samples does not know, a target without labels.
        InputError: a cell that is no number; an empty one or NaN is named by sample and modality.
    """

    def __init__(
        self,
        *,
        path: str,
        modalities: Mapping[str, TableModality],
        targets: Sequence[str] = (),
        values: Sequence[str] = (),
        labels: Mapping[str, Sequence[str]] | None = None,
        groups: Sequence[str] = (),
        id: str = "id",
        classes: Mapping[str, Sequence[str]] | None = None,
        delimiter: str = ",",
        unlisted: Unlisted = "refuse",
    ) -> None:
        if len(delimiter) != 1:
            raise InputError(f"delimiter must be a single character, got {delimiter!r}.")
        parts = as_options(TableModality, modalities, "modalities")
        self.choices = _Choices(path, parts, targets, values, labels or {}, groups, id, classes or {}, unlisted)
        self.delimiter = delimiter

    def load(self, folder: Path) -> Corpus:
        """Reads the tables."""
        return _corpus(self.choices, lambda path: CsvTable(folder, path, delimiter=self.delimiter))


@DATASETS.register("parquet")
class Parquet:
    """Parquet files: a table of samples, and modalities in columns of it or in their own tables.

    As :class:`Csv`; besides, a modality may be one column of lists. Only the columns that are needed are read, by row
    group, and kept as float32 in memory. The package pyarrow is needed: ``pip install 'mrpnkit[hub]'``.

    Args:
        path: the table of samples, a row each, with the columns of ids, targets and groups.
        modalities: by name, in the order of the branches, where their steps stand: see :class:`TableModality`.
        targets: columns of classes, by name or as whole numbers; null is a missing label.
        values: columns of numbers that are to be predicted as such; null is a missing value.
        labels: targets of several labels at once: by name the columns of their labels, of 1, 0, or null where it is
            not known.
        groups: columns of what must not be split or must be balanced, such as the speaker.
        id: name of the column of ids, in all tables.
        classes: for a target the names of its classes in order; by default sorted, as numbers where all are.
        unlisted: rows of a modality whose id the table of samples lacks: ``"refuse"`` or ``"skip"`` them.

    Raises:
        DependencyError: pyarrow is not installed.
        CorpusError, InputError: as :class:`Csv`.
    """

    def __init__(
        self,
        *,
        path: str,
        modalities: Mapping[str, TableModality],
        targets: Sequence[str] = (),
        values: Sequence[str] = (),
        labels: Mapping[str, Sequence[str]] | None = None,
        groups: Sequence[str] = (),
        id: str = "id",
        classes: Mapping[str, Sequence[str]] | None = None,
        unlisted: Unlisted = "refuse",
    ) -> None:
        parts = as_options(TableModality, modalities, "modalities")
        self.choices = _Choices(path, parts, targets, values, labels or {}, groups, id, classes or {}, unlisted)

    def load(self, folder: Path) -> Corpus:
        """Reads the tables."""
        return _corpus(self.choices, lambda path: ParquetTable(folder, path))


def samples_of_table(
    table: TableFile,
    *,
    id: str,
    targets: Sequence[str],
    values: Sequence[str],
    labels: Mapping[str, Sequence[str]],
    groups: Sequence[str],
    classes: Mapping[str, Sequence[str]],
) -> SampleTable:
    """The table of samples, its columns checked and coded; see :class:`Csv` for the arguments."""
    both = sorted(set(targets) & set(values))
    if both:
        raise CorpusError(f"{table.where}: {both[0]!r} is named in targets and in values; choose one.")
    both = sorted(set(labels) & {*targets, *values})
    if both:
        raise CorpusError(f"{table.where}: two targets would be called {both[0]!r}; name that of labels otherwise.")
    cells = [column for names in labels.values() for column in names]
    columns = table.values([id, *dict.fromkeys([*targets, *values, *cells, *groups])])
    coded: dict[str, Any] = {name: _names(columns[name]) for name in targets}
    coded |= {name: _floats(table.where, name, columns[name]) for name in values}
    for name, names in labels.items():
        if not names:
            raise CorpusError(f"{table.where}: labels.{name} names no column; give one for each label.")
        coded[name] = np.stack([_floats(table.where, one, columns[one]) for one in names], axis=1)
    classes = {**classes, **labels}
    chosen = {name: ["" if value is None else value for value in columns[name]] for name in groups}
    ids = ["" if value is None else str(value) for value in columns[id]]
    return sample_table(table.where, ids, targets=coded, groups=chosen, classes=classes)


def _corpus(choices: _Choices, opened: Callable[[str], TableFile]) -> Corpus:
    main = opened(choices.path)
    samples = samples_of_table(
        main,
        id=choices.id,
        targets=choices.targets,
        values=choices.values,
        labels=choices.labels,
        groups=choices.groups,
        classes=choices.classes,
    )
    modalities = {}
    for name, where in choices.modalities.items():
        table = main if where.path is None else opened(where.path)
        modalities[name] = _modality(name, where, table, samples, choices)
    return samples.corpus(modalities)


def _modality(name: str, where: TableModality, table: TableFile, samples: SampleTable, choices: _Choices) -> Modality:
    columns = _chosen(name, where, table, choices)
    own = table.values([choices.id, *([where.order] if where.order else [])])
    ids = ["" if value is None else str(value) for value in own[choices.id]]
    listed_rows = rows_of(name, table.where, ids, samples, choices.unlisted)
    features = table.features(columns)
    there = listed_rows >= 0
    if where.path is None and not isinstance(features, list):
        there &= ~np.isnan(features).all(axis=1)  # all cells of a sample are empty: it lacks the modality
    kept = np.flatnonzero(there)
    rows, ids = listed_rows[kept], [ids[row] for row in kept]
    features = [features[row] for row in kept] if isinstance(features, list) else features[kept]
    if isinstance(features, list):
        return _of_lists(name, where, table, samples, (ids, rows, features))
    steps = np.arange(len(rows)) if where.order is None else _floats(table.where, where.order, own[where.order])[kept]
    order = np.lexsort((steps, rows))
    lengths = np.bincount(rows, minlength=len(samples.ids))
    _check_present(name, table, columns, samples, rows, features)
    return Modality(features[order], lengths.astype(np.int64), where.rate, tuple(columns))


def _of_lists(
    name: str,
    where: TableModality,
    table: TableFile,
    samples: SampleTable,
    cells: tuple[list[str], NDArray[np.int64], list[NDArray[Any]]],
) -> Modality:
    ids, rows, features = cells
    if where.order is not None:
        raise InputError(f"{table.where}: {name!r} is a column of lists, a row a sample; it takes no order.")
    check_unique(table.where, ids)
    pieces: list[NDArray[Any] | None] = [None] * len(samples.ids)
    for row, cell in zip(rows, features, strict=True):
        pieces[row] = as_steps(cell, where.kind) if cell.size else None
    return pieces_of(name, samples.ids, pieces, where.rate)


def _chosen(name: str, where: TableModality, table: TableFile, choices: _Choices) -> list[str]:
    """The columns of a modality: names as they are written, a pattern as what matches in the order of the table."""
    several = [column for columns in choices.labels.values() for column in columns]
    other = {choices.id, where.order, *choices.targets, *choices.values, *several, *choices.groups}
    exact = [column for column in where.columns if not any(sign in column for sign in "*?")]
    check_known("column", exact, table.columns, table.where)
    leaked = [column for column in exact if column in other]
    if leaked:
        raise CorpusError(
            f"{table.where}: the column {leaked[0]!r} is an id, order, target or group; it cannot be a feature of "
            f"{name!r} as well."
        )
    free = [column for column in table.columns if column not in other]
    matching = ([p] if p in exact else [c for c in free if fnmatchcase(c, p)] for p in where.columns)
    found = list(dict.fromkeys(column for columns in matching for column in columns))
    if not found:
        raise CorpusError(
            f"{table.where}: no column for {name!r} matches {listed(where.columns)}. Columns that could be features "
            f"are {listed(free)}."
        )
    return found


def _check_present(
    name: str,
    table: TableFile,
    columns: Sequence[str],
    samples: SampleTable,
    rows: NDArray[np.int64],
    features: NDArray[Any],
) -> None:
    wrong = np.argwhere(~np.isfinite(features))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"{name!r} of sample {samples.ids[rows[row]]!r} is empty, NaN or infinite ({table.where}, column "
            f"{columns[column]!r}). Mend the feature; of a sample that lacks the modality all cells are empty, or in "
            f"a table of its own, modalities.{name}.path, it has no row."
        )


def _names(column: Sequence[Any]) -> list[Any]:
    """Cells of a target as names of classes; a whole number that the file has as a float is written as one."""
    return [
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() else (None if cell is None else str(cell))
        for cell in column
    ]


def _floats(where: str, name: str, column: Sequence[Any]) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if value is None else float(value) for value in column], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: the column {name!r} must hold numbers: {error}.") from error

"""Tables in CSV and Parquet files, read by column and in pieces."""

import csv
import json
import math
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.datasets.options import missing_package
from mrpnkit.data.datasets.places import check_known, existing_file
from mrpnkit.data.datasets.steps import numbers
from mrpnkit.errors import CorpusError, InputError

OTHER_DELIMITERS = (",", ";", "\t", "|")
"""What else separates the cells of tables."""


class TableFile(Protocol):
    """A table in a file. ``where`` names it in error texts, ``columns`` are its columns in order."""

    where: str
    columns: list[str]

    def values(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Columns as lists: texts (CSV) or what the file has (Parquet); None where a cell is empty."""
        ...

    def features(self, columns: Sequence[str]) -> NDArray[Any] | list[NDArray[Any]]:
        """Columns of numbers, (rows, columns), NaN where a cell is empty; or an array a row, for a column of lists."""
        ...


class CsvTable:
    """A CSV file with a header line. ``features`` reads line by line and keeps numbers alone, as float32."""

    def __init__(self, folder: Path, path: str, *, delimiter: str = ",") -> None:
        self.where, self._delimiter = path, delimiter
        self._file = existing_file(folder, path, "table")
        with self._rows() as rows:
            self.columns: list[str] = next(rows, [])
        if not self.columns:
            raise CorpusError(f"{path} is empty; expected a header line with the names of the columns.")
        other = next((mark for mark in OTHER_DELIMITERS if mark != delimiter and mark in self.columns[0]), None)
        if len(self.columns) == 1 and other:
            raise CorpusError(
                f"{path} has a single column, {self.columns[0]!r}. If {other!r} separates its cells, give the data set "
                f"delimiter = {json.dumps(other)} where it has that option, or separate them by {delimiter!r}."
            )
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise CorpusError(f"{path} has two columns named {twice[0]!r}; names must be unique.")

    def values(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Columns of texts; None where a cell is empty."""
        check_known("column", columns, self.columns, self.where)
        places = [self.columns.index(name) for name in columns]
        found: dict[str, list[Any]] = {name: [] for name in columns}
        for _, row in self._lines():
            for name, place in zip(columns, places, strict=True):
                found[name].append(row[place] or None)
        return found

    def features(self, columns: Sequence[str]) -> NDArray[Any]:
        """Columns of numbers, (rows, columns)."""
        check_known("column", columns, self.columns, self.where)
        places = [self.columns.index(name) for name in columns]
        found = array("f")
        for line, row in self._lines():
            try:
                found.extend([float(row[place]) if row[place] else math.nan for place in places])
            except ValueError:
                for name, place in zip(columns, places, strict=True):
                    _check_number(self.where, line, name, row[place])
        return np.frombuffer(found, dtype=np.float32).reshape(-1, len(columns))

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        with self._rows() as rows:
            next(rows)
            for line, row in enumerate(rows, start=2):
                if not row:
                    continue
                if len(row) != len(self.columns):
                    raise CorpusError(
                        f"{self.where}, row {line}: {len(row)} cells for {len(self.columns)} columns. Is the table "
                        f"separated by {self._delimiter!r}, and texts with a {self._delimiter!r} quoted?"
                    )
                yield line, row

    @contextmanager
    def _rows(self) -> Iterator[Iterator[list[str]]]:
        try:
            with self._file.open(newline="", encoding="utf-8-sig") as file:
                yield csv.reader(file, delimiter=self._delimiter)
        except (UnicodeDecodeError, csv.Error) as error:
            raise CorpusError(f"{self.where} cannot be read as a CSV file in UTF-8: {error}") from error


class ParquetTable:
    """A Parquet file, read by column and row group; the package pyarrow is needed."""

    def __init__(self, folder: Path, path: str) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise missing_package("pyarrow", "The data set 'parquet'", "hub") from error
        self.where = path
        file = existing_file(folder, path, "table")
        try:
            self._file: Any = pyarrow.parquet.ParquetFile(file)
        except (pyarrow.ArrowException, OSError) as error:
            raise CorpusError(f"{path} cannot be read as Parquet: {error}") from error
        self.columns = list(self._file.schema_arrow.names)

    def values(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Columns as the file has them; None where a cell is empty."""
        check_known("column", columns, self.columns, self.where)
        table = self._file.read(columns=list(columns))
        return {name: table.column(name).to_pylist() for name in columns}

    def features(self, columns: Sequence[str]) -> NDArray[Any] | list[NDArray[Any]]:
        """Columns of numbers, (rows, columns); or an array a row, for one column of lists."""
        import pyarrow

        check_known("column", columns, self.columns, self.where)
        kinds = {name: self._file.schema_arrow.field(name).type for name in columns}
        lists = [name for name, kind in kinds.items() if pyarrow.types.is_nested(kind)]
        if lists and len(columns) > 1:
            raise InputError(
                f"{self.where}: the column {lists[0]!r} holds lists; it must be the only column of its modality."
            )
        wrong = [name for name, kind in kinds.items() if not (_is_number(kind) or name in lists)]
        if wrong:
            raise InputError(f"{self.where}: the column {wrong[0]!r} holds {kinds[wrong[0]]}; expected numbers.")
        if lists:
            cells = (cell for batch in self._file.iter_batches(columns=lists) for cell in batch.column(0).to_pylist())
            return [
                numbers([] if cell is None else cell, f"{self.where}, row {row}, column {lists[0]!r}")
                for row, cell in enumerate(cells, start=1)
            ]
        parts = [
            np.stack([batch.column(name).cast(_widest(kinds[name])).to_numpy(False) for name in columns], axis=1)
            for batch in self._file.iter_batches(columns=list(columns))
        ]
        return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts]) if parts else np.empty((0, 1))


def _is_number(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _widest(kind: Any) -> Any:
    import pyarrow

    return pyarrow.uint8() if pyarrow.types.is_boolean(kind) else kind


def _check_number(where: str, line: int, column: str, text: str) -> None:
    try:
        float(text or "nan")
    except ValueError:
        raise InputError(f"{where}, row {line}, column {column!r}: {text!r} is no number.") from None

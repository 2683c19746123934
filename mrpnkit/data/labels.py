"""Labels as users have them: what counts as missing; several at once, from columns or names, to (n, L) of −1, 0, 1."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.errors import InputError

MISSING = -1
TargetValue = str | float | Collection[str] | Mapping[str, bool | int | None] | None
"""A sample's value of a target: a class, a number, the labels that hold, what is known of each label; None: missing."""


def is_missing(value: Any) -> bool:
    """Whether a label, or the name of a group, is not there: None, NaN, or pandas' NA and NaT, without pandas.

    >>> [is_missing(value) for value in (None, float("nan"), np.datetime64("NaT"), "nan", 0, "")]
    [True, True, True, False, False, False]
    """
    kind = type(value)
    if value is None or (kind.__name__ in ("NAType", "NaTType") and kind.__module__.partition(".")[0] == "pandas"):
        return True
    return isinstance(value, float | np.generic) and bool(value != value)


def text_of(value: Any) -> str:
    """The name of a group, such as a person, as a text; an empty one where it is missing.

    >>> text_of(7), text_of(None)
    ('7', '')
    """
    return "" if is_missing(value) else str(value)


def sets_of_names(values: Any) -> list[Collection[str] | None] | None:
    """The values, where each is a collection of names (or None: missing), and at least one is; None where not."""
    if isinstance(values, np.ndarray | Tensor | str) or not isinstance(values, Sequence):
        return None
    known = [value for value in values if not is_missing(value)]
    if {isinstance(value, list | tuple | set | frozenset) for value in known} != {True}:
        return None
    if not all(isinstance(entry, str) for value in known for entry in value):
        return None
    return [None if is_missing(value) else value for value in values]


def labels_of_names(
    name: str, sets: Sequence[Collection[str] | None], classes: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """From the names that hold for each sample to (n, L) and the names of the columns, sorted unless given.

    Raises:
        InputError: a name that is not among the declared ones, or no name at all.
    """
    found = sorted({entry for names in sets if names is not None for entry in names})
    columns = list(classes) if classes else found
    if not columns:
        raise InputError(f"Target {name!r}: no sample has any label, and classes does not name them.")
    return np.stack([coded(name, names, columns) for names in sets]), columns


def labels_of_columns(
    name: str, array: NDArray[Any], classes: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """From columns (n, L) of 0, 1 and −1 (or NaN) to int64 and the names of the columns, numbers unless given.

    Raises:
        InputError: other values, or another number of names.
    """
    columns = list(classes) if classes else [str(place) for place in range(array.shape[1])]
    if len(columns) != array.shape[1] or not columns:
        raise InputError(f"Target {name!r} has {array.shape[1]} columns, and {len(columns)} names of labels.")
    if array.dtype.kind not in "fiub":
        raise InputError(f"Target {name!r} has columns of type {array.dtype}; expected 0, 1, and −1 where not known.")
    plain = np.where(np.isnan(array), MISSING, array) if array.dtype.kind == "f" else array
    wrong = np.argwhere(~np.isin(plain, (MISSING, 0, 1)))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"Target {name!r}: the label {columns[column]!r} of sample {row} is {array[row, column]}; expected 1 where "
            "it holds, 0 where not, and −1 or NaN where that is not known. Several values of one sample are several "
            "targets."
        )
    return plain.astype(np.int64), columns


def coded(name: str, value: Any, columns: Sequence[str]) -> NDArray[np.int64]:
    """One sample's value as (L,): the names that hold, a mapping from names, L numbers, or None where all is missing.

    Raises:
        InputError: a name that is no column, or numbers that are not −1, 0 or 1.
    """
    if value is None:
        return np.full(len(columns), MISSING, dtype=np.int64)
    if isinstance(value, str | float | int):
        raise InputError(f"Target {name!r} has several labels; expected the names that hold, got {value!r}.")
    if isinstance(value, np.ndarray):
        return one_row(name, value, columns)
    unknown = sorted(set(value) - set(columns))
    if unknown:
        raise InputError(f"Target {name!r}: the labels {unknown} are not among the declared {list(columns)}.")
    if isinstance(value, Mapping):
        cells = [np.nan if value.get(column) is None else value[column] for column in columns]
        return one_row(name, np.array(cells, dtype=float), columns)
    return np.array([column in value for column in columns], dtype=np.int64)


def one_row(name: str, cells: NDArray[Any], columns: Sequence[str]) -> NDArray[np.int64]:
    """As :func:`labels_of_columns`, for one sample (L,)."""
    row: NDArray[np.int64] = labels_of_columns(name, cells[None], columns)[0][0]
    return row


def plain_value(values: NDArray[Any], classes: Sequence[str] | None, row: int) -> TargetValue:
    """The value of one row of a target, as :meth:`mrpnkit.data.CorpusWriter.add` takes it."""
    if classes is None:
        return float(values[row])
    if values.ndim == 2:
        known = [None if cell == MISSING else int(cell) for cell in values[row].tolist()]
        return dict(zip(classes, known, strict=True))
    return classes[values[row]] if values[row] >= 0 else None

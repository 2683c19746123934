"""What a corpus can hold: the user's arrays checked and brought into the form that is stored."""

from collections.abc import Iterable, Mapping, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.data.labels import MISSING, is_missing, labels_of_columns, labels_of_names, sets_of_names
from mrpnkit.errors import CorpusError, InputError

FORMAT = 1
"""Of the corpus folder, as ``corpus.json`` says it."""
MOST_CLASSES = 100_000
"""That whole numbers make without names of classes: codes, such as dates, would be classes until memory is full."""


class Modality(NamedTuple):
    """All steps (S, ...) of a modality, the length of each sample (n,), and the steps a second, if they have a time.

    ``feature_names`` are those of the numbers of a step, if they have some, such as the columns of a table.

    Steps that are memory-mapped from a file to be read are pickled as where they lie there, so that a process that is
    spawned, such as one that reads ahead, maps the file again and is not sent its content.
    """

    steps: NDArray[Any]
    lengths: NDArray[np.int64]
    rate: float | None = None
    feature_names: tuple[str, ...] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy."""
        return _restored, (_mapped(self.steps) or self.steps, *self[1:])


class _Mapped(NamedTuple):
    """Where an array lies in a file."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    order: Literal["C", "F"]


def _mapped(steps: NDArray[Any]) -> _Mapped | None:
    """None for an array in memory, a part of a mapped one, and one that may have been written to."""
    whole: object = steps.base  # of a part it is the mapped array
    if not isinstance(steps, np.memmap) or not isinstance(whole, mmap) or steps.filename is None or steps.mode != "r":
        return None
    order: Literal["C", "F"] = "C" if steps.flags.c_contiguous else "F"
    return _Mapped(str(steps.filename), steps.dtype.str, steps.shape, steps.offset, order)


def _restored(
    steps: NDArray[Any] | _Mapped,
    lengths: NDArray[np.int64],
    rate: float | None,
    feature_names: tuple[str, ...] | None,
) -> Modality:
    if isinstance(steps, _Mapped):
        path, dtype, shape, offset, order = steps
        steps = np.memmap(Path(path), dtype=dtype, mode="r", offset=offset, shape=shape, order=order)
    return Modality(steps, lengths, rate, feature_names)


def names_in(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of features in what ``corpus.json`` or a run says of a modality, where it has some."""
    return tuple(entry["feature_names"]) if "feature_names" in entry else None


def as_known(name: str, given: Modality, known: Modality) -> Modality:
    """A modality with the features of a known one, in its order, where both have names; else as it is.

    Steps of one number are in the shape, () or (1,), of the known one.

    Raises:
        InputError: a feature that it lacks.
    """
    if {given.steps.shape[1:], known.steps.shape[1:]} == {(), (1,)}:
        given = given._replace(steps=given.steps.reshape(-1, *known.steps.shape[1:]))
    features, names = given.feature_names, known.feature_names
    if names is None or features is None or features == names:
        return given
    place = {feature: column for column, feature in enumerate(features)}
    lacking = [feature for feature in names if feature not in place]
    if lacking:
        raise InputError(
            f"{name!r} has no feature {_some(lacking)}; the network was trained on {_some(names)}, and the data have "
            f"{_some(features)}. Give the columns the names that they had in the training."
        )
    columns = [place[feature] for feature in names]
    return given._replace(steps=np.ascontiguousarray(given.steps[:, columns]), feature_names=names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def check_modality_names(names: Iterable[str]) -> None:
    """Raises CorpusError for a name that no file in a corpus folder can have."""
    for name in names:
        if not name or name.startswith(".") or ".." in name or any(sign in name for sign in "/\\\0"):
            raise CorpusError(
                f"A modality cannot be called {name!r}: its arrays lie in files of that name. Give a name that is not "
                "empty, does not begin with a dot, and holds no slash, no backslash and no two dots in a row."
            )


def check_feature_names(modality: str, names: Sequence[str] | None, shape: tuple[int, ...]) -> None:
    """Raises CorpusError unless there is a name for each number of a step of that shape, or none at all."""
    if names is not None and (shape != (len(names),) or len(set(names)) != len(names)):
        raise CorpusError(
            f"Modality {modality!r} has {len(set(names))} distinct names of features and steps of shape {shape}; give "
            "one for each number of a step, or none at all."
        )


def check_classes(classes: Mapping[str, Sequence[str]]) -> None:
    """Raises CorpusError for classes that stand twice or have no name, which marks a missing label in the table."""
    for target, names in classes.items():
        if "" in names or len(set(names)) != len(names):
            hint = " A label that is missing is None." if "" in names else ""
            raise CorpusError(f"The classes of {target!r} must be distinct and have a name, got {list(names)}.{hint}")


def as_array(values: Any) -> NDArray[Any]:
    """An array of what is given; of a tensor its values, wherever it lies, bfloat16 (which NumPy lacks) as float32."""
    if isinstance(values, Tensor):
        values = (values.float() if values.dtype == torch.bfloat16 else values).detach().cpu().numpy()
    return np.asarray(values)


def storable(name: str, sample: str, values: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Steps as they are stored: float64 and bfloat16 as float32, float16 as it is; finite, of a type that torch has."""
    given = array = as_array(values)
    if array.dtype == np.float64 or not array.dtype.isnative:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
            array = array.astype(np.float32 if array.dtype == np.float64 else array.dtype.newbyteorder("="))
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name!r} of sample {sample!r} has type {array.dtype}; expected numbers.")
    if array.ndim == 0:
        raise InputError(f"{name!r} of sample {sample!r} is a scalar; expected steps of shape (T, ...).")
    if 0 in array.shape[1:]:
        raise InputError(f"{name!r} of sample {sample!r} has steps of shape {array.shape[1:]}, which hold no number.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        step = int(np.argwhere(~np.isfinite(array))[0][0])
        what = "a number that float32 cannot hold" if np.isfinite(given[step]).all() else "NaN or infinity"
        raise InputError(
            f"{name!r} of sample {sample!r} has {what} at step {step}. Mend the feature, or give the sample "
            "no steps of this modality (an array of length 0), which marks it as missing."
        )
    return array


def modality_of(name: str, values: Any, ids: list[str], rate: float | None) -> Modality:
    """One array (n, ...) of vectors, or n arrays (T_i, ...) of sequences, as a modality; see ``Corpus.from_arrays``."""
    if len(values) != len(ids):
        raise InputError(f"Modality {name!r} has {len(values)} samples, the targets have {len(ids)}.")
    if isinstance(values, np.ndarray | Tensor):
        array = as_array(values)
        flat = array[:, None] if array.ndim == 1 else array
        for row in _rows_not_finite(flat):
            storable(name, ids[row], flat[row : row + 1])
        return Modality(storable(name, ids[0], flat), np.ones(len(ids), dtype=np.int64), rate)
    pieces = [storable(name, ids[row], piece) for row, piece in enumerate(values)]
    if all(piece.ndim == 1 for piece in pieces):
        pieces = [piece[:, None] for piece in pieces]
    shapes = {piece.shape[1:] for piece in pieces}
    if len(shapes) != 1:
        raise InputError(f"Modality {name!r} has steps of different shapes {sorted(shapes)}; all must have one shape.")
    return Modality(np.concatenate(pieces), np.array([len(piece) for piece in pieces], dtype=np.int64), rate)


def computable(steps: NDArray[Any]) -> NDArray[Any]:
    """Steps as they are computed with: float16, which saves space where they are stored, as float32."""
    return steps.astype(np.float32) if steps.dtype == np.float16 else steps


def _rows_not_finite(array: NDArray[Any]) -> list[int]:
    if array.dtype.kind != "f":
        return []
    return [int(row) for row in np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))[:1]]


def target_of(name: str, values: Any, classes: Sequence[str] | None) -> tuple[NDArray[Any], list[str] | None]:
    """Labels (n,) or (n, L) int64 and their names, or values (n,) float32 and None; see ``Corpus.from_arrays``."""
    sets = sets_of_names(values)
    if sets is not None:
        return labels_of_names(name, sets, classes)
    if isinstance(values, list | tuple) and any(isinstance(value, str) for value in values):
        values = [None if is_missing(value) else value for value in values]  # else NumPy makes the text "nan" of NaN
    array = as_array(values)
    if array.ndim == 2 and array.shape[1] == 1 and (len(classes) != 1 if classes else not _are_flags(array)):
        raise InputError(
            f"Target {name!r} has shape {array.shape}, as one label has that holds (1), does not (0) or is not known "
            f"(−1). For a class or a number a sample flatten it to shape ({len(array)},), such as by y.ravel()."
        )
    if array.ndim == 2:
        return labels_of_columns(name, array, classes)
    if array.ndim != 1:
        raise InputError(
            f"Target {name!r} has shape {array.shape}; expected one value a sample, (n,), or a column for each of "
            "several labels, (n, L)."
        )
    if array.dtype.kind == "f":
        return _values_of(name, array), None
    if array.dtype.kind in "iub":
        labels = array.astype(np.int64)
        if not classes and labels.max(initial=0) >= MOST_CLASSES:
            row = int(labels.argmax())
            raise InputError(
                f"Target {name!r}: label {labels[row]} of sample {row} would make {labels[row] + 1} classes, since "
                "whole numbers are the classes 0 to the largest. Give codes as texts, which make a class for each that "
                "occurs, and numbers that are to be predicted as such as floats."
            )
        names = list(classes) if classes else [str(c) for c in range(int(labels.max(initial=0)) + 1)]
        wrong = np.flatnonzero((labels < -1) | (labels >= len(names)))
        if len(wrong):
            raise InputError(
                f"Target {name!r}: label {labels[wrong[0]]} of sample {wrong[0]} is out of range; {len(names)} classes "
                f"have labels 0 to {len(names) - 1}, and −1 means missing."
            )
        return labels, names
    texts = [None if is_missing(value) else str(value) for value in array.tolist()]
    found = sorted({text for text in texts if text is not None})
    names = list(classes) if classes else found
    place: dict[str | None, int] = {None: -1, **{c: i for i, c in enumerate(names)}}
    unknown = [text for text in found if text not in place]
    if unknown:
        raise InputError(f"Target {name!r}: classes {unknown} are not among the declared {names}.")
    return np.array([place[text] for text in texts], dtype=np.int64), names


def _values_of(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers (n,) that are to be predicted as float32, NaN where one is missing."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is told as below
        values = array.astype(np.float32)
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise InputError(
            f"Target {name!r}: the value of sample {wrong[0]} is {array[wrong[0]]}; expected a number that float32 can "
            "hold, or NaN (in a table an empty cell) where it is missing."
        )
    return values


def _are_flags(array: NDArray[Any]) -> bool:
    if array.dtype.kind not in "fiub":
        return False
    known = array[~np.isnan(array)] if array.dtype.kind == "f" else array
    return bool(np.isin(known, (MISSING, 0, 1)).all())

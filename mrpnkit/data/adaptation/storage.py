"""Statistics on disk: ``.npz`` of numbers and names, written whole or not at all, and distrusted when read.

Names of groups are values of arrays and never names of members, so that a group may be called anything.
"""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.adaptation.moments import Moments, Population
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.wording import unread

FORMAT = 1
Arrays = Mapping[str, NDArray[Any]]
Statistics = TypeVar("Statistics", Moments, Population)
Made = TypeVar("Made")


class Archive(NamedTuple):
    """What a file holds: its kind, and arrays by name."""

    kind: str
    arrays: Arrays


def pack(kind: str, tables: Mapping[str, Mapping[str, Statistics]]) -> dict[str, NDArray[Any]]:
    """Arrays of statistics by name and modality: one of the names, and one for each field of each."""
    arrays: dict[str, NDArray[Any]] = {kind: np.asarray(list(tables), dtype=np.str_)}
    for place, table in enumerate(tables.values()):
        for modality, statistics in table.items():
            for field, value in statistics._asdict().items():
                arrays[f"{kind}/{place}/{modality}/{field}"] = np.asarray(value)
    return arrays


def unpack(
    arrays: Arrays, kind: str, of: type[Statistics], modalities: Sequence[str]
) -> dict[str, dict[str, Statistics]]:
    """What :func:`pack` packed, checked.

    Raises:
        CorpusError: what cannot be a statistic: shapes that differ, NaN, negative variances, no sample.
        KeyError: an array is missing.
    """
    found: dict[str, dict[str, Statistics]] = {}
    for place, name in enumerate(arrays[kind].tolist()):
        table = found.setdefault(str(name), {})
        for modality in modalities:
            start = f"{kind}/{place}/{modality}"
            if f"{start}/mean" in arrays:
                table[modality] = _checked(of, {field: arrays[f"{start}/{field}"] for field in of._fields}, start)
    if len(found) != len(arrays[kind]):
        raise CorpusError(f"{kind}: a name stands twice")
    return found


def write_archive(path: str | Path, archive: Archive) -> Path:
    """Writes the file in one step; its folder must exist. Returns the path."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial.npz")
    about = {"kind": np.array(archive.kind), "format": np.array(FORMAT)}
    np.savez_compressed(partial, **about, **archive.arrays)  # type: ignore[arg-type]
    partial.replace(path)
    return path


def read_archive(path: str | Path, kind: str, make: Callable[[Arrays], Made]) -> Made:
    """What ``make`` makes of the arrays of a file of that kind.

    Raises:
        CorpusError: no such file, another kind or format, or one that is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        given, form = str(arrays["kind"]), int(arrays["format"])
        if given != kind:
            raise CorpusError(f"it is of kind {given!r}")
        if form != FORMAT:
            raise CorpusError(f"it has format {form}, and this version reads {FORMAT}")
        return make(arrays)
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist; expected a file of kind {kind!r}.") from error
    except (CorpusError, InputError) as error:
        raise CorpusError(f"{path} holds no {kind}: {str(error).rstrip('.')}.") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise CorpusError(f"{path} holds no {kind}: {unread(error)}.") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise CorpusError(f"{path} holds no {kind}, or is damaged: {error}.") from error


def _checked(of: type[Statistics], fields: Arrays, where: str) -> Statistics:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "samples":
            if value.shape != () or value.dtype.kind not in "iu" or int(value) < 1:
                raise CorpusError(f"{where}/{name} is no number of samples")
            values[name] = int(value)
            continue
        if value.ndim != 1 or value.shape != fields["mean"].shape or value.dtype != np.float64:
            raise CorpusError(f"{where}/{name} has shape {value.shape} and type {value.dtype}")
        if not np.isfinite(value).all() or (name != "mean" and (value < 0).any()):
            raise CorpusError(f"{where}/{name} has values that it cannot have")
        values[name] = value
    return of(**values)

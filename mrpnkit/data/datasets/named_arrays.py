"""A file of named arrays as a corpus: what npz and safetensors have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.arrays import Modality, modality_of, storable
from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.places import check_known, hint, listed
from mrpnkit.data.datasets.sample_table import PRESENT_TARGETS, sample_table
from mrpnkit.errors import CorpusError, InputError

Array = NDArray[Any]
LENGTHS = ".lengths"
PART = "part"
"""The group that says to which fixed part of the data a sample belongs."""


class Choices(NamedTuple):
    """Which array is what; the options that :class:`Npz` and :class:`Safetensors` document."""

    modalities: Sequence[str] | None
    targets: Sequence[str] | None
    groups: Sequence[str]
    ids: str | None
    parts: Sequence[str]
    classes: Mapping[str, Sequence[str]]
    rates: Mapping[str, float]


def corpus_of_arrays(where: str, names: Sequence[str], read: Callable[[str], Array], choices: Choices) -> Corpus:
    """The corpus of a file's arrays, of which only those that are needed are read.

    Args:
        where: the file, for error texts.
        names: of all arrays in it.
        read: an array by its name.
        choices: which array is what.

    Raises:
        CorpusError, InputError: as documented at :class:`Npz`.
    """
    arrays = _Parts(where, names, read, choices.parts)
    targets = _targets(arrays, choices)
    check_known("array", [*targets, *choices.groups, *([choices.ids] if choices.ids else [])], arrays.known, where)
    modalities = _modalities(arrays, choices, targets)
    check_known("modality", choices.rates, modalities, where)
    first = next(iter([*targets, *choices.groups, *([choices.ids] if choices.ids else [])]), None)
    first = first or (modalities[0] if modalities[0] + LENGTHS not in arrays.known else modalities[0] + LENGTHS)
    ids, groups = _ids(arrays, choices, first), {name: arrays.read(name) for name in choices.groups}
    if choices.parts:
        groups[PART] = np.repeat(list(choices.parts), arrays.counts(first))
    table = sample_table(
        where, ids, targets={name: arrays.read(name) for name in targets}, groups=groups, classes=choices.classes
    )
    found = {name: _modality(arrays, name, ids, choices.rates.get(name)) for name in modalities}
    return table.corpus(found, bare="keep")  # by place, not by id: a length of 0 is meant


class _Parts:
    """Arrays by name, where the arrays of fixed parts, such as ``mrna_train`` and ``mrna_test``, are joined."""

    def __init__(self, where: str, names: Sequence[str], read: Callable[[str], Array], parts: Sequence[str]) -> None:
        self.where, self._read, self._names = where, read, {}
        if len(set(parts)) != len(parts):
            raise InputError(f"{where}: parts must be distinct, got {list(parts)}.")
        for name in names:
            spellings = _spellings(name, parts)
            if not parts:
                self._names[name] = [name]
            elif spellings:
                self._names[spellings] = [_of_part(where, names, spellings, part) for part in parts]
        if not self._names:
            raise CorpusError(
                f"{where} has no array of a part {listed(parts)}, such as 'view_{parts[0] if parts else ''}'. It has "
                f"{listed(names)}."
            )
        self.known = list(self._names)

    def counts(self, name: str) -> list[int]:
        """Length of each part of an array."""
        return [len(self._piece(one)) for one in self._names[name]]

    def read(self, name: str) -> Array:
        """An array, its parts joined."""
        pieces = [self._piece(one) for one in self._names[name]]
        if len({piece.shape[1:] for piece in pieces}) > 1:
            shapes = {one: piece.shape for one, piece in zip(self._names[name], pieces, strict=True)}
            raise InputError(f"{self.where}: the parts of {name!r} do not fit together, their shapes are {shapes}.")
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _piece(self, name: str) -> Array:
        array = self._read(name)
        if array.ndim == 0:
            raise InputError(f"{self.where}: {name!r} is a single value; expected an array with a row a sample.")
        return array


def joined_names(names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """What the arrays of a file are called: by their own names, or, where there are parts, without that of their part.

    >>> joined_names(["face_train", "face_test", "remark"], ["train", "test"])
    ['face']
    """
    if not parts:
        return list(names)
    return [name for name in dict.fromkeys(_spellings(name, parts) for name in names) if name]


def _spellings(name: str, parts: Sequence[str]) -> str:
    """What an array is called without its part: ``mrna_train`` and ``train_mrna`` are ``mrna``; else nothing."""
    stem, lengths = (name.removesuffix(LENGTHS), LENGTHS) if name.endswith(LENGTHS) else (name, "")
    for part in parts:
        if stem.endswith(f"_{part}"):
            return stem.removesuffix(f"_{part}") + lengths
        if stem.startswith(f"{part}_"):
            return stem.removeprefix(f"{part}_") + lengths
    return ""


def _of_part(where: str, names: Sequence[str], joined: str, part: str) -> str:
    stem, lengths = (joined.removesuffix(LENGTHS), LENGTHS) if joined.endswith(LENGTHS) else (joined, "")
    for spelling in (f"{stem}_{part}{lengths}", f"{part}_{stem}{lengths}"):
        if spelling in names:
            return spelling
    wanted = f"{stem}_{part}{lengths}"
    raise CorpusError(
        f"{where} has no array {wanted!r}, which the part {part!r} of {joined!r} needs.{hint(wanted, names)} It has "
        f"{listed(names)}."
    )


def _targets(arrays: _Parts, choices: Choices) -> list[str]:
    if choices.targets is not None:
        return list(choices.targets)
    found = [name for name in PRESENT_TARGETS if name in arrays.known]
    if len(found) != 1:
        one = f', such as targets = ["{found[0]}"]' if found else " in targets"
        raise CorpusError(
            f"{arrays.where}: which array is the target? It has {listed(arrays.known)}; name it{one}, or give "
            "targets = [] if nothing is labelled."
        )
    return found


def _modalities(arrays: _Parts, choices: Choices, targets: Sequence[str]) -> list[str]:
    if choices.modalities is not None:
        if not choices.modalities:
            raise InputError(f"{arrays.where}: modalities is empty; name at least one array.")
        check_known("array", choices.modalities, arrays.known, arrays.where)
        return list(choices.modalities)
    other = {*targets, *choices.groups, choices.ids}
    found = [name for name in arrays.known if name not in other and not name.endswith(LENGTHS)]
    if not found:
        raise CorpusError(f"{arrays.where} has no array that could be a modality; it has {listed(arrays.known)}.")
    return found


def _ids(arrays: _Parts, choices: Choices, first: str) -> list[str]:
    if choices.ids is not None:
        return [str(value) for value in arrays.read(choices.ids).tolist()]
    counts = arrays.counts(first)
    if choices.parts:
        return [f"{part}-{row}" for part, count in zip(choices.parts, counts, strict=True) for row in range(count)]
    return [str(row) for row in range(counts[0])]


def _modality(arrays: _Parts, name: str, ids: list[str], rate: float | None) -> Modality:
    steps = arrays.read(name)
    if steps.dtype.kind not in "fiub":
        raise InputError(
            f"{arrays.where}: {name!r} has type {steps.dtype}; a modality needs numbers. Name the arrays that are "
            f"modalities, such as modalities = [...], or say what it is: groups, ids."
        )
    if name + LENGTHS not in arrays.known:
        if len(steps) != len(ids):
            raise InputError(
                f"{arrays.where}: {name!r} has {len(steps)} rows for {len(ids)} samples. A modality of sequences needs "
                f"an array {name + LENGTHS!r}; an array that is no modality is left out by naming the modalities."
            )
        return modality_of(name, steps, ids, rate)
    lengths = arrays.read(name + LENGTHS)
    least = int(lengths.min(initial=0)) if lengths.dtype.kind in "iu" else 0
    if lengths.dtype.kind not in "iu" or lengths.shape != (len(ids),) or least < 0:
        holds = f", and holds {least}" if least < 0 else ""
        raise InputError(
            f"{arrays.where}: {name + LENGTHS!r} has shape {lengths.shape} and type {lengths.dtype}{holds}; expected a "
            f"length of 0 or more for each of the {len(ids)} samples."
        )
    if int(lengths.sum()) != len(steps):
        raise InputError(
            f"{arrays.where}: {name + LENGTHS!r} adds up to {int(lengths.sum())}, but {name!r} has {len(steps)} steps."
        )
    flat = steps[:, None] if steps.ndim == 1 else steps
    lengths = lengths.astype(np.int64)
    if flat.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(flat).all(axis=tuple(range(1, flat.ndim))))
        if len(wrong):
            row = int(np.searchsorted(lengths.cumsum(), wrong[0], side="right"))
            start = int(lengths[:row].sum())
            storable(name, ids[row], flat[start : start + int(lengths[row])])
    return Modality(storable(name, ids[0], flat), lengths, rate)

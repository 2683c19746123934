"""The table of samples that every source brings together: ids, targets, groups, checked in the same words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.arrays import Modality, storable, target_of
from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.places import check_known, hint, listed
from mrpnkit.data.labels import is_missing, sets_of_names, text_of
from mrpnkit.errors import CorpusError, InputError

PRESENT_TARGETS = ("labels", "label", "targets", "target", "y")
"""What a target is called where no option names one."""


Unlisted = Literal["refuse", "skip"]
"""What becomes of the steps of a sample that the table of samples does not list."""
Bare = Literal["refuse", "keep"]
"""What becomes of a sample without any modality: where steps are found by ids, mostly an id that is spelt otherwise."""


class SampleTable(NamedTuple):
    """``ids`` (n), targets coded as in a corpus, names of their classes, groups; ``where`` names it in error texts."""

    where: str
    ids: list[str]
    targets: dict[str, NDArray[Any]]
    classes: dict[str, list[str]]
    groups: dict[str, list[str]]

    def corpus(self, modalities: Mapping[str, Modality], bare: Bare = "refuse") -> Corpus:
        """The corpus of these samples, and what becomes of those that have no modality.

        Raises:
            CorpusError: no modality, a modality that no sample has, or a sample that has none, if such are refused.
        """
        if not modalities:
            raise CorpusError(f"{self.where} has no modality; name at least one.")
        for name, modality in modalities.items():
            if not modality.lengths.any():
                raise CorpusError(f"{self.where}: no sample has the modality {name!r}; leave it out.")
        empty = np.flatnonzero(sum(modality.lengths for modality in modalities.values()) == 0)
        if len(empty) and bare == "refuse":
            raise CorpusError(
                f"{self.where}: {len(empty)} samples have none of the modalities {listed(modalities)}, the first is "
                f"{self.ids[empty[0]]!r}. Are the ids spelt alike? Else leave such samples out."
            )
        about = {"source": self.where}
        return Corpus(self.ids, modalities, self.targets, classes=self.classes, groups=self.groups, about=about)


def sample_table(
    where: str,
    ids: Sequence[str],
    *,
    targets: Mapping[str, Any],
    groups: Mapping[str, Sequence[Any] | NDArray[Any]],
    classes: Mapping[str, Sequence[str]],
) -> SampleTable:
    """Checks and codes the columns of a table of samples.

    Args:
        where: the source, for error texts.
        ids: names of the samples.
        targets: for each n labels (integers, −1 where missing; or names, None or empty where missing) or n floats; for
            several labels at once (n, L) of 1, 0 and −1, or n lists of the names that hold.
        groups: for each n values; a missing one is the empty text.
        classes: order of the class names, by target; by default sorted, as numbers where all of them are.

    Raises:
        CorpusError: no samples, ids that are empty or stand twice, a target without any label.
        InputError: labels out of range or of an unknown class.
    """
    if not len(ids):
        raise CorpusError(f"{where} has no samples.")
    check_unique(where, ids)
    check_known("target", classes, list(targets), where)
    both = sorted(set(targets) & set(groups))
    if both:
        raise CorpusError(f"{where}: {both[0]!r} is named as a target and as a group; choose one.")
    coded, named = {}, {}
    for name, values in targets.items():
        column = _texts(values)
        if len(column) != len(ids):
            raise CorpusError(f"{where}: the target {name!r} has {len(column)} values for {len(ids)} samples.")
        order = classes.get(name) or (_order(column) if isinstance(column, np.ndarray) else None)
        coded[name], found = target_of(name, column, order)
        if found is not None:
            named[name] = found
        labelled = coded[name] >= 0 if found is not None else ~np.isnan(coded[name])
        if not labelled.any():
            raise CorpusError(
                f"{where}: no sample is labelled with {name!r}: all its values are missing. Give labels, or leave the "
                "target out."
            )
    texts = {name: [text_of(value) for value in _plain(values)] for name, values in groups.items()}
    for name, column in texts.items():
        if len(column) != len(ids):
            raise CorpusError(f"{where}: the group {name!r} has {len(column)} values for {len(ids)} samples.")
    return SampleTable(where, list(ids), coded, named, texts)


def check_unique(where: str, ids: Sequence[str]) -> None:
    """Raises CorpusError for ids that are empty or stand more than once."""
    counts = Counter(ids)
    if "" in counts:
        raise CorpusError(f"{where}: the id of row {list(ids).index('') + 1} is empty.")
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise CorpusError(
            f"{where}: {len(twice)} ids stand more than once, the first is {twice[0]!r} ({counts[twice[0]]} times); "
            "ids must be unique."
        )


def rows_of(
    modality: str, where: str, ids: Sequence[str], samples: SampleTable, unlisted: Unlisted
) -> NDArray[np.int64]:
    """The row of each of a modality's ids in the table of samples, −1 for one that is not listed there and skipped.

    Raises:
        CorpusError: an id that is not listed, unless those are skipped.
    """
    place = {sample: row for row, sample in enumerate(samples.ids)}
    strangers = list(dict.fromkeys(sample for sample in ids if sample not in place))
    if strangers and unlisted == "refuse":
        raise CorpusError(
            f"{where}: {len(strangers)} ids of {modality!r} are not in {samples.where}, the first is "
            f"{strangers[0]!r}.{hint(strangers[0], samples.ids)} There the ids are {listed(samples.ids)}. "
            'If they are not wanted, give the data set, beside its path, unlisted = "skip".'
        )
    return np.array([place.get(sample, -1) for sample in ids], dtype=np.int64)


def pieces_of(
    name: str, ids: Sequence[str], pieces: Sequence[NDArray[Any] | None], rate: float | None = None
) -> Modality:
    """Steps (T, ...) of each sample, or None where it lacks the modality, as a modality.

    Raises:
        InputError: NaN, or steps whose shape or type differs from those of the first sample that has some.
    """
    checked = {row: storable(name, ids[row], piece) for row, piece in enumerate(pieces) if piece is not None}
    lengths = np.zeros(len(ids), dtype=np.int64)
    if not checked:
        return Modality(np.empty((0, 1), dtype=np.float32), lengths, rate)
    first = next(iter(checked))
    for row, piece in checked.items():
        lengths[row] = len(piece)
        check_alike(name, ids[row], piece, first=ids[first], like=checked[first])
    return Modality(np.concatenate(list(checked.values())), lengths, rate)


def check_alike(name: str, sample: str, steps: NDArray[Any], *, first: str, like: NDArray[Any]) -> None:
    """Raises InputError unless steps have the shape and type of those of the first sample that has some."""
    if (steps.shape[1:], steps.dtype) == (like.shape[1:], like.dtype):
        return
    vectors = steps.ndim == like.ndim == 2 and len(like) <= len(steps) == 1 and steps.shape[1:] != like.shape[1:]
    hint = ' If they are numbers over time, of any length, give the modality kind = "sequence".' if vectors else ""
    raise InputError(
        f"{name!r} of sample {sample!r} has steps of {steps.dtype} {steps.shape[1:]}; those of {first!r} are "
        f"{like.dtype} {like.shape[1:]}. All steps of a modality must have one shape and type.{hint}"
    )


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _texts(values: Any) -> Any:
    """Numbers, and lists of names, as they are; names as a list in which a missing one is None."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values
    if sets_of_names(values) is not None:
        return values
    column = [None if is_missing(value) or value == "" else value for value in _plain(values)]
    if any(isinstance(value, str) for value in column) or None in column:
        return np.array([value if value is None else str(value) for value in column], dtype=object)
    return np.asarray(column)


def _order(column: NDArray[Any]) -> list[str] | None:
    """Order of class names: by number where all are whole numbers, so that "10" stands behind "9"; else the default."""
    names = {value for value in column.tolist() if isinstance(value, str)}
    if names and all(name.lstrip("-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return None

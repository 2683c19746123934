"""Samples that are read one after another: gathered in memory, or written to a corpus folder as they come."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.arrays import storable
from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.registry import Dataset
from mrpnkit.data.datasets.sample_table import SampleTable, check_alike, pieces_of
from mrpnkit.data.labels import TargetValue, plain_value
from mrpnkit.data.writer import CorpusWriter
from mrpnkit.errors import CorpusError, InputError


class Piece(NamedTuple):
    """Steps (T, ...) of one modality of one sample, and the steps a second, where the source tells."""

    steps: NDArray[Any]
    rate: float | None = None


Sample = Mapping[str, Piece | None]
"""By modality, in order; None where the sample lacks it."""


class Stream(NamedTuple):
    """All samples' table, known at once, and their modalities, read anew by each call of ``samples``, in its order."""

    table: SampleTable
    modalities: tuple[str, ...]
    samples: Callable[[], Iterator[Sample]]


@runtime_checkable
class Streamed(Protocol):
    """A data set that can be read sample by sample."""

    def stream(self, folder: Path) -> Stream:
        """The samples, not yet read."""
        ...


def gathered(stream: Stream) -> Corpus:
    """All samples in memory.

    Raises:
        InputError: NaN, shapes, types or rates that differ within a modality.
    """
    pieces: dict[str, list[NDArray[Any] | None]] = {name: [] for name in stream.modalities}
    rates: dict[str, float | None] = dict.fromkeys(stream.modalities)
    for sample, name in zip(stream.samples(), stream.table.ids, strict=True):
        for modality, piece in sample.items():
            pieces[modality].append(None if piece is None else storable(modality, name, piece.steps))
            _note_rate(rates, modality, name, piece)
    ids = stream.table.ids
    return stream.table.corpus({name: pieces_of(name, ids, pieces[name], rates[name]) for name in stream.modalities})


def prepare(dataset: Dataset, folder: Path, output: Path) -> Corpus:
    """Writes a data set to a corpus folder, and opens that.

    A source that is read sample by sample (``files``, ``huggingface``) is written as it comes: it may be larger than
    memory. Afterwards the folder is the data set ``corpus``, whose arrays are memory-mapped.

    Args:
        dataset: such as ``DATASETS["files"](...)``.
        folder: where its relative paths begin.
        output: the corpus folder to make; it must not exist.

    Raises:
        MrpnkitError: what reading the data set may raise; a folder that exists.
    """
    if not isinstance(dataset, Streamed):
        dataset.load(folder).save(output)
        return Corpus.open(output)
    stream = dataset.stream(folder)
    first = _first(stream)
    table = stream.table
    rates: dict[str, float | None] = dict.fromkeys(stream.modalities)
    several = {name: names for name, names in table.classes.items() if table.targets[name].ndim == 2}
    single = {name: names for name, names in table.classes.items() if name not in several}
    with CorpusWriter(output, classes=single, labels=several, about={"source": table.where}) as writer:
        for row, (sample, name) in enumerate(zip(stream.samples(), table.ids, strict=True)):
            for modality, piece in sample.items():
                _note_rate(rates, modality, name, piece)
                sample_with, like = first[modality]
                if piece is not None and piece.steps.shape[1:] != like.shape[1:]:
                    check_alike(modality, name, storable(modality, name, piece.steps), first=sample_with, like=like)
            if not any(piece is not None and len(piece.steps) for piece in sample.values()):
                raise CorpusError(f"{table.where}: the sample {name!r} has none of the modalities.")
            steps = {m: first[m][1] if piece is None else piece.steps for m, piece in sample.items()}
            writer.add(
                name, steps, _targets(table, row), {group: values[row] for group, values in table.groups.items()}
            )
        writer.rates = rates
    return Corpus.open(output)


def _first(stream: Stream) -> dict[str, tuple[str, NDArray[Any]]]:
    """For each modality the first sample that has some steps, and no steps of their type and shape."""
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for sample, name in zip(stream.samples(), stream.table.ids, strict=False):
        for modality, piece in sample.items():
            if modality not in found and piece is not None and len(piece.steps):
                found[modality] = name, np.array(storable(modality, name, piece.steps)[:0])
        if len(found) == len(stream.modalities):
            return found
    lacking = next(name for name in stream.modalities if name not in found)
    raise CorpusError(f"{stream.table.where}: no sample has the modality {lacking!r}; leave it out.")


def _note_rate(rates: dict[str, float | None], modality: str, sample: str, piece: Piece | None) -> None:
    if piece is None or piece.rate is None:
        return
    known = rates[modality]
    if known is not None and known != piece.rate:
        raise InputError(
            f"{modality!r} of sample {sample!r} has {piece.rate:g} steps a second, others have {known:g}; bring all to "
            "one rate."
        )
    rates[modality] = piece.rate


def _targets(table: SampleTable, row: int) -> dict[str, TargetValue]:
    return {name: plain_value(values, table.classes.get(name), row) for name, values in table.targets.items()}

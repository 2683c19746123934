"""A corpus: samples with ragged modalities, targets and groups, in memory or memory-mapped on disk.

On disk a corpus is a folder::

    corpus.json         format, modalities (type, shape of a step, steps a second, names of features), targets, groups
    samples.csv         a row a sample: id, columns for each target and each group
    NAME.steps.npy      all steps of a modality, one after another (memory-mapped when opened)
    NAME.lengths.npy    how many of them belong to each sample; 0 where the sample lacks the modality

Reading a slice of a sample touches only its bytes. A folder appears whole or not at all.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.data.arrays import (
    FORMAT,
    Modality,
    check_classes,
    check_feature_names,
    check_modality_names,
    computable,
    modality_of,
    names_in,
    target_of,
)
from mrpnkit.data.labels import plain_value, text_of
from mrpnkit.data.table import read_table
from mrpnkit.data.writer import CorpusWriter
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.sequences import Sequences

EMPTY = "The corpus is empty: it has no samples. Give at least one."
Window = tuple[int, int]
"""First step and the step after the last, within a sample."""


class Corpus:
    """Samples by row. Made by :meth:`from_arrays`, :meth:`open`, or :class:`mrpnkit.data.CorpusWriter`.

    Attributes:
        ids: a unique name of each sample.
        modalities: by name, in declared order.
        targets: by name, (n,): int64 labels, where −1 is missing, or float32 values, where NaN is missing; (n, L) int64
            for a target of several labels, each of which holds (1), does not (0), or is not known (−1).
        classes: names of the classes, or labels, of those targets that have some.
        groups: by name, (n,) strings: what must not be split, such as the actor, or must be balanced, such as the sex.
        about: where it comes from and how it was made, as plain data.
    """

    def __init__(
        self,
        ids: Sequence[str],
        modalities: Mapping[str, Modality],
        targets: Mapping[str, NDArray[Any]],
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.ids = list(ids)
        self.about = dict(about or {})
        self.modalities = dict(modalities)
        self.targets = dict(targets)
        self.classes = {name: list(names) for name, names in (classes or {}).items()}
        self.groups = {name: np.asarray(list(values), dtype=np.str_) for name, values in (groups or {}).items()}
        self._check()
        self._starts = {name: np.cumsum(m.lengths) - m.lengths for name, m in self.modalities.items()}

    @classmethod
    def from_arrays(
        cls,
        modalities: Mapping[str, NDArray[Any] | Tensor | Sequence[NDArray[Any] | Tensor]],
        targets: Mapping[str, Sequence[Any] | NDArray[Any] | Tensor],
        *,
        ids: Sequence[str] | None = None,
        groups: Mapping[str, Sequence[Any]] | None = None,
        classes: Mapping[str, Sequence[str]] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> "Corpus":
        """A corpus in memory.

        Args:
            modalities: for each either one array (n, ...), a vector a sample, or a list of n arrays (T_i, ...), a
                sequence a sample; T_i = 0 where a sample lacks the modality. Arrays (T_i,) are T_i steps of one number
                (T_i, 1), so stack vectors to one array first. float64 is stored as float32, and
                float16 as it is, which halves the space; it is computed with as float32.
            targets: for each n labels: integers (−1 where it is missing) or class names (None, NaN or pandas' NA
                where it is missing) for a classification, or floats (NaN where it is missing) for a regression; for
                several labels at once n collections of the names that hold (None where nothing is known), or columns
                (n, L) of 1, 0 and −1.
            ids: names of the samples; by default ``"0"``, ``"1"``, ….
            groups: for each n values, such as the actor of each sample; a missing one (None, NaN, NA) is the empty
                text, which adaptation takes for nobody and folds keep together as one group.
            classes: order of the class or label names; by default sorted, or 0 … largest label.
            rates: steps a second, for modalities that have a time.

        Raises:
            InputError: numbers of samples that differ, shapes that differ within a modality, NaN in a feature.
            CorpusError: no sample, no modality, ids that stand twice, a modality whose name no file can have.

        >>> corpus = Corpus.from_arrays(
        ...     {"audio": [np.zeros((3, 2)), np.ones((5, 2))], "age": np.array([[20.0], [30.0]])},
        ...     {"emotion": ["calm", "happy"]},
        ... )
        >>> len(corpus), corpus.modalities["audio"].lengths.tolist(), corpus.targets["emotion"].tolist()
        (2, [3, 5], [0, 1])
        """
        first = next(iter(targets.values()), None)
        if first is None:
            raise InputError("Corpus.from_arrays was given no targets; expected a mapping such as {'emotion': labels}.")
        names = list(ids) if ids is not None else [str(row) for row in range(len(first))]
        if not names:
            raise CorpusError(EMPTY)
        parts = {name: modality_of(name, values, names, (rates or {}).get(name)) for name, values in modalities.items()}
        coded, found = {}, {}
        for name, values in targets.items():
            coded[name], labels = target_of(name, values, (classes or {}).get(name))
            if labels is not None:
                found[name] = labels
        text = {name: [text_of(value) for value in values] for name, values in (groups or {}).items()}
        return cls(names, parts, coded, classes=found, groups=text)

    @classmethod
    def open(cls, folder: str | Path) -> "Corpus":
        """Opens a corpus folder; steps are memory-mapped, not read, and pickled as where they lie.

        Raises:
            CorpusError: no such folder, no corpus in it, another format, files that are missing or do not fit.
        """
        folder = Path(folder)
        description = folder / "corpus.json"
        if not description.is_file():
            raise CorpusError(
                f"{folder} is no corpus: it has no corpus.json. A corpus is made by Corpus.save or CorpusWriter."
            )
        try:
            about = json.loads(description.read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise CorpusError(
                    f"{folder} has corpus format {about['format']!r}; this version reads format {FORMAT}. "
                    "Prepare it anew."
                )
            modalities = {}
            check_modality_names(about["modalities"])
            for name, entry in about["modalities"].items():
                steps = np.load(folder / f"{name}.steps.npy", mmap_mode="r")
                lengths = np.load(folder / f"{name}.lengths.npy")
                modalities[name] = Modality(steps, lengths, entry["rate"], names_in(entry))
            ids, targets, classes, groups = read_table(folder / "samples.csv", about["targets"], about["groups"])
            return cls(ids, modalities, targets, classes=classes, groups=groups, about=about["about"])
        except (OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, csv.Error) as error:
            if isinstance(error, CorpusError):
                raise
            raise CorpusError(f"{folder} cannot be opened as a corpus: {type(error).__name__}: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Writes the corpus folder; it must not exist yet. Returns its path."""
        rates = {name: modality.rate for name, modality in self.modalities.items()}
        names = {name: modality.feature_names for name, modality in self.modalities.items()}
        with CorpusWriter(
            folder,
            classes=self.single_classes,
            labels=self.label_names,
            rates=rates,
            feature_names=names,
            about=self.about,
        ) as writer:
            for row, name in enumerate(self.ids):
                writer.add(
                    name,
                    {modality: self.read(modality, row) for modality in self.modalities},
                    {
                        target: plain_value(values, self.classes.get(target), row)
                        for target, values in self.targets.items()
                    },
                    {group: str(values[row]) for group, values in self.groups.items()},
                )
        return Path(folder)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {m.steps.dtype}{list(m.steps.shape[1:])}" for name, m in self.modalities.items())
        return f"Corpus({len(self)} samples; {parts}; targets {list(self.targets)}; groups {list(self.groups)})"

    def read(self, modality: str, row: int, window: Window | None = None) -> NDArray[Any]:
        """Steps (T, ...) of one sample, or those of a window of it, as a view where the corpus is memory-mapped."""
        start, length = int(self._starts[modality][row]), int(self.modalities[modality].lengths[row])
        first, last = window or (0, length)
        if not 0 <= first <= last <= length:
            raise InputError(f"{modality!r} of sample {self.ids[row]!r} has {length} steps; no window {first}:{last}.")
        return self.modalities[modality].steps[start + first : start + last]

    def batch(self, modality: str, rows: NDArray[np.int64]) -> Sequences:
        """Whole sequences of several samples, copied into one ragged batch; float16 becomes float32."""
        steps, lengths = self.modalities[modality][:2]
        counts = lengths[rows]
        if len(rows) and (counts == 1).all():
            return Sequences(
                torch.from_numpy(computable(steps[self._starts[modality][rows]])), torch.from_numpy(counts)
            )
        return join([self.read(modality, int(row)) for row in rows], like=steps)

    def features(self, modality: str) -> int:
        """Width of a flattened step."""
        return int(np.prod(self.modalities[modality].steps.shape[1:], dtype=np.int64))

    def labels(self, target: str) -> Tensor:
        """(n,) labels or values of a target, or (n, L), as a tensor."""
        return torch.from_numpy(self.targets[target])

    @property
    def label_names(self) -> dict[str, list[str]]:
        """Names of the labels of those targets that have several at once."""
        return {name: names for name, names in self.classes.items() if self.targets[name].ndim == 2}

    @property
    def single_classes(self) -> dict[str, list[str]]:
        """Names of the classes of those targets of which a sample has one."""
        return {name: names for name, names in self.classes.items() if self.targets[name].ndim == 1}

    def _check(self) -> None:
        count = len(self.ids)
        if not count:
            raise CorpusError(EMPTY)
        if not self.modalities:
            raise CorpusError("The corpus has no modality; give at least one.")
        if len(set(self.ids)) != count:
            twice = next(name for name in self.ids if self.ids.count(name) > 1)
            raise CorpusError(f"The sample id {twice!r} stands more than once; ids must be unique.")
        check_modality_names(self.modalities)
        for name, modality in self.modalities.items():
            check_feature_names(name, modality.feature_names, modality.steps.shape[1:])
            total = int(modality.lengths.sum())
            if len(modality.lengths) != count or total != len(modality.steps):
                raise CorpusError(
                    f"Modality {name!r}: {len(modality.lengths)} lengths that add up to {total}, for {count} samples "
                    f"and {len(modality.steps)} steps. The numbers must agree."
                )
        check_classes(self.classes)
        for name, names in self.label_names.items():
            if self.targets[name].shape[1] != len(names):
                raise CorpusError(
                    f"The target {name!r} has {self.targets[name].shape[1]} columns and {len(names)} labels."
                )
        for kind, columns in (("target", self.targets), ("group", self.groups)):
            for name, values in columns.items():
                if len(values) != count:
                    raise CorpusError(f"The {kind} {name!r} has {len(values)} values for {count} samples.")


def join(pieces: Sequence[NDArray[Any]], *, like: NDArray[Any]) -> Sequences:
    """Pieces (T_i, ...) of one modality → a ragged batch that owns its memory; float16 becomes float32.

    ``like`` gives type and step shape where there are none.
    """
    lengths = torch.tensor([len(piece) for piece in pieces], dtype=torch.int64)
    steps = np.concatenate(pieces) if pieces else np.empty((0, *like.shape[1:]), like.dtype)
    return Sequences(torch.from_numpy(computable(steps)), lengths)

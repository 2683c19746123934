"""A NumPy archive of arrays."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.named_arrays import Choices, corpus_of_arrays
from mrpnkit.data.datasets.places import existing_file
from mrpnkit.data.datasets.registry import DATASETS
from mrpnkit.errors import CorpusError
from mrpnkit.wording import unread


@DATASETS.register("npz")
class Npz:
    """The arrays of one ``.npz`` file, by name, in memory.

    An array (n, ...) is a modality of vectors, a row a sample. Where there is also ``NAME.lengths`` (n,), the array
    holds the steps of all samples, one after another, and a length of 0 marks a sample that lacks the modality.
    Python objects in a file are never unpickled.

    Args:
        path: the file.
        modalities: names of arrays, in the order of the branches; by default all that are nothing else.
        targets: names of arrays: integers are labels (−1: none), texts are names of classes (empty: none), floats are
            values (NaN: none), columns (n, L) of 1, 0 and −1 are several labels at once. By default
            the one array called ``labels``, ``label``, ``targets``, ``target`` or ``y``.
            An empty list is for data without labels.
        groups: names of arrays with what must not be split or must be balanced, such as the speaker.
        ids: name of the array of the samples' names; by default they are numbered from 0.
        parts: fixed parts of the data, each with arrays of its own: with ``["train", "test"]``, ``audio_train`` and
            ``audio_test`` (or ``train_audio``, ``test_audio``) are the modality ``audio``, and a group ``part`` tells
            the samples apart.
        classes: for a target the names of its classes, in the order of their labels.
        rates: for a modality the steps a second, if it has a time.

    Raises:
        CorpusError: a file or an array that is not there, no samples, ids that stand twice, a target without labels.
        InputError: numbers of rows that differ, NaN (named by sample and modality), labels out of range.
    """

    def __init__(
        self,
        *,
        path: str,
        modalities: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        groups: Sequence[str] = (),
        ids: str | None = None,
        parts: Sequence[str] = (),
        classes: Mapping[str, Sequence[str]] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.path = path
        self.choices = Choices(modalities, targets, groups, ids, parts, classes or {}, rates or {})

    def load(self, folder: Path) -> Corpus:
        """Reads the arrays that are needed."""
        with self._opened(folder) as archive:
            kept: dict[str, NDArray[Any]] = {}

            def read(name: str) -> NDArray[Any]:
                if name not in kept:
                    kept[name] = self._array(archive, name)
                return kept[name]

            return corpus_of_arrays(self.path, archive.files, read, self.choices)

    def names(self, folder: Path) -> list[str]:
        """Names of all arrays in the file; none is read."""
        with self._opened(folder) as archive:
            return list(archive.files)

    def _opened(self, folder: Path) -> "np.lib.npyio.NpzFile[Any]":
        file = existing_file(folder, self.path, "NumPy archive")
        try:
            archive = np.load(file, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise CorpusError(f"{self.path} cannot be read as a NumPy archive: {unread(error)}.") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise CorpusError(f"{self.path} is a single array; expected an archive of named arrays (numpy.savez).")
        return archive

    def _array(self, archive: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
        try:
            return archive[name]
        except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            raise CorpusError(
                f"{self.path}: the array {name!r} cannot be read: {error} Arrays of Python objects are never "
                "loaded, since a pickle can run any program; save ragged data as one array of all steps and one "
                f"'{name}.lengths'."
            ) from error

"""A safetensors file of tensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.named_arrays import Choices, corpus_of_arrays
from mrpnkit.data.datasets.places import existing_file
from mrpnkit.data.datasets.registry import DATASETS
from mrpnkit.errors import CorpusError


@DATASETS.register("safetensors")
class Safetensors:
    """The tensors of one ``.safetensors`` file, by name; as :class:`Npz`, but without texts.

    Only the tensors that are needed are read, into memory; bfloat16 becomes float32. Labels are integers, whose classes
    ``classes`` may name; groups and ids are integers.

    Args:
        path: the file.
        modalities: names of tensors, in the order of the branches; by default all that are nothing else. Where there is
            also ``NAME.lengths``, the tensor holds the steps of all samples, one after another.
        targets: names of tensors: integers are labels (−1: none), floats are values (NaN: none), columns (n, L) of 1,
            0 and −1 are several labels at once. By default the one called ``labels``, ``label``, ``targets``,
            ``target`` or ``y``. An empty list is for data without labels.
        groups: names of tensors with what must not be split or must be balanced.
        ids: name of the tensor of the samples' names; by default they are numbered from 0.
        parts: fixed parts of the data, each with tensors of its own, as :class:`Npz` has them.
        classes: for a target the names of its classes, in the order of their labels.
        rates: for a modality the steps a second, if it has a time.

    Raises:
        CorpusError, InputError: as :class:`Npz`.
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
        """Reads the tensors that are needed."""
        import torch

        with self._opened(folder) as opened:

            def read(name: str) -> NDArray[Any]:
                tensor = opened.get_tensor(name)
                return np.asarray(tensor.float() if tensor.dtype == torch.bfloat16 else tensor)

            return corpus_of_arrays(self.path, list(opened.keys()), read, self.choices)

    def names(self, folder: Path) -> list[str]:
        """Names of all tensors in the file; none is read."""
        with self._opened(folder) as opened:
            return list(opened.keys())

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        file = existing_file(folder, self.path, "safetensors file")
        try:
            with safe_open(file, framework="pt") as opened:
                yield opened
        except (SafetensorError, OSError) as error:
            raise CorpusError(f"{self.path} cannot be read as safetensors: {error}") from error

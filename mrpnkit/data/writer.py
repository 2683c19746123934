"""Writing a corpus folder sample by sample, in memory that does not grow, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.data.arrays import FORMAT, check_classes, check_feature_names, check_modality_names, storable
from mrpnkit.data.labels import MISSING, TargetValue, coded
from mrpnkit.data.partial import Partial
from mrpnkit.data.table import LABELS, label_column, write_table
from mrpnkit.errors import CorpusError, InputError


class _Growing(NamedTuple):
    file: BinaryIO
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    lengths: list[int]


class CorpusWriter:
    """Context manager that writes a corpus folder; what is left after an error or a kill is never a corpus.

    Samples go to a folder of this writer's own beside it, ``FOLDER.TOKEN.partial``, which is renamed when the block
    ends without an error. What a killed writer left there is removed by the next one (not on Windows, which has no
    locks that tell). Two processes that write one corpus do not meet: the first to end gives it its name, the other is
    refused.

    Args:
        folder: the corpus to make; must not exist.
        classes: names of the classes of each classification target, in the order of their labels. Targets that are
            named neither here nor in ``labels`` are values.
        labels: names of the labels of each target that has several at once.
        rates: steps a second of those modalities that have a time.
        feature_names: names of the numbers of a step of those modalities that have some.
        about: where the corpus comes from and how it was made, as plain data that JSON can hold.

    Raises:
        CorpusError: the folder exists, or another process made it before the block ended; nothing was added; the
            classes of a target are not distinct names.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        rates: Mapping[str, float | None] | None = None,
        feature_names: Mapping[str, Sequence[str] | None] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.classes = {name: list(names) for name, names in (classes or {}).items()}
        self.rates = dict(rates or {})
        self.feature_names = {name: list(names) for name, names in (feature_names or {}).items() if names is not None}
        self.about = dict(about or {})
        self.labels = {name: list(names) for name, names in (labels or {}).items()}
        check_classes({**self.classes, **self.labels})
        if self.folder.exists():
            raise CorpusError(f"{self.folder} exists already; remove it or choose another folder.")
        self._modalities: dict[str, _Growing] = {}
        self._rows: list[tuple[str, ...]] = []
        self._ids: set[str] = set()
        self._header: tuple[str, ...] = ()
        self._columns: tuple[list[str], list[str]] = ([], [])

    def __enter__(self) -> "CorpusWriter":
        self._partial = Partial(self.folder)
        return self

    def add(
        self,
        sample: str,
        modalities: Mapping[str, NDArray[Any] | Tensor],
        targets: Mapping[str, TargetValue],
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """Adds one sample: steps (T, ...) of each modality, T = 0 where it is missing; None for a missing target.

        A target of several labels is given as the names that hold, or as a mapping from names to 1, 0 or None.

        Raises:
            InputError: names, shapes or types that differ from those of the first sample; NaN; an unknown class; an id
                that was added already; a target and a group of one name.
            CorpusError: a modality whose name no file can have; another number of feature names than of features.
        """
        groups = groups or {}
        header = ("id", *(column for name in targets for column in self._columns_of(name)), *groups)
        arrays = {name: storable(name, sample, values) for name, values in modalities.items()}
        row = (
            sample,
            *(text for item in targets.items() for text in self._texts(sample, *item)),
            *map(str, groups.values()),
        )
        if not self._rows:
            self._begin(header, arrays)
            self._columns = (list(targets), list(groups))
        if header != self._header or modalities.keys() != self._modalities.keys():
            raise InputError(
                f"Sample {sample!r} has the columns {list(header)} and modalities {list(modalities)}; the first sample "
                f"had {list(self._header)} and {list(self._modalities)}."
            )
        if sample in self._ids:
            raise InputError(f"The sample {sample!r} was added already; ids must be unique.")
        for name, array in arrays.items():
            self._check_fit(name, sample, array)
        for name, array in arrays.items():
            self._modalities[name].file.write(np.ascontiguousarray(array).tobytes())
            self._modalities[name].lengths.append(len(array))
        self._rows.append(row)
        self._ids.add(sample)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for growing in self._modalities.values():
                growing.file.close()
            self._partial.close()

    def _begin(self, header: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> None:
        if len(set(header)) != len(header):
            raise InputError(
                f"In samples.csv two columns would have one name: {list(header)}; rename a target or group."
            )
        check_modality_names(arrays)
        for name, array in arrays.items():
            check_feature_names(name, self.feature_names.get(name), array.shape[1:])
        self._header = header
        for name, array in arrays.items():
            file = (self._partial.path / f"{name}.steps.npy").open("wb")
            self._modalities[name] = _Growing(file, array.dtype, array.shape[1:], [])
            _write_header(file, array.dtype, (0, *array.shape[1:]))

    def _check_fit(self, name: str, sample: str, array: NDArray[Any]) -> None:
        growing = self._modalities[name]
        if (array.dtype, array.shape[1:]) != (growing.dtype, growing.shape):
            raise InputError(
                f"{name!r} of sample {sample!r} has steps of {array.dtype} {array.shape[1:]}; those of the first "
                f"sample are {growing.dtype} {growing.shape}."
            )

    def _named(self, modality: str) -> dict[str, Any]:
        return {"feature_names": self.feature_names[modality]} if modality in self.feature_names else {}

    def _columns_of(self, target: str) -> list[str]:
        return [label_column(target, label) for label in self.labels[target]] if target in self.labels else [target]

    def _texts(self, sample: str, target: str, value: TargetValue) -> list[str]:
        if target not in self.labels:
            return [self._text(sample, target, value)]
        try:
            cells = coded(target, value, self.labels[target]).tolist()
        except InputError as error:
            raise InputError(f"Sample {sample!r}: {error}") from error
        return ["" if cell == MISSING else str(cell) for cell in cells]

    def _text(self, sample: str, target: str, value: TargetValue) -> str:
        if value is None or value != value:
            return ""
        if target in self.classes and str(value) not in self.classes[target]:
            raise InputError(
                f"Sample {sample!r}: {value!r} is no class of {target!r}; its classes are {self.classes[target]}."
            )
        return str(value)

    def _finish(self) -> None:
        if not self._rows:
            raise CorpusError(f"{self.folder}: no sample was added; an empty corpus is not written.")
        for name, growing in self._modalities.items():
            growing.file.seek(0)
            _write_header(growing.file, growing.dtype, (sum(growing.lengths), *growing.shape))
            np.save(self._partial.path / f"{name}.lengths.npy", np.array(growing.lengths, dtype=np.int64))
        write_table(self._partial.path / "samples.csv", self._header, self._rows)
        about = {
            "format": FORMAT,
            "modalities": {
                name: {"dtype": str(g.dtype), "step": list(g.shape), "rate": self.rates.get(name)} | self._named(name)
                for name, g in self._modalities.items()
            },
            "targets": {
                name: {LABELS: self.labels[name]} if name in self.labels else self.classes.get(name)
                for name in self._columns[0]
            },
            "groups": self._columns[1],
            "about": self.about,
        }
        (self._partial.path / "corpus.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        for growing in self._modalities.values():
            growing.file.close()
        self._partial.name()


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    # The format leaves room for the first axis to grow, so that the header can be written again in its place.
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})

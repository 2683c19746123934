"""A folder of files: one file a sample and modality."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.options import as_options
from mrpnkit.data.datasets.places import existing, listed
from mrpnkit.data.datasets.readers import ARRAY, IMAGE, SOUND, Colour, read_array, read_image, read_sound
from mrpnkit.data.datasets.registry import DATASETS
from mrpnkit.data.datasets.sample_table import SampleTable, Unlisted, rows_of, sample_table
from mrpnkit.data.datasets.steps import Kind, as_steps
from mrpnkit.data.datasets.stream import Piece, Sample, Stream, gathered
from mrpnkit.data.datasets.table_file import CsvTable
from mrpnkit.data.datasets.tables import samples_of_table
from mrpnkit.errors import CorpusError, InputError


@dataclass(frozen=True, kw_only=True)
class FileModality:
    """Which files hold a modality, and how they are read.

    Attributes:
        files: their path below the folder, with ``{id}`` where the name of the sample stands, and ``*`` for anything
            else: ``"audio/{id}.wav"``, ``"faces/{id}/*.jpg"``. Several images of a sample are a sequence in the order
            of their names; of other files there is one a sample.
        kind: whether an array of one sample is a ``"vector"`` or a ``"sequence"``; ``"auto"`` takes arrays of one axis
            for vectors. Sound is a sequence of samples (T, 1), an image a step.
        array: name of the array in ``.npz`` files that have several.
        colour: ``"rgb"`` (H, W, 3) or ``"grey"`` (H, W), for images.
        size: height and width to which images are resized; by default they must be equal.
        rate: steps a second. That of sound files is read; where it is given too, they must agree.
    """

    files: str
    kind: Kind = "auto"
    array: str | None = None
    colour: Colour = "rgb"
    size: tuple[int, int] | None = None
    rate: float | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  (pydantic's own name; no field)


@DATASETS.register("files")
class Files:
    """A folder of files, one a sample and modality: ``.npy``, ``.npz``, sound, images; and a CSV file of the samples.

    A sample that has no file lacks the modality. All is read into memory; for more than that, write it to a corpus
    folder first, with :func:`prepare`, and use the data set ``corpus``.

    Args:
        path: the folder.
        modalities: by name, in the order of the branches, which files: see :class:`FileModality`.
        table: the CSV file of samples, below the folder, with the columns of ids, targets and groups. Without one, the
            samples are those that have files, in the order of their names, and nothing is labelled.
        targets: columns of names of classes; an empty cell is a missing label.
        values: columns of numbers that are to be predicted as such; an empty cell is a missing value.
        labels: targets of several labels at once: by name the columns of their labels, of 1, 0, or an empty cell where
            it is not known.
        groups: columns of what must not be split or must be balanced, such as the speaker.
        id: name of the column of ids.
        classes: for a target the names of its classes in order; by default sorted, as numbers where all are.
        unlisted: files whose id the table lacks: ``"refuse"`` or ``"skip"`` them.

    Raises:
        DependencyError: soundfile or Pillow is needed and not installed.
        CorpusError: a folder or file that is not there or cannot be read, two files for one sample, ids that stand
            twice, ids of files that the table does not list, a target without labels.
        InputError: NaN (named by sample and modality), shapes, types or rates that differ within a modality.
    """

    def __init__(
        self,
        *,
        path: str,
        modalities: Mapping[str, FileModality],
        table: str | None = None,
        targets: Sequence[str] = (),
        values: Sequence[str] = (),
        labels: Mapping[str, Sequence[str]] | None = None,
        groups: Sequence[str] = (),
        id: str = "id",
        classes: Mapping[str, Sequence[str]] | None = None,
        unlisted: Unlisted = "refuse",
    ) -> None:
        self.path, self.table, self.unlisted = path, table, unlisted
        self.modalities = as_options(FileModality, modalities, "modalities")
        self.targets, self.values, self.groups = list(targets), list(values), list(groups)
        self.labels, self.id, self.classes = dict(labels or {}), id, dict(classes or {})
        for name, modality in self.modalities.items():
            _check_pattern(name, modality.files)
            if modality.size is not None and (len(modality.size) != 2 or min(modality.size) < 1):
                raise InputError(f"modalities.{name}.size must be a height and a width, got {modality.size!r}.")
        columns = [*self.targets, *self.values, *self.labels, *self.groups]
        if table is None and columns:
            raise InputError(f"The columns {listed(columns)} stand in a table of samples; say which: table = ...")

    def load(self, folder: Path) -> Corpus:
        """Reads all files."""
        return gathered(self.stream(folder))

    def stream(self, folder: Path) -> Stream:
        """Lists the files; they are read as the samples are asked for."""
        root = existing(folder, self.path, "folder")
        if not root.is_dir():
            raise CorpusError(f"{self.path} is a file; expected a folder.")
        found = {name: _found(root, name, modality) for name, modality in self.modalities.items()}
        table = self._samples(root, found)
        for name, files in found.items():
            rows_of(name, f"{self.path}/{self.modalities[name].files}", list(files), table, self.unlisted)

        def samples() -> Iterator[Sample]:
            for sample in table.ids:
                yield {name: self._read(root, name, found[name].get(sample, [])) for name in found}

        return Stream(table, tuple(self.modalities), samples)

    def _samples(self, root: Path, found: Mapping[str, Mapping[str, list[Path]]]) -> SampleTable:
        if self.table is None:
            ids = sorted({sample for files in found.values() for sample in files}, key=_natural)
            return sample_table(self.path, ids, targets={}, groups={}, classes=self.classes)
        return samples_of_table(
            CsvTable(root, self.table),
            id=self.id,
            targets=self.targets,
            values=self.values,
            labels=self.labels,
            groups=self.groups,
            classes=self.classes,
        )

    def _read(self, root: Path, name: str, files: list[Path]) -> Piece | None:
        if not files:
            return None
        modality, first = self.modalities[name], files[0]
        where, suffix = first.relative_to(root).as_posix(), first.suffix.lower()
        if suffix in SOUND:
            samples, rate = read_sound(first, where)
            if modality.rate is not None and modality.rate != rate:
                raise InputError(f"{where} has {rate:g} samples a second; modalities.{name}.rate is {modality.rate:g}.")
            return Piece(samples, rate)
        if suffix in ARRAY:
            return Piece(as_steps(read_array(first, where, modality.array), modality.kind), modality.rate)
        images = [read_image(file, where, colour=modality.colour, size=modality.size) for file in files]
        if len({image.shape for image in images}) > 1:
            raise InputError(f"The images of {where} and beside it differ in size; give modalities.{name}.size.")
        return Piece(np.stack(images), modality.rate)


def _check_pattern(name: str, pattern: str) -> None:
    parts = PurePosixPath(pattern).parts
    if pattern.count("{id}") != 1 or pattern.startswith("/") or ".." in parts:
        raise InputError(
            f"modalities.{name}.files must be a path below the folder with {{id}} once, such as 'audio/{{id}}.wav'; "
            f"got {pattern!r}."
        )


def _found(root: Path, name: str, modality: FileModality) -> dict[str, list[Path]]:
    """The files of a modality, by sample."""
    shape = "".join(_SIGNS.get(part, re.escape(part)) for part in re.split(r"(\{id\}|\*\*/|\*)", modality.files))
    found: dict[str, list[Path]] = {}
    for file in sorted(root.glob(modality.files.replace("{id}", "*")), key=lambda file: _natural(str(file))):
        match = re.fullmatch(shape, file.relative_to(root).as_posix())
        if match is None or not file.is_file():
            continue
        if file.suffix.lower() not in (*SOUND, *ARRAY, *IMAGE):
            raise CorpusError(
                f"{file.relative_to(root)} of {name!r} is of no kind that can be read; those end in "
                f"{', '.join((*ARRAY, *SOUND, *IMAGE))}."
            )
        found.setdefault(match["id"], []).append(file)
    if not found:
        entries = sorted(entry.name for entry in root.iterdir())
        raise CorpusError(f"{root}: no file matches {modality.files!r} for {name!r}. The folder has {listed(entries)}.")
    for sample, files in found.items():
        if len(files) > 1 and any(file.suffix.lower() not in IMAGE for file in files):
            names = [file.relative_to(root).as_posix() for file in files]
            raise CorpusError(f"{name!r} of sample {sample!r} has {len(files)} files: {listed(names)}; expected one.")
    return found


_SIGNS = {"{id}": "(?P<id>[^/]+)", "**/": "(?:.*/)?", "*": "[^/]*"}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts "frame 10" behind "frame 9"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]

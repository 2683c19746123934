"""Tables of the package ``datasets``: files, folders that it saved, and repositories of the hub."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.options import as_options, missing_package
from mrpnkit.data.datasets.places import check_known, existing
from mrpnkit.data.datasets.readers import Colour, read_image, read_sound
from mrpnkit.data.datasets.registry import DATASETS
from mrpnkit.data.datasets.sample_table import SampleTable, sample_table
from mrpnkit.data.datasets.steps import Kind, as_steps, numbers
from mrpnkit.data.datasets.stream import Piece, Sample, Stream, gathered
from mrpnkit.data.labels import is_missing, text_of
from mrpnkit.errors import CorpusError, InputError

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


@dataclass(frozen=True, kw_only=True)
class ColumnModality:
    """Which column holds a modality, and how it is read.

    Attributes:
        column: its name. It holds lists of numbers, sound or images; null where a sample lacks the modality.
        kind: whether a list of one sample is a ``"vector"`` or a ``"sequence"``, such as token ids; ``"auto"`` takes
            lists of numbers for vectors and lists of lists for sequences.
        colour: ``"rgb"`` (H, W, 3) or ``"grey"`` (H, W), for images.
        size: height and width to which images are resized; by default they must be equal.
        rate: steps a second; that of sound is read.
    """

    column: str
    kind: Kind = "auto"
    colour: Colour = "rgb"
    size: tuple[int, int] | None = None
    rate: float | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  (pydantic's own name; no field)


@DATASETS.register("huggingface")
class HuggingFace:
    """A table of the package ``datasets``, in memory or read as a stream.

    No code of a data set is ever run. Local data are read where they are. A corpus is read in any order, so that
    :meth:`load` keeps the columns that are needed in memory, however they are read; for more than that, write them to
    a corpus folder with :func:`prepare`, which follows the stream. The package datasets is needed:
    ``pip install 'mrpnkit[hub]'``.

    Args:
        modalities: by name, in the order of the branches, which column: see :class:`ColumnModality`.
        path: a folder written by ``Dataset.save_to_disk``, or files (Parquet, CSV, JSON lines, Arrow), also as a
            pattern: ``"data/train-*.parquet"``. Either this or ``repository``.
        repository: name on the hub; nothing else reaches for the network.
        configuration: which one of the repository's.
        revision: commit, tag or branch of the repository.
        split: which one of the repository's, or of a saved ``DatasetDict``.
        mode: ``"stream"`` reads a repository over the network and keeps no files; ``"memory"`` downloads it into the
            package's own cache, in the user's home, for the next time.
        targets: columns of classes: class labels, names, or whole numbers; null (−1 for class labels) where missing. A
            column of lists of them is a target of several labels, those in the list hold.
        values: columns of numbers that are to be predicted as such.
        groups: columns of what must not be split or must be balanced, such as the speaker.
        id: column of ids; by default the samples are numbered from 0.
        classes: for a target the names of its classes in order; by default the class label's, or sorted.

    Raises:
        DependencyError: datasets is not installed.
        CorpusError: data or a column that is not there, ids that stand twice, a target without labels.
        InputError: NaN (named by sample and modality), shapes, types or rates that differ within a modality, texts
            where numbers are expected.
    """

    def __init__(
        self,
        *,
        modalities: Mapping[str, ColumnModality],
        path: str | None = None,
        repository: str | None = None,
        configuration: str | None = None,
        revision: str | None = None,
        split: str = "train",
        mode: Literal["memory", "stream"] = "stream",
        targets: Sequence[str] = (),
        values: Sequence[str] = (),
        groups: Sequence[str] = (),
        id: str | None = None,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if (path is None) == (repository is None):
            raise InputError("Give either path, for local data, or repository, for a name on the hub.")
        self.modalities = as_options(ColumnModality, modalities, "modalities")
        self.path, self.repository, self.configuration, self.revision = path, repository, configuration, revision
        self.split, self.mode = split, mode
        self.targets, self.values, self.groups = list(targets), list(values), list(groups)
        self.id, self.classes = id, dict(classes or {})
        self.where = str(path or repository)

    def load(self, folder: Path) -> Corpus:
        """Reads the columns that are needed."""
        return gathered(self.stream(folder))

    def stream(self, folder: Path) -> Stream:
        """Reads the columns of ids, targets and groups; the modalities are read as the samples are asked for."""
        rows = self._opened(folder)
        known = list(rows.column_names or next(iter(rows), {}))
        columns = {name: modality.column for name, modality in self.modalities.items()}
        few = list(dict.fromkeys([*self.targets, *self.values, *self.groups, *([self.id] if self.id else [])]))
        check_known("column", [*columns.values(), *few], known, self.where)
        table = self._samples(rows.select_columns(few or [next(iter(columns.values()))]), few)
        wanted = rows.select_columns(list(dict.fromkeys(columns.values())))
        undecoded, media = _undecoded(wanted)

        def samples() -> Iterator[Sample]:
            for sample, row in zip(table.ids, undecoded, strict=True):
                yield {name: self._piece(name, sample, row[column], media) for name, column in columns.items()}

        return Stream(table, tuple(self.modalities), samples)

    def _opened(self, folder: Path) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise missing_package("datasets", "The data set 'huggingface'", "hub") from error
        try:
            if self.repository is not None:
                return datasets.load_dataset(
                    self.repository,
                    self.configuration,
                    split=self.split,
                    revision=self.revision,
                    streaming=self.mode == "stream",
                )
            files = sorted(glob.glob(str(folder / self.where))) or [str(existing(folder, self.where, "data"))]
            if Path(files[0]).is_dir():
                saved = datasets.load_from_disk(files[0])
                if isinstance(saved, datasets.DatasetDict):
                    check_known("split", [self.split], list(saved), self.where)
                    saved = saved[self.split]
                return saved
            suffix = Path(files[0]).suffix.lower()
            if suffix not in _FORMATS:
                raise CorpusError(f"{self.where}: files must end in {', '.join(_FORMATS)}; got {files[0]}.")
            # As a stream, since otherwise the package would write a copy of the files into its cache.
            return datasets.load_dataset(_FORMATS[suffix], data_files=files, split="train", streaming=True)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            if isinstance(error, CorpusError):
                raise
            raise CorpusError(f"{self.where} cannot be read by datasets: {type(error).__name__}: {error}") from error

    def _samples(self, rows: Any, few: list[str]) -> SampleTable:
        columns: dict[str, list[Any]] = {name: [] for name in few}
        count = 0
        for row in rows:
            count += 1
            for name in few:
                columns[name].append(row[name])
        ids = [text_of(value) for value in columns[self.id]] if self.id else [str(row) for row in range(count)]
        classes = dict(self.classes)
        targets: dict[str, Any] = {}
        for name in self.targets:
            feature = (rows.features or {}).get(name)
            names = getattr(getattr(feature, "feature", feature), "names", None)
            targets[name] = [_target(value, names) for value in columns[name]]
            if names is not None:
                classes.setdefault(name, list(names))
        floats = {
            name: numbers([_nan(value) for value in columns[name]], f"{self.where}, {name!r}") for name in self.values
        }
        groups = {name: columns[name] for name in self.groups}
        every = {**targets, **{name: values.astype("float32") for name, values in floats.items()}}
        return sample_table(self.where, ids, targets=every, groups=groups, classes=classes)

    def _piece(self, name: str, sample: str, cell: Any, media: Mapping[str, str]) -> Piece | None:
        modality = self.modalities[name]
        where = f"{self.where}: {name!r} of sample {sample!r}"
        if cell is None:
            return None
        if modality.column in media:
            source = cell["bytes"] if cell["bytes"] is not None else Path(cell["path"])
            if media[modality.column] == "Audio":
                return Piece(*read_sound(source, where))
            return Piece(read_image(source, where, colour=modality.colour, size=modality.size)[None], modality.rate)
        if isinstance(cell, str | bytes | Mapping):
            raise InputError(
                f"{where} is of type {type(cell).__name__}; expected lists of numbers, sound or images. Text is given "
                'as token ids, lists of whole numbers, with kind = "sequence".'
            )
        return Piece(as_steps(numbers(cell, where), modality.kind), modality.rate)


def _undecoded(rows: Any) -> tuple[Any, dict[str, str]]:
    """The rows with sound and images as the bytes of their files, and which columns hold those."""
    import datasets

    media: dict[str, str] = {}
    for name, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Audio | datasets.Image):
            rows = rows.cast_column(name, type(feature)(decode=False))
            media[name] = type(feature).__name__
    return rows, media


def _target(value: Any, names: Sequence[str] | None) -> str | list[str | None] | None:
    return [_class_name(one, names) for one in value] if isinstance(value, list) else _class_name(value, names)


def _class_name(value: Any, names: Sequence[str] | None) -> str | None:
    if is_missing(value) or (names is not None and value == -1):
        return None
    return str(value) if names is None else names[value]


def _nan(value: Any) -> Any:
    return float("nan") if value is None else value

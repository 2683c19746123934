"""Recordings in a folder of CSV files, as sensor apps export them, brought to an even rate."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError, InputError
from mrpnkit_inertial.motion import CHANNELS, RATE

TABLE = "recordings.csv"
COLUMNS = ("recording", "person", "activity")


class CsvRecordings:
    """A folder of recordings: ``recordings.csv``, and ``RECORDING.SENSOR.csv`` for each recording and sensor.

    ``recordings.csv`` has the columns ``recording``, ``person`` and ``activity``; an empty activity is a missing label.
    A sensor's file has the columns ``seconds``, ``ax``, ``ay``, ``az`` (m/s²) and ``gx``, ``gy``, ``gz`` (rad/s), a row
    a measurement, in order of time; other columns are left alone. Devices do not keep time evenly, so the channels are
    interpolated linearly to ``rate`` steps a second. A sensor without a file, or with an empty one, recorded nothing:
    that recording lacks the modality.

    The corpus has a modality for each sensor, the target ``activity`` and the group ``person``.

    Args:
        path: the folder, from that of the configuration.
        sensors: names of the sensors, in the order of the modalities.
        rate: steps a second of the corpus.

    Raises:
        InputError: no sensor, or a rate that is not positive.
    """

    def __init__(self, *, path: str, sensors: Sequence[str] = ("wrist", "ankle"), rate: float = RATE) -> None:
        if not sensors or not rate > 0.0:
            raise InputError(
                f"CsvRecordings needs one sensor or more and a rate above 0; got sensors={list(sensors)}, rate={rate}."
            )
        self.path, self.sensors, self.rate = path, tuple(sensors), rate

    def load(self, folder: Path) -> Corpus:
        """Reads the recordings.

        Args:
            folder: what ``path`` is relative to.

        Raises:
            CorpusError: no table, columns that lack, a value that is no number, seconds that do not rise.
        """
        root = folder / self.path
        rows = _rows(root / TABLE, COLUMNS)
        if not rows:
            raise CorpusError(f"{root / TABLE} has no recordings; give a row for each.")
        steps = {sensor: [self._read(root, row["recording"], sensor) for row in rows] for sensor in self.sensors}
        return Corpus.from_arrays(
            dict(steps),
            {"activity": [row["activity"] or None for row in rows]},
            ids=[row["recording"] for row in rows],
            groups={"person": [row["person"] for row in rows]},
            rates=dict.fromkeys(self.sensors, self.rate),
        )

    def _read(self, root: Path, recording: str, sensor: str) -> NDArray[np.float32]:
        """(T, 6) at an even rate; T = 0 where there is no file."""
        file = root / f"{recording}.{sensor}.csv"
        if file.parent != root:
            raise CorpusError(f"{root / TABLE}: {recording!r} is no name for a recording; it must not hold a path.")
        if not file.is_file():
            return np.empty((0, len(CHANNELS)), np.float32)
        rows = _rows(file, ("seconds", *CHANNELS))
        if not rows:
            return np.empty((0, len(CHANNELS)), np.float32)
        values = np.array([_numbers(file, line, row) for line, row in enumerate(rows, start=2)])
        seconds, channels = values[:, 0], values[:, 1:]
        falls = np.flatnonzero(np.diff(seconds) <= 0)
        if len(falls):
            raise CorpusError(
                f"{file}, line {falls[0] + 3}: the time {seconds[falls[0] + 1]:g} s does not come after "
                f"{seconds[falls[0]]:g} s; rows must be in order of time."
            )
        count = 1 + int((seconds[-1] - seconds[0]) * self.rate + 1e-6)
        even = seconds[0] + np.arange(count) / self.rate
        return np.stack([np.interp(even, seconds, channel) for channel in channels.T], axis=1).astype(np.float32)


def write_recordings(corpus: Corpus, folder: Path) -> None:
    """Writes a corpus of inertial sensors as a folder that :class:`CsvRecordings` reads."""
    folder.mkdir(parents=True)
    classes = ["", *corpus.classes["activity"]]
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row, name in enumerate(corpus.ids):
            table.writerow([name, corpus.groups["person"][row], classes[corpus.targets["activity"][row] + 1]])
    for sensor, modality in corpus.modalities.items():
        for row, name in enumerate(corpus.ids):
            steps = corpus.read(sensor, row)
            if len(steps):
                with (folder / f"{name}.{sensor}.csv").open("w", newline="", encoding="utf-8") as file:
                    lines = csv.writer(file)
                    lines.writerow(["seconds", *CHANNELS])
                    for number, step in enumerate(steps.tolist()):
                        lines.writerow([f"{number / (modality.rate or RATE):.6f}", *(f"{value:.6g}" for value in step)])


def _rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            lacks = [column for column in columns if column not in (reader.fieldnames or columns)]
            if lacks:
                raise CorpusError(f"{file} lacks the columns {lacks}; it has {list(reader.fieldnames or [])}.")
            return list(reader)
    except FileNotFoundError as error:
        raise CorpusError(f"There is no {file}; expected a table with the columns {', '.join(columns)}.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{file} cannot be read as CSV in UTF-8: {error}") from error


def _numbers(file: Path, line: int, row: dict[str, str]) -> list[float]:
    try:
        return [float(row[column]) for column in ("seconds", *CHANNELS)]
    except (TypeError, ValueError) as error:
        raise CorpusError(f"{file}, line {line}: expected a number in every column: {error}.") from error

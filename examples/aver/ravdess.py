"""RAVDESS speech as clips of landmarks and sound: the compact archive, and whichever layout a folder has.

Livingstone and Russo (2018), "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE.
"""

import csv
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import EMOTIONS, POINTS, Clip, Landmarks, Sex, read_wave
from examples.aver.ravdess_official import Incomplete, read_official, survey
from examples.aver.recordings import warn_of_low_rates
from examples.aver.sources.inventory import MOVIES, files_below
from mrpnkit.errors import CorpusError

Layout = Literal["archive", "official"]
COLUMNS = ("id", "emotion", "label", "intensity", "statement", "repetition", "actor", "sex", "n_frames")
ARRAYS = ("ids", "n_frames", "xy", "fps")


def read_ravdess(folder: Path, *, incomplete: Incomplete = "skip") -> list[Clip]:
    """All clips below ``folder``, in whichever of the two layouts it has (:func:`detect_layout`)."""
    if detect_layout(folder) == "archive":
        return read_landmark_archive(folder)
    return read_official(folder, incomplete=incomplete)


def detect_layout(folder: Path) -> Layout:
    """``"archive"`` where clips.csv and landmarks.npz lie in the folder, ``"official"`` where RAVDESS files lie below.

    Raises:
        CorpusError: no such folder, or neither layout; the text lists what was looked for, or says what to do with
            movies.
    """
    _check_folder(folder)
    if (folder / "clips.csv").is_file() and (folder / "landmarks.npz").is_file():
        return "archive"
    found = survey(folder)
    if found.audio or found.landmarks:
        return "official"
    movie = next(files_below(folder, MOVIES), None)
    if movie is not None:
        raise CorpusError(
            f"The folder {folder} holds movies, such as {movie.name}; this command reads speech recordings and tracked "
            "landmarks. `python -m examples.aver prepare-movies --data FOLDER --out runs/movies` prepares movies, and "
            "`python -m examples.aver table 2 --corpus runs/movies/corpus` trains on them."
        )
    held = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise CorpusError(
        f"The folder {folder} holds no RAVDESS speech that is known here. Looked for (1) clips.csv, landmarks.npz and "
        "audio/ in the folder itself, and (2) anywhere below it, speech recordings named as RAVDESS names them "
        "(03-01-06-01-02-01-12.wav) and tracked landmarks (01-01-06-01-02-01-12.csv, from Zenodo record 3255102). "
        f"The folder holds: {held}."
    )


def read_landmark_archive(folder: Path) -> list[Clip]:
    """The compact archive: ``clips.csv``, ``audio/ID.flac`` and ``landmarks.npz``; clips in the order of the table.

    ``clips.csv`` has the columns id, emotion, label, intensity, statement, repetition, actor, sex, n_frames;
    ``landmarks.npz`` holds ``ids`` and ``n_frames`` of each clip, ``xy`` (Σ n_frames, 68, 2), and ``fps``. A clip's
    attributes are intensity, statement and repetition.

    Raises:
        CorpusError: a file, column, array or recording is missing, or table and landmarks do not fit together.
    """
    _check_folder(folder)
    table, archive = folder / "clips.csv", folder / "landmarks.npz"
    for path in (table, archive):
        if not path.is_file():
            raise CorpusError(
                f"The RAVDESS archive {folder} has no {path.name}; expected clips.csv, landmarks.npz and audio/."
            )
    rows = _rows(table)
    starts = _starts(archive)
    clips = []
    for row in rows:
        if row["id"] not in starts:
            raise CorpusError(f"{archive} has no landmarks of the clip {row['id']!r}, which {table.name} lists.")
        start, length = starts[row["id"]]
        if str(length) != row["n_frames"]:
            raise CorpusError(
                f"The clip {row['id']!r} has {row['n_frames']} frames in {table.name} and {length} in {archive.name}; "
                "the two files are not of the same archive."
            )
        recording = folder / "audio" / f"{row['id']}.flac"
        if not recording.is_file():
            raise CorpusError(f"The recording {recording} does not exist, but {table.name} lists its clip.")
        if row["label"] != str(EMOTIONS.index(row["emotion"]) if row["emotion"] in EMOTIONS else None):
            raise CorpusError(
                f"{table}: the clip {row['id']!r} has emotion {row['emotion']!r} and label {row['label']}; expected "
                "labels 0 "
                f"to {len(EMOTIONS) - 1} for {', '.join(EMOTIONS)}."
            )
        clips.append(
            Clip(
                id=row["id"],
                actor=row["actor"],
                sex=cast("Sex", row["sex"]),
                emotion=row["emotion"],
                attributes={name: row[name] for name in ("intensity", "statement", "repetition")},
                read_landmarks=partial(_landmarks, archive, start, length),
                read_speech=partial(read_wave, recording),
                files=(archive, recording),
            )
        )
    warn_of_low_rates(clip.files[1] for clip in clips)
    return clips


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(
                f"{table} has no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or ())}."
            )
        rows = list(reader)
    if not rows:
        raise CorpusError(f"{table} lists no clips.")
    ids = [row["id"] for row in rows]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise CorpusError(f"{table} lists the clip {twice!r} more than once.")
    return rows


def _starts(archive: Path) -> dict[str, tuple[int, int]]:
    arrays = _arrays(archive, archive.stat().st_mtime_ns)
    lengths = arrays["n_frames"].astype(int)
    ends = lengths.cumsum()
    if arrays["xy"].shape != (int(lengths.sum()), POINTS, 2) or len(arrays["ids"]) != len(lengths):
        raise CorpusError(
            f"{archive}: xy has the shape {arrays['xy'].shape} for {len(arrays['ids'])} ids; expected "
            f"({int(lengths.sum())}, {POINTS}, 2), one row for each of the n_frames."
        )
    return {
        str(name): (int(end - length), int(length))
        for name, end, length in zip(arrays["ids"], ends, lengths, strict=True)
    }


def _landmarks(archive: Path, start: int, length: int) -> Landmarks:
    arrays = _arrays(archive, archive.stat().st_mtime_ns)
    return Landmarks(arrays["xy"][start : start + length].astype(np.float32), float(arrays["fps"]))


@lru_cache(maxsize=2)
def _arrays(archive: Path, changed: int) -> dict[str, NDArray[np.generic]]:
    """The arrays of the file as it was at the time ``changed``, so that a new file is read anew."""
    try:
        with np.load(archive) as arrays:
            missing = [name for name in ARRAYS if name not in arrays.files]
            if missing:
                raise CorpusError(f"{archive} has no array {', '.join(missing)}; it has {', '.join(arrays.files)}.")
            return {name: arrays[name] for name in ARRAYS}
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{archive} cannot be read as a NumPy archive: {error}") from error


def _check_folder(folder: Path) -> None:
    if folder.is_file():
        raise CorpusError(
            f"{folder} is a file; expected the folder that the RAVDESS files were put in, such as "
            f"{folder.absolute().parent}."
        )
    if not folder.is_dir():
        raise CorpusError(f"The folder {folder} does not exist; give the one that the RAVDESS files were put in.")

"""Recordings of many speakers, for speaker recognition: a table of files, or VoxCeleb's folders."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE, read_wave
from examples.aver.files import files_in
from examples.aver.movies.sound import Sound, read_sound
from mrpnkit.errors import CorpusError, SplitError

DECODED_BY_LIBSNDFILE = (".wav", ".flac", ".ogg", ".opus")
OTHERS = (".m4a", ".mp4", ".aac", ".mp3")


class Utterance(NamedTuple):
    """A recording of one speaker; those of one ``session``, such as one video, are never split."""

    path: Path
    speaker: str
    session: str


class Parts(NamedTuple):
    """Rows of utterances to train on, to select the epoch on, and to test on."""

    train: list[int]
    validation: list[int]
    test: list[int]


def read_utterances(folder: Path) -> list[Utterance]:
    """All recordings below a folder, in the order of the table or of their names.

    Args:
        folder: with ``speakers.csv``, whose columns ``file`` and ``speaker`` name a recording below the folder and who
            speaks; or laid out as VoxCeleb is, ``id10001/VIDEO/00001.wav`` or ``.m4a``, anywhere below the folder.

    Raises:
        CorpusError: neither of the two, a table without these columns, a recording that is missing.
    """
    if not folder.is_dir():
        raise CorpusError(f"The folder {folder} does not exist; expected speakers.csv or VoxCeleb's folders in it.")
    table = folder / "speakers.csv"
    found = _from_table(table) if table.is_file() else _from_folders(folder)
    if len({utterance.speaker for utterance in found}) < 2:
        raise CorpusError(
            f"{folder} holds recordings of fewer than two speakers. Expected speakers.csv with the columns file and "
            "speaker, or VoxCeleb's id10001/VIDEO/00001.wav (or .m4a)."
        )
    return found


def read_recording(path: Path) -> Sound:
    """All samples (n,) at 16 kHz, n ≥ 1; Opus, FLAC and WAVE by libsndfile, AAC by FFmpeg, which tells what was odd.

    Raises:
        CorpusError: a file that cannot be decoded or has no sound.
    """
    if path.suffix.lower() in DECODED_BY_LIBSNDFILE:
        return Sound(read_wave(path), SPEECH_RATE, ())
    sound = read_sound(path)
    if not len(sound.samples):
        raise CorpusError(f"The recording {path} has no sound. Fetch it again, or remove it.")
    return sound


def split_utterances(
    utterances: Sequence[Utterance], *, seed: int, test: float = 0.15, validation: float = 0.1
) -> Parts:
    """Of every speaker some sessions to test and to validate on, at random; the others are trained on.

    Where a speaker has two sessions, one is tested; where there is one alone, it is trained on. So every speaker that
    is tested has been trained on.

    Raises:
        SplitError: no speaker has two sessions.
    """
    generator = np.random.default_rng(seed)
    sessions: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, utterance in enumerate(utterances):
        sessions[utterance.speaker][utterance.session].append(row)
    parts = Parts([], [], [])
    for speaker in sorted(sessions):
        names = sorted(sessions[speaker])
        order = [names[place] for place in generator.permutation(len(names))]
        tested = max(1, round(test * len(order))) if len(order) > 1 else 0
        validated = max(1, round(validation * len(order))) if len(order) > 2 else 0
        for place, name in enumerate(order):
            part = parts.test if place < tested else parts.validation if place < tested + validated else parts.train
            part += sessions[speaker][name]
    if not parts.test or not parts.validation:
        raise SplitError("No speaker has three sessions; expected some, to train, validate and test on.")
    return Parts(*(sorted(rows) for rows in parts))


def some_of(utterances: Sequence[Utterance], most: int) -> list[Utterance]:
    """At most so many utterances, for a quick look: of some speakers with three sessions or more, spread over these.

    All utterances where they are no more; those of the first speakers where none has three sessions.
    """
    if len(utterances) <= most:
        return list(utterances)
    sessions: dict[str, dict[str, list[Utterance]]] = defaultdict(lambda: defaultdict(list))
    for utterance in utterances:
        sessions[utterance.speaker][utterance.session].append(utterance)
    rich = [speaker for speaker, of in sorted(sessions.items()) if len(of) > 2] or sorted(sessions)
    number = min(len(rich), max(2, most // 12))
    chosen = [rich[place * len(rich) // number] for place in range(number)]
    found: list[Utterance] = []
    for speaker in chosen:
        turns = zip_longest(*(sessions[speaker][name] for name in sorted(sessions[speaker])))
        own = [utterance for turn in turns for utterance in turn if utterance is not None]
        found += own[: most // number]
    return found


def fingerprint(wave: NDArray[np.float32]) -> bytes:
    """The same for recordings that are equal sample for sample, and for no others."""
    return hashlib.sha256(np.ascontiguousarray(wave).tobytes()).digest()


def _from_table(table: Path) -> list[Utterance]:
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if not {"file", "speaker"} <= set(reader.fieldnames or ()):
            raise CorpusError(f"{table} has the columns {reader.fieldnames}; expected file and speaker.")
        found = [Utterance(table.parent / row["file"], row["speaker"], row["file"]) for row in reader]
    missing = next((utterance.path for utterance in found if not utterance.path.is_file()), None)
    if missing is not None:
        raise CorpusError(f"{table} names {missing}, which does not exist.")
    return found


def _from_folders(folder: Path) -> list[Utterance]:
    known = DECODED_BY_LIBSNDFILE + OTHERS
    return [
        Utterance(path, path.parts[-3], path.parts[-2])
        for path in files_in(folder)
        if path.suffix.lower() in known and len(path.relative_to(folder).parts) > 2 and path.parts[-3].startswith("id")
    ]

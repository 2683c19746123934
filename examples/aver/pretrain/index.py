"""What is known of every recording of a corpus: found out once, by several processes, and stored."""

import math
import os
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import Progress

from examples.aver.preparation.workers import in_processes
from examples.aver.pretrain.utterances import Utterance, fingerprint, read_recording
from mrpnkit.errors import CorpusError, RunError

INDEX = "recordings.sqlite"
FEW = 256
"""Up to so many recordings are read without other processes, which take seconds to begin."""
TOGETHER = 64
"""Recordings that a process looks at before what it found is stored."""
SPOILT = 0.05
"""Share of the recordings that may be unreadable; more of them are a fault of the corpus, and not of some files."""

TABLE = """CREATE TABLE IF NOT EXISTS recordings (
    name TEXT PRIMARY KEY, size INTEGER, changed INTEGER,
    samples INTEGER, mean REAL, deviation REAL, digest BLOB, whole_only INTEGER, problem TEXT)"""


class Known(NamedTuple):
    """What was found out about a recording.

    Attributes:
        samples: how many it has at 16 kHz.
        mean, deviation: of all of them, by which the wave is standardised.
        digest: the same for recordings that are equal sample for sample.
        whole_only: no part of it can be read by itself; see :func:`examples.aver.pretrain.stretches.read_stretch`.
        problem: why it cannot be read; None where it can.
    """

    samples: int = 0
    mean: float = 0.0
    deviation: float = 1.0
    digest: bytes = b""
    whole_only: bool = False
    problem: str | None = None


class Usable(NamedTuple):
    """Recordings that can be read, each once, and what is known of them; copies, and names of unreadable ones."""

    utterances: list[Utterance]
    known: list[Known]
    copies: int
    unreadable: list[str]


def look_through(paths: Sequence[Path], folder: Path, index: Path, *, workers: int | None = None) -> list[Known]:
    """What is known of each file, in order. Only files that the index does not know, or that changed, are read.

    What is found is stored as it comes, so that an interrupted look goes on where it was. A file is the same as long as
    its place below the folder, its size and its time of change are.

    Args:
        paths: of the recordings.
        folder: of the corpus.
        index: file in which it is stored; made.
        workers: processes that read; by default as many as there are cores, and this one alone for :data:`FEW`.

    Raises:
        RunError: the index cannot be read or written.
    """
    names = [_name(path, folder) for path in paths]
    stamps = {name: _stamp(path) for name, path in zip(names, paths, strict=True)}
    with _opened(index) as base:
        known = {name: one for name, stamp, one in _stored(base) if stamps.get(name) == stamp and not one.problem}
        waiting = [name for name in stamps if name not in known]
        if workers is None:
            workers = (os.cpu_count() or 1) if len(waiting) > FEW else 1
        with Progress(transient=True, disable=not waiting) as bar:
            task = bar.add_task("reading the recordings", total=len(waiting))
            with closing(_looked_at(folder, waiting, workers)) as looks:
                for found in looks:
                    _store(base, found, stamps)
                    known.update(found)
                    bar.update(task, advance=len(found))
    return [known[name] for name in names]


def usable(utterances: Sequence[Utterance], known: Sequence[Known], folder: Path) -> Usable:
    """Leaves out what cannot be read, and what repeats an earlier recording sample for sample.

    Raises:
        CorpusError: a speaker of whom nothing can be read, or more than :data:`SPOILT` of all that cannot.
    """
    kept = Usable([], [], 0, [])
    problems: list[str] = []
    seen: set[bytes] = set()
    copies = 0
    for utterance, one in zip(utterances, known, strict=True):
        if one.problem is not None:
            kept.unreadable.append(_name(utterance.path, folder))
            problems.append(one.problem)
        elif one.digest in seen:
            copies += 1
        else:
            seen.add(one.digest)
            kept.utterances.append(utterance)
            kept.known.append(one)
    readable = {utterance.speaker for utterance, one in zip(utterances, known, strict=True) if one.problem is None}
    lost = sorted({utterance.speaker for utterance in utterances} - readable)
    told = f"{len(problems)} of {len(utterances)} recordings below {folder} cannot be read"
    if lost:
        raise CorpusError(
            f"{told}, among them all of the speaker {lost[0]}{_more(lost)}. The first: {problems[0]} Where a speaker "
            "cannot be fetched again, leave out all recordings of that speaker."
        )
    if len(problems) > SPOILT * len(utterances):
        raise CorpusError(
            f"{told}; expected at most {100 * SPOILT:.0f} %. The first: {problems[0]} Is the corpus whole?"
        )
    return kept._replace(copies=copies)


def look_at(folder: Path, names: Sequence[str]) -> dict[str, Known]:
    """Reads recordings below a folder, each whole."""
    return {name: _known(folder / name) for name in names}


def _known(path: Path) -> Known:
    try:
        sound = read_recording(path)
    except (ImportError, MemoryError):  # a package that is not installed, or too little memory, is no fault of the file
        raise
    except Exception as error:  # whatever a decoder makes of a damaged file: it is told, and the others are read
        text = (
            f"The recording {path} cannot be decoded ({type(error).__name__}: {error}). Fetch it again, or remove it."
        )
        return Known(problem=str(error) if isinstance(error, CorpusError) else text)
    wave = torch.from_numpy(sound.samples)
    mean = wave.mean()
    deviation = ((wave - mean).square().mean() + 1e-12).sqrt()  # as SpectrogramSegments.levelled
    if not math.isfinite(mean) or not math.isfinite(deviation):
        return Known(problem=f"The recording {path} has no finite level. Fetch it again, or remove it.")
    return Known(len(wave), float(mean), float(deviation), fingerprint(sound.samples), bool(sound.oddities))


def _looked_at(folder: Path, names: Sequence[str], workers: int) -> Generator[dict[str, Known], None, None]:
    """What each file is known to be, some files together; one that ends its process is looked at alone, and named."""
    look = partial(look_at, folder)
    groups = [list(names[first : first + TOGETHER]) for first in range(0, len(names), TOGETHER)]
    if workers == 1:
        yield from map(look, groups)
        return
    for group, found in in_processes(look, groups, workers=workers):
        if found is not None:
            yield found
            continue
        for (name,), alone in in_processes(look, [[name] for name in group], workers=workers):
            text = f"The recording {folder / name} ends the process that reads it. Fetch it again, or remove it."
            yield {name: Known(problem=text)} if alone is None else alone


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path)) as base:
            base.execute(TABLE)
            yield base
    except sqlite3.Error as error:
        raise RunError(
            f"{path} cannot be used as the index of the recordings: {error}. Remove it, and the same command makes it "
            "again."
        ) from error


def _stored(base: sqlite3.Connection) -> Iterator[tuple[str, tuple[int, int], Known]]:
    for name, size, changed, samples, mean, deviation, digest, whole_only, problem in base.execute(
        "SELECT name, size, changed, samples, mean, deviation, digest, whole_only, problem FROM recordings"
    ):
        yield name, (size, changed), Known(samples, mean, deviation, digest, bool(whole_only), problem)


def _store(base: sqlite3.Connection, found: Mapping[str, Known], stamps: Mapping[str, tuple[int, int]]) -> None:
    with base:  # all of them, or none
        base.executemany(
            "INSERT OR REPLACE INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(name, *stamps[name], *one) for name, one in found.items()],
        )


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; of no file, none that a file has."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _more(names: Sequence[str]) -> str:
    return f" and of {len(names) - 1} more" if len(names) > 1 else ""

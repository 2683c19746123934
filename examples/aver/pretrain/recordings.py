"""Spectrograms of many recordings: kept in memory as far as they fit, else read as they are needed, by processes ahead.

A process decodes and transforms; the one that trains is given frames of a spectrogram.
"""

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from examples.aver.preparation.workers import processes
from examples.aver.pretrain.index import FEW, Known
from examples.aver.pretrain.stretches import read_stretch
from mrpnkit.extractors.spectrogram import SpectrogramSegments

MOST_READERS = 16


class Stretch(NamedTuple):
    """Frames ``start`` to ``stop`` of the spectrogram of the recording in a row."""

    row: int
    start: int
    stop: int


class _Part(NamedTuple):
    """A stretch as another process is told of it."""

    path: Path
    known: Known
    start: int
    stop: int


class _Ahead(NamedTuple):
    """A group of stretches, what is read for each of them (None: it is in memory), and what waits for that."""

    group: Sequence[Stretch]
    read: list[Stretch | None]
    finish: Callable[[], list[NDArray[np.float32]]]


class Recordings:
    """Spectrograms of recordings, whole or in part; to be closed, or used in a ``with``, since it may have processes.

    Args:
        paths: of the files.
        known: what :func:`examples.aver.pretrain.index.look_through` says of each.
        cut: how they become segments.
        memory_gib: of spectrograms that are kept, once they have been read.
        kept: rows that may be kept, in the order in which they get room; by default all.
        workers: processes that read ahead; 0: this one reads. By default one core is left to this one, and of
            :data:`examples.aver.pretrain.index.FEW` recordings it reads all.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        known: Sequence[Known],
        cut: SpectrogramSegments,
        *,
        memory_gib: float,
        kept: Sequence[int] | None = None,
        workers: int | None = None,
    ) -> None:
        self.paths, self.known, self.cut, self._packed = paths, known, cut, pickle.dumps(cut)
        self._fitting = self._that_fit(range(len(paths)) if kept is None else kept, int(memory_gib * 2**30))
        self._memory: dict[int, Tensor] = {}
        if workers is None:
            workers = min(MOST_READERS, (os.cpu_count() or 1) - 1) if len(paths) > FEW else 0
        self._ahead, self._pool = 2 * workers, processes(workers) if workers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def segments(self, row: int) -> int:
        """How many segments a recording has."""
        return self.cut.count(self.known[row].samples)

    def whole(self, row: int) -> Stretch:
        """All frames of the segments of a recording."""
        return Stretch(row, 0, frames_of(self.known[row].samples, self.cut))

    def read(self, groups: Iterable[Sequence[Stretch]]) -> Iterator[list[Float[Tensor, "bands frames"]]]:
        """The frames of every stretch, group by group, in order, while processes read the groups that come next.

        Raises:
            CorpusError: a file that can be read no more, or that changed.
        """
        waiting: deque[_Ahead] = deque()
        for group in groups:
            waiting.append(self._begun(group))
            if len(waiting) > self._ahead:
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())

    def _begun(self, group: Sequence[Stretch]) -> _Ahead:
        """Begins to read what is not in memory; whole, where it will be kept there."""
        read = [None if one.row in self._memory else self._whole_if_kept(one) for one in group]
        parts = [_Part(self.paths[one.row], self.known[one.row], *one[1:]) for one in read if one is not None]
        if self._pool is None or not parts:
            return _Ahead(group, read, partial(_read, self.cut, parts))
        return _Ahead(group, read, self._pool.submit(_read_apart, self._packed, parts).result)

    def _whole_if_kept(self, stretch: Stretch) -> Stretch:
        return self.whole(stretch.row) if stretch.row in self._fitting else stretch

    def _finished(self, ahead: _Ahead) -> list[Float[Tensor, "bands frames"]]:
        arrays = iter(ahead.finish())
        found: list[Tensor] = []
        for wanted, read in zip(ahead.group, ahead.read, strict=True):
            made, first = (
                (self._memory[wanted.row], 0) if read is None else (torch.from_numpy(next(arrays)), read.start)
            )
            if wanted.row in self._fitting:
                self._memory.setdefault(wanted.row, made)
            found.append(made[:, wanted.start - first : wanted.stop - first])
        return found

    def _that_fit(self, rows: Iterable[int], room: int) -> set[int]:
        found = set()
        for row in rows:
            size = 4 * self.cut.bands * self.whole(row).stop
            if size <= room:
                room -= size
                found.add(row)
        return found


def frames_of(samples: int, cut: SpectrogramSegments) -> int:
    """Frames of all segments of a wave of so many samples, one or more; its tail is filled up with silence."""
    return (cut.count(samples) - 1) * cut.step + cut.width


def spectrogram_of(wave: Tensor, cut: SpectrogramSegments) -> Float[Tensor, "bands frames"]:
    """The frames of all segments of a wave, of which :class:`SpectrogramSegments` makes views."""
    return cut.spectrogram(cut.levelled(wave), 0, frames_of(len(wave), cut))


def part_of(path: Path, known: Known, cut: SpectrogramSegments, start: int, stop: int) -> Float[Tensor, "bands frames"]:
    """Frames ``start`` to ``stop`` of :func:`spectrogram_of` a recording, from the samples that they see."""
    if start == 0 and stop == frames_of(known.samples, cut):
        return spectrogram_of(torch.from_numpy(read_stretch(path, 0, known.samples, whole_only=True)), cut)
    origin = max(0, start - -(-(cut.window // 2) // cut.hop))  # the frame at whose centre the stretch of sound begins
    last = min(known.samples, (stop - 1) * cut.hop + cut.window // 2)
    wave = torch.from_numpy(read_stretch(path, origin * cut.hop, last, whole_only=known.whole_only))
    levelled = (wave - known.mean) / known.deviation if cut.level == "standardised" else wave
    return cut.spectrogram(levelled, start - origin, stop - origin)


def _read(cut: SpectrogramSegments, parts: Sequence[_Part]) -> list[NDArray[np.float32]]:
    return [part_of(part.path, part.known, cut, part.start, part.stop).numpy() for part in parts]


def _read_apart(cut: bytes, parts: Sequence[_Part]) -> list[NDArray[np.float32]]:
    return _read(_unpacked(cut), parts)


@lru_cache(maxsize=2)
def _unpacked(cut: bytes) -> SpectrogramSegments:
    found: SpectrogramSegments = pickle.loads(cut)
    return found

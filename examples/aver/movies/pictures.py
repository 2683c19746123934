"""The pictures of a movie, one after another: a time slice of it, broken packets survived, every picture upright.

Letters: H, W height and width.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.movies.clock import in_order
from examples.aver.movies.opening import Facts, facts_of, open_movie

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

Matrix = tuple[int, int, int, int]
"""a, b, c, d of a display matrix: the point (x, y) is shown at (a x + c y, b x + d y), up to a shift."""

UPRIGHT: Matrix = (1, 0, 0, 1)

REORDERED = 16
"""Pictures; the most by which H.264 and HEVC let the order in which they are decoded and that in which they are shown
differ."""

NEARBY = 1.0
"""Seconds that are sought back where there is no picture at the start of a slice; twice as many each further time."""


class Damage(NamedTuple):
    """What was broken of a movie's pictures.

    Attributes:
        packets: how many could not be used.
        pictures: how many the decoder mended.
        stopped: whether reading stopped before the end.
        stamps: how many pictures came with a time stamp that is another's.
    """

    packets: int
    pictures: int
    stopped: bool
    stamps: int = 0


class Picture:
    """A decoded picture that is not yet converted.

    Attributes:
        time: seconds since the movie's start.
        width, height: as it is shown: upright, with square pixels.
    """

    def __init__(self, frame: "VideoFrame", time: float, pixel: float) -> None:
        self.time = time
        self._frame = frame
        self._matrix = matrix_of(frame)
        wide, high = max(1, round(frame.width * pixel)), frame.height
        self.width, self.height = (high, wide) if _swaps(self._matrix) else (wide, high)

    @property
    def turned(self) -> bool:
        """Whether the file asks for the picture to be turned or mirrored."""
        return self._matrix != UPRIGHT

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, upright; as it is stored, or scaled to a width and height as shown."""
        return self._converted("rgb24", width, height)

    def grey(self, width: int, height: int) -> NDArray[np.uint8]:
        """(H, W) uint8, upright, scaled to a width and height as shown."""
        return self._converted("gray", width, height)

    def _converted(self, pixels: str, width: int | None, height: int | None) -> NDArray[np.uint8]:
        if width is not None and height is not None:
            stored = (height, width) if _swaps(self._matrix) else (width, height)
            frame = self._frame.reformat(*stored, format=pixels)
        else:
            frame = self._frame.reformat(format=pixels)
        return upright(frame.to_ndarray().astype(np.uint8, copy=False), self._matrix)


class Pictures:
    """The pictures of a movie in the order in which they are shown; what was damaged is known after the last.

    Their time stamps are sorted: an AVI file, which has no others, may give those of the order in which pictures are
    decoded, and H.264 shows them in another.

    A slice is found by seeking to the key picture before it, so that the rest of the movie is not decoded. Where that
    leads behind the slice's start, as in MPEG's streams, which do not know where key pictures are, it is sought further
    back.

    Args:
        path: of the movie.
        start, end: of the slice in seconds since the movie's start; ``end=None`` is its end. The picture that is shown
            at ``start`` is the first; the last begins before ``end``.
        threads: of the decoder.

    Attributes:
        facts: what the header says; None before the file was opened.
        damage: what was broken up to the picture that came last.

    >>> pictures = Pictures(Path("movie.mp4"), start=1.0, end=2.5)  # opens nothing yet
    >>> pictures.damage
    Damage(packets=0, pictures=0, stopped=False, stamps=0)
    """

    def __init__(self, path: Path, *, start: float = 0.0, end: float | None = None, threads: int = 1) -> None:
        self.path = path
        self.start, self.end, self.threads = start, end, threads
        self.facts: Facts | None = None
        self.damage = self._found = Damage(0, 0, False)

    def __iter__(self) -> Iterator[Picture]:
        """Decodes; nothing comes where the file has no stream of pictures.

        Raises:
            CorpusError: the file cannot be opened.
        """
        self.damage = self._found = Damage(0, 0, False)
        with open_movie(self.path) as container:
            self.facts = facts_of(container)
            stream = self._stream(container)
            if stream is None:
                return
            pixel = float(stream.sample_aspect_ratio or 1) or 1.0
            shown: Picture | None = None  # the last one before the slice, which is what is shown when it starts
            for frame, time in self._timed(container, stream):
                if self.end is not None and time >= self.end:
                    break
                picture = Picture(frame, time, pixel)
                if time < self.start - 1e-6:
                    shown = picture
                    continue
                if shown is not None and time > self.start + 1e-6:
                    yield shown
                shown = None
                yield picture
            if shown is not None:
                yield shown

    def _sought(self, container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
        """Pictures from one on that is shown at the slice's start or before; from the movie's first if none is."""
        if self.start <= 0:
            yield from self._decoded(container, stream)
            return
        assert self.facts is not None
        back = 0.0
        while back < self.start:
            self._seek(container, stream, self.start - back)
            frames = self._decoded(container, stream)
            first = next(frames, None)
            if first is not None and (first.time is None or first.time <= self.facts.start + self.start + 1e-6):
                yield first
                yield from frames
                return
            back = 2 * back or NEARBY
            self._found = Damage(0, 0, False)
        with open_movie(self.path) as beginning:  # to seek it may fail in the same way
            again = self._stream(beginning)
            if again is not None:
                yield from self._decoded(beginning, again)

    def _stream(self, container: "InputContainer") -> "VideoStream | None":
        stream = next(iter(container.streams.video), None)
        if stream is not None:
            stream.thread_count = self.threads
            stream.thread_type = "NONE" if self.threads == 1 else "AUTO"
        return stream

    def _seek(self, container: "InputContainer", stream: "VideoStream", place: float) -> None:
        import av

        assert self.facts is not None
        try:
            container.seek(int((self.facts.start + place) / (stream.time_base or 1)), stream=stream, backward=True)
        except (av.FFmpegError, OverflowError):  # what cannot be sought in is read from its beginning
            container.seek(0)

    def _timed(self, container: "InputContainer", stream: "VideoStream") -> Iterator[tuple["VideoFrame", float]]:
        moved = 0
        for (frame, own, found), time in in_order(self._stamped(container, stream), ahead=REORDERED):
            moved += abs(time - own) > 1e-6
            self.damage = found._replace(stamps=moved)
            yield frame, time
        self.damage = self._found._replace(stamps=moved)

    def _stamped(
        self, container: "InputContainer", stream: "VideoStream"
    ) -> Iterator[tuple[tuple["VideoFrame", float, Damage], float]]:
        """Pictures, with what was broken up to each, and their own time stamps."""
        assert self.facts is not None
        step = 1 / (self.facts.rate or 25.0)
        time = -step
        for frame in self._sought(container, stream):
            # A picture without a time stamp is taken to follow the one before it.
            time = time + step if frame.time is None else float(frame.time) - self.facts.start
            yield (frame, time, self._found), time

    def _decoded(self, container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
        import av

        packets = iter(container.demux(stream))
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError, ValueError):
                self._found = self._found._replace(stopped=True)
                return
            self._count(packets=packet.is_corrupt)
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                self._count(packets=not packet.is_corrupt)
                continue
            for frame in frames:
                self._count(pictures=frame.is_corrupt)
                yield frame

    def _count(self, *, packets: bool = False, pictures: bool = False) -> None:
        found = self._found
        self._found = found._replace(packets=found.packets + bool(packets), pictures=found.pictures + bool(pictures))


def matrix_of(frame: "VideoFrame") -> Matrix:
    """The display matrix of a picture, brought to the nearest of the eight that turn by 90° and mirror."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
    return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)


def upright(image: NDArray[np.uint8], matrix: Matrix) -> NDArray[np.uint8]:
    """An image (H, W, ...) as its display matrix shows it; a view, nothing is copied.

    >>> upright(np.array([[1, 2]], np.uint8), (0, 1, -1, 0)).tolist()  # a quarter to the right
    [[1], [2]]
    """
    if _swaps(matrix):
        _, b, c, _ = matrix
        image, right, down = image.swapaxes(0, 1), c, b
    else:
        right, _, _, down = matrix
    return image[::down, ::right]


def _swaps(matrix: Matrix) -> bool:
    return matrix[0] == 0

"""Opening a movie file, and what its header says about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mrpnkit.errors import CorpusError, DependencyError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


class Facts(NamedTuple):
    """What the header of a movie file says. Whether it is true is known when the file has been decoded.

    Attributes:
        start: time stamp at which the movie starts, in seconds; all other times are counted from here.
        seconds: how long it is; None where the header does not say.
        rate: pictures a second on average; None without a stream of pictures.
        width, height: of a picture as it is stored, before it is turned upright.
        sound_rate: samples a second; None without a stream of sound.
        pictures_end: when the stream of pictures ends, in seconds from ``start``; None where the header does not say.
    """

    start: float
    seconds: float | None
    rate: float | None
    width: int
    height: int
    sound_rate: int | None
    pictures_end: float | None = None


@contextmanager
def open_movie(path: Path) -> Iterator["InputContainer"]:
    """The file as a container of PyAV, closed at the end of the block.

    Raises:
        CorpusError: there is no such file, or nothing in it that FFmpeg knows; the text names it.
        DependencyError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise DependencyError("Reading movies needs the package 'av'. Install it: pip install 'mrpnkit[av]'") from error
    if path.is_dir():
        raise CorpusError(
            f"The movie {path} is a folder; expected a file. Name the movies in it, such as {path}/*.mp4."
        )
    if not path.is_file():
        raise CorpusError(f"The movie {path} does not exist.")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        cut = " The file may be cut off: an MP4 often ends with the table of its contents." if path.suffix else ""
        raise CorpusError(
            f"The movie {path} cannot be opened: {_reason(error)}.{cut} Fetch it again, or remove it."
        ) from error
    with container:
        yield container


def facts(path: Path) -> Facts:
    """What the header of a movie says; nothing is decoded.

    Raises:
        CorpusError: the file cannot be opened.
    """
    with open_movie(path) as container:
        return facts_of(container)


def facts_of(container: "InputContainer") -> Facts:
    """The same of a file that is open."""
    video = next(iter(container.streams.video), None)
    audio = next(iter(container.streams.audio), None)
    seconds = [
        float(stream.duration * stream.time_base)
        for stream in (video, audio)
        if stream is not None and stream.duration is not None and stream.time_base is not None
    ]
    if container.duration is not None:
        seconds.append(container.duration / 1e6)
    start = (container.start_time or 0) / 1e6
    rate = None if video is None else (video.average_rate or video.guessed_rate or video.base_rate)
    return Facts(
        start=start,
        seconds=max(seconds, default=None),
        rate=float(rate) if rate else (None if video is None else 25.0),
        width=0 if video is None else video.width,
        height=0 if video is None else video.height,
        sound_rate=None if audio is None else audio.sample_rate,
        pictures_end=None if video is None else _end_of(video, start),
    )


def _end_of(stream: "VideoStream", start: float) -> float | None:
    """The end of a stream in seconds from ``start``: by its duration, or by the tag that Matroska has instead of it."""
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - start
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds) - start


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

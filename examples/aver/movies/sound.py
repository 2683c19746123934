"""The sound of a movie, or of a recording beside it: mono, 16 kHz, from the very time at which the pictures start."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from examples.aver.movies.oddity import Oddity
from examples.aver.movies.opening import facts_of, open_movie
from mrpnkit.errors import InputError

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

SILENCE = 1e-4
"""A recording is called silent where no second of it has a level (root mean square) of this, −80 dB of full scale.

Single samples say little: what a lossy codec leaves of silence has peaks above that.
"""

CANCELLED = 0.05
"""Share of the loudest channel's level. Where the mean of the channels is below it, they cancel each other; a voice in
one of eight channels still leaves an eighth."""

EDGE = 0.1
"""Seconds that are read beyond both ends of a slice, so that decoder and resampler have settled where it starts."""

UNSAID = ("mpeg", "mpegts")
"""Formats that do not say where a stream ends; what FFmpeg tells is where its last packet begins."""

LONGEST = 4 * 3600.0
"""Seconds; time stamps that lie further apart are taken for broken."""


class Sound(NamedTuple):
    """``samples`` (n,) float32 mono, about −1 to 1, none where there is no sound; ``rate`` a second; what was odd."""

    samples: NDArray[np.float32]
    rate: int
    oddities: tuple[Oddity, ...]


def read_sound(path: Path, *, rate: int = SPEECH_RATE, start: float = 0.0, end: float | None = None) -> Sound:
    """Decodes the sound of a movie or of a recording (anything that FFmpeg reads).

    Channels are averaged, and resampled by torchaudio; where they cancel each other, as of two that are inverted, the
    first is read instead. Of several tracks the one that is marked as default is read, or the first; where it is silent
    and another is not, the other. Time counts from the movie's start, so that sound and pictures stay together: where
    the sound comes later, or packets are missing, there are zeros.

    Args:
        path: of the file.
        rate: samples a second that are wanted.
        start: of the slice, in seconds.
        end: of the slice; None is the end of the sound.

    Raises:
        CorpusError: the file cannot be opened.
        InputError: a slice that ends before it starts.
    """
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"read_sound: the slice from {start} s to {end} s is empty; expected 0 ≤ start < end.")
    tracks = _tracks(path)
    if not tracks:
        return Sound(np.zeros(0, np.float32), rate, (Oddity("no sound", "the file has no stream of sound"),))
    number, chosen = tracks[0], _read_track(path, tracks[0], rate=rate, start=start, end=end)
    if len(tracks) == 1:
        return chosen
    for track in tracks[1:]:
        if len(chosen.samples):
            break
        other = _read_track(path, track, rate=rate, start=start, end=end)
        if len(other.samples):
            number, chosen = track, other
    several = Oddity("several audio tracks", f"number {number + 1} of {len(tracks)} is read")
    return chosen._replace(oddities=(several, *chosen.oddities))


def _tracks(path: Path) -> list[int]:
    """Places of the streams of sound among their like, in the order in which they are tried."""
    with open_movie(path) as container:
        from av.stream import Disposition  # here, where it is known to be installed

        streams = container.streams.audio
        return sorted(range(len(streams)), key=lambda place: not streams[place].disposition & Disposition.default)


def _read_track(path: Path, track: int, *, rate: int, start: float, end: float | None) -> Sound:
    first, last = max(0.0, start - EDGE), None if end is None else end + EDGE
    with open_movie(path) as container:
        decoded = _decode(container, container.streams.audio[track], first, last)
    oddities = []
    if decoded.broken:
        oddities.append(Oddity("corrupt", f"{decoded.broken} packets of sound could not be decoded"))
    channel = _instead_of_mean(decoded)
    if channel is not None:
        with open_movie(path) as container:
            mean = decoded
            decoded = _decode(container, container.streams.audio[track], first, last, channel=channel)
        text = f"the mean of {len(mean.levels)} has {_decibels(mean.level)}, the channel that is read"
        oddities.append(Oddity("channels cancel", f"{text} {_decibels(float(mean.levels[channel]))}"))
    cut = _resampled(decoded.samples, decoded.rate, rate)[round((start - first) * rate) :]
    if end is not None:
        cut = cut[: round((end - start) * rate)]
    if not len(cut):
        oddities.append(Oddity("no sound", "the stream of sound holds no samples here"))
    elif (level := loudest_second(cut, rate)) < SILENCE:
        what = f"no second is louder than {_decibels(level)}" if level else "every sample is 0"
        oddities.append(Oddity("silent", f"{what} in {len(cut) / rate:.2f} s"))
        cut = cut[:0]
    return Sound(np.ascontiguousarray(cut), rate, tuple(oddities))


class _Decoded(NamedTuple):
    """A track at the file's own rate.

    Attributes:
        samples: (n,), from the wanted time on.
        rate: a second.
        level: of what the channels were made into, where there was sound; gaps do not count.
        levels: (channels,) of each of them.
        broken: how many packets could not be decoded.
    """

    samples: NDArray[np.float32]
    rate: int
    level: float
    levels: NDArray[np.float64]
    broken: int


def _instead_of_mean(decoded: _Decoded) -> int | None:
    """The first channel that is about as loud as the loudest, where the channels cancel each other; else None."""
    loudest = decoded.levels.max(initial=0.0)
    if loudest < SILENCE or decoded.level >= CANCELLED * loudest:
        return None
    return int(np.argmax(decoded.levels >= loudest / 2))


def loudest_second(samples: NDArray[np.float32], rate: int) -> float:
    """The highest root mean square of a second of samples (n,), n ≥ 1; of all of them where they are shorter.

    >>> loudest_second(np.array([0.0, 0.0, 0.3, 0.4], np.float32), 2).__round__(4)
    0.3536
    """
    seconds = max(1, len(samples) // rate)
    bounds = np.linspace(0, len(samples), seconds + 1).astype(np.int64)
    power = np.add.reduceat(np.square(samples, dtype=np.float64), bounds[:-1]) / np.diff(bounds)
    return float(np.sqrt(power.max()))


def _decibels(level: float) -> str:
    return f"{20 * np.log10(max(level, 1e-10)):.0f} dB of full scale"


def _decode(
    container: "InputContainer", stream: "AudioStream", first: float, last: float | None, *, channel: int | None = None
) -> _Decoded:
    """Samples from ``first`` on: the mean of the channels, or one of them."""
    import av

    about, rate = facts_of(container), stream.sample_rate
    if first > 0:
        try:
            container.seek(int((about.start + first) / (stream.time_base or 1)), stream=stream, backward=True)
        except (av.FFmpegError, OverflowError):
            container.seek(0)
    pieces: list[tuple[int, NDArray[np.float32]]] = []
    broken, expected, counted = 0, 0, 0
    energy, energies = 0.0, np.zeros(0)
    packets = iter(container.demux(stream))
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            break
        except (av.FFmpegError, ValueError):
            broken += 1
            if broken > 10_000:
                break
            continue
        for frame in frames:
            time = expected / rate if frame.time is None else float(frame.time) - about.start
            values = _channels(frame)
            counted += values.shape[1]
            energies = np.add(*_padded(energies, np.square(values, dtype=np.float64).sum(axis=1)))
            one = values.mean(axis=0, dtype=np.float32) if channel is None else values[min(channel, len(values) - 1)]
            energy += float(np.square(one, dtype=np.float64).sum())
            pieces.append((round((time - first) * rate), one))
            expected = round(time * rate) + frame.samples
        if last is not None and expected / rate > last:
            break
    samples = _laid_out(pieces, rate, _length(container, stream, first, last, about.start))
    counted = max(1, counted)
    return _Decoded(samples, rate, float(np.sqrt(energy / counted)), np.sqrt(energies / counted), broken)


def _padded(*vectors: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Vectors with zeros at their ends, all as long as the longest; a stream may change its number of channels."""
    longest = max(map(len, vectors))
    return [np.pad(vector, (0, longest - len(vector))) for vector in vectors]


def _length(
    container: "InputContainer", stream: "AudioStream", first: float, last: float | None, begins: float
) -> float | None:
    """Seconds from ``first`` to ``last``, or to where the stream says that it ends: decoders fill up the last frame."""
    ends = [] if last is None else [last - first]
    if stream.duration is not None and stream.start_time is not None and container.format.name not in UNSAID:
        until = float((stream.start_time + stream.duration) * (stream.time_base or 1))
        ends.append(until - begins - first)
    return min(ends, default=None)


def _laid_out(pieces: list[tuple[int, NDArray[np.float32]]], rate: int, seconds: float | None) -> NDArray[np.float32]:
    """Pieces at their places, zeros between them; time stamps are rounded, so small steps are no gaps."""
    wave: list[NDArray[np.float32]] = []
    filled = 0
    for place, samples in pieces:
        if place + len(samples) <= 0 or place > LONGEST * rate:
            continue
        if place < 0:
            samples, place = samples[-place:], 0
        if not wave or place - filled > rate // 50:
            wave.append(np.zeros(max(0, place - filled), np.float32))
            filled += len(wave[-1])
        wave.append(samples)
        filled += len(samples)
    whole = np.concatenate([*wave, np.zeros(0, np.float32)])
    return whole if seconds is None else whole[: max(0, round(seconds * rate))]


def _channels(frame: "AudioFrame") -> NDArray[np.float32]:
    """Samples (channels, n) of a frame, about −1 to 1; what is no number counts as 0."""
    values = frame.to_ndarray()
    if values.dtype.kind in "iu":
        half = float(2 ** (8 * values.dtype.itemsize - 1))
        values = values.astype(np.float32) / half - (1.0 if values.dtype.kind == "u" else 0.0)
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    return np.nan_to_num(values.astype(np.float32, copy=False), nan=0.0, posinf=0.0, neginf=0.0)


def _resampled(wave: NDArray[np.float32], original: int, rate: int) -> NDArray[np.float32]:
    if original == rate or not len(wave):
        return wave
    import torch
    import torchaudio

    return np.asarray(torchaudio.functional.resample(torch.from_numpy(wave), original, rate).numpy(), np.float32)

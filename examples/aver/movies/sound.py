"""The sound of a movie, or of a recording beside it: mono, 16 kHz, from the very time at which the pictures start."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from examples.aver.movies.oddity import Oddity
from examples.aver.movies.opening import Facts, facts_of, open_movie
from mrpnkit.errors import InputError

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

SILENCE = 1e-4
"""A recording whose samples all stay below this, −80 dB of full scale, is called silent."""

EDGE = 0.1
"""Seconds that are read beyond both ends of a slice, so that decoder and resampler have settled where it starts."""

LONGEST = 4 * 3600.0
"""Seconds; time stamps that lie further apart are taken for broken."""


class Sound(NamedTuple):
    """``samples`` (n,) float32 mono, about −1 to 1, none where there is no sound; ``rate`` a second; what was odd."""

    samples: NDArray[np.float32]
    rate: int
    oddities: tuple[Oddity, ...]


def read_sound(path: Path, *, rate: int = SPEECH_RATE, start: float = 0.0, end: float | None = None) -> Sound:
    """Decodes the sound of a movie or of a recording (anything that FFmpeg reads).

    Channels are averaged, and resampled by torchaudio. Time counts from the movie's start, so that sound and pictures
    stay together: where the sound comes later, or packets are missing, there are zeros.

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
    with open_movie(path) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return Sound(np.zeros(0, np.float32), rate, (Oddity("no sound", "the file has no stream of sound"),))
        first = max(0.0, start - EDGE)
        wave, broken = _decode(container, stream, first, None if end is None else end + EDGE)
        original = stream.sample_rate
    oddities = []
    if broken:
        oddities.append(Oddity("corrupt", f"{broken} packets of sound could not be decoded"))
    cut = _resampled(wave, original, rate)[round((start - first) * rate) :]
    if end is not None:
        cut = cut[: round((end - start) * rate)]
    if not len(cut):
        oddities.append(Oddity("no sound", "the stream of sound holds no samples here"))
    elif (peak := float(np.abs(cut).max())) < SILENCE:
        oddities.append(Oddity("silent", f"no sample is above {peak:.1g} of full scale in {len(cut) / rate:.2f} s"))
        cut = cut[:0]
    return Sound(np.ascontiguousarray(cut), rate, tuple(oddities))


def _decode(
    container: "InputContainer", stream: "AudioStream", first: float, last: float | None
) -> tuple[NDArray[np.float32], int]:
    """Samples (n,) at the file's own rate from ``first`` on, and how many packets were broken."""
    import av

    about, rate = facts_of(container), stream.sample_rate
    if first > 0:
        try:
            container.seek(int((about.start + first) / (stream.time_base or 1)), stream=stream, backward=True)
        except (av.FFmpegError, OverflowError):
            container.seek(0)
    pieces: list[tuple[int, NDArray[np.float32]]] = []
    broken, expected = 0, 0
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
            place = round((time - first) * rate)
            pieces.append((place, _mono(frame)))
            expected = round(time * rate) + frame.samples
        if last is not None and expected / rate > last:
            break
    return _laid_out(pieces, rate, _length(about, stream, first, last)), broken


def _length(about: Facts, stream: "AudioStream", first: float, last: float | None) -> float | None:
    """Seconds from ``first`` to ``last``, or to where the stream says that it ends: decoders fill up the last frame."""
    ends = [] if last is None else [last - first]
    if stream.duration is not None and stream.start_time is not None:
        ends.append(float((stream.start_time + stream.duration) * (stream.time_base or 1)) - about.start - first)
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


def _mono(frame: "AudioFrame") -> NDArray[np.float32]:
    values = frame.to_ndarray()
    if values.dtype.kind in "iu":
        half = float(2 ** (8 * values.dtype.itemsize - 1))
        values = values.astype(np.float32) / half - (1.0 if values.dtype.kind == "u" else 0.0)
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    mono: NDArray[np.float32] = values.mean(axis=0, dtype=np.float32)
    return np.nan_to_num(mono, nan=0.0, posinf=0.0, neginf=0.0)


def _resampled(wave: NDArray[np.float32], original: int, rate: int) -> NDArray[np.float32]:
    if original == rate or not len(wave):
        return wave
    import torch
    import torchaudio

    return np.asarray(torchaudio.functional.resample(torch.from_numpy(wave), original, rate).numpy(), np.float32)

"""Movies that tests make: encoded by PyAV, with faces drawn by code that dlib takes for faces."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from examples.aver.synthetic import SyntheticCorpus

Image = NDArray[np.uint8]


def write(
    path: Path,
    frames: Sequence[Image],
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 48000,
    sound_start: float = 0.0,
    front: bool = False,
) -> Path:
    """Encodes frames (T, H, W, 3), at ``times`` in seconds where given, and sound (channels, n); H and W are even."""
    options = {"movflags": "faststart"} if front and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("h264", rate=rate)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.options = {"g": "8", "crf": "12", "bf": "2", "preset": "ultrafast"}
        video.time_base = video.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
        if rotation is not None:
            video.set_display_rotation(rotation, hflip=mirrored)
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=sound_rate, layout="stereo" if len(sound) == 2 else "mono")
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts = round(times[place] * 1000) if times else place
            picture.time_base = video.codec_context.time_base
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, sound.shape[1], 1024):
                piece = np.ascontiguousarray(sound[:, start : start + 1024], dtype=np.float32)
                layout = "stereo" if len(sound) == 2 else "mono"
                samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                samples.sample_rate = sound_rate
                samples.pts = start + round(sound_start * sound_rate)
                samples.time_base = Fraction(1, sound_rate)
                container.mux(audio.encode(samples))
            container.mux(audio.encode())
    return path


def grey_levels(count: int, *, height: int = 48, width: int = 64) -> list[Image]:
    """Pictures that can be told apart by their mean, and up from down and left from right."""
    frames = []
    for place in range(count):
        frame = np.full((height, width, 3), 20 + 200 * place // max(1, count - 1), np.uint8)
        frame[: height // 4, : width // 4] = 255
        frames.append(frame)
    return frames


def noise(count: int, *, height: int = 96, width: int = 160) -> list[Image]:
    """Pictures that need many bytes, so that there is something to be broken."""
    base = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return [np.roll(base, 3 * place, axis=1) for place in range(count)]


def level_of(image: Image) -> float:
    """Mean of a picture's middle, which :func:`grey_levels` tells places by."""
    height, width = image.shape[:2]
    return float(image[height // 2 : -2, width // 2 : -2].mean())


@cache
def drawn_face(side: int = 192, actor: int = 0) -> Image:
    """A drawn face (side, side, 3) on its own background."""
    clips = SyntheticCorpus(n_actors=2, takes=1, size=side, shortest=0.6, longest=0.8).clips()
    chosen = sorted({clip.actor for clip in clips})[actor]
    first: Image = next(clip for clip in clips if clip.actor == chosen).frames().pixels[0]
    return first


def scene(
    places: Sequence[tuple[int, int] | None], *, height: int = 240, width: int = 320, face: Image | None = None
) -> list[Image]:
    """Pictures with the drawn face at (left, top), None without; parts outside are cut off."""
    face = drawn_face() if face is None else face
    frames = []
    for place in places:
        frame = np.full((height, width, 3), 128, np.uint8)
        if place is not None:
            put(frame, face, *place)
        frames.append(frame)
    return frames


def put(frame: Image, face: Image, left: int, top: int) -> None:
    """Draws a face into a picture."""
    size = len(face)
    rows = slice(max(0, top), max(0, min(frame.shape[0], top + size)))
    columns = slice(max(0, left), max(0, min(frame.shape[1], left + size)))
    frame[rows, columns] = face[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def tone(seconds: float, *, hertz: float = 440.0, rate: int = 48000, channels: int = 2) -> NDArray[np.float32]:
    """A sine of amplitude one half, (channels, n)."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def damaged(path: Path, source: Path, *, bytes_flipped: int, beyond: int = 3000, seed: int = 0) -> Path:
    """A copy of a movie with some bytes of its data flipped."""
    data = bytearray(source.read_bytes())
    start = data.find(b"mdat") + beyond
    for place in np.random.default_rng(seed).integers(start, len(data) - 1, bytes_flipped):
        data[place] ^= 0xFF
    path.write_bytes(data)
    return path


def cut(path: Path, source: Path, *, share: float) -> Path:
    """The first part of a movie's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    return path

"""Clips that have pictures, as movie files and as a sheet to look at."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import EMOTIONS, SPEECH_RATE, Clip
from mrpnkit.errors import InputError


def write_movie(clip: Clip, path: Path, *, sound: bool = True) -> None:
    """Write the pictures and the speech of a clip as mp4: H.264 (MPEG-4 part 2 where it is missing) and AAC.

    Args:
        clip: one with pictures.
        path: ends in .mp4; its folder must exist. Written under another name and renamed when it is whole.
        sound: without it the movie has no audio stream, like the ``02`` files of RAVDESS.

    Raises:
        InputError: another ending, or no such folder.
        CorpusError: the clip has no pictures.
    """
    import av

    if path.suffix.lower() != ".mp4" or not path.parent.is_dir():
        raise InputError(
            f"A movie cannot be written to {path}; expected a name that ends in .mp4 in a folder that exists."
        )
    pixels, fps = clip.frames()
    unfinished = path.with_name(f".{path.stem}.part.mp4")
    try:
        with av.open(str(unfinished), "w") as container:
            rate = Fraction(fps).limit_denominator(1001)
            if "libx264" in av.codecs_available:
                video = container.add_stream("libx264", rate, {"crf": "18", "preset": "veryfast"})
            else:
                video = container.add_stream("mpeg4", rate)
            video.height, video.width = pixels.shape[1] // 2 * 2, pixels.shape[2] // 2 * 2
            video.pix_fmt = "yuv420p"
            audio = container.add_stream("aac", rate=SPEECH_RATE) if sound else None
            if audio is not None:
                audio.layout = "mono"
            for frame in pixels:
                picture = np.ascontiguousarray(frame[: video.height, : video.width])
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode())
            if audio is not None:
                wave = av.AudioFrame.from_ndarray(clip.speech()[None].astype(np.float32), format="fltp", layout="mono")
                wave.sample_rate = SPEECH_RATE
                container.mux(audio.encode(wave))
                container.mux(audio.encode())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def contact_sheet(clips: Sequence[Clip], *, columns: int = 6) -> NDArray[np.uint8]:
    """One row a clip, ``columns`` frames evenly spaced from its beginning to its end: (rows · H, columns · W, 3).

    Raises:
        InputError: no clips, or pictures of different sizes.
        CorpusError: a clip has no pictures.
    """
    rows = []
    for clip in clips:
        pixels = clip.frames().pixels
        chosen = np.linspace(0, len(pixels) - 1, columns).round().astype(int)
        rows.append(np.concatenate(list(pixels[chosen]), axis=1))
    if not rows or len({row.shape for row in rows}) != 1:
        raise InputError(f"A sheet of {len(rows)} clips cannot be made; expected one or more, all of one picture size.")
    return np.concatenate(rows, axis=0)


def one_of_each(clips: Sequence[Clip], *, actor: str) -> list[Clip]:
    """The first clip of every emotion by that actor, in the order of the labels.

    Raises:
        InputError: the actor lacks an emotion.
    """
    found: dict[str, Clip] = {}
    for clip in clips:
        if clip.actor == actor:
            found.setdefault(clip.emotion, clip)
    missing = [emotion for emotion in EMOTIONS if emotion not in found]
    if missing:
        raise InputError(f"Actor {actor!r} has no clip of {', '.join(missing)} among the {len(clips)} given.")
    return [found[emotion] for emotion in EMOTIONS]

"""One movie: the crops of its face at a constant rate, and its sound. What prediction and preparation share.

Letters: T steps at the constant rate, S side of a crop, N samples of sound, K key pictures.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from examples.aver.faces import (
    DETECTORS,
    Detector,
    FacePath,
    FaceSettings,
    Reduced,
    crop,
    find_face,
    reduce_movie,
    scaled,
)
from examples.aver.movies import Oddity, Pictures, is_steady, largest_gap, nearest_frames, read_sound
from mrpnkit.errors import CorpusError, InputError

MODALITIES = ("video", "audio")
GAP = 0.25
"""Seconds without a new picture from which on that is reported."""
SHORT = 1.0
"""Seconds; the shortest time slice of the paper."""


@dataclass(frozen=True, kw_only=True)
class MovieSettings:
    """How movies become frames and samples; stored with every corpus, and used again for prediction.

    Args:
        faces: how faces are found and cropped.
        rate: frames a second; movies of another or of no constant rate are brought to it.
        sound_rate: samples a second.

    Raises:
        InputError: a rate that is not positive.
    """

    faces: FaceSettings = field(default_factory=FaceSettings)
    rate: float = 29.97
    sound_rate: int = SPEECH_RATE

    def __post_init__(self) -> None:
        for name in ("rate", "sound_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"MovieSettings: {name} must be above 0, got {getattr(self, name)}.")


class PreparedMovie(NamedTuple):
    """A movie, ready for a network.

    Attributes:
        video: (T, S, S, 3) uint8 RGB crops of the face, ``rate`` a second; T = 0 where there is no face to be shown.
        audio: (N,) float32 mono, about −1 to 1, ``sound_rate`` a second; N = 0 where there is no sound.
        rate: frames a second.
        sound_rate: samples a second.
        boxes: (T, 4) left, top, right, bottom of each crop in pixels of the upright picture.
        seen: (T,) where the face was seen; elsewhere the box was held.
        key_faces: (K,) how many faces each key picture shows.
        key_found: (K,) whether it shows the face that is cropped.
        seconds: length of the slice; the longer of pictures and sound.
        oddities: what was odd, each with its kind.
    """

    video: NDArray[np.uint8]
    audio: NDArray[np.float32]
    rate: float
    sound_rate: int
    boxes: NDArray[np.float32]
    seen: NDArray[np.bool_]
    key_faces: NDArray[np.int64]
    key_found: NDArray[np.bool_]
    seconds: float
    oddities: tuple[Oddity, ...]


def prepare_movie(
    path: Path,
    settings: MovieSettings | None = None,
    *,
    wave: Path | None = None,
    modalities: Collection[str] = MODALITIES,
    start: float = 0.0,
    end: float | None = None,
    threads: int = 1,
    detector: Detector | None = None,
) -> PreparedMovie:
    """The crops of a movie's face and its sound; what is missing or odd is told, not raised.

    The movie is decoded twice: once into small pictures, in which the face is found, and once to be cropped.

    Args:
        path: of the movie.
        settings: those of the corpus that a network was trained on, or the defaults.
        wave: a recording of the sound, which is read instead of the movie's own; it starts when the movie does.
        modalities: what to read, ``"video"``, ``"audio"`` or both. Whether a movie has a modality is the caller's to
            say: some video-only files carry a stream of sound.
        start: of a slice, in seconds.
        end: of the slice; None is the end of the movie.
        threads: of the decoder.
        detector: one that is built already, for many movies one after another.

    Raises:
        CorpusError: the file cannot be opened at all; the text names it.
        InputError: an empty slice, unknown modalities.
        RegistryError, DependencyError: of the detector.
    """
    settings = settings or MovieSettings()
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"prepare_movie: the slice from {start} s to {end} s is empty; expected 0 ≤ start < end.")
    if not modalities or not set(modalities) <= set(MODALITIES):
        raise InputError(f"prepare_movie: modalities are {list(modalities)}; expected some of {list(MODALITIES)}.")
    size = settings.faces.size
    video = np.zeros((0, size, size, 3), np.uint8)
    boxes, seen = np.zeros((0, 4), np.float32), np.zeros(0, bool)
    key_faces, key_found = np.zeros(0, np.int64), np.zeros(0, bool)
    audio = np.zeros(0, np.float32)
    odd: list[Oddity] = []
    if "video" in modalities:
        pictures = Pictures(path, start=start, end=end, threads=threads)
        faces = settings.faces
        reduced = reduce_movie(pictures, searched=faces.widths[-1], key_seconds=faces.key_seconds)
        stop = 0.0 if reduced is None else _end(reduced, end)
        if reduced is None:
            odd.append(Oddity("no pictures", "no picture could be decoded"))
        elif stop <= start + 1e-6:  # the last one came, which is shown no longer
            odd.append(Oddity("no pictures", f"they end after {stop:.2f} s, before the slice starts"))
        else:
            odd += _picture_oddities(reduced, start, stop, whole=start == 0 and end is None)
            face = find_face(reduced, faces, detector=detector or DETECTORS[faces.detector]())
            odd += face.oddities
            key_faces, key_found = face.faces, face.found
            if len(face.boxes) and face.seen.mean() >= faces.minimum_share:
                steps = nearest_frames(reduced.times, rate=settings.rate, start=start, end=stop)
                video, boxes = _crops(pictures, reduced, face, steps, faces)
                seen = face.seen[steps]
    if "audio" in modalities:
        sound = read_sound(wave or path, rate=settings.sound_rate, start=start, end=end)
        audio = sound.samples
        odd += sound.oddities
    seconds = max(len(video) / settings.rate, len(audio) / settings.sound_rate)
    if 0 < seconds < SHORT and end is None:
        odd.append(Oddity("short", f"{seconds:.2f} s"))
    return PreparedMovie(
        video, audio, settings.rate, settings.sound_rate, boxes, seen, key_faces, key_found, seconds, tuple(odd)
    )


def _end(reduced: Reduced, end: float | None) -> float:
    """Where the pictures end: the last one is shown as long as the others are, typically."""
    times = reduced.times
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / (reduced.facts.rate or 25.0)
    stop = float(times[-1]) + step
    return stop if end is None else min(end, stop)


def _picture_oddities(reduced: Reduced, start: float, stop: float, *, whole: bool) -> list[Oddity]:
    odd = []
    packets, mended, stopped, stamps = reduced.damage
    if packets or mended:
        odd.append(Oddity("corrupt", f"{packets} packets could not be used, {mended} pictures were mended"))
    # Sound may go on after the last picture, so the whole's length counts only where the pictures' own is not told.
    promised = reduced.facts.seconds if reduced.facts.pictures_end is None else reduced.facts.pictures_end
    if stopped or (whole and promised is not None and stop < promised - max(GAP, 0.05 * promised)):
        text = f"pictures end after {stop:.2f} s" + (f" of {promised:.2f} s" if promised is not None else "")
        odd.append(Oddity("truncated", text))
    if reduced.turned:
        odd.append(Oddity("rotated", f"shown {reduced.width} × {reduced.height}"))
    if stamps:
        odd.append(Oddity("stamps out of order", f"{stamps} pictures came with another's"))
    if not is_steady(reduced.times):
        distances = np.diff(reduced.times)
        text = f"pictures {distances.min() * 1000:.0f} to {distances.max() * 1000:.0f} ms apart"
        odd.append(Oddity("variable rate", text))
    gap = largest_gap(reduced.times, start=start, end=stop)
    if gap > GAP and len(reduced.times) > 1:
        odd.append(Oddity("gap", f"no new picture for {gap:.2f} s"))
    return odd


def _crops(
    pictures: Pictures, reduced: Reduced, face: FacePath, steps: NDArray[np.int64], settings: FaceSettings
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(T, S, S, 3) crops and (T, 4) their boxes: a second pass over the movie, in which each picture is cut once."""
    side = face.boxes[:, 2:] - face.boxes[:, :2]
    boxes = np.concatenate([face.boxes[:, :2] - settings.margin * side, face.boxes[:, 2:] + settings.margin * side], 1)
    wanted = set(steps.tolist())
    cut: dict[int, NDArray[np.uint8]] = {}
    for place, picture in enumerate(pictures):
        if place >= len(boxes):
            break
        if place in wanted:
            image = picture.rgb()
            scale = image.shape[1] / reduced.width, image.shape[0] / reduced.height
            cut[place] = crop(image, scaled(boxes[place], *scale), settings.size)
    lost = [place for place in sorted(wanted) if place not in cut]
    if lost and not cut:
        raise CorpusError(f"The movie {pictures.path} changed while it was read; prepare it again.")
    for place in lost:  # a broken file may be decoded differently when it is read again with several threads
        cut[place] = cut[min(cut, key=lambda known: abs(known - place))]
    return np.stack([cut[place] for place in steps.tolist()]), boxes[steps].astype(np.float32)


def nothing(settings: MovieSettings, *oddities: Oddity) -> PreparedMovie:
    """A movie of which nothing could be read."""
    size = settings.faces.size
    return PreparedMovie(
        np.zeros((0, size, size, 3), np.uint8),
        np.zeros(0, np.float32),
        settings.rate,
        settings.sound_rate,
        np.zeros((0, 4), np.float32),
        np.zeros(0, bool),
        np.zeros(0, np.int64),
        np.zeros(0, bool),
        0.0,
        oddities,
    )

"""A clip: who shows which emotion, and how to read the face and the voice of it.

Every reader of a data set returns ``list[Clip]`` in a fixed order. A clip holds no media: its readers are called when
the landmarks, the speech or the frames are asked for, and they can be pickled, so that clips cross processes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import CorpusError

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The eight emotions of RAVDESS in the order of their labels 0 to 7."""

SPEECH_RATE = 16000
"""Samples a second of every ``Clip.speech()``."""

POINTS = 68
"""Facial points of a frame, in the order of the iBUG 300-W mark-up (jaw, brows, nose, eyes, mouth)."""

Sex = Literal["male", "female"]


class Landmarks(NamedTuple):
    """``points`` (T, 68, 2) float32, x to the right and y down, in pixels; ``fps`` frames a second."""

    points: NDArray[np.float32]
    fps: float


class Frames(NamedTuple):
    """``pixels`` (T, H, W, 3) uint8 RGB; ``fps`` frames a second."""

    pixels: NDArray[np.uint8]
    fps: float


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One take of one actor.

    Attributes:
        id: unique in its corpus; also a file name.
        actor: groups that no split may cut.
        sex: ``"male"`` or ``"female"``, to balance folds.
        emotion: one of :data:`EMOTIONS`; ``label`` is its place there.
        attributes: what else is known, such as statement, repetition and intensity.
        read_landmarks: reads the face; None where the clip has none.
        read_speech: reads the voice, (n,) float32 at 16 kHz; None where the clip has none.
        read_frames: reads or draws the pictures; None where the clip has none.
        files: what the readers read; a corpus is made anew where one of them was exchanged for another.

    >>> clip = Clip(id="a", actor="1", sex="female", emotion="happy", read_speech=lambda: np.zeros(3, np.float32))
    >>> clip.label, clip.modalities, clip.speech().shape
    (2, ('audio',), (3,))
    """

    id: str
    actor: str
    sex: Sex
    emotion: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    read_landmarks: Callable[[], Landmarks] | None = field(default=None, repr=False, compare=False)
    read_speech: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)
    read_frames: Callable[[], Frames] | None = field(default=None, repr=False, compare=False)
    files: tuple[Path, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.emotion not in EMOTIONS:
            raise CorpusError(
                f"Clip {self.id!r} shows {self.emotion!r}, which is no known emotion; expected one of "
                f"{', '.join(EMOTIONS)}."
            )
        if self.sex not in ("male", "female"):
            raise CorpusError(f"Clip {self.id!r}: the actor's sex is {self.sex!r}; expected 'male' or 'female'.")

    @property
    def label(self) -> int:
        """The place of ``emotion`` in :data:`EMOTIONS`."""
        return EMOTIONS.index(self.emotion)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of ``"video"`` (landmarks) and ``"audio"`` (speech) that the clip has."""
        readers = {"video": self.read_landmarks, "audio": self.read_speech}
        return tuple(name for name, reader in readers.items() if reader is not None)

    def landmarks(self) -> Landmarks:
        """The facial points of every frame; no frames (T = 0, fps 0) where the clip has no face.

        Raises:
            CorpusError: the file is missing, broken, or has no frame with a face; the text names it.
        """
        if self.read_landmarks is None:
            return Landmarks(np.zeros((0, POINTS, 2), np.float32), 0.0)
        return self.read_landmarks()

    def speech(self) -> NDArray[np.float32]:
        """The voice, (n,) float32 mono at 16 kHz, about −1 to 1; no samples where the clip has no voice.

        Raises:
            CorpusError: the file is missing or cannot be decoded; the text names it.
        """
        if self.read_speech is None:
            return np.zeros(0, np.float32)
        return self.read_speech()

    def frames(self) -> Frames:
        """The pictures, (T, H, W, 3) uint8.

        Raises:
            CorpusError: the corpus of this clip has no pictures.
        """
        if self.read_frames is None:
            raise CorpusError(
                f"Clip {self.id!r} has no pictures; its corpus holds {' and '.join(self.modalities)} only."
            )
        return self.read_frames()


def read_wave(path: Path, *, sample_rate: int = SPEECH_RATE) -> NDArray[np.float32]:
    """An audio file as (n,) float32: channels averaged, resampled where its rate is another.

    Raises:
        CorpusError: the file is missing, empty or cannot be decoded; the text names it.
    """
    import soundfile

    if not path.is_file():
        raise CorpusError(f"The audio file {path} does not exist; the clip is listed, so its file should be there.")
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorpusError(f"The audio file {path} cannot be decoded: {error} Fetch it again, or remove it.") from error
    if not len(wave):
        raise CorpusError(f"The audio file {path} has no samples. Fetch it again, or remove it.")
    mono = np.ascontiguousarray(wave.mean(axis=1, dtype=np.float32))
    if not np.isfinite(mono).all():
        raise CorpusError(
            f"The audio file {path} has samples that are not finite numbers. Fetch it again, or remove it."
        )
    if rate == sample_rate:
        return mono
    import torch
    import torchaudio

    resampled = torchaudio.functional.resample(torch.from_numpy(mono), rate, sample_rate).numpy()
    return np.asarray(resampled, dtype=np.float32)

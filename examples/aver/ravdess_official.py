"""RAVDESS as its authors publish it: speech recordings, and the facial landmark tracking of the same takes.

Accepted, anywhere below one folder and unpacked:

- the recordings of Zenodo record 1188976, ``Audio_Speech_Actors_01-24.zip``: ``Actor_12/03-01-06-01-02-01-12.wav``,
  48 kHz. Sound taken out of the audio-video movies (``01-01-06-01-02-01-12.wav``) will do where there is none of these.
- the tracking of Zenodo record 3255102 (Swanson, Livingstone and Russo, 2019), ``FacialTracking_Actors_01-24.zip``: one
  CSV of OpenFace 2.1 for each audio-video movie and named after it, ``01-01-06-01-02-01-12.csv``.

A name is seven numbers: modality (01 audio and video, 02 video only, 03 audio only), vocal channel (01 speech, 02
song), emotion (01 neutral, calm, happy, sad, angry, fearful, disgust, 08 surprised), intensity (01 normal, 02 strong),
statement, repetition, actor (odd: male, even: female). Song and video-only files are left out. A recording and its
landmarks share the last six numbers, which are the clip's id.
"""

import re
import warnings
from collections.abc import Container, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from examples.aver.clips import EMOTIONS, Clip, read_wave
from examples.aver.files import files_in
from examples.aver.openface import read_openface
from examples.aver.recordings import warn_of_low_rates
from mrpnkit.errors import CorpusError

Incomplete = Literal["refuse", "skip", "keep"]
INTENSITIES = {1: "normal", 2: "strong"}
STATEMENTS = {1: "Kids are talking by the door", 2: "Dogs are sitting by the door"}
LARGEST = (3, 2, len(EMOTIONS), 2, 2, 2, 24)
"""The largest that each number of a name can be."""
NAME = re.compile(r"\d{2}(-\d{2}){6}")
"""What looks like a name: seven two-digit numbers."""


class Name(NamedTuple):
    """The seven numbers of a RAVDESS file name, in their order there."""

    modality: int
    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def clip(self) -> str:
        """The last six, which the files of one take share, such as ``01-06-01-02-01-12``."""
        return "-".join(f"{number:02d}" for number in self[1:])


class Survey(NamedTuple):
    """Speech found below a folder: recordings and landmark files by the id of their clip, both in sorted order."""

    audio: dict[str, Path]
    landmarks: dict[str, Path]

    @property
    def without_audio(self) -> list[str]:
        """Clips that have landmarks and no recording."""
        return [clip for clip in self.landmarks if clip not in self.audio]

    @property
    def without_landmarks(self) -> list[str]:
        """Clips that have a recording and no landmarks."""
        return [clip for clip in self.audio if clip not in self.landmarks]

    def without(self, unusable: Container[str]) -> "Survey":
        """The same less the landmarks of some clips."""
        return Survey(self.audio, {clip: path for clip, path in self.landmarks.items() if clip not in unusable})


def decode_name(stem: str) -> Name:
    """A file name without its ending, decoded.

    >>> name = decode_name("03-01-06-01-02-01-12")
    >>> name.emotion, name.actor, name.clip
    (6, 12, '01-06-01-02-01-12')

    Raises:
        CorpusError: not seven two-digit numbers, or a number out of its range.
    """
    if not NAME.fullmatch(stem):
        raise CorpusError(
            f"{stem!r} is no RAVDESS name; expected seven two-digit numbers such as 03-01-06-01-02-01-12."
        )
    wrong = _wrong_number(stem)
    if wrong is not None:
        raise CorpusError(f"{stem!r} is no RAVDESS name: {wrong}.")
    return Name(*(int(number) for number in stem.split("-")))


def why_not(stem: str) -> str | None:
    """Why a name that looks like one of RAVDESS is none; None for one that is, and for one that does not look like it.

    >>> why_not("01-01-09-01-02-01-12")
    'its emotion is 09, expected 01 to 08'
    >>> why_not("01-01-08-01-02-01-12"), why_not("holiday")
    (None, None)
    """
    return _wrong_number(stem) if NAME.fullmatch(stem) else None


def _wrong_number(stem: str) -> str | None:
    """Which of the seven numbers is out of its range."""
    for part, text, largest in zip(Name._fields, stem.split("-"), LARGEST, strict=True):
        if not 1 <= int(text) <= largest:
            return f"its {part} is {text}, expected 01 to {largest:02d}"
    return None


def survey(folder: Path) -> Survey:
    """Which speech recordings (.wav, .flac) and landmark files (.csv) lie anywhere below ``folder``.

    Files with other names are no part of RAVDESS and are passed over. An audio-only recording (03) is preferred to
    the sound of the movie (01). The same file in two places, as some copies of the data set have it, counts once.

    Raises:
        CorpusError: no such folder, or two files of one name and different size.
    """
    if not folder.is_dir():
        raise CorpusError(f"The folder {folder} does not exist; give the one that the RAVDESS files were put in.")
    audio: dict[tuple[str, int], Path] = {}
    landmarks: dict[tuple[str, int], Path] = {}
    for path in files_in(folder):
        ending = path.suffix.lower()
        if ending not in (".wav", ".flac", ".csv") or not NAME.fullmatch(path.stem) or not path.is_file():
            continue
        name = decode_name(path.stem)
        if name.channel != 1 or name.modality == 2 or (ending == ".csv" and name.modality != 1):
            continue
        found = landmarks if ending == ".csv" else audio
        first = found.setdefault((name.clip, -name.modality), path)
        if first.suffix == path.suffix and first.stat().st_size != path.stat().st_size:
            raise CorpusError(
                f"{first} and {path} have the same name and different sizes; remove the one that is not right."
            )
    recordings: dict[str, Path] = {}
    for (clip, _), path in sorted(audio.items()):  # 03 comes before 01
        recordings.setdefault(clip, path)
    return Survey(recordings, {clip: path for (clip, _), path in sorted(landmarks.items())})


def read_official(folder: Path, *, incomplete: Incomplete = "skip", minimum_confidence: float = 0.7) -> list[Clip]:
    """All speech clips below ``folder``, sorted by actor and then by name.

    Args:
        folder: everything below it is looked at.
        incomplete: what to do with clips that have only one of recording and landmarks: ``"refuse"`` raises, ``"skip"``
            leaves them out and warns, ``"keep"`` keeps them with the other modality missing (no steps). A folder
            without any recordings, or without any landmarks, is only accepted by ``"keep"``. Landmarks that cannot be
            used (see :func:`~examples.aver.openface.read_openface`) count as missing, and are always told.
        minimum_confidence: of OpenFace, for a frame to be believed.

    Every table of landmarks is read once, which takes some hundredths of a second each. A warning tells of recordings
    of a low rate (:func:`~examples.aver.recordings.warn_of_low_rates`).

    Raises:
        CorpusError: no such folder, nothing found, clips that are not complete, or none that is left.
    """
    if incomplete not in ("refuse", "skip", "keep"):
        raise CorpusError(f"read_official: incomplete is {incomplete!r}; expected 'refuse', 'skip' or 'keep'.")
    found = survey(folder)
    if not found.audio and not found.landmarks:
        raise CorpusError(
            f"Below {folder} are neither recordings (03-01-06-01-02-01-12.wav) nor landmark files "
            "(01-01-06-01-02-01-12.csv) "
            "of RAVDESS speech; unpack Audio_Speech_Actors_01-24.zip and FacialTracking_Actors_01-24.zip there."
        )
    parts = [
        _listed(kind, missing)
        for kind, missing in (("no recording", found.without_audio), ("no landmarks", found.without_landmarks))
        if missing
    ]
    read = found.landmarks.keys() & found.audio.keys() if incomplete == "skip" else found.landmarks.keys()
    unusable = _unusable({clip: found.landmarks[clip] for clip in sorted(read)}, minimum_confidence)
    found = found.without(unusable)
    complete, some = found.audio.keys() & found.landmarks.keys(), found.audio.keys() | found.landmarks.keys()
    ids = some if incomplete == "keep" else complete
    if not ids or (incomplete == "refuse" and (parts or unusable)):
        if unusable:
            parts += [_listed("landmarks that cannot be used", list(unusable)), *list(unusable.values())[:3]]
        raise CorpusError(
            f"RAVDESS below {folder}: {'; '.join(parts).rstrip('.')}. Add the files (Zenodo records 1188976 and "
            "3255102), or pass incomplete='keep' to use clips with one modality missing"
            + (", or 'skip' to leave them out." if ids else ".")
        )
    if unusable:
        parts.append(f"{len(unusable)} clips have landmarks that cannot be used ({', '.join(unusable)})")
    if unusable or (parts and incomplete == "skip"):
        done = (
            "Of clips with such landmarks, the recordings are kept."
            if incomplete == "keep"
            else "These clips are left out."
        )
        first = f" The first such table: {next(iter(unusable.values()))}" if unusable else ""
        warnings.warn(f"RAVDESS below {folder}: {'; '.join(parts)}. {done}{first}", stacklevel=2)
    warn_of_low_rates(found.audio[clip] for clip in sorted(ids) if clip in found.audio)
    names = sorted((decode_name(f"01-{clip}") for clip in ids), key=lambda name: (name.actor, name))
    return [_clip(name, found, minimum_confidence) for name in names]


def _clip(name: Name, found: Survey, minimum_confidence: float) -> Clip:
    recording, tracking = found.audio.get(name.clip), found.landmarks.get(name.clip)
    return Clip(
        id=name.clip,
        actor=str(name.actor),
        sex="male" if name.actor % 2 else "female",
        emotion=EMOTIONS[name.emotion - 1],
        attributes={
            "intensity": INTENSITIES[name.intensity],
            "statement": str(name.statement),
            "repetition": str(name.repetition),
        },
        read_landmarks=partial(read_openface, tracking, minimum_confidence=minimum_confidence) if tracking else None,
        read_speech=partial(read_wave, recording) if recording else None,
        files=tuple(path for path in (recording, tracking) if path is not None),
    )


def _unusable(landmarks: Mapping[str, Path], minimum_confidence: float) -> dict[str, str]:
    """Why tables of landmarks cannot be used, by clip; those that can are not in it."""
    reasons = {}
    for clip, path in landmarks.items():
        try:
            read_openface(path, minimum_confidence=minimum_confidence)
        except CorpusError as error:
            reasons[clip] = str(error)
    return reasons


def _listed(kind: str, clips: list[str]) -> str:
    more = f" and {len(clips) - 5} more" if len(clips) > 5 else ""
    return f"{len(clips)} clips have {kind} ({', '.join(clips[:5])}{more})"

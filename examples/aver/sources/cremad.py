"""CREMA-D as its authors publish it (Cao et al., 2014): github.com/CheyneyComputerScience/CREMA-D.

``VideoFlash/1001_DFA_ANG_XX.flv`` is actor 1001, sentence DFA, anger, level not told. ``AudioWAV`` holds the sound of
the same takes, ``VideoDemographics.csv`` the actors' sex, ``SentenceFilenames.csv`` the list of all 7,442 clips, and
``processedResults/summaryTable.csv`` what most of the listeners and viewers took each clip for.
"""

import csv
import re
from itertools import product
from pathlib import Path
from typing import Literal, cast

from examples.aver.clips import Sex
from examples.aver.files import files_in
from examples.aver.ravdess_official import NAME as RAVDESS_NAME
from examples.aver.sources.inventory import (
    MOVIES,
    RECORDINGS,
    Inventory,
    LeftOut,
    MovieClip,
    SoundFrom,
    files_below,
    listed,
    once,
)
from mrpnkit.errors import CorpusError

Labels = Literal["intended", "crowd"]
"""What the actor was asked to show, or what most of those who saw and heard the clip took it for."""

CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
"""The six emotions, in the order that they have in RAVDESS."""

CODES = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "ANG": "angry", "FEA": "fearful", "DIS": "disgust"}
VOTES = {code[0]: emotion for code, emotion in CODES.items()}
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
ACTORS = range(1001, 1092)

NAME = re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(CODES)})_({'|'.join(LEVELS)})")

POINTERS = "Git LFS pointers, not movies (fetch them with 'git lfs pull')"
ALIKE = re.compile(r"\d{4}_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
"""What looks like a name, with sentence, emotion and level."""


def read_cremad(folder: Path, *, sound: SoundFrom = "movie", labels: Labels = "intended") -> Inventory:
    """All clips anywhere below ``folder``, sorted by name; the groups are actor, sex, sentence and level.

    Args:
        folder: a clone, or a copy of it, with the movies themselves and not Git's pointers to them. Names that look
            like those of CREMA-D and are none, and movies of RAVDESS, are told as left out; others are passed over.
        sound: ``"recording"`` takes the sound from ``AudioWAV``, where it is there.
        labels: ``"crowd"`` takes the emotion that most people saw and heard (MultiModalVote). Clips on which they are
            divided are left out, since they have no one class.

    Raises:
        CorpusError: no such folder, no clip in it, a table that is missing or lacks a column, or an actor whose sex
            the table does not tell.
    """
    found: dict[str, Path] = {}
    left_out = []
    for path in files_below(folder, MOVIES):
        if not NAME.fullmatch(path.stem):
            reason = _why_not(path.stem)
            if reason is not None:
                left_out.append(LeftOut(path, reason))
            continue
        if path.stat().st_size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
            left_out.append(LeftOut(path, POINTERS))
        elif not once(found, path.stem, path):
            left_out.append(LeftOut(path, "here twice"))
    if not found:
        lfs = [left.path for left in left_out if left.reason == POINTERS]
        pointers = f" {lfs[0]} is only a Git LFS pointer; run 'git lfs pull'." if lfs else ""
        raise CorpusError(f"Below {folder} is no CREMA-D movie such as VideoFlash/1001_DFA_ANG_XX.flv.{pointers}")
    sexes = _column(folder, "VideoDemographics.csv", "ActorID", "Sex")
    votes = _column(folder, "summaryTable.csv", "FileName", "MultiModalVote") if labels == "crowd" else None
    waves = {path.stem: path for path in files_below(folder, RECORDINGS)} if sound == "recording" else {}
    clips = []
    for name, path in sorted(found.items()):
        actor, sentence, code, level = cast("re.Match[str]", NAME.fullmatch(name)).groups()
        emotion: str | None = CODES[code]
        if votes is not None:
            emotion = VOTES.get(votes.get(name, ""))
        if emotion is None:
            vote = (votes or {}).get(name, "")
            reason = "on which the crowd is divided" if vote else "which the crowd's table does not list"
            left_out.append(LeftOut(path, reason))
            continue
        clips.append(
            MovieClip(
                id=name,
                movie=path,
                wave=waves.get(name),
                actor=actor,
                sex=_sex(sexes, actor),
                emotion=emotion,
                attributes={"sentence": sentence, "level": LEVELS[level]},
            )
        )
    expected = _expected(folder)
    return Inventory(
        f"CREMA-D movies, {labels} emotions",
        CLASSES,
        tuple(clips),
        len(expected),
        tuple(sorted(expected - found.keys())),
        tuple(left_out),
    )


def design() -> set[str]:
    """The names that the design of the study has, 82 an actor; twenty of them were never published.

    >>> len(design()), "1001_IEO_HAP_LO" in design(), "1001_DFA_HAP_LO" in design()
    (7462, True, False)
    """
    names = set()
    for actor, sentence, code in product(ACTORS, SENTENCES, CODES):
        levels = ("LO", "MD", "HI") if sentence == "IEO" and code != "NEU" else ("XX",)
        names |= {f"{actor}_{sentence}_{code}_{level}" for level in levels}
    return names


def _why_not(stem: str) -> str | None:
    """Why a movie that is none of CREMA-D is worth a word; None where its name is nothing like one of a data set."""
    if RAVDESS_NAME.fullmatch(stem):
        return "named like RAVDESS, in a folder of CREMA-D (prepare it with --source ravdess)"
    parts = ALIKE.fullmatch(stem)
    if parts is None:
        return None
    known_parts = {"sentence": SENTENCES, "emotion": tuple(CODES), "level": tuple(LEVELS)}
    for (part, known), text in zip(known_parts.items(), parts.groups(), strict=True):
        if text not in known:
            return f"named like CREMA-D, but its {part} is {text}, expected one of {', '.join(known)}"
    return None


def _expected(folder: Path) -> set[str]:
    """The published list, or the design where that table is not there."""
    if not any(path.name == "SentenceFilenames.csv" for path in files_in(folder)):
        return design()
    return set(_column(folder, "SentenceFilenames.csv", "Filename", "Filename"))


def _sex(sexes: dict[str, str], actor: str) -> Sex:
    sex = sexes.get(actor, "").lower()
    if sex not in ("male", "female"):
        known = listed(sorted(sexes))
        raise CorpusError(
            f"VideoDemographics.csv gives the actor {actor} the sex {sex!r}; expected Male or Female. It has {known}."
        )
    return cast("Sex", sex)


def _column(folder: Path, table: str, key: str, value: str) -> dict[str, str]:
    """A column of a table that lies anywhere below the folder, by another."""
    path = next((path for path in files_in(folder) if path.name == table), None)
    if path is None:
        raise CorpusError(f"Below {folder} is no {table}, which says the {value} of each {key}; CREMA-D comes with it.")
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        if not {key, value} <= set(reader.fieldnames or ()):
            held = ", ".join(reader.fieldnames or ()) or "nothing; is it a Git LFS pointer?"
            raise CorpusError(f"{path} has no columns {key} and {value}; it has {held}.")
        return {row[key].strip(): row[value].strip() for row in reader}

"""What a folder of movies holds: clips, what is missing of the data set, what was left out, and why."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from examples.aver.clips import EMOTIONS, Sex
from examples.aver.files import files_in
from mrpnkit.errors import CorpusError

SoundFrom = Literal["movie", "recording"]
"""Whether the sound is the movie's own, or that of the data set's recording of the same take."""

MOVIES = (".mp4", ".flv", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".webm")
RECORDINGS = (".wav", ".flac")


@dataclass(frozen=True, kw_only=True)
class MovieClip:
    """One take of one actor, as files.

    Attributes:
        id: unique in its data set; also a file name.
        movie: the file with the pictures.
        wave: the file with the sound; None where it is the movie's own.
        actor: whom no split may cut.
        sex: ``"male"`` or ``"female"``.
        emotion: one of :data:`~examples.aver.clips.EMOTIONS`.
        attributes: what else is known; the same names for all clips of a data set.

    Raises:
        CorpusError: an unknown emotion, or an id that is no file name.
    """

    id: str
    movie: Path
    wave: Path | None = None
    actor: str
    sex: Sex
    emotion: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.emotion not in EMOTIONS:
            raise CorpusError(
                f"Clip {self.id!r} shows {self.emotion!r}, which is no known emotion; expected one of "
                f"{', '.join(EMOTIONS)}."
            )
        if not re.fullmatch(r"[\w.-]+", self.id) or self.id.startswith("."):
            raise CorpusError(f"The clip's id {self.id!r} is no file name; use letters, digits, '-', '_' and '.'.")


class LeftOut(NamedTuple):
    """A file that is no clip, and why."""

    path: Path
    reason: str


class Inventory(NamedTuple):
    """A data set as a folder holds it.

    Attributes:
        name: of the data set.
        classes: its emotions, in the order of their labels.
        clips: in order.
        expected: how many the whole data set has.
        missing: ids of clips that the data set has and the folder lacks, sorted.
        left_out: files that look like the data set's and are no clips.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[MovieClip, ...]
    expected: int
    missing: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    def summary(self) -> str:
        """A sentence or two: how much is there, what is missing, what was left out."""
        held = self.expected - len(self.missing)
        lines = [f"{self.name}: {held} of {self.expected} clips are here, {len(self.clips)} are used."]
        if self.missing:
            lines.append(f"Missing: {listed(self.missing)}.")
        reasons: dict[str, int] = {}
        for _, reason in self.left_out:
            reasons[reason] = reasons.get(reason, 0) + 1
        lines += [
            f"Left out: {count} {'file' if count == 1 else 'files'}, {reason}." for reason, count in reasons.items()
        ]
        return " ".join(lines)


def listed(names: Sequence[str], *, shown: int = 5) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def files_below(folder: Path, endings: Sequence[str]) -> Iterator[Path]:
    """Files with one of the endings, anywhere below a folder, in sorted order; hidden ones are passed over.

    Raises:
        CorpusError: there is no such folder, or it is a file.
    """
    if folder.is_file():
        raise CorpusError(
            f"{folder} is a file; expected the folder that the movies were put in, such as {folder.absolute().parent}."
        )
    if not folder.is_dir():
        raise CorpusError(f"The folder {folder} does not exist; give the one that the movies were put in.")
    for path in files_in(folder):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in endings and not hidden and path.is_file():
            yield path


def once(found: dict[str, Path], key: str, path: Path) -> bool:
    """Notes a file under its key; False for the same file in a second place, as some copies of a data set have it.

    Raises:
        CorpusError: two files of one key and of different size.
    """
    first = found.setdefault(key, path)
    if first is not path and first.stat().st_size != path.stat().st_size:
        raise CorpusError(f"{first} and {path} are the same clip in different sizes; remove the one that is not right.")
    return first is path

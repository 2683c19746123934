"""Which data set lies in a folder, and its clips."""

from pathlib import Path
from typing import Literal

from examples.aver.ravdess_official import decode_name
from examples.aver.sources.cremad import NAME as CREMAD_NAME
from examples.aver.sources.cremad import Labels, read_cremad
from examples.aver.sources.inventory import MOVIES, Inventory, SoundFrom, files_below
from examples.aver.sources.ravdess_movies import read_ravdess_movies
from mrpnkit.errors import CorpusError, InputError

Source = Literal["ravdess", "cremad"]
SOURCES: tuple[Source, ...] = ("ravdess", "cremad")


def find_source(folder: Path) -> Source:
    """The data set whose names most of the movies below ``folder`` have.

    Raises:
        CorpusError: no such folder, or no movie with such a name.
    """
    counts = dict.fromkeys(SOURCES, 0)
    others = []
    for path in files_below(folder, MOVIES):
        source = _source_of(path.stem)
        if source is None:
            others.append(path.name)
        else:
            counts[source] += 1
    if not any(counts.values()):
        held = f" Its movies are named {', '.join(others[:3])}." if others else " It holds no movie at all."
        raise CorpusError(
            f"Below {folder} are no movies of RAVDESS (01-01-06-01-02-01-12.mp4) or CREMA-D (1001_DFA_ANG_XX.flv)."
            f"{held}"
        )
    return max(SOURCES, key=lambda source: counts[source])


def read_movies(
    folder: Path, *, source: Source | None = None, sound: SoundFrom = "movie", labels: Labels = "intended"
) -> Inventory:
    """The clips of a folder of movies; see :func:`read_ravdess_movies` and :func:`read_cremad`.

    Args:
        folder: with the movies.
        source: which data set; by default it is found out.
        sound: the movies' own, or the recordings' beside them.
        labels: of CREMA-D, the intended ones or the crowd's.

    Raises:
        CorpusError: what the readers raise.
        InputError: the crowd's labels of RAVDESS, which has none.
    """
    source = source or find_source(folder)
    if source == "cremad":
        return read_cremad(folder, sound=sound, labels=labels)
    if labels != "intended":
        raise InputError("RAVDESS has only intended emotions; labels='crowd' is for CREMA-D.")
    return read_ravdess_movies(folder, sound=sound)


def _source_of(stem: str) -> Source | None:
    if CREMAD_NAME.fullmatch(stem):
        return "cremad"
    try:
        decode_name(stem)
    except CorpusError:
        return None
    return "ravdess"

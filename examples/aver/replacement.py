"""A prepared corpus gives way only to one of its own data set and kind, and only when that one is whole.

Preparation takes minutes or hours, so what it made is not lost by a forgotten option or a kill. A new corpus is written
beside the old one; then the two change places. A kill in between leaves at least one of them whole, and the next
preparation ends what was begun. Where two processes prepare one folder, the places change under a lock, and a folder
that did not exist before is the first one's (:class:`mrpnkit.data.CorpusWriter`).
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrpnkit.data import Corpus
from mrpnkit.data.partial import alone_in
from mrpnkit.errors import CorpusError

KINDS = {
    "versions": "statistics of clips",
    "features": "features of every frame",
    "settings": "face crops and sound",
}
"""Kinds of corpora, by a key of ``Corpus.about`` that tells them; the first that is there counts."""


def check_replaceable(folder: Path, about: Mapping[str, Any]) -> Corpus | None:
    """The corpus in a folder, which a corpus of this ``about`` may replace; None where there is none.

    Ends a replacement that a kill interrupted. A data set that is prepared in another way, or from other clips, is the
    same data set.

    Raises:
        CorpusError: the folder holds another data set, another kind of corpus, or something that is no corpus.
    """
    if not folder.parent.is_dir():
        return None
    with alone_in(folder.parent):
        _end_replacement(folder)
        if not folder.exists():
            return None
        corpus = Corpus.open(folder)
    same = same_data_set(str(corpus.about.get("source", "")), str(about.get("source", "")))
    if not same or _kind(corpus.about) != _kind(about):
        raise CorpusError(
            f"{folder} holds {_spoken(corpus.about)}; {_spoken(about)} would take their place. Give another --out or "
            "the --data that it was made from, or remove it."
        )
    return corpus


def same_data_set(one: str, other: str) -> bool:
    """Whether two sources are one data set: what stands after a comma says only how its labels were read."""
    return one.partition(",")[0] == other.partition(",")[0]


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Gives the folder to write a corpus to; without an error it then stands in ``folder``, in place of the old one."""
    if not folder.exists():
        yield folder
        return
    yield _fresh(folder)
    with alone_in(folder.parent):
        _end_replacement(folder)


def _end_replacement(folder: Path) -> None:
    fresh, old = _fresh(folder), folder.with_name(f"{folder.name}.replaced")
    if fresh.exists():  # whole: CorpusWriter gives a folder its name at the end
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        fresh.rename(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)


def _fresh(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.replacement")


def _kind(about: Mapping[str, Any]) -> str:
    return next((kind for key, kind in KINDS.items() if key in about), "samples")


def _spoken(about: Mapping[str, Any]) -> str:
    return f"{_kind(about)} of {about.get('source', 'an unknown data set')}"

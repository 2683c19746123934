"""Finding what an option names: files, columns, arrays; and saying what is there instead."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from mrpnkit.errors import CorpusError

_SHOWN = 12


def listed(names: Iterable[str]) -> str:
    """Names for an error text: the first dozen, and how many more there are.

    >>> listed(["a", "b"]), listed([])
    ("'a', 'b'", 'nothing')
    """
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(map(repr, every[:_SHOWN])) or "nothing") + more


def hint(name: str, known: Sequence[str]) -> str:
    """A sentence that offers the nearest of the known names, or nothing.

    >>> hint("lable", ["label", "age"])
    " Did you mean 'label'?"
    """
    near = difflib.get_close_matches(name, known, n=1) or [k for k in known if k.lower() == name.lower()]
    return f" Did you mean {near[0]!r}?" if near else ""


def check_known(kind: str, names: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raises CorpusError for the first name that is not known; ``kind`` and ``where`` say what is looked for where."""
    for name in names:
        if name not in known:
            raise CorpusError(f"{where} has no {kind} {name!r}.{hint(name, known)} It has {listed(known)}.")


def existing(folder: Path, path: str, what: str) -> Path:
    """The path, from ``folder`` on where it is relative; it must exist.

    Raises:
        CorpusError: there is nothing; the text says what stands beside it, and the nearest name.
    """
    place = folder / path
    if place.exists():
        return place
    parent = place.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    beside = sorted(entry.name for entry in parent.iterdir())
    raise CorpusError(
        f"There is no {what} {path!r}: {place} does not exist.{hint(place.name, beside)} {parent} has {listed(beside)}."
    )


def existing_file(folder: Path, path: str, what: str) -> Path:
    """As :func:`existing`, and it must be a file."""
    place = existing(folder, path, what)
    if not place.is_file():
        raise CorpusError(f"The {what} {path!r} is a folder; expected a file.")
    return place

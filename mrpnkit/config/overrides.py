"""``--set path=value``: the one way to change a configuration from the command line."""

import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

from mrpnkit.errors import Problem
from mrpnkit.wording import shown


class Override(NamedTuple):
    """Keys from the top of the configuration, the value that is put there, and the text that said so."""

    keys: tuple[str, ...]
    value: Any
    text: str

    @property
    def path(self) -> str:
        """The keys with dots."""
        return ".".join(self.keys)


def parse_override(text: str) -> Override | Problem:
    r"""``a.b.c=VALUE``, where VALUE is a TOML value.

    >>> parse_override("folds.only=[1, 2]").value
    [1, 2]
    >>> parse_override("model.network=n0").text
    'n0 is no TOML value; text is written in quotes: --set \'model.network="n0"\'.'
    """
    left, equals, right = (part.strip() for part in text.partition("="))
    if not equals or not left:
        return Problem(f"--set {text}", "expected PATH=VALUE, such as training.epochs=20.")
    keys = _keys(left)
    if keys is None:
        return Problem(f"--set {text}", f"{left!r} is no path; expected keys with dots between, such as training.seed.")
    try:
        found = tomllib.loads(f"value = {right}")
    except (tomllib.TOMLDecodeError, RecursionError):
        found = {}
    if list(found) != ["value"] or "\n" in right or "\r" in right:
        said = f"{right or 'nothing'} is no TOML value"
        plain = right and not set(right) & set("\"'[]{}=\n\r\\")
        hint = f"; text is written in quotes: --set '{left}=\"{right}\"'." if plain else "."
        return Problem(f"--set {left}", said + hint)
    return Override(keys, found["value"], text)


def apply_overrides(table: dict[str, Any], overrides: Sequence[Override]) -> list[Problem]:
    """Puts each value at its path, in order; tables on the way are made. Returns what could not be done."""
    problems = []
    for override in overrides:
        found = table
        for depth, key in enumerate(override.keys[:-1], start=1):
            below = found.setdefault(key, {})
            if not isinstance(below, dict):
                path = ".".join(override.keys[:depth])
                problems.append(
                    Problem(f"--set {override.path}", f"{path} is {shown(below)} and no table; set {path} as a whole.")
                )
                break
            found = below
        else:
            found[override.keys[-1]] = override.value
    return problems


def _keys(path: str) -> tuple[str, ...] | None:
    """The keys of a dotted TOML key, quoted ones included; None if it is none."""
    if "\n" in path or "\r" in path or "#" in path:
        return None
    try:
        found: Any = tomllib.loads(f"{path} = 0")
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    keys = []
    while isinstance(found, dict):
        (key, found), *more = found.items()
        if more:
            return None
        keys.append(key)
    return tuple(keys)

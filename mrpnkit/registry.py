"""Names for parts: a decorator for our own, an entry-point group for other people's packages.

A registry maps a name to a class. Our own parts are registered with a decorator; a plugin's by an entry point of
its distribution, which is read as metadata and loaded only when that very name is asked for. There are no import
strings in configurations or checkpoints: a name that nobody registered is an error, never an import.
"""

import difflib
import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, NamedTuple, TypeVar

from mrpnkit.errors import RegistryError

T = TypeVar("T")


class Description(NamedTuple):
    """What is known of a registered part. ``file`` and ``line`` are those of its definition."""

    name: str
    summary: str
    signature: str
    file: str
    line: int
    distribution: str


class Registry(Generic[T]):
    """Parts of one kind, by name.

    Args:
        kind: what the parts are, in the singular, as error texts say it: ``"extractor"``.
        group: the entry-point group in which other distributions announce theirs: ``"mrpnkit.extractors"``.

    >>> shapes: Registry[type] = Registry("shape", "example.shapes")
    >>> @shapes.register("circle")
    ... class Circle: ...
    >>> shapes["circle"] is Circle, shapes.names()
    (True, ('circle',))
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._own: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers a class under ``name``; a name that is taken is refused."""
        if not name.isidentifier():
            raise RegistryError(f"{name!r} is no name for an {self.kind}; use letters, digits and underscores.")

        def decorate(part: T) -> T:
            if name in self._own:
                raise RegistryError(
                    f"The {self.kind} name {name!r} is taken by {self._own[name]!r}; choose another name."
                )
            self._own[name] = part
            return part

        return decorate

    def names(self) -> tuple[str, ...]:
        """All known names, our own first, then those of installed plugins; imports nothing."""
        return (*sorted(self._own), *sorted(set(self._announced()) - set(self._own)))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._announced()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __getitem__(self, name: str) -> T:
        """The part of that name; a plugin's is imported now, and no other.

        Raises:
            RegistryError: nobody has the name (the text offers the nearest), two have it, or its plugin is broken.
        """
        plugins = self._announced().get(name, [])
        if name in self._own and plugins:
            raise RegistryError(
                f"The {self.kind} name {name!r} is taken by mrpnkit itself, and the distribution "
                f"{_distribution(plugins[0])!r} announces it too; that plugin must rename its part."
            )
        if name in self._own:
            return self._own[name]
        if len(plugins) > 1:
            owners = " and ".join(repr(_distribution(plugin)) for plugin in plugins)
            raise RegistryError(f"The {self.kind} name {name!r} is announced by {owners}; uninstall one of them.")
        if not plugins:
            raise RegistryError(self._unknown(name))
        if name not in self._loaded:
            self._loaded[name] = self._load(plugins[0])
        return self._loaded[name]

    def describe(self, name: str) -> Description:
        """Where a part is defined, its constructor's signature and the first line of its docstring."""
        part = self[name]
        summary = (inspect.getdoc(part) or "").partition("\n")[0]
        plugins = self._announced().get(name, [])
        owner = "mrpnkit" if name in self._own else _distribution(plugins[0])
        if not (inspect.isclass(part) or inspect.isfunction(part)):
            return Description(name, summary, "()", "", 0, owner)
        _, line = inspect.getsourcelines(part)
        return Description(name, summary, str(inspect.signature(part)), inspect.getfile(part), line, owner)

    def _announced(self) -> dict[str, list[EntryPoint]]:
        announced: dict[str, list[EntryPoint]] = {}
        for entry_point in entry_points(group=self.group):
            announced.setdefault(entry_point.name, []).append(entry_point)
        return announced

    def _load(self, plugin: EntryPoint) -> T:
        try:
            part: T = plugin.load()
        except Exception as error:
            raise RegistryError(
                f"The {self.kind} {plugin.name!r} of the distribution {_distribution(plugin)!r} cannot be loaded from "
                f"{plugin.value!r}: {type(error).__name__}: {error}"
            ) from error
        return part

    def _unknown(self, name: str) -> str:
        known = self.names()
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return (
            f"There is no {self.kind} named {name!r}.{hint} Known: {', '.join(known) or 'none'}. Others come from an "
            f"installed package with an entry point in the group {self.group!r}, or from "
            f"{self.group.rpartition('.')[2].upper()}.register(name) in your own code."
        )


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else entry_point.value

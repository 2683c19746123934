"""Names for parts: a decorator for our own, an entry-point group for other people's packages.

A registry maps a name to a class. A part is registered with a decorator, or announced by an entry point of its
distribution, which is read as metadata and loaded only when that very name is asked for. mrpnkit announces its own
parts in the same way, so that all names can be listed without importing any part. There are no import strings in
configurations or checkpoints: a name that nobody registered is an error, never an import.
"""

import difflib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from mrpnkit.errors import RegistryError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
OURS = "mrpnkit"


class Description(NamedTuple):
    """What is known of a registered part.

    Attributes:
        name: as configurations say it.
        summary: first line of the docstring.
        signature: of the constructor.
        file, line: of the definition.
        distribution: that announces it; of a part that is only decorated, the module that it stands in.
        paper: the publication that it follows; empty where none is named.
        weights_licence: of weights that it downloads or carries; empty where it has none.
    """

    name: str
    summary: str
    signature: str
    file: str
    line: int
    distribution: str
    paper: str = ""
    weights_licence: str = ""


class Registry(Generic[T]):
    """Parts of one kind, by name.

    Args:
        kind: what the parts are, in the singular, as error texts say it: ``"extractor"``.
        group: the entry-point group in which distributions announce theirs: ``"mrpnkit.extractors"``.
        home: the package whose import registers our own parts, for those that no metadata announces yet.

    >>> shapes: Registry[type] = Registry("shape", "example.shapes")
    >>> @shapes.register("circle")
    ... class Circle: ...
    >>> shapes["circle"] is Circle, shapes.names()
    (True, ('circle',))
    """

    def __init__(self, kind: str, group: str, *, home: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self.home = home
        self._own: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._papers: dict[str, str] = {}
        self._licences: dict[str, str] = {}

    def register(self, name: str, *, paper: str = "", weights_licence: str = "") -> Callable[[T], T]:
        """Decorator that registers a class under ``name``; a name that is taken is refused.

        ``paper`` and ``weights_licence`` are what :meth:`describe` tells; a class may have them as attributes of the
        same names instead.
        """
        if not name.isidentifier():
            raise RegistryError(f"{name!r} is no name for {_a(self.kind)}; use letters, digits and underscores.")

        def decorate(part: T) -> T:
            if name in self._own:
                raise RegistryError(
                    f"The {self.kind} name {name!r} is taken by {self._own[name]!r}; choose another name."
                )
            self._own[name] = part
            self._papers[name], self._licences[name] = paper, weights_licence
            return part

        return decorate

    def names(self) -> tuple[str, ...]:
        """All known names, those of mrpnkit and of this process first, then those of plugins; imports nothing."""
        announced = self._announced()
        own = {name for name, plugins in announced.items() if any(_distribution(p) == OURS for p in plugins)}
        own |= set(self._own)
        return (*sorted(own), *sorted(set(announced) - own))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._announced()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __getitem__(self, name: str) -> T:
        """The part of that name; what announces it is imported now, and no other.

        Raises:
            RegistryError: nobody has the name (the text offers the nearest), two have it, or its plugin is broken.
        """
        plugins = self._announced().get(name, [])
        if name not in self._own and not plugins:
            _entry_points.cache_clear()  # something may have been installed meanwhile
            self.load_home()
            plugins = self._announced().get(name, [])
        if name in self._own:
            plugins = [plugin for plugin in plugins if not _announces(plugin, self._own[name])]
        ours = name in self._own or any(_distribution(plugin) == OURS for plugin in plugins)
        others = [plugin for plugin in plugins if _distribution(plugin) != OURS]
        if ours and others:
            owner = repr(self._own[name]) if name in self._own and not _is_ours(self._own[name]) else "mrpnkit itself"
            raise RegistryError(
                f"The {self.kind} name {name!r} is taken by {owner}, and the distribution "
                f"{_distribution(others[0])!r} announces it too; that plugin must rename its part."
            )
        if name in self._own:
            return self._own[name]
        if len(plugins) > 1:
            owners = " and ".join(sorted(repr(_distribution(plugin)) for plugin in plugins))
            raise RegistryError(f"The {self.kind} name {name!r} is announced by {owners}; uninstall one of them.")
        if not plugins:
            raise RegistryError(self._unknown(name))
        if name not in self._loaded:
            self._loaded[name] = self._load(plugins[0])
        return self._loaded[name]

    def load_home(self) -> None:
        """Imports our own parts, so that all of them are known although the installed metadata is older than they."""
        if self.home is not None:
            importlib.import_module(self.home)

    def owner(self, name: str) -> str:
        """Distribution that announces a name; of a part that is only decorated, its module; imports nothing.

        Raises:
            RegistryError: nobody has the name.
        """
        plugins = self._announced().get(name, [])
        if plugins:
            return _distribution(plugins[0])
        if name not in self._own:
            raise RegistryError(self._unknown(name))
        return OURS if _is_ours(self._own[name]) else str(getattr(self._own[name], "__module__", ""))

    def describe(self, name: str) -> Description:
        """Where a part is defined, its constructor's signature, the first line of its docstring, and its sources."""
        part = self[name]
        summary = (inspect.getdoc(part) or "").partition("\n")[0]
        paper = self._papers.get(name) or _text(part, "paper")
        licence = self._licences.get(name) or _text(part, "weights_licence")
        if not (inspect.isclass(part) or inspect.isfunction(part)):
            return Description(name, summary, "()", "", 0, self.owner(name), paper, licence)
        signature = str(inspect.signature(part))
        try:
            line, file = inspect.getsourcelines(part)[1], inspect.getfile(part)
        except (OSError, TypeError):  # made at run time, or shipped without its source
            line, file = 0, ""
        return Description(name, summary, signature, file, line, self.owner(name), paper, licence)

    def _announced(self) -> dict[str, list[EntryPoint]]:
        announced: dict[str, list[EntryPoint]] = {}
        for entry_point in _entry_points(tuple(sys.path)).select(group=self.group):
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
        if not callable(part):
            raise RegistryError(
                f"The {self.kind} {plugin.name!r} of the distribution {_distribution(plugin)!r}, {plugin.value!r}, is "
                f"{part!r}; expected a class, or a function that gives one."
            )
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


EXTRACTORS: "Registry[type[nn.Module]]" = Registry("extractor", "mrpnkit.extractors", home="mrpnkit.extractors")
"""Extractors by name: modules from Sequences to Sequences, built from the width of a step and their configuration."""

AGGREGATORS: "Registry[type[nn.Module]]" = Registry("aggregator", "mrpnkit.aggregators", home="mrpnkit.aggregators")
"""Aggregators by name: modules from Sequences to (B, D), built from the width of a step and their configuration."""

FUSIONS: "Registry[type[nn.Module]]" = Registry("fusion", "mrpnkit.fusions", home="mrpnkit.fusions")
"""Fusions by name: built from the widths of the branches and the number of scores of each target, and their
configuration; called as :class:`mrpnkit.FusionComponent` is."""

BALANCERS: "Registry[Callable[..., Any]]" = Registry("balancer", "mrpnkit.balancers", home="mrpnkit.balancing")
"""Balancers by name: built from their configuration, called with the weighted losses by ``target/head``."""

DATASETS: "Registry[Callable[..., Any]]" = Registry("data set", "mrpnkit.datasets", home="mrpnkit.data.datasets")
"""Data sets by name: built from their configuration, with a method ``load(folder)`` that gives a Corpus."""


@functools.lru_cache(maxsize=4)
def _entry_points(path: tuple[str, ...]) -> EntryPoints:
    """All that is announced on an import path: a file of every installed distribution is read for it, so once."""
    return cast(EntryPoints, entry_points())  # of all groups; Python 3.11 has an older type for it


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else entry_point.value


def _announces(plugin: EntryPoint, part: object) -> bool:
    """Whether an entry point names this very part, which its module also decorates."""
    return plugin.value == f"{getattr(part, '__module__', '')}:{getattr(part, '__qualname__', '')}"


def _is_ours(part: object) -> bool:
    return str(getattr(part, "__module__", "")).partition(".")[0] == OURS


def _text(part: object, attribute: str) -> str:
    value = getattr(part, attribute, "")
    return value if isinstance(value, str) else ""


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"

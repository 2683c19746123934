"""Parts of a configuration: where they stand, which registry knows their names, and what their options must be."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mrpnkit.errors import Problem, RegistryError
from mrpnkit.registry import AGGREGATORS, BALANCERS, DATASETS, EXTRACTORS, FUSIONS, Registry
from mrpnkit.signature import Signature
from mrpnkit.wording import shown


class Kind(NamedTuple):
    """A kind of part: its registry, what it is given when it is built, and its name where a table gives none."""

    registry: Registry[Any]
    facts: frozenset[str]
    default: str | None


KINDS: Mapping[str, Kind] = {
    "data set": Kind(DATASETS, frozenset(), None),
    "extractor": Kind(EXTRACTORS, frozenset({"in_features", "step_shape", "rate"}), "identity"),
    "aggregator": Kind(AGGREGATORS, frozenset({"in_features"}), "mean"),
    "fusion": Kind(FUSIONS, frozenset({"features", "targets", "sequences"}), "concat"),
    "balancer": Kind(BALANCERS, frozenset(), "sum"),
}
"""By the word that error texts use. An extractor may ask for the width, the shape and the rate of the steps."""

INHERITED = ("hidden", "dropout", "absent")
"""Options of a fusion that are those of ``[model]`` unless the fusion's own table gives others."""


class Place(NamedTuple):
    """Where a configuration names a part: the keys that lead there, and the kind."""

    keys: tuple[str, ...]
    kind: str

    @property
    def path(self) -> str:
        """The keys with dots, as the user writes them."""
        return ".".join(self.keys)


def places(table: Mapping[str, Any]) -> Iterator[Place]:
    """Every place of a part in a configuration's table, whether something stands there or not."""
    yield Place(("dataset",), "data set")
    branches = table.get("branches")
    for branch, entry in branches.items() if isinstance(branches, Mapping) else ():
        if isinstance(entry, Mapping):
            yield Place(("branches", branch, "extractor"), "extractor")
            yield Place(("branches", branch, "aggregator"), "aggregator")
    for section, key in (("model", "fusion"), ("objective", "balancer")):
        if isinstance(table.get(section, {}), Mapping):
            yield Place((section, key), key)


def part_at(table: dict[str, Any], place: Place) -> Any:
    """What stands at a place: the part's table with its name, which is put there if it is the default."""
    found: Any = table
    for key in place.keys[:-1]:
        found = found.setdefault(key, {})
    default = KINDS[place.kind].default
    last = place.keys[-1]
    if default is None and last not in found:
        return None
    part = found.setdefault(last, {})
    if isinstance(part, dict) and default is not None and "name" not in part:
        found[last] = part = {"name": default, **part}
    return part


def signature_of(kind: str, name: str) -> Signature:
    """The options of a part; it is loaded, and no other.

    Raises:
        RegistryError: nobody has the name, its plugin is broken, or it cannot be configured.
    """
    return Signature(KINDS[kind].registry[name], facts=KINDS[kind].facts)


def check_part(table: dict[str, Any], place: Place) -> list[Problem]:
    """What is wrong with the part at a place; where nothing is, its table then holds all options, defaults included."""
    part = part_at(table, place)
    if not isinstance(part, dict) or "name" not in part:
        return []  # the models say so
    name = part["name"]
    if not isinstance(name, str):
        return []
    try:
        signature = signature_of(place.kind, name)
    except RegistryError as error:
        never = "" if name.isidentifier() else " A name is looked up and never imported."
        return [Problem(f"{place.path}.name", f"{error}{never}")]
    options = {key: value for key, value in part.items() if key != "name"}
    problems = [Problem(f"{place.path}.{path}", text) for path, text in signature.check(options)]
    if not problems:
        resolved = signature.resolved(options)
        if place.kind == "fusion":
            resolved |= _inherited(signature, options, table["model"])
        part.update(resolved)
    return problems


def _inherited(signature: Signature, options: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    missing = [key for key in INHERITED if key in signature.options and key not in options and key in model]
    return {key: model[key] for key in missing}


def build_part(kind: str, name: str, options: Mapping[str, Any], **facts: Any) -> Any:
    """The object: facts that the constructor takes, then the options."""
    part: Callable[..., Any] = KINDS[kind].registry[name]
    signature = signature_of(kind, name)
    taken = {fact: value for fact, value in facts.items() if fact in signature.takes}
    return part(**taken, **signature.values(options))


def wrong_table(kind: str, value: Any) -> str:
    """What is said where a part should be a table and is none."""
    hint = f'; write {{ name = "{value}" }}' if isinstance(value, str) and value.isidentifier() else ""
    return f"expected a table that names the {kind}, got {shown(value)}{hint}."

"""The signature of a constructor as the schema of its configuration.

Each parameter that pydantic can validate is an option, of the type of its annotation; there are no others. Facts that
are known only when a model is built, such as ``in_features``, are no options. Types are strict: no text for a number,
no bool for an integer, no fraction for an integer; an integer does for a float, and an array for any sequence.
"""

import inspect
import json
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from mrpnkit.errors import Problem, RegistryError
from mrpnkit.wording import TYPES, expected, nearest, plain_problems, shown, type_name, worded

_MISSING = inspect.Parameter.empty


class Option(NamedTuple):
    """A parameter that a configuration may give: its name, its type, and what it is by default."""

    name: str
    annotation: Any
    default: Any
    adapter: TypeAdapter[Any]

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is _MISSING

    def plain(self, value: Any) -> Any:
        """A value as JSON has it."""
        return self.adapter.dump_python(value, mode="json", warnings=False)


class Signature:
    """The options of a part.

    Args:
        part: a class or function.
        facts: names of parameters that are given when it is built, and never by a configuration.

    Raises:
        RegistryError: a parameter without a default that no configuration can give.

    >>> def tone(pitch: int, *, volume: float = 1.0) -> None: ...
    >>> signature = Signature(tone)
    >>> signature.check({"pitch": 440, "volumee": 2})
    [Problem(path='volumee', text="tone has no such option; did you mean 'volume'? It has pitch, volume.")]
    >>> signature.resolved({"pitch": 440})
    {'pitch': 440, 'volume': 1.0}
    """

    def __init__(self, part: Callable[..., Any], *, facts: Collection[str] = ()) -> None:
        self.title = getattr(part, "__name__", type(part).__name__)
        self.facts = frozenset(facts)
        self.summary = (inspect.getdoc(part) or "").partition("\n")[0]
        parameters, hints = _parameters(part, self.title)
        self.takes = frozenset(parameters)
        self.options: dict[str, Option] = {}
        for name, parameter in parameters.items():
            if name not in self.facts:
                option = _option(name, hints.get(name, Any), parameter.default)
                if option is not None:
                    self.options[name] = option
                elif parameter.default is _MISSING:
                    raise RegistryError(
                        f"{self.title} cannot be configured: its parameter {name!r} has no default, and no "
                        f"configuration can give {type_name(hints.get(name, Any))}. Give it a default, or a type of "
                        "plain data."
                    )

    def check(self, given: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with options; the path of a problem starts at the name of an option."""
        problems = [self._unknown(name) for name in given if name not in self.options]
        for name, option in self.options.items():
            if name in given:
                problems.extend(_problems(option, given[name]))
            elif option.required:
                problems.append(Problem(name, f"{self.title} needs it: {expected(option.annotation)}."))
        return problems

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Checked options as the constructor takes them; those not given are left out."""
        return {name: self.options[name].adapter.validate_json(_json(value)) for name, value in given.items()}

    def resolved(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Checked options with the defaults of the others, as plain data, in the order of the signature."""
        values = self.values(given)
        return {
            name: option.plain(values.get(name, option.default))
            for name, option in self.options.items()
            if name in values or not option.required
        }

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of each option, by name."""
        schemas = {}
        for name, option in self.options.items():
            schema = _inlined(option.adapter.json_schema())
            schemas[name] = schema if option.required else {**schema, "default": option.plain(option.default)}
        return schemas

    def _unknown(self, name: str) -> Problem:
        if name in self.facts and name in self.takes:
            return Problem(name, f"{self.title} gets it when it is built; it is not configured. Remove it.")
        known = ", ".join(self.options) or "no options"
        return Problem(name, f"{self.title} has no such option{nearest(name, self.options)} It has {known}.")


def _parameters(part: Callable[..., Any], title: str) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    function = part.__init__ if inspect.isclass(part) else part
    try:
        every = inspect.signature(part).parameters
        hints = {} if function is object.__init__ else typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(f"{title} cannot be configured: its signature cannot be read: {error}") from error
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in every.items() if parameter.kind in named}, hints


def _option(name: str, annotation: Any, default: Any) -> Option | None:
    """An option, or None where no plain data can be validated for the annotation."""
    if name == "name":  # that key of a table names the part
        return None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
    except PydanticUserError:
        try:  # a type with a configuration of its own, such as a dataclass
            adapter = TypeAdapter(annotation)
        except PydanticUserError:
            return None
    try:
        adapter.json_schema()
    except PydanticUserError:
        return None
    return Option(name, annotation, default, adapter)


def _problems(option: Option, value: Any) -> list[Problem]:
    unusable = plain_problems(value, option.name)
    if unusable:
        return unusable
    try:
        option.adapter.validate_json(_json(value))
    except ValidationError as error:
        return _explained(option, value, error)
    return []


def _explained(option: Option, value: Any, error: ValidationError) -> list[Problem]:
    problems = []
    for one in error.errors(include_url=False):
        place, found = option.name, value
        for key in one["loc"]:
            if isinstance(key, int) and isinstance(found, list) and key < len(found):
                place, found = f"{place}[{key}]", found[key]
            elif isinstance(key, str) and isinstance(found, Mapping) and key in found:
                place, found = f"{place}.{key}", found[key]
            else:  # the member of a union: what the whole option expects says more
                return [Problem(option.name, f"expected {expected(option.annotation)}, got {shown(value)}.")]
        whole = found is value and one["type"] in TYPES
        text = f"expected {expected(option.annotation)}, got {shown(found)}." if whole else worded(one, found)
        problems.append(Problem(place, text))
    return problems


def _json(value: Any) -> str:
    return json.dumps(value)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose ``$defs`` stand where they are referred to, so that it can be put anywhere in another."""
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/$defs/"):
                return resolve(definitions[reference.removeprefix("#/$defs/")])
            return {key: resolve(value) for key, value in part.items()}
        return [resolve(value) for value in part] if isinstance(part, list) else part

    resolved: dict[str, Any] = resolve(schema)
    return resolved

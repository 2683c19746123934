"""Options that are tables of their own: from TOML they come as mappings, from Python also as the dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from mrpnkit.data.datasets.places import hint, listed
from mrpnkit.errors import DependencyError, InputError

T = TypeVar("T")


def as_options(kind: type[T], values: Mapping[str, Any], where: str) -> dict[str, T]:
    """Each value as the dataclass ``kind``, made from a mapping where it is none yet.

    Raises:
        InputError: no values, a key that ``kind`` does not have, or one that is missing.
    """
    if not values:
        raise InputError(f"{where} is empty; give at least one, by name.")
    return {name: _one(kind, value, f"{where}.{name}") for name, value in values.items()}


def _one(kind: type[T], value: Any, where: str) -> T:
    if isinstance(value, kind):
        return value
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a table with keys among {listed(known)}, got {value!r}.")
    for key in value:
        if key not in known:
            raise InputError(f"{where} has no key {key!r}.{hint(str(key), known)} Known are {listed(known)}.")
    try:
        return kind(**value)
    except TypeError as error:
        raise InputError(f"{where} is not complete: {error}.") from error


def missing_package(package: str, what: str, extra: str) -> DependencyError:
    """The error for an optional package that is not installed; ``extra`` is the one of mrpnkit that brings it."""
    return DependencyError(f"{what} needs the package {package!r}. Install it: pip install 'mrpnkit[{extra}]'")

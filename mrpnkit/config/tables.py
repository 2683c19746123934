"""What all tables of a configuration are made of: frozen models, and numbers within their limits."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]


class Table(BaseModel):
    """A table of the file: frozen, strict in its types, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def tag(key: str, default: str) -> Callable[[Any], Any]:
    """What tells the members of a union apart: the table's ``key``, or ``default`` where it has none."""

    def read(table: Any) -> Any:
        return str(table.get(key, default)) if isinstance(table, dict) else getattr(table, key, default)

    return read

"""The signature of a constructor as a schema: what it takes, what it refuses, and in which words."""

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from torch import nn

from mrpnkit.config.parts import KINDS, signature_of
from mrpnkit.errors import Problem, RegistryError
from mrpnkit.signature import Signature
from mrpnkit.wording import expected, nearest, plain_problems, shown


class Filter:
    """A filter.

    More about it.
    """

    def __init__(
        self,
        in_features: int,
        kind: Literal["low", "high"],
        *,
        cutoff: float = 0.5,
        order: Annotated[int, Field(ge=1)] = 2,
        taps: Sequence[int] = (1, 2),
        strides: int | Sequence[int] = 1,
        table: Mapping[str, Sequence[str]] | None = None,
        file: Path | None = None,
        copy: bool = False,
        _hidden: int = 1,
        model_name: str = "m",
        schema: str = "s",
        hook: Callable[[int], int] | None = None,
        module: nn.Module | None = None,
    ) -> None: ...


SIGNATURE = Signature(Filter, facts={"in_features"})


def test_options_are_the_parameters_that_plain_data_can_give() -> None:
    assert list(SIGNATURE.options) == [
        "kind", "cutoff", "order", "taps", "strides", "table", "file", "copy", "_hidden", "model_name", "schema",
    ]  # fmt: skip
    assert SIGNATURE.takes > {"in_features", "hook", "module"}
    assert SIGNATURE.summary == "A filter."


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("kind", "hihg", "kind: expected 'low' or 'high', got \"hihg\"; did you mean 'high'?"),
        ("kind", 3, "kind: expected 'low' or 'high', got 3."),
        ("cutoff", "1", 'cutoff: expected a number, got "1".'),
        ("cutoff", True, "cutoff: expected a number, got true."),
        ("cutoff", float("inf"), "cutoff: expected a finite number, got inf."),
        ("order", 0, "order: expected 1 or more, got 0."),
        ("order", 1.0, "order: expected an integer, got 1.0."),
        ("order", False, "order: expected an integer, got false."),
        ("taps", 1, "taps: expected a list (each an integer), got 1."),
        ("taps", "12", 'taps: expected a list (each an integer), got "12".'),
        ("taps", [1, "2"], 'taps[1]: expected an integer, got "2".'),
        ("strides", [1, 1.5], "strides: expected an integer or a list (each an integer), got [1, 1.5]."),
        ("table", {"a": ["b", 1]}, "table.a[1]: expected text, got 1."),
        ("table", ["a"], 'table: expected a table (each entry a list (each text)), got ["a"].'),
        ("file", 3, "file: expected a path, got 3."),
        ("copy", 1, "copy: expected true or false, got 1."),
        ("ordr", 1, "ordr: Filter has no such option; did you mean 'order'? It has kind, cutoff, order, taps, strid"),
        ("in_features", 1, "in_features: Filter gets it when it is built; it is not configured. Remove it."),
        ("hook", "os:system", "hook: Filter has no such option. It has kind"),
        ("module", "torch.nn.Linear", "module: Filter has no such option. It has kind"),
    ],
)
def test_what_is_refused(name: str, value: object, problem: str) -> None:
    (found,) = SIGNATURE.check({"kind": "low", name: value})
    assert f"{found.path}: {found.text}".startswith(problem)


def test_all_problems_come_at_once() -> None:
    found = SIGNATURE.check({"order": 0, "cutof": 1, "copy": 3})
    assert [problem.path for problem in found] == ["cutof", "kind", "order", "copy"]
    assert "Filter needs it: one of 'low', 'high'." in found[1].text


def test_values_have_the_types_of_the_signature() -> None:
    given_options = {"kind": "low", "cutoff": 1, "file": "a/b", "taps": [3]}
    assert SIGNATURE.check(given_options) == []
    values = SIGNATURE.values(given_options)
    assert values == {"kind": "low", "cutoff": 1.0, "file": Path("a/b"), "taps": [3]}
    assert isinstance(values["cutoff"], float)


def test_resolved_options_are_plain_complete_and_read_back() -> None:
    resolved = SIGNATURE.resolved({"kind": "low", "file": "a"})
    assert resolved == json.loads(json.dumps(resolved))
    assert list(resolved) == list(SIGNATURE.options)
    assert (resolved["taps"], resolved["file"], resolved["table"]) == ([1, 2], "a", None)
    assert SIGNATURE.check(resolved) == []
    assert SIGNATURE.resolved(resolved) == resolved


def test_what_cannot_be_configured_says_why() -> None:
    class NeedsModule:
        def __init__(self, module: nn.Module) -> None: ...

    class NeedsName:
        def __init__(self, name: str) -> None: ...

    class Unknown:
        def __init__(self, size: "NoSuchType" = 1) -> None: ...  # type: ignore[name-defined]

    with pytest.raises(RegistryError, match="NeedsModule cannot be configured: its parameter 'module' has no default"):
        Signature(NeedsModule)
    with pytest.raises(RegistryError, match="NeedsName cannot be configured: its parameter 'name'"):
        Signature(NeedsName)
    with pytest.raises(RegistryError, match="signature cannot be read: name 'NoSuchType' is not defined"):
        Signature(Unknown)


def test_parts_of_other_forms() -> None:
    class Nothing: ...

    class Untyped:
        def __init__(self, width=3, *more, **others) -> None: ...  # type: ignore[no-untyped-def]

    @dataclass
    class Sized:
        size: int = 3

    class Colour(enum.Enum):
        RED = "red"

    def function(colour: Colour = Colour.RED, sized: Sized | None = None) -> None: ...

    assert Signature(Nothing).options == {}
    assert Signature(Nothing).check({"a": 1})[0].text == "Nothing has no such option. It has no options."
    assert list(Signature(Untyped).options) == ["width"]
    assert Signature(Untyped).check({"width": {"any": [1]}}) == []
    assert Signature(Sized).check({"size": "a"}) == [Problem("size", 'expected an integer, got "a".')]
    assert Signature(function).values({"colour": "red", "sized": {"size": 1}}) == {
        "colour": Colour.RED,
        "sized": Sized(1),
    }
    assert Signature(function).resolved({}) == {"colour": "red", "sized": None}


def test_the_schema_of_each_option() -> None:
    schema = SIGNATURE.json_schema()
    assert schema["kind"] == {"enum": ["low", "high"], "type": "string"}
    assert schema["order"] == {"minimum": 1, "type": "integer", "default": 2}
    assert schema["taps"] == {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}
    assert "$ref" not in json.dumps(schema)


def test_every_registered_part_has_a_signature() -> None:
    for kind, (registry, facts, default) in KINDS.items():
        registry.load_home()
        names = [name for name in registry.names() if registry.owner(name) == "mrpnkit"]
        assert names
        assert default is None or default in names
        for name in names:
            assert not set(signature_of(kind, name).options) & facts


def test_words() -> None:
    assert expected(dict[str, int]) == "a table (each entry an integer)"
    assert expected(tuple[int, float]) == "a list of 2 (an integer, a number)"
    assert expected(Annotated[int, "x"]) == "an integer"
    assert shown("a" * 100) == '"' + "a" * 76 + "..."
    assert nearest("LSTM", ["gru", "lstm"]) == "; did you mean 'lstm'?"
    assert plain_problems({"a": [1, {"b": object}]})[0].path == "a[1].b"


plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(SIGNATURE.options)) | st.text(max_size=5), plain, max_size=4))
def test_whatever_is_given_is_taken_or_refused_and_what_is_taken_reads_back(options: dict[str, Any]) -> None:
    problems = SIGNATURE.check(options)
    if problems:
        assert all(problem.text.endswith((".", "?")) for problem in problems)
    else:
        resolved = SIGNATURE.resolved(options)
        assert SIGNATURE.resolved(resolved) == resolved

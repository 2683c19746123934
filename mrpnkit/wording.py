"""Words for error texts: values as TOML writes them, types as people name them, the nearest of known names."""

import difflib
import json
import math
import re
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mrpnkit.errors import Problem

_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    Path: "a path",
}
TYPES: Mapping[str, str] = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "sequence_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "finite_number": "a finite number",
}
"""What pydantic's kinds of errors about types ask for, in words."""
_LIMITS: Mapping[str, str] = {
    r"greater than or equal to (\S+)": r"\1 or more",
    r"less than or equal to (\S+)": r"\1 or less",
    r"greater than (\S+)": r"more than \1",
}
_LARGEST = 2**53


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a sentence that denies a name: the nearest of the known ones as a question, or a full stop.

    >>> nearest("epoch", ["epochs", "seed"]), nearest("x", [])
    ("; did you mean 'epochs'?", '.')
    """
    found = difflib.get_close_matches(name, known, n=1)
    if not found:
        found = [one for one in known if one.lower() == name.lower()][:1]
    return f"; did you mean {found[0]!r}?" if found else "."


def shown(value: Any) -> str:
    """A value for an error text, as TOML would write it, shortened.

    >>> shown(True), shown([1, "a"]), shown({"a": None})
    ('true', '[1, "a"]', '{a = none}')
    """
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key} = {shown(entry)}" for key, entry in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(entry) for entry in value) + "]"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif value is None:
        text = "none"
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def expected(annotation: Any) -> str:
    """A type in words.

    >>> expected(int), expected(int | None), expected(typing.Literal["a", "b"])
    ('an integer', 'an integer', "one of 'a', 'b'")
    >>> expected(int | list[int])
    'an integer or a list (each an integer)'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is typing.Annotated:
        return expected(arguments[0])
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}" if len(arguments) > 1 else repr(arguments[0])
    if _is_union(annotation):
        return " or ".join(expected(one) for one in arguments if one is not type(None))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a table (each entry {expected(arguments[1])})" if len(arguments) == 2 else "a table"
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} ({', '.join(expected(one) for one in arguments)})"
    if isinstance(origin, type) and issubclass(origin, Collection):
        return f"a list (each {expected(arguments[0])})"
    return f"what {type_name(annotation)} takes"


def worded(error: Mapping[str, Any], given: Any) -> str:
    """An error of pydantic as a sentence about the value ``given``.

    >>> worded({"type": "int_type", "msg": "Input should be a valid integer"}, "x")
    'expected an integer, got "x".'
    """
    if error["type"] == "literal_error":
        choices = re.findall("'([^']*)'", error["ctx"]["expected"])
        near = nearest(given, choices) if isinstance(given, str) else "."
        return f"expected {error['ctx']['expected']}, got {shown(given)}{near}"
    if error["type"] == "unexpected_keyword_argument":
        return "there is no such key in this table."
    text = TYPES.get(error["type"], error["msg"])
    for pattern, words in _LIMITS.items():
        text = re.sub(pattern, words, text)
    for start in ("Input should be a valid ", "Input should be ", "Value error, "):
        text = text.removeprefix(start)
    return f"expected {text}, got {shown(given)}."


def unread(error: Exception) -> str:
    """Why numpy cannot read a file, in words that do not invite to unpickle what is in it; without a full stop.

    >>> unread(ValueError("This file contains pickled (object) data. If you trust the file ... allow_pickle=True"))
    'it is no array of numbers: another kind of file, or Python objects, which are never loaded'
    """
    text = str(error).rstrip(".")
    if "pickle" in text:
        return "it is no array of numbers: another kind of file, or Python objects, which are never loaded"
    return text or type(error).__name__


def plain_problems(value: Any, path: str = "") -> list[Problem]:
    """What no option of any part may be: NaN, infinity, dates, integers beyond all use; the path is within ``value``.

    >>> plain_problems({"rate": float("nan")})
    [Problem(path='rate', text='expected a finite number, got nan.')]
    """
    if isinstance(value, Mapping):
        nested = [plain_problems(entry, f"{path}.{key}" if path else str(key)) for key, entry in value.items()]
        return [problem for problems in nested for problem in problems]
    if isinstance(value, list | tuple):
        nested = [plain_problems(entry, f"{path}[{place}]") for place, entry in enumerate(value)]
        return [problem for problems in nested for problem in problems]
    if isinstance(value, float) and not math.isfinite(value):
        return [Problem(path, f"expected a finite number, got {value}.")]
    if isinstance(value, int) and abs(value) > _LARGEST:
        return [Problem(path, f"expected an integer of a useful size, got {shown(value)}.")]
    if not isinstance(value, str | int | float | None):
        return [Problem(path, f"expected text, a number, true, false, a list or a table, got {shown(value)}.")]
    return []


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) is typing.Union or type(annotation).__name__ == "UnionType"


def type_name(annotation: Any) -> str:
    """What a type is called in code."""
    return getattr(annotation, "__name__", None) or str(annotation)

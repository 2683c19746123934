"""Check of the configuration of any part: its constructor's signature is the schema of its options."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from mrpnkit.config.parts import KINDS
from mrpnkit.errors import InputError, RegistryError
from mrpnkit.signature import Signature


def check_configuration(
    part: Callable[..., object], options: Mapping[str, Any] | None = None, *, kind: str = "extractor"
) -> None:
    """Checks that a part can be configured: its constructor's signature is the schema of its options.

    The options are accepted, and an unknown one is not. With the defaults of the others they go to JSON and come back
    as they were, which is how a run remembers its configuration; so every default must be of the type that it has in
    the signature. The JSON schema knows every option.

    Args:
        part: a class, or a function that gives the part.
        options: as a configuration would give them; those without a default must be among them.
        kind: what the part is: ``"extractor"``, ``"aggregator"``, ``"fusion"``, ``"balancer"`` or ``"data set"``.

    Raises:
        AssertionError: a demand that is not met.
        InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"check_configuration: there is no kind {kind!r}; expected {', '.join(map(repr, KINDS))}.")
    name = getattr(part, "__name__", type(part).__name__)
    try:
        signature = Signature(part, facts=KINDS[kind].facts)
    except RegistryError as error:
        raise AssertionError(str(error)) from error
    given = dict(options or {})
    for problem in signature.check(given):
        raise AssertionError(f"{name} refuses the options that were given: {problem.path}: {problem.text}")
    resolved = signature.resolved(given)
    for problem in signature.check(resolved):
        raise AssertionError(f"{name} has a default that its own signature refuses: {problem.path}: {problem.text}")
    restored = json.loads(json.dumps(resolved))
    if signature.resolved(restored) != resolved or signature.values(restored) != signature.values(resolved):
        raise AssertionError(f"{name}: its options are others after they were written as JSON and read again.")
    unknown = "_".join(["unknown", *signature.options])
    if not signature.check({**given, unknown: 1}):
        raise AssertionError(f"{name} accepts an option {unknown!r} that its signature does not have.")
    lacking = set(signature.options) - set(json.loads(json.dumps(signature.json_schema())))
    if lacking:
        raise AssertionError(f"{name}: its JSON schema lacks the options {sorted(lacking)}.")

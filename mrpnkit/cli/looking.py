"""Commands that look things up: ``list`` and ``describe``."""

import json
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from mrpnkit.cli.screen import console, table
from mrpnkit.errors import InputError
from mrpnkit.registry import AGGREGATORS, BALANCERS, DATASETS, EXTRACTORS, FUSIONS, Registry

KINDS: dict[str, Registry[Any]] = {
    "extractors": EXTRACTORS,
    "aggregators": AGGREGATORS,
    "fusions": FUSIONS,
    "balancers": BALANCERS,
    "datasets": DATASETS,
}


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind, in the singular or the plural.

    Raises:
        InputError: there is no such kind.
    """
    plural = kind if kind.endswith("s") else f"{kind}s"
    if plural not in KINDS:
        raise InputError(f"There is no kind of part {kind!r}; there are {', '.join(KINDS)}.")
    return KINDS[plural]


def list_(
    kind: Annotated[
        str | None, typer.Argument(help="extractors, aggregators, fusions, balancers or datasets; default: all.")
    ] = None,
) -> None:
    """List the parts that a configuration can name, and the packages that announce them.

    Names are read from the metadata of installed packages; no part is imported.

    Examples:
    `mrpnkit list`

    `mrpnkit list extractors`
    """
    kinds = KINDS if kind is None else {registry_of(kind).group.rpartition(".")[2]: registry_of(kind)}
    announced = entry_points()
    rows = sorted(
        (name, point.name, point.dist.name if point.dist is not None else point.value)
        for name, registry in kinds.items()
        for point in announced.select(group=registry.group)
    )
    widths = [max(map(len, column)) for column in zip(("kind", "name", ""), *rows, strict=True)][:2]
    for kind_, part, owner in (("kind", "name", "package"), *rows):  # drawn without rich, which takes time to load
        typer.echo(f"{kind_:<{widths[0]}}  {part:<{widths[1]}}  {owner}")


def describe(
    kind: Annotated[str | None, typer.Argument(help="extractor, aggregator, fusion, balancer or dataset.")] = None,
    name: Annotated[str | None, typer.Argument(help="As `mrpnkit list` shows it.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a configuration.")] = False,
) -> None:
    """Describe a part: where it is defined, what it does, its parameters, its paper and the licence of its weights.

    Examples:
    `mrpnkit describe aggregator bilstm`

    `mrpnkit describe dataset npz`

    `mrpnkit describe --schema > run.schema.json`
    """
    if schema:
        from mrpnkit.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))
        return
    if kind is None or name is None:
        raise InputError("describe needs a kind and a name, such as `mrpnkit describe aggregator bilstm`, or --schema.")
    from rich.text import Text

    from mrpnkit.config.parts import KINDS as PARTS
    from mrpnkit.config.parts import signature_of

    registry = registry_of(kind)
    found = registry.describe(name)
    known = next(word for word, entry in PARTS.items() if entry.registry is registry)
    facts = {
        "what": found.summary,
        "defined in": f"{found.file}:{found.line}" if found.file else "",
        "package": found.distribution,
        "paper": found.paper,
        "weights": found.weights_licence,
    }
    screen = console()
    screen.print(Text(f"{registry.kind} {name}", "bold"))
    for label, text in facts.items():
        if text:
            screen.print(Text(f"  {label:<11}{text}"), soft_wrap=True)
    options = signature_of(known, name).options.values()
    rows = [
        [option.name, _type(option.annotation), "required" if option.required else repr(option.default)]
        for option in options
    ]
    if rows:
        screen.print(table("", ("parameter", "type", "default"), rows, left=3))
    else:
        screen.print("  It has no parameters.")


def _type(annotation: Any) -> str:
    text = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    return text.replace("typing.", "").replace("collections.abc.", "")

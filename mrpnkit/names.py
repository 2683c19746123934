"""What branches and targets may be called, and what the fusion is called beside them."""

from collections.abc import Mapping

from mrpnkit.errors import InputError

FUSED = "fused"
"""The name of the central score, beside the names of the branches; no branch may have it."""


def check_names(names: Mapping[str, object], kind: str) -> None:
    """Refuses what cannot be a module's name in torch, before torch says so in its own words, or part of a metric's."""
    if not names:
        raise InputError(f"MRPN was given no {kind}; expected a mapping of at least one name.")
    from torch import nn  # here, so that the name of the fusion can be had without it

    separators = {".": "a dot separates modules", "/": "a slash separates target, head and metric"}
    for name in names:
        separator = next((one for one in separators if one in name), None)
        if not name or separator or hasattr(nn.ModuleDict(), name) or name == FUSED:
            why = {"": "it is empty", FUSED: "it names the fused score itself"}.get(
                name, separators[separator] if separator else "torch.nn.ModuleDict has an attribute of that name"
            )
            better = name.replace(".", "_").replace("/", "_") if separator else (name or kind) + "_1"
            raise InputError(
                f"MRPN: {name!r} cannot be the name of a {kind}: {why}. Rename it, for instance to {better!r}."
            )


def check_targets(targets: Mapping[str, object]) -> None:
    """Refuses targets whose number of scores is none, and names as :func:`check_names` does."""
    check_names(targets, "target")
    for name, scores in targets.items():
        if not isinstance(scores, int) or scores < 1:
            raise InputError(
                f"MRPN: the target {name!r} is given as {scores!r}; expected its number of scores, 1 or more, such as "
                "that of its classes."
            )

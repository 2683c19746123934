"""Parts of a network are checked whenever it runs, so that one that breaks its promise is named."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from mrpnkit.build_checks import SOURCE
from mrpnkit.config import Config
from mrpnkit.config.parts import KINDS
from mrpnkit.errors import ConfigError, MrpnkitError, Problem
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.outputs import Fused
from mrpnkit.registry import OURS
from mrpnkit.sequences import Sequences


def owners_of(config: Config) -> dict[str, str]:
    """What is said of the parts that are not mrpnkit's own, by path: the registered name and who announces it."""
    parts = {
        "model.fusion": ("fusion", config.model.fusion),
        "objective.balancer": ("balancer", config.objective.balancer),
    }
    for name, branch in config.branches.items():
        parts[f"branches.{name}.extractor"] = ("extractor", branch.extractor)
        parts[f"branches.{name}.aggregator"] = ("aggregator", branch.aggregator)
    owners = {path: KINDS[kind].registry.owner(part.name) for path, (kind, part) in parts.items()}
    return {path: f"{parts[path][1].name!r} of {owner!r}" for path, owner in owners.items() if owner != OURS}


@contextmanager
def watched(model: MRPN, owners: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Context in which the parts of a network are checked whenever it runs; gives the shapes of what they returned.

    Args:
        model: the network.
        owners: as :func:`owners_of` gives them.

    Raises:
        ConfigError: an extractor, an aggregator or a fusion that returns something else than it declares, or that fails
            with an error that is not mrpnkit's.
    """
    shapes: dict[str, str] = {}
    running: list[tuple[str, nn.Module]] = []

    def refused(name: str, module: nn.Module, text: str) -> ConfigError:
        path = "model.fusion" if name == "fusion" else name
        owner = f" ({owners[path]})" if path in owners else ""
        return ConfigError(SOURCE, [Problem(path, f"{type(module).__name__}{owner} {text}")])

    def begin(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, given: running.append((name, module))

    def end(name: str) -> Callable[[nn.Module, Any, object], None]:
        def hook(module: nn.Module, given: Any, output: object) -> None:
            running.pop()
            wrong = _wrong(name, module, given, output, model.targets)
            if wrong is not None:
                raise refused(name, module, wrong)
            shapes[name] = _shape(output)

        return hook

    handles = [
        handle
        for name, module in named_parts(model).items()
        for handle in (module.register_forward_pre_hook(begin(name)), module.register_forward_hook(end(name)))
    ]
    try:
        yield shapes
    except MrpnkitError:
        raise
    except Exception as error:
        if not running:
            raise
        mode = "in training" if model.training else "in evaluation"
        name, module = running[-1]
        raise refused(name, module, f"fails {mode}: {type(error).__name__}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()


def named_parts(model: MRPN) -> dict[str, nn.Module]:
    """The parts of a network but for its norms, by name."""
    named: dict[str, nn.Module] = {}
    for name, module in model.branches.items():
        branch = cast(Branch, module)
        named[f"branches.{name}.extractor"] = branch.extractor
        named[f"branches.{name}.aggregator"] = branch.aggregator
    named |= {f"perceptrons.{name}": module for name, module in model.perceptrons.items()}
    named |= {"fusion": model.fusion}
    return named | {f"sides.{name}.{t}": head for name, heads in model.sides.items() for t, head in _heads(heads)}


def _wrong(name: str, module: nn.Module, given: Any, output: object, targets: Mapping[str, int]) -> str | None:
    """What is wrong with what a part returned: it has to be ``out_features`` wide, or the scores of all targets."""
    kind = name.rpartition(".")[2] if name.startswith("branches.") else name
    width = getattr(module, "out_features", None)
    if kind == "extractor":
        if not isinstance(output, Sequences):
            return f"must return Sequences, returned {told(output)}."
        if output.batch_size != given[0].batch_size:
            return f"turned {given[0].batch_size} samples into {output.batch_size}; their number must stay."
        shape = tuple(output.steps.shape[1:])
        fits = width is None or shape == (width,)
        return None if fits else f"has out_features={width} but returned steps of shape {shape}."
    if kind == "aggregator":
        wanted = (given[0].batch_size, width)
        fits = isinstance(output, Tensor) and output.shape == wanted
        return None if fits else f"must return (B, out_features) = {wanted}, returned {told(output)}."
    scores = output.scores if isinstance(output, Fused) else output
    for target, number in targets.items() if kind == "fusion" else ():
        found, wanted = scores.get(target) if isinstance(scores, Mapping) else None, (len(given[0][0]), number)
        if not isinstance(found, Tensor) or found.shape != wanted:
            return f"must return scores (B, {number}) = {wanted} of the target {target!r}, returned {told(found)}."
    return None


def told(output: object) -> str:
    """What something is, in words: a tensor with its shape, else its type."""
    return f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__


def _heads(heads: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(cast(nn.ModuleDict, heads).items())


def _shape(output: object) -> str:
    if isinstance(output, Sequences):
        return f"{int(output.lengths.max())} steps × {' × '.join(map(str, output.steps.shape[1:])) or '1'}"
    if isinstance(output, Tensor):
        return " × ".join(map(str, output.shape[1:]))
    if isinstance(output, dict):
        return ", ".join(f"{name}: {_shape(value)}" for name, value in output.items())
    return ""

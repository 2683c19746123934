"""What a network is made of and what a training step costs, without training it."""

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from mrpnkit.build_checks import SOURCE
from mrpnkit.config import Config
from mrpnkit.config.parts import KINDS
from mrpnkit.data import Corpus
from mrpnkit.data.arrays import computable
from mrpnkit.errors import ConfigError, InputError, MrpnkitError, Problem
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.objective import Objective
from mrpnkit.outputs import Fused, MRPNOutput
from mrpnkit.registry import OURS
from mrpnkit.sequences import Sequences


class Part(NamedTuple):
    """A part of a network: its parameters, how many of them are trained, and the shape of what it returns.

    ``output`` has B for samples and S for the steps of all samples together.
    """

    name: str
    kind: str
    parameters: int
    trained: int
    output: str


class StepCost(NamedTuple):
    """Of one forward and backward pass: seconds (a median), and bytes of weights, gradients and what is kept between.

    ``lengths`` are the steps of each sample of the batch, by modality.
    """

    batch: int
    lengths: dict[str, int]
    seconds: float
    bytes_weights: int
    bytes_activations: int

    @property
    def bytes_training(self) -> int:
        """Weights, their gradients, two moments of Adam, and what the backward pass keeps."""
        return 4 * self.bytes_weights + self.bytes_activations


def usual_lengths(corpus: Corpus, modalities: Iterable[str]) -> dict[str, int]:
    """The median number of steps of the samples that have a modality, 1 where none has."""
    found = {}
    for name in modalities:
        lengths = corpus.modalities[name].lengths
        found[name] = int(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 1
    return found


def check_lengths(model: MRPN, lengths: Mapping[str, int]) -> None:
    """Raises InputError for a length below 1 or of a modality that the network does not read."""
    unknown = sorted(set(lengths) - set(model.branches))
    if unknown:
        raise InputError(f"Lengths are given for {unknown}; the branches are {list(model.branches)}.")
    for name, length in lengths.items():
        if length < 1:
            raise InputError(f"The length of {name!r} is {length}; expected 1 or more steps.")


def example_batch(corpus: Corpus, lengths: Mapping[str, int], batch: int) -> dict[str, Sequences]:
    """A batch of samples of given lengths, made of noise of the types and shapes that batches of the corpus have."""
    generator = torch.Generator().manual_seed(0)
    inputs = {}
    for name, length in lengths.items():
        steps = corpus.modalities[name].steps
        shape = (batch * length, *steps.shape[1:])
        dtype = torch.from_numpy(computable(np.empty(0, steps.dtype))).dtype
        values = torch.randn(shape, generator=generator)
        values = values.to(dtype) if dtype.is_floating_point else (values.abs() * 40).clamp(max=100).to(dtype)
        inputs[name] = Sequences(values, torch.full((batch,), length, dtype=torch.int64))
    return inputs


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
        for name, module in _named(model).items()
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


def parts_of(model: MRPN, inputs: Mapping[str, Sequences], *, owners: Mapping[str, str] | None = None) -> list[Part]:
    """Every part with its parameters and the shape of its output on ``inputs``.

    Raises:
        InputError: what an extractor or aggregator says of inputs that do not fit.
        ConfigError: what :func:`watched` finds; its text names ``owners``.
    """
    training = model.training
    model.eval()
    try:
        with watched(model, owners or {}) as shapes, torch.no_grad():
            model(inputs, sides=True)
    finally:
        model.train(training)
    parts = [_part(name, module, shapes.get(name, "")) for name, module in _named(model).items()]
    norms = sum(p.numel() for p in model.norms.parameters())
    trained = sum(p.numel() for p in model.norms.parameters() if p.requires_grad)
    place = 2 * len(model.branches)
    return [*parts[:place], Part("norms", "FeatureNorm", norms, trained, ""), *parts[place:]]


def step_cost(
    model: MRPN,
    objective: Objective,
    inputs: Mapping[str, Sequences],
    *,
    repeats: int = 3,
    bfloat16: bool = False,
    owners: Mapping[str, str] | None = None,
) -> StepCost:
    """Seconds and memory of one forward and backward pass in training mode; the model itself is left as it was.

    Memory is counted from the tensors that the backward pass keeps, each storage once; a library's scratch space is
    not in it.

    Raises:
        ConfigError: what :func:`watched` finds, or a balancer of another package that fails; its text names ``owners``.
    """
    trial = copy.deepcopy(model).train()
    batch = next(iter(inputs.values())).batch_size
    device = next(trial.parameters()).device
    labels = {name: target.example(batch).to(device) for name, target in objective.targets.items()}
    kept: dict[int, int] = {}
    owned = {p.untyped_storage().data_ptr() for p in trial.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    seconds, largest = [], 0
    with watched(trial, owners or {}):
        for _ in range(repeats + 1):
            kept.clear()
            start = time.perf_counter()
            with (
                torch.autocast(device.type, torch.bfloat16, enabled=bfloat16),
                torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            ):
                output = trial(inputs)
            loss = _total(objective, output, labels, (owners or {}).get("objective.balancer"))
            loss.backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            largest = max(largest, sum(kept.values()))
            trial.zero_grad()
    lengths = {name: int(sequences.lengths.max()) for name, sequences in inputs.items()}
    weights = sum(p.numel() * p.element_size() for p in trial.parameters())
    return StepCost(batch, lengths, statistics.median(seconds[1:]), weights, largest)


def _named(model: MRPN) -> dict[str, nn.Module]:
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
            return f"must return Sequences, returned {_told(output)}."
        if output.batch_size != given[0].batch_size:
            return f"turned {given[0].batch_size} samples into {output.batch_size}; their number must stay."
        shape = tuple(output.steps.shape[1:])
        fits = width is None or shape == (width,)
        return None if fits else f"has out_features={width} but returned steps of shape {shape}."
    if kind == "aggregator":
        wanted = (given[0].batch_size, width)
        fits = isinstance(output, Tensor) and output.shape == wanted
        return None if fits else f"must return (B, out_features) = {wanted}, returned {_told(output)}."
    scores = output.scores if isinstance(output, Fused) else output
    for target, number in targets.items() if kind == "fusion" else ():
        found, wanted = scores.get(target) if isinstance(scores, Mapping) else None, (len(given[0][0]), number)
        if not isinstance(found, Tensor) or found.shape != wanted:
            return f"must return scores (B, {number}) = {wanted} of the target {target!r}, returned {_told(found)}."
    return None


def _told(output: object) -> str:
    return f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__


def _total(objective: Objective, output: MRPNOutput, labels: Mapping[str, Tensor], owner: str | None) -> Tensor:
    """The loss that is differentiated; where a balancer that is not mrpnkit's own fails, a ConfigError says so."""
    name = getattr(objective.balancer, "__name__", type(objective.balancer).__name__)
    try:
        total = objective(output, labels).total
    except MrpnkitError:
        raise
    except Exception as error:
        if owner is None:
            raise
        text = f"{name} ({owner}) fails: {type(error).__name__}: {error}"
        raise ConfigError(SOURCE, [Problem("objective.balancer", text)]) from error
    if not isinstance(total, Tensor) or total.numel() != 1:
        text = f"{name} ({owner or OURS}) must return one number, a scalar, returned {_told(total)}."
        raise ConfigError(SOURCE, [Problem("objective.balancer", text)])
    return total


def _part(name: str, module: nn.Module, output: str) -> Part:
    counts = [p.numel() for p in module.parameters()]
    trained = [p.numel() for p in module.parameters() if p.requires_grad]
    return Part(name, type(module).__name__, sum(counts), sum(trained), output)


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

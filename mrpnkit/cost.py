"""What a network is made of and what a training step costs, without training it."""

import copy
import statistics
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mrpnkit.build_checks import SOURCE
from mrpnkit.data import Corpus
from mrpnkit.data.arrays import computable
from mrpnkit.errors import ConfigError, InputError, MrpnkitError, Problem
from mrpnkit.mrpn import MRPN
from mrpnkit.objective import Objective
from mrpnkit.outputs import MRPNOutput
from mrpnkit.sequences import Sequences
from mrpnkit.watching import named_parts, told, watched


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
    parts = [_part(name, module, shapes.get(name, "")) for name, module in named_parts(model).items()]
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
        text = f"{name}{f' ({owner})' if owner else ''} must return one number, a scalar, returned {told(total)}."
        raise ConfigError(SOURCE, [Problem("objective.balancer", text)])
    return total


def _part(name: str, module: nn.Module, output: str) -> Part:
    counts = [p.numel() for p in module.parameters()]
    trained = [p.numel() for p in module.parameters() if p.requires_grad]
    return Part(name, type(module).__name__, sum(counts), sum(trained), output)

"""A network of another library inside an extractor: its weights, what of it is trained, and how much runs at a time."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mrpnkit.errors import DependencyError, InputError
from mrpnkit.sequences import Sequences

Freeze = Literal["none", "all"] | int
"""What is not trained: nothing, all, or so many stages from the input on."""
Precision = Literal["float32", "bfloat16"]

_NORMS = (nn.modules.batchnorm._BatchNorm,)


def missing_package(part: nn.Module, package: str, extra: str) -> DependencyError:
    """The error for an optional package that is not installed; ``extra`` is the one of mrpnkit that brings it."""
    return DependencyError(
        f"{type(part).__name__} needs the package {package!r}. Install it: pip install 'mrpnkit[{extra}]'"
    )


def check_listed(part: nn.Module, option: str, name: str, known: Sequence[str]) -> None:
    """Raises InputError unless a library knows the name, offering the nearest that it does."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else f" Known are {', '.join(known[:8])}, …"
        raise InputError(f"{type(part).__name__}: {option} {name!r} is not known.{hint}")


def check_source(part: nn.Module, *, pretrained: bool, weights: str | None) -> None:
    """Raises InputError where weights are to come from the library and from a file too."""
    if pretrained and weights is not None:
        raise InputError(f"{type(part).__name__}: give either pretrained or weights, not both.")


def load_weights(part: nn.Module, network: nn.Module, path: str, *, spare: Sequence[str] = ()) -> None:
    """Loads a safetensors file into a network; every weight of the network must be in it.

    Args:
        part: the extractor, for error texts.
        network: what the weights are for.
        path: the file.
        spare: beginnings of names that the file may have besides, such as those of a head that was left off.

    Raises:
        InputError: no such file, no safetensors, weights that are missing, left over or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    name = type(part).__name__
    if Path(path).suffix != ".safetensors" or not Path(path).is_file():
        found = "is no file" if not Path(path).is_file() else "does not end in .safetensors"
        raise InputError(f"{name}: the weights {path!r}: that {found}; expected a safetensors file.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{name}: the weights {path!r} cannot be read as safetensors: {error}") from error
    insert_weights(part, network, tensors, where=path, spare=spare)


def insert_weights(
    part: nn.Module, network: nn.Module, tensors: dict[str, Tensor], *, where: str, spare: Sequence[str] = ()
) -> None:
    """As :func:`load_weights`, from tensors by name; ``where`` says in error texts where they are from."""
    kept = {key: value for key, value in tensors.items() if not key.startswith(tuple(spare))}
    try:
        missing, unexpected = network.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        raise InputError(f"{type(part).__name__}: the weights of {where} do not fit: {error}") from error
    if missing or unexpected:
        raise InputError(
            f"{type(part).__name__}: the weights of {where} do not fit this network: {len(missing)} are missing"
            f"{_some(missing)}, {len(unexpected)} are left over{_some(unexpected)}."
        )


def stages_of(network: nn.Module) -> list[list[nn.Module]]:
    """The children of a network that have parameters, where each block of a list of blocks counts for itself."""
    stages: list[list[nn.Module]] = []
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            stages += [[block] for block in child]
        elif any(isinstance(inner, nn.ModuleList) for inner in child.children()):
            stages += stages_of(child)
        elif any(True for _ in child.parameters()):
            stages.append([child])
    return stages


def frozen_modules(
    part: nn.Module, network: nn.Module, freeze: Freeze, stages: Sequence[Sequence[nn.Module]]
) -> list[nn.Module]:
    """Freezes the stages that are asked for, and returns them, since they also stay in evaluation.

    Raises:
        InputError: more stages than there are, or a negative number.
    """
    if freeze == "none" or freeze == 0:
        return []
    if freeze == "all":
        network.requires_grad_(False)
        return [network]
    if isinstance(freeze, bool) or not isinstance(freeze, int) or not 0 < freeze <= len(stages):
        raise InputError(
            f"{type(part).__name__}: freeze must be 'none', 'all', or a number of stages from 0 to {len(stages)}, got "
            f"{freeze!r}."
        )
    chosen = [module for stage in stages[:freeze] for module in stage]
    for parameter in network.parameters(recurse=False):  # such as the embedding of positions
        parameter.requires_grad_(False)
    for module in chosen:
        module.requires_grad_(False)
    return chosen


class Frozen(nn.Module):
    """Keeps modules in evaluation, whatever the extractor that has this part is set to.

    It has no weights, and the modules stay those of the network. Give it to the extractor after the network, since
    parts are set to training in the order in which they were given.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self._modules_held = tuple(modules)

    def train(self, mode: bool = True) -> Self:
        """As ever for itself; the modules are set to evaluation."""
        for module in self._modules_held:
            module.eval()
        return super().train(mode)


def in_chunks(
    network: nn.Module, function: Callable[[slice], Tensor], parts: Sequence[slice], *, checkpointing: bool
) -> Tensor:
    """``function(part)`` for each part, such as those of :func:`chunks`, joined in their order.

    With ``checkpointing`` only the results of parts are kept for the backward pass and the rest is computed again
    there; statistics of batch norm are not moved a second time.
    """
    again = checkpointing and torch.is_grad_enabled()
    results = []
    for part in parts:
        if again:
            result = checkpoint(
                function,
                part,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), _statistics_held(network)),
            )
        else:
            result = function(part)
        results.append(result)
    return torch.cat(results) if len(results) > 1 else results[0]


def chunks(count: int, size: int) -> list[slice]:
    """Equal parts of at most ``size`` out of ``count`` (at least 1), one after another.

    >>> chunks(5, 2)
    [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]
    """
    number = -(-count // size)
    return [slice(start, stop) for start, stop in pairwise(count * chunk // number for chunk in range(number + 1))]


def computed(
    network: nn.Module,
    inputs: Sequences,
    function: Callable[[slice], Tensor],
    count: int,
    *,
    width: int,
    chunk: int,
    checkpointing: bool,
) -> Tensor:
    """The steps that an extractor returns, (count, width), computed in chunks, and :func:`tied`.

    Where the network has batch norm in training, which takes its statistics over a chunk, each of n chunks has every
    n-th step: steps lie clip after clip, and a chunk of one clip or two would not show it what differs between clips.

    Args:
        network: of the extractor.
        inputs: what the extractor was given.
        function: gives a row for each of the steps that a slice of all ``count`` takes.
        count: 0 for a batch without anything, which has no steps.
        width: of a row.
        chunk: steps at a time, at most.
        checkpointing: see :func:`in_chunks`.
    """
    if count == 0:
        return tied(network, inputs, nothing(network, width))
    number = -(-count // chunk)
    if number == 1 or not _takes_statistics(network):
        return tied(network, inputs, in_chunks(network, function, chunks(count, chunk), checkpointing=checkpointing))
    parts = [slice(first, None, number) for first in range(number)]
    joined = in_chunks(network, function, parts, checkpointing=checkpointing)
    places = torch.arange(count, device=joined.device)
    order = torch.cat([places[part] for part in parts]).argsort()
    return tied(network, inputs, joined.index_select(0, order))


def precise(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where that is asked for, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def suited_precision(device: torch.device | str | None = None) -> Precision:
    """``"bfloat16"`` where the device computes in it, else ``"float32"``.

    A processor without such instructions, as one with no more than AVX2, imitates them: convolutions then take many
    times as long as in float32. So do GPUs before Ampere, such as V100 and T4.

    Args:
        device: by default a CUDA device where there is one, else the processor.

    >>> suited_precision("cpu") in ("float32", "bfloat16")
    True
    """
    kind = torch.device(device).type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def restored(network: nn.Module, features: Tensor, precision: Precision) -> Tensor:
    """Features in the type of the network's weights again, where :func:`precise` computed them in bfloat16."""
    return features.to(type_of(network)) if precision == "bfloat16" else features


def type_of(network: nn.Module) -> torch.dtype:
    """The type of a network's weights."""
    return next(network.parameters()).dtype


def tied(network: nn.Module, inputs: Sequences, outputs: Tensor) -> Tensor:
    """The outputs, in whose computation all trained parameters and the steps now take part, with a gradient of zero.

    Processes that train together wait for a gradient of every parameter, also of one that this batch did not need.
    """
    zero = torch.zeros((), dtype=outputs.dtype, device=outputs.device)
    for tensor in [inputs.steps, *network.parameters()]:
        if tensor.requires_grad:
            zero = zero + tensor.flatten()[:0].sum().to(zero.dtype)
    return outputs + zero


def nothing(network: nn.Module, width: int) -> Tensor:
    """No steps (0, width), typed and placed as the network's weights."""
    return next(network.parameters()).new_zeros(0, width)


def _takes_statistics(network: nn.Module) -> bool:
    """Whether the network has batch norm that is in training."""
    return any(isinstance(module, _NORMS) and module.training for module in network.modules())


@contextmanager
def _statistics_held(network: nn.Module) -> Iterator[None]:
    norms = [(module, module.momentum) for module in network.modules() if isinstance(module, _NORMS)]
    try:
        for module, _ in norms:
            module.momentum = 0.0
        yield
    finally:
        for module, momentum in norms:
            module.momentum = momentum


def _some(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""

"""Sound as networks read it: whole waves, those of one length together. Letters: S samples of sound, T of one wave."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import chunks, in_chunks, nothing, tied
from mrpnkit.sequences import Sequences


def check_rate_of_sound(part: nn.Module, given: float | None, expected: float) -> None:
    """Raises InputError for sound of another rate than the network was made for; None is not known."""
    if given is not None and given != expected:
        raise InputError(
            f"{type(part).__name__} was given sound of {given:g} samples a second; this network reads {expected:g}. "
            "Resample the corpus."
        )


def frames_of(length: int, layers: Sequence[tuple[int, int]]) -> int:
    """Frames that convolutions (kernel size, stride) without padding make of so many samples.

    >>> frames_of(16000, [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)])
    49
    """
    for kernel, stride in layers:
        length = max(0, (length - kernel) // stride + 1)
    return length


def shortest(layers: Sequence[tuple[int, int]]) -> int:
    """The fewest samples of which convolutions (kernel size, stride) make a frame.

    >>> shortest([(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)])
    400
    """
    length = 1
    for kernel, stride in reversed(layers):
        length = (length - 1) * stride + kernel
    return length


def waves_of(part: nn.Module, inputs: Sequences) -> list[Tensor]:
    """The waves (T,) of a batch of sound.

    Raises:
        InputError: steps that are no floating-point samples (S,) or (S, 1).
    """
    steps = inputs.steps
    if steps.ndim > 2 or (steps.ndim == 2 and steps.shape[1] != 1) or not steps.is_floating_point():
        raise InputError(
            f"{type(part).__name__} was given steps of shape {tuple(steps.shape[1:])} and type {steps.dtype}; expected "
            "floating-point samples of sound of one channel, shape () or (1,)."
        )
    return [wave.flatten() for wave in inputs.unbind()]


def by_length(
    network: nn.Module,
    inputs: Sequences,
    waves: Sequence[Tensor],
    function: Callable[[Tensor], Tensor],
    *,
    width: int,
    least: int,
    chunk: int,
    checkpointing: bool,
) -> Sequences:
    """``function`` from waves (B, T) to (B, T', width), each wave with others of its own length only.

    Padding would change the result where a network normalises over time, as most of this kind do. A wave shorter than
    ``least`` is filled with zeros behind; one of no samples stays one of no steps.
    """
    groups: dict[int, list[int]] = {}
    for row, wave in enumerate(waves):
        if len(wave):
            groups.setdefault(max(len(wave), least), []).append(row)
    results = [nothing(network, width)] * len(waves)
    for length, rows in groups.items():
        grid = torch.stack([nn.functional.pad(waves[row], (0, length - len(waves[row]))) for row in rows])
        parts = chunks(len(rows), chunk)
        outputs = in_chunks(network, _part_of(function, grid), parts, checkpointing=checkpointing)
        for row, output in zip(rows, outputs, strict=True):
            results[row] = output
    lengths = torch.tensor([len(result) for result in results], dtype=torch.int64, device=inputs.lengths.device)
    types = [result.dtype for result in results if len(result)]
    steps = torch.cat([result.to(types[0]) if types else result for result in results])
    return Sequences(tied(network, inputs, steps), lengths)


def _part_of(function: Callable[[Tensor], Tensor], grid: Tensor) -> Callable[[slice], Tensor]:
    return lambda part: function(grid[part])

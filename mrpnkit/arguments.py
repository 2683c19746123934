"""What extractors and aggregators are given, checked: configuration when built, the width of the steps when run."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.sequences import Sequences


def checked_steps(part: nn.Module, inputs: Sequences, width: int) -> Tensor:
    """The steps (S, width) of ``inputs``; integers become float32, other floats the type of the part's weights.

    A part without weights leaves floats as they are, and so is what autocast computed in its own type.

    Raises:
        InputError: steps of another width or with more axes than one.

    >>> checked_steps(nn.Identity(), Sequences.vectors(torch.tensor([[1, 2]])), 2)
    tensor([[1., 2.]])
    """
    steps = inputs.steps
    if steps.ndim != 2 or steps.shape[1] != width:
        given = f"steps of width {steps.shape[1]}" if steps.ndim == 2 else f"steps of shape {tuple(steps.shape[1:])}"
        raise InputError(
            f"{type(part).__name__} was given {given}, but was built for steps of width {width}. "
            + (
                "What stands before it must return steps of that width, as its out_features says."
                if steps.ndim == 2
                else "Choose an extractor that reads such steps, or flatten them to vectors in the data."
            )
        )
    if steps.dtype == torch.float32:  # as corpora give them; asking for weights costs what a layer does
        return steps
    if not steps.is_floating_point():
        return steps.float()
    kind = steps.device.type
    if torch.is_autocast_enabled(kind) and steps.dtype == torch.get_autocast_dtype(kind):
        return steps
    weights = next((weight.dtype for weight in part.parameters() if weight.is_floating_point()), steps.dtype)
    return steps.to(weights)


def check_counts(part: nn.Module, counts: Mapping[str, int | Sequence[int]]) -> None:
    """Raises InputError unless each argument is an integer of at least 1, or a sequence of one or more such."""
    for name, value in counts.items():
        values = value if isinstance(value, Sequence) else [value]
        if not values or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in values):
            expected = "one or more integers of at least 1" if values is value else "an integer of at least 1"
            raise InputError(f"{type(part).__name__}: {name} must be {expected}, got {value!r}.")


def check_rate(part: nn.Module, name: str, value: float) -> None:
    """Raises InputError unless a dropout rate lies in [0, 1)."""
    if not 0.0 <= value < 1.0:
        raise InputError(f"{type(part).__name__}: {name} must lie in [0, 1), got {value!r}.")


def check_choice(part: nn.Module, name: str, value: str, choices: Sequence[str]) -> None:
    """Raises InputError unless ``value`` is one of ``choices``."""
    if value not in choices:
        expected = ", ".join(map(repr, choices))
        raise InputError(f"{type(part).__name__}: {name} must be one of {expected}, got {value!r}.")

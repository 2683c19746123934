"""Sums over the processes that train together, through which gradients flow."""

from typing import Any, cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


def processes() -> int:
    """How many train together; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sum of a tensor over all processes, in each of them; with one process the tensor itself.

    The gradient that arrives is summed likewise: what every process computes from the sum depends on each one's part.
    All processes must ask for it, in the same order.
    """
    return cast(Tensor, _Sum.apply(x)) if processes() > 1 else x


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Sum.apply(gradients[0])

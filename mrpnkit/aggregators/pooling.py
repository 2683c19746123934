"""Pooling over time, on the ragged steps as they are.

Letters: B batch, S steps of all samples, D features.
"""

from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.arguments import check_counts, checked_steps
from mrpnkit.sequences import Sequences

Pool = Literal["last", "mean", "max"]


def last_step(inputs: Sequences) -> Float[Tensor, "batch features"]:
    """x_T of each sample; 0 where T = 0."""
    if inputs.is_one_step_each:
        return inputs.steps
    return _pick(inputs, inputs.starts() + inputs.lengths - 1)


def first_step(inputs: Sequences) -> Float[Tensor, "batch features"]:
    """x_1 of each sample; 0 where T = 0."""
    return _pick(inputs, inputs.starts())


def mean_step(inputs: Sequences) -> Float[Tensor, "batch features"]:
    """(1 / T) · Σ_t x_t of each sample, summed in float32 at least; 0 where T = 0."""
    if inputs.is_one_step_each:
        return inputs.steps
    steps = inputs.steps if inputs.steps.dtype == torch.float64 else inputs.steps.float()
    sums = steps.new_zeros(inputs.batch_size, steps.shape[1]).index_add(0, inputs.sample_of_step(), steps)
    return (sums / inputs.lengths.clamp(min=1)[:, None]).to(inputs.steps.dtype)


def max_step(inputs: Sequences) -> Float[Tensor, "batch features"]:
    """max_t x_t of each sample, by feature; 0 where T = 0. Steps that tie share the gradient."""
    if inputs.is_one_step_each:
        return inputs.steps
    highest = torch.segment_reduce(inputs.steps, "max", lengths=inputs.lengths)
    return highest.masked_fill(~inputs.present[:, None], 0.0)


def pool_steps(inputs: Sequences, pool: Pool) -> Float[Tensor, "batch features"]:
    """One of :func:`last_step`, :func:`mean_step` and :func:`max_step`, by name."""
    match pool:
        case "last":
            return last_step(inputs)
        case "mean":
            return mean_step(inputs)
        case "max":
            return max_step(inputs)
    assert_never(pool)


def _pick(inputs: Sequences, places: Tensor) -> Tensor:
    """(B, D): the step at each place; 0 where the sample has none."""
    if inputs.steps.shape[0] == 0:
        return inputs.steps.sum(0, keepdim=True).repeat(inputs.batch_size, 1)  # zeros that still have a gradient
    picked = inputs.steps.index_select(0, places.clamp(0, inputs.steps.shape[0] - 1))
    return picked.masked_fill(~inputs.present[:, None], 0.0)


@AGGREGATORS.register("last")
class Last(nn.Module):
    """The last step of each sample: A(x) = x_T. It has no parameters.

    Args:
        in_features: width of a step, also of the result.

    >>> Last(2)(Sequences.of([torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(0, 2)]))
    tensor([[3., 4.],
            [0., 0.]])
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features})
        self.in_features = self.out_features = in_features

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Steps (S, D) → (B, D)."""
        return last_step(inputs.with_steps(checked_steps(self, inputs, self.in_features)))


@AGGREGATORS.register("mean")
class Mean(nn.Module):
    """The average of the steps of each sample: A(x) = (1 / T) · Σ_t x_t. It has no parameters.

    Args:
        in_features: width of a step, also of the result.

    >>> Mean(2)(Sequences.of([torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(0, 2)]))
    tensor([[2., 3.],
            [0., 0.]])
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features})
        self.in_features = self.out_features = in_features

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Steps (S, D) → (B, D)."""
        return mean_step(inputs.with_steps(checked_steps(self, inputs, self.in_features)))


@AGGREGATORS.register("max")
class Max(nn.Module):
    """The highest value of each feature over the steps of each sample: A(x) = max_t x_t. It has no parameters.

    Args:
        in_features: width of a step, also of the result.

    >>> Max(2)(Sequences.of([torch.tensor([[1.0, 4.0], [3.0, 2.0]]), torch.zeros(0, 2)]))
    tensor([[3., 4.],
            [0., 0.]])
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features})
        self.in_features = self.out_features = in_features

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Steps (S, D) → (B, D)."""
        return max_step(inputs.with_steps(checked_steps(self, inputs, self.in_features)))

"""Chunks of steps: results in order, gradients of one pass, and all clips in each chunk where batch norm is trained."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.extractors.backbone import chunks, computed

CLIPS = [16, 5, 0, 1, 10]


class Dense(nn.Module):
    """A dense layer beside a batch norm that it does not read: what is spread over chunks changes no result."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.seen: list[Tensor] = []

    def forward(self, steps: Tensor) -> Tensor:
        self.seen.append(steps.detach())
        found: Tensor = self.dense(steps)
        return found


def passed(network: nn.Module, inputs: Sequences, **options: Any) -> Tensor:
    """The steps as an extractor computes them."""
    options = {"width": 2, "checkpointing": False, **options}
    return computed(network, inputs, lambda part: network(inputs.steps[part]), len(inputs.steps), **options)


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 40), chunk=st.integers(1, 12), training=st.booleans(), checkpointing=st.booleans())
def test_chunks_give_the_results_and_gradients_of_one_pass(
    count: int, chunk: int, training: bool, checkpointing: bool
) -> None:
    torch.manual_seed(count)
    network = Dense().double().train(training)
    steps = torch.randn(count, 3, dtype=torch.float64, requires_grad=True)
    given_steps = passed(network, Sequences.of([steps]), chunk=chunk, checkpointing=checkpointing)
    sizes = [len(part) for part in network.seen]
    assert sum(sizes) == count
    assert max(sizes) <= chunk
    assert max(sizes) - min(sizes) <= 1
    expected = steps @ network.dense.weight.t() + network.dense.bias
    torch.testing.assert_close(given_steps, expected)
    weights, variables = torch.randn_like(expected), [steps, *network.dense.parameters()]
    gradients = torch.autograd.grad((given_steps * weights).sum(), variables)
    for gradient, wanted in zip(gradients, torch.autograd.grad((expected * weights).sum(), variables), strict=True):
        torch.testing.assert_close(gradient, wanted)


def batch() -> Sequences:
    """Clips of which each step names its clip."""
    return Sequences.of([torch.full((length, 3), float(clip)) for clip, length in enumerate(CLIPS)])


@pytest.mark.parametrize("chunk", [4, 8, 20])
def test_where_batch_norm_is_trained_each_chunk_has_its_share_of_every_clip(chunk: int) -> None:
    network = Dense().train()
    passed(network, batch(), chunk=chunk)
    number = -(-sum(CLIPS) // chunk)
    assert len(network.seen) == number
    for part in network.seen:
        for clip, length in enumerate(CLIPS):
            share = int((part[:, 0] == clip).sum())
            assert length // number <= share <= -(-length // number)


def frozen(network: Dense) -> Dense:
    network.norm.eval()
    return network


def without_norm(network: Dense) -> Dense:
    network.norm = nn.Identity()  # type: ignore[assignment]
    return network


@pytest.mark.parametrize("network", [Dense().eval(), frozen(Dense()), without_norm(Dense())])
def test_elsewhere_chunks_follow_each_other(network: Dense) -> None:
    inputs = batch()
    passed(network, inputs, chunk=6)
    for part, place in zip(network.seen, chunks(sum(CLIPS), 6), strict=True):
        assert torch.equal(part, inputs.steps[place])


def test_running_statistics_hold_what_differs_between_clips() -> None:
    """Clips of other means; in chunks of one clip each, the variance would be that within a clip, 1 instead of 32."""
    generator = torch.Generator().manual_seed(0)
    clips = [5.0 * (clip % 4) + torch.randn(16, 1, generator=generator) for clip in range(8)]
    norm = nn.BatchNorm1d(1, momentum=None, affine=False)
    passed(norm, Sequences.of(clips), chunk=16)
    assert int(norm.num_batches_tracked) == 8  # type: ignore[arg-type]
    whole = torch.cat(clips)
    torch.testing.assert_close(norm.running_mean, whole.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_var, whole.var(0), atol=0, rtol=0.15)


def test_nothing_has_no_steps() -> None:
    network = Dense()
    assert passed(network, Sequences.of([torch.zeros(0, 3)]), chunk=2).shape == (0, 2)
    assert not network.seen

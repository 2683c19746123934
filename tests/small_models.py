"""The smallest branches there can be, so that tests of the networks depend on no extractor or aggregator."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit import MRPN, Branch, Sequences
from mrpnkit.mrpn import Network


class Unchanged(nn.Module):
    """Extractor: returns its input."""

    def forward(self, inputs: Sequences) -> Sequences:
        return inputs


class Affine(nn.Module):
    """Extractor: one dense unit for each step."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, out_features)

    def forward(self, inputs: Sequences) -> Sequences:
        return inputs.with_steps(self.dense(inputs.steps))


class Average(nn.Module):
    """Aggregator: the mean of the steps of each sample, zero where there are none."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.out_features = out_features

    def forward(self, inputs: Sequences) -> Tensor:
        total = inputs.steps.new_zeros(inputs.batch_size, self.out_features)
        total = total.index_add(0, inputs.sample_of_step(), inputs.steps)
        return total / inputs.lengths.clamp(min=1)[:, None]


def vector_branch(width: int) -> Branch:
    """f_m is the one step that is given: for tests that choose f_m themselves."""
    return Branch(Unchanged(), Average(width))


def affine_branch(in_features: int, out_features: int) -> Branch:
    """f_m is the mean over time of a dense unit."""
    return Branch(Affine(in_features, out_features), Average(out_features))


def randomise(module: nn.Module, seed: int) -> None:
    """Draws every parameter and running statistic, so that no test passes because a weight is 1 or a bias 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            else:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.7)


def vector_model(
    widths: Mapping[str, int], targets: Mapping[str, int], *, network: Network = "n2", seed: int = 0
) -> MRPN:
    """A float32 MRPN that reads f_m directly, with random weights and statistics."""
    model = MRPN({name: vector_branch(width) for name, width in widths.items()}, targets, network=network)
    randomise(model, seed)
    return model


def ragged(lengths: Sequence[int], width: int, *, seed: int = 0) -> Sequences:
    """Normally distributed steps; a length of 0 is a missing sample."""
    steps = torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(seed))
    return Sequences(steps, torch.tensor(lengths, dtype=torch.int64))

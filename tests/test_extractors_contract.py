"""The contract checks themselves: each finds the part that breaks the demand, and names it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.testing import check_aggregator, check_extractor


class Sound(nn.Module):
    """An extractor that keeps the contract; each of the others below breaks one demand."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, 3
        self.dense = nn.Linear(in_features, 3)

    def forward(self, inputs: Sequences) -> Sequences:
        if inputs.steps.shape[1] != self.in_features:
            raise InputError(f"{type(self).__name__}: given {inputs.steps.shape[1]}, expected {self.in_features}.")
        return self.result(inputs)

    def result(self, inputs: Sequences) -> Sequences:
        return inputs.with_steps(self.dense(inputs.steps))


class LiesAboutWidth(Sound):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        self.out_features = 4


class HasNoWidth(Sound):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        del self.out_features


class TakesAnyWidth(Sound):
    def forward(self, inputs: Sequences) -> Sequences:
        return inputs.with_steps(inputs.steps[:, :3] * self.dense.weight.sum() + self.dense.bias)


class TakesAnyWidthAndKeepsIt(Sound):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        self.out_features = in_features
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Sequences) -> Sequences:
        return inputs.with_steps(inputs.steps * self.scale)


class LooksUpTheWidth(Sound):
    def forward(self, inputs: Sequences) -> Sequences:
        scale = [1.0] * self.in_features
        return self.result(inputs.with_steps(inputs.steps * scale[inputs.steps.shape[1] - 1]))


class LetsTorchRefuse(Sound):
    def forward(self, inputs: Sequences) -> Sequences:
        return self.result(inputs)


class LosesLengths(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        return Sequences(super().result(inputs).steps, inputs.lengths + 1)


class MakesUpSteps(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        samples = [sample if len(sample) else sample.new_zeros(1, self.in_features) for sample in inputs.unbind()]
        return super().result(Sequences.of(samples))


class MixesSamples(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        return super().result(inputs.with_steps(inputs.steps - inputs.steps.sum(0)))


class HasUnusedParameter(Sound):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        self.spare = nn.Parameter(torch.zeros(1))


class DividesByZero(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        return super().result(inputs.with_steps(inputs.steps / 0.0))


class HasBrokenGradient(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        steps = super().result(inputs).steps
        return inputs.with_steps(steps + (steps * 0.0).abs().sqrt())


class ChangesItsInput(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        inputs.steps.data.mul_(2.0)
        return super().result(inputs)


class KeepsStateToItself(Sound):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        self.shift = torch.randn(())

    def result(self, inputs: Sequences) -> Sequences:
        return super().result(inputs.with_steps(inputs.steps + self.shift.to(inputs.steps.dtype)))


class CannotBeConverted(Sound):
    def result(self, inputs: Sequences) -> Sequences:
        return inputs.with_steps(super().result(inputs).steps @ torch.eye(3))


class IgnoresSeed(Sound):
    calls = 0

    def result(self, inputs: Sequences) -> Sequences:
        if self.training:
            IgnoresSeed.calls += 1
        return super().result(inputs.with_steps(inputs.steps + self.training * 0.1 * IgnoresSeed.calls))


def test_a_sound_extractor_passes_and_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    check_extractor(Sound, 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (LiesAboutWidth, r"LiesAboutWidth has out_features=4 but returned steps of shape \(3,\)"),
        (HasNoWidth, "HasNoWidth needs an integer attribute out_features"),
        (TakesAnyWidth, "TakesAnyWidth was given steps of width 6, was built for 5, and did not refuse them; take .*"),
        (
            TakesAnyWidthAndKeepsIt,
            r"KeepsIt was given steps of width 6, .* mrpnkit.arguments.checked_steps\(self, inputs",
        ),
        (LooksUpTheWidth, "LooksUpTheWidth must refuse steps of a wrong width with an InputError, raised IndexError"),
        (LetsTorchRefuse, "LetsTorchRefuse must refuse steps of a wrong width with an InputError, raised RuntimeError"),
        (LosesLengths, "LosesLengths returned Sequences that do not fit together"),
        (MakesUpSteps, "MakesUpSteps made 1 steps of a sample that has none"),
        (MixesSamples, "MixesSamples: the result for a sample must not depend on the other samples"),
        (HasUnusedParameter, "HasUnusedParameter: spare got no gradient"),
        (DividesByZero, "DividesByZero must return finite"),
        (HasBrokenGradient, "HasBrokenGradient: the gradient of the steps is not finite"),
        (ChangesItsInput, "ChangesItsInput changed the steps that it was given"),
        (KeepsStateToItself, "KeepsStateToItself gives other results after its state dict was loaded"),
        (CannotBeConverted, r"CannotBeConverted fails \(.*train, torch.bfloat16\): RuntimeError"),
        (IgnoresSeed, "IgnoresSeed: built and run twice from the same seed, it gives two results"),
    ],
)
def test_a_broken_extractor_is_found(broken: type[Sound], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_extractor(broken, 5)


class Average(nn.Module):
    """An aggregator that keeps the contract; ``finish`` is where the others below break it."""

    def __init__(self, in_features: int, finish: Callable[[Tensor, Sequences], Tensor]) -> None:
        super().__init__()
        self.in_features = self.out_features = in_features
        self.finish = finish

    def forward(self, inputs: Sequences) -> Tensor:
        if inputs.steps.shape[1] != self.in_features:
            raise InputError(f"Average: given {inputs.steps.shape[1]}, expected {self.in_features}.")
        sums = inputs.padded().values.sum(1)
        return self.finish(sums, inputs)


def by_length(sums: Tensor, inputs: Sequences) -> Tensor:
    return sums / inputs.lengths.clamp(min=1)[:, None]


def test_a_sound_aggregator_passes() -> None:
    check_aggregator(lambda width: Average(width, by_length), 5)


@pytest.mark.parametrize(
    ("finish", "text"),
    [
        (lambda sums, inputs: sums / inputs.lengths[:, None], "Average must give a row of exact zeros"),
        (lambda sums, inputs: by_length(sums, inputs) + 1, "Average must give a row of exact zeros"),
        (lambda sums, inputs: sums / max(1, int(inputs.lengths.max())), "must not depend on the other samples"),
        (lambda sums, inputs: by_length(sums, inputs)[:, :2], r"must return a tensor \(B, out_features\) = \(4, 5\)"),
        (lambda sums, inputs: by_length(sums, inputs).detach(), "has no gradient with respect to the steps"),
        (lambda sums, inputs: sums - sums.mean(0) * inputs.present[:, None], "must not depend on the other samples"),
    ],
)
def test_a_broken_aggregator_is_found(finish: Callable[[Tensor, Sequences], Tensor], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_aggregator(lambda width: Average(width, finish), 5)


class Total(nn.Module):
    """An aggregator that adds up steps of any width."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, inputs: Sequences) -> Tensor:
        return inputs.padded().values.sum(1)


def test_an_aggregator_that_takes_any_width_is_told_so() -> None:
    with pytest.raises(AssertionError, match="Total was given steps of width 6, was built for 5, and did not refuse"):
        check_aggregator(Total, 5)

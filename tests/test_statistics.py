"""Statistics pooling against NumPy, on values and on gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mrpnkit import Sequences
from mrpnkit.aggregators import Statistics
from mrpnkit.aggregators.statistics import quantiles
from mrpnkit.errors import InputError

ALL = ("mean", "spread", "low", "median", "high", "change")


def by_hand(x: NDArray[np.float64], name: str, lag: int, floor: float) -> NDArray[np.float64]:
    mean = x.mean(axis=0)
    change = np.abs(x[lag:] - x[:-lag]).mean(axis=0) if len(x) > lag else np.zeros(x.shape[1])
    found = {
        "mean": mean,
        "spread": np.log(np.sqrt(x.var(axis=0) + floor**2)),
        "change": np.log(change + floor),
        "low": np.quantile(x, 0.1, axis=0) - mean,
        "median": np.quantile(x, 0.5, axis=0) - mean,
        "high": np.quantile(x, 0.9, axis=0) - mean,
    }
    return np.asarray(found[name])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 3), st.integers(0, 2**16))
def test_every_statistic_equals_numpy(lengths: list[int], lag: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = [generator.normal(size=(length, 3)) for length in lengths]
    pool = Statistics(3, features=None, lag=lag, floor=1e-2)
    found = pool(Sequences.of([torch.from_numpy(sample) for sample in samples])).numpy()
    for row, sample in zip(found, samples, strict=True):
        expected = np.concatenate([by_hand(sample, name, lag, 1e-2) for name in ALL]) if len(sample) else np.zeros(18)
        np.testing.assert_allclose(row, expected, atol=1e-10)


def test_order_of_statistics_is_the_order_asked_for() -> None:
    batch = Sequences.of([torch.rand(7, 2), torch.rand(3, 2)])
    both = Statistics(2, features=None, statistics=["high", "mean"])(batch)
    torch.testing.assert_close(both[:, 2:], Statistics(2, features=None, statistics=["mean"])(batch))
    torch.testing.assert_close(both[:, :2], Statistics(2, features=None, statistics=["high"])(batch))


def test_quantiles_with_gradient_equal_those_without() -> None:
    steps = torch.rand(9, 4)
    plain = quantiles(Sequences(steps, torch.tensor([5, 0, 4])), [0.1, 0.9])
    learned = quantiles(Sequences(steps.clone().requires_grad_(), torch.tensor([5, 0, 4])), [0.1, 0.9])
    for one, other in zip(plain, learned, strict=True):
        assert not one.requires_grad
        assert other.requires_grad
        torch.testing.assert_close(one, other.detach())


def test_gradient_against_finite_differences() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([6, 0, 1, 3])
    steps = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    pool = Statistics(2, features=None, lag=2, floor=0.1)
    assert torch.autograd.gradcheck(lambda x: pool(Sequences(x, lengths)), (steps,), eps=1e-6, atol=1e-6)


def test_a_constant_sample_has_a_finite_gradient() -> None:
    steps = torch.ones(4, 2, requires_grad=True)
    Statistics(2, features=3).train()(Sequences(steps, torch.tensor([2, 2]))).sum().backward()
    assert steps.grad is not None
    assert torch.isfinite(steps.grad).all()


def test_absent_samples_touch_nothing() -> None:
    torch.manual_seed(0)
    samples = [torch.rand(5, 3), torch.rand(8, 3), torch.rand(2, 3)]
    first, second = (Statistics(3, features=4) for _ in range(2))
    second.load_state_dict(first.state_dict())
    without = first(Sequences.of(samples))
    with_absent = second(Sequences.of([samples[0], torch.zeros(0, 3), *samples[1:]]))
    torch.testing.assert_close(with_absent[[0, 2, 3]], without)
    assert (with_absent[1] == 0).all()
    assert first.norm is not None
    assert second.norm is not None
    torch.testing.assert_close(first.norm.running_mean, second.norm.running_mean)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"statistics": []}, "one or more statistics, each once"),
        ({"statistics": ["mean", "mean"]}, "each once"),
        ({"statistics": ["mode"]}, "must be one of 'mean', 'spread'"),
        ({"floor": 0.0}, "floor above 0"),
        ({"lag": 0}, "lag must be an integer of at least 1"),
        ({"dropout": 1.0}, "dropout must lie in"),
    ],
)
def test_wrong_configuration(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Statistics(3, **arguments)  # type: ignore[arg-type]

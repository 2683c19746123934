"""Ragged batches against NumPy, sample by sample."""

import io
import pickle

import numpy as np
import pytest
import torch
from accelerate.utils import send_to_device
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from torch.utils.data._utils.pin_memory import pin_memory

from mrpnkit import Padded, Sequences
from mrpnkit.errors import InputError

SHAPES = ((), (2,), (2, 3))


@st.composite
def samples(draw: st.DrawFn) -> list[Tensor]:
    """One to five samples of 0 to 4 steps; the numbers are all different."""
    shape = draw(st.sampled_from(SHAPES))
    dtype = draw(st.sampled_from([torch.float32, torch.uint8, torch.int64]))
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    steps = torch.arange(1, 1 + sum(lengths) * int(np.prod(shape))).view(sum(lengths), *shape).to(dtype)
    return list(steps.split(lengths))


def same(left: list[Tensor], right: list[Tensor]) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=0)


@settings(deadline=None)
@given(samples())
def test_of_and_unbind(given_samples: list[Tensor]) -> None:
    s = Sequences.of(given_samples).check()
    same(s.unbind(), given_samples)
    assert s.batch_size == len(given_samples)
    assert s.lengths.tolist() == [len(x) for x in given_samples]
    assert s.present.tolist() == [len(x) > 0 for x in given_samples]
    assert s.steps.dtype == given_samples[0].dtype


@settings(deadline=None)
@given(samples(), st.sampled_from([0, 7]))
def test_padded_is_a_grid_filled_sample_by_sample(given_samples: list[Tensor], fill: int) -> None:
    s = Sequences.of(given_samples)
    values, mask = s.padded(fill)
    longest = max(1, *(len(x) for x in given_samples))
    grid = np.full((len(given_samples), longest, *given_samples[0].shape[1:]), fill)
    valid = np.zeros((len(given_samples), longest), dtype=bool)
    for row, x in enumerate(given_samples):
        grid[row, : len(x)] = x.numpy()
        valid[row, : len(x)] = True
    np.testing.assert_array_equal(values.numpy(), grid)
    np.testing.assert_array_equal(mask.numpy(), valid)
    assert values.dtype == s.steps.dtype


@settings(deadline=None)
@given(samples(), st.integers(0, 2))
def test_round_trips_through_a_grid(given_samples: list[Tensor], excess: int) -> None:
    """Also of a grid that is longer than needed, as a convolution or another modality may leave it."""
    s = Sequences.of(given_samples)
    values, _ = s.padded()
    wide = torch.cat([values, values.new_full((len(given_samples), excess, *values.shape[2:]), 9)], dim=1)
    same(s.of_padded(wide).unbind(), given_samples)
    same(Sequences.from_padded(wide, s.lengths).check().unbind(), given_samples)


@settings(deadline=None)
@given(samples())
def test_reversed_turns_every_sample_by_itself(given_samples: list[Tensor]) -> None:
    s = Sequences.of(given_samples)
    same(s.reversed().unbind(), [x.flip(0) for x in given_samples])
    same(s.reversed().reversed().unbind(), given_samples)


@settings(deadline=None)
@given(samples())
def test_where_each_step_belongs(given_samples: list[Tensor]) -> None:
    s = Sequences.of(given_samples)
    lengths = s.lengths.numpy()
    np.testing.assert_array_equal(s.sample_of_step().numpy(), np.repeat(np.arange(len(lengths)), lengths))
    positions = [np.arange(n) for n in lengths]
    np.testing.assert_array_equal(s.position_of_step().numpy(), np.concatenate(positions))
    np.testing.assert_array_equal(s.starts().numpy(), np.concatenate([[0], np.cumsum(lengths)[:-1]]))


def test_a_vector_is_a_sequence_of_one_step() -> None:
    features = torch.arange(6.0).view(3, 2)
    s = Sequences.vectors(features).check()
    assert s.lengths.tolist() == [1, 1, 1]
    assert torch.equal(s.padded().values, features[:, None])


@pytest.mark.parametrize("like", [torch.zeros(4, 3).half(), Sequences(torch.zeros(4, 3).half(), torch.tensor([4]))])
def test_an_absent_modality(like: Tensor | Sequences) -> None:
    s = Sequences.absent(2, like).check()
    assert s.lengths.tolist() == [0, 0]
    assert not s.present.any()
    assert tuple(s.steps.shape) == (0, 3)
    assert s.steps.dtype == torch.float16
    values, mask = s.padded()
    assert tuple(values.shape) == (2, 1, 3)
    assert not values.any()
    assert not mask.any()
    same(s.reversed().unbind(), [torch.zeros(0, 3).half()] * 2)


def test_a_batch_of_nobody() -> None:
    s = Sequences(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).check()
    assert s.batch_size == 0
    assert s.unbind() == []
    assert tuple(s.padded().values.shape) == (0, 1, 3)
    assert tuple(s.padded().mask.shape) == (0, 1)
    assert tuple(s.reversed().steps.shape) == (0, 3)
    assert len(s.sample_of_step()) == 0


def test_with_steps_keeps_the_lengths() -> None:
    s = Sequences.of([torch.zeros(2, 3), torch.zeros(0, 3), torch.zeros(1, 3)])
    t = s.with_steps(torch.ones(3, 5)).check()
    assert [tuple(x.shape) for x in t.unbind()] == [(2, 5), (0, 5), (1, 5)]


@pytest.mark.parametrize("lengths", [[2, 0, 3], [2, 2]])
def test_gradients_flow_through_the_grid_and_back(lengths: list[int]) -> None:
    steps = torch.ones(sum(lengths), 2, requires_grad=True)
    s = Sequences(steps, torch.tensor(lengths))
    weights = torch.arange(1.0, 1 + sum(lengths))
    values, mask = s.padded()
    (s.of_padded(values * mask[..., None]).reversed().steps * weights[:, None]).sum().backward()
    turned = [w.flip(0) for w in weights.split(lengths)]
    assert steps.grad is not None
    assert torch.equal(steps.grad, torch.cat(turned)[:, None].expand(-1, 2))


# ---- through other people's code


def batch() -> dict[str, Sequences | Tensor]:
    return {"audio": Sequences.of([torch.ones(3, 2), torch.zeros(0, 2)]), "emotion": torch.tensor([1, 0])}


def unchanged(found: object) -> None:
    assert isinstance(found, dict)
    assert isinstance(found["audio"], Sequences)
    expected = batch()["audio"]
    assert isinstance(expected, Sequences)
    same(found["audio"].check().unbind(), expected.unbind())
    assert torch.equal(found["emotion"], torch.tensor([1, 0]))


def test_it_is_moved_by_accelerate() -> None:
    unchanged(send_to_device(batch(), "cpu"))
    moved = send_to_device(batch(), "meta")["audio"]
    assert isinstance(moved, Sequences)
    assert moved.steps.is_meta
    assert moved.lengths.is_meta


def test_it_is_pickled_and_saved() -> None:
    unchanged(pickle.loads(pickle.dumps(batch())))
    file = io.BytesIO()
    torch.save(batch(), file)
    file.seek(0)
    unchanged(torch.load(file, weights_only=False))


def test_it_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinning needs a GPU; what is tested is that torch walks into the named tuple and builds one again."""
    pinned: list[Tensor] = []

    def pin(self: Tensor, *_: object) -> Tensor:
        pinned.append(self)
        return self.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    unchanged(pin_memory(batch()))
    assert len(pinned) == 3


def test_it_crosses_from_a_worker_process() -> None:
    loader: DataLoader[object] = DataLoader([batch(), batch()], batch_size=None, num_workers=1)  # type: ignore[arg-type]
    received = iter(loader)
    unchanged(next(received))


def test_default_collate_does_not_silently_stack_samples_of_different_lengths() -> None:
    ragged = [Sequences.of([torch.ones(n, 2)]) for n in (1, 3)]
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate(ragged)


# ---- error texts


def test_of_nothing() -> None:
    with pytest.raises(InputError, match=r"given no samples; expected at least one tensor of shape \(T, \.\.\.\)"):
        Sequences.of([])


def test_of_a_scalar() -> None:
    with pytest.raises(InputError, match=r"sample 1 is a scalar.*give vector\[None\]"):
        Sequences.of([torch.zeros(2), torch.tensor(1.0)])


def test_of_different_steps() -> None:
    with pytest.raises(InputError, match=r"sample 2 have shape \(3,\), those of sample 0 have \(2,\)"):
        Sequences.of([torch.zeros(1, 2), torch.zeros(0, 2), torch.zeros(1, 3)])


def test_from_padded_with_other_lengths() -> None:
    with pytest.raises(InputError, match=r"values \(2, 3\) and lengths \(3,\) do not fit; expected \(B, T, \.\.\.\)"):
        Sequences.from_padded(torch.zeros(2, 3), torch.tensor([1, 2, 3]))
    with pytest.raises(InputError, match="a length of 4 was given for a grid of 3 steps"):
        Sequences.from_padded(torch.zeros(2, 3), torch.tensor([1, 4]))


@pytest.mark.parametrize(
    ("steps", "lengths", "text"),
    [
        (torch.zeros(4), torch.tensor([1, 2]), "audio: the lengths add up to 3, but there are 4 steps.*from_padded"),
        (torch.zeros(1), torch.tensor([2, -1]), "audio: lengths must not be negative, got -1"),
        (torch.zeros(3), torch.tensor([1.0, 2.0]), r"audio: lengths have shape \(2,\) and type torch.float32"),
        (torch.zeros(3), torch.tensor([1, 2], dtype=torch.int32), "torch.int32; expected .* of torch.int64"),
        (torch.zeros(3), torch.tensor([[1, 2]]), r"audio: lengths have shape \(1, 2\)"),
        (torch.tensor(0.0), torch.tensor([1]), "audio: steps are a scalar"),
    ],
)
def test_check(steps: Tensor, lengths: Tensor, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Sequences(steps, lengths).check("audio")


def test_names_of_the_grid() -> None:
    grid = Sequences.of([torch.ones(2, 1)]).padded()
    assert isinstance(grid, Padded)
    assert grid.values is grid[0]
    assert grid.mask.dtype == torch.bool

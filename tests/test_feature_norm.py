"""FeatureNorm against torch.nn.BatchNorm1d, and what it does where batch norm has nothing to say."""

import pytest
import torch
from torch import Tensor, nn

from mrpnkit import FeatureNorm, Sequences
from tests.small_models import ragged, randomise, vector_model


def pair(features: int, *, dtype: torch.dtype = torch.float32) -> tuple[FeatureNorm, nn.BatchNorm1d]:
    """Both norms with the same random weights and statistics."""
    ours, theirs = FeatureNorm(features).to(dtype), nn.BatchNorm1d(features).to(dtype)
    randomise(ours, seed=7)
    theirs.load_state_dict(ours.state_dict() | {"num_batches_tracked": torch.tensor(0)})
    return ours, theirs


def data(batch: int, features: int, *, seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(batch, features, generator=torch.Generator().manual_seed(seed))


def statistics(norm: FeatureNorm | nn.BatchNorm1d) -> dict[str, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return {"mean": norm.running_mean.clone(), "var": norm.running_var.clone()}


def gradients(norm: nn.Module, x: Tensor, seen: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Gradients of a weighted sum of the rows ``seen`` of y."""
    loss = (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y))[seen].sum()
    names = ["x", *(name for name, _ in norm.named_parameters())]
    return dict(zip(names, torch.autograd.grad(loss, [x, *norm.parameters()]), strict=True))


@pytest.mark.parametrize("mask", [None, "samples", "columns"])
@pytest.mark.parametrize("training", [True, False])
def test_equals_batch_norm_when_everything_is_present(training: bool, mask: str | None) -> None:
    ours, theirs = (norm.train(training) for norm in pair(4))
    x = data(6, 4).requires_grad_()
    present = {None: None, "samples": torch.ones(6).bool(), "columns": torch.ones(6, 4).bool()}[mask]
    y, expected = ours(x, present), theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(statistics(ours), statistics(theirs))
    everybody = torch.ones(6).bool()
    torch.testing.assert_close(gradients(ours, x, everybody, y), gradients(theirs, x, everybody, expected))


def test_eps_and_momentum_are_those_of_batch_norm() -> None:
    ours, theirs = FeatureNorm(2, eps=0.3, momentum=0.6), nn.BatchNorm1d(2, eps=0.3, momentum=0.6)
    for x in (data(5, 2), data(4, 2, seed=1)):
        torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(ours(x, torch.ones(len(x)).bool()), theirs(x))
    torch.testing.assert_close(statistics(ours), statistics(theirs))
    assert repr(ours) == "FeatureNorm(2, eps=0.3, momentum=0.6)"


@pytest.mark.parametrize("training", [True, False])
def test_masked_equals_batch_norm_of_the_present_rows(training: bool) -> None:
    ours, theirs = (norm.train(training) for norm in pair(3, dtype=torch.float64))
    present = torch.tensor([True, False, True, True, False, True])
    x = data(6, 3).double().requires_grad_()
    y, expected = (
        ours(x, present),
        torch.zeros(6, 3).double().index_copy(0, present.nonzero()[:, 0], theirs(x[present])),
    )
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(statistics(ours), statistics(theirs), rtol=1e-12, atol=1e-12)
    everybody = torch.ones(6).bool()
    found, wanted = gradients(ours, x, everybody, y), gradients(theirs, x, everybody, expected)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert not y[~present].any()
    assert not found["x"][~present].any()


def test_masks_by_column_normalise_each_column_over_its_own_rows() -> None:
    ours, _ = pair(3, dtype=torch.float64)
    before = statistics(ours)
    present = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 1, 0]]).bool()
    x = data(4, 3).double()
    y = ours(x, present)
    for column in (0, 1):
        one = nn.BatchNorm1d(1).double()
        one.weight.data, one.bias.data = ours.weight[[column]].detach(), ours.bias[[column]].detach()
        one.running_mean, one.running_var = before["mean"][[column]].clone(), before["var"][[column]].clone()
        rows = present[:, column]
        torch.testing.assert_close(y[rows][:, [column]], one(x[rows][:, [column]]))
        torch.testing.assert_close(ours.running_mean[[column]], one.running_mean)
        torch.testing.assert_close(ours.running_var[[column]], one.running_var)
    only = (x[1, 2] - before["mean"][2]) / (before["var"][2] + ours.eps).sqrt() * ours.weight[2] + ours.bias[2]
    torch.testing.assert_close(y[1, 2], only)  # the third column has one row: running statistics, not updated
    assert ours.running_mean[2] == before["mean"][2]
    assert ours.running_var[2] == before["var"][2]
    assert not y[~present].any()


@pytest.mark.parametrize("rows", [1, 4])
def test_one_present_sample_is_normalised_with_running_statistics(rows: int) -> None:
    ours, theirs = pair(3)
    before = statistics(ours)
    x = data(rows, 3).requires_grad_()
    present = None if rows == 1 else torch.arange(rows) == 2
    seen = torch.ones(1).bool() if present is None else present
    y = ours.train()(x, present)
    expected = theirs.eval()(x)
    torch.testing.assert_close(y[seen], expected[seen])
    assert not y[~seen].any()
    torch.testing.assert_close(statistics(ours), before, rtol=0, atol=0)
    torch.testing.assert_close(gradients(ours, x, seen, y), gradients(theirs, x, seen, expected))


def test_nobody_present() -> None:
    ours, _ = pair(3)
    before = statistics(ours)
    x = data(4, 3).requires_grad_()
    y = ours(x, torch.zeros(4).bool())
    assert not y.any()
    assert not any(g.any() for g in gradients(ours, x, torch.ones(4).bool(), y).values())
    torch.testing.assert_close(statistics(ours), before, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_absent_rows_may_hold_anything(training: bool) -> None:
    """A mean over no steps is 0/0: neither values, statistics nor gradients may see what stands in an absent row."""
    present = torch.tensor([True, False, True, True])
    results = []
    for filling in (0.0, float("nan"), float("inf")):
        ours, _ = pair(3)
        x = data(4, 3).masked_fill(~present[:, None], filling).requires_grad_()
        y = ours.train(training)(x, present)
        results.append((y, statistics(ours), gradients(ours, x, torch.ones(4).bool(), y)))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=0)


def test_bfloat16_rows_are_summed_in_float32() -> None:
    """Around 1000, bfloat16 has steps of 4: statistics that were summed in it would be far off."""
    ours, theirs = pair(2)
    x = (1000 + 30 * data(64, 2)).bfloat16()
    present = torch.ones(64).bool()
    present[5] = False
    y = ours(x, present)
    assert y.dtype == torch.bfloat16
    expected = theirs(x[present].float())
    torch.testing.assert_close(y[present].float(), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(statistics(ours), statistics(theirs), rtol=1e-5, atol=1e-5)


def test_absent_samples_do_not_touch_the_statistics_of_other_modalities() -> None:
    """Two batches that differ in one sample's video only: what is known of audio must not differ."""
    batches = []
    for lengths in ([1, 1, 1, 1], [1, 0, 1, 1]):
        model = vector_model({"audio": 3, "video": 2}, {"emotion": 3})
        model.train()({"audio": ragged([1, 1, 1, 1], 3), "video": ragged(lengths, 2, seed=1)})
        batches.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    whole, partial = batches
    audio = [name for name in whole if name.startswith(("norms.audio", "perceptrons.audio"))]
    video = [name for name in whole if name.startswith(("norms.video", "perceptrons.video"))]
    assert len(audio) == 4
    assert len(video) == 4
    for name in audio:
        assert torch.equal(whole[name], partial[name])
    for name in video:
        assert not torch.equal(whole[name], partial[name])
    for name in ("fusion.norm.running_mean", "fusion.norm.running_var"):
        torch.testing.assert_close(whole[name][:3], partial[name][:3], rtol=1e-6, atol=1e-6)


def test_absent_samples_do_not_touch_their_own_modality() -> None:
    """Statistics of video over four samples, one absent, are those over the three samples alone."""
    found = []
    for lengths in ([1, 0, 1, 1], [1, 1, 1]):
        model = vector_model({"video": 2}, {"emotion": 3})
        model.train()({"video": Sequences(ragged([1, 1, 1], 2).steps, torch.tensor(lengths))})
        found.append({name: buffer.clone() for name, buffer in model.named_buffers() if "scoring" not in name})
    assert len(found[0]) == 6
    torch.testing.assert_close(found[0], found[1])

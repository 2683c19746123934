"""The loop of pretraining: it learns, goes on exactly where it was, keeps the best epoch, refuses other settings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from examples.aver.pretrain.training import AGAIN, BEST, STATE, Batch, Recipe, Scores, _mixed, fit
from mrpnkit.errors import RunError, TrainingError

RECIPE = Recipe(batch_size=8, learning_rate=0.01, averaging=0.5, precision="float32")


class Stripes:
    """Two classes: bright above, or bright below. ``accuracies`` overrides what validation says, by epoch."""

    def __init__(self, epochs: int, accuracies: tuple[float, ...] | None = None) -> None:
        self.cycles, self.accuracies = [epochs], accuracies
        self.drawn: list[int] = []

    @property
    def plan(self) -> list[int]:
        return self.cycles

    def steps(self, epoch: int) -> int:
        return 4

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        self.drawn.append(epoch)
        for _ in range(4):
            labels = torch.arange(8) % 2
            pictures = torch.randn(8, 1, 4, 4, generator=generator) * 0.3
            pictures[labels == 0, :, :2] += 1
            pictures[labels == 1, :, 2:] += 1
            yield Batch(pictures, labels)

    def validate(self, network: nn.Module, epoch: int) -> Scores:
        assert not network.training
        batch = next(self.batches(-1, torch.Generator().manual_seed(99)))
        self.drawn.pop()
        if self.accuracies is not None:
            right = round(self.accuracies[epoch] * 8)
            chosen = torch.where(torch.arange(8) < right, batch.labels, 1 - batch.labels)
            return Scores(nn.functional.one_hot(chosen, 2).float(), batch.labels)
        with torch.inference_mode():
            return Scores(network(batch.inputs).softmax(1), batch.labels)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def weights(trained: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in trained.state_dict().values()])


def test_it_learns(tmp_path: Path) -> None:
    history = fit(network(), Stripes(4), RECIPE, tmp_path, about={}, say=lambda line: None)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["validation_accuracy"] == 1.0


@pytest.mark.parametrize("mixing", [0.2, 1.0])
def test_mixup_takes_a_share_of_every_sample_from_another(mixing: float, tmp_path: Path) -> None:
    generator, shares = torch.Generator().manual_seed(0), []
    for _ in range(200):
        mixed, partners, share = _mixed(torch.eye(6), torch.arange(6), mixing, generator)
        assert sorted(partners.tolist()) == list(range(6))
        assert torch.allclose(mixed, (1 - share) * torch.eye(6) + share * torch.eye(6)[partners], atol=1e-6)
        shares.append(share)
    assert abs(np.mean(shares) - 0.5) < 0.1
    assert abs(np.var(shares) - 1 / (4 * (2 * mixing + 1))) < 0.02  # of Beta(α, α)
    history = fit(network(), Stripes(6), replace(RECIPE, mixing=mixing), tmp_path, about={}, say=lambda line: None)
    assert history[-1]["validation_accuracy"] == 1.0


def test_the_loss_of_mixed_samples_is_that_of_both_labels(tmp_path: Path) -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    recipe = replace(RECIPE, mixing=1.0, learning_rate=1e-12, weight_decay=0.0)
    before = [value.detach().numpy().copy() for value in fixed.parameters()]
    task = Stripes(1)
    loss = fit(fixed, task, recipe, tmp_path, about={}, say=lambda line: None)[0]["loss"]
    generator, losses = torch.Generator().manual_seed(recipe.seed * 100_003), []
    for batch in task.batches(0, generator):
        inputs, partners, share = _mixed(batch.inputs, batch.labels, 1.0, generator)
        scores = inputs.flatten(1).numpy() @ before[0].T + before[1]
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        soft = np.eye(2)[batch.labels] * (1 - share) + np.eye(2)[partners] * share
        losses.append(-((soft * (1 - recipe.smoothing) + recipe.smoothing / 2) * logs).sum(1).mean())
    assert loss == pytest.approx(np.mean(losses), abs=1e-5)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, parts = network(), network()
    fit(whole, Stripes(4), RECIPE, tmp_path / "whole", about={}, say=lambda line: None)

    class Killed(Stripes):
        def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
            if epoch == 2:
                raise KeyboardInterrupt
            return super().batches(epoch, generator)

    with pytest.raises(KeyboardInterrupt):
        fit(parts, Killed(4), RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    task, resumed = Stripes(4), network()
    history = fit(resumed, task, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    assert task.drawn == [2, 3]
    assert len(history) == 4
    assert torch.equal(weights(resumed), weights(whole))
    untouched = Stripes(4)
    fit(network(), untouched, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    assert untouched.drawn == []


def test_cycles_follow_one_another_and_may_be_stopped_between(tmp_path: Path) -> None:
    """Two cycles in one training are a training of the first, and then one of both that goes on."""

    def rates(history: list[dict[str, float]]) -> list[float]:
        return [row["learning_rate"] for row in history]

    task, whole, parts = Stripes(0), network(), network()
    task.cycles = [5, 5]
    history = fit(whole, task, RECIPE, tmp_path / "whole", about={}, say=lambda line: None)
    assert rates(history)[5:9] == pytest.approx([AGAIN * rate for rate in rates(history)[:4]])
    assert max(rates(history)) <= RECIPE.learning_rate
    assert history[4]["learning_rate"] < 0.02 * RECIPE.learning_rate

    class Killed(Stripes):
        last = 5

        def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
            if epoch == self.last:
                raise KeyboardInterrupt
            return super().batches(epoch, generator)

    for last in (5, 7):
        stopped = Killed(0)
        stopped.cycles, stopped.last = [5, 5], last
        with pytest.raises(KeyboardInterrupt):
            fit(parts, stopped, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    task.drawn.clear()
    resumed = network()
    assert len(fit(resumed, task, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)) == 10
    assert task.drawn == [7, 8, 9]
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_training_may_be_given_another_cycle(tmp_path: Path) -> None:
    task, trained = Stripes(5), network()
    fit(trained, task, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    task.cycles = [5, 5]
    fit(trained, task, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)
    assert task.drawn == list(range(10))
    whole = network()
    fit(whole, task, RECIPE, tmp_path / "whole", about={}, say=lambda line: None)
    assert torch.equal(weights(trained), weights(whole))
    task.cycles = [4, 5]
    with pytest.raises(TrainingError, match="another cycles"):
        fit(trained, task, RECIPE, tmp_path / "parts", about={}, say=lambda line: None)


def test_the_best_epoch_is_kept_and_the_first_of_equals(tmp_path: Path) -> None:
    kept: dict[int, torch.Tensor] = {}

    class Watched(Stripes):
        def validate(self, network: nn.Module, epoch: int) -> Scores:
            kept[epoch] = weights(network).clone()
            return super().validate(network, epoch)

    trained = network()
    fit(trained, Watched(4, (0.5, 0.75, 0.75, 0.25)), RECIPE, tmp_path, about={}, say=lambda line: None)
    assert torch.equal(weights(trained), kept[1])
    stored = load_file(tmp_path / BEST)
    assert torch.equal(torch.cat([stored[name].flatten().float() for name in trained.state_dict()]), kept[1])


def test_the_mean_of_the_weights_is_that_of_every_step(tmp_path: Path) -> None:
    """Against the mean written out; the first step begins it."""
    seen: list[torch.Tensor] = []

    class Watched(Stripes):
        def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
            for place, batch in enumerate(super().batches(epoch, generator)):
                if place:
                    seen.append(kernel.detach().clone())
                yield batch
            seen.append(kernel.detach().clone())

    plain = network()
    kernel = next(plain.parameters())
    task = Watched(1)
    validated: list[torch.Tensor] = []
    original = task.validate

    def validate(network: nn.Module, epoch: int) -> Scores:
        validated.append(network.state_dict()["0.weight"].clone())
        return original(network, epoch)

    task.validate = validate  # type: ignore[method-assign]
    fit(plain, task, RECIPE, tmp_path, about={}, say=lambda line: None)
    mean = seen[0]
    for value in seen[1:]:
        mean = 0.5 * mean + 0.5 * value
    torch.testing.assert_close(validated[0], mean)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    fit(network(), Stripes(1), RECIPE, tmp_path, about={"data": "a"}, say=lambda line: None)
    with pytest.raises(TrainingError, match=r"holds a training with another recipe\. Give another --out, or remove it"):
        fit(network(), Stripes(1), replace(RECIPE, seed=1), tmp_path, about={"data": "a"})
    with pytest.raises(TrainingError, match="another cycles, data"):
        fit(network(), Stripes(2), RECIPE, tmp_path, about={"data": "b"})
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(RunError, match=r"is no state of a training \(UnpicklingError\)\. Remove it to train"):
        fit(network(), Stripes(1), RECIPE, tmp_path, about={"data": "a"})


def test_a_loss_that_is_not_finite_stops_it(tmp_path: Path) -> None:
    class Broken(Stripes):
        def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
            for batch in super().batches(epoch, generator):
                yield batch._replace(inputs=batch.inputs * torch.nan)

    with pytest.raises(TrainingError, match="The loss is nan in epoch 1; try a smaller learning rate"):
        fit(network(), Broken(1), RECIPE, tmp_path, about={})


def test_no_epoch_is_begun_that_would_end_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of ten seconds by a clock that is counted: three fit into 36 of them, and the rest goes on later."""
    ticks = iter(range(0, 10_000, 5))  # an epoch looks three times
    monkeypatch.setattr("examples.aver.pretrain.training.time.perf_counter", lambda: float(next(ticks)))
    said: list[str] = []
    whole = fit(network(), Stripes(6), RECIPE, tmp_path / "whole", about={}, say=said.append)
    assert {row["seconds"] for row in whole} == {10.0}
    part = fit(network(), Stripes(6), RECIPE, tmp_path / "part", about={}, minutes=0.6, say=said.append)
    assert len(part) == 3
    assert said[-1] == "0.6 minutes: stops after 3 of 6 epochs"
    assert fit(network(), Stripes(6), RECIPE, tmp_path / "part", about={}, say=said.append) == whole

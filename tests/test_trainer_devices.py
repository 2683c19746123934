"""Device and precision of a training, whatever accelerate's state of the process was before."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, nn

from mrpnkit import Classification, Objective
from mrpnkit.data import CorpusDataset, loader
from mrpnkit.errors import InputError
from mrpnkit.train import Trainer
from mrpnkit.train.devices import accelerator
from tests.test_trainer import network, toy, trainer


def trained(**options: Any) -> dict[str, Tensor]:
    training = trainer(toy(32), network(["audio", "video"]), epochs=1, **options)
    return weights(training)


def weights(training: Trainer) -> dict[str, Tensor]:
    training.fit(keep="last")
    return {name: value.clone() for name, value in training.plain_model.state_dict().items()}


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_accelerate_launch_says_of_precision_does_not_count(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained()
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a process that has just been launched
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", precision)
    same(trained(), expected)


def test_a_mixed_precision_of_somebody_else_is_refused() -> None:
    Accelerator(cpu=True, mixed_precision="bf16")
    with pytest.raises(InputError, match=r"computes in mixed_precision='bf16'.*expected 'no'.* give the trainer its"):
        trainer(toy(32), network(["audio", "video"]))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretends that there is a GPU, as far as accelerate asks."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("gpu")
def test_each_training_has_the_device_that_it_asks_for() -> None:
    kinds = [accelerator(cpu=cpu).device.type for cpu in (True, False, False, True, True, False)]
    assert kinds == ["cpu", "cuda", "cuda", "cpu", "cpu", "cuda"]


def test_an_older_training_keeps_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    older = trainer(toy(32), network(["audio", "video"]), epochs=1, precision="bfloat16")
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert accelerator(cpu=False).device.type == "cuda"
    found = weights(older)
    AcceleratorState._reset_state(reset_partial_state=True)
    same(found, trained(precision="bfloat16"))


def test_a_state_that_suits_is_kept() -> None:
    PartialState(cpu=True).marked = True
    accelerator(cpu=True)
    assert PartialState().marked


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("before", "text"),
    [
        (True, r"cpu=False asks for a GPU, .* the 2 processes of this run are already joined on cpu.*the same cpu"),
        (False, r"cpu=True asks for the CPU, and the 2 processes of this run are already joined on cuda"),
    ],
)
def test_several_processes_do_not_change_their_device(before: bool, text: str) -> None:
    accelerator(cpu=before)
    PartialState().num_processes = 2
    with pytest.raises(InputError, match=text):
        accelerator(cpu=not before)


class Watches:
    """A balancer that notes where the model is when it looks at it."""

    device: torch.device | None = None

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        return torch.stack(list(losses.values())).sum()

    def attach(self, model: nn.Module) -> None:
        self.device = next(model.parameters()).device


@pytest.mark.parametrize("processes", [1, 2])
def test_a_balancer_sees_the_model_on_its_device(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device ``meta``, on which nothing is computed, stands for a GPU."""
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
    accelerator(cpu=False)
    PartialState().num_processes = processes
    model, corpus, watching = network(["audio", "video"]), toy(32), Watches()
    objective = Objective({"y": Classification(3)}, balancer=watching)
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    with pytest.raises(InputError, match="the optimizer has parameters that are not the model's"):  # new ones on meta
        Trainer(model, objective, loader(CorpusDataset(corpus), 8), optimizer=optimizer, epochs=1)
    assert watching.device == torch.device("meta")

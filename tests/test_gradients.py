"""The gradient recorder against two backward passes by hand, and that it changes nothing of a training."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mrpnkit import Classification, Objective
from mrpnkit.data import CorpusDataset, loader
from mrpnkit.errors import InputError, TrainingError
from mrpnkit.fusions import TMC
from mrpnkit.mrpn import MRPN, Network
from mrpnkit.train import GradientRecorder, Trainer, conflict_share, marks_of, read_gradients
from mrpnkit.train.gradients import GRADIENTS, BranchGradient, GradientRecord
from mrpnkit.train.state import BEST, LAST
from tests.small_models import affine_branch
from tests.test_trainer import network, objective, toy, trainer

NAMES = ["audio", "video"]


def by_hand(model: MRPN, term: Tensor, branch: str) -> Tensor:
    model.zero_grad()
    term.backward(retain_graph=True)
    parts = [*model.branches[branch].parameters(), *model.norms[branch].parameters()]
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parts])


@pytest.mark.parametrize("kind", ["n1", "n2"])
def test_gradients_are_those_of_each_loss_alone(kind: Network) -> None:
    model = network(NAMES, kind).double()
    data = next(iter(loader(CorpusDataset(toy()), 32)))
    inputs = {name: value._replace(steps=value.steps.double()) for name, value in data.inputs.items()}
    weighted = Objective(objective().targets, weights={"audio": 0.5, "fused": 2.0})
    terms = weighted(model.train()(inputs), data.labels).terms
    recorder = GradientRecorder(model)
    recorder.record(1, 1, weighted.weighted(terms))
    for name, weight in (("audio", 0.5), ("video", 1.0)):
        fused = 2.0 * by_hand(model, terms["y/fused"], name)
        own = weight * by_hand(model, terms[f"y/{name}"], name)
        found = recorder.records[0].branches[name]
        assert found.cosine == pytest.approx(float(torch.cosine_similarity(fused, own, dim=0)))
        assert found.fused == pytest.approx(float(fused.norm()))
        assert found.own == pytest.approx(float(own.norm()))
        assert found.ratio == pytest.approx(float(fused.norm() / own.norm()))


def test_weights_of_targets_and_parts_of_a_fusion_count() -> None:
    """Two targets, the second ten times; TMC's opinions of its branches are losses of the fusion."""
    data = toy()
    batch = next(iter(loader(CorpusDataset(data), 32)))
    widths = {name: data.features(name) for name in NAMES}
    torch.manual_seed(2)
    fusion = TMC([5, 5], {"y": 3, "z": 3})
    model = MRPN({n: affine_branch(w, 5) for n, w in widths.items()}, {"y": 3, "z": 3}, fusion=fusion).double().train()
    inputs = {name: value._replace(steps=value.steps.double()) for name, value in batch.inputs.items()}
    targets = {name: Classification(3) for name in "yz"}
    weighing = Objective(targets, weights={"fused": 0.3}, target_weights={"z": 10.0}, criterion=fusion.criterion)
    given = {"y": batch.labels["y"], "z": batch.labels["y"].roll(1)}
    recorded = GradientRecorder(model)
    terms = weighing(model(inputs), given).terms
    recorded.record(1, 1, weighing.weighted(terms))
    assert [name for name in terms if name.startswith("z/")] == [
        "z/fused",
        "z/audio",
        "z/video",
        "z/fused.0",
        "z/fused.1",
    ]
    for name in NAMES:
        heads = ["fused", "fused.0", "fused.1"]
        each = [w * 0.3 * by_hand(model, terms[f"{t}/{h}"], name) for t, w in (("y", 1), ("z", 10)) for h in heads]
        fused = torch.stack(each).sum(0)
        own = by_hand(model, terms[f"y/{name}"], name) + 10 * by_hand(model, terms[f"z/{name}"], name)
        measured = recorded.records[0].branches[name]
        assert measured.fused == pytest.approx(float(fused.norm()))
        assert measured.own == pytest.approx(float(own.norm()))
        assert measured.cosine == pytest.approx(float(torch.cosine_similarity(fused, own, dim=0)))


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_a_trainer_records_with_the_weights_of_targets(weight: float) -> None:
    """With one target the weight of it is a factor of both gradients."""
    found = []
    for chosen in (1.0, weight):
        model = network(NAMES)
        recorder = GradientRecorder(model)
        data = loader(CorpusDataset(toy(16)), 16)
        weighing = Objective(objective().targets, target_weights={"y": chosen})
        optimizer = torch.optim.SGD(model.parameters(), 1e-3)
        Trainer(model, weighing, data, optimizer=optimizer, epochs=1, cpu=True, gradients=recorder).fit()
        found.append(recorder.records[0].branches["audio"])
    assert found[1].fused == pytest.approx(weight * found[0].fused, rel=1e-5)
    assert found[1].own == pytest.approx(weight * found[0].own, rel=1e-5)


def test_a_recorded_training_is_bitwise_the_same(tmp_path: Path) -> None:
    weights = []
    for recorded in (False, True):
        model = network(NAMES, dropout=0.3)
        options: dict[str, Any] = {"gradients": GradientRecorder(model, every=2)} if recorded else {}
        training = trainer(toy(), model, folder=tmp_path / str(recorded), **options)
        training.fit()
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    records = read_gradients(tmp_path / "True")
    assert [record.step for record in records] == [1, 3, 5, 7, 9, 11]
    assert [record.epoch for record in records] == [1, 1, 1, 2, 2, 2]
    assert read_gradients(tmp_path / "False") == []


def test_a_resumed_training_has_each_step_once(tmp_path: Path) -> None:
    whole: list[GradientRecord] = []
    parts: list[GradientRecord] = []
    for folder, stops in (("whole", False), ("parts", True)):
        model = network(NAMES)
        training = trainer(toy(), model, folder=tmp_path / folder, save_every=2,
                           gradients=GradientRecorder(model))  # fmt: skip
        training.gradients.every = 1  # type: ignore[union-attr]
        if stops:
            training.resume()
            for place, batch in enumerate(training.batches):
                training._step(batch)
                if training.progress.step % 2 == 0:
                    training.save()
                if place == 2:
                    break
            model = network(NAMES, seed=9)
            training = trainer(toy(), model, folder=tmp_path / folder, save_every=2,
                               gradients=GradientRecorder(model, every=1))  # fmt: skip
        training.fit()
        (parts if stops else whole).extend(read_gradients(tmp_path / folder))
    assert parts == whole
    assert [record.step for record in whole] == list(range(1, 13))


def test_conflicts_are_counted_where_both_gradients_are() -> None:
    def made(cosine: float) -> GradientRecord:
        return GradientRecord(1, 1, {"audio": BranchGradient(cosine, 1.0, 1.0)})

    assert conflict_share([made(-0.5), made(0.5), made(math.nan), made(-0.1)], "audio") == pytest.approx(2 / 3)
    assert math.isnan(conflict_share([made(math.nan)], "audio"))
    assert BranchGradient(0.0, 1.0, 0.0).ratio == math.inf


def test_a_branch_that_is_not_trained_has_no_cosine(tmp_path: Path) -> None:
    model = network(NAMES)
    for p in [*model.branches["audio"].parameters(), *model.norms["audio"].parameters()]:
        p.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01)
    training = trainer(toy(), model, optimizer=optimizer, folder=tmp_path, gradients=GradientRecorder(model, every=3))
    training.fit()
    records = read_gradients(tmp_path)
    assert all(math.isnan(record.branches["audio"].cosine) for record in records)
    assert not any(math.isnan(record.branches["video"].cosine) for record in records)


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a network 'n0' has no losses of its branches"):
        GradientRecorder(network(NAMES, "n0"))
    with pytest.raises(InputError, match="every 0 steps"):
        GradientRecorder(network(NAMES), every=0)
    model = network(NAMES)
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no branch has a parameter that is trained"):
        GradientRecorder(model)
    (tmp_path / GRADIENTS).write_text('{"step": 1}\n', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"gradients\.jsonl is damaged"):
        read_gradients(tmp_path)


def test_weights_carry_the_marks_of_their_training(tmp_path: Path) -> None:
    trainer(toy(), network(NAMES), folder=tmp_path, marks={"split": "abc"}).fit()
    assert marks_of(tmp_path / BEST) == marks_of(tmp_path / LAST) == {"split": "abc"}

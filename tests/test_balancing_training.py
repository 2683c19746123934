"""Balancers and fusions in a training: a trainer that is resumed, two processes against one, and a TOML file."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

from mrpnkit import MRPN, Classification, Objective, Sequences
from mrpnkit.balancing import OGMGE, PMR, GradientBlending, MMPareto, Uncertainty
from mrpnkit.balancing.steering import Steering, Step
from mrpnkit.build import build_model, build_objective
from mrpnkit.config import parse_config
from mrpnkit.data import CorpusDataset, loader
from mrpnkit.experiment import run_experiment
from mrpnkit.fusions import FUSIONS, TMC
from mrpnkit.train import Trainer
from tests.fragile import Fragile, Killed
from tests.small_models import affine_branch, ragged
from tests.small_runs import CONFIG, small_corpus
from tests.test_trainer import toy

BALANCERS: dict[str, Any] = {
    "uncertainty": Uncertainty,
    "gradient_blending": lambda: GradientBlending(every=1),
    "ogm_ge": OGMGE,
    "pmr": PMR,
    "mmpareto": MMPareto,
}


def training(
    folder: Path | None, balancer: Any, *, evidential: bool = False, modalities: int = 2, width: int = 4
) -> Fragile:
    corpus = toy(24, modalities, noise=3.0)
    torch.manual_seed(11)
    fusion = TMC([4] * len(corpus.modalities), {"y": 3}, annealing=3) if evidential else None
    model = MRPN({n: affine_branch(corpus.features(n), width) for n in corpus.modalities}, {"y": 3}, fusion=fusion)
    return Fragile(
        model,
        Objective({"y": Classification(3)}, balancer=balancer, criterion=fusion.criterion if fusion else None),
        loader(CorpusDataset(corpus), 8, shuffle_seed=3),
        loader(CorpusDataset(corpus), 24),
        optimizer=torch.optim.AdamW(model.parameters(), 1e-2),
        epochs=3,
        folder=folder,
        save_every=1,
        cpu=True,
    )


@pytest.mark.parametrize("name", [*BALANCERS, "tmc"])
def test_a_killed_training_goes_on_bitwise(name: str, tmp_path: Path) -> None:
    build = BALANCERS.get(name, lambda: None)
    whole = training(None, build(), evidential=name == "tmc")
    history = whole.fit(keep="last")
    dying = training(tmp_path, build(), evidential=name == "tmc")
    dying.dies_in = 5
    with pytest.raises(Killed):
        dying.fit()
    torch.rand(17)
    again = training(tmp_path, build(), evidential=name == "tmc")
    assert [report._replace(seconds=0) for report in again.fit(keep="last")] == [
        report._replace(seconds=0) for report in history
    ]
    for key, value in whole.plain_model.state_dict().items():
        assert torch.equal(value, again.plain_model.state_dict()[key]), key


@pytest.mark.parametrize("name", BALANCERS)
def test_a_balanced_network_can_be_copied_and_pickled(name: str) -> None:
    """Also where the balancer listens to it; a copy is a network of its own, which the balancer does not hear."""
    balancer = BALANCERS[name]()
    trained = training(None, balancer)
    trained.fit()
    model = trained.plain_model
    inputs = {name: ragged([2, 0, 3], toy().features(name)) for name in toy().modalities}
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.eval()(inputs).fused["y"], model.eval()(inputs).fused["y"])
        other.train()(inputs)
        assert not getattr(balancer, "_features", {})
        copy.deepcopy(other)
    pickle.loads(pickle.dumps(trained.objective))


@pytest.mark.parametrize("name", BALANCERS)
def test_a_balancer_changes_the_training(name: str) -> None:
    plain, balanced = training(None, None), training(None, BALANCERS[name]())
    plain.fit(keep="last")
    balanced.fit(keep="last")
    weights = balanced.plain_model.state_dict()
    assert any(not torch.equal(value, weights[key]) for key, value in plain.plain_model.state_dict().items())


@pytest.mark.parametrize("ahead", [False, True], ids=["one after another", "built ahead"])
@pytest.mark.parametrize("name", BALANCERS)
def test_a_balancer_serves_folds_one_after_another_as_fresh_ones_do(name: str, ahead: bool, tmp_path: Path) -> None:
    """Of three branches, and of two that are narrower; the last goes on from a state that was saved."""
    shapes = [(3, 5), (2, 4), (2, 4)]

    def fold(place: int, balancer: Any, *, saved: bool = True) -> Fragile:
        modalities, width = shapes[place]
        return training(tmp_path if saved and place == 2 else None, balancer, modalities=modalities, width=width)

    dying = fold(2, BALANCERS[name]())
    dying.dies_in = 5
    with pytest.raises(Killed):
        dying.fit()
    used = BALANCERS[name]()
    built = [fold(place, used) for place in range(3)] if ahead else []
    for place in range(3):
        found = built[place] if ahead else fold(place, used)
        fresh = fold(place, BALANCERS[name](), saved=False)
        reports = [[r._replace(seconds=0) for r in trainer.fit(keep="last")] for trainer in (found, fresh)]
        assert reports[0] == reports[1]
        for key, value in fresh.plain_model.state_dict().items():
            assert torch.equal(value, found.plain_model.state_dict()[key]), (place, key)


def blended_in_training(weight: float) -> dict[str, float]:
    """With losses that are multiplied and steps that are divided by a power of two, so that the network is the same."""
    corpus, balancer = toy(24, noise=3.0), GradientBlending(every=1)
    torch.manual_seed(11)
    model = MRPN({n: affine_branch(corpus.features(n), 4) for n in corpus.modalities}, {"y": 3})
    Trainer(
        model,
        Objective({"y": Classification(3, class_weights=[weight] * 3)}, balancer=balancer),
        loader(CorpusDataset(corpus, np.arange(16)), 8, shuffle_seed=3),
        loader(CorpusDataset(corpus, np.arange(16, 24)), 8),
        optimizer=torch.optim.SGD(model.parameters(), 0.1 / weight),
        epochs=3,
        cpu=True,
    ).fit()
    return balancer.weights


def test_blending_compares_losses_of_one_definition() -> None:
    plain = blended_in_training(1.0)
    assert max(plain.values()) > 1.1
    assert blended_in_training(8.0) == pytest.approx(plain, rel=1e-4)


SPLITS = ((0, 5), (5, 8))
LENGTHS = {"b0": [1, 1, 0, 1, 1, 1, 0, 1], "b1": [2, 1, 1, 1, 3, 0, 1, 1]}
LABELS = torch.tensor([0, 2, 1, 0, -1, 1, 1, 0])


def two_epochs(name: str, start: int, end: int) -> dict[str, Tensor]:
    """Two epochs of a step each on samples start … end."""
    torch.manual_seed(1)
    model = MRPN({n: affine_branch(4, 3) for n in LENGTHS}, {"y": 3}, network="n2").double()
    balancer = OGMGE(noise=0.5) if name == "ogm_ge" else BALANCERS[name]()
    objective = Objective({"y": Classification(3)}, balancer=balancer)
    steering = Steering(balancer, model)
    module: nn.Module = DistributedDataParallel(model) if dist.is_initialized() else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for epoch in range(2):
        inputs = {}
        for place, (branch, lengths) in enumerate(LENGTHS.items()):
            steps = ragged(lengths, 4, seed=10 * epoch + place)
            inputs[branch] = Sequences.of([s.double() for s in steps.unbind()[start:end]])
        labels = {"y": LABELS[start:end]}
        output = module(inputs)
        loss = objective(output, labels)
        optimizer.zero_grad()
        steering.backward(Step(output, labels, objective.weighted(loss.terms), loss.total))
        optimizer.step()
        train = {"y/fused": 1.0 / (1 + epoch), "y/b0": 2.0 / (1 + epoch), "y/b1": 1.5 / (1 + epoch)}
        steering.end_epoch(train, {f"{head}/term": 1.2 * value for head, value in train.items()})
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save({name: two_epochs(name, *SPLITS[rank]) for name in BALANCERS}, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.set_forkserver_preload(["tests.test_balancing_training", "torch._dynamo"])
    start_processes(process, args=(str(folder),), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def labelled(key: str) -> Callable[[str], str]:
    return lambda text: f"{key}: {text}"


@pytest.mark.parametrize("name", BALANCERS)
def test_two_processes_equal_one(name: str, two: list[dict[str, dict[str, Tensor]]]) -> None:
    whole = two_epochs(name, 0, 8)
    for key, expected in whole.items():
        first, second = (results[name][key] for results in two)
        assert torch.equal(first, second), key
        torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5, msg=labelled(key))


def config(**sections: Any) -> Any:
    content = {key: dict(value) for key, value in CONFIG.items()}
    for section, values in sections.items():
        content[section] = {**content.get(section, {}), **values}
    content["folds"] = {**content["folds"], "only": [1]}
    return parse_config(content, source="test")


FUSION_OPTIONS: dict[str, dict[str, Any]] = {"mult": {"width": 8, "heads": 2}, "mbt": {"width": 8, "heads": 2}}


@pytest.mark.parametrize("name", sorted(FUSIONS.names()))
def test_every_fusion_is_built_from_a_configuration(name: str) -> None:
    chosen = config(model={"network": "n2", "fusion": {"name": name, **FUSION_OPTIONS.get(name, {})}})
    corpus = small_corpus()
    model = build_model(chosen, corpus)
    assert isinstance(model.fusion, FUSIONS[name])
    batch = next(iter(loader(CorpusDataset(corpus, np.arange(6)), 6)))
    objective = build_objective(chosen, corpus, model=model)
    assert (objective.criterion is not None) == (name == "tmc")
    assert objective(model.train()(batch.inputs), batch.labels).total.isfinite()


@pytest.mark.parametrize(
    ("model", "balancer"),
    [
        ({"network": "n0", "fusion": {"name": "tmc", "annealing": 2}}, {"name": "sum"}),
        ({"network": "n1", "fusion": {"name": "witnesses"}}, {"name": "gradient_blending", "every": 1}),
        ({"network": "n2", "fusion": {"name": "mbt", "width": 8, "heads": 2}}, {"name": "ogm_ge", "alpha": 0.5}),
    ],
)
def test_a_run_from_a_file(model: dict[str, Any], balancer: dict[str, Any], tmp_path: Path) -> None:
    small_corpus().save(tmp_path / "corpus")
    chosen = config(model=model, objective={"balancer": balancer})
    done = run_experiment(chosen, tmp_path / "run", base=tmp_path, cpu=True)
    metrics = done.folds[1]["metrics"]
    assert 0 <= metrics["emotion/fused/accuracy"] <= 1
    assert metrics["emotion/fused/loss"] > 0

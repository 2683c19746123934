"""The networks against the paper's equations in NumPy: values, running statistics and gradients."""

from collections.abc import Iterator
from itertools import product
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mrpnkit import MRPN, Classification, FusionComponent, Objective, ResPerceptron, Scoring, Sequences
from mrpnkit.mrpn import Network
from tests.numpy_reference import Array, Flags, Reference, central_differences, losses
from tests.small_models import randomise, vector_branch

Side = Literal["dense", "scoring"]
CLASSES = {"emotion": 3, "actor": 2}
WIDTHS = (3, 2, 4, 1)
BATCH = 5
CASES = [(network, n, 1 + n % 2, "dense") for network, n in product(("n0", "n1", "n2"), (1, 2, 3, 4))]
CASES += [("n1", 2, 2, "scoring"), ("n2", 3, 1, "scoring")]


def arrays(module: nn.Module) -> dict[str, Array]:
    return {name: tensor.detach().numpy().astype(np.float64) for name, tensor in module.state_dict().items()}


def rows(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Case:
    """A float64 network, features f_m of a batch, and which samples have which modality."""

    def __init__(self, network: Network, branches: int, targets: int, side: Side, *, missing: bool = False) -> None:
        # not in alphabetical order: the declared order counts
        self.widths = dict(zip(("zeta", "alpha", "mid", "beta"), WIDTHS[:branches], strict=False))
        self.targets = dict(list(CLASSES.items())[:targets])
        self.network: Network = network
        self.side: Side = side
        model = MRPN(
            {name: vector_branch(width) for name, width in self.widths.items()},
            self.targets,
            network=network,
            hidden=4,
            side=side,
        )
        self.model = model.double()
        randomise(self.model, seed=branches)
        self.f = {name: rows(BATCH, width, seed=10 + width) for name, width in self.widths.items()}
        self.there: dict[str, Flags] = {name: np.ones(BATCH, dtype=bool) for name in self.widths}
        if missing:
            lacking = {"zeta": [1, 4], "alpha": [0, 1]}
            for name, flags in self.there.items():
                flags[lacking.get(name, [1])] = False  # sample 1 has nothing at all
        for name, flags in self.there.items():
            self.f[name][torch.from_numpy(~flags)] = 0.0
        self.labels = {"emotion": torch.tensor([0, 2, 1, -1, 2]), "actor": torch.tensor([1, 0, 0, 1, 1])}

    def inputs(self) -> dict[str, Sequences]:
        lengths = {name: torch.from_numpy(flags.astype(np.int64)) for name, flags in self.there.items()}
        return {name: Sequences(f[lengths[name] > 0], lengths[name]) for name, f in self.f.items()}

    def total(self, *, training: bool) -> Tensor:
        """The loss of the torch model; always with side scores."""
        objective = Objective({target: Classification(n) for target, n in self.targets.items()})
        return objective(self.model.train(training)(self.inputs(), sides=True), self.labels).total

    def reference_total(self, weights: dict[str, Array], f: dict[str, Array], *, training: bool) -> float:
        reference = Reference(weights, training)
        scores = reference.network(self.network, f, self.there, list(self.targets), self.side)
        labels = {target: self.labels[target].numpy() for target in self.targets}
        return sum(losses(scores, labels, self.there).values())


def cases(*, missing: bool) -> Iterator[Case]:
    for network, n, targets, side in CASES:
        yield Case(network, n, targets, side, missing=missing)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_running_statistics(training: bool, missing: bool) -> None:
    for case in cases(missing=missing):
        reference = Reference(arrays(case.model), training)
        f = {name: value.numpy() for name, value in case.f.items()}
        expected = reference.network(case.network, f, case.there, list(case.targets), case.side)
        model = case.model.train(training)
        features = model.features(case.inputs())
        output = model.score(features, sides=True)
        for name in case.widths:
            np.testing.assert_allclose(features.normalised[name].detach(), expected.normalised[name], atol=1e-12)
            np.testing.assert_allclose(features.corrected[name].detach(), expected.corrected[name], atol=1e-12)
        assert set(output.branches) == set(expected.sides)
        for target in case.targets:
            np.testing.assert_allclose(output.fused[target].detach(), expected.fused[target], atol=1e-11)
            for name, scores in expected.sides.items():
                np.testing.assert_allclose(output.branches[name][target].detach(), scores[target], atol=1e-11)
        after = arrays(model)
        assert reference.running, "the reference recorded no statistics"
        for name, statistic in reference.running.items():
            np.testing.assert_allclose(after[name], statistic, atol=1e-12, err_msg=name)
            assert training or np.array_equal(after[name], reference.weights[name])


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_the_sum_of_the_cross_entropies(training: bool, missing: bool) -> None:
    for case in cases(missing=missing):
        f = {name: value.numpy() for name, value in case.f.items()}
        expected = case.reference_total(arrays(case.model), f, training=training)
        assert case.total(training=training).item() == pytest.approx(expected, rel=1e-6)  # float32 cross-entropy


@pytest.mark.parametrize(
    ("network", "side", "training", "missing"),
    [
        ("n0", "dense", True, False),
        ("n1", "dense", True, True),
        ("n2", "dense", True, False),
        ("n2", "dense", True, True),
        ("n2", "scoring", True, True),
        ("n1", "dense", False, False),
        ("n2", "dense", False, True),
        ("n2", "scoring", False, False),
    ],
)
def test_gradients_against_central_differences(network: Network, side: Side, training: bool, missing: bool) -> None:
    case = Case(network, 2, 2 if network == "n1" else 1, side, missing=missing)
    weights = arrays(case.model)
    f = {name: value.numpy().copy() for name, value in case.f.items()}
    for value in case.f.values():
        value.requires_grad_()
    case.total(training=training).backward()

    def loss() -> float:
        return case.reference_total(weights, f, training=training)

    for name, array in f.items():
        gradient = case.f[name].grad
        assert gradient is not None
        np.testing.assert_allclose(gradient.numpy(), central_differences(loss, array), atol=2e-7, err_msg=name)
        assert not gradient.numpy()[~case.there[name]].any()
    for name, parameter in case.model.named_parameters():
        expected = central_differences(loss, weights[name])
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        np.testing.assert_allclose(gradient.numpy(), expected, atol=2e-7, err_msg=name)


@pytest.mark.parametrize("training", [True, False])
def test_parts_by_themselves(training: bool) -> None:
    everybody = np.ones(6, dtype=bool)
    x = rows(6, 3, seed=1)
    perceptron = ResPerceptron(3).double().train(training)
    scoring = Scoring(3, 2, hidden=5).double().train(training)
    fusion = FusionComponent([3, 2], {"emotion": 4}).double().train(training)
    for part in (perceptron, scoring, fusion):
        randomise(part, seed=3)

    expected = Reference(named(perceptron), training).res_perceptron("part", x.numpy(), everybody)
    np.testing.assert_allclose(perceptron(x).detach(), expected, atol=1e-12)
    expected = Reference(named(scoring), training).scoring("part", x.numpy(), everybody)
    np.testing.assert_allclose(scoring(x).detach(), expected, atol=1e-12)
    g = [x, rows(6, 2, seed=2)]
    expected = Reference(named(fusion), training).fusion_component(
        "part", [part.numpy() for part in g], [everybody, everybody], "emotion"
    )
    np.testing.assert_allclose(fusion(g, [None, None])["emotion"].detach(), expected, atol=1e-12)


def named(module: nn.Module) -> dict[str, Array]:
    return {f"part.{name}": array.copy() for name, array in arrays(module).items()}

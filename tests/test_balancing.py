"""Each balancer against its definition, written again in NumPy or with plain autograd on a tiny network."""

from collections.abc import Mapping
from math import exp, tanh
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from mrpnkit import MRPN, Branch, Classification, Objective, Sequences
from mrpnkit.balancing import BALANCERS, OGMGE, PMR, Fixed, GradientBlending, MMPareto, Sum, Uncertainty
from mrpnkit.balancing.gradient_blending import Losses, blended
from mrpnkit.balancing.heads import ratios
from mrpnkit.balancing.mmpareto import joint_gradient
from mrpnkit.balancing.steering import Steering, Step
from mrpnkit.errors import InputError
from mrpnkit.mrpn import Network
from mrpnkit.testing import check_balancer
from tests.small_models import Affine, Average, affine_branch, ragged, vector_branch

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {"weights": {"fused": 0.5, "y/b0": 0.0}},
    "gradient_blending": {"every": 1},
}
LABELS = torch.tensor([0, 1, 2, 1, 0, 2, 1])


@pytest.mark.parametrize("name", sorted(BALANCERS.names()))
def test_registered_balancers(name: str) -> None:
    branches = (1, 3) if name == "fixed" else (1, 2, 4)
    check_balancer(BALANCERS[name], OPTIONS.get(name), branches=branches)


def model_of(number: int = 2, network: Network = "n2") -> MRPN:
    torch.manual_seed(0)
    branches = {f"b{m}": affine_branch(3 + m, 4) for m in range(number)}
    return MRPN(branches, {"y": 3}, network=network).double().train()


def batch(number: int = 2) -> dict[str, Sequences]:
    found = {}
    for m in range(number):
        lengths = [1] * 7 if m else [1, 1, 0, 1, 1, 1, 1]
        steps, sizes = ragged(lengths, 3 + m, seed=m)
        found[f"b{m}"] = Sequences(steps.double(), sizes)
    return found


def step_of(model: MRPN, balancer: Any, labels: Tensor = LABELS) -> tuple[Step, Steering]:
    objective = Objective({"y": Classification(3)}, balancer=balancer)
    steering = Steering(balancer, model)
    output = model(batch(len(model.branches)))
    loss = objective(output, {"y": labels})
    model.zero_grad()
    return Step(output, {"y": labels}, objective.weighted(loss.terms), loss.total), steering


def plain(model: MRPN, *heads: str) -> dict[str, Tensor]:
    """Gradients by parameter of the plain sum of some losses; zero where there is none."""
    terms = Objective({"y": Classification(3)})(model(batch(len(model.branches))), {"y": LABELS}).terms
    chosen = torch.stack([term for name, term in terms.items() if not heads or name.split("/")[1] in heads]).sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(chosen, parameters, allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, parameters, found, strict=True)}


def flat(gradients: Mapping[str, Tensor], branch: str) -> np.ndarray:
    return np.concatenate([g.numpy().ravel() for n, g in gradients.items() if n.startswith(f"branches.{branch}.")])


def left(model: nn.Module) -> dict[str, Tensor]:
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def probabilities(step: Step, branch: str, mask: list[bool]) -> float:
    """Mean softmax of the right class, sample by sample."""
    values = []
    rows = step.output.branches[branch]["y"].detach().numpy()
    for scores, label, flag in zip(rows, LABELS.tolist(), mask, strict=True):
        if flag:
            e = np.exp(scores - scores.max())
            values.append(e[label] / e.sum())
    return float(np.mean(values))


MASKS = {"b0": [True, True, False, True, True, True, True], "b1": [True] * 7, "b2": [True] * 7}


def test_the_sum_and_fixed_weights() -> None:
    losses = {"y/fused": torch.tensor(3.0), "y/b0": torch.tensor(5.0), "z/b0": torch.tensor(7.0)}
    parts = {"y/fused.0": torch.tensor(11.0)}
    assert Sum()(losses | parts).item() == 26
    assert Fixed(weights={"b0": 2.0, "z/b0": 0.5, "fused": 0.1})(losses | parts).item() == pytest.approx(
        0.1 * 3 + 2 * 5 + 0.5 * 7 + 0.1 * 11
    )


@pytest.mark.parametrize("weights", [{"b7": 1.0}, {"y/b7": 1.0}, {"z/b0": 1.0}])
def test_fixed_refuses_heads_that_are_not_there(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"weights are given for .* the model has \['fused', 'b0', 'b1', 'y/fused'"):
        Steering(Fixed(weights=weights), model_of())


class TestUncertainty:
    def test_steps_are_those_of_adam_on_the_published_loss(self) -> None:
        balancer = Uncertainty(learning_rate=0.05)
        s = torch.zeros(2, requires_grad=True)
        adam = torch.optim.Adam([s], lr=0.05)
        for values in ([2.0, 0.2], [1.5, 0.3], [1.0, 0.3]):
            losses = [torch.tensor(v, requires_grad=True) for v in values]
            named = dict(zip(("y/fused", "y/b0"), losses, strict=True))
            total = balancer(named)
            expected = (torch.exp(-s) * torch.tensor(values) + s / 2).sum()
            assert total.item() == pytest.approx(expected.item())
            weights = [exp(-x) for x in s.tolist()]
            balancer.backward(Step(None, {}, named, total))  # type: ignore[arg-type]
            assert [loss.grad.item() for loss in losses if loss.grad is not None] == pytest.approx(weights)
            adam.zero_grad()
            expected.backward()
            adam.step()
            torch.testing.assert_close(balancer.s, s.detach())
        assert balancer.weights["y/fused"] < 1 < balancer.weights["y/b0"]

    def steps(self, balancer: Uncertainty, losses: dict[str, float], weights: dict[str, float] | None) -> float:
        """So many that s would be −200 without a hold; the last total."""
        total = torch.zeros(())
        for _ in range(400):
            named = {name: torch.tensor(value, requires_grad=True) for name, value in losses.items()}
            total = balancer(named)
            balancer.backward(Step(None, {}, named, total, None, weights))  # type: ignore[arg-type]
        return total.item()

    def test_a_loss_of_weight_zero_is_left_alone(self) -> None:
        alone, beside = Uncertainty(learning_rate=0.5), Uncertainty(learning_rate=0.5)
        total = self.steps(alone, {"y/fused": 0.4}, None)
        both = self.steps(beside, {"y/fused": 0.4, "y/b0": 0.0}, {"y/fused": 0.2, "y/b0": 0.0})
        assert both == pytest.approx(total)
        assert beside.weights == pytest.approx({**alone.weights, "y/b0": 1.0})

    def test_a_loss_that_falls_to_zero_has_a_finite_weight(self) -> None:
        balancer = Uncertainty(learning_rate=0.5)
        assert self.steps(balancer, {"y/fused": 0.0}, None) == -5.0
        assert balancer.weights["y/fused"] == pytest.approx(exp(10))


def test_an_earlier_network_is_listened_to_no_longer() -> None:
    balancer = PMR()
    earlier, later = model_of(2), MRPN({"b0": affine_branch(3, 4)}, {"z": 4})
    Steering(balancer, earlier)
    Steering(balancer, later)
    Steering(balancer, later)
    counts = [[len(norm._forward_hooks) for norm in model.norms.values()] for model in (earlier, later)]
    assert counts == [[0, 0], [1]]
    assert balancer.target == "z"


class TestGradientBlending:
    def test_weights_minimise_the_ratio(self) -> None:
        """The published optimum: no other weights have less overfitting for what they generalise."""
        before = {"a": Losses(2.0, 2.2), "b": Losses(2.1, 2.3), "c": Losses(1.9, 2.0)}
        now = {"a": Losses(1.0, 1.9), "b": Losses(1.5, 1.8), "c": Losses(1.4, 1.6)}
        weights = blended(before, now)
        assert weights is not None
        gain = np.array([before[k].validation - now[k].validation for k in "abc"])
        gap = np.array([(now[k].validation - now[k].train) - (before[k].validation - before[k].train) for k in "abc"])
        w = np.array([weights[k] for k in "abc"])
        assert w.sum() == pytest.approx(3)

        def ratio(v: np.ndarray) -> float:
            return float(((v * gap) ** 2).sum() / (v @ gain) ** 2)

        rng = np.random.default_rng(0)
        assert all(ratio(w) <= ratio(np.abs(w + rng.normal(0, 0.3, 3))) + 1e-12 for _ in range(200))

    def test_looks_after_the_first_epoch_and_then_every_so_many(self) -> None:
        balancer = GradientBlending(every=2)
        epochs = [(2.0, 2.0), (1.8, 1.9), (1.0, 1.5), (0.1, 9.0), (0.5, 1.6)]
        seen = []
        for train, validation in epochs:
            balancer.end_epoch(
                {"y/fused": train, "y/b0": train, "y/fused.0": 1.0},
                {"y/fused/term": validation, "y/b0/term": validation - 0.1 * (train < 2)},
            )
            seen.append(dict(balancer.weights))
        assert seen[0] == seen[1] == {}
        # ΔG 0.5 and 0.6, ΔO 0.5 and 0.4: worth 2 and 3.75
        assert seen[2] == pytest.approx({"y/fused": 2 * 2 / 5.75, "y/b0": 2 * 3.75 / 5.75})
        assert seen[3] == seen[2]
        assert seen[4] == seen[2]  # no head generalised: weights stay
        losses = {"y/fused": torch.tensor(1.0), "y/b0": torch.tensor(0.0), "y/fused.0": torch.tensor(1.0)}
        assert balancer(losses).item() == pytest.approx(4 * 2 / 5.75)

    def test_needs_validation_and_its_losses(self) -> None:
        with pytest.raises(InputError, match="give the trainer validation"):
            GradientBlending().end_epoch({"y/fused": 1.0}, None)
        with pytest.raises(InputError, match=r"validation has no y/fused/term, .* it has y/fused/loss\. Evaluation"):
            GradientBlending().end_epoch({"y/fused": 1.0}, {"y/fused/loss": 1.0})


@pytest.mark.parametrize("number", [2, 3])
def test_ogm_slows_the_branch_that_leads(number: int) -> None:
    model = model_of(number)
    expected = plain(model)
    balancer = OGMGE(alpha=0.7, noise=0.0)
    step, steering = step_of(model, balancer)
    right = {b: probabilities(step, b, MASKS[b]) for b in model.branches}
    steering.backward(step)
    found = left(model)
    slowed = 0
    for name, gradient in expected.items():
        coefficient = 1.0
        if name.startswith("branches."):
            branch = name.split(".")[1]
            ratio = right[branch] / np.mean([v for b, v in right.items() if b != branch])
            coefficient = 1 - tanh(0.7 * ratio) if ratio > 1 else 1.0
            slowed += coefficient < 1
            assert balancer.coefficients[branch] == pytest.approx(coefficient)
        torch.testing.assert_close(found[name], coefficient * gradient)
    assert slowed


def test_generalisation_enhancement_adds_noise_of_the_gradients_size() -> None:
    torch.manual_seed(0)
    quiet, noisy = model_of(), model_of()
    for model, noise in ((quiet, 0.0), (noisy, 1.0)):
        step, steering = step_of(model, OGMGE(noise=noise))
        steering.backward(step)
    drawn, spread = [], []
    before, after, unmodified = left(quiet), left(noisy), plain(model_of())
    for name in before:
        difference = after[name] - before[name]
        if difference.any():
            drawn.append((difference / unmodified[name].std()).flatten())
            spread.append(name.split(".")[1])
        elif not name.startswith("branches."):
            assert torch.equal(after[name], before[name])
    assert len(set(spread)) == 1, "only the leading branch is modulated"
    assert torch.cat(drawn).std().item() == pytest.approx(1.0, abs=0.5)


def test_ratios() -> None:
    values = {"a": torch.tensor(0.9), "b": torch.tensor(0.3), "c": torch.tensor(0.6)}
    assert ratios(values) == pytest.approx({"a": 2.0, "b": 0.4, "c": 1.0})
    assert ratios({"a": torch.tensor(0.9)}) == {"a": 1.0}
    assert ratios({"a": torch.tensor(0.9), "b": torch.tensor(float("nan"))}) == {"a": 1.0, "b": 1.0}


class TestMMPareto:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_gradients_of_branches_are_joined_and_the_others_left(self, number: int) -> None:
        model = model_of(number)
        both, fused = plain(model), plain(model, "fused")
        sides = plain(model, *model.branches)
        step, steering = step_of(model, MMPareto(scale=1.5))
        steering.backward(step)
        found = left(model)
        for branch in model.branches:
            f, s = flat(fused, branch), flat(sides, branch)
            norm = lambda a, f=f, s=s: float(((a * f + (1 - a) * s) ** 2).sum())  # noqa: E731
            shortest = minimize_scalar(norm, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x
            a = 0.5 if f @ s >= 0 else shortest
            joined = 2 * a * f + 2 * (1 - a) * s
            length, wanted = np.linalg.norm(joined), np.linalg.norm(f + s)
            expected = 1.5 * joined * (wanted / length if wanted > length else 1.0)
            np.testing.assert_allclose(flat(found, branch), expected, rtol=1e-4, atol=1e-6)
        for name in found:
            if not name.startswith("branches."):
                torch.testing.assert_close(found[name], both[name])

    def test_where_losses_conflict_neither_rises(self) -> None:
        f, s = torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 1.0])
        joined = joint_gradient(f, s, scale=1.0)
        assert torch.dot(f, s) < 0
        assert torch.dot(joined, f) > 0
        assert torch.dot(joined, s) > 0
        assert torch.dot(f, f + s) < 0, "the plain sum would raise the fused loss"
        assert torch.linalg.vector_norm(joined).item() == pytest.approx(2**0.5)  # that of f + s, which is longer


class TestPMR:
    def prototypes(self, features: np.ndarray, mask: list[bool]) -> np.ndarray:
        rows = [i for i, flag in enumerate(mask) if flag]
        return np.stack([features[[i for i in rows if LABELS[i] == c]].mean(0) for c in range(3)])

    def test_by_its_formulas(self) -> None:
        model = model_of(3)
        balancer = PMR(alpha=0.8, mu=0.3, held=5, momentum=0.25)
        first, steering = step_of(model, balancer)
        steering.backward(first)
        features = {n: f.detach().numpy() for n, f in model.features(batch(3)).normalised.items()}
        steering.end_epoch({}, None)
        for name, values in features.items():
            expected = self.prototypes(values, MASKS[name])
            np.testing.assert_allclose(balancer.prototypes[name].numpy(), expected, rtol=1e-4, atol=1e-6)
        logs = {}
        for name, values in features.items():
            distance = np.sqrt(((values[:, None] - self.prototypes(values, MASKS[name])[None]) ** 2).sum(2))
            logs[name] = -distance - np.log(np.exp(-distance).sum(1, keepdims=True))
        right = {n: np.mean([np.exp(logs[n][i, LABELS[i]]) for i in range(7) if MASKS[n][i]]) for n in features}
        total, kinds = 0.0, set()
        for n in features:
            rho = right[n] / np.mean([v for m, v in right.items() if m != n])
            rows = [i for i in range(7) if MASKS[n][i]]
            if rho < 1:
                total += 0.8 * min(1, 1 / rho - 1) * -np.mean([logs[n][i, LABELS[i]] for i in rows])
                kinds.add("slow")
            else:
                total -= 0.3 * min(1, rho - 1) * -np.mean([(np.exp(logs[n][i]) * logs[n][i]).sum() for i in rows])
                kinds.add("fast")
        assert kinds == {"slow", "fast"}
        model(batch(3))
        masks = {n: torch.tensor(MASKS[n]) for n in features}
        assert balancer.addition(LABELS, masks).item() == pytest.approx(total, rel=1e-4)

    def test_prototypes_are_mixed_with_the_older_ones_and_absent_classes_stay(self) -> None:
        balancer = PMR(momentum=0.25)
        model = model_of(2)
        step, steering = step_of(model, balancer)
        steering.backward(step)
        steering.end_epoch({}, None)
        older = balancer.prototypes["b1"].clone()
        labels = torch.tensor([0, 1, -1, 1, 0, -1, 1])
        step, _ = step_of(model, Sum(), labels)
        balancer.backward(step)
        now = model.features(batch(2)).normalised["b1"].detach().float()
        balancer.end_epoch({}, None)
        torch.testing.assert_close(
            balancer.prototypes["b1"][0], 0.25 * older[0] + 0.75 * now[[0, 4]].mean(0), rtol=1e-4, atol=1e-5
        )
        assert torch.equal(balancer.prototypes["b1"][2], older[2])

    def test_a_state_read_on_the_cpu_goes_to_where_the_model_is(self) -> None:
        """The device ``meta`` stands for a GPU."""
        balancer, again = PMR(), PMR()
        step, steering = step_of(model_of(2), balancer)
        steering.backward(step)
        steering.end_epoch({}, None)
        elsewhere = Steering(again, model_of(2).to("meta"))
        elsewhere.load_state_dict(steering.state_dict())
        state = elsewhere.state_dict()
        tensors = [value for part in ("prototypes", "sums", "counts") for value in state[part].values()]
        assert [value.device.type for value in tensors] == ["meta"] * 6

    def test_refuses_a_target_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match=r"there is no target 'age'; the network has \['y'\]"):
            Steering(PMR(target="age"), model_of())


@pytest.mark.parametrize("part", [OGMGE, MMPareto, PMR])
def test_balancers_of_branches_refuse_n0(part: Any) -> None:
    with pytest.raises(InputError, match=f"{part.__name__} compares branches by their side scores, and N0 has none"):
        Steering(part(), model_of(network="n0"))


@pytest.mark.parametrize(
    ("part", "options", "text"),
    [
        (Fixed, {"weights": {"a": -1.0}}, "the weight of 'a' is -1.0; expected 0 or more"),
        (Uncertainty, {"learning_rate": 0.0}, "learning_rate must be more than 0"),
        (GradientBlending, {"every": 0}, "every must be 1 epoch or more"),
        (OGMGE, {"alpha": -1.0}, "alpha and noise must be 0 or more"),
        (MMPareto, {"scale": 0.0}, "scale must be more than 0"),
        (PMR, {"momentum": 1.0}, r"momentum in \[0, 1\)"),
    ],
)
def test_what_is_refused(part: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        part(**options)


class Broken:
    """A balancer that keeps what it learned to itself."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        self.steps += 1
        return torch.stack(list(losses.values())).sum() / self.steps


class Forgets(Broken):
    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        return next(iter(losses.values()))


class Detaches(Broken):
    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        return torch.stack(list(losses.values())).sum().detach()


class Inherits(Broken):
    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Broken, "a training that went on from its saved state is another"),
        (Forgets, "has no gradient after step 0"),
        (Detaches, "What Detaches makes of the losses has no gradient"),
        (Inherits, r"a training depends on the one before it, which begin\(\) must forget"),
    ],
)
def test_a_broken_balancer_is_found(part: Any, text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_balancer(part, branches=(2,))


class Wider(nn.Module):
    """Extractor: a dense unit of a branch's own behind one that branches share."""

    def __init__(self, shared: Affine) -> None:
        super().__init__()
        self.shared, self.own = shared, Affine(4, 4)

    def forward(self, inputs: Sequences) -> Sequences:
        found: Sequences = self.own(self.shared(inputs))
        return found


@pytest.mark.parametrize("balancer", [OGMGE(noise=0.0), MMPareto()])
def test_what_branches_share_keeps_its_gradient(balancer: Any) -> None:
    """It is no branch's own: a side loss of one reaches it as that of another does."""
    torch.manual_seed(1)
    shared = Affine(3, 4)
    model = MRPN({f"b{m}": Branch(Wider(shared), Average(4)) for m in range(2)}, {"y": 3}).double().train()
    inputs = {name: Sequences.vectors(torch.randn(7, 3).double()) for name in model.branches}
    objective = Objective({"y": Classification(3)}, balancer=balancer)
    steering, output = Steering(balancer, model, {"y": "classification"}), model(inputs)
    loss = objective(output, {"y": LABELS})
    total = torch.stack(list(loss.terms.values())).sum()
    usual = {n: torch.autograd.grad(total, p, retain_graph=True)[0] for n, p in model.named_parameters()}
    steering.backward(Step(output, {"y": LABELS}, objective.weighted(loss.terms), loss.total))
    changed = [name for name, grad in left(model).items() if not torch.allclose(grad, usual[name], atol=1e-12)]
    assert changed
    assert all(".own." in name for name in changed)


def test_mmpareto_leaves_branches_without_parameters_to_the_sum() -> None:
    model = MRPN({f"b{m}": vector_branch(3 + m) for m in range(2)}, {"y": 3}).double().train()
    step, steering = step_of(model, MMPareto())
    usual = plain(model)
    steering.backward(step)
    for name, gradient in left(model).items():
        assert torch.allclose(gradient, usual[name], atol=1e-12), name


def test_a_state_that_cannot_be_written_fails_the_contract() -> None:
    class Forgetful(Sum):
        def state_dict(self) -> dict[str, Any]:
            return {"rule": lambda: 0}

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    with pytest.raises(AssertionError, match=r"Forgetful: its state must be plain data, tensors, numbers"):
        check_balancer(Forgetful, branches=(2,))

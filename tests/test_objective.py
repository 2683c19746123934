"""The N+1 terms and their sum, by numbers worked by hand."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from mrpnkit import Classification, MRPNOutput, MultiLabel, Objective, Ordinal, Regression
from mrpnkit.errors import InputError
from mrpnkit.targets import Target
from tests.small_models import ragged, vector_model

# softmax of (0, log 3) is (1/4, 3/4); of (0, 0) is (1/2, 1/2)
THREE = [0.0, log(3)]
EVEN = [0.0, 0.0]
COSTS = {"fused": (log(4 / 3) + log(2)) / 2, "audio": log(2), "video": (log(4) + log(4 / 3)) / 2}
LABELS = torch.tensor([1, 0])


def output(present: Tensor | None = None) -> MRPNOutput:
    """Two samples; with labels (1, 0) the terms are COSTS."""
    scores = {"fused": [THREE, EVEN], "audio": [EVEN, EVEN], "video": [THREE[::-1], THREE[::-1]]}
    heads = {name: {"emotion": torch.tensor(rows, requires_grad=True)} for name, rows in scores.items()}
    return MRPNOutput(heads.pop("fused"), heads, {"audio": None, "video": present})


def objective(**weights: float) -> Objective:
    return Objective({"emotion": Classification(2)}, weights=weights)


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: term.item() for name, term in terms.items()}


def test_terms_and_their_sum() -> None:
    total, terms, _ = objective()(output(), {"emotion": LABELS})
    assert values(terms) == pytest.approx({f"emotion/{head}": cost for head, cost in COSTS.items()})
    assert total.item() == pytest.approx(sum(COSTS.values()))


def test_without_side_scores_the_fused_term_is_left() -> None:
    total, terms, _ = objective()(output()._replace(branches={}), {"emotion": LABELS})
    assert list(terms) == ["emotion/fused"]
    assert total.item() == pytest.approx(COSTS["fused"])


def test_weights_count_in_the_total_and_not_in_the_terms() -> None:
    total, terms, _ = objective(fused=2.0, video=0.25, audio=0)(output(), {"emotion": LABELS})
    assert values(terms) == pytest.approx({f"emotion/{head}": cost for head, cost in COSTS.items()})
    assert total.item() == pytest.approx(2 * COSTS["fused"] + 0.25 * COSTS["video"])


def test_a_weight_of_zero_stops_the_gradient() -> None:
    out = output()
    objective(video=0)(out, {"emotion": LABELS}).total.backward()
    side, fused = out.branches["video"]["emotion"].grad, out.fused["emotion"].grad
    assert side is not None
    assert not side.any()
    assert fused is not None
    assert fused.any()


def test_several_targets_add_up() -> None:
    one = output()
    scores = {name: heads | {"actor": heads["emotion"]} for name, heads in one.branches.items()}
    both = MRPNOutput(one.fused | {"actor": one.fused["emotion"]}, scores, one.present)
    two = Objective({"emotion": Classification(2), "actor": Classification(2)})
    total, terms, _ = two(both, {"emotion": LABELS, "actor": torch.tensor([1, 1])})
    assert terms["actor/video"].item() == pytest.approx(log(4))
    assert terms["actor/fused"].item() == pytest.approx(COSTS["fused"])
    assert total.item() == pytest.approx(sum(values(terms).values()))
    assert len(terms) == 6
    assert two.outputs == {"emotion": 2, "actor": 2}


def test_missing_labels_are_left_out_of_the_mean() -> None:
    _, terms, _ = objective()(output(), {"emotion": torch.tensor([1, -1])})
    expected = {"emotion/fused": log(4 / 3), "emotion/audio": log(2), "emotion/video": log(4)}
    assert values(terms) == pytest.approx(expected)


def test_no_labels_at_all_cost_nothing() -> None:
    out = output()
    total, terms, _ = objective()(out, {"emotion": torch.tensor([-1, -1])})
    total.backward()
    assert total.item() == 0.0
    assert set(values(terms).values()) == {0.0}
    gradient = out.fused["emotion"].grad
    assert gradient is not None
    assert not gradient.any()
    assert gradient.isfinite().all()


def test_an_absent_modality_is_left_out_of_its_own_term_only() -> None:
    out = output(torch.tensor([True, False]))
    _, terms, _ = objective()(out, {"emotion": LABELS})
    assert values(terms) == pytest.approx(
        {"emotion/fused": COSTS["fused"], "emotion/audio": COSTS["audio"], "emotion/video": log(4)}
    )
    terms["emotion/video"].backward()
    gradient = out.branches["video"]["emotion"].grad
    assert gradient is not None
    torch.testing.assert_close(gradient, torch.tensor([[0.75, -0.75], [0.0, 0.0]]))  # softmax − one-hot


def test_a_modality_that_nobody_has_costs_nothing() -> None:
    out = output(torch.tensor([False, False]))
    total, terms, _ = objective()(out, {"emotion": LABELS})
    assert terms["emotion/video"].item() == 0.0
    assert total.item() == pytest.approx(COSTS["fused"] + COSTS["audio"])
    total.backward()
    gradient = out.branches["video"]["emotion"].grad
    assert gradient is not None
    assert not gradient.any()


def test_present_and_labelled_must_meet() -> None:
    """Sample 0 has the modality and no label, sample 1 a label and no modality: nothing is left."""
    _, terms, _ = objective()(output(torch.tensor([True, False])), {"emotion": torch.tensor([-1, 0])})
    assert terms["emotion/video"].item() == 0.0
    assert terms["emotion/fused"].item() == pytest.approx(log(2))


def test_a_step_along_the_gradient_lowers_the_loss_of_a_model() -> None:
    model = vector_model({"audio": 3, "video": 2}, {"emotion": 2}).train()
    inputs = {"audio": ragged([1] * 6, 3), "video": ragged([1, 0, 1, 1, 0, 1], 2, seed=1)}
    labels = {"emotion": torch.tensor([0, 1, 1, -1, 0, 1])}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    costs = []
    for _ in range(5):
        total = objective()(model(inputs), labels).total
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        costs.append(total.item())
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == 5


def test_error_texts() -> None:
    with pytest.raises(InputError, match=r"given no target; expected a mapping such as \{'emotion'"):
        Objective({})
    for name in ("y/z", "y.z"):
        with pytest.raises(InputError, match=rf"'{name}' cannot be the name of a target: a slash separ.*'y_z'"):
            Objective({name: Classification(2)})
    for weight in (-1.0, float("nan")):
        with pytest.raises(InputError, match=r"the weight of 'audio' is (-1\.0|nan); expected 0 or more"):
            objective(audio=weight)
    with pytest.raises(InputError, match=r"weights are given for \['adio'\].*\['fused', 'audio', 'video'\]"):
        objective(adio=0.5)(output(), {"emotion": LABELS})
    with pytest.raises(InputError, match=r"no labels for the target 'emotion'; there are labels for \['mood'\]"):
        objective()(output(), {"mood": LABELS})
    actor = Objective({"actor": Classification(2)})
    with pytest.raises(InputError, match=r"no scores for the target 'actor'.*scores for \['emotion'\]"):
        actor(output(), {"actor": LABELS})


@pytest.mark.parametrize(
    ("target", "labels", "told"),
    [
        (Classification(2), torch.tensor([1, 0, 1]), r"labels of 'x' have shape \(3,\); the batch has 2 samples"),
        (Classification(2), torch.tensor([[1], [0]]), r"Labels of 'x' have type torch.int64 and shape \(2, 1\)"),
        (Classification(2), torch.tensor([1, 2]), r"Label 2 of 'x' \(sample 1"),
        (Classification(2), np.array([1, 0]), r"labels of 'x' are given as ndarray; expected a tensor"),
        (Regression(), torch.ones(2, 1), r"Values of 'x' have type torch.float32 and shape \(2, 1\); expected floats"),
        (Regression("ccc"), torch.ones(1), r"labels of 'x' have shape \(1,\); the batch has 2 samples"),
        (Ordinal(3), torch.tensor([2, 3]), r"Label 3 of 'x' \(sample 1"),
        (Ordinal(3), torch.tensor([-2, 1]), r"Label -2 of 'x' \(sample 0"),
        (MultiLabel(["a", "b"]), torch.tensor([[1, 0], [0, 2]]), r"Label 2 of 'x' \(sample 1, 'b'\)"),
        (Ordinal(3), torch.tensor([[1], [0]]), r"Labels of 'x' have type torch.int64 and shape \(2, 1\)"),
        (
            MultiLabel(["a", "b"]),
            torch.tensor([1, 0]),
            r"shape \(2,\); expected torch.int64 \(n, 2\), a column for each",
        ),
        (MultiLabel(["a", "b"]), torch.ones(2, 3).long(), r"Labels of 'x' .*\(2, 3\); expected torch.int64 \(n, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_named_with_their_target(target: Target, labels: Tensor, told: str) -> None:
    """In a loop of one's own, which checks nothing beforehand; of several targets, the one that is wrong is named."""
    scores = {"x": torch.zeros(2, target.outputs), "y": torch.zeros(2, 2)}
    both = Objective({"y": Classification(2), "x": target})
    with pytest.raises(InputError, match=told):
        both(MRPNOutput(scores, {}, {"audio": None}), {"x": labels, "y": torch.tensor([0, 1])})

"""Several labels, numbers and ordered classes, against scikit-learn, SciPy, torch and the papers' own formulas."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from torch import Tensor

from mrpnkit import Classification, MultiLabel, Ordinal, Regression
from mrpnkit.errors import InputError
from mrpnkit.targets import KINDS, minimised


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- class weights


def test_class_weights_are_those_of_torch() -> None:
    s, labels, weights = noise(7, 3), torch.tensor([0, 2, -1, 1, 2, 0, 1]), [1.0, 0.5, 3.0]
    for smoothing in (0.0, 0.2):
        found = Classification(3, class_weights=weights, label_smoothing=smoothing).losses(s, labels)
        expected = F.cross_entropy(s, labels, torch.tensor(weights, dtype=torch.float64), reduction="none",
                                   ignore_index=-1, label_smoothing=smoothing)  # fmt: skip
        torch.testing.assert_close(found, expected)
    plain = Classification(3).losses(s, labels)
    weighted = Classification(3, class_weights=weights).losses(s, labels)
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 3.0, 0.0, 0.5, 3.0, 1.0, 0.5]))
    assert Classification(3, class_weights=weights).metrics(s, labels) == Classification(3).metrics(s, labels)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")]])
def test_class_weights_that_are_none(weights: list[float]) -> None:
    with pytest.raises(InputError, match="class_weights: expected 2 numbers above 0, one for each of"):
        Classification(2, class_weights=weights)


# --- several labels


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    labels, samples = draw(st.integers(1, 4)), draw(st.integers(1, 25))
    cells = draw(st.lists(st.integers(0, 1), min_size=labels * samples, max_size=labels * samples))
    return noise(samples, labels, seed=draw(st.integers(0, 1000))), torch.tensor(cells).view(samples, labels)


@given(decisions())
def test_metrics_of_several_labels_equal_those_of_scikit_learn(case: tuple[Tensor, Tensor]) -> None:
    s, labels = case
    found = MultiLabel(s.shape[1]).metrics(s, labels)
    truth, guesses = labels.numpy(), (torch.sigmoid(s) > 0.5).long().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "macro_f1": np.nanmean(
                [sk.f1_score(truth[:, c], guesses[:, c], zero_division=np.nan) for c in range(truth.shape[1])]
            ),
            "micro_f1": sk.f1_score(truth.ravel(), guesses.ravel(), zero_division=np.nan),
            "subset_accuracy": (truth == guesses).all(axis=1).mean(),
            "auroc": np.nanmean(
                [sk.roc_auc_score(truth[:, c], s[:, c]) if 0 < truth[:, c].mean() < 1 else np.nan
                 for c in range(truth.shape[1])]
            ),
        }  # fmt: skip
    expected["loss"] = np.mean(
        [sk.log_loss(truth[:, c], torch.sigmoid(s[:, c]), labels=[0, 1]) for c in range(truth.shape[1])]
    )
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)


def test_accuracy_of_whole_sets_is_that_of_scikit_learn() -> None:
    s, labels = noise(40, 3), (noise(40, 3, seed=1) > 0).long()
    assert MultiLabel(3).metrics(s, labels)["subset_accuracy"] == sk.accuracy_score(labels, (s > 0).long())


def test_area_under_the_curve_counts_ties_half() -> None:
    s = torch.tensor([[0.0], [0.0], [1.0], [1.0], [-1.0]])
    labels = torch.tensor([[0], [1], [1], [0], [0]])
    found = MultiLabel(1).metrics(s, labels)["auroc"]
    assert found == pytest.approx(sk.roc_auc_score(labels[:, 0], s[:, 0])) == pytest.approx(4.0 / 6)


def test_unknown_labels_count_nowhere() -> None:
    s, labels = noise(30, 3), (noise(30, 3, seed=1) > 0).long()
    labels[::3, 0], labels[5] = -1, -1
    target = MultiLabel(3)
    losses = target.losses(s, labels)
    for row in range(30):
        known = labels[row] >= 0
        if known.any():
            expected = F.binary_cross_entropy_with_logits(s[row, known], labels[row, known].double())
            torch.testing.assert_close(losses[row], expected)
        else:
            assert losses[row] == 0
    assert target.known(labels).tolist() == [row != 5 for row in range(30)]
    found = target.metrics(s, labels)
    cells = (labels >= 0).numpy()
    assert cells[:, 0].sum() == 19
    truth, guesses = labels.numpy()[cells], (s > 0).long().numpy()[cells]
    assert found["micro_f1"] == pytest.approx(sk.f1_score(truth, guesses))
    area = [sk.roc_auc_score(labels[cells[:, c], c], s[cells[:, c], c]) for c in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(area))
    assert all(np.isnan(list(target.metrics(s, torch.full_like(labels, -1)).values())))


def test_positive_weights_are_those_of_torch() -> None:
    s, labels, weights = noise(8, 2), (noise(8, 2, seed=3) > 0).long(), [4.0, 0.5]
    found = MultiLabel(["a", "b"], positive_weights=weights).losses(s, labels)
    expected = F.binary_cross_entropy_with_logits(
        s, labels.double(), pos_weight=torch.tensor(weights, dtype=torch.float64), reduction="none"
    )
    torch.testing.assert_close(found, expected.mean(1))


def test_labels_that_cannot_be_learned() -> None:
    target = MultiLabel(["laughs", "cries"])
    target.check(torch.tensor([[0, 1], [-1, 0]]), "mood")
    with pytest.raises(InputError, match=r"'mood' \(sample 1, 'cries'\) is out of range; 1 means that it holds"):
        target.check(torch.tensor([[0, 1], [0, 2]]), "mood")
    for labels in (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), torch.zeros(3, 3, dtype=torch.int64)):
        with pytest.raises(InputError, match=r"expected torch.int64 \(n, 2\), a column for each label"):
            target.check(labels, "mood")
    with pytest.raises(InputError, match="one or more distinct labels, got"):
        MultiLabel(["a", "a"])


# --- numbers


def ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Lin's definition, by NumPy's covariance matrix."""
    (sxx, sxy), (_, syy) = np.cov(x, y, ddof=0)
    return float(2 * sxy / (sxx + syy + (x.mean() - y.mean()) ** 2))


@given(st.integers(2, 40), st.integers(0, 1000))
def test_metrics_of_numbers_equal_those_of_scikit_learn_and_scipy(samples: int, seed: int) -> None:
    target = Regression(mean=30.0, sd=7.0)
    s = noise(samples, 1, seed=seed)
    y = (30 + 5 * noise(samples, seed=seed + 1)).float()
    found = target.metrics(s, y)
    x, truth = 30 + 7 * s[:, 0].numpy(), y.double().numpy()
    expected = {
        "mae": sk.mean_absolute_error(truth, x),
        "rmse": sk.root_mean_squared_error(truth, x),
        "ccc": ccc(x, truth),
        "pearson": stats.pearsonr(x, truth).statistic,
        "loss": sk.mean_squared_error(truth, x) / 49,
    }
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(target.answers(s)[:, 0], x, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [("mse", torch.nn.MSELoss()), ("mae", torch.nn.L1Loss()), ("huber", torch.nn.HuberLoss(delta=0.4))],
)
def test_losses_of_numbers_are_those_of_torch(loss: str, reference: torch.nn.Module) -> None:
    s, y = noise(9, 1), noise(9, seed=1)
    y[4] = float("nan")
    target = Regression(loss, delta=0.4, mean=0.3, sd=2.0)  # type: ignore[arg-type]
    losses = target.losses(s, y)
    known = target.known(y)
    assert losses[4] == 0
    assert not known[4]
    torch.testing.assert_close(losses[known].mean(), reference(s[known, 0], (y[known] - 0.3) / 2.0))


def test_one_less_concordance_is_a_mean_over_samples() -> None:
    s, y = noise(20, 1).requires_grad_(), noise(20, seed=1)
    y[3] = float("nan")
    counted = torch.ones(20, dtype=torch.bool)
    counted[7:10] = False
    target = Regression("ccc", mean=1.0, sd=3.0)
    valid = counted & target.known(y)
    losses = target.losses(s, y, counted)
    loss = losses[valid].mean()
    expected = 1 - ccc(s[valid, 0].detach().numpy(), ((y[valid] - 1) / 3).numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    gradient = s.grad
    assert gradient is not None
    # By autograd through the definition itself, instead of through its terms.
    t = s.detach()[valid, 0].requires_grad_()
    z = (y[valid] - 1) / 3
    scale = t.var(correction=0) + z.var(correction=0) + (t.mean() - z.mean()) ** 2
    (1 - 2 * ((t - t.mean()) * (z - z.mean())).mean() / scale).backward()
    assert t.grad is not None
    torch.testing.assert_close(gradient[valid, 0], t.grad, rtol=1e-6, atol=1e-8)


def test_a_batch_without_spread_has_a_finite_gradient() -> None:
    s = torch.zeros(1, 1, requires_grad=True)
    for y in (torch.tensor([0.0]), torch.tensor([2.0]), torch.tensor([float("nan")])):
        losses = Regression("ccc").losses(s, y)
        losses.sum().backward()
        assert losses.isfinite().all()
        assert s.grad is not None
        assert s.grad.isfinite().all()


def test_constant_answers_have_no_correlation() -> None:
    found = Regression().metrics(torch.ones(4, 1), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert np.isnan(found["pearson"])
    assert found["ccc"] == 0
    assert all(np.isnan(list(Regression().metrics(torch.ones(2, 1), torch.full((2,), float("nan"))).values())))


def test_values_that_cannot_be_learned() -> None:
    Regression().check(torch.tensor([1.0, float("nan")]), "age")
    with pytest.raises(InputError, match="value of 'age' of sample 1 is infinite; NaN means missing"):
        Regression().check(torch.tensor([1.0, float("inf")]), "age")
    with pytest.raises(InputError, match=r"Values of 'age' have type torch.int64 .*expected floats \(n,\)"):
        Regression().check(torch.tensor([1, 2]), "age")
    with pytest.raises(InputError, match="no loss 'l2'; expected 'mse', 'mae', 'huber', 'ccc'"):
        Regression("l2")  # type: ignore[arg-type]
    for wrong in ({"delta": 0.0}, {"sd": 0.0}, {"mean": float("nan")}):
        with pytest.raises(InputError, match="Regression: "):
            Regression(**wrong)  # type: ignore[arg-type]


# --- ordered classes


def corn_loss(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The paper's loss: cross-entropies of conditional subsets, over the number of all conditional samples."""
    total, count = torch.zeros((), dtype=scores.dtype), 0
    for task in range(classes - 1):
        subset = labels > task - 1
        above = (labels[subset] > task).to(scores.dtype)
        f = scores[subset, task]
        total = total - (F.logsigmoid(f) * above + (F.logsigmoid(f) - f) * (1 - above)).sum()
        count += int(subset.sum())
    return total / count


@given(st.integers(2, 6), st.integers(1, 30), st.integers(0, 1000))
def test_the_loss_is_that_of_the_paper_over_samples(classes: int, samples: int, seed: int) -> None:
    s = noise(samples, classes - 1, seed=seed)
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    target = Ordinal(classes)
    asked = sum(int((labels >= task).sum()) for task in range(classes - 1))
    torch.testing.assert_close(target.losses(s, labels).mean(), corn_loss(s, labels, classes) * asked / samples)
    p = target.answers(s)
    torch.testing.assert_close(p.sum(1), torch.ones(samples, dtype=torch.float64))
    assert (p >= 0).all()
    torch.testing.assert_close(-p[torch.arange(samples), labels].log(), target.losses(s, labels))


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 1000))
def test_metrics_of_ordered_classes_equal_those_of_scikit_learn(classes: int, samples: int, seed: int) -> None:
    s = noise(samples, classes - 1, seed=seed)
    labels = torch.randint(-1, classes, (samples,), generator=torch.Generator().manual_seed(seed))
    target = Ordinal(classes)
    found, known = target.metrics(s, labels), labels >= 0
    if not known.any():
        assert all(np.isnan(list(found.values())))
        return
    above = torch.sigmoid(s).cumprod(1)
    guesses, truth = (above > 0.5).sum(1)[known].numpy(), labels[known].numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kappa = sk.cohen_kappa_score(truth, guesses, weights="quadratic", labels=list(range(classes)))
    expected = {
        "qwk": kappa,
        "mae": sk.mean_absolute_error(truth, guesses),
        "accuracy": sk.accuracy_score(truth, guesses),
        "loss": sk.log_loss(truth, target.answers(s)[known], labels=list(range(classes))),
    }
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)
    np.testing.assert_array_equal(
        target.confusion(s, labels), sk.confusion_matrix(truth, guesses, labels=range(classes))
    )


def test_the_answer_is_the_median_and_not_the_most_probable() -> None:
    s = torch.tensor([[0.4, 0.2]], dtype=torch.float64)  # P(y > 0) = .599, P(y > 1) = .329
    target = Ordinal(["mild", "moderate", "severe"])
    assert target.answers(s).argmax().item() == 0
    assert target.ranks(s).item() == 1


def test_missing_ordered_labels_get_no_gradient() -> None:
    s = noise(3, 2).requires_grad_()
    Ordinal(3).losses(s, torch.tensor([1, -1, 0])).sum().backward()
    assert s.grad is not None
    assert s.grad.any(dim=1).tolist() == [True, False, True]
    with pytest.raises(InputError, match="3 classes have labels 0 to 2"):
        Ordinal(3).check(torch.tensor([3]), "level")


# --- all of them

TARGETS = [Classification(3), MultiLabel(3), Regression(), Ordinal(4)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_what_every_target_promises(target: Classification | MultiLabel | Regression | Ordinal) -> None:
    labels = target.example(12)
    target.check(labels, "x")
    assert target.known(labels).all()
    scores = torch.randn(12, target.outputs, requires_grad=True)
    losses = target.losses(scores, labels)
    assert losses.shape == (12,)
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert target.losses(scores.bfloat16(), labels).dtype == torch.float32
    found = target.metrics(scores.detach(), labels)
    assert tuple(found) == target.metric_names
    assert target.minimised < set(target.metric_names)
    assert target.answers(scores.detach()).shape[0] == 12
    assert KINDS[target.kind] is type(target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_a_better_network_has_better_metrics(target: Classification | MultiLabel | Regression | Ordinal) -> None:
    """Which metrics are minimised is measured: right answers beat wrong ones in each of them."""
    labels = target.example(60)
    if isinstance(target, Classification):
        right = 4 * F.one_hot(labels, 3).float()
    elif isinstance(target, MultiLabel):
        right = 4.0 * labels - 2
    elif isinstance(target, Regression):
        right = labels[:, None]
    else:
        right = torch.where(torch.arange(3) < labels[:, None], 3.0, -3.0)
    draw = torch.Generator().manual_seed(0)
    good = target.metrics(right + 0.3 * torch.randn(right.shape, generator=draw), labels)
    bad = target.metrics(right + 9 * torch.randn(right.shape, generator=draw), labels)
    for name in target.metric_names:
        assert (good[name] < bad[name]) == (name in target.minimised) == minimised(f"x/fused/{name}"), name
        assert good[name] != bad[name]


def test_a_name_means_the_same_in_every_kind() -> None:
    for one in KINDS.values():
        for other in KINDS.values():
            for name in set(one.metric_names) & set(other.metric_names):
                assert (name in one.minimised) == (name in other.minimised), name

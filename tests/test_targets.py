"""Classification against scikit-learn and torch."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import Tensor

from mrpnkit import Classification
from mrpnkit.errors import InputError


def scores(samples: int, classes: int, *, seed: int = 0) -> Tensor:
    return 2 * torch.randn(samples, classes, generator=torch.Generator().manual_seed(seed))


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Scores and labels of 2 to 5 classes, some of which may not occur; some labels may be missing."""
    classes, samples = draw(st.integers(2, 5)), draw(st.integers(1, 30))
    labels = draw(st.lists(st.integers(-1, classes - 1), min_size=samples, max_size=samples))
    return scores(samples, classes, seed=draw(st.integers(0, 1000))), torch.tensor(labels)


@settings(deadline=None)
@given(predictions())
def test_metrics_equal_those_of_scikit_learn(case: tuple[Tensor, Tensor]) -> None:
    s, labels = case
    target = Classification(s.shape[1])
    found = target.metrics(s, labels)
    known = (labels >= 0).numpy()
    truth, guesses = labels.numpy()[known], s.argmax(1).numpy()[known]
    if not len(truth):
        assert set(found) == {"accuracy", "uar", "macro_f1", "loss"}
        assert all(np.isnan(list(found.values())))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a predicted class is not among the labels
        uar = sk.balanced_accuracy_score(truth, guesses)
    classes = list(range(target.outputs))
    expected = {
        "accuracy": sk.accuracy_score(truth, guesses),
        "uar": uar,
        "macro_f1": sk.f1_score(truth, guesses, average="macro"),
        "loss": sk.log_loss(truth, torch.softmax(s.double(), 1).numpy()[known], labels=classes),
    }
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_array_equal(target.confusion(s, labels), sk.confusion_matrix(truth, guesses, labels=classes))


def test_metrics_of_a_case_worked_by_hand() -> None:
    """Labels 0 0 1 1; predictions 0 1 1 1; class 2 occurs nowhere and counts nowhere."""
    s = torch.eye(3)[[0, 1, 1, 1]]
    found = Classification(["calm", "happy", "sad"]).metrics(s, torch.tensor([0, 0, 1, 1]))
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["uar"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_confusion_has_labels_in_rows() -> None:
    s = torch.eye(3)[[2, 2, 0, 1]]
    confusion = Classification(3).confusion(s, torch.tensor([0, 0, -1, 1]))
    assert confusion.tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_losses_equal_the_definition_of_smoothed_cross_entropy(smoothing: float) -> None:
    s, labels = scores(6, 4), torch.tensor([0, 3, -1, 1, 2, -1])
    found = Classification(4, label_smoothing=smoothing).losses(s, labels)
    p = (1 - smoothing) * F.one_hot(labels.clamp(min=0), 4) + smoothing / 4
    expected = -(p * torch.log_softmax(s, 1)).sum(1)
    expected[labels == -1] = 0.0
    torch.testing.assert_close(found, expected)


def test_label_smoothing_is_no_part_of_the_metrics() -> None:
    s, labels = scores(6, 4), torch.tensor([0, 3, 2, 1, 2, 0])
    assert Classification(4, label_smoothing=0.3).metrics(s, labels) == Classification(4).metrics(s, labels)


def test_missing_labels_get_no_gradient() -> None:
    s = scores(3, 4).requires_grad_()
    target = Classification(4)
    labels = torch.tensor([1, -1, 0])
    target.losses(s, labels).sum().backward()
    assert s.grad is not None
    assert s.grad.any(dim=1).tolist() == [True, False, True] == target.known(labels).tolist()


def test_probabilities_and_losses_are_float32_for_bfloat16_scores() -> None:
    s = scores(3, 4).bfloat16()
    target = Classification(4)
    assert target.losses(s, torch.tensor([0, 1, 2])).dtype == torch.float32
    torch.testing.assert_close(target.probabilities(s).sum(1), torch.ones(3))
    odds = target.probabilities(s)[:, :1] / target.probabilities(s)
    torch.testing.assert_close(odds, torch.exp(s[:, :1].float() - s.float()))


def test_classes_by_number_or_by_name() -> None:
    assert Classification(3).classes == ["0", "1", "2"]
    assert Classification(("calm", "happy")).classes == ["calm", "happy"]
    assert Classification(("calm", "happy")).outputs == 2


@pytest.mark.parametrize("classes", [1, 0, ["calm"], ["calm", "happy", "calm"]])
def test_too_few_or_repeated_classes(classes: int | list[str]) -> None:
    with pytest.raises(InputError, match="two or more distinct classes, got"):
        Classification(classes)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_out_of_range(smoothing: float) -> None:
    with pytest.raises(InputError, match=r"label_smoothing must lie in \[0, 1\), got"):
        Classification(2, label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("wrong", [3, -2])
def test_labels_out_of_range(wrong: int, smoothing: float) -> None:
    target = Classification(3, label_smoothing=smoothing)
    labels = torch.tensor([0, 2, wrong, 1, wrong])
    text = (
        rf"Label {wrong} of 'emotion' \(sample 2, 2 such in all\).*3 classes have labels 0 to 2, and −1 means missing"
    )
    with pytest.raises(InputError, match=text):
        target.check(labels, "emotion")
    with pytest.raises(InputError, match=rf"Label {wrong} of 'the target'"):
        target.losses(scores(5, 3), labels)


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(3, dtype=torch.int32), torch.zeros(3, 1).long()])
def test_labels_of_the_wrong_kind(labels: Tensor) -> None:
    with pytest.raises(InputError, match=r"Labels of 'emotion' have type torch\..*expected torch.int64 \(n,\)"):
        Classification(3).check(labels, "emotion")
    with pytest.raises(InputError, match="Labels of 'the target' have type"):
        Classification(3).losses(scores(3, 3), labels)


def test_right_labels_pass() -> None:
    Classification(3).check(torch.tensor([0, 1, 2, -1]), "emotion")

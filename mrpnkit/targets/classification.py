"""One class of several."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.targets.metrics import NAN, f1, mean_of_known
from mrpnkit.targets.target import Counted, Kind, Metrics


class Classification:
    """One of C classes: softmax and cross-entropy (5). A label of −1 is missing.

    Args:
        classes: the number of classes, or their names in the order of the labels.
        label_smoothing: share of the target distribution spread evenly over all classes; 0 is the paper's.
        class_weights: of each class in the loss, in the order of the labels, where they are not 1. With smoothing each
            class of the smoothed distribution has its own weight, as in ``torch.nn.CrossEntropyLoss``. The mean over
            samples stays one over their number and not over their weights.

    >>> target = Classification(["calm", "happy"])
    >>> target.losses(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.6931])
    """

    MISSING = -1
    kind: ClassVar[Kind] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "uar", "macro_f1", "loss")
    minimised: ClassVar[frozenset[str]] = frozenset({"loss"})

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        self.classes = named_classes(classes, "Classification")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"Classification: label_smoothing must lie in [0, 1), got {label_smoothing}.")
        self.label_smoothing = label_smoothing
        self.class_weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)
        if self.class_weights is not None:
            check_weights(self.class_weights, self.classes, "Classification: class_weights")

    @property
    def outputs(self) -> int:
        """C, one score a class."""
        return len(self.classes)

    def check(self, labels: Int64[Tensor, "samples"], name: str) -> None:
        """Raises InputError for labels that are not int64 (n,) in −1 … C−1."""
        check_classes(labels, name, len(self.classes))

    def known(self, labels: Int64[Tensor, "batch"]) -> Tensor:
        """(B,): True where the label is not −1."""
        return labels != self.MISSING

    def losses(
        self, scores: Float[Tensor, "batch classes"], labels: Int64[Tensor, "batch"], counted: Counted = None
    ) -> Float[Tensor, "batch"]:
        """Cross-entropy of each sample, in nats (5), times the weight of its class; 0 where the label is missing."""
        scores = scores if scores.dtype == torch.float64 else scores.float()
        weights = self.class_weights
        try:
            return F.cross_entropy(
                scores,
                labels,
                weight=None if weights is None else scores.new_tensor(weights),
                reduction="none",
                ignore_index=self.MISSING,
                label_smoothing=self.label_smoothing,
            )
        except (IndexError, RuntimeError, ValueError):
            self.check(labels, "the target")
            raise

    def probabilities(self, scores: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Softmax over the classes."""
        return torch.softmax(scores.float(), dim=-1)

    def answers(self, scores: Float[Tensor, "samples classes"]) -> Float[Tensor, "samples classes"]:
        """Probabilities of the classes."""
        return self.probabilities(scores)

    def metrics(self, scores: Float[Tensor, "samples classes"], labels: Int64[Tensor, "samples"]) -> Metrics:
        """``accuracy``, ``uar`` (unweighted average recall) and ``macro_f1`` as fractions, ``loss`` in nats.

        Averages over classes take those that occur among the labels (for F1 also those predicted), as scikit-learn's
        ``balanced_accuracy_score`` and ``f1_score(average="macro")`` do. Neither smoothing nor weights are part of
        ``loss``.
        """
        known = self.known(labels)
        scores, labels = scores[known], labels[known]
        if not len(labels):
            return dict.fromkeys(self.metric_names, NAN)
        confusion = self.confusion(scores, labels).double()
        hits, support, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        return {
            "accuracy": float(hits.sum() / support.sum()),
            "uar": float((hits / support.clamp(min=1))[support > 0].mean()),
            "macro_f1": mean_of_known(f1(hits, predicted, support)),
            "loss": float(F.cross_entropy(scores.float(), labels)),
        }

    def confusion(
        self, scores: Float[Tensor, "samples classes"], labels: Int64[Tensor, "samples"]
    ) -> Int64[Tensor, "classes classes"]:
        """Counts (C, C): rows are the labels, columns the predictions; samples without a label are left out."""
        known = self.known(labels)
        cells = labels[known] * self.outputs + scores[known].argmax(dim=-1)
        return torch.bincount(cells, minlength=self.outputs**2).view(self.outputs, self.outputs)

    def example(self, samples: int) -> Int64[Tensor, "samples"]:
        """The classes in turn."""
        return torch.arange(samples) % self.outputs


def named_classes(classes: int | Sequence[str], who: str) -> list[str]:
    """Names of classes, which a number stands for.

    Raises:
        InputError: fewer than two, or one name twice.
    """
    names = [str(c) for c in range(classes)] if isinstance(classes, int) else list(classes)
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"{who} needs two or more distinct classes, got {names}.")
    return names


def check_classes(labels: Tensor, name: str, classes: int) -> None:
    """Raises InputError for labels that are not int64 (n,) in −1 … C−1."""
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise InputError(
            f"Labels of {name!r} have type {labels.dtype} and shape {tuple(labels.shape)}; expected torch.int64 (n,)."
        )
    wrong = ((labels < -1) | (labels >= classes)).nonzero().flatten()
    if len(wrong):
        raise InputError(
            f"Label {int(labels[wrong[0]])} of {name!r} (sample {int(wrong[0])}, {len(wrong)} such in all) is out "
            f"of range; {classes} classes have labels 0 to {classes - 1}, and −1 means missing."
        )


def check_weights(weights: Sequence[float], names: Sequence[str], who: str) -> None:
    """Raises InputError unless there is a finite weight above 0 for each of the names."""
    if len(weights) != len(names) or not all(0 < weight < float("inf") for weight in weights):
        raise InputError(
            f"{who}: expected {len(names)} numbers above 0, one for each of {list(names)}, got {list(weights)}."
        )

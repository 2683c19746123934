"""Targets: what is predicted, and how scores become a loss, a prediction and metrics."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from mrpnkit.errors import InputError

Metrics = dict[str, float]


class Target(Protocol):
    """One thing to predict."""

    @property
    def outputs(self) -> int:
        """The number of scores that a head gives for it."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of what :meth:`metrics` returns."""

    def check(self, labels: Tensor, name: str) -> None:
        """Raises InputError unless ``labels`` (all of a corpus) can be learned; ``name`` is the target's."""

    def losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, outputs) scores and (B,) labels → (B,) losses; 0 where the label is missing."""

    def known(self, labels: Tensor) -> Tensor:
        """(B,): True where a label is given."""

    def metrics(self, scores: Tensor, labels: Tensor) -> Metrics:
        """Figures over a whole data set; by name."""


class Classification:
    """One of C classes: softmax and cross-entropy (5). A label of −1 is missing.

    Args:
        classes: the number of classes, or their names in the order of the labels.
        label_smoothing: share of the target distribution spread evenly over all classes; 0 is the paper's.

    >>> target = Classification(["calm", "happy"])
    >>> target.losses(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.6931])
    """

    MISSING = -1
    metric_names = ("accuracy", "uar", "macro_f1", "loss")

    def __init__(self, classes: int | Sequence[str], *, label_smoothing: float = 0.0) -> None:
        self.classes = [str(c) for c in range(classes)] if isinstance(classes, int) else list(classes)
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"Classification needs two or more distinct classes, got {self.classes}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"Classification: label_smoothing must lie in [0, 1), got {label_smoothing}.")
        self.label_smoothing = label_smoothing

    @property
    def outputs(self) -> int:
        """C, one score a class."""
        return len(self.classes)

    def check(self, labels: Int64[Tensor, "samples"], name: str) -> None:
        """Raises InputError for labels that are not int64 (n,) in −1 … C−1."""
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise InputError(
                f"Labels of {name!r} have type {labels.dtype} and shape {tuple(labels.shape)}; "
                "expected torch.int64 (n,)."
            )
        wrong = ((labels < self.MISSING) | (labels >= self.outputs)).nonzero().flatten()
        if len(wrong):
            raise InputError(
                f"Label {int(labels[wrong[0]])} of {name!r} (sample {int(wrong[0])}, {len(wrong)} such in all) is out "
                f"of range; {self.outputs} classes have labels 0 to {self.outputs - 1}, and −1 means missing."
            )

    def known(self, labels: Int64[Tensor, "batch"]) -> Tensor:
        """(B,): True where the label is not −1."""
        return labels != self.MISSING

    def losses(self, scores: Float[Tensor, "batch classes"], labels: Int64[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """Cross-entropy of each sample, in nats (5); 0 where the label is missing."""
        try:
            return F.cross_entropy(
                scores if scores.dtype == torch.float64 else scores.float(),
                labels,
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

    def metrics(self, scores: Float[Tensor, "samples classes"], labels: Int64[Tensor, "samples"]) -> Metrics:
        """``accuracy``, ``uar`` (unweighted average recall) and ``macro_f1`` as fractions, ``loss`` in nats.

        Averages over classes take those that occur among the labels (for F1 also those predicted), as scikit-learn's
        ``balanced_accuracy_score`` and ``f1_score(average="macro")`` do.
        """
        known = self.known(labels)
        scores, labels = scores[known], labels[known]
        if not len(labels):
            return {"accuracy": float("nan"), "uar": float("nan"), "macro_f1": float("nan"), "loss": float("nan")}
        confusion = self.confusion(scores, labels).double()
        hits, support, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        f1 = 2 * hits / (support + predicted).clamp(min=1)
        return {
            "accuracy": float(hits.sum() / support.sum()),
            "uar": float((hits / support.clamp(min=1))[support > 0].mean()),
            "macro_f1": float(f1[(support + predicted) > 0].mean()),
            "loss": float(F.cross_entropy(scores.float(), labels)),
        }

    def confusion(
        self, scores: Float[Tensor, "samples classes"], labels: Int64[Tensor, "samples"]
    ) -> Int64[Tensor, "classes classes"]:
        """Counts (C, C): rows are the labels, columns the predictions; samples without a label are left out."""
        known = self.known(labels)
        cells = labels[known] * self.outputs + scores[known].argmax(dim=-1)
        return torch.bincount(cells, minlength=self.outputs**2).view(self.outputs, self.outputs)

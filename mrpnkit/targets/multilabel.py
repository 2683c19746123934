"""Several labels at once, each of which holds or does not."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.targets.classification import check_weights
from mrpnkit.targets.metrics import NAN, area_under_roc, f1, mean_of_known
from mrpnkit.targets.target import Counted, Kind, Metrics

Labels = Int64[Tensor, "batch labels"]
MISSING = -1


class MultiLabel:
    """Each of L labels holds (1), does not (0), or is not known (−1): a sigmoid and binary cross-entropy for each.

    Args:
        labels: how many, or their names in the order of the columns.
        positive_weights: how much more the loss counts where a label holds, in the order of the columns; 1 each by
            default. For a label that one sample in ten has, 9 balances the two.

    >>> target = MultiLabel(["laughs", "cries"])
    >>> target.losses(torch.zeros(1, 2), torch.tensor([[1, -1]]))
    tensor([0.6931])
    """

    kind: ClassVar[Kind] = "multilabel"
    metric_names: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "subset_accuracy", "auroc", "loss")
    minimised: ClassVar[frozenset[str]] = frozenset({"loss"})

    def __init__(self, labels: int | Sequence[str], *, positive_weights: Sequence[float] | None = None) -> None:
        self.classes = [str(c) for c in range(labels)] if isinstance(labels, int) else list(labels)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"MultiLabel needs one or more distinct labels, got {self.classes}.")
        self.positive_weights = None if positive_weights is None else tuple(map(float, positive_weights))
        if self.positive_weights is not None:
            check_weights(self.positive_weights, self.classes, "MultiLabel: positive_weights")

    @property
    def outputs(self) -> int:
        """L, one score a label."""
        return len(self.classes)

    def check(self, labels: Labels, name: str) -> None:
        """Raises InputError for labels that are not int64 (n, L) of −1, 0 and 1."""
        if labels.dtype != torch.int64 or labels.ndim != 2 or labels.shape[1] != self.outputs:
            raise InputError(
                f"Labels of {name!r} have type {labels.dtype} and shape {tuple(labels.shape)}; expected torch.int64 "
                f"(n, {self.outputs}), a column for each label."
            )
        wrong = ((labels < MISSING) | (labels > 1)).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            raise InputError(
                f"Label {int(labels[row, column])} of {name!r} (sample {row}, {self.classes[column]!r}) is out of "
                "range; 1 means that it holds, 0 that it does not, and −1 that it is not known."
            )

    def known(self, labels: Labels) -> Bool[Tensor, "batch"]:
        """(B,): True where at least one label is known.

        Raises:
            InputError: other labels than −1, 0 and 1, which would be learned as these; on a GPU, where looking takes
                time, not.
        """
        if labels.device.type == "cpu" and ((labels < MISSING) | (labels > 1)).any():
            self.check(labels, "the target")
        return (labels != MISSING).any(dim=1)

    def losses(
        self, scores: Float[Tensor, "batch labels"], labels: Labels, counted: Counted = None
    ) -> Float[Tensor, "batch"]:
        """Binary cross-entropy in nats, the mean over the labels of a sample that are known; 0 where none is."""
        scores = scores if scores.dtype == torch.float64 else scores.float()
        known = (labels != MISSING).to(scores.dtype)
        weights = self.positive_weights
        losses = F.binary_cross_entropy_with_logits(
            scores,
            labels.clamp(min=0).to(scores.dtype),
            reduction="none",
            pos_weight=None if weights is None else scores.new_tensor(weights),
        )
        return (losses * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)

    def answers(self, scores: Float[Tensor, "samples labels"]) -> Float[Tensor, "samples labels"]:
        """The probability of each label; they do not add up to 1."""
        return torch.sigmoid(scores.float())

    def metrics(self, scores: Float[Tensor, "samples labels"], labels: Labels) -> Metrics:
        """F1 over labels and over all decisions, ``subset_accuracy`` and ``auroc`` as fractions, ``loss`` in nats.

        A label is claimed where its probability is above a half. ``macro_f1`` and ``auroc`` are means over labels;
        F1 leaves out labels that no sample has and none is said to have, AUROC those that do not have both kinds.
        ``subset_accuracy`` is the share of samples all of whose known labels are right. Labels that are not known
        count nowhere, and the weights are no part of ``loss``.
        """
        some = self.known(labels)
        scores, labels = scores[some].double(), labels[some]
        if not len(labels):
            return dict.fromkeys(self.metric_names, NAN)
        known, true = labels != MISSING, labels == 1
        claimed = (scores > 0) & known
        hits = (claimed & true).sum(0)
        areas = [area_under_roc(scores[known[:, c], c], true[known[:, c], c]) for c in range(self.outputs)]
        loss = MultiLabel(self.classes).losses(scores, labels).mean()
        return {
            "macro_f1": mean_of_known(f1(hits, claimed.sum(0), true.sum(0))),
            "micro_f1": float(f1(hits.sum(), claimed.sum(), true.sum())),
            "subset_accuracy": float(((claimed == true) | ~known).all(dim=1).double().mean()),
            "auroc": mean_of_known(torch.tensor(areas, dtype=torch.float64)),
            "loss": float(loss),
        }

    def example(self, samples: int) -> Int64[Tensor, "samples labels"]:
        """Each label holds for every other sample."""
        return (torch.arange(samples)[:, None] + torch.arange(self.outputs)) % 2

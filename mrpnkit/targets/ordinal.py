"""One class of several that have an order: CORN, conditional ordinal regression."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from mrpnkit.targets.classification import check_classes, named_classes
from mrpnkit.targets.metrics import NAN, quadratic_kappa
from mrpnkit.targets.target import Counted, Kind, Metrics


class Ordinal:
    """One of K classes in order, such as *mild, moderate, severe*. A label of −1 is missing.

    CORN of Shi, Cao and Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", arXiv:2111.08851. Score k of K − 1 asks: given that the class is above k − 1, is it above k? So

        P(y > k) = σ(s_0) · … · σ(s_k),  P(y = k) = P(y > k − 1) − P(y > k),

    and the chances of being above never rise with k. A sample's loss is −ln P(y), which is the sum of its binary
    cross-entropies in those questions that it is asked. The paper divides the sum over a batch by the number of
    questions asked; here it is divided by the number of samples, so that it can be read, and added, as any other
    cross-entropy. The answer is the median: the number of k with P(y > k) above a half.

    Args:
        classes: the number of classes, or their names from the lowest to the highest.

    >>> target = Ordinal(["mild", "moderate", "severe"])
    >>> target.losses(torch.zeros(1, 2), torch.tensor([1])).exp()
    tensor([4.])
    """

    MISSING = -1
    kind: ClassVar[Kind] = "ordinal"
    metric_names: ClassVar[tuple[str, ...]] = ("qwk", "mae", "accuracy", "loss")
    minimised: ClassVar[frozenset[str]] = frozenset({"mae", "loss"})

    def __init__(self, classes: int | Sequence[str]) -> None:
        self.classes = named_classes(classes, "Ordinal")

    @property
    def outputs(self) -> int:
        """K − 1, one score for each step up."""
        return len(self.classes) - 1

    def check(self, labels: Int64[Tensor, "samples"], name: str) -> None:
        """Raises InputError for labels that are not int64 (n,) in −1 … K−1."""
        check_classes(labels, name, len(self.classes))

    def known(self, labels: Int64[Tensor, "batch"]) -> Tensor:
        """(B,): True where the label is not −1.

        Raises:
            InputError: labels out of range, which would be learned as others; on a GPU, where looking takes time, not.
        """
        if labels.device.type == "cpu" and ((labels < self.MISSING) | (labels > self.outputs)).any():
            self.check(labels, "the target")
        return labels != self.MISSING

    def losses(
        self, scores: Float[Tensor, "batch steps"], labels: Int64[Tensor, "batch"], counted: Counted = None
    ) -> Float[Tensor, "batch"]:
        """−ln P(y) of each sample, in nats; 0 where the label is missing."""
        scores = scores if scores.dtype == torch.float64 else scores.float()
        step = torch.arange(self.outputs, device=scores.device)
        asked = step <= labels[:, None]  # never for a missing label
        above = (step < labels[:, None]).to(scores.dtype)
        return (F.binary_cross_entropy_with_logits(scores, above, reduction="none") * asked).sum(dim=1)

    def answers(self, scores: Float[Tensor, "samples steps"]) -> Float[Tensor, "samples classes"]:
        """Probabilities of the K classes."""
        above = torch.sigmoid(scores if scores.dtype == torch.float64 else scores.float()).cumprod(dim=1)
        ends = above.new_ones(len(above), 1)
        return torch.cat([ends, above], dim=1) - torch.cat([above, 0 * ends], dim=1)

    def ranks(self, scores: Float[Tensor, "samples steps"]) -> Int64[Tensor, "samples"]:
        """The median class: how many steps up have a chance above a half."""
        return (torch.sigmoid(scores.double()).cumprod(dim=1) > 0.5).sum(dim=1)

    def metrics(self, scores: Float[Tensor, "samples steps"], labels: Int64[Tensor, "samples"]) -> Metrics:
        """``qwk`` (quadratic weighted kappa), ``mae`` in classes, ``accuracy`` as a fraction, ``loss`` in nats."""
        known = self.known(labels)
        scores, labels = scores[known], labels[known]
        if not len(labels):
            return dict.fromkeys(self.metric_names, NAN)
        off = (self.ranks(scores) - labels).abs().double()
        return {
            "qwk": quadratic_kappa(self.confusion(scores, labels)),
            "mae": float(off.mean()),
            "accuracy": float((off == 0).double().mean()),
            "loss": float(self.losses(scores, labels).mean()),
        }

    def confusion(
        self, scores: Float[Tensor, "samples steps"], labels: Int64[Tensor, "samples"]
    ) -> Int64[Tensor, "classes classes"]:
        """Counts (K, K): rows are the labels, columns the predictions; samples without a label are left out."""
        known, size = self.known(labels), len(self.classes)
        cells = labels[known] * size + self.ranks(scores[known])
        return torch.bincount(cells, minlength=size**2).view(size, size)

    def example(self, samples: int) -> Int64[Tensor, "samples"]:
        """The classes in turn."""
        return torch.arange(samples) % len(self.classes)

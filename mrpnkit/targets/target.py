"""What a target is: how scores become a loss, an answer and metrics.

Letters: B samples of a batch, n samples of a data set, C scores of a head, K numbers of an answer.
"""

from typing import ClassVar, Literal, Protocol

from jaxtyping import Bool
from torch import Tensor

Metrics = dict[str, float]
Kind = Literal["classification", "multilabel", "regression", "ordinal"]
Counted = Bool[Tensor, "batch"] | None
"""Which samples of a batch count in a loss; None where those do whose label is known."""


class Target(Protocol):
    """One thing to predict.

    Attributes:
        kind: how its answers are read: see :meth:`answers`.
        metric_names: of what :meth:`metrics` returns; the first is the one that tables show.
        minimised: those of them that are better when they are less.
    """

    kind: ClassVar[Kind]
    metric_names: ClassVar[tuple[str, ...]]
    minimised: ClassVar[frozenset[str]]

    @property
    def outputs(self) -> int:
        """C, the number of scores that a head gives for it."""

    def check(self, labels: Tensor, name: str) -> None:
        """Raises InputError unless ``labels`` (all of a corpus) can be learned; ``name`` is the target's."""

    def known(self, labels: Tensor) -> Tensor:
        """(B,): True where a label is given."""

    def losses(self, scores: Tensor, labels: Tensor, counted: Counted = None) -> Tensor:
        """Scores (B, C) and labels (B, …) → (B,) losses, 0 where the label is missing.

        The loss of a batch is their mean over the samples that count. A loss that is a figure of the whole batch
        needs to be told them; others leave ``counted`` aside.
        """

    def answers(self, scores: Tensor) -> Tensor:
        """(n, K): probabilities of the classes or labels, or for a regression (n, 1), the value in its own units."""

    def metrics(self, scores: Tensor, labels: Tensor) -> Metrics:
        """Figures over a whole data set, by name; NaN where nothing can be measured."""

    def example(self, samples: int) -> Tensor:
        """Labels to try a network with, where there are no data."""

"""What every head said about every sample: the table that the analysis of interference starts from.

Letters: n samples, C classes. A head is ``fused`` or a branch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from mrpnkit.arrays import Bools, Floats, Ints
from mrpnkit.errors import InputError
from mrpnkit.names import FUSED
from mrpnkit.targets import Kind

KINDS: tuple[Kind, ...] = ("classification", "ordinal")
"""Of targets whose answers are classes."""
APART = "The runs cannot be compared sample by sample"


class Outcomes(NamedTuple):
    """The probabilities of all heads for n labelled samples of one target, each judged by a network that never saw it.

    Attributes:
        ids: (n,) names of the samples; one name stands once a fold and seed.
        folds: (n,) number of the fold that tested the sample.
        labels: (n,) true classes.
        classes: names of the C classes.
        probabilities: (n, C) of each head, the fusion first; a row is NaN where the head had nothing to judge by.
        groups: (n,) texts of each column of the data set, such as the actor.
        kind: of the target. A head decides for the most probable class of a ``"classification"``, and for the median
            of an ``"ordinal"``, as :class:`~mrpnkit.targets.Ordinal` answers.
    """

    ids: NDArray[Any]
    folds: Int64[Ints, "samples"]
    labels: Int64[Ints, "samples"]
    classes: tuple[str, ...]
    probabilities: dict[str, Float64[Floats, "samples classes"]]
    groups: dict[str, NDArray[Any]]
    kind: Kind = "classification"

    @classmethod
    def of(
        cls,
        probabilities: Mapping[str, NDArray[np.float64]],
        labels: Sequence[int] | NDArray[np.int64],
        *,
        classes: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        folds: Sequence[int] | NDArray[np.int64] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        kind: Kind = "classification",
    ) -> "Outcomes":
        """From arrays; samples without a label (−1) are left out.

        Raises:
            InputError: no head ``fused``, numbers of samples or classes that differ, labels out of range, a kind
                without classes.

        >>> Outcomes.of({"fused": np.eye(2), "audio": np.ones((2, 2)) / 2}, [0, 1]).accuracy("fused")
        1.0
        """
        if kind not in KINDS:
            raise InputError(
                f"Outcomes of kind {kind!r}; expected {' or '.join(map(repr, KINDS))}, whose answers are classes."
            )
        truth = np.asarray(labels, dtype=np.int64)
        count = len(truth)
        if FUSED not in probabilities:
            raise InputError(f"Outcomes need the head {FUSED!r}; there are {', '.join(probabilities) or 'none'}.")
        width = np.asarray(probabilities[FUSED]).shape[-1]
        names = tuple(classes) if classes is not None else tuple(map(str, range(width)))
        for head, values in probabilities.items():
            if np.shape(values) != (count, len(names)):
                raise InputError(
                    f"Outcomes: the probabilities of {head!r} have shape {np.shape(values)}; expected "
                    f"({count}, {len(names)}), a row a label and a column a class."
                )
        if count and not -1 <= truth.min() <= truth.max() < len(names):
            raise InputError(f"Outcomes: labels from {truth.min()} to {truth.max()} for {len(names)} classes.")
        columns = {name: np.asarray(list(values), dtype=np.str_) for name, values in (groups or {}).items()}
        called = np.asarray(list(ids) if ids is not None else [str(row) for row in range(count)], dtype=np.str_)
        number = np.asarray(folds if folds is not None else np.ones(count), dtype=np.int64)
        for what, found in (("ids", called), ("folds", number), *columns.items()):
            if len(found) != count:
                raise InputError(f"Outcomes: {len(found)} {what} for {count} labels.")
        known = truth >= 0
        order = [FUSED, *(head for head in probabilities if head != FUSED)]
        return cls(
            called[known],
            number[known],
            truth[known],
            names,
            {head: np.asarray(probabilities[head], dtype=np.float64)[known] for head in order},
            {name: values[known] for name, values in columns.items()},
            kind,
        )

    @property
    def heads(self) -> list[str]:
        """``fused``, then the branches."""
        return list(self.probabilities)

    @property
    def branches(self) -> list[str]:
        """The heads without ``fused``."""
        return [head for head in self.probabilities if head != FUSED]

    def judged(self, head: str) -> Bool[Bools, "samples"]:
        """(n,): True where the head had something to judge by."""
        return np.asarray(~np.isnan(self.probabilities[head]).any(axis=1))

    def decided(self, head: str) -> Int64[Ints, "samples"]:
        """(n,): the most probable class, or of an ordinal target the median; −1 where there was nothing to judge by."""
        p = np.nan_to_num(self.probabilities[head], nan=-1.0)
        if self.kind == "ordinal":
            best = (p[:, :0:-1].cumsum(axis=1) > 0.5).sum(axis=1)  # P(y > k), from the last step up to the first
        else:
            best = p.argmax(axis=1)
        return np.where(self.judged(head), best, -1)

    def confidence(self, head: str) -> Float64[Floats, "samples"]:
        """(n,): the probability of the class that the head decides for, NaN where it had nothing to judge by."""
        p = self.probabilities[head][np.arange(len(self.labels)), self.decided(head)]
        return np.where(self.judged(head), p, np.nan)

    def right(self, head: str) -> Bool[Bools, "samples"]:
        """(n,): True where the head decides for the true class."""
        return np.asarray(self.decided(head) == self.labels)

    def accuracy(self, head: str) -> float:
        """Share of the samples that the head judged and got right; NaN where it judged none."""
        judged = self.judged(head)
        return float(self.right(head)[judged].mean()) if judged.any() else float("nan")

    def confusion(self, head: str) -> Int64[Ints, "classes classes"]:
        """Counts (C, C), rows labels and columns decisions, over the samples that the head judged."""
        judged, size = self.judged(head), len(self.classes)
        cells = self.labels[judged] * size + self.decided(head)[judged]
        return np.bincount(cells, minlength=size * size).reshape(size, size)

    def beside(self, head: str, other: "Outcomes", of: str = FUSED) -> "Outcomes":
        """These outcomes with another run's head as a further one, such as a modality that was trained alone.

        Raises:
            InputError: the name is taken; the other run tested other samples, or in other folds, or they have other
                labels; a sample stands twice in a fold.
        """
        if head in self.probabilities:
            raise InputError(f"Outcomes have a head {head!r} already; give the other run's another name.")
        ours, theirs = self._keys(), other._keys()
        for where, keys in (("here", ours), ("there", theirs)):
            for (name, fold), times in Counter(keys).most_common(1):
                if times > 1:
                    raise InputError(
                        f"{APART}: {name!r} stands {times} times in fold {fold} {where}, so that which is which "
                        "cannot be told. Give every sample a name of its own, and compare one seed at a time."
                    )
        place = {key: row for row, key in enumerate(theirs)}
        lacking = [key for key in ours if key not in place]
        if lacking or len(theirs) != len(ours) or (other.classes, other.kind) != (self.classes, self.kind):
            raise InputError(
                f"{APART}: {len(ours)} samples of {len(self.classes)} classes ({self.kind}) here, {len(theirs)} of "
                f"{len(other.classes)} ({other.kind}) there, {len(lacking)} of ours not among them. Train both on the "
                "same data, folds and targets."
            )
        rows = np.array([place[key] for key in ours], dtype=np.int64)
        differing = np.flatnonzero(other.labels[rows] != self.labels)
        if len(differing):
            row = differing[0]
            raise InputError(
                f"{APART}: {ours[row][0]!r} is {self.classes[self.labels[row]]!r} here and "
                f"{self.classes[other.labels[rows[row]]]!r} there ({len(differing)} such). Train both on the same data."
            )
        return self._replace(probabilities={**self.probabilities, head: other.probabilities[of][rows]})

    def only(self, keep: Bool[Bools, "samples"]) -> "Outcomes":
        """The outcomes of some samples."""
        return Outcomes(
            self.ids[keep],
            self.folds[keep],
            self.labels[keep],
            self.classes,
            {head: values[keep] for head, values in self.probabilities.items()},
            {name: values[keep] for name, values in self.groups.items()},
            self.kind,
        )

    def _keys(self) -> list[tuple[str, int]]:
        return list(zip(self.ids.tolist(), self.folds.tolist(), strict=True))

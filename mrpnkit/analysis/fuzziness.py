"""Where a modality misleads: what a branch says about some samples is worse than saying nothing.

A class that is hard for a modality is no fault: the branch has seen in training how little it can tell, and a branch
that knows its limits never says less than nothing about any class, however hard. With p(c) its probability, π(c) the
share of the class, and u = p(c) / π(c),

    E[g(u) | class c] ≥ 0   whenever u · g(u) is convex and g(1) = 0,

since among the samples of class c the law of u is that of all samples weighted by u, and E[u] = 1 (Jensen). Here
g(u) = log₂ (0.1 + 0.9 u), the information in bits of somebody who trusts the branch by nine tenths and guesses else:
at most log₂ 10 is lost on a sample, so that a few surely wrong ones do not decide. A mean below 0 says that in this
class, fold or group the modality shows something else than what it showed in training: the *fuzzy modality* of the
paper. Of that, and of whether the fusion is worse there than the best other branch, tests are made.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.analysis.axes import ALL, axes_of, members
from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.analysis.significance import Interval, below_zero, bootstrap, holm, holm_of_candidates, sign_flip
from mrpnkit.names import FUSED

TRUST = 0.9
"""How much of the branch is believed; the rest is a guess."""
MOST = 0.5
"""At most this share of the samples is left out of the fit of a temperature."""
LEAST = 1e-12
"""Probabilities are taken as this at least, so that their logarithm is finite."""


class Fuzzy(NamedTuple):
    """A branch on some of the samples, and the fusion there.

    Attributes:
        axis: ``all``, ``class``, ``fold``, or the name of a group.
        value: which class, fold or group; empty for all.
        branch: who may mislead.
        samples: how many it judged here.
        accuracy, elsewhere: its accuracy here and on all other samples; NaN where there are none.
        information: what it says of the true class here, in bits a sample, with its interval; below 0 is worse
            than nothing.
        p: could that be 0 or more?
        adjusted: that p, adjusted for all cells of all axes (:func:`~mrpnkit.analysis.holm_of_candidates`).
        other: the branch that says most on the other samples; empty where there is no other.
        fused, better: accuracies of the fusion and of ``other`` on the samples that both judged here.
        follows: could the fusion say as much here as ``other``? Adjusted for all cells (Holm); 1 where none misleads.
    """

    axis: str
    value: str
    branch: str
    samples: int
    accuracy: float
    elsewhere: float
    information: Interval
    p: float
    adjusted: float
    other: str = ""
    fused: float = math.nan
    better: float = math.nan
    follows: float = 1.0

    def misleads(self, level: float = 0.05) -> bool:
        """Whether the branch is worse than nothing here by more than chance, all cells of all axes considered."""
        return self.adjusted < level

    def followed(self, level: float = 0.05) -> bool:
        """Whether, besides, the fusion is worse here than the best other branch by more than chance."""
        return self.misleads(level) and self.follows < level

    def plain(self) -> dict[str, Any]:
        """As plain data for a table."""
        low, high = self.information.low, self.information.high
        row = {**self._asdict(), "information": self.information.value, "low": low, "high": high}
        return {**row, "misleads": self.misleads(), "followed": self.followed()}


def fuzziness(
    outcomes: Outcomes,
    *,
    cluster: str | None = None,
    axes: Sequence[str] | None = None,
    draws: int = 2000,
    level: float = 0.05,
) -> list[Fuzzy]:
    """Looks at every branch in every class, fold and group, and over all samples, for what misleads.

    The probabilities are first softened by one temperature a branch, which makes the whole of them fit best, and never
    sharpened (:func:`temperature`). What is found to mislead is then left out of that fit, up to half of the samples,
    and all is looked at again, until nothing more is found: what misleads in one place would excuse another, since it
    makes the temperature high. A branch that says nothing on the other samples either misleads nowhere in particular:
    only ``all`` names it.

    Args:
        outcomes: of all heads.
        cluster: the group whose samples belong together, such as the actor. Where five or more of them are in a cell,
            the tests are t tests over their means, which speak of other actors too; where fewer are, tests over samples
            (:func:`~mrpnkit.analysis.below_zero`), which speak of these actors.
        axes: which groups are looked at; by default all that have at most 60 values.
        draws: of the bootstrap.
        level: cells that mislead at it are compared with the fusion.

    >>> labels = np.repeat([0, 1, 2], 40)
    >>> shows = np.where(labels == 2, np.arange(120) % 2, labels)  # class 2 looks like one of the others
    >>> video, audio = (0.9 * np.eye(3)[seen] + 0.1 / 3 for seen in (labels, shows))
    >>> cells = fuzziness(Outcomes.of({"fused": audio, "video": video, "audio": audio}, labels))
    >>> [(cell.axis, cell.value, cell.branch, cell.followed()) for cell in cells if cell.misleads()]
    [('class', '2', 'audio', True)]
    """
    clusters = outcomes.groups.get(cluster) if cluster is not None else None
    left_out = {head: np.zeros(len(outcomes.labels), dtype=np.bool_) for head in outcomes.heads}
    while True:
        said = {head: information(outcomes, head, held) for head, held in left_out.items()}
        made = _cells(outcomes, said, clusters, axes, draws)
        named = {head: held.copy() for head, held in left_out.items()}
        for cell, inside in made:
            if cell.axis != ALL and cell.misleads(level):
                named[cell.branch] |= inside
        grown = {head: held for head, held in named.items() if (held > left_out[head]).any() and held.mean() <= MOST}
        if not grown:
            break
        left_out |= grown
    compared = [_compare(outcomes, cell, inside, said, clusters) if cell.misleads(level) else cell
                for cell, inside in made]  # fmt: skip
    follows = holm([cell.follows for cell in compared])
    return [cell._replace(follows=p) for cell, p in zip(compared, follows, strict=True)]


def information(outcomes: Outcomes, head: str, left_out: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """(n,): the :func:`gain` of every sample in bits, NaN where the head had nothing to judge by.

    Of the softened probability of the true class over its :func:`reference`; samples that are ``left_out`` are softened
    by the temperature of the others.
    """
    judged = outcomes.judged(head)
    fit = judged if left_out is None or not (judged & ~left_out).any() else judged & ~left_out
    found = np.full(len(judged), np.nan)
    if judged.any():
        labels = outcomes.labels[judged]
        logits = np.log(np.maximum(outcomes.probabilities[head], LEAST))
        best = temperature(logits[fit], outcomes.labels[fit])
        softened = np.exp(_log_softmax(logits[judged] / best)[np.arange(len(labels)), labels])
        found[judged] = gain(softened / reference(outcomes, head)[labels])
    return found


def gain(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of ratios u: log₂ (1 − t + t u) with the trust t = 0.9; 0 at 1."""
    return np.asarray(np.log2(1 - TRUST + TRUST * ratio))


def reference(outcomes: Outcomes, head: str) -> NDArray[np.float64]:
    """(C,): what a guess gives to each class: its share of the samples that the head judged, 1 / C at most.

    A head that was trained with all classes weighed alike may give a frequent one no more than 1 / C without a fault.
    """
    counts = np.bincount(outcomes.labels[outcomes.judged(head)], minlength=len(outcomes.classes))
    return np.asarray(np.minimum(counts / max(1, counts.sum()), 1 / len(outcomes.classes)))


def temperature(logits: NDArray[np.float64], labels: NDArray[np.int64], *, largest: float = 100.0) -> float:
    """The temperature T, 1 to ``largest``, at which softmax(logits / T) has the least log loss (Guo et al. 2017).

    The loss is convex in 1 / T; its least is found by golden section.

    >>> round(temperature(np.array([[3.0, 0.0]] * 4), np.array([0, 0, 0, 1])), 2)  # three of four: log 3
    2.73
    """

    def loss(inverse: float) -> float:
        return float(-_log_softmax(logits * inverse)[np.arange(len(labels)), labels].sum())

    low, high, part = 1 / largest, 1.0, (math.sqrt(5) - 1) / 2
    left, right = high - part * (high - low), low + part * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(40):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - part * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + part * (high - low)
            at_right = loss(right)
    return 2 / (low + high)


def _cells(
    outcomes: Outcomes,
    said: dict[str, NDArray[np.float64]],
    clusters: NDArray[np.str_] | None,
    axes: Sequence[str] | None,
    draws: int,
) -> list[tuple[Fuzzy, NDArray[np.bool_]]]:
    """Every branch in every place, with (n,) which samples are in it; p values adjusted, the fusion not looked at."""
    made: list[tuple[Fuzzy, NDArray[np.bool_]]] = []
    for axis in axes_of(outcomes, axes):
        for value, inside in members(outcomes, axis).items():
            for branch in outcomes.branches:
                here = inside & outcomes.judged(branch)
                if here.any():
                    belongs = clusters[here] if clusters is not None else None
                    made.append((_cell(outcomes, (axis, value, branch), here, said[branch], belongs, draws), inside))
    adjusted = holm_of_candidates([cell.p for cell, _ in made])
    return [(cell._replace(adjusted=p), inside) for (cell, inside), p in zip(made, adjusted, strict=True)]


def _cell(
    outcomes: Outcomes,
    place: tuple[str, str, str],
    here: NDArray[np.bool_],
    said: NDArray[np.float64],
    clusters: NDArray[np.str_] | None,
    draws: int,
) -> Fuzzy:
    axis, value, branch = place
    right, judged = outcomes.right(branch), outcomes.judged(branch)
    others = judged & ~here
    elsewhere = float(right[others].mean()) if others.any() else math.nan
    most = float(gain(1 / reference(outcomes, branch)[outcomes.labels[here]]).max())
    informed = axis == ALL or (others.any() and float(said[others].mean()) > 0)
    p = below_zero(said[here], clusters, most=most) if informed else 1.0
    told = bootstrap(said[here], clusters, draws=draws)
    return Fuzzy(axis, value, branch, int(here.sum()), float(right[here].mean()), elsewhere, told, p, p)


def _compare(
    outcomes: Outcomes,
    cell: Fuzzy,
    inside: NDArray[np.bool_],
    said: dict[str, NDArray[np.float64]],
    clusters: NDArray[np.str_] | None,
) -> Fuzzy:
    """The fusion beside the branch that says most outside of the cell, so that the cell does not choose it."""
    worth = {}
    for branch in outcomes.branches:
        known = outcomes.judged(branch) & (~inside if cell.axis != ALL else inside)
        if branch != cell.branch and known.any():
            worth[branch] = float(said[branch][known].mean())
    if not worth:
        return cell
    other = max(worth, key=lambda branch: worth[branch])
    both = inside & outcomes.judged(FUSED) & outcomes.judged(other)
    if not both.any():
        return cell
    belongs = clusters[both] if clusters is not None else None
    follows = sign_flip(said[FUSED][both] - said[other][both], belongs)
    fused, better = (float(outcomes.right(head)[both].mean()) for head in (FUSED, other))
    return cell._replace(other=other, fused=fused, better=better, follows=follows)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

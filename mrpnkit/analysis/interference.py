"""Where the fusion loses to a single modality: by class, by group, by fold, and which samples.

The paper found one pair of actors on which the video alone was better than the fusion, and made its network for such
*inferior cases* (section 4.4). Here they are looked for: for every class, every value of every group and every fold,
each branch is compared with the fusion on the same samples.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.analysis.axes import axes_of, members
from mrpnkit.analysis.fuzziness import Fuzzy, fuzziness
from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.analysis.significance import Interval, bootstrap, cluster_t_test, holm, mcnemar, several
from mrpnkit.names import FUSED

MCNEMAR, BOTH = "McNemar", "McNemar, and t over clusters"


class Cell(NamedTuple):
    """A branch beside the fusion on some of the samples.

    Attributes:
        axis: ``all``, ``class``, ``fold``, or the name of a group.
        value: which class, fold or group; empty for all.
        branch: who is compared with the fusion.
        samples: how many both judged.
        fused, alone: their accuracies, as fractions.
        lost: samples where the fusion is wrong and the branch right.
        won: samples where the fusion is right and the branch wrong.
        gain: fused − alone with an interval (:func:`~mrpnkit.analysis.bootstrap`).
        p: of McNemar's exact test. It takes samples as independent, which those of one person are not: where five
            clusters or more are in the cell, Student's t test over them has to agree, and the larger p counts
            (:func:`~mrpnkit.analysis.cluster_t_test`).
        adjusted: that p, adjusted for all cells of the same axis (Holm).
        test: ``"McNemar"``, or ``"McNemar, and t over clusters"``.
    """

    axis: str
    value: str
    branch: str
    samples: int
    fused: float
    alone: float
    lost: int
    won: int
    gain: Interval
    p: float
    adjusted: float
    test: str = MCNEMAR

    @property
    def inferior(self) -> bool:
        """Whether the branch is better than the fusion here, at all."""
        return self.lost > self.won

    def established(self, level: float = 0.05) -> bool:
        """Whether the difference, whichever its sign, is more than chance, all cells of the axis considered."""
        return self.adjusted < level

    def plain(self) -> dict[str, Any]:
        """As plain data for a table."""
        row = {**self._asdict(), "gain": self.gain.value, "low": self.gain.low, "high": self.gain.high}
        return {**row, "inferior": self.inferior, "established": self.established()}


class Interference(NamedTuple):
    """All cells of all axes; the samples behind a cell are found by :meth:`samples`.

    ``cells`` compare each branch with the fusion; ``fuzzy`` say whether a branch misleads, and the fusion follows it.
    """

    outcomes: Outcomes
    cells: list[Cell]
    fuzzy: list[Fuzzy]

    def on(self, axis: str) -> list[Cell]:
        """The cells of an axis."""
        return [cell for cell in self.cells if cell.axis == axis]

    @property
    def axes(self) -> list[str]:
        """``all``, ``class``, ``fold`` and the groups."""
        return list(dict.fromkeys(cell.axis for cell in self.cells))

    @property
    def inferior_cases(self) -> list[Cell]:
        """Where a single modality beats the fusion by more than chance, the clearest first; of all axes.

        The chance of a false one is held below the level within each axis, and not over all of them together.
        """
        found = [cell for cell in self.cells if cell.inferior and cell.established()]
        return sorted(found, key=lambda cell: (cell.adjusted, cell.gain.value))

    @property
    def misleading(self) -> list[Fuzzy]:
        """Where a branch is worse than nothing by more than chance, the worst first."""
        found = [cell for cell in self.fuzzy if cell.misleads()]
        return sorted(found, key=lambda cell: cell.information.value)

    def taken_elsewhere(self, cell: Cell) -> tuple[float, float]:
        """Of a cell of a class: the shares of the other classes' samples that fusion and branch take for that class.

        NaN for cells of other axes, and where both judged no sample of another class.
        """
        if cell.axis != "class":
            return math.nan, math.nan
        outside = ~members(self.outcomes, cell.axis)[cell.value]
        both = outside & self.outcomes.judged(FUSED) & self.outcomes.judged(cell.branch)
        if not both.any():
            return math.nan, math.nan
        number = self.outcomes.classes.index(cell.value)
        fused, alone = (float((self.outcomes.decided(head)[both] == number).mean()) for head in (FUSED, cell.branch))
        return fused, alone

    def habit(self, cell: Cell) -> bool:
        """Whether a branch is right in a class because it says that class more often, and not because it knows it.

        By class, accuracy is recall: who always says one class is right on all of its samples. What counts for the
        branch is therefore how much more often it says the class of its samples than of the others (Youden's J 1950);
        where that is no more than the fusion's, its gain in the class is bought in the other ones.
        """
        fused, alone = self.taken_elsewhere(cell)
        return cell.inferior and cell.alone - alone <= cell.fused - fused

    def samples(self, cell: Cell) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the outcomes that are lost to the branch, and rows that are won from it."""
        inside = members(self.outcomes, cell.axis)[cell.value]
        both = inside & self.outcomes.judged(FUSED) & self.outcomes.judged(cell.branch)
        fused, alone = self.outcomes.right(FUSED), self.outcomes.right(cell.branch)
        return np.flatnonzero(both & ~fused & alone), np.flatnonzero(both & fused & ~alone)


def interference(
    outcomes: Outcomes, *, cluster: str | None = None, axes: Sequence[str] | None = None, draws: int = 2000
) -> Interference:
    """Compares every branch with the fusion, over all samples and by class, fold and group.

    Args:
        outcomes: of all heads.
        cluster: the group whose samples belong together, such as the actor: where five or more of them are in a
            cell, the interval is over whole ones, and a test over them has to agree, so that both speak of others too.
        axes: which groups are looked at; by default all that have at most 60 values.
        draws: of the bootstrap.

    The same cells are searched for branches that mislead (:func:`~mrpnkit.analysis.fuzziness`).

    >>> fused, audio = np.eye(2)[[0, 1, 1, 1]], np.eye(2)[[0, 0, 1, 1]]
    >>> found = interference(Outcomes.of({"fused": fused, "audio": audio}, [0, 0, 1, 1]))
    >>> cell = found.on("all")[0]
    >>> cell.fused, cell.alone, cell.lost, cell.won
    (0.75, 1.0, 1, 0)
    """
    clusters = outcomes.groups.get(cluster) if cluster is not None else None
    fused = outcomes.right(FUSED)
    cells: list[Cell] = []
    for axis in axes_of(outcomes, axes):
        made = [
            _cell(outcomes, axis, value, branch, inside, fused, clusters, draws)
            for value, inside in members(outcomes, axis).items()
            for branch in outcomes.branches
        ]
        known = [cell for cell in made if cell is not None]
        adjusted = holm([cell.p for cell in known])
        cells += [cell._replace(adjusted=p) for cell, p in zip(known, adjusted, strict=True)]
    return Interference(outcomes, cells, fuzziness(outcomes, cluster=cluster, axes=axes, draws=draws))


def _cell(
    outcomes: Outcomes,
    axis: str,
    value: str,
    branch: str,
    inside: NDArray[np.bool_],
    fused: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
    draws: int,
) -> Cell | None:
    both = inside & outcomes.judged(FUSED) & outcomes.judged(branch)
    if not both.any():
        return None
    ours, theirs = fused[both], outcomes.right(branch)[both]
    lost, won = int((~ours & theirs).sum()), int((ours & ~theirs).sum())
    gains = ours.astype(np.float64) - theirs
    belongs = clusters[both] if clusters is not None else None
    gain = bootstrap(gains, belongs, draws=draws)
    p, test = mcnemar(lost, won), MCNEMAR
    if belongs is not None and several(belongs):
        p, test = max(p, cluster_t_test(gains, belongs)), BOTH
    accuracies = float(ours.mean()), float(theirs.mean())
    return Cell(axis, value, branch, len(ours), *accuracies, lost, won, gain, p, adjusted=p, test=test)

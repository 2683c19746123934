"""Targets: what is predicted, and how scores become a loss, an answer and metrics.

========================== ============================ ======================= ==================
kind                       labels                       scores of a head        missing
========================== ============================ ======================= ==================
:class:`Classification`    int64 (n,), a class          C, one a class          −1
:class:`MultiLabel`        int64 (n, L) of 0 and 1      L, one a label          −1, each by itself
:class:`Regression`        float32 (n,), a value        1                       NaN
:class:`Ordinal`           int64 (n,), a class in order K − 1, one a step up    −1
========================== ============================ ======================= ==================
"""

from mrpnkit.targets.classification import Classification
from mrpnkit.targets.multilabel import MultiLabel
from mrpnkit.targets.ordinal import Ordinal
from mrpnkit.targets.regression import Regression
from mrpnkit.targets.target import Counted, Kind, Metrics, Target

__all__ = [
    "KINDS",
    "Classification",
    "Counted",
    "Kind",
    "Metrics",
    "MultiLabel",
    "Ordinal",
    "Regression",
    "Target",
    "minimised",
]

KINDS: dict[Kind, type[Classification] | type[MultiLabel] | type[Regression] | type[Ordinal]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "regression": Regression,
    "ordinal": Ordinal,
}
"""The kinds by the word that a configuration has for them."""


def minimised(metric: str) -> bool:
    """Whether a metric of ours, ``loss`` or ``target/head/name``, is better when it is less.

    Names mean the same in every kind of target. Of a target of your own, :meth:`mrpnkit.Objective.minimises` knows it.

    >>> minimised("valence/fused/mae"), minimised("emotion/audio/uar"), minimised("loss")
    (True, False, True)
    """
    return any(metric.rpartition("/")[2] in kind.minimised for kind in KINDS.values())

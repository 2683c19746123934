"""The cells that a table of outcomes is looked at in: all samples, every class, every fold, every value of a group."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.data.folds import natural

ALL, CLASS, FOLD = "all", "class", "fold"
LARGEST = 60
"""Groups of more values than these are not looked at unless asked for."""


def axes_of(outcomes: Outcomes, groups: Sequence[str] | None = None) -> list[str]:
    """``all``, ``class``, ``fold`` where there are several, and groups: those named, or all of 2 to 60 values."""
    fitting = [name for name, values in outcomes.groups.items() if 1 < len(set(values.tolist())) <= LARGEST]
    chosen = fitting if groups is None else [name for name in groups if name in outcomes.groups]
    return [ALL, CLASS, *([FOLD] if len(set(outcomes.folds.tolist())) > 1 else []), *chosen]


def members(outcomes: Outcomes, axis: str) -> dict[str, NDArray[np.bool_]]:
    """By value of the axis, (n,): which samples have it; classes in their order, others in natural order."""
    if axis == ALL:
        return {"": np.ones(len(outcomes.labels), dtype=np.bool_)}
    if axis == CLASS:
        return {name: outcomes.labels == label for label, name in enumerate(outcomes.classes)}
    texts = outcomes.folds.astype(np.str_) if axis == FOLD else outcomes.groups[axis]
    return {value: texts == value for value in sorted(set(texts.tolist()), key=natural)}

"""What the labels of a data set are taken for, in a line a target, so that nobody is surprised by a class."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mrpnkit.config import Config
    from mrpnkit.data import Corpus

SHORT = 8
"""Classes that are shown before a training."""
DOUBTFUL = {"na", "n/a", "<na>", "nan", "null", "none"}
"""What other programs write for a label that is missing, in lower case."""


def label_lines(config: "Config", corpus: "Corpus", *, most: int | None = None) -> list[str]:
    """For each target that is trained its kind, its classes with numbers of samples, and how many labels are missing.

    A line of warning follows for classes that are called as other programs write a missing label, unless the data set's
    option ``classes`` names them, and for classes that no sample has.

    Args:
        config: which targets, and of what kind.
        corpus: their labels.
        most: classes that are shown; by default all.
    """
    from mrpnkit.build_targets import target_config, target_names

    lines, declared = [], config.dataset.options.get("classes") or {}
    for name in target_names(config, corpus):
        kind, labels = target_config(config, corpus, name).kind, corpus.targets[name]
        missing = int((np.isnan(labels) if labels.dtype.kind == "f" else labels < 0).sum())
        names = corpus.classes.get(name, [])
        counts = _counts(labels, len(names))
        found = _classes(names, counts, most) if names else _values(labels)
        lines.append(f"{name}: {kind}, {found}; {f'{missing} of {labels.size}' if missing else 'no'} labels missing")
        lines += [f"warning: {text}" for text in _warnings(name, names, counts, declared=name in declared)]
    return lines


def _classes(names: list[str], counts: list[int], most: int | None) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in list(zip(names, counts, strict=True))[:most])
    more = f" and {len(names) - most} more" if most is not None and len(names) > most else ""
    return f"{len(names)} {'class' if len(names) == 1 else 'classes'}: {shown}{more}"


def _values(labels: NDArray[Any]) -> str:
    known = labels[~np.isnan(labels)]
    if not len(known):
        return "0 numbers"
    low, high = known.min(), known.max()
    return f"{len(known)} numbers" + (f" from {low:g} to {high:g}" if low < high else f", all of them {low:g}")


def _counts(labels: NDArray[Any], classes: int) -> list[int]:
    """Samples of each class, or of which each label holds."""
    if not classes:
        return []
    counts = (labels == 1).sum(axis=0) if labels.ndim == 2 else np.bincount(labels[labels >= 0], minlength=classes)
    return [int(count) for count in counts]


def _warnings(target: str, names: list[str], counts: list[int], *, declared: bool) -> list[str]:
    from mrpnkit.data.datasets.places import listed

    found = []
    doubtful = [name for name in names if name.strip().lower() in DOUBTFUL]
    if doubtful and not declared:
        text = f"{listed(doubtful)} of {target!r} is taken for a class. If it says that a label is missing, leave the "
        found.append(f"{text}cell empty, or give None or −1 in arrays.")
    never = [name for name, count in zip(names, counts, strict=True) if not count]
    if never:
        numbered = names == [str(label) for label in range(len(names))]
        why = f" Whole numbers are the classes 0 to {len(names) - 1}, whether they occur or not." if numbered else ""
        found.append(f"no sample has {listed(never)} of {target!r}.{why}")
    return found

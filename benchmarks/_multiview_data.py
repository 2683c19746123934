"""Multi-view sets with labels: splits, scaling, and conflicting views."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data import Corpus

SETS = ("handwritten", "scene15", "landuse21", "rosmap")
TEST, VALIDATION = 0.2, 0.2
NOISY, SIGMA, CONFLICTING = 0.1, 0.5, 0.4

Views = dict[str, NDArray[np.float32]]


class Part(NamedTuple):
    """Some samples: each view (n, D) and the labels (n,)."""

    views: Views
    labels: NDArray[np.int64]

    def corpus(self, classes: int) -> Corpus:
        """The same for training."""
        return Corpus.from_arrays(
            dict(self.views), {"label": self.labels}, classes={"label": [*map(str, range(classes))]}
        )


class Split(NamedTuple):
    """What is trained on, and what is tried on, as it is and with conflicting views; views scaled to [0, 1]."""

    train: Part
    normal: Part
    conflicting: Part
    classes: int


def read(folder: Path, name: str) -> tuple[Part, Part | None]:
    """All samples of a set and None, or its fixed training and test part."""
    with np.load(folder / f"{name}.npz") as arrays:
        if "labels" in arrays:
            views = sorted(key for key in arrays if key.startswith("view"))
            return Part({view: arrays[view] for view in views}, arrays["labels"]), None
        kinds = [key.removesuffix("_train") for key in arrays if key.endswith("_train") and key != "labels_train"]
        train, test = (
            Part({kind: arrays[f"{kind}_{part}"] for kind in kinds}, arrays[f"labels_{part}"])
            for part in ("train", "test")
        )
        return train, test


@functools.lru_cache(maxsize=8)
def split(folder: Path, name: str, seed: int, *, validation: bool) -> Split:
    """The split of a seed.

    Where the set has no test part of its own, a random fifth is one. With ``validation`` nothing of the test part is
    used: a random fifth of the training part takes its place, and the rest is trained on.
    """
    every, fixed = read(folder, name)
    generator = np.random.default_rng((seed, 0))
    train, test = (every, fixed) if fixed is not None else _divided(every, TEST, generator)
    if validation:
        train, test = _divided(train, VALIDATION, np.random.default_rng((seed, 1)))
    classes = int(max(every.labels.max(), test.labels.max())) + 1
    low = {view: values.min(0) for view, values in train.views.items()}
    spread = {view: values.max(0) - low[view] for view, values in train.views.items()}

    def scaled(part: Part) -> Part:
        views = {
            view: ((values - low[view]) / np.where(spread[view] > 0, spread[view], 1)).astype(np.float32)
            for view, values in part.views.items()
        }
        return Part(views, part.labels)

    normal = scaled(test)
    return Split(scaled(train), normal, conflicting(normal, np.random.default_rng((seed, 2))), classes)


def conflicting(part: Part, generator: np.random.Generator) -> Part:
    """RCML's recipe: noise on a random view of a tenth, and for four tenths a view of a sample of another class.

    The noise is Gaussian with a standard deviation of 0.5 on views scaled to [0, 1]. Both are drawn over all samples,
    so that some have both. The view that a sample is given comes from a random sample of another class of the same
    part, as it was before the noise.
    """
    names, size = list(part.views), len(part.labels)
    views = {view: values.copy() for view, values in part.views.items()}
    for row in generator.choice(size, round(NOISY * size), replace=False):
        view = names[generator.integers(len(names))]
        views[view][row] += SIGMA * generator.standard_normal(views[view].shape[1], dtype=np.float32)
    for row in generator.choice(size, round(CONFLICTING * size), replace=False):
        view = names[generator.integers(len(names))]
        others = np.flatnonzero(part.labels != part.labels[row])
        views[view][row] = part.views[view][generator.choice(others)]
    return Part(views, part.labels)


def _divided(part: Part, share: float, generator: np.random.Generator) -> tuple[Part, Part]:
    """Two random parts, the second with the share of all samples."""
    order = generator.permutation(len(part.labels))
    held = round(share * len(order))
    return _rows(part, np.sort(order[held:])), _rows(part, np.sort(order[:held]))


def _rows(part: Part, rows: NDArray[np.int64]) -> Part:
    views: Mapping[str, NDArray[np.float32]] = part.views
    return Part({view: values[rows] for view, values in views.items()}, part.labels[rows])

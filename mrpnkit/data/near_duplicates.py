"""Samples that are nearly the same: with a little noise, rescaled bytes, or cut out of one another.

Equal bytes are found by one hash a sample (:mod:`mrpnkit.data.audit`). Here two more ways in which one recording comes
to stand twice are looked for, modality by modality: steps that differ by less than a tolerance, and samples that share
many of their steps, each found by its own hash.
"""

import hashlib
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.corpus import Corpus

LARGEST = 50_000
"""Of so many samples every pair is compared; of more only equal and shared steps are looked for."""

Pair = tuple[int, int]


class Scale(NamedTuple):
    """Mean and spread of each number of a step over all steps, flattened; a spread of 0 counts as 1."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]


def near_pairs(corpus: Corpus, modality: str, *, tolerance: float = 0.02) -> set[Pair]:
    """Pairs of rows, the smaller first, whose steps are as many and differ by less than a tolerance.

    The difference is the root mean square over all numbers of all steps, each in spreads of that number over the whole
    corpus: 0.02 is noise 34 dB below what tells samples apart. Candidates are found by the distance of short random
    projections of their means, and then compared step by step. All steps are read twice, and those of candidates again.
    """
    rows = np.flatnonzero(corpus.modalities[modality].lengths > 0)
    if len(rows) < 2 or len(rows) > LARGEST:
        return set()
    scale = scale_of(corpus, modality, rows)
    sketches = _sketches(corpus, modality, rows, scale)
    lengths = corpus.modalities[modality].lengths[rows]
    squares = (sketches**2).sum(axis=1)
    found: set[Pair] = set()
    for start in range(0, len(rows), 1024):
        block = slice(start, start + 1024)
        distances = squares[block, None] + squares[None] - 2 * sketches[block] @ sketches.T
        close = (distances < (3 * tolerance) ** 2) & (lengths[block, None] == lengths[None])
        for first, second in zip(*np.nonzero(close), strict=True):
            a, b = int(rows[start + first]), int(rows[second])
            if a < b and _difference(corpus, modality, a, b, scale) < tolerance:
                found.add((a, b))
    return found


def shared_pairs(corpus: Corpus, modality: str, *, share: float = 0.5) -> set[Pair]:
    """Pairs of rows, the smaller first, that have at least that share of the shorter one's steps in common.

    So a piece that was cut out of a recording is found beside the whole. Steps of fewer than four numbers tell too
    little to be looked at, and so do those that stand in more than four samples, such as silence; a sample needs four
    distinct others.
    """
    if corpus.features(modality) < 4:
        return set()
    steps_of: list[set[bytes]] = []
    owners: dict[bytes, list[int]] = defaultdict(list)
    for row in range(len(corpus)):
        steps = np.ascontiguousarray(corpus.read(modality, row))
        hashes = {hashlib.blake2b(step.tobytes(), digest_size=8).digest() for step in steps}
        steps_of.append(hashes)
        for key in hashes:
            owners[key].append(row)
    common: Counter[Pair] = Counter()
    rare: Counter[int] = Counter()
    for rows in owners.values():
        if len(rows) <= 4:
            rare.update(rows)
            common.update((a, b) for place, a in enumerate(rows) for b in rows[place + 1 :])
    return {
        (a, b)
        for (a, b), count in common.items()
        if min(rare[a], rare[b]) >= 4 and count >= share * min(rare[a], rare[b])
    }


def scale_of(corpus: Corpus, modality: str, rows: NDArray[np.int64]) -> Scale:
    """Mean and spread of each number of a step over the samples' steps, read one sample at a time."""
    width, count = corpus.features(modality), 0
    total, squares = np.zeros(width), np.zeros(width)
    for row in rows.tolist():
        steps = _flat(corpus, modality, row)
        total += steps.sum(axis=0)
        squares += (steps**2).sum(axis=0)
        count += len(steps)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return Scale(mean, np.where(spread > 1e-12, spread, 1.0))


def _sketches(corpus: Corpus, modality: str, rows: NDArray[np.int64], scale: Scale) -> NDArray[np.float64]:
    """(n, 16): the mean step of each sample, scaled and projected so that lengths are root mean squares."""
    width = corpus.features(modality)
    projection = np.random.default_rng(0).standard_normal((width, min(16, width))) / np.sqrt(min(16, width) * width)
    means = np.stack([_flat(corpus, modality, row).mean(axis=0) for row in rows.tolist()])
    found: NDArray[np.float64] = ((means - scale.mean) / scale.spread) @ projection
    return found


def _difference(corpus: Corpus, modality: str, first: int, second: int, scale: Scale) -> float:
    gap = (_flat(corpus, modality, first) - _flat(corpus, modality, second)) / scale.spread
    return float(np.sqrt((gap**2).mean()))


def _flat(corpus: Corpus, modality: str, row: int) -> NDArray[np.float64]:
    steps = corpus.read(modality, row)
    return np.asarray(steps, dtype=np.float64).reshape(len(steps), -1)

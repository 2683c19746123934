"""What the steps of a corpus are, in a few bytes: changed features are noticed, quickly also where they are many."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.arrays import Modality
from mrpnkit.data.corpus import Corpus

LIMIT = 2**28
"""Bytes of steps that are read, of all modalities together."""
_PIECE = 2**24


def digests_of(corpus: Corpus) -> dict[str, str]:
    """A digest of the type, the shape and the steps of each modality, by name; the same whether mapped or in memory.

    All steps count where they are :data:`LIMIT` bytes at most. Where they are more, each modality has an equal share
    of it; of one that exceeds its share the first, the middle and the last step of each sample count, and where those
    exceed it as well, one in so many of them.
    """
    total = sum(modality.steps.nbytes for modality in corpus.modalities.values())
    share = LIMIT if total <= LIMIT else LIMIT // len(corpus.modalities)
    return {name: _digest(modality, share) for name, modality in corpus.modalities.items()}


def _digest(modality: Modality, share: int) -> str:
    steps = modality.steps
    found = hashlib.blake2b(f"{steps.dtype.str} {tuple(steps.shape)}".encode(), digest_size=16)
    size = max(1, steps.nbytes // max(1, len(steps)))
    rows = None if steps.nbytes <= share else _few(modality.lengths, most=max(1, share // size))
    count = max(1, _PIECE // size)
    for start in range(0, len(steps) if rows is None else len(rows), count):
        part = slice(start, start + count)
        found.update((steps[part] if rows is None else steps[rows[part]]).tobytes())
    return found.hexdigest()


def _few(lengths: NDArray[np.int64], *, most: int) -> NDArray[np.int64]:
    """Rows of the first, the middle and the last step of each sample that has some, evenly thinned to ``most``."""
    ends, present = np.cumsum(lengths)[lengths > 0], lengths[lengths > 0]
    starts = ends - present
    rows = np.unique(np.concatenate([starts, starts + present // 2, ends - 1]))
    return rows[:: -(-len(rows) // most)]

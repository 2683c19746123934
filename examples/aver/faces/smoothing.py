"""From a face that is found in places and followed between them to one smooth path.

A detector says where the face is, but in coarse steps: its boxes jump by a tenth of their size while the face stands
still. A tracker says how the face moves, finely, but not where it is. So the tracker's path is moved by what the
detector says on average around each moment. Letters: F pictures, K key pictures.
"""

import numpy as np
from numpy.typing import NDArray

from examples.aver.faces.boxes import Boxes
from examples.aver.faces.following import Followed

Times = NDArray[np.float64]

BLOCK = 1024
"""Pictures whose distances to all key pictures are held at a time: memory grows with the movie, not with its square."""


def smooth_path(followed: Followed, times: Times, keys: NDArray[np.int64], found: Boxes, *, seconds: float) -> Boxes:
    """(F, 3) shapes: the tracker's, plus the mean difference of the detector's around them.

    Differences are averaged with a Gaussian weight in time, within a stretch that was followed without a new start.

    Args:
        followed: the tracker's path.
        times: (F,) seconds.
        keys: (K,) places of the key pictures.
        found: (K, 3) shapes of the faces found, NaN where there was none.
        seconds: standard deviation of the weight; sizes, which change less, are averaged over twice as long.
    """
    path = followed.shapes.copy()
    seen = np.isfinite(found).all(axis=1)
    for segment in np.unique(followed.segment[followed.segment >= 0]):
        inside = followed.segment == segment
        here = seen & inside[keys]
        offsets = found[here] - followed.shapes[keys[here]]
        places, known = np.flatnonzero(inside), times[keys[here]]
        for first in range(0, len(places), BLOCK):
            block = places[first : first + BLOCK]
            apart = times[block][:, None] - known[None, :]
            path[block, :2] += weighted_mean(offsets[:, :2], apart, seconds)
            path[block, 2:] += weighted_mean(offsets[:, 2:], apart, 2 * seconds)
    return path


def distance_to_nearest(times: Times, others: Times) -> Times:
    """(F,) seconds from each of the times to the nearest of (K,) others, K ≥ 1.

    >>> distance_to_nearest(np.array([0.0, 1.5, 9.0]), np.array([5.0, 1.0])).tolist()
    [1.0, 0.5, 4.0]
    """
    ordered = np.sort(others)
    after = np.searchsorted(ordered, times)
    before = (after - 1).clip(0)
    after = np.minimum(after, len(ordered) - 1)
    return np.asarray(np.minimum(np.abs(times - ordered[before]), np.abs(times - ordered[after])))


def weighted_mean(values: Boxes, apart: NDArray[np.float64], spread: float) -> Boxes:
    """Means of ``values`` (K, D) with Gaussian weights of the distances ``apart`` (F, K): (F, D).

    >>> weighted_mean(np.array([[1.0], [3.0]]), np.array([[1.0, -1.0]]), 0.5).tolist()
    [[2.0]]
    """
    exponents = -0.5 * (apart / spread) ** 2
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    return np.asarray(weights @ values / weights.sum(axis=1, keepdims=True))


def held(path: Boxes, times: Times, known: NDArray[np.bool_]) -> Boxes:
    """The path where it is ``known``, straight lines in time between, and its first and last value before and after.

    >>> path, known = np.array([[0.0], [9.0], [2.0], [9.0]]), np.array([True, False, True, False])
    >>> held(path, np.arange(4.0), known).ravel().tolist()
    [0.0, 1.0, 2.0, 2.0]
    """
    columns = [np.interp(times, times[known], path[known, column]) for column in range(path.shape[1])]
    return np.stack(columns, axis=1)


def softened(path: Boxes, times: Times, *, seconds: float) -> Boxes:
    """The path averaged with a narrow Gaussian weight, against the tracker's trembling of a pixel. (F, D) → (F, D)."""
    if len(path) < 3:
        return path
    out = np.empty_like(path)
    for place, time in enumerate(times):
        low, high = np.searchsorted(times, [time - 4 * seconds, time + 4 * seconds])
        apart = times[low : max(high, place + 1)] - time
        weights = np.exp(-0.5 * (apart / seconds) ** 2)
        out[place] = weights @ path[low : max(high, place + 1)] / weights.sum()
    return out

"""From time stamps as they come to a constant rate. Letters: F pictures of the file, T steps at the constant rate."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import InputError

Times = NDArray[np.float64]
Item = TypeVar("Item")


def nearest_frames(times: Times, *, rate: float, start: float = 0.0, end: float) -> NDArray[np.int64]:
    """Which picture each step of a constant rate shows: the one with the nearest time stamp, the earlier of two.

    Step k stands for the time ``start`` + k / ``rate``; there are as many steps as fit before ``end``, rounded, and at
    least one. A movie of this very rate comes out as it is.

    Args:
        times: (F,) seconds, F ≥ 1; they need not be sorted.
        rate: steps a second.
        start: of what is wanted, in seconds.
        end: of what is wanted, in seconds.

    Returns:
        (T,) places in ``times``.

    >>> nearest_frames(np.array([0.0, 0.1, 0.5]), rate=5, end=0.6).tolist()
    [0, 1, 2]

    Raises:
        InputError: no times, a rate that is not positive.
    """
    if not len(times):
        raise InputError("nearest_frames was given no times; expected at least one picture.")
    if not (np.isfinite(rate) and rate > 0):
        raise InputError(f"nearest_frames: the rate must be above 0 steps a second, got {rate}.")
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    steps = max(1, int(np.floor((end - start) * rate + 0.5)))
    wanted = start + np.arange(steps) / rate
    after = np.searchsorted(ordered, wanted).clip(1, max(1, len(ordered) - 1))
    before = after - 1
    after = np.minimum(after, len(ordered) - 1)
    later = ordered[after] - wanted < wanted - ordered[before] - 1e-9
    return np.asarray(order[np.where(later, after, before)], dtype=np.int64)


def in_order(items: Iterable[tuple[Item, float]], *, ahead: int) -> Iterator[tuple[Item, float]]:
    """Items, which come in the order in which they are shown, with the sorted times of them all.

    An item waits until ``ahead`` more have come, and takes the earliest time that is left. Where a time comes still
    later, items take the time of the one before them, so that times never go back.

    >>> list(in_order([("a", 0.0), ("b", 0.3), ("c", 0.1), ("d", 0.2)], ahead=2))
    [('a', 0.0), ('b', 0.1), ('c', 0.2), ('d', 0.3)]
    """
    waiting: deque[Item] = deque()
    times: list[float] = []
    latest = -np.inf
    for item, time in items:
        waiting.append(item)
        heapq.heappush(times, time)
        if len(waiting) > ahead:
            latest = max(latest, heapq.heappop(times))
            yield waiting.popleft(), latest
    for item in waiting:
        latest = max(latest, heapq.heappop(times))
        yield item, latest


def is_steady(times: Times, *, tolerance: float = 0.25) -> bool:
    """Whether the pictures follow each other at one distance, up to a share of it (time stamps are often rounded).

    >>> is_steady(np.array([0.0, 0.033, 0.067, 0.1])), is_steady(np.array([0.0, 0.03, 0.2]))
    (True, False)
    """
    distances = np.diff(np.sort(times))
    return len(distances) < 2 or bool(np.ptp(distances) <= 2 * tolerance * np.median(distances))


def largest_gap(times: Times, *, start: float, end: float) -> float:
    """The longest time within a slice, in seconds, in which no new picture comes; its beginning and end count.

    >>> round(largest_gap(np.array([0.5, 0.6, 0.7]), start=0.0, end=0.8), 3)
    0.5
    """
    inside = np.sort(times[(times >= start) & (times <= end)])
    return float(np.diff(np.concatenate([[start], inside, [end]])).max())

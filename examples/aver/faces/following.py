"""Following a face between key pictures with dlib's correlation tracker (Danelljan et al., 2014).

Letters: F pictures, K key pictures. A shape is centre x, centre y and the logarithm of the side.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.faces.boxes import Boxes, as_shapes, iou

AGREE = 0.3
"""Overlap (IoU) of the tracker with a found face below which the tracker is started anew at the face."""


class Followed(NamedTuple):
    """Where the tracker sees the face.

    Attributes:
        shapes: (F, 3) in pixels of the pictures searched.
        quality: (F,) the tracker's peak to side-lobe ratio; infinite where it was started, 0 where there was none.
        segment: (F,) number of the stretch that was followed without a new start; −1 where there was none.
    """

    shapes: Boxes
    quality: NDArray[np.float64]
    segment: NDArray[np.int64]


def follow(grey: NDArray[np.uint8], keys: NDArray[np.int64], boxes: Boxes) -> Followed:
    """Follows the face forward from the first key picture that shows it, and backward to the start.

    Args:
        grey: (F, H, W) uint8.
        keys: (K,) increasing places of the key pictures.
        boxes: (K, 4) the face there, NaN where it was not found.
    """
    count = len(grey)
    followed = Followed(np.zeros((count, 3)), np.zeros(count), np.full(count, -1, dtype=np.int64))
    found = {int(key): box for key, box in zip(keys, boxes, strict=True) if np.isfinite(box).all()}
    if not found:
        return followed
    first = min(found)
    _run(grey, range(first, count), found, followed, segment=0)
    if first:
        backward = Followed(followed.shapes.copy(), followed.quality.copy(), followed.segment.copy())
        _run(grey, range(first, -1, -1), {first: found[first]}, backward, segment=0)
        for target, source in zip(followed, backward, strict=True):
            target[:first] = source[:first]
    return followed


def _run(grey: NDArray[np.uint8], places: range, found: dict[int, Boxes], followed: Followed, *, segment: int) -> None:
    import dlib

    tracker: Any = dlib.correlation_tracker()
    for place in places:
        picture = np.ascontiguousarray(grey[place])
        quality = 0.0
        if place != places[0]:
            quality = tracker.update(picture)
            position = _box(tracker)
        if place in found and (place == places[0] or not iou(position, found[place]) >= AGREE):
            segment += place != places[0]
            tracker.start_track(picture, dlib.drectangle(*found[place][:2], *(found[place][2:] - 1)))
            position, quality = found[place], np.inf
        followed.shapes[place] = as_shapes(position)
        followed.quality[place] = quality
        followed.segment[place] = segment


def _box(tracker: Any) -> Boxes:
    box = tracker.get_position()
    return np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1])

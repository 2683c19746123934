"""Boxes as arrays (..., 4): left, top, right, bottom in pixels, right and bottom just outside."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def scaled(boxes: Boxes, wide: float, high: float) -> Boxes:
    """Boxes of a picture in those of another that is ``wide`` and ``high`` times as large.

    >>> scaled(np.array([1.0, 2, 3, 4]), 2, 10).tolist()
    [2.0, 20.0, 6.0, 40.0]
    """
    return np.asarray(boxes * np.array([wide, high, wide, high]))


def iou(one: Boxes, other: Boxes) -> Boxes:
    """Area of the intersection over that of the union (Jaccard), box by box; shapes broadcast.

    >>> float(iou(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2]))).__round__(3)
    0.333
    """
    width = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    height = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    shared = np.asarray(width.clip(0) * height.clip(0), dtype=np.float64)
    union = area(one) + area(other) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def area(boxes: Boxes) -> Boxes:
    """Width times height; 0 where a box has turned inside out."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clip(0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float64)


def as_shapes(boxes: Boxes) -> Boxes:
    """Centre x, centre y and the logarithm of the side of the square of equal area: (..., 4) → (..., 3).

    These are what is smoothed: a size is a factor, so its logarithm adds.
    """
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    side = np.sqrt(area(boxes)).clip(1e-3)
    return np.concatenate([centre, np.log(side)[..., None]], axis=-1)


def squares(shapes: Boxes, *, margin: float = 0.0) -> Boxes:
    """Centres and logarithms of sides (..., 3) → square boxes (..., 4), on each side larger by ``margin`` of the side.

    >>> squares(np.array([5.0, 5.0, np.log(4.0)]), margin=0.25).round(6).tolist()
    [2.0, 2.0, 8.0, 8.0]
    """
    half = np.exp(shapes[..., 2:]) * (0.5 + margin)
    return np.concatenate([shapes[..., :2] - half, shapes[..., :2] + half], axis=-1)


def inside_share(boxes: Boxes, *, width: int, height: int) -> Boxes:
    """Which share of a box's area lies in the picture.

    >>> float(inside_share(np.array([-5.0, 0, 5, 10]), width=100, height=50))
    0.5
    """
    kept = np.concatenate(
        [np.maximum(boxes[..., :2], 0), np.minimum(boxes[..., 2:], np.array([width, height]))], axis=-1
    )
    whole = area(boxes)
    return np.asarray(np.divide(area(kept), whole, out=np.zeros_like(whole), where=whole > 0))

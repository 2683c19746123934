"""Cutting a square out of a picture. Letters: H and W height and width, S side of the crop."""

import numpy as np
from numpy.typing import NDArray

from examples.aver.faces.boxes import Boxes


def crop(image: NDArray[np.uint8], box: Boxes, size: int) -> NDArray[np.uint8]:
    """What lies in a box, as (S, S, 3) uint8; what lies outside of the picture repeats the picture's border.

    Edges may lie between pixels. Reducing averages all pixels, enlarging interpolates between them.

    Args:
        image: (H, W, 3) uint8.
        box: left, top, right, bottom in pixels of the image.
        size: S.

    >>> crop(np.full((4, 4, 3), 7, np.uint8), np.array([-2.0, -2, 6, 6]), 2)[:, :, 0].tolist()
    [[7, 7], [7, 7]]
    """
    from PIL import Image

    height, width = image.shape[:2]
    # A border of some pixels more than the box, so that the filter finds what it needs around an edge.
    low = np.floor(box[:2]).astype(int) - 4
    high = np.ceil(box[2:]).astype(int) + 4
    rows = np.arange(low[1], high[1]).clip(0, height - 1)
    columns = np.arange(low[0], high[0]).clip(0, width - 1)
    if rows[0] == rows[-1] or columns[0] == columns[-1] or _clipped(low, high, width, height):
        cut = image[rows[:, None], columns]
    else:
        cut = image[low[1] : high[1], low[0] : high[0]]
    left, top, right, bottom = (float(edge) for edge in (*(box[:2] - low), *(box[2:] - low)))
    resized = Image.fromarray(np.ascontiguousarray(cut)).resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    return np.asarray(resized, dtype=np.uint8)


def _clipped(low: NDArray[np.int64], high: NDArray[np.int64], width: int, height: int) -> bool:
    return bool(low.min() < 0 or high[0] > width or high[1] > height)

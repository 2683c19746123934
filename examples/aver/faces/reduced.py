"""One pass over a movie that keeps small pictures only.

Grey ones of all, in which a face is followed, and coloured key pictures, in which it is searched.

Letters: F pictures, K key pictures, H and W height and width.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.movies import Damage, Facts, Picture, Pictures


class Reduced(NamedTuple):
    """A movie, reduced.

    Attributes:
        times: (F,) seconds since the movie's start, sorted.
        grey: (F, H, W) uint8, the longer side :data:`FOLLOWED` pixels at most.
        keys: (K,) which of the F pictures are key pictures.
        colour: (K, H', W', 3) uint8, the longer side ``searched`` pixels at most.
        width, height: of the upright picture of the movie, which boxes are measured in.
        turned: whether the pictures had to be turned or mirrored.
        facts: what the header says.
        damage: what was broken.
    """

    times: NDArray[np.float64]
    grey: NDArray[np.uint8]
    keys: NDArray[np.int64]
    colour: NDArray[np.uint8]
    width: int
    height: int
    turned: bool
    facts: Facts
    damage: Damage


FOLLOWED = 384
"""Pixels of the longer side of the pictures in which a face is followed."""


def reduce_movie(pictures: Pictures, *, searched: int, key_seconds: float) -> Reduced | None:
    """Decodes all of ``pictures`` once; None where there is none.

    There is a key picture every ``key_seconds``, from the first picture on; the last is one where it is far from those.
    Memory grows by some three megabytes a second. Where pictures change their size, all are scaled to the first.

    Raises:
        CorpusError: the file cannot be opened.
    """
    times: list[float] = []
    grey: list[NDArray[np.uint8]] = []
    keys: list[int] = []
    colour: list[NDArray[np.uint8]] = []
    width = height = 0
    small = large = (0, 0)
    turned = False
    last: Picture | None = None
    due = -np.inf
    for picture in pictures:
        if last is None:
            width, height = picture.width, picture.height
            small, large = (reduced_size(width, height, longer) for longer in (FOLLOWED, searched))
        times.append(picture.time)
        grey.append(picture.grey(*small))
        turned |= picture.turned
        if picture.time >= due - 1e-6:
            keys.append(len(grey) - 1)
            colour.append(picture.rgb(*large))
            due = picture.time + key_seconds
        last = picture
    if last is None or pictures.facts is None:
        return None
    if last.time - times[keys[-1]] > key_seconds / 2:
        keys.append(len(grey) - 1)
        colour.append(last.rgb(*large))
    return Reduced(
        np.array(times),
        np.stack(grey),
        np.array(keys),
        np.stack(colour),
        width,
        height,
        turned,
        pictures.facts,
        pictures.damage,
    )


STEP = 5 / 6
"""From one level of dlib's image pyramids to the next."""


def reduced_size(width: int, height: int, longer: int) -> tuple[int, int]:
    """Width and height with the longer side ``longer`` pixels at most; nothing is enlarged.

    The factor is a power of 5/6. dlib's detectors look at an image in steps of that factor, and the sizes of their
    boxes come in such steps. Reduced by a power of it, the movie shows a face in the very steps in which it would be
    seen at full size; by another factor the sizes would differ by up to a tenth.

    >>> reduced_size(1280, 720, 384), reduced_size(100, 50, 384)
    ((357, 201), (100, 50))
    """
    power = max(0, math.ceil(math.log(longer / max(width, height)) / math.log(STEP) - 1e-9))
    factor = STEP**power
    return max(1, round(width * factor)), max(1, round(height * factor))

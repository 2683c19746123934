"""Which face is followed, where a picture shows several. Letter: K key pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from examples.aver.faces.boxes import Boxes, iou
from examples.aver.faces.detectors import Detection

LINKED = 0.1
"""Overlap (IoU) from which on two faces of neighbouring key pictures are taken for the same."""


@dataclass
class _Chain:
    """Faces of one person: the place of the key picture and the face."""

    links: list[tuple[int, Detection]] = field(default_factory=list)

    @property
    def last(self) -> Boxes:
        return np.array(self.links[-1][1].box)

    @property
    def weight(self) -> float:
        """Sum of the sides: large and long in the picture is what counts."""
        return sum(float(np.sqrt((b[2] - b[0]) * (b[3] - b[1]))) for _, (b, _) in self.links)


def choose_face(found: Sequence[Sequence[Detection]]) -> list[Detection | None]:
    """The face of the person who is largest and longest in the picture, in each key picture; None where it is not seen.

    Faces of successive key pictures are linked where they overlap, the best overlap first. A chain that misses some key
    pictures goes on where a face turns up at its place.

    Args:
        found: the faces in each of the K key pictures.

    >>> left, right = Detection((0, 0, 10, 10), 1.0), Detection((50, 0, 58, 8), 1.0)
    >>> choose_face([[left, right], [right], []]) == [None, right, None]
    False
    >>> choose_face([[left, right], [left], []]) == [left, left, None]
    True
    """
    chains: list[_Chain] = []
    for place, faces in enumerate(found):
        pairs = sorted(
            (
                (float(iou(chain.last, np.array(face.box))), c, f)
                for c, chain in enumerate(chains)
                for f, face in enumerate(faces)
            ),
            key=lambda pair: (-pair[0], pair[1], pair[2]),
        )
        taken: set[int] = set()
        continued: set[int] = set()
        for overlap, c, f in pairs:
            if overlap < LINKED or c in continued or f in taken:
                continue
            chains[c].links.append((place, faces[f]))
            continued.add(c)
            taken.add(f)
        chains += [_Chain([(place, face)]) for f, face in enumerate(faces) if f not in taken]
    chosen: list[Detection | None] = [None] * len(found)
    if chains:
        for place, face in max(chains, key=lambda chain: chain.weight).links:
            chosen[place] = face
    return chosen

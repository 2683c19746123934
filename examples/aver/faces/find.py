"""The face of a movie: searched on key pictures, followed between them, smoothed; and what was odd about it.

Letters: F pictures, K key pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.faces.boxes import Boxes, as_shapes, inside_share, scaled, squares
from examples.aver.faces.choice import choose_face
from examples.aver.faces.detectors import DETECTORS, Detection, Detector
from examples.aver.faces.following import follow
from examples.aver.faces.reduced import Reduced, reduced_size
from examples.aver.faces.smoothing import distance_to_nearest, held, smooth_path, softened
from examples.aver.movies import Oddity
from mrpnkit.errors import InputError

CONFIDENT = 6.0
"""Peak to side-lobe ratio of the tracker from which on it is believed."""

SMALL = 48
"""Pixels of a face's side below which it is reported as small."""


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """How faces are found and cropped.

    Args:
        detector: one of :data:`~examples.aver.faces.DETECTORS`.
        widths: longer side, at most, of the pictures that are searched (see ``reduced_size``); the next one is tried
            where most of the first, the middle and the last key picture show no face at the one before.
        key_seconds: between key pictures.
        smooth_seconds: over which the detector's boxes are averaged, see :mod:`~examples.aver.faces.smoothing`.
        bridge_seconds: how far from a key picture that shows the face the tracker alone is believed.
        minimum_share: of pictures that show the face, below which the clip is taken to have none.
        size: of the crop, in pixels.
        margin: added to each side of the face's box, in parts of its side.

    Raises:
        InputError: a value out of its range.
    """

    detector: str = "dlib_cnn"
    widths: tuple[int, ...] = (384, 768)
    key_seconds: float = 0.75
    smooth_seconds: float = 1.0
    bridge_seconds: float = 1.0
    minimum_share: float = 0.5
    size: int = 112
    margin: float = 0.2

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 16 or list(self.widths) != sorted(set(self.widths)):
            raise InputError(f"FaceSettings: widths must be increasing and 16 or more, got {self.widths}.")
        for name in ("key_seconds", "smooth_seconds", "bridge_seconds"):
            if not getattr(self, name) > 0:
                raise InputError(f"FaceSettings: {name} must be above 0, got {getattr(self, name)}.")
        if not 0 <= self.minimum_share <= 1:
            raise InputError(f"FaceSettings: minimum_share must be from 0 to 1, got {self.minimum_share}.")
        if self.size < 8:
            raise InputError(f"FaceSettings: size must be 8 pixels or more, got {self.size}.")
        if self.margin < 0:
            raise InputError(f"FaceSettings: margin must be 0 or more, got {self.margin}.")

    def with_detector(self, detector: str) -> "FaceSettings":
        """The same with another detector; ``"none"``, for pictures that are crops already, has no margin."""
        kept = FaceSettings.margin if self.detector == "none" and detector != "none" else self.margin
        return replace(self, detector=detector, margin=0.0 if detector == "none" else kept)


class FacePath(NamedTuple):
    """The face of a movie.

    Attributes:
        boxes: (F, 4) squares around the face without a margin, in pixels of the upright picture; none (0, 4) where the
            movie shows no face.
        seen: (F,) where the face was found, or followed from where it was found.
        faces: (K,) how many faces each key picture shows.
        found: (K,) whether it shows the one that is followed.
        width: longer side of the pictures that were searched.
        oddities: what was odd.
    """

    boxes: Boxes
    seen: NDArray[np.bool_]
    faces: NDArray[np.int64]
    found: NDArray[np.bool_]
    width: int
    oddities: tuple[Oddity, ...]


def find_face(reduced: Reduced, settings: FaceSettings, *, detector: Detector | None = None) -> FacePath:
    """The path of one face through a movie.

    Args:
        reduced: the movie.
        settings: how.
        detector: one that is built already; by default the one that ``settings`` name.

    Raises:
        RegistryError: no detector has the name.
        DependencyError: a package that the detector needs is not installed.
    """
    detector = detector or DETECTORS[settings.detector]()
    if not detector.searches:
        return _whole(reduced, detector)
    faces, width = _search(reduced, detector, settings.widths)
    counts = np.array([len(there) for there in faces], dtype=np.int64)
    chosen = choose_face(faces)
    boxes = np.array([(np.nan,) * 4 if face is None else face.box for face in chosen])
    found = np.isfinite(boxes).all(axis=1)
    odd = _several(counts, found)
    if not found.any():
        text = f"{len(counts)} key pictures were searched, up to {settings.widths[-1]} pixels wide"
        return FacePath(
            np.zeros((0, 4)), np.zeros(len(reduced.grey), bool), counts, found, width, (Oddity("no face", text),)
        )
    wide, high = reduced.grey.shape[2] / reduced.width, reduced.grey.shape[1] / reduced.height
    small = scaled(boxes, wide, high)
    followed = follow(reduced.grey, reduced.keys, small)
    apart = distance_to_nearest(reduced.times, reduced.times[reduced.keys[found]])
    seen = (followed.quality >= CONFIDENT) & (apart <= settings.bridge_seconds)
    seen[reduced.keys[found]] = True
    path = smooth_path(followed, reduced.times, reduced.keys, as_shapes(small), seconds=settings.smooth_seconds)
    path = softened(held(path, reduced.times, seen), reduced.times, seconds=0.03)
    squared = scaled(squares(path), 1 / wide, 1 / high)
    return FacePath(squared, seen, counts, found, width, (*odd, *_path_oddities(squared, seen, reduced, settings)))


def _search(reduced: Reduced, detector: Detector, widths: Sequence[int]) -> tuple[list[list[Detection]], int]:
    """Faces of all key pictures, in pixels of the movie, and the width at which they were searched."""
    count = len(reduced.colour)
    probes = sorted({0, count // 2, count - 1})
    tried: list[tuple[int, int, dict[int, list[Detection]]]] = []
    for width in widths:
        known = dict(zip(probes, _at_width(reduced, detector, probes, width), strict=True))
        hits = sum(bool(faces) for faces in known.values())
        tried.append((hits, -width, known))
        if 2 * hits >= len(probes):
            break
        if max(reduced.width, reduced.height) <= width:
            break  # a wider picture would be the same
    _, negative, known = max(tried, key=lambda one: one[:2])
    rest = [place for place in range(count) if place not in known]
    known |= dict(zip(rest, _at_width(reduced, detector, rest, -negative), strict=True))
    return [known[place] for place in range(count)], -negative


def _at_width(reduced: Reduced, detector: Detector, places: Sequence[int], width: int) -> list[list[Detection]]:
    size = reduced_size(reduced.width, reduced.height, width)
    pictures = [_resized(reduced.colour[place], size) for place in places]
    wide, high = reduced.width / size[0], reduced.height / size[1]
    return [
        [face._replace(box=tuple(scaled(np.array(face.box), wide, high).tolist())) for face in faces]
        for faces in detector(pictures)
    ]


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)


def _whole(reduced: Reduced, detector: Detector) -> FacePath:
    (face,) = detector([np.zeros((reduced.height, reduced.width, 3), np.uint8)])[0]
    count, keys = len(reduced.grey), len(reduced.keys)
    boxes = np.tile(np.array(face.box), (count, 1))
    every = np.ones(keys, dtype=np.int64)
    return FacePath(boxes, np.ones(count, bool), every, every > 0, max(reduced.width, reduced.height), ())


def _several(counts: NDArray[np.int64], found: NDArray[np.bool_]) -> list[Oddity]:
    many = int((counts > 1).sum())
    if not many:
        return []
    return [Oddity("several faces", f"up to {counts.max()} at once, in {many} of {len(counts)} key pictures")]


def _path_oddities(boxes: Boxes, seen: NDArray[np.bool_], reduced: Reduced, settings: FaceSettings) -> list[Oddity]:
    odd = []
    share = float(seen.mean())
    if share < settings.minimum_share:
        text = f"in {share:.0%} of the pictures, {settings.minimum_share:.0%} are asked for"
        odd.append(Oddity("face seldom seen", text))
    elif share < 1:
        odd.append(Oddity("face lost", f"in {(~seen).sum()} of {len(seen)} pictures"))
    inside = inside_share(boxes, width=reduced.width, height=reduced.height)
    outside = seen & (inside < 0.9)
    if outside.any():
        text = f"in {outside.sum()} of {len(seen)} pictures, with up to {1 - inside[outside].min():.0%} of its box"
        odd.append(Oddity("face leaves the picture", text))
    side = float(np.median(boxes[:, 2] - boxes[:, 0]))
    if side < SMALL:
        odd.append(Oddity("small face", f"{side:.0f} pixels wide"))
    return odd

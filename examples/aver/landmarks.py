"""From facial points in pixels to features that do not know where, how large and how tilted the head is.

Alignment: for every frame the similarity (rotation, scale, shift) that brings points which hardly take part in
expressions (eye corners, bridge and base of the nose) nearest to where they usually are in the clip, in the sense of
least squares. Lengths are then in units of the inter-ocular distance (centre of eye to centre of eye): the eyes of the
clip's usual face lie at (−½, 0) and (½, 0).

Shapes: T frames, 68 points.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import POINTS, Landmarks
from examples.aver.openface import fill_gaps
from mrpnkit.errors import InputError

Floats = NDArray[np.float32]

ANCHORS = (36, 39, 42, 45, 27, 28, 29, 30, 31, 33, 35)
"""Corners of the eyes, bridge and base of the nose: what stays in place while a face moves."""

LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)

MIRROR = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # its base
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *range(54, 47, -1),  # upper lip, outer
    *range(59, 54, -1),  # lower lip, outer
    *range(64, 59, -1),  # upper lip, inner
    *range(67, 64, -1),  # lower lip, inner
)
"""For every point the one that takes its place when the picture is mirrored."""

Block = Literal["shape", "deviation", "onset", "velocity", "head", "head_velocity", "tilt"]
HEAD_SIGNS = (-1.0, 1.0, 1.0, -1.0)
"""What mirroring does to the head channels: shift to the right, shift down, log-scale, tilt."""


class Aligned(NamedTuple):
    """The shape of a face and the motion of its head, apart.

    ``shape`` (T, 68, 2) in inter-ocular distances. ``head`` (T, 4): shift to the right and down in inter-ocular
    distances along the axes of the clip's usual face, logarithm of the size, and tilt in radians; the tilt relative
    to its mean in the clip, the others to their medians. ``tilt`` (T,): the tilt itself, 0 when the eyes are level.
    """

    shape: NDArray[np.float64]
    head: NDArray[np.float64]
    tilt: NDArray[np.float64]


def align(points: NDArray[np.floating], *, scale: Literal["frame", "clip"] = "frame") -> Aligned:
    """Undo position, size and tilt of the head in pixel positions (T, 68, 2).

    Frames that are not finite, or whose eyes coincide, are filled in from their neighbours.

    Args:
        points: (T, 68, 2), T of 1 or more.
        scale: size of the head found for every frame, or its median held for the clip, which leaves more of the
            noise of tracking out and the foreshortening of a nod in.

    Raises:
        InputError: another shape, or no usable frame.
    """
    if points.ndim != 3 or points.shape[1:] != (POINTS, 2) or not len(points):
        raise InputError(f"Landmarks have the shape {points.shape}; expected (T, {POINTS}, 2) with one frame or more.")
    z = _complex(points)
    good = _usable(z)
    if not good.any():
        raise InputError(f"None of the {len(points)} frames of landmarks is usable: not finite, or the eyes coincide.")
    if not good.all():
        filled = fill_gaps(points.astype(np.float64), good).astype(np.float64)
        z = filled[..., 0] + 1j * filled[..., 1]
    left, right = z[:, LEFT_EYE].mean(1, keepdims=True), z[:, RIGHT_EYE].mean(1, keepdims=True)
    usual = _median((z - (left + right) / 2) / (right - left))
    anchors = list(ANCHORS)
    for _ in range(2):  # the reference once from the eyes alone, once from the aligned faces
        target = usual[anchors]
        centre, goal = z[:, anchors].mean(1, keepdims=True), target.mean()
        here = z[:, anchors] - centre
        factor = (here.conj() * (target - goal)).sum(1, keepdims=True) / (np.abs(here) ** 2).sum(1, keepdims=True)
        aligned = (z - centre) * factor + goal
        usual = _level(_median(aligned))
    if scale == "clip":
        factor = factor / np.abs(factor) * np.median(np.abs(factor))
        aligned = (z - centre) * factor + goal
    frame, unit = factor[:, 0], 1 / np.median(np.abs(factor))
    tilt = -np.angle(frame)
    middle = np.angle(np.exp(1j * tilt).mean())
    turned = np.angle(np.exp(1j * (tilt - middle)))
    where = (centre[:, 0] - goal / frame) / unit * np.exp(-1j * middle)  # of the midpoint between the eyes
    where = where - _median(where[:, None])
    size_log = -np.log(np.abs(frame))
    head = np.stack([where.real, where.imag, size_log - np.median(size_log), turned], axis=1)
    return Aligned(np.stack([aligned.real, aligned.imag], axis=-1), head, tilt)


def _complex(points: NDArray[np.floating]) -> NDArray[np.complex128]:
    with np.errstate(invalid="ignore"):  # of points that are not finite
        z: NDArray[np.complex128] = points[..., 0].astype(np.complex128) + 1j * points[..., 1]
    return z


def _usable(z: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """(T,): which frames of points (T, 68) are finite and show eyes apart."""
    with np.errstate(invalid="ignore"):
        size = np.abs(z[:, RIGHT_EYE].mean(1) - z[:, LEFT_EYE].mean(1))
        spread = np.abs(z - z.mean(1, keepdims=True)).max(1)
        usable: NDArray[np.bool_] = np.isfinite(z).all(1) & (size > 1e-3 * spread) & (spread > 0)
    return usable


def has_rate(fps: float, wanted: float) -> bool:
    """Whether a rate is the wanted one, up to 0.1 %: trackers and players write 29.97 in several ways."""
    return abs(fps - wanted) <= 1e-3 * wanted


def at_rate(landmarks: Landmarks, fps: float) -> Landmarks:
    """Points (T, 68, 2) at another rate: (T', 68, 2), T' = round(T · fps / own rate), at least 1.

    They are interpolated linearly in time from the first frame on, and the last frame is held beyond it; frames that
    :func:`align` could not use are filled in from their neighbours before. Landmarks of that rate (:func:`has_rate`),
    or without a frame, are returned as they are.

    Raises:
        InputError: a rate that is not positive.
    """
    points, own = landmarks
    if not len(points) or has_rate(own, fps):
        return landmarks
    if not own > 0:
        raise InputError(f"Landmarks have {own} frames a second; expected more than 0.")
    good = _usable(_complex(points))
    filled = fill_gaps(points, good) if good.any() else points
    places = np.minimum(np.arange(max(1, round(len(points) * fps / own))) * (own / fps), len(points) - 1)
    before = places.astype(np.int64)
    after = np.minimum(before + 1, len(points) - 1)
    share = (places - before)[:, None, None]
    return Landmarks((filled[before] * (1 - share) + filled[after] * share).astype(np.float32), fps)


@dataclass(frozen=True, kw_only=True)
class LandmarkFeatures:
    """Features of every frame, as blocks of columns in the order asked for.

    ================= ====== ======================================================================================
    block             width  what it is
    ================= ====== ======================================================================================
    ``shape``         136    aligned points x_0, y_0, x_1 … in inter-ocular distances: the person and the expression
    ``deviation``     136    the same less its mean over the clip: the expression, and hardly the person
    ``onset``         136    the same less its mean over the first ``onset_seconds``, where faces are mostly at rest
    ``velocity``      136    change of the aligned points a second
    ``head``          4      shift right, shift down, log-size, tilt, relative to the clip
    ``head_velocity`` 4      their change a second
    ``tilt``          1      tilt of the head in radians, 0 when the eyes are level
    ================= ====== ======================================================================================

    All but ``tilt`` stay the same when the picture is shifted, scaled or turned as a whole.

    Args:
        blocks: one or more, each once.
        scale: see :func:`align`.
        pool: this many frames are averaged into one step, so there are T // pool steps (1 where T is smaller).
        onset_seconds: how much of the beginning counts as rest.

    >>> features = LandmarkFeatures(blocks=("deviation", "head"))
    >>> features.width, features(np.random.default_rng(0).random((9, 68, 2)), 25.0).shape
    (140, (9, 140))
    """

    blocks: tuple[Block, ...] = ("deviation", "velocity")
    scale: Literal["frame", "clip"] = "frame"
    pool: int = 1
    onset_seconds: float = 0.17

    def __post_init__(self) -> None:
        known = get_args(Block)
        unknown = [block for block in self.blocks if block not in known]
        if unknown or not self.blocks or len(set(self.blocks)) != len(self.blocks):
            raise InputError(
                f"LandmarkFeatures: the blocks are {self.blocks}; expected one or more of {', '.join(known)}, each "
                "once."
            )
        if self.scale not in ("frame", "clip"):
            raise InputError(f"LandmarkFeatures: scale is {self.scale!r}; expected 'frame' or 'clip'.")
        if self.pool < 1 or not self.onset_seconds >= 0:
            raise InputError(
                f"LandmarkFeatures: pool is {self.pool} and onset_seconds {self.onset_seconds}; expected 1 or more "
                "frames "
                "and 0 or more seconds."
            )

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(_width(block) for block in self.blocks)

    def __call__(self, landmarks: NDArray[np.floating], fps: float) -> Floats:
        """Pixel positions (T, 68, 2) at ``fps`` frames a second → (T // pool, width) float32; no frames give no steps.

        Raises:
            InputError: another shape, a rate that is not positive, or no usable frame.
        """
        if landmarks.shape == (0, POINTS, 2):
            return np.zeros((0, self.width), np.float32)
        if not fps > 0:
            raise InputError(f"Landmarks have {fps} frames a second; expected more than 0.")
        aligned = align(landmarks, scale=self.scale)
        pool = min(self.pool, len(landmarks))
        shape = _pooled(aligned.shape.reshape(len(landmarks), -1), pool)
        head = _pooled(aligned.head, pool)
        rate = fps / pool
        rest = shape[: max(1, round(self.onset_seconds * rate))].mean(0)
        columns: dict[Block, NDArray[np.float64]] = {
            "shape": shape,
            "deviation": shape - shape.mean(0),
            "onset": shape - rest,
            "velocity": velocity(shape, rate),
            "head": head,
            "head_velocity": velocity(head, rate),
            "tilt": _pooled(aligned.tilt[:, None], pool),
        }
        return np.concatenate([columns[block] for block in self.blocks], axis=1).astype(np.float32)

    @property
    def mirror_index(self) -> NDArray[np.int64]:
        """(width,): column of the original that each column of the mirrored features comes from."""
        points = np.stack([2 * np.array(MIRROR), 2 * np.array(MIRROR) + 1], axis=1).ravel()
        parts, start = [], 0
        for block in self.blocks:
            width = _width(block)
            parts.append(start + (points if width == 2 * POINTS else np.arange(width)))
            start += width
        return np.concatenate(parts).astype(np.int64)

    @property
    def mirror_sign(self) -> Floats:
        """(width,): −1 for the columns that change their sign when the picture is mirrored, else 1."""
        signs = {2 * POINTS: np.tile([-1.0, 1.0], POINTS), 4: np.array(HEAD_SIGNS), 1: np.array([-1.0])}
        return np.concatenate([signs[_width(block)] for block in self.blocks]).astype(np.float32)

    def mirror(self, features: Floats) -> Floats:
        """Features (…, width) of a clip → those of the clip with left and right exchanged.

        The same as computing them from mirrored landmarks, at the cost of a permutation; for tensors take
        ``features[:, index] * sign`` with :attr:`mirror_index` and :attr:`mirror_sign`.
        """
        if features.shape[-1:] != (self.width,):
            raise InputError(f"Features to mirror have the shape {features.shape}; expected (…, {self.width}).")
        return features[..., self.mirror_index] * self.mirror_sign


def mirror_landmarks(points: NDArray[np.floating], *, width: float) -> NDArray[np.floating]:
    """Points (T, 68, 2) as they would lie in the mirrored picture, ``width`` pixels wide."""
    mirrored = points[:, list(MIRROR)].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def velocity(track: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Change a second of (T, D) at ``rate`` steps a second: central differences, one-sided at the ends; 0 for T = 1."""
    if len(track) < 2:
        return np.zeros_like(track)
    return np.asarray(np.gradient(track, 1 / rate, axis=0), dtype=np.float64)


def _width(block: Block) -> int:
    return {"head": 4, "head_velocity": 4, "tilt": 1}.get(block, 2 * POINTS)


def _pooled(track: NDArray[np.float64], pool: int) -> NDArray[np.float64]:
    if pool == 1:
        return track
    steps = len(track) // pool
    return np.asarray(track[: steps * pool].reshape(steps, pool, -1).mean(1), dtype=np.float64)


def _median(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(np.median(z.real, axis=0) + 1j * np.median(z.imag, axis=0), dtype=np.complex128)


def _level(usual: NDArray[np.complex128]) -> NDArray[np.complex128]:
    left, right = usual[LEFT_EYE].mean(), usual[RIGHT_EYE].mean()
    return np.asarray((usual - (left + right) / 2) / (right - left), dtype=np.complex128)

"""A parametric face: 68 points, moved by controls such as "smile" and "brow_furrow", by talking, blinking and the head.

Coordinates of the model: x to the right of the picture, y down, the eyes at (−½, 0) and (½, 0). A face is a rest shape
plus a weighted sum of displacements, one a control. Letters: T frames, P controls.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import POINTS
from examples.aver.landmarks import MIRROR

Floats = NDArray[np.float64]

CONTROLS = (
    "brow_inner", "brow_outer", "brow_furrow", "eye_open", "squint", "nose_wrinkle", "smile", "frown", "mouth_open",
    "stretch", "pucker", "upper_lip", "lip_press", "chin_raise",
)  # fmt: skip

LOOKS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "calm": {"smile": 0.3, "eye_open": -0.35, "brow_inner": 0.15, "brow_outer": 0.1},
    "happy": {"smile": 1.0, "squint": 0.6, "mouth_open": 0.35, "brow_outer": 0.2},
    "sad": {
        "brow_inner": 0.8, "brow_outer": -0.35, "brow_furrow": 0.25, "frown": 0.8, "eye_open": -0.4,
        "chin_raise": 0.5,
    },
    "angry": {
        "brow_furrow": 1.0, "brow_inner": -0.9, "brow_outer": 0.15, "eye_open": 0.3, "lip_press": 0.8, "frown": 0.35,
        "squint": 0.3,
    },
    "fearful": {
        "brow_inner": 1.2, "brow_outer": 0.3, "brow_furrow": 0.3, "eye_open": 1.1, "stretch": 0.8, "mouth_open": 0.4,
        "frown": 0.3,
    },
    "disgust": {
        "nose_wrinkle": 1.0, "upper_lip": 1.0, "brow_furrow": 0.5, "brow_inner": -0.5, "squint": 0.8, "eye_open": -0.25,
        "frown": 0.45,
    },
    "surprised": {"brow_inner": 1.1, "brow_outer": 1.1, "eye_open": 1.2, "mouth_open": 1.2, "pucker": 0.3},
}  # fmt: skip
"""The full expression of each emotion in the controls; what is not named is 0."""


class Geometry(NamedTuple):
    """An actor's face at rest, ``base`` (68, 2); ``depth`` (68,) towards the viewer; ``habit`` (P,) of the controls."""

    base: Floats
    depth: Floats
    habit: Floats


class Pose(NamedTuple):
    """Where the head is.

    ``origin`` (T, 2) of the midpoint between the eyes and ``unit`` (T,), the distance of the
    eyes, both in pixels; ``tilt`` (T,) radians clockwise; ``turn`` and ``nod`` (T,), shift of a point of depth 1.
    """

    origin: Floats
    unit: Floats
    tilt: Floats
    turn: Floats
    nod: Floats


class FaceTrack(NamedTuple):
    """A face in time: exact ``points`` (T, 68, 2) in pixels, the ``controls`` (T, P) behind them, and the ``pose``."""

    points: Floats
    controls: Floats
    pose: Pose


def look(emotion: str) -> Floats:
    """The controls (P,) of the full expression of an emotion."""
    return np.array([LOOKS[emotion].get(name, 0.0) for name in CONTROLS])


def geometry(rng: np.random.Generator, *, sex: str) -> Geometry:
    """Draw an actor's face: widths, heights, and how it differs from neutral when at rest."""
    wide, long, brow, eye, mouth, nose, lip = np.exp(rng.normal(0, [0.05, 0.05, 0.1, 0.1, 0.08, 0.06, 0.15]))
    soft = 0.94 if sex == "female" else 1.0
    base = np.zeros((POINTS, 2))
    angle = np.pi * np.arange(17) / 16
    square = 0.8 if sex == "female" else 0.7
    base[:17, 0] = -1.13 * wide * soft * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** square
    base[:17, 1] = 0.05 + 1.68 * long * soft * np.sin(angle) ** 0.95
    across = np.linspace(-0.92, -0.2, 5)
    base[17:22] = np.stack([across, -0.36 * brow - 0.13 * np.sin(np.pi * np.linspace(0.12, 0.8, 5))], 1)
    base[22:27] = base[21:16:-1] * [-1, 1]
    base[27:31] = np.stack([np.zeros(4), np.linspace(0.0, 0.58 * nose, 4)], 1)
    base[31:36] = np.stack([np.linspace(-0.2, 0.2, 5), 0.7 * nose + 0.06 * np.sin(np.linspace(0, np.pi, 5))], 1)
    lid = 0.115 * eye
    base[36:42] = np.array(
        [[-0.25, 0.0], [-0.09, -lid], [0.09, -lid], [0.24, 0.03], [0.08, lid * 0.8], [-0.1, lid * 0.8]]
    )
    base[42:48] = base[[39, 38, 37, 36, 41, 40]] * [-1, 1]
    base[36:42] += [-0.5, 0.0]
    base[42:48] += [0.5, 0.0]
    half, height = 0.42 * mouth, 1.13 * (0.5 + 0.5 * long)
    upper = np.array([[-1, 0], [-0.62, -0.09], [-0.22, -0.135], [0, -0.11], [0.22, -0.135], [0.62, -0.09], [1, 0]])
    lower = np.array([[0.66, 0.1], [0.3, 0.155], [0, 0.165], [-0.3, 0.155], [-0.66, 0.1]])
    base[48:55] = upper * [half, lip] + [0, height]
    base[55:60] = lower * [half, lip] + [0, height]
    base[60:65] = np.stack(
        [half * np.array([-0.86, -0.3, 0, 0.3, 0.86]), np.full(5, height) + [0, -0.008, 0, -0.008, 0]], 1
    )
    base[65:68] = np.stack([half * np.array([0.3, 0, -0.3]), np.full(3, height + 0.012)], 1)
    depth = np.concatenate(
        [-0.9 * np.abs(np.cos(angle)) ** 1.5 + 0.15, np.full(10, 0.2), np.linspace(0.25, 0.62, 4), np.full(5, 0.42)]
        + [np.full(12, 0.05), np.full(20, 0.3)]
    )
    return Geometry(base, depth, rng.normal(0, 0.12, len(CONTROLS)))


@cache
def displacements() -> Floats:
    """(P, 68, 2): what each control adds to the rest shape at full strength."""
    basis = {name: np.zeros((POINTS, 2)) for name in CONTROLS}

    def both(name: str, left: Mapping[int, tuple[float, float]]) -> None:
        """Displace points of the left half of the picture, and their mirror images likewise."""
        for point, (x, y) in left.items():
            basis[name][point] += (x, y)
            if MIRROR[point] != point:
                basis[name][MIRROR[point]] += (-x, y)

    # Points of the left half only; the right half follows by symmetry.
    both("brow_inner", {17: (0, 0), 18: (0, -0.02), 19: (0, -0.07), 20: (0, -0.15), 21: (0, -0.2)})
    both("brow_outer", {17: (0, -0.15), 18: (0, -0.2), 19: (0, -0.14), 20: (0, -0.06), 21: (0, -0.02)})
    both("brow_furrow", {19: (0.03, 0.02), 20: (0.06, 0.04), 21: (0.09, 0.05)})
    both("eye_open", {37: (0, -0.065), 38: (0, -0.065), 40: (0, 0.025), 41: (0, 0.025)})
    both("squint", {37: (0, 0.02), 38: (0, 0.02), 40: (0, -0.05), 41: (0, -0.05)})
    both(
        "nose_wrinkle",
        {28: (0, -0.03), 29: (0, -0.06), 30: (0, -0.09), 31: (-0.05, -0.09), 32: (-0.02, -0.08), 33: (0, -0.06)},
    )
    both(
        "smile",
        {48: (-0.13, -0.16), 49: (-0.08, -0.08), 50: (-0.02, 0.0), 51: (0, 0.02), 57: (0, 0.0), 58: (-0.04, -0.02)},
    )
    both("smile", {59: (-0.1, -0.08), 60: (-0.12, -0.14), 61: (-0.02, -0.02), 67: (-0.03, 0.0)})
    both("smile", {40: (0, -0.015), 41: (0, -0.015), 3: (-0.03, 0), 4: (-0.04, 0), 5: (-0.03, -0.01)})
    both("frown", {48: (-0.02, 0.16), 49: (0, 0.07), 59: (-0.01, 0.09), 60: (-0.02, 0.14), 58: (0, 0.0), 50: (0, 0.0)})
    both(
        "mouth_open", {57: (0, 0.42), 58: (0.02, 0.4), 59: (0.02, 0.26), 66: (0, 0.42), 67: (0.0, 0.4), 48: (0.03, 0.1)}
    )
    both(
        "mouth_open", {60: (0.03, 0.1), 51: (0, -0.03), 50: (0, -0.03), 61: (0, -0.03), 62: (0, -0.03), 49: (0, -0.01)}
    )
    both("mouth_open", {8: (0, 0.3), 7: (0, 0.29), 6: (0, 0.26), 5: (0.01, 0.2), 4: (0.02, 0.12), 3: (0.02, 0.05)})
    both("stretch", {48: (-0.17, 0.04), 49: (-0.09, 0.02), 50: (-0.04, 0.01), 58: (-0.05, 0.01), 59: (-0.11, 0.02)})
    both("stretch", {60: (-0.16, 0.04), 61: (-0.05, 0), 67: (-0.05, 0)})
    both(
        "pucker",
        {48: (0.15, 0), 49: (0.09, -0.02), 50: (0.02, -0.03), 58: (0.03, 0.03), 59: (0.1, 0.03), 60: (0.13, 0)},
    )
    both(
        "upper_lip", {49: (-0.01, -0.11), 50: (0, -0.15), 51: (0, -0.12), 61: (0, -0.13), 62: (0, -0.1), 48: (0, -0.02)}
    )
    both("lip_press", {50: (0, 0.06), 51: (0, 0.06), 49: (0, 0.04), 58: (0, -0.06), 57: (0, -0.06), 59: (0, -0.04)})
    both("chin_raise", {57: (0, -0.07), 58: (0, -0.06), 59: (0, -0.04), 66: (0, -0.05), 67: (0, -0.04), 62: (0, -0.05)})
    both("chin_raise", {61: (0, -0.04), 51: (0, -0.04), 50: (0, -0.03), 8: (0, -0.05), 7: (0, -0.04)})
    return np.stack([basis[name] for name in CONTROLS])


def shape(controls: Floats, face: Geometry) -> Floats:
    """Controls (T, P) → the face (T, 68, 2) in the model's coordinates; lids and lips do not pass each other."""
    points = np.asarray(face.base + np.einsum("tp,pkd->tkd", controls, displacements()))
    for over, under, gap in (
        ((37, 38, 43, 44), (41, 40, 47, 46), 0.012),
        ((61, 62, 63), (67, 66, 65), 0.006),
        ((50, 51, 52), (61, 62, 63), 0.045),
        ((67, 66, 65), (58, 57, 56), 0.055),
    ):
        upper, lower = points[:, over, 1], points[:, under, 1]
        lack = np.maximum(0, gap - (lower - upper))
        moves_below = 0.0 if over[0] == 37 else 0.5 if over[0] == 61 else 1.0 if over[0] == 67 else 0.0
        points[:, over, 1] = upper - lack * (1 - moves_below)
        points[:, under, 1] = lower + lack * moves_below
    return points


def place(points: Floats, pose: Pose, depth: Floats) -> Floats:
    """The face (T, K, 2) of the model, with ``depth`` (K,), as it lies in the picture, in pixels."""
    x = points[..., 0] + depth * pose.turn[:, None]
    y = points[..., 1] + depth * pose.nod[:, None]
    z = (x + 1j * y) * (pose.unit * np.exp(1j * pose.tilt))[:, None]
    return np.stack([z.real, z.imag], axis=-1) + pose.origin[:, None]


def act(
    rng: np.random.Generator, face: Geometry, *, emotion: str, strength: float, frames: int, fps: float, size: int
) -> FaceTrack:
    """One performance: the expression rises, stays and fades, over habit, chance, talking, blinks and a moving head.

    Args:
        rng: drawn from in the same order whatever the emotion.
        face: whose.
        emotion: what the face shows.
        strength: 0 leaves the chance alone, 1 is the usual.
        frames: T.
        fps: frames a second.
        size: width and height of the picture in pixels.
    """
    time = np.arange(frames) / fps
    count = len(CONTROLS)
    intensity = rng.uniform(0.4, 1.0)
    style = np.exp(rng.normal(0, 0.35, count)) * (rng.random(count) > 0.1)
    rise, fade = rng.uniform(0.02, 0.35), rng.uniform(0.75, 1.05)
    course = time / max(time[-1], 1e-9)
    envelope = _step((course - rise) / 0.25) * (1 - 0.8 * _step((course - fade) / 0.2))
    aside = rng.normal(0, 0.16, count)
    controls = face.habit + envelope[:, None] * (strength * intensity * style * look(emotion) + aside)
    controls = controls + np.stack([wander(rng, time, 0.08) for _ in range(count)], 1)
    controls[:, CONTROLS.index("mouth_open")] = np.maximum(controls[:, CONTROLS.index("mouth_open")], -0.05)
    talk = np.maximum(0, np.sin(2 * np.pi * (rng.uniform(3.5, 5.0) * time + rng.random()))) * _step(course / 0.1)
    talk = talk * (0.75 + wander(rng, time, 0.25)) * (1 - _step((course - 0.9) / 0.1))
    controls[:, CONTROLS.index("mouth_open")] += rng.uniform(0.15, 0.4) * talk
    controls[:, CONTROLS.index("pucker")] += 0.2 * wander(rng, time, 1.0) * talk
    for blink in rng.uniform(0, time[-1] + 1, 2):
        controls[:, CONTROLS.index("eye_open")] -= 3.2 * np.exp(-(((time - blink) / 0.06) ** 2))
    zoom, shift = rng.normal(0, 0.06), rng.normal(0, 0.02, 2)
    pose = Pose(
        origin=size
        * (np.array([0.5, 0.48]) + shift + np.stack([wander(rng, time, 0.012), wander(rng, time, 0.01)], 1)),
        unit=0.225 * size * np.exp(zoom + wander(rng, time, 0.02)),
        tilt=rng.normal(0, 0.05) + wander(rng, time, 0.05),
        turn=rng.normal(0, 0.05) + wander(rng, time, 0.06),
        nod=rng.normal(0, 0.04) + wander(rng, time, 0.06),
    )
    return FaceTrack(place(shape(controls, face), pose, face.depth), controls, pose)


def wander(rng: np.random.Generator, time: Floats, amplitude: float) -> Floats:
    """A smooth random motion (T,) of that standard deviation: three sines of 0.2 to 1.5 Hz."""
    rate, phase = rng.uniform(0.2, 1.5, 3), rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * rate * time[:, None] + phase)
    return np.asarray(amplitude * np.sqrt(2 / 3) * waves.sum(1))


def _step(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)

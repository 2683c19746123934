"""How wrist and ankle move in everyday activities: a small model that draws what two inertial sensors would record.

A person moves with a cadence, and each sensor sees that cadence as swinging (a sine and its second harmonic), as
impacts (a short decaying ring when a foot lands), as gravity in the direction in which the sensor is worn, and as
noise. Activities differ in those amounts; people differ in their style: cadence, vigour, and how the sensor sits.

The wrist cannot tell cycling from sitting well, since both hands rest; the ankle can hardly tell stairs from walking.
Together they can.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 50.0
"""Steps a second."""
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
"""Acceleration in m/s² and angular velocity in rad/s, along the axes of the sensor."""
SENSORS = ("wrist", "ankle")
GRAVITY = 9.81


class Limb(NamedTuple):
    """What one sensor feels: ``swing`` and ``impact`` in m/s², ``turn`` in rad/s, ``tremble`` as the noise of both."""

    swing: float
    impact: float
    turn: float
    tremble: float


class Activity(NamedTuple):
    """Cadence in Hz, and what wrist and ankle feel."""

    cadence: float
    wrist: Limb
    ankle: Limb


ACTIVITIES = {
    "cycling": Activity(1.3, Limb(0.3, 0.0, 0.1, 0.5), Limb(3.0, 0.0, 2.5, 0.4)),
    "running": Activity(2.7, Limb(6.0, 3.0, 3.5, 0.8), Limb(9.0, 14.0, 5.0, 1.0)),
    "sitting": Activity(0.3, Limb(0.25, 0.0, 0.15, 0.4), Limb(0.1, 0.0, 0.05, 0.2)),
    "stairs": Activity(1.6, Limb(0.9, 0.8, 0.5, 0.5), Limb(4.2, 4.0, 2.8, 0.6)),
    "walking": Activity(1.8, Limb(2.2, 0.6, 1.6, 0.5), Limb(4.8, 5.0, 3.2, 0.6)),
}


class Person(NamedTuple):
    """Style: factors of cadence and vigour, and for each sensor how it is worn, a rotation (3, 3)."""

    pace: float
    vigour: float
    worn: dict[str, NDArray[np.float64]]


def draw_person(generator: np.random.Generator) -> Person:
    """A person of their own style."""
    pace, vigour = np.exp(generator.normal(0.0, [0.08, 0.25]))
    return Person(float(pace), float(vigour), {sensor: _rotation(generator) for sensor in SENSORS})


def draw_recording(
    activity: str, person: Person, sensor: str, *, seconds: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(T, 6): what the sensor records while the person does something, from a random phase on."""
    limb: Limb = getattr(ACTIVITIES[activity], sensor)
    time = np.arange(round(seconds * RATE)) / RATE
    cadence = ACTIVITIES[activity].cadence * person.pace * np.exp(generator.normal(0.0, 0.06))
    drift = np.cumsum(generator.normal(0.0, 0.04, len(time))) / np.sqrt(RATE)  # nobody keeps time like a clock
    cycles = cadence * time + drift + generator.uniform()
    strength = person.vigour * np.exp(generator.normal(0.0, 0.15))
    wave = np.sin(2 * np.pi * cycles) + 0.4 * np.sin(4 * np.pi * cycles + generator.uniform(0, 2 * np.pi))
    since_step = (cycles % 1.0) / cadence  # seconds since the foot landed
    ring = np.exp(-since_step / 0.06) * np.cos(2 * np.pi * 12.0 * since_step)
    forward, upward, across = np.eye(3)
    acceleration = (
        GRAVITY * upward
        + strength * limb.swing * wave[:, None] * (forward + 0.3 * across)
        + strength * limb.impact * ring[:, None] * (upward + 0.5 * forward)
    )
    velocity = strength * limb.turn * np.cos(2 * np.pi * cycles)[:, None] * (across + 0.2 * upward)
    turned = person.worn[sensor] @ _rotation(generator, 0.15)
    felt = np.concatenate([acceleration @ turned.T, velocity @ turned.T], axis=1)
    felt += generator.normal(0.0, limb.tremble * np.repeat([1.0, 0.3], 3), felt.shape)
    return felt.astype(np.float32)


def _rotation(generator: np.random.Generator, spread: float = 0.4) -> NDArray[np.float64]:
    """A rotation (3, 3) about a random vector; its angle, in radians, grows with ``spread``."""
    x, y, z = generator.normal(0.0, spread, 3)
    angle = float(np.sqrt(x * x + y * y + z * z))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / max(angle, 1e-9)
    rotation: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return rotation

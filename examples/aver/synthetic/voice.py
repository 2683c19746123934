"""Speech-like sound: syllables of vowels and hisses whose pitch, energy, tempo and brightness carry an emotion.

A source of harmonics of the pitch f0(t), whose level falls by so many decibels an octave, goes through the resonances
of a vocal tract: the harmonic k at time t has the amplitude k^(−tilt/6.02) · |H(k f0(t))|, H a product of second-order
resonances at the formants, which move from vowel to vowel. Pieces of noise stand for consonants, pauses for breath.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE

Floats = NDArray[np.float64]
CONTROL_HOP = 160
"""Samples between the points of the control tracks: 10 ms."""

VOWELS = np.array([[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]], float)
"""First three formants in Hz of the vowels of father, heed, who'd, head and hawed, for a man (Peterson and Barney)."""


class Manner(NamedTuple):
    """How a voice speaks.

    ``pitch`` in semitones above the speaker's own, its ``span`` in semitones, ``energy`` in
    decibels, ``tempo`` in syllables a second, ``tilt`` in decibels an octave, ``glide`` of the pitch from beginning
    to end in semitones, ``tremor`` of the pitch in semitones.
    """

    pitch: float
    span: float
    energy: float
    tempo: float
    tilt: float
    glide: float
    tremor: float


MANNERS = {
    "neutral": Manner(0.0, 1.2, 0.0, 4.6, 11.0, -1.0, 0.0),
    "calm": Manner(-1.5, 0.8, -3.0, 3.8, 13.0, -1.0, 0.0),
    "happy": Manner(4.0, 2.8, 3.0, 5.3, 9.0, 1.0, 0.0),
    "sad": Manner(-0.5, 0.7, -5.0, 3.3, 14.0, -3.0, 0.3),
    "angry": Manner(4.0, 2.0, 7.0, 5.4, 6.5, -2.0, 0.0),
    "fearful": Manner(6.0, 1.2, 1.0, 6.2, 10.0, 1.0, 0.8),
    "disgust": Manner(-2.0, 2.0, 1.0, 3.6, 9.0, -4.0, 0.0),
    "surprised": Manner(5.0, 3.2, 3.0, 4.6, 9.5, 6.0, 0.0),
}
CHANCE = Manner(1.6, 0.6, 2.2, 0.55, 1.4, 1.6, 0.15)
"""Standard deviation of what a clip's manner has beside the emotion."""


class Speaker(NamedTuple):
    """Own ``pitch`` in Hz, ``tract``: factor of the formants, and what the ``habit`` adds to every manner."""

    pitch: float
    tract: float
    habit: Manner


def speaker(rng: np.random.Generator, *, sex: str) -> Speaker:
    """Draw a voice: men about 115 Hz, women about 205 Hz with a vocal tract shorter by a sixth."""
    female = sex == "female"
    pitch = (205.0 if female else 115.0) * np.exp(rng.normal(0, 0.1))
    tract = (1.17 if female else 1.0) * np.exp(rng.normal(0, 0.04))
    return Speaker(float(pitch), float(tract), Manner(*(0.5 * rng.normal(0, 1, 7) * CHANCE)))


def speak(rng: np.random.Generator, voice: Speaker, *, emotion: str, strength: float, seconds: float) -> Floats:
    """One utterance, (n,) at 16 kHz, about −1 to 1; the noise of a quiet room lies under it.

    Args:
        rng: drawn from for this utterance only.
        voice: whose.
        emotion: what the voice carries.
        strength: 0 speaks as if neutral, 1 is the usual.
        seconds: length.
    """
    rest, full = np.array(MANNERS["neutral"]), np.array(MANNERS[emotion])
    drawn = (
        rest + strength * rng.uniform(0.5, 1.1) * (full - rest) + np.array(voice.habit) + rng.normal(0, 1, 7) * CHANCE
    )
    manner = Manner(*drawn)
    samples = round(seconds * SPEECH_RATE)
    points = samples // CONTROL_HOP + 2
    time = np.arange(points) * CONTROL_HOP / SPEECH_RATE
    beat = _syllables(rng, manner, time, seconds)
    f0 = voice.pitch * 2 ** (_melody(rng, manner, beat, time / seconds) / 12)
    sound = _harmonics(f0, beat.loudness, beat.formants * voice.tract, tilt=max(manner.tilt, 3.0))[:samples]
    hiss = np.diff(rng.normal(0, 0.25, samples + 1)) * _samples(beat.hiss)[:samples]
    level = 0.05 * 10 ** (manner.energy / 20)
    loud = np.sqrt((sound**2).mean() + 1e-12)
    mixed = level * (sound / loud + hiss)
    return np.asarray(np.tanh(mixed) + rng.normal(0, 0.0015, samples))


class _Beat(NamedTuple):
    loudness: Floats
    hiss: Floats
    formants: Floats
    accents: Floats


def _syllables(rng: np.random.Generator, manner: Manner, time: Floats, seconds: float) -> _Beat:
    """Tracks over ``time``: loudness, noise of consonants, formants (points, 3), and pitch accents in deviations."""
    loudness, hiss = np.zeros_like(time), np.zeros_like(time)
    centres, vowels, accents = [], [], []
    start, period = rng.uniform(0.03, 0.15), 1 / max(manner.tempo, 1.5)
    while start < seconds - 0.08:
        length = period * np.exp(rng.normal(0, 0.2))
        inside = (time - start) / (0.85 * length)
        voiced = np.clip(inside, 0, 1)
        loudness += rng.uniform(0.6, 1.0) * np.sin(np.pi * voiced**0.8) ** 0.8
        if rng.random() < 0.6:
            hiss += rng.uniform(0.1, 0.5) * np.exp(-(((time - start) / 0.02) ** 2))
        centres.append(start + 0.4 * length)
        vowels.append(VOWELS[rng.integers(len(VOWELS))])
        accents.append(rng.normal())
        start += length + (rng.uniform(0.1, 0.25) if rng.random() < 0.12 else 0.0)
    table = np.array(vowels)
    formants = np.stack([np.interp(time, centres, table[:, f]) for f in range(3)], axis=1)
    return _Beat(loudness, hiss, formants, np.interp(time, centres, accents))


def _melody(rng: np.random.Generator, manner: Manner, beat: _Beat, course: Floats) -> Floats:
    """Semitones above the speaker's pitch."""
    phase = rng.uniform(0, 2 * np.pi)
    seconds = np.arange(len(course)) * CONTROL_HOP / SPEECH_RATE
    tremor = max(manner.tremor, 0) * np.sin(2 * np.pi * 6.5 * seconds + phase)
    return np.asarray(manner.pitch + max(manner.span, 0.2) * beat.accents + manner.glide * (course - 0.5) + tremor)


def _harmonics(f0: Floats, loudness: Floats, formants: Floats, *, tilt: float) -> Floats:
    """Sum of the harmonics of ``f0`` below 4 kHz through the formants, at the rate of samples."""
    phase = 2 * np.pi * np.cumsum(_samples(f0)) / SPEECH_RATE
    turning = np.exp(1j * phase).astype(np.complex64)
    harmonic = np.ones_like(turning)
    sound = np.zeros(len(phase), np.float32)
    for k in range(1, int(4000 / f0.min()) + 1):
        harmonic = harmonic * turning
        hertz = k * f0
        gain = loudness * k ** (-tilt / 6.02) * np.clip((4000 - hertz) / 200, 0, 1)
        for place, width in zip((*formants.T, np.full_like(f0, 3500.0)), (80.0, 90.0, 120.0, 200.0), strict=True):
            gain = gain * place**2 / np.sqrt((place**2 - hertz**2) ** 2 + (width * hertz) ** 2)
        sound += _samples(gain.astype(np.float32)) * harmonic.imag
    return sound.astype(np.float64)


def _samples(track: NDArray[np.floating]) -> NDArray[np.floating]:
    """A control track, interpolated linearly to the rate of samples: (points,) → ((points − 1) · hop,)."""
    weight = (np.arange(CONTROL_HOP) / CONTROL_HOP).astype(track.dtype)
    return np.asarray((track[:-1, None] + np.diff(track)[:, None] * weight).ravel())

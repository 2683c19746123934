"""Energy, voicing and pitch of speech every 10 ms, by the normalised autocorrelation of 40 ms windows.

The autocorrelation of a windowed frame is divided by that of the window, after Boersma (1993), "Accurate short-term
analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound"; a small cost on long lags
stands against octave errors, and a median over five frames removes what is left of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from mrpnkit.errors import InputError

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Prosody:
    """Seven channels a frame.

    ====== ==========================================================================================================
    0      logarithm of the energy (mean square of the frame), natural
    1      the same relative to the loudest frame of the clip
    2      strength of the periodicity, 0 to 1
    3      1 where the frame is voiced: periodic, and within ``voiced_decibels`` of the loud frames; else 0
    4      log(f0 / 180 Hz) where voiced, else 0
    5      log(f0) less its median over the voiced frames of the clip, where voiced, else 0
    6      change of log(f0) a second where both neighbours are voiced, else 0
    ====== ==========================================================================================================

    Args:
        sample_rate: of the waves it is given.
        hop_seconds: between frames; frame t is centred at t · hop.
        window_seconds: length of the analysed frame; two periods of the lowest pitch must fit.
        lowest, highest: range of the pitch in Hz.
        threshold: periodicity from which a frame can be voiced.
        voiced_decibels: how far below the 99th percentile of the energy a voiced frame may lie.
    """

    sample_rate: int = SPEECH_RATE
    hop_seconds: float = 0.01
    window_seconds: float = 0.04
    lowest: float = 70.0
    highest: float = 500.0
    threshold: float = 0.5
    voiced_decibels: float = 25.0

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest <= self.sample_rate / 4:
            raise InputError(
                f"Prosody: a pitch between {self.lowest} and {self.highest} Hz cannot be looked for; expected 0 < "
                "lowest < "
                f"highest ≤ {self.sample_rate / 4:g}."
            )
        if self.window_seconds * self.lowest < 2:
            raise InputError(
                f"Prosody: a window of {self.window_seconds} s holds less than two periods of {self.lowest} Hz; "
                "expected at "
                f"least {2 / self.lowest:.4f} s."
            )

    @property
    def width(self) -> int:
        """Number of channels."""
        return 7

    def energy(self, wave: NDArray[np.floating]) -> Floats:
        """(n,) → (T,) natural logarithm of the mean square of each frame (of 10⁻¹⁰ at least)."""
        frames = self._frames(wave)
        return np.asarray(np.log((frames**2).mean(1) + 1e-10), dtype=np.float32)

    def __call__(self, wave: NDArray[np.floating]) -> Floats:
        """(n,) → (T, 7) float32; no samples give no frames."""
        if not len(wave):
            return np.zeros((0, self.width), np.float32)
        energy = self.energy(wave)
        f0, strength = self._pitch(self._frames(wave))
        loud = energy > np.percentile(energy, 99) - self.voiced_decibels * np.log(10) / 10
        voiced = (strength > self.threshold) & loud & (energy > np.log(1e-9))
        pitch = np.log(f0 / 180.0)
        middle = np.median(pitch[voiced]) if voiced.any() else 0.0
        steady = voiced & np.roll(voiced, 1) & np.roll(voiced, -1)
        steady[[0, -1]] = False
        slope = np.gradient(pitch, self.hop_seconds) if len(pitch) > 1 else np.zeros_like(pitch)
        channels = (
            energy,
            energy - energy.max(),
            strength,
            voiced,
            np.where(voiced, pitch, 0),
            np.where(voiced, pitch - middle, 0),
            np.where(steady, slope, 0),
        )
        return np.stack([np.asarray(channel, dtype=np.float32) for channel in channels], axis=1)

    def _frames(self, wave: NDArray[np.floating]) -> NDArray[np.float64]:
        hop, window = round(self.hop_seconds * self.sample_rate), round(self.window_seconds * self.sample_rate)
        centred = np.asarray(wave, dtype=np.float64)
        centred = np.pad(centred - centred.mean(), (window // 2, window))
        return np.lib.stride_tricks.sliding_window_view(centred, window)[: len(wave) + 1 : hop]

    def _pitch(self, frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        window = np.hanning(frames.shape[1])
        size = 1 << int(2 * frames.shape[1] - 1).bit_length()
        shortest, longest = int(self.sample_rate / self.highest), int(np.ceil(self.sample_rate / self.lowest))

        def autocorrelation(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.fft.irfft(np.abs(np.fft.rfft(rows, size)) ** 2)[..., : longest + 2]

        rows = autocorrelation((frames - frames.mean(1, keepdims=True)) * window)
        own = autocorrelation(window)
        rows = rows / (rows[:, :1] + 1e-6) * (own[0] / np.maximum(own, 1e-3 * own[0]))
        lags = np.arange(shortest, longest + 1)
        cost = 0.0008 * lags * SPEECH_RATE / self.sample_rate
        best = (rows[:, lags] - cost).argmax(1) + shortest
        at = np.arange(len(rows))
        before, here, after = rows[at, best - 1], rows[at, best], rows[at, best + 1]
        bend = before - 2 * here + after
        shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.where(bend < -1e-9, bend, 1), 0).clip(-0.5, 0.5)
        f0 = self.sample_rate / (best + shift)
        padded = np.pad(f0, 2, mode="edge")
        smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
        return smooth, here.clip(0, 1)

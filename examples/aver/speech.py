"""From a waveform to frames of log-mel energies and prosody, all on one grid: frame t is centred at t · hop seconds.

Letters: n samples, T = 1 + n // hop frames. Features that look at a frame alone are in blocks of columns.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from examples.aver.prosody import Prosody
from mrpnkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from torchaudio.transforms import MelSpectrogram

Floats = NDArray[np.float32]
Block = Literal["log_mel", "deviation", "delta", "prosody"]


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Logarithm of the energies of mel bands: log(max(M |STFT(x)|², floor)), natural logarithm.

    Hann window, transform of the next power of two, HTK's mel scale, triangular bands that peak at 1, reflected
    padding so that frame t is centred at t · hop.

    Args:
        sample_rate: of the waves it is given.
        window_seconds: length of the window.
        hop_seconds: between frames.
        n_mels: number of bands.
        lowest, highest: edges of the bands in Hz.
        floor: energies below it count as it.
        level: ``"standardised"`` subtracts the clip's mean and divides by its standard deviation first, as the paper
            does; ``"kept"`` keeps the loudness of the recording.
        normalise: of each band over the clip: ``"none"``, ``"mean"`` subtracts it, ``"mean_variance"`` also divides
            by the standard deviation.

    >>> mel = LogMel(n_mels=40)
    >>> mel.width, mel(np.zeros(16000, np.float32)).shape
    (40, (101, 40))
    """

    sample_rate: int = SPEECH_RATE
    window_seconds: float = 0.025
    hop_seconds: float = 0.01
    n_mels: int = 64
    lowest: float = 60.0
    highest: float = 7800.0
    floor: float = 1e-6
    level: Literal["standardised", "kept"] = "standardised"
    normalise: Literal["none", "mean", "mean_variance"] = "none"

    def __post_init__(self) -> None:
        if self.level not in ("standardised", "kept"):
            raise InputError(f"LogMel: level is {self.level!r}; expected 'standardised' or 'kept'.")
        if self.normalise not in ("none", "mean", "mean_variance"):
            raise InputError(f"LogMel: normalise is {self.normalise!r}; expected 'none', 'mean' or 'mean_variance'.")
        if not 0 <= self.lowest < self.highest <= self.sample_rate / 2:
            raise InputError(
                f"LogMel: bands from {self.lowest} to {self.highest} Hz do not fit a rate of {self.sample_rate}; "
                "expected "
                f"0 ≤ lowest < highest ≤ {self.sample_rate / 2:g}."
            )
        if self.window < 2 or self.n_mels < 1 or self.hop < 1 or not self.floor > 0:
            raise InputError(
                f"LogMel: window_seconds {self.window_seconds}, n_mels {self.n_mels}, hop_seconds "
                f"{self.hop_seconds}, floor "
                f"{self.floor}; expected a window of two samples or more, a band or more, a hop of a sample or more "
                "and a "
                "floor above 0."
            )

    @property
    def width(self) -> int:
        """Number of bands."""
        return self.n_mels

    @property
    def window(self) -> int:
        """Samples of a window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return round(self.hop_seconds * self.sample_rate)

    def __call__(self, wave: NDArray[np.floating]) -> Floats:
        """(n,) → (T, n_mels); silence gives the floor everywhere; no samples give no frames.

        Raises:
            InputError: not one channel, or samples that are not finite.
        """
        import torch

        wave = _checked(wave)
        if not len(wave):
            return np.zeros((0, self.n_mels), np.float32)
        if self.level == "standardised":
            wave = standardised(wave)
        frames_wanted = 1 + len(wave) // self.hop
        short = _power_of_two(self.window) // 2 + 1 - len(wave)  # reflection needs more samples than half a transform
        if short > 0:
            wave = np.pad(wave, (0, short))
        with torch.no_grad():
            energies: Tensor = _transform(self)(torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32)))
        frames = np.log(np.maximum(energies.numpy().T, self.floor))[:frames_wanted]
        if self.normalise != "none":
            frames = frames - frames.mean(0)
        if self.normalise == "mean_variance":
            frames = frames / np.maximum(frames.std(0), 1e-3)
        return np.asarray(frames, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class SpeechFeatures:
    """Features of every 10 ms of speech, as blocks of columns in the order asked for.

    ============= ======== =========================================================================================
    block         width    what it is
    ============= ======== =========================================================================================
    ``log_mel``   n_mels   :class:`LogMel`: the person, the recording, what is said and how
    ``deviation`` n_mels   the same less the mean over the loud frames of the clip: hardly the person or the recording
    ``delta``     n_mels   change of the log-mel energies a second, by regression over ±2 frames
    ``prosody``   7        :class:`~examples.aver.prosody.Prosody`: energy, voicing and pitch
    ============= ======== =========================================================================================

    Args:
        blocks: one or more, each once.
        mel: how the log-mel energies are computed.
        prosody: how energy and pitch are computed.
        trim_decibels: cut the silence before and after: what lies this far below the loud frames (the 99th
            percentile of the frame energy), with 150 ms left on either side; None keeps everything.

    >>> features = SpeechFeatures(blocks=("log_mel", "prosody"))
    >>> features.width, features(np.random.default_rng(0).normal(size=16000)).shape
    (71, (101, 71))
    """

    blocks: tuple[Block, ...] = ("log_mel",)
    mel: LogMel = field(default_factory=LogMel)
    prosody: Prosody = field(default_factory=Prosody)
    trim_decibels: float | None = None

    def __post_init__(self) -> None:
        known = get_args(Block)
        if not self.blocks or len(set(self.blocks)) != len(self.blocks) or not set(self.blocks) <= set(known):
            raise InputError(
                f"SpeechFeatures: the blocks are {self.blocks}; expected one or more of {', '.join(known)}, each once."
            )
        if (self.prosody.sample_rate, self.prosody.hop_seconds) != (self.mel.sample_rate, self.mel.hop_seconds):
            raise InputError(
                f"SpeechFeatures: mel runs at {self.mel.sample_rate} Hz with a hop of {self.mel.hop_seconds} s, "
                "prosody at "
                f"{self.prosody.sample_rate} Hz with {self.prosody.hop_seconds} s; expected the same of both."
            )
        if self.trim_decibels is not None and not self.trim_decibels > 0:
            raise InputError(f"SpeechFeatures: trim_decibels is {self.trim_decibels}; expected more than 0, or None.")

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(self._block_width(block) for block in self.blocks)

    def columns(self, block: Block) -> slice:
        """Where the columns of a block stand.

        >>> SpeechFeatures(blocks=("log_mel", "prosody")).columns("prosody")
        slice(64, 71, None)

        Raises:
            InputError: the block was not asked for.
        """
        if block not in self.blocks:
            raise InputError(f"SpeechFeatures: there is no block {block!r} among {', '.join(self.blocks)}.")
        start = sum(self._block_width(before) for before in self.blocks[: self.blocks.index(block)])
        return slice(start, start + self._block_width(block))

    def _block_width(self, block: Block) -> int:
        return self.prosody.width if block == "prosody" else self.mel.width

    def __call__(self, wave: NDArray[np.floating]) -> Floats:
        """(n,) → (T, width) float32, T fewer where silence is cut; no samples give no frames.

        Raises:
            InputError: not one channel, or samples that are not finite.
        """
        wave = _checked(wave)
        if not len(wave):
            return np.zeros((0, self.width), np.float32)
        mel = self.mel(wave) if set(self.blocks) != {"prosody"} else None
        energy = self.prosody.energy(wave)
        columns: list[Floats] = []
        for block in self.blocks:
            if block == "prosody":
                columns.append(self.prosody(wave))
            elif mel is not None:
                columns.append(
                    {"log_mel": mel, "deviation": mel - _loud_mean(mel, energy)}.get(
                        block, delta(mel, self.mel.hop_seconds)
                    )
                )
        frames = np.concatenate(columns, axis=1)
        if self.trim_decibels is None:
            return frames
        return frames[speech_span(energy, decibels=self.trim_decibels, margin=round(0.15 / self.mel.hop_seconds))]


def standardised(wave: NDArray[np.floating]) -> Floats:
    """(n,) with mean 0 and standard deviation 1, as the paper standardises audio; a constant becomes zeros.

    >>> standardised(np.array([1.0, 3.0])).tolist(), standardised(np.array([2.0, 2.0])).tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    centred = np.asarray(wave, dtype=np.float64)
    centred = centred - centred.mean()
    deviation = centred.std()
    return np.asarray(centred / deviation if deviation > 1e-8 else np.zeros_like(centred), dtype=np.float32)


def delta(frames: Floats, hop_seconds: float, *, reach: int = 2) -> Floats:
    """Slope a second of the line fitted over ±``reach`` frames, Σ k x_{t+k} / Σ k²; the ends are held. (T, D) → (T, D).

    >>> delta(np.arange(6, dtype=np.float32)[:, None], 0.5)[2].tolist()
    [2.0]
    """
    padded = np.pad(frames, ((reach, reach), (0, 0)), mode="edge")
    steps = np.arange(-reach, reach + 1)
    total = sum(k * padded[reach + k : reach + k + len(frames)] for k in steps if k)
    return np.asarray(total / ((steps**2).sum() * hop_seconds), dtype=np.float32)


def speech_span(energy: NDArray[np.floating], *, decibels: float, margin: int) -> slice:
    """The frames from the first to the last within ``decibels`` of the loud ones, and ``margin`` on either side.

    Args:
        energy: (T,) natural logarithm of the energy of each frame; loud is its 99th percentile.
        decibels: how far below loud still counts.
        margin: frames.
    """
    active = np.flatnonzero(energy > np.percentile(energy, 99) - decibels * np.log(10) / 10)
    if not len(active):
        return slice(0, len(energy))
    return slice(max(0, int(active[0]) - margin), min(len(energy), int(active[-1]) + 1 + margin))


def _loud_mean(mel: Floats, energy: Floats) -> Floats:
    """Mean over time, weighted from 1 at the loudest frame down to 0 at 20 dB below it."""
    weight = np.clip(1 + (energy - energy.max()) / (2 * np.log(10)), 0, 1)[:, None]
    return np.asarray((mel * weight).sum(0) / weight.sum(), dtype=np.float32)


def _checked(wave: NDArray[np.floating]) -> NDArray[np.floating]:
    if wave.ndim != 1:
        raise InputError(f"Speech has the shape {wave.shape}; expected one channel, (samples,).")
    if not np.isfinite(wave).all():
        raise InputError("Speech has samples that are not finite numbers.")
    return wave


@lru_cache(maxsize=8)
def _transform(mel: LogMel) -> "MelSpectrogram":
    from torchaudio.transforms import MelSpectrogram

    return MelSpectrogram(
        sample_rate=mel.sample_rate,
        n_fft=_power_of_two(mel.window),
        win_length=mel.window,
        hop_length=mel.hop,
        f_min=mel.lowest,
        f_max=mel.highest,
        n_mels=mel.n_mels,
        power=2.0,
    )


def _power_of_two(samples: int) -> int:
    return 1 << (samples - 1).bit_length()

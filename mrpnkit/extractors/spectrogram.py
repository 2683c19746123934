"""Sound as pictures: overlapping segments of a spectrogram, all of them views of one transform of the clip.

Letters: N samples, F frames of a clip, S segments, H bands of frequency (height of a picture), W frames of a segment.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.arguments import check_choice, check_counts
from mrpnkit.errors import InputError
from mrpnkit.sequences import Sequences

Scale = Literal["linear", "log", "mel"]
SCALES = ("linear", "log", "mel")
FLOOR = 1e-5
"""Powers below it count as it; white noise of deviation 1 has the power 1 in every bin."""
CENTRE, SPREAD = -6.5, 4.5
"""About the mean and the deviation of the logarithm over standardised speech; they are taken out of it."""


class SpectrogramSegments(nn.Module):
    """A wave of sound → pictures of its overlapping segments, as the paper makes them of speech.

    Frame t is the transform of the ``window`` samples around sample t · ``hop``, weighted by a Hann window; beyond the
    ends of a wave there is silence. Segment s begins at frame s · ``step`` and has ``width`` frames. So a segment is a
    view of the clip's spectrogram, which is computed once; and where the window of a frame lies within the segment, it
    is exactly what a transform of the segment alone gives. At the segment's borders the frames see the sound next to
    it, where a transform of the segment alone would see padding.

    A clip has 1 + ⌈(N − segment) / step⌉ segments, in samples: the last one is filled up with silence, and so is the
    only one of a clip that is shorter than a segment. A clip of no samples has none.

    Args:
        rate: samples a second.
        segment_seconds, step_seconds: length of a segment, and from the begin of one to that of the next.
        window: samples of the Hann window and of the transform; even.
        hop: samples between frames. The lengths of segment and step must be multiples of it.
        bands: height of a picture. Linear and logarithmic: the bins of the transform without that of frequency zero,
            in ``bands`` groups of equally many, whose mean power it is. Mel: bands on the mel scale of HTK.
        scale: ``"linear"``: magnitude; ``"log"``: logarithm of the power; ``"mel"``: logarithm of the power in mel
            bands. Logarithms are shifted and scaled by constants, to about mean 0 and deviation 1 over speech.
        level: ``"standardised"`` subtracts the mean of the wave and divides by its deviation, as the paper does;
            ``"kept"`` keeps its loudness.

    Raises:
        InputError: sizes that do not go into each other.
    """

    def __init__(
        self,
        *,
        rate: int = 16000,
        segment_seconds: float = 1.0,
        step_seconds: float = 0.2,
        window: int = 512,
        hop: int = 64,
        bands: int = 256,
        scale: Scale = "log",
        level: Literal["standardised", "kept"] = "standardised",
    ) -> None:
        super().__init__()
        check_counts(self, {"rate": rate, "window": window, "hop": hop, "bands": bands})
        check_choice(self, "scale", scale, SCALES)
        check_choice(self, "level", level, ("standardised", "kept"))
        self.rate, self.window, self.hop, self.bands, self.scale, self.level = rate, window, hop, bands, scale, level
        self.width = self._frames("segment_seconds", segment_seconds)
        self.step = self._frames("step_seconds", step_seconds)
        if window % 2 or (scale != "mel" and (window // 2) % bands):
            raise InputError(
                f"SpectrogramSegments: window {window} with {bands} bands; expected an even window, and bands that "
                "divide half of it unless the scale is mel."
            )
        self._weights: dict[torch.device, Tensor] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture: bands and frames."""
        return self.bands, self.width

    def count(self, samples: int) -> int:
        """Segments of a wave of so many samples.

        >>> cut = SpectrogramSegments()
        >>> cut.shape, [cut.count(n) for n in (0, 1, 16000, 16001, 19200, 19201)]
        ((256, 250), [0, 1, 1, 2, 2, 3])
        """
        beyond = max(0, samples - self.width * self.hop)
        return 1 + math.ceil(beyond / (self.step * self.hop)) if samples else 0

    def levelled(self, wave: Tensor) -> Float[Tensor, "samples"]:
        """A wave (N,) or (N, 1) in float32 and at the level that is asked for; integers of 16 bits become −1 to 1."""
        samples = wave.reshape(-1)
        samples = samples.float() if samples.is_floating_point() else samples.float() / 32768
        if self.level == "kept" or not len(samples):
            return samples
        centred = samples - samples.mean()
        return centred / (centred.square().mean() + 1e-12).sqrt()

    def forward(self, wave: Tensor) -> Float[Tensor, "segments bands width"]:
        """All segments of a wave (N,), views of one spectrogram."""
        samples = self.levelled(wave)
        return self.segments(samples, 0, self.count(len(samples)))

    def segments(self, samples: Float[Tensor, "samples"], start: int, stop: int, *, every: int = 1) -> Tensor:
        """Segments ``start`` to ``stop`` of a levelled wave, or every so many-th of them, (S, H, W).

        Only the part of the wave is transformed that they need. Segments that overlap, or touch, are views of one
        spectrogram; others, with sound between them that none needs, are transformed one by one.
        """
        count, apart = len(range(start, stop, every)), every * self.step
        if not count:
            return samples.new_zeros(0, *self.shape)
        if apart > self.width:
            places = range(start * self.step, stop * self.step, apart)
            return torch.stack([self.spectrogram(samples, place, place + self.width) for place in places])
        first = start * self.step
        spectrogram = self.spectrogram(samples, first, first + (count - 1) * apart + self.width)
        return spectrogram.unfold(1, self.width, apart).movedim(1, 0)

    def spectrogram(self, samples: Float[Tensor, "samples"], start: int, stop: int) -> Float[Tensor, "bands frames"]:
        """Frames ``start`` to ``stop`` of a levelled wave."""
        first, last = start * self.hop - self.window // 2, (stop - 1) * self.hop + self.window // 2
        inside = samples[max(0, first) : max(0, last)]
        ahead = max(0, -first)
        padded = F.pad(inside, (ahead, last - first - ahead - len(inside)))
        with torch.autocast(padded.device.type, enabled=False):
            window = torch.hann_window(self.window, device=padded.device)
            bins = torch.stft(padded, self.window, self.hop, window=window, center=False, return_complex=True)
            power = (bins.real.square() + bins.imag.square()) / window.square().sum()
            return self._scaled(power)

    def _scaled(self, power: Float[Tensor, "bins frames"]) -> Float[Tensor, "bands frames"]:
        if self.scale == "mel":
            weights = self._weights.get(power.device)
            if weights is None:
                weights = mel_bands(self.bands, bins=power.shape[0], highest=self.rate / 2).to(power.device)
                self._weights[power.device] = weights
            power = weights @ power
        else:
            power = power[1:].unflatten(0, (self.bands, -1)).mean(1)
        if self.scale == "linear":
            return power.clamp(min=FLOOR).sqrt()
        return (power.clamp(min=FLOOR).log() - CENTRE) / SPREAD

    def _frames(self, name: str, seconds: float) -> int:
        samples = round(seconds * self.rate)
        if samples < self.hop or samples % self.hop or abs(samples - seconds * self.rate) > 1e-6 * self.rate:
            raise InputError(
                f"SpectrogramSegments: {name} {seconds} at {self.rate} samples a second is {seconds * self.rate:g} "
                f"samples; expected a multiple of the hop, {self.hop}."
            )
        return samples // self.hop


def mel_bands(bands: int, *, bins: int, highest: float) -> Float[Tensor, "bands bins"]:
    """Triangles of height 1, evenly spaced on HTK's mel scale from 0 to ``highest`` Hz, over the bins of a transform.

    Where bands are closer than bins, triangles are as wide as to reach the next bin, so that none is empty.

    >>> mel_bands(3, bins=9, highest=8000.0).argmax(1).tolist()
    [1, 2, 4]
    """
    mel = torch.linspace(0, 2595 * math.log10(1 + highest / 700), bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mel / 2595) - 1)
    spacing = highest / (bins - 1)
    centre = edges[1:-1, None]
    below = (edges[1:-1] - edges[:-2]).clamp(min=spacing)[:, None]
    above = (edges[2:] - edges[1:-1]).clamp(min=spacing)[:, None]
    place = torch.arange(bins, dtype=torch.float64) * spacing - centre
    return torch.where(place < 0, 1 + place / below, 1 - place / above).clamp(min=0).float()


def sound_of(part: nn.Module, inputs: Sequences) -> list[Tensor]:
    """The waves of a batch of sound, floating-point or integers of 16 bits, each (N,).

    Raises:
        InputError: steps that are no samples (S,) or (S, 1) of one channel.
    """
    steps = inputs.steps
    if steps.ndim > 2 or (steps.ndim == 2 and steps.shape[1] != 1) or not _is_sound(steps):
        raise InputError(
            f"{type(part).__name__} was given steps of shape {tuple(steps.shape[1:])} and type {steps.dtype}; expected "
            "samples of sound of one channel, shape () or (1,), floating-point or int16."
        )
    return [wave.flatten() for wave in inputs.unbind()]


def check_sound(part: nn.Module, in_features: int, step_shape: Sequence[int] | None) -> None:
    """Raises InputError unless a step is one sample of one channel."""
    if in_features != 1 or (step_shape is not None and tuple(step_shape) not in ((), (1,))):
        given = in_features if step_shape is None else tuple(step_shape)
        raise InputError(f"{type(part).__name__} reads sound of one channel, steps of width 1; got {given}.")


def _is_sound(steps: Tensor) -> bool:
    return steps.is_floating_point() or steps.dtype == torch.int16

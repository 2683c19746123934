"""An extractor for signals sampled evenly in time: the energy in bands of frequency, window by window.

Letters: S steps of all samples, N windows of all samples, W steps of a window, D channels, K bands.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.arguments import check_counts, checked_steps
from mrpnkit.errors import InputError


class BandEnergies(nn.Module):
    """Level and band energies of each channel in overlapping windows, and one affine map of both.

    For channel d of a window with the steps x_0 … x_{W−1}, and for each band k,

        μ_d = mean_t x_td
        e_kd = log(floor² + (Σ_t a_kt (x_td − μ_d))² + (Σ_t b_kt (x_td − μ_d))²)

    and the window becomes the step A · [μ; e] + c. The filters a_k and b_k, which all channels share, start as cosine
    and sine of one frequency under a Hann window, so that e_k is at first the logarithm of a periodogram at that
    frequency; they are then learned. Of a sum of squares the phase does not matter: where in its step a walker is when
    a window begins leaves no trace.

    A sample of T > 0 steps has 1 + ⌈(T − W) / hop⌉ windows, and one if T < W. Steps that the last window lacks count
    neither in μ nor in e. A sample without steps has no window.

    Args:
        in_features: D, the number of channels.
        features: width of the steps returned.
        bands: K. Their frequencies rise in equal ratios from one period a window to 0.8 of half the rate.
        rate: steps a second; mrpnkit gives that of the modality.
        window_seconds: W / rate.
        hop_seconds: from the start of one window to that of the next.
        floor: softens the logarithm; in the unit of the channels.

    Raises:
        InputError: counts below 1, no rate, a window of less than four steps, a hop of less than one or of more than
            a window, a floor that is not positive.

    >>> import torch
    >>> from mrpnkit import Sequences
    >>> extractor = BandEnergies(6, features=16, window_seconds=0.5, hop_seconds=0.25)
    >>> windows = extractor(Sequences.of([torch.zeros(200, 6), torch.zeros(0, 6), torch.zeros(7, 6)]))
    >>> tuple(windows.steps.shape), windows.lengths.tolist()
    ((17, 16), [16, 0, 1])
    """

    def __init__(
        self,
        in_features: int,
        *,
        features: int = 32,
        bands: int = 8,
        rate: float | None = 50.0,
        window_seconds: float = 1.0,
        hop_seconds: float = 0.5,
        floor: float = 0.1,
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "features": features, "bands": bands})
        if not floor > 0.0:
            raise InputError(f"BandEnergies: floor must be above 0, got {floor!r}.")
        self.window = _steps("window_seconds", window_seconds, rate, least=4)
        self.hop = _steps("hop_seconds", hop_seconds, rate, least=1)
        if self.hop > self.window:
            raise InputError(
                f"BandEnergies: hop_seconds={hop_seconds!r} is longer than window_seconds={window_seconds!r}; steps "
                "between two windows would be lost. Give a hop of at most a window."
            )
        self.in_features, self.out_features, self.floor = in_features, features, floor
        self.filters = nn.Parameter(_periodogram(self.window, bands))
        self.dense = nn.Linear((1 + bands) * in_features, features)

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, D) → windows (N, features)."""
        steps = checked_steps(self, inputs, self.in_features)
        more = (inputs.lengths - self.window).clamp(min=0) + self.hop - 1  # steps after the first window, rounded up
        lengths = torch.where(inputs.present, 1 + more // self.hop, 0)
        index, inside = self._under_windows(inputs, lengths)
        nothing = steps.new_zeros(1, self.in_features)  # what a window sees beyond its sample's end
        values = torch.cat([steps, nothing])[index]  # (N, W, D)
        mask = inside[:, :, None]
        levels = values.sum(1) / mask.sum(1)
        ripples = ((values - levels[:, None]) * mask).transpose(1, 2)  # (N, D, W)
        responses = F.linear(ripples, self.filters.flatten(0, 1)).unflatten(2, (-1, 2))  # (N, D, K, 2)
        energies = (responses.square().sum(3) + self.floor**2).log()
        return Sequences(self.dense(torch.cat([levels, energies.flatten(1)], dim=1)), lengths)

    def _under_windows(
        self, inputs: Sequences, lengths: Int64[Tensor, "batch"]
    ) -> tuple[Int64[Tensor, "windows window"], Bool[Tensor, "windows window"]]:
        """Which of the S steps each window sees, S where there is none; and True where there is one."""
        samples = torch.arange(inputs.batch_size, device=lengths.device)
        sample = torch.repeat_interleave(samples, lengths, output_size=int(lengths.sum()))
        first_window = (lengths.cumsum(0) - lengths)[sample]
        number = torch.arange(len(sample), device=lengths.device) - first_window
        place = (number * self.hop)[:, None] + torch.arange(self.window, device=lengths.device)
        inside = place < inputs.lengths[sample][:, None]
        return torch.where(inside, place + inputs.starts()[sample][:, None], inputs.steps.shape[0]), inside


def _periodogram(window: int, bands: int) -> Float[Tensor, "bands 2 window"]:
    """Cosine and sine of each band's frequency under a Hann window; of a sine of amplitude 1 they make e ≈ 0."""
    periods = torch.logspace(0, math.log10(max(1.0, 0.8 * window / 2)), bands)  # a window
    phases = 2 * math.pi * periods[:, None] * torch.arange(window) / window
    taper = torch.hann_window(window)
    return torch.stack([phases.cos(), phases.sin()], dim=1) * taper * (2 / taper.sum())


def _steps(name: str, seconds: float, rate: float | None, *, least: int) -> int:
    if rate is None:
        raise InputError("BandEnergies: the data set does not say how many steps a second the modality has; it must.")
    if not rate > 0.0:
        raise InputError(f"BandEnergies: rate must be above 0 steps a second, got {rate!r}.")
    count = round(seconds * rate)
    if count < least:
        raise InputError(
            f"BandEnergies: {name}={seconds!r} at {rate!r} steps a second is {count} steps; at least {least} are "
            f"needed, which are {least / rate:.3g} seconds."
        )
    return count

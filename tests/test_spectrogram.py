"""Spectrogram segments: what a frame is, where segments lie, and that they are views of one transform."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mrpnkit.errors import InputError
from mrpnkit.extractors.spectrogram import CENTRE, FLOOR, SPREAD, SpectrogramSegments, mel_bands

WAVE = torch.randn(40_000, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.02


def reference(wave: NDArray[np.float64], frame: int, *, window: int = 512, hop: int = 64) -> NDArray[np.float64]:
    """Power in the bins of one frame, written with NumPy: centred at ``frame`` · ``hop``, silence beyond the ends."""
    padded = np.concatenate([np.zeros(window), wave, np.zeros(2 * window)])
    start = window + frame * hop - window // 2
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power: NDArray[np.float64] = np.abs(np.fft.rfft(padded[start : start + window] * hann)) ** 2 / (hann**2).sum()
    return power


def standardised(wave: torch.Tensor) -> NDArray[np.float64]:
    values = wave.double().numpy()
    result: NDArray[np.float64] = (values - values.mean()) / values.std()
    return result


def test_the_paper_s_segments() -> None:
    """One second every 0.2 s at 16 kHz, Hann window 512, hop 64: pictures of 256×250."""
    cut = SpectrogramSegments()
    segments = cut(WAVE)
    assert tuple(segments.shape) == (9, 256, 250)  # 2.5 s: 1 + ⌈1.5 / 0.2⌉
    assert segments.untyped_storage().nbytes() == 4 * 256 * ((9 - 1) * 50 + 250)  # views of one spectrogram


@pytest.mark.parametrize("scale", ["linear", "log", "mel"])
@pytest.mark.parametrize(("segment", "frame"), [(0, 0), (0, 3), (0, 249), (4, 0), (4, 100), (8, 220)])
def test_a_frame_is_that_of_numpy(scale: str, segment: int, frame: int) -> None:
    cut = SpectrogramSegments(scale=scale, bands=256)  # type: ignore[arg-type]
    power = reference(standardised(WAVE), segment * 50 + frame)
    if scale == "mel":
        power = mel_bands(256, bins=257, highest=8000.0).double().numpy() @ power
    else:
        power = power[1:]
    power = np.maximum(power, FLOOR)
    expected = np.sqrt(power) if scale == "linear" else (np.log(power) - CENTRE) / SPREAD
    given_frame = cut(WAVE)[segment, :, frame].double().numpy()
    np.testing.assert_allclose(given_frame, expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(("hop", "bands"), [(64, 256), (128, 128), (160, 64)])
def test_equal_to_the_transform_of_the_segment_inside_its_borders(hop: int, bands: int) -> None:
    """Against ``torch.stft`` of the samples of each segment alone."""
    cut = SpectrogramSegments(hop=hop, bands=bands, level="kept", scale="linear")
    reach = -(-256 // hop)
    window = torch.hann_window(512)
    for place, segment in enumerate(cut(WAVE)[:8]):
        alone = WAVE[place * 3200 : place * 3200 + 16000]
        bins = torch.stft(alone, 512, hop, window=window, center=True, return_complex=True).abs().square()
        power = bins[1:].unflatten(0, (bands, -1)).mean(1) / window.square().sum()
        expected = power.clamp(min=FLOOR).sqrt()[:, : cut.width]
        inside = slice(reach, (16000 - 256) // hop + 1)
        torch.testing.assert_close(segment[:, inside], expected[:, inside], atol=1e-5, rtol=1e-4)


@given(samples=st.integers(1, 60_000), start=st.integers(0, 5), stop=st.integers(0, 15), every=st.integers(1, 8))
@settings(deadline=None, max_examples=40)
def test_parts_are_those_of_the_whole(samples: int, start: int, stop: int, every: int) -> None:
    """Segments that are computed in parts, from a part of the wave, equal those of the whole clip."""
    cut = SpectrogramSegments(hop=320, bands=32)
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    whole = cut(wave)
    assert len(whole) == cut.count(samples)
    stop = min(stop, len(whole))
    part = cut.segments(cut.levelled(wave), start, stop, every=every)
    torch.testing.assert_close(part, whole[start : max(start, stop) : every], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("samples", "count"),
    [(0, 0), (1, 1), (15_999, 1), (16_000, 1), (16_001, 2), (19_200, 2), (19_201, 3), (59_000, 15)],
)
def test_number_of_segments(samples: int, count: int) -> None:
    """No sample is left out, and no segment begins behind the last sample but the first."""
    cut = SpectrogramSegments(hop=320, bands=32)
    assert cut.count(samples) == len(cut(torch.randn(samples))) == count
    if count > 1:
        assert (count - 2) * 3200 + 16_000 < samples <= (count - 1) * 3200 + 16_000


def test_a_clip_shorter_than_a_segment_is_followed_by_silence() -> None:
    cut = SpectrogramSegments(hop=320, bands=32)
    segment = cut(WAVE[:8000])[0]
    silence = (math.log(FLOOR) - CENTRE) / SPREAD
    assert (segment[:, 8000 // 320 + 1 :] == silence).all()
    assert (segment[:, : 8000 // 320 - 1] > silence).any(0).all()


def test_silence_and_a_single_sample_are_finite() -> None:
    for wave in (torch.zeros(20_000), torch.ones(1), torch.full((500,), 0.3)):
        for scale in ("linear", "log", "mel"):
            part = wave.clone().requires_grad_()
            values = SpectrogramSegments(scale=scale)(part)
            values.sum().backward()
            assert values.isfinite().all()
            assert part.grad is not None
            assert part.grad.isfinite().all()


def test_integers_of_16_bits_are_the_same_sound() -> None:
    integers = (WAVE * 20_000).to(torch.int16)
    for level in ("standardised", "kept"):
        cut = SpectrogramSegments(hop=320, bands=32, level=level)
        torch.testing.assert_close(cut(integers), cut(integers.float() / 32768))


def test_standardised_sound_does_not_depend_on_loudness_and_kept_sound_does() -> None:
    plain, kept = (SpectrogramSegments(hop=320, bands=32, level=level) for level in ("standardised", "kept"))
    torch.testing.assert_close(plain(WAVE), plain(WAVE * 3 + 0.1), atol=1e-3, rtol=1e-3)
    louder = (math.log(9)) / SPREAD
    centred = WAVE - WAVE.mean()
    difference = (kept(centred * 30) - kept(centred * 10))[:8]
    torch.testing.assert_close(difference, torch.full_like(difference, louder), atol=1e-3, rtol=1e-3)


def test_fewer_bands_are_means_of_neighbours() -> None:
    fine, coarse = (SpectrogramSegments(hop=320, bands=bands, scale="linear") for bands in (256, 64))
    expected = fine(WAVE).square().unflatten(1, (64, 4)).mean(2).sqrt()
    torch.testing.assert_close(coarse(WAVE), expected, atol=1e-4, rtol=1e-4)


def test_mel_bands_are_torchaudio_s_where_bands_are_wider_than_bins() -> None:
    functional = pytest.importorskip("torchaudio.functional", reason="needs torchaudio: pip install 'mrpnkit[av]'")
    expected = functional.melscale_fbanks(257, 0.0, 8000.0, 20, 16000, norm=None, mel_scale="htk").T
    torch.testing.assert_close(mel_bands(20, bins=257, highest=8000.0), expected, atol=1e-4, rtol=1e-4)


def test_no_mel_band_is_empty() -> None:
    assert (mel_bands(256, bins=257, highest=8000.0).sum(1) > 0.4).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hop": 96}, r"segment_seconds 1.0 at 16000 samples a second is 16000 samples; expected a multiple.* 96"),
        (
            {"hop": 128, "step_seconds": 0.1},
            r"step_seconds 0.1 .* is 1600 samples; expected a multiple of the hop, 128",
        ),
        ({"bands": 100}, "window 512 with 100 bands; expected an even window, and bands that divide half of it"),
        ({"window": 511, "scale": "mel"}, "window 511"),
        ({"scale": "bark"}, "scale must be one of 'linear', 'log', 'mel', got 'bark'"),
        ({"level": "loud"}, "level must be one of"),
        ({"bands": 0}, "bands must be an integer of at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=f"SpectrogramSegments.*{text}"):
        SpectrogramSegments(**options)  # type: ignore[arg-type]

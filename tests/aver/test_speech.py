"""Speech features against derivations of their own in NumPy and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.aver.prosody import Prosody
from examples.aver.speech import LogMel, SpeechFeatures, delta, speech_span, standardised
from mrpnkit.errors import InputError

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def bands(mel: LogMel, size: int) -> np.ndarray:
    """Triangles on HTK's mel scale, written from its definition: (n_mels, size // 2 + 1)."""
    edges = np.linspace(2595 * np.log10(1 + mel.lowest / 700), 2595 * np.log10(1 + mel.highest / 700), mel.n_mels + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.arange(size // 2 + 1) * mel.sample_rate / size
    return np.array([np.interp(bins, hertz[k : k + 3], [0, 1, 0]) for k in range(mel.n_mels)])


@pytest.mark.parametrize("frame", [3, 47, 90])
def test_log_mel_is_the_spectrogram_by_definition(frame: int) -> None:
    mel = LogMel(n_mels=40)
    wave = np.random.default_rng(0).normal(3.0, 0.1, RATE)
    scaled = (wave - wave.mean()) / wave.std()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    piece = scaled[frame * 160 - 200 : frame * 160 + 200] * window
    energies = np.abs(np.fft.rfft(piece, 512)) ** 2
    expected = np.log(np.maximum(bands(mel, 512) @ energies, mel.floor))
    np.testing.assert_allclose(mel(wave)[frame], expected, atol=2e-3)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_lights_its_band(hertz: float) -> None:
    mel = LogMel()
    edges = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7800 / 700), 66)
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    brightest = mel(tone(hertz))[20:80].mean(0).argmax()
    assert abs(int(brightest) - int(np.abs(centres - hertz).argmin())) <= 1


def test_level_is_standardised_or_kept() -> None:
    wave = np.random.default_rng(1).normal(size=RATE) * 0.1
    np.testing.assert_allclose(LogMel()(wave), LogMel()(wave * 5 + 0.2), atol=1e-3)
    kept = LogMel(level="kept", floor=1e-12)
    np.testing.assert_allclose(kept(wave * 5) - kept(wave), np.log(25), atol=1e-3)


@pytest.mark.parametrize("samples", [1, 100, 160, 257, 16000, 16001])
def test_number_of_frames_and_silence(samples: int) -> None:
    features = SpeechFeatures(blocks=("log_mel", "deviation", "delta", "prosody"))
    frames = features(np.zeros(samples, np.float32))
    assert frames.shape == (1 + samples // 160, features.width)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames[:, :64], np.log(1e-6), rtol=1e-6)
    np.testing.assert_array_equal(frames[:, 64:192], 0)
    assert not frames[:, 195].any()
    assert features(np.zeros(0, np.float32)).shape == (0, features.width)


def test_normalisation_over_the_clip() -> None:
    wave = np.random.default_rng(2).normal(size=RATE) * np.linspace(0.01, 1, RATE)
    plain = LogMel()(wave)
    np.testing.assert_allclose(LogMel(normalise="mean")(wave), plain - plain.mean(0), atol=1e-5)
    both = LogMel(normalise="mean_variance")(wave)
    np.testing.assert_allclose(both, (plain - plain.mean(0)) / plain.std(0), atol=1e-4)


def test_blocks_stand_in_the_order_asked_for() -> None:
    wave = np.random.default_rng(3).normal(size=RATE)
    mel = LogMel()(wave)
    got = SpeechFeatures(blocks=("prosody", "delta", "log_mel"))(wave)
    np.testing.assert_array_equal(got[:, :7], Prosody()(wave))
    np.testing.assert_array_equal(got[:, 7:71], delta(mel, 0.01))
    np.testing.assert_array_equal(got[:, 71:], mel)


def test_deviation_leaves_the_channel_out() -> None:
    from scipy.signal import lfilter

    rng = np.random.default_rng(4)
    voice = rng.normal(size=RATE) * (1 + np.sin(2 * np.pi * 3 * np.arange(RATE) / RATE))
    dull = lfilter([1.0, 0.6], [1.0], voice)
    block = SpeechFeatures(blocks=("deviation",), mel=LogMel(level="kept"))
    raw = SpeechFeatures(blocks=("log_mel",), mel=LogMel(level="kept"))
    assert np.abs(block(dull) - block(voice))[20:80].mean() < 0.25 * np.abs(raw(dull) - raw(voice))[20:80].mean()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1000))
def test_delta_is_a_line_fit(length: int, seed: int) -> None:
    frames = np.random.default_rng(seed).normal(size=(length, 3)).astype(np.float32)
    padded = np.concatenate([frames[:1], frames[:1], frames, frames[-1:], frames[-1:]])
    expected = [np.polyfit(np.arange(-2, 3) * 0.01, padded[t : t + 5], 1)[0] for t in range(length)]
    np.testing.assert_allclose(delta(frames, 0.01), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("hertz", [80.0, 123.0, 220.0, 310.0, 470.0])
def test_pitch_of_a_harmonic_sound(hertz: float) -> None:
    sound = sum(tone(k * hertz) / k for k in range(1, 8))
    noisy = 0.1 * (sound + 0.02 * np.random.default_rng(5).normal(size=RATE))
    channels = Prosody()(noisy)[5:-5]
    assert channels[:, 3].all()
    np.testing.assert_allclose(180 * np.exp(channels[:, 4]), hertz, rtol=0.01)
    np.testing.assert_allclose(channels[:, 5], 0, atol=0.02)


def test_noise_and_silence_are_not_voiced() -> None:
    noise = np.random.default_rng(6).normal(size=RATE) * 0.1
    assert Prosody()(noise)[:, 3].mean() < 0.05
    half = np.concatenate([0.1 * tone(200.0, 0.5), np.zeros(8000, np.float32)])
    voiced = Prosody()(half)[:, 3]
    assert voiced[3:46].all()
    assert not voiced[54:].any()


def test_rising_pitch_has_its_slope() -> None:
    time = np.arange(RATE) / RATE
    phase = 2 * np.pi * 120 * (np.exp(0.5 * time) - 1) / 0.5  # f0 = 120 e^{t/2}: log f0 rises by 0.5 a second
    wave = np.sum([np.sin(k * phase) / k for k in range(1, 6)], axis=0)
    assert np.median(Prosody()(wave)[10:90, 6]) == pytest.approx(0.5, abs=0.05)


def test_energy_by_definition() -> None:
    wave = np.random.default_rng(7).normal(size=RATE)
    wave -= wave.mean()
    assert Prosody().energy(wave)[50] == pytest.approx(np.log((wave[8000 - 320 : 8000 + 320] ** 2).mean()), abs=1e-5)
    assert Prosody().energy(wave).shape == (101,)


def test_trimming_keeps_the_speech_and_its_margins() -> None:
    quiet = 1e-4 * np.random.default_rng(8).normal(size=RATE)
    wave = np.concatenate([quiet, 0.3 * tone(200.0), quiet])
    frames = SpeechFeatures(trim_decibels=30.0)(wave)
    assert 128 <= len(frames) <= 138  # one second, 150 ms on either side, and half a window
    assert speech_span(np.array([-9.0, -9, 0, 0, -9]), decibels=20, margin=1) == slice(1, 5)
    assert speech_span(np.zeros(3), decibels=20, margin=1) == slice(0, 3)


def test_standardised() -> None:
    got = standardised(np.random.default_rng(9).normal(5, 3, 1000))
    assert got.mean() == pytest.approx(0, abs=1e-5)
    assert got.std() == pytest.approx(1, abs=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 100\); expected one channel"):
        LogMel()(np.zeros((2, 100), np.float32))
    with pytest.raises(InputError, match="not finite"):
        SpeechFeatures()(np.array([np.nan, 1.0]))
    with pytest.raises(InputError, match=r"level is 'loud'; expected 'standardised' or 'kept'"):
        LogMel(level="loud")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"normalise is 'all'"):
        LogMel(normalise="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"bands from 60.0 to 9000.0 Hz do not fit a rate of 16000"):
        LogMel(highest=9000.0)
    with pytest.raises(InputError, match=r"a band or more"):
        LogMel(n_mels=0)
    with pytest.raises(InputError, match=r"expected one or more of log_mel, deviation, delta, prosody, each once"):
        SpeechFeatures(blocks=("mfcc",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"expected the same of both"):
        SpeechFeatures(mel=LogMel(hop_seconds=0.02))
    with pytest.raises(InputError, match=r"trim_decibels is -3"):
        SpeechFeatures(trim_decibels=-3)
    with pytest.raises(InputError, match=r"less than two periods of 40.0 Hz; expected at least 0.0500 s"):
        Prosody(lowest=40.0)
    with pytest.raises(InputError, match=r"between 300.0 and 200.0 Hz"):
        Prosody(lowest=300.0, highest=200.0)

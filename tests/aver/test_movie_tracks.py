"""Which sound of a movie is read: of several tracks, of channels that cancel each other, and what counts as silence."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from numpy.typing import NDArray

from examples.aver.faces import FaceSettings
from examples.aver.movies import TREATMENTS, Sound, facts, read_sound
from examples.aver.preparation import MovieSettings, prepare_movie
from tests.aver.movie_files import cut, grey_levels, noise, tone, write

CROPS = MovieSettings(faces=FaceSettings(detector="none", size=48, margin=0.0), rate=25)
RATE = 48000
SECONDS = 1.2
NOTHING = np.zeros((2, round(SECONDS * RATE)), np.float32)


def with_tracks(path: Path, sounds: Sequence[NDArray[np.float32]], *, default: int | None = None) -> Path:
    """A movie of several tracks of stereo sound, each (2, n), of which one may be marked as the default."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("h264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        tracks = [container.add_stream("aac", rate=RATE, layout="stereo") for _ in sounds]
        for place, track in enumerate(tracks):
            track.disposition = Disposition.default if place == default else Disposition(0)
        for frame in grey_levels(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode())
        for track, sound in zip(tracks, sounds, strict=True):
            for start in range(0, sound.shape[1], 1024):
                piece = np.ascontiguousarray(sound[:, start : start + 1024])
                samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
                samples.sample_rate, samples.pts, samples.time_base = RATE, start, Fraction(1, RATE)
                container.mux(track.encode(samples))
            container.mux(track.encode())
    return path


def pitch(sound: Sound) -> float:
    """Hertz of the strongest part of a sound; 0 where there are no samples."""
    if not len(sound.samples):
        return 0.0
    return float(np.argmax(np.abs(np.fft.rfft(sound.samples))[1:]) + 1) * sound.rate / len(sound.samples)


@pytest.mark.parametrize(
    ("hertz", "default", "heard", "number"),
    [
        ((440, 880), None, 440, 1),  # nothing is marked: the first
        ((440, 880), 0, 440, 1),
        ((440, 880), 1, 880, 2),
        ((0, 880), 0, 880, 2),  # silent ones are passed over
        ((440, 0, 0), 2, 440, 1),
        ((0, 0), 1, 0, 2),  # nothing but silence: the one that is marked
    ],
)
def test_of_several_tracks_one_is_read_and_told(
    hertz: tuple[int, ...], default: int | None, heard: float, number: int, tmp_path: Path
) -> None:
    sounds = [tone(SECONDS, hertz=each) if each else NOTHING for each in hertz]
    movie = with_tracks(tmp_path / "tracks.mkv", sounds, default=default)  # what MP4 marks is its writer's to choose
    sound = read_sound(movie)
    assert pitch(sound) == pytest.approx(heard, abs=3)
    told = [odd for odd in sound.oddities if odd.kind == "several audio tracks"]
    assert [odd.text for odd in told] == [f"number {number} of {len(hertz)} is read"]
    assert [odd.kind for odd in sound.oddities][1:] == ([] if heard else ["silent"])
    assert {odd.kind for odd in prepare_movie(movie, CROPS).oddities} <= set(TREATMENTS)


def test_a_track_in_a_slice(tmp_path: Path) -> None:
    movie = with_tracks(tmp_path / "tracks.mkv", [tone(SECONDS), tone(SECONDS, hertz=880)], default=1)
    part = read_sound(movie, start=0.4, end=0.9)
    assert len(part.samples) == 8000
    assert pitch(part) == pytest.approx(880, abs=3)


def voice() -> NDArray[np.float32]:
    """Two seconds that swell and fade, some −33 dB."""
    time = np.arange(2 * RATE) / RATE
    wave = 0.045 * np.sin(2 * np.pi * 220 * time) * np.abs(np.sin(2 * np.pi * time))
    return wave.astype(np.float32)


def test_channels_that_cancel_each_other(tmp_path: Path) -> None:
    """The first channel is read, at its own level, where the mean is what the codec leaves of nothing."""
    wave = voice()
    sound = read_sound(write(tmp_path / "opposed.mp4", grey_levels(50), sound=np.stack([wave, -wave])))
    assert [odd.kind for odd in sound.oddities] == ["channels cancel"]
    assert "the channel that is read -33 dB" in sound.oddities[0].text
    wanted = 20 * np.log10(np.sqrt(np.mean(wave**2)))
    assert wanted == pytest.approx(-33, abs=0.5)
    assert 20 * np.log10(np.sqrt(np.mean(sound.samples**2))) == pytest.approx(wanted, abs=0.5)
    np.testing.assert_allclose(sound.samples[8000:24000], wave[::3][8000:24000], atol=0.005)
    part = read_sound(tmp_path / "opposed.mp4", start=0.5, end=1.5)
    np.testing.assert_allclose(part.samples, sound.samples[8000:24000], atol=2e-3)


@pytest.mark.parametrize("gain", [(1.0, 0.0), (0.0, 1.0), (1.0, -0.5), (0.2, 0.9)])
def test_channels_that_differ_are_averaged(gain: tuple[float, float], tmp_path: Path) -> None:
    wave = voice()[::3]
    soundfile.write(tmp_path / "a.wav", np.stack([g * wave for g in gain], axis=1), 16000, subtype="FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert sound.oddities == ()
    np.testing.assert_allclose(sound.samples, sum(gain) / 2 * wave, atol=1e-6)


def test_a_voice_in_one_of_eight_channels_is_no_cancelling(tmp_path: Path) -> None:
    wave = np.zeros((16000, 8), np.float32)
    wave[:, 2] = voice()[:48000:3]
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    assert read_sound(tmp_path / "a.wav").oddities == ()


def test_a_silent_channel_is_not_the_one_that_is_read(tmp_path: Path) -> None:
    wave = voice()[::3]
    soundfile.write(tmp_path / "a.wav", np.stack([0 * wave, wave, -wave], axis=1), 16000, subtype="FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert [odd.kind for odd in sound.oddities] == ["channels cancel"]
    np.testing.assert_allclose(sound.samples, wave, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "wave", "text"),
    [
        ("zeros", np.zeros(16000), "every sample is 0 in 1.00 s"),
        (
            "hiss",
            3e-5 * np.random.default_rng(0).standard_normal(32000),
            "no second is louder than -90 dB of full scale",
        ),
        ("a click", np.where(np.arange(32000) == 9000, 0.008, 0.0), "no second is louder than -84 dB of full scale"),
    ],
)
def test_what_is_silent(name: str, wave: NDArray[np.float64], text: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert [odd.kind for odd in sound.oddities] == ["silent"], name
    assert text in sound.oddities[0].text
    assert not len(sound.samples)


def test_a_short_voice_in_a_long_silence_is_heard(tmp_path: Path) -> None:
    wave = np.zeros(60 * 16000)
    wave[40 * 16000 : 40 * 16000 + 32000] = 3e-4 * np.sqrt(2) * np.sin(np.arange(32000))
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    assert np.sqrt(np.mean(wave**2)) < 1e-4  # of the whole, which says nothing here
    assert read_sound(tmp_path / "a.wav").oddities == ()


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_that_goes_on_after_the_pictures_is_no_truncation(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"long.{ending}", grey_levels(38), sound=tone(3.3))
    assert facts(path).seconds == pytest.approx(3.3, abs=0.05)
    assert facts(path).pictures_end == pytest.approx(1.52, abs=0.05)
    movie = prepare_movie(path, CROPS)
    assert [odd.kind for odd in movie.oddities] == []
    assert len(movie.video) == 38


def test_pictures_that_end_before_their_own_header_says(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(50), sound=tone(3.5), front=True)
    movie = prepare_movie(cut(tmp_path / "cut.mp4", whole, share=0.5), CROPS)
    text = next(odd.text for odd in movie.oddities if odd.kind == "truncated")
    assert text.endswith(" of 2.00 s")

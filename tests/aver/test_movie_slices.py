"""Slices of movies, and the ends of their streams, where a container does not say where these are."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from examples.aver.faces import FaceSettings
from examples.aver.movies import Pictures, read_sound
from examples.aver.movies.pictures import Damage
from examples.aver.preparation import MovieSettings, prepare_movie
from tests.aver.movie_files import grey_levels, level_of, tone, write

CROPS = MovieSettings(faces=FaceSettings(detector="none", size=32, margin=0), rate=25)


@pytest.mark.parametrize("start", [0.3, 1.3, 2.2])
@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_a_slice_where_key_pictures_cannot_be_sought(tmp_path: Path, ending: str, start: float) -> None:
    path = tmp_path / f"movie.{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.options = {"g": "60"}
        for place, frame in enumerate(grey_levels(75)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = place
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    whole = [(picture.time, level_of(picture.rgb())) for picture in Pictures(path)]
    pictures = Pictures(path, start=start, end=start + 0.5)
    part = [(picture.time, level_of(picture.rgb())) for picture in pictures]
    first = max(place for place, (time, _) in enumerate(whole) if time <= start)
    assert part == [seen for seen in whole[first:] if seen[0] < start + 0.5]
    assert pictures.damage == Damage(0, 0, False)


def test_a_slice_behind_the_pictures_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.mp4", grey_levels(25), sound=tone(3.0))
    behind = prepare_movie(path, CROPS, start=1.5, end=2.5)
    assert (len(behind.video), len(behind.audio)) == (0, 16000)
    assert [str(odd) for odd in behind.oddities] == ["no pictures: they end after 1.00 s, before the slice starts"]
    last = prepare_movie(path, CROPS, start=0.98, end=1.5)  # the last picture is shown up to 1 s
    assert len(last.video) == 1
    assert not len(prepare_movie(path, CROPS, start=1.0, end=1.5).video)


@pytest.mark.parametrize(("ending", "codec"), [("mpg", "ac3"), ("mpg", "mp2"), ("ts", "mp2")])
def test_sound_is_read_to_its_end(tmp_path: Path, ending: str, codec: str) -> None:
    path = tmp_path / f"sound.{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        assert isinstance(stream, AudioStream)
        resampler = av.AudioResampler(stream.format.name, "mono", 48000, frame_size=stream.codec_context.frame_size)
        wave = av.AudioFrame.from_ndarray(tone(2.0, channels=1), format="fltp", layout="mono")
        wave.sample_rate, wave.pts, wave.time_base = 48000, 0, Fraction(1, 48000)
        for frame in (*resampler.resample(wave), *resampler.resample(None)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        seconds = sum(frame.samples for frame in container.decode(audio=0)) / 48000
    samples = read_sound(path).samples
    assert seconds >= 2.0
    assert len(samples) / 16000 == pytest.approx(seconds, abs=0.001)
    assert np.abs(samples[round(1.8 * 16000) : round(1.99 * 16000)]).max() > 0.4

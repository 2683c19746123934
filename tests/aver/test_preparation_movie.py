"""One movie for a network: every kind of movie gets the right answer, or is told to be odd."""

from pathlib import Path

import numpy as np
import pytest

from examples.aver.faces import FaceSettings
from examples.aver.movies import TREATMENTS
from examples.aver.preparation import MovieSettings, PreparedMovie, prepare_movie
from mrpnkit.errors import CorpusError, InputError
from tests.aver.movie_files import cut, damaged, grey_levels, level_of, noise, scene, tone, write

HOG = MovieSettings(faces=FaceSettings(detector="dlib_hog", size=64, key_seconds=0.4), rate=25)
CROPS = MovieSettings(faces=FaceSettings(detector="none", size=48, margin=0.0), rate=25)


def kinds(movie: PreparedMovie) -> list[str]:
    found = [odd.kind for odd in movie.oddities]
    assert set(found) <= set(TREATMENTS)
    return found


def levels(movie: PreparedMovie) -> list[float]:
    return [level_of(image) for image in movie.video]


def test_a_movie_with_face_and_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.mp4", scene([(60 + k, 24) for k in range(30)]), sound=tone(1.2))
    movie = prepare_movie(path, HOG)
    assert kinds(movie) == []
    assert movie.video.shape == (30, 64, 64, 3)
    assert (str(movie.video.dtype), str(movie.audio.dtype)) == ("uint8", "float32")
    assert (movie.rate, movie.sound_rate) == (25, 16000)
    assert movie.seen.all()
    assert movie.seconds == pytest.approx(1.2, abs=0.03)
    # The face goes to the right by a pixel a picture; its crops stay alike.
    assert movie.boxes[25, 0] - movie.boxes[5, 0] == pytest.approx(20, abs=6)
    assert np.abs(movie.video[5].astype(int) - movie.video[25]).mean() < 12


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "both.mp4", grey_levels(30), sound=tone(1.2))
    pictures = prepare_movie(path, CROPS, modalities=("video",))
    assert (len(pictures.video), len(pictures.audio)) == (30, 0)
    assert kinds(pictures) == []  # that there is a stream of sound says nothing
    sound = prepare_movie(path, CROPS, modalities=("audio",))
    assert (len(sound.video), len(sound.audio) > 0) == (0, True)
    with pytest.raises(InputError, match=r"modalities are \['text'\]; expected some of \['video', 'audio'\]"):
        prepare_movie(path, CROPS, modalities=("text",))
    with pytest.raises(InputError, match=r"slice from 1 s to 0 s is empty"):
        prepare_movie(path, CROPS, start=1, end=0)


def test_sound_from_a_recording_beside_it(tmp_path: Path) -> None:
    import soundfile

    path = write(tmp_path / "movie.mp4", grey_levels(30), sound=tone(1.2, hertz=300))
    wave = 0.25 * np.ones(8000, np.float32)
    soundfile.write(tmp_path / "movie.wav", wave, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(prepare_movie(path, CROPS, wave=tmp_path / "movie.wav").audio, wave)


def test_a_slice(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.mp4", grey_levels(50), sound=tone(2.0))
    whole, part = prepare_movie(path, CROPS), prepare_movie(path, CROPS, start=0.48, end=1.48)
    assert (len(part.video), len(part.audio)) == (25, 16000)
    np.testing.assert_array_equal(part.video, whole.video[12:37])
    np.testing.assert_allclose(part.audio, whole.audio[7680:23680], atol=2e-3)
    assert kinds(part) == []


def test_a_silent_movie_and_one_without_sound(tmp_path: Path) -> None:
    silent = write(tmp_path / "silent.mp4", grey_levels(30), sound=np.zeros((2, 57600), np.float32))
    movie = prepare_movie(silent, CROPS)
    assert (kinds(movie), len(movie.video), len(movie.audio)) == (["silent"], 30, 0)
    movie = prepare_movie(write(tmp_path / "without.mp4", grey_levels(30)), CROPS)
    assert (kinds(movie), len(movie.video), len(movie.audio)) == (["no sound"], 30, 0)


def test_a_faceless_movie_keeps_its_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.mp4", scene([None] * 30), sound=tone(1.2))
    movie = prepare_movie(path, HOG)
    assert kinds(movie) == ["no face"]
    assert movie.video.shape == (0, 64, 64, 3)
    assert len(movie.audio) > 18000
    assert not movie.key_found.any()


def test_a_face_that_is_seldom_seen(tmp_path: Path) -> None:
    frames = scene([(60, 24)] * 15 + [None] * 60)
    movie = prepare_movie(write(tmp_path / "gone.mp4", frames), HOG, modalities=("video",))
    assert kinds(movie) == ["face seldom seen"]
    assert len(movie.video) == 0
    faces = FaceSettings(detector="dlib_hog", minimum_share=0.1, bridge_seconds=0.3, key_seconds=0.4)
    lenient = MovieSettings(faces=faces, rate=25)
    kept = prepare_movie(tmp_path / "gone.mp4", lenient, modalities=("video",))
    assert kinds(kept) == ["face lost"]
    assert len(kept.video) == 75
    assert kept.seen[:10].all()
    assert not kept.seen[30:].any()


def test_a_movie_of_one_picture(tmp_path: Path) -> None:
    movie = prepare_movie(write(tmp_path / "one.mp4", scene([(60, 24)])), HOG, modalities=("video",))
    assert kinds(movie) == ["short"]
    assert movie.video.shape == (1, 64, 64, 3)
    assert movie.seen.tolist() == [True]


def test_a_movie_turned_by_a_quarter(tmp_path: Path) -> None:
    frames = scene([(60, 24)] * 26)
    upright = prepare_movie(write(tmp_path / "upright.mp4", frames), HOG, modalities=("video",))
    lying = [np.rot90(frame, -1) for frame in frames]  # as a phone stores it, with a matrix that turns it back
    turned = prepare_movie(write(tmp_path / "turned.mp4", lying, rotation=90), HOG, modalities=("video",))
    assert kinds(turned) == ["rotated"]
    assert "320 × 240" in turned.oddities[0].text
    np.testing.assert_allclose(turned.boxes, upright.boxes, atol=6)
    assert np.abs(turned.video.astype(int) - upright.video).mean() < 12
    blind = prepare_movie(write(tmp_path / "lying.mp4", lying), HOG, modalities=("video",))
    assert kinds(blind) == ["no face"]


def test_a_movie_of_variable_rate(tmp_path: Path) -> None:
    steps = [0.04, 0.02, 0.1, 0.04, 0.06, 0.2, 0.04]
    times = np.round(np.cumsum([0.0, *steps * 4]), 3).tolist()
    path = write(tmp_path / "variable.mkv", grey_levels(len(times)), times=times)
    movie = prepare_movie(path, CROPS, modalities=("video",))
    assert kinds(movie) == ["variable rate"]
    end = times[-1] + float(np.median(np.diff(times)))
    assert len(movie.video) == round(end * 25)
    wanted = [min(range(len(times)), key=lambda f: abs(times[f] - k / 25)) for k in range(len(movie.video))]
    shown = np.array([level_of(frame) for frame in grey_levels(len(times))])
    difference = np.abs(np.array(levels(movie)) - shown[wanted])
    assert np.median(difference) < 2
    assert (difference < 4).mean() > 0.95  # two time stamps may be equally near


def test_h264_in_avi_is_not_shuffled(tmp_path: Path) -> None:
    path = write(tmp_path / "between.avi", grey_levels(50), sound=tone(2.0))
    movie = prepare_movie(path, CROPS, modalities=("video",))
    assert kinds(movie) == ["stamps out of order"]
    assert "pictures came with another's" in movie.oddities[0].text
    shown = [level_of(frame) for frame in grey_levels(50)]
    assert levels(movie)[-50:] == pytest.approx(shown, abs=3)


def test_pictures_that_stop_for_a_while(tmp_path: Path) -> None:
    times = [*np.arange(15) / 25, *(1.4 + np.arange(15) / 25)]
    movie = prepare_movie(write(tmp_path / "gap.mkv", grey_levels(30), times=times), CROPS, modalities=("video",))
    assert kinds(movie) == ["variable rate", "gap"]
    assert "no new picture for 0.84 s" in [odd.text for odd in movie.oddities]
    assert len(movie.video) == 50


def test_another_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "fifty.mp4", grey_levels(100), rate=50)
    movie = prepare_movie(path, CROPS, modalities=("video",))
    assert len(movie.video) == 50
    every_other = [level_of(frame) for frame in grey_levels(100)[::2]]
    assert levels(movie) == pytest.approx(every_other, abs=4)
    assert kinds(movie) == []


def test_a_corrupt_movie(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(50), sound=tone(2.0), front=True)
    movie = prepare_movie(damaged(tmp_path / "broken.mp4", whole, bytes_flipped=60), CROPS)
    assert "corrupt" in kinds(movie)
    assert 40 <= len(movie.video) <= 50
    assert np.isfinite(movie.audio).all()


def test_a_truncated_movie(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(50), sound=tone(2.0), front=True)
    movie = prepare_movie(cut(tmp_path / "cut.mp4", whole, share=0.5), CROPS)
    assert "truncated" in kinds(movie)
    assert 10 <= len(movie.video) < 45
    text = next(odd.text for odd in movie.oddities if odd.kind == "truncated")
    assert text.startswith("pictures end after")
    assert "of 2.0" in text
    nothing = prepare_movie(cut(tmp_path / "cut.mp4", whole, share=0.01), CROPS)
    assert kinds(nothing) == ["no pictures", "no sound"]
    with pytest.raises(CorpusError, match=r"gone\.mp4 does not exist"):
        prepare_movie(tmp_path / "gone.mp4", CROPS)


def test_a_file_of_sound_alone(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "voice.wav", tone(1.5, rate=16000)[0], 16000)
    movie = prepare_movie(tmp_path / "voice.wav", CROPS)
    assert (kinds(movie), len(movie.video), len(movie.audio)) == (["no pictures"], 0, 24000)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match=r"rate must be above 0, got 0"):
        MovieSettings(rate=0)


@pytest.mark.data
def test_a_real_movie_whole(shared_data: Path) -> None:
    path = shared_data / "ravdess_mp4" / "Actor_01" / "01-01-01-01-01-01-01.mp4"
    movie = prepare_movie(path, MovieSettings(faces=FaceSettings(key_seconds=1.5)))
    assert kinds(movie) == []
    assert movie.video.shape == (98, 112, 112, 3)
    assert movie.seen.all()
    assert abs(len(movie.audio) / 16000 - 98 / 29.97) < 0.05
    # The tracked landmarks of the same take: the face's box holds eyes, nose and mouth in every picture.
    with np.load(shared_data / "ravdess" / "landmarks.npz") as archive:
        place = archive["ids"].tolist().index("01-01-01-01-01-01")
        start, length = int(archive["n_frames"][:place].sum()), int(archive["n_frames"][place])
        points = archive["xy"][start : start + length].astype(float)
    count = min(len(points), 98)
    inner = points[:count, 17:]
    low, high = movie.boxes[:count, None, :2], movie.boxes[:count, None, 2:]
    assert ((inner > low) & (inner < high)).all(axis=2).mean() > 0.99
    middle = (movie.boxes[:count, :2] + movie.boxes[:count, 2:]) / 2
    nose = points[:count, 30]
    side = movie.boxes[:count, 2] - movie.boxes[:count, 0]
    assert (np.abs(middle - nose).max(axis=1) / side).max() < 0.2


@pytest.mark.data
def test_the_sound_of_a_video_only_movie_is_not_read_unasked(shared_data: Path) -> None:
    path = shared_data / "ravdess_mp4" / "Actor_01" / "02-01-01-01-01-02-01.mp4"
    movie = prepare_movie(path, CROPS, modalities=("video",), start=1.0, end=1.4)
    assert len(movie.audio) == 0
    assert len(movie.video) == 10

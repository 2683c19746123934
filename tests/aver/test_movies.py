"""Pictures and sound of movies: all of them, in slices, turned, broken, cut off, and at a constant rate."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.aver.movies import (
    TREATMENTS,
    Damage,
    Oddity,
    Pictures,
    facts,
    is_steady,
    largest_gap,
    nearest_frames,
    read_sound,
)
from examples.aver.movies.clock import in_order
from examples.aver.movies.pictures import REORDERED, upright
from mrpnkit.errors import CorpusError, InputError
from tests.aver.movie_files import cut, damaged, grey_levels, level_of, noise, tone, write

WHOLE = Damage(0, 0, False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("movies") / "plain.mp4", grey_levels(30), sound=tone(1.2))


def test_all_pictures_in_order(plain: Path) -> None:
    pictures = Pictures(plain)
    read = [(picture.time, picture.rgb()) for picture in pictures]
    assert [time for time, _ in read] == pytest.approx([k / 25 for k in range(30)], abs=1e-3)
    wanted = [level_of(frame) for frame in grey_levels(30)]
    assert [level_of(image) for _, image in read] == pytest.approx(wanted, abs=3)
    assert read[0][1].shape == (48, 64, 3)
    assert pictures.damage == WHOLE
    assert facts(plain)[2:] == (25.0, 64, 48, 48000, 1.2)


def test_threads_change_nothing(plain: Path) -> None:
    one, three = ([p.rgb() for p in Pictures(plain, threads=threads)] for threads in (1, 3))
    np.testing.assert_array_equal(np.stack(one), np.stack(three))


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(0.0, None, 0, 29), (0.4, 0.8, 10, 19), (0.41, 0.79, 10, 19), (1.1, None, 27, 29), (0.0, 0.01, 0, 0)],
)
def test_a_slice_is_what_all_pictures_have_there(
    plain: Path, start: float, end: float | None, first: int, last: int
) -> None:
    whole = [p.rgb() for p in Pictures(plain)]
    part = [p.rgb() for p in Pictures(plain, start=start, end=end)]
    np.testing.assert_array_equal(np.stack(part), np.stack(whole[first : last + 1]))


def test_a_slice_beyond_the_end_shows_what_is_shown_there(plain: Path) -> None:
    assert [p.time for p in Pictures(plain, start=5.0)] == pytest.approx([29 / 25])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_pictures_are_turned_upright(tmp_path: Path, turn: int, mirrored: bool) -> None:
    frames = grey_levels(3)
    plain = write(tmp_path / "plain.mp4", frames)
    movie = write(tmp_path / "turned.mp4", frames, rotation=turn, mirrored=mirrored)
    stored = next(iter(Pictures(plain))).rgb()
    picture = next(iter(Pictures(movie)))
    # FFmpeg's angle is counter-clockwise, as NumPy's; its flip negates where points are shown, so it comes last.
    wanted = np.rot90(stored, turn // 90)
    wanted = wanted[:, ::-1] if mirrored else wanted
    np.testing.assert_array_equal(picture.rgb(), wanted)
    assert (picture.height, picture.width) == wanted.shape[:2]
    assert picture.turned == (turn != 0 or mirrored)
    small = picture.grey(picture.width // 2, picture.height // 2)
    assert small.shape == (wanted.shape[0] // 2, wanted.shape[1] // 2)
    corner = np.unravel_index(int(small[2:-2, 2:-2].argmax()), small[2:-2, 2:-2].shape)
    bright = np.unravel_index(int(wanted[::2, ::2, 0][2:-2, 2:-2].argmax()), small[2:-2, 2:-2].shape)
    assert np.abs(np.subtract(corner, bright)).max() <= 3


def test_a_quarter_turn_by_hand() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert upright(image, (0, 1, -1, 0)).tolist() == [[4, 1], [5, 2], [6, 3]]  # to the right
    assert upright(image, (0, -1, 1, 0)).tolist() == [[3, 6], [2, 5], [1, 4]]  # to the left
    assert upright(image, (-1, 0, 0, -1)).tolist() == [[6, 5, 4], [3, 2, 1]]
    assert upright(image, (-1, 0, 0, 1)).tolist() == [[3, 2, 1], [6, 5, 4]]


def test_broken_packets_are_survived_and_counted(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(40), front=True)
    pictures = Pictures(damaged(tmp_path / "broken.mp4", whole, bytes_flipped=60))
    count = sum(1 for _ in pictures)
    assert 30 <= count <= 40
    assert pictures.damage.packets + pictures.damage.pictures > 0


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), max_size=40), st.integers(0, 40))
def test_items_take_sorted_times_in_their_order(times: list[float], ahead: int) -> None:
    found = list(in_order(enumerate(times), ahead=ahead))
    assert [item for item, _ in found] == list(range(len(times)))
    given_times = [time for _, time in found]
    assert given_times == sorted(given_times)
    if ahead >= len(times) or times == sorted(times):
        assert given_times == sorted(times)


@pytest.mark.parametrize("between", [1, 2, 15, 16])
def test_times_of_the_order_of_decoding_are_put_right(between: int) -> None:
    """A picture in advance is decoded before the ones between, so each of these has the time after its own."""
    times = [0.0]
    while len(times) < 60:
        first = len(times)
        times += [*range(first + 1, first + 1 + between), first]
    assert [time for _, time in in_order(enumerate(times), ahead=REORDERED)] == list(range(len(times)))


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with pictures between others, in a container that has one time stamp a packet, that of decoding."""
    path = write(tmp_path_factory.mktemp("avi") / "between.avi", grey_levels(50), sound=tone(2.0))
    stamps = stored_stamps(path)
    assert (np.diff(stamps) < 0).sum() > 10
    return path


def stored_stamps(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([frame.time for frame in container.decode(video=0)])


def test_pictures_of_avi_keep_the_order_in_which_they_are_shown(avi: Path) -> None:
    pictures, stamps = Pictures(avi), stored_stamps(avi)
    read = [(picture.time, level_of(picture.rgb())) for picture in pictures]
    times = np.array([time for time, _ in read])
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=1e-6)
    assert [level for _, level in read] == pytest.approx([level_of(frame) for frame in grey_levels(50)], abs=3)
    assert pictures.damage == Damage(0, 0, False, stamps=int((np.abs(np.sort(stamps) - stamps) > 1e-6).sum()))
    places = nearest_frames(times, rate=25, start=times[0], end=times[-1] + 1 / 25)
    np.testing.assert_array_equal(places, np.arange(50))
    part = [(picture.time, level_of(picture.rgb())) for picture in Pictures(avi, start=1.0, end=1.5)]
    assert part == [(time, level) for time, level in read if 1.0 - 1e-6 <= time < 1.5]


def test_what_is_broken_behind_a_slice_is_not_told_of_it(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(60), front=True)
    size = whole.stat().st_size
    broken = damaged(tmp_path / "broken.mp4", whole, bytes_flipped=80, beyond=round(0.3 * size))
    pictures, everything = Pictures(broken, end=0.4), Pictures(broken)
    assert sum(1 for _ in pictures) == 10
    assert pictures.damage == WHOLE
    assert sum(1 for _ in everything) > 10
    assert everything.damage.packets + everything.damage.pictures > 0


def test_a_movie_that_is_cut_off(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", noise(40), front=True)
    pictures = Pictures(cut(tmp_path / "cut.mp4", whole, share=0.6))
    assert 10 <= sum(1 for _ in pictures) < 40
    tail = write(tmp_path / "tail.mp4", noise(10))  # the table of contents is at its end
    with pytest.raises(CorpusError, match=r"cut\.mp4 cannot be opened: .*The file may be cut off: an MP4 often ends"):
        list(Pictures(cut(tmp_path / "cut.mp4", tail, share=0.6)))


def test_files_that_are_no_movies(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.mp4 does not exist"):
        facts(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no movie")
    with pytest.raises(CorpusError, match=r"text\.mp4 cannot be opened"):
        list(Pictures(tmp_path / "text.mp4"))
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(CorpusError, match=r"empty\.mp4 cannot be opened"):
        read_sound(tmp_path / "empty.mp4")


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=30, unique=True),
    st.floats(1, 60),
    st.floats(0, 5),
    st.floats(0.01, 5),
)
def test_the_nearest_time_stamp_is_taken(times: list[float], rate: float, start: float, length: float) -> None:
    stamps = np.array(times)
    places = nearest_frames(stamps, rate=rate, start=start, end=start + length)
    assert len(places) == max(1, int(np.floor((start + length - start) * rate + 0.5)))
    wanted = start + np.arange(len(places)) / rate
    best = np.abs(stamps[None, :] - wanted[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(stamps[places] - wanted), best, atol=1e-6)


@pytest.mark.parametrize("rate", [23.976, 25.0, 29.97, 30.0, 59.94])
def test_a_movie_of_that_rate_stays_as_it_is(rate: float) -> None:
    for count in (1, 2, 98, 1000):
        times = np.arange(count) / rate
        for rounded in (times, np.round(times, 3)):
            np.testing.assert_array_equal(
                nearest_frames(rounded, rate=rate, end=count / rate), np.arange(count), err_msg=f"{count}"
            )


def test_rates_and_gaps() -> None:
    assert nearest_frames(np.array([0.0, 0.5, 0.1]), rate=10, end=0.6).tolist() == [0, 2, 2, 2, 1, 1]
    assert is_steady(np.array([0.0]))
    assert is_steady(np.round(np.arange(90) / 29.97, 3))
    assert not is_steady(np.delete(np.arange(30) / 25, 12))
    assert largest_gap(np.array([0.1, 0.2, 0.7]), start=0, end=1.0) == pytest.approx(0.5)
    with pytest.raises(InputError, match=r"rate must be above 0 steps a second, got 0"):
        nearest_frames(np.zeros(1), rate=0, end=1)
    with pytest.raises(InputError, match=r"no times; expected at least one picture"):
        nearest_frames(np.zeros(0), rate=1, end=1)


def sine(count: int, *, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / 16000)


def test_sound_is_mono_at_16_khz(plain: Path) -> None:
    sound = read_sound(plain)
    assert (sound.rate, len(sound.oddities), str(sound.samples.dtype)) == (16000, 0, "float32")
    assert abs(len(sound.samples) - 1.2 * 16000) <= 400  # the encoder fills up its last frame
    middle = slice(4000, 14000)
    np.testing.assert_allclose(sound.samples[middle], sine(len(sound.samples))[middle], atol=0.02)


@pytest.mark.parametrize("kind", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_recordings_of_any_format(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tone.wav"
    left, right = tone(0.5, rate=44100), np.zeros((1, 22050), np.float32)
    soundfile.write(path, np.concatenate([left[:1], right]).T, 44100, subtype=kind)
    sound = read_sound(path)
    assert len(sound.samples) == 8000
    np.testing.assert_allclose(sound.samples[500:-500], 0.5 * sine(8000)[500:-500], atol=0.01)


def test_a_slice_of_sound_is_what_all_of_it_has_there(plain: Path) -> None:
    whole = read_sound(plain).samples
    part = read_sound(plain, start=0.3, end=0.9)
    assert len(part.samples) == 9600
    np.testing.assert_allclose(part.samples, whole[4800:14400], atol=2e-3)


def test_sound_that_starts_later_keeps_its_time(tmp_path: Path) -> None:
    movie = write(tmp_path / "late.mp4", grey_levels(25), sound=tone(0.5), sound_start=0.4)
    samples = read_sound(movie).samples
    assert np.abs(samples[: round(0.37 * 16000)]).max() < 0.01
    assert np.abs(samples[round(0.45 * 16000) : round(0.8 * 16000)]).max() > 0.4


def test_no_sound_and_silence_are_told_apart(tmp_path: Path) -> None:
    silent = read_sound(write(tmp_path / "silent.mp4", grey_levels(5), sound=np.zeros((1, 9600), np.float32)))
    assert [odd.kind for odd in silent.oddities] == ["silent"]
    assert not len(silent.samples)
    without = read_sound(write(tmp_path / "without.mp4", grey_levels(5)))
    assert without.oddities == (Oddity("no sound", "the file has no stream of sound"),)
    assert str(without.oddities[0]) == "no sound: the file has no stream of sound"
    with pytest.raises(InputError, match=r"from 2 s to 1 s is empty"):
        read_sound(tmp_path / "silent.mp4", start=2, end=1)


def test_sound_of_a_broken_movie(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", grey_levels(50), sound=tone(2.0), front=True)
    sound = read_sound(damaged(tmp_path / "broken.mp4", whole, bytes_flipped=40, beyond=200))
    assert np.isfinite(sound.samples).all()
    assert len(sound.samples) > 16000


def test_every_oddity_has_a_treatment() -> None:
    assert all(TREATMENTS.values())


@pytest.mark.data
def test_the_real_movies(shared_data: Path) -> None:
    folder = shared_data / "ravdess_mp4" / "Actor_01"
    movies = sorted(folder.glob("*.mp4"))
    assert len(movies) == 6
    for path in movies:
        about = facts(path)
        assert (about.width, about.height, about.sound_rate) == (1280, 720, 48000)
        assert about.rate == pytest.approx(29.97, abs=0.01)
        part = [picture.grey(64, 36) for picture in Pictures(path, start=1.0, end=1.5)]
        assert len(part) == 16  # the one that is shown at 1.0 s, and 15 that begin later
        assert 3.0 < (about.seconds or 0) < 4.0
    sound = read_sound(movies[0])
    # The archive's recording of the same take, resampled by somebody else.
    wave, rate = soundfile.read(shared_data / "ravdess" / "audio" / "01-01-01-01-01-01.flac")
    assert rate == 16000
    assert len(wave) == len(sound.samples)
    spectra = np.fft.rfft(sound.samples, 1 << 17), np.fft.rfft(wave, 1 << 17)
    alike = np.fft.irfft(spectra[0] * spectra[1].conj()) / np.linalg.norm(sound.samples) / np.linalg.norm(wave)
    lag = int(alike.argmax())
    assert alike[lag] > 0.98
    assert 0 <= lag <= 640  # the movie's sound comes a picture later than the recording, 33 ms

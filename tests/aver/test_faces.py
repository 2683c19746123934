"""Boxes, crops and detectors of faces; which face is followed, and how well, where the truth is known."""

import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from examples.aver.faces import (
    DETECTORS,
    Detection,
    DlibCnn,
    DlibHog,
    FaceSettings,
    WholePicture,
    crop,
    detectors,
    find_face,
    inside_share,
    iou,
    reduce_movie,
    scaled,
    squares,
)
from examples.aver.faces.boxes import as_shapes
from examples.aver.faces.choice import choose_face
from examples.aver.faces.find import _search
from examples.aver.faces.following import Followed
from examples.aver.faces.reduced import Reduced, reduced_size
from examples.aver.faces.smoothing import distance_to_nearest, held, smooth_path, softened, weighted_mean
from examples.aver.movies import Damage, Facts, Pictures
from mrpnkit.errors import DependencyError, InputError, RegistryError
from tests.aver.movie_files import drawn_face, put, scene, write

CORNERS = st.tuples(*[st.integers(0, 12)] * 4).map(lambda c: (min(c[:2]), min(c[2:]), max(c[:2]), max(c[2:])))


def counted(box: tuple[int, int, int, int]) -> np.ndarray:
    """Pixels in a box."""
    grid = np.zeros((12, 12), bool)
    grid[box[1] : box[3], box[0] : box[2]] = True
    return grid


@given(CORNERS, CORNERS)
def test_overlap_as_pixels_are_counted(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    a, b = counted(one), counted(other)
    wanted = (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0
    assert float(iou(np.array(one, float), np.array(other, float))) == pytest.approx(wanted)
    share = (a[:6, :9]).sum() / a.sum() if a.any() else 0.0
    assert float(inside_share(np.array(one, float), width=9, height=6)) == pytest.approx(share)


def test_shapes_and_squares_are_each_other_s_inverse() -> None:
    boxes = np.array([[1.0, 2, 5, 6], [0, 0, 100, 100]])
    np.testing.assert_allclose(squares(as_shapes(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(squares(as_shapes(boxes), margin=0.5)[0], [-1, 0, 7, 8], atol=1e-9)
    wide = as_shapes(np.array([0.0, 0, 8, 2]))
    np.testing.assert_allclose(squares(wide), [2, -1, 6, 3])  # the square of the same area
    np.testing.assert_allclose(scaled(boxes, 2, 3)[0], [2, 6, 10, 18])


def test_a_crop_inside_is_what_pillow_cuts() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    whole = crop(image, np.array([10.0, 20, 42, 52]), 32)
    np.testing.assert_array_equal(whole, image[20:52, 10:42])
    half = crop(image, np.array([10.0, 20, 42, 52]), 16)
    pillow = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR, box=(10, 20, 42, 52))
    np.testing.assert_array_equal(half, np.asarray(pillow))
    between = crop(image, np.array([10.5, 20, 42.5, 52]), 32).astype(int)
    wanted = (image[20:52, 10:42].astype(int) + image[20:52, 11:43]) / 2
    assert np.abs(between - wanted).max() <= 1


def test_a_crop_beyond_the_border_repeats_it() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    padded = np.pad(image, ((40, 40), (40, 40), (0, 0)), mode="edge")
    for box in ([-8, -4, 8, 12], [20, 10, 36, 26], [-20, -20, 44, 44], [40, 30, 60, 50]):
        wanted = padded[box[1] + 40 : box[3] + 40, box[0] + 40 : box[2] + 40]
        np.testing.assert_array_equal(crop(image, np.array(box, float), box[2] - box[0]), wanted)


def test_names_of_detectors() -> None:
    assert set(DETECTORS.names()) >= {"dlib_cnn", "dlib_hog", "none"}
    with pytest.raises(RegistryError, match=r"no detector named 'dlib_cn'\. Did you mean 'dlib_cnn'"):
        DETECTORS["dlib_cn"]
    with pytest.raises(DependencyError, match=r"weights of dlib's face network are not in nowhere\.dat"):
        DlibCnn(weights=Path("nowhere.dat"))([np.zeros((90, 90, 3), np.uint8)])


def test_the_package_of_the_weights_is_not_imported() -> None:
    code = (
        "import sys; from examples.aver.faces.detectors import installed_weights; "
        "assert installed_weights().is_file(); assert 'face_recognition_models' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("detector", [DlibCnn(), DlibHog()], ids=["dlib_cnn", "dlib_hog"])
def test_detectors_find_the_face_where_it_is(detector: DlibCnn | DlibHog) -> None:
    frames = scene([(20, 30), None, (110, 40)])
    found = detector(frames)
    assert [len(faces) for faces in found] == [1, 0, 1]
    first, last = (np.array(found[place][0].box) for place in (0, 2))
    middle = (first[:2] + first[2:]) / 2
    assert np.abs(middle - [20 + 96, 30 + 96]).max() < 30
    np.testing.assert_allclose(last - first, [90, 10, 90, 10], atol=20)
    assert found[0][0].score > 0
    assert detector([]) == []


def test_a_batch_finds_what_single_pictures_show() -> None:
    frames = scene([(20, 30), None, (110, 40)])
    detector = DlibCnn(batch=2)
    together = detector._network(frames, 0, batch_size=2)  # as it is called on a GPU
    boxes = [[face.rect.left() for face in faces] for faces in together]
    assert boxes == [[int(face.box[0]) for face in faces] for faces in detector(frames)]


class OnGpu:
    """dlib's network as it is called on a GPU: batches of pictures of one size, of which each tells its faces."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, pictures: list[np.ndarray], upsampled: int, *, batch_size: int) -> list[list[SimpleNamespace]]:
        assert isinstance(pictures, list)
        assert len({picture.shape for picture in pictures}) == 1
        assert all(picture.flags.c_contiguous and picture.dtype == np.uint8 for picture in pictures)
        assert (upsampled, batch_size) == (0, 3)
        self.calls.append(len(pictures))
        sides = [int(picture[0, 0, 0]) for picture in pictures]
        return [[SimpleNamespace(rect=Edges(side), confidence=0.5)] if side else [] for side in sides]


class Edges(NamedTuple):
    """A rectangle from (10, 20) on, whose last column and row lie inside."""

    side: int

    def left(self) -> int:
        return 10

    def top(self) -> int:
        return 20

    def right(self) -> int:
        return 9 + self.side

    def bottom(self) -> int:
        return 19 + self.side


@pytest.mark.parametrize("size", [(96, 160), (96, 400)], ids=["as they are", "reduced"])
def test_on_a_gpu_pictures_go_in_batches_and_faces_come_back_in_order(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "on_gpu", lambda: True)
    network, detector = OnGpu(), DlibCnn(batch=3)
    detector.__dict__["_network"] = network
    sides = [40, 41, 0, 43, 44, 45, 46]
    colour = np.stack([np.full((*size, 3), side, np.uint8) for side in sides])
    about = Facts(0.0, 0.28, 25.0, size[1], size[0], None)
    movie = Reduced(
        np.arange(7) / 25, np.zeros((7, *size), np.uint8), np.arange(7), colour, size[1], size[0], False, about,
        Damage(0, 0, False),
    )  # fmt: skip
    found, width = _search(movie, detector, (384,))
    assert network.calls == [3, 4]  # the first, middle and last picture, then the others
    assert width == 384
    wide = size[1] / reduced_size(size[1], size[0], 384)[0]
    high = size[0] / reduced_size(size[1], size[0], 384)[1]
    for side, faces in zip(sides, found, strict=True):
        wanted = [10 * wide, 20 * high, (10 + side) * wide, (20 + side) * high]
        assert [face.box for face in faces] == ([pytest.approx(wanted)] if side else [])
    assert detector([]) == []
    assert len(network.calls) == 2


def test_none_takes_the_middle_square() -> None:
    assert WholePicture()([np.zeros((100, 160, 3), np.uint8)]) == [[Detection((30, 0, 130, 100), 1.0)]]


def face(left: float, side: float = 10) -> Detection:
    return Detection((left, 0, left + side, side), 1.0)


def test_the_larger_and_longer_face_is_followed() -> None:
    small, large = face(0, 10), face(50, 20)
    assert choose_face([[small, large], [large, small], [small]]) == [large, large, None]
    brief = face(50, 12)
    assert choose_face([[small], [small, brief], [small], [small]]) == [small] * 4
    assert choose_face([[], [face(0)], [], [face(3)], [face(6)]]) == [None, face(0), None, face(3), face(6)]
    assert choose_face([[], []]) == [None, None]


def test_means_and_lines() -> None:
    apart = np.array([[0.0, 1.0], [0.5, 0.5]])
    means = weighted_mean(np.array([[1.0], [3.0]]), apart, 1.0)
    weights = np.exp(-0.5 * apart**2)
    np.testing.assert_allclose(means[:, 0], (weights * [1, 3]).sum(1) / weights.sum(1))
    far = weighted_mean(np.array([[1.0], [3.0]]), np.array([[1000.0, 1001.0]]), 1.0)
    assert np.isfinite(far).all()
    times = np.array([0.0, 1, 3, 4])
    path = held(np.array([[9.0], [2], [9], [5]]), times, np.array([False, True, False, True]))
    np.testing.assert_allclose(path[:, 0], [2, 2, 4, 5])
    steady = softened(np.full((20, 3), 7.0), np.arange(20) / 25, seconds=0.03)
    np.testing.assert_allclose(steady, 7.0)
    rough = np.stack([np.arange(40) + (-1.0) ** np.arange(40)], 1)
    smooth = softened(rough, np.arange(40) / 25, seconds=0.06)
    assert np.abs(np.diff(smooth[5:-5, 0]) - 1).max() < 0.2


def long_path(count: int) -> tuple[Followed, np.ndarray, np.ndarray, np.ndarray]:
    """A path of three stretches, its times, a key picture every 20, and what was found there."""
    random = np.random.default_rng(count)
    times = np.cumsum(random.uniform(0.02, 0.06, count))
    segment = np.repeat([-1, 0, 1, 2], [3, count // 4, count // 2, count - 3 - count // 4 - count // 2])
    keys = np.arange(0, count, 20)
    found = random.normal(size=(len(keys), 3))
    found[::5] = np.nan
    followed = Followed(random.normal(size=(count, 3)), np.ones(count), segment)
    return followed, times, keys, found


def test_smoothing_of_a_long_movie_is_that_of_a_short_one() -> None:
    """Picture by picture, against the definition."""
    followed, times, keys, found = long_path(5000)
    path = smooth_path(followed, times, keys, found, seconds=1.0)
    seen = np.isfinite(found[:, 0])
    for place in (0, 3, 500, 1252, 1253, 2300, 3752, 3753, 4999):
        known = np.flatnonzero(seen & (followed.segment[keys] == followed.segment[place]))
        wanted = followed.shapes[place].copy()
        if followed.segment[place] >= 0:
            offsets = found[known] - followed.shapes[keys[known]]
            for column, spread in enumerate((1.0, 1.0, 2.0)):
                weights = np.exp(-0.5 * ((times[place] - times[keys[known]]) / spread) ** 2)
                wanted[column] += (weights * offsets[:, column]).sum() / weights.sum()
        np.testing.assert_allclose(path[place], wanted, rtol=0, atol=1e-9)


def test_memory_of_smoothing_grows_with_the_movie_not_with_its_square() -> None:
    peaks = []
    for count in (8_000, 16_000):
        arguments = long_path(count)
        tracemalloc.start()
        smooth_path(*arguments, seconds=1.0)
        distance_to_nearest(arguments[1], arguments[1][arguments[2]])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2.5 * peaks[0]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=20), st.lists(st.floats(0, 9), min_size=1, max_size=9))
def test_distance_to_the_nearest(times: list[float], others: list[float]) -> None:
    wanted = [min(abs(time - other) for other in others) for time in times]
    assert distance_to_nearest(np.array(times), np.array(others)).tolist() == wanted


@pytest.mark.parametrize(
    ("size", "longer"),
    [((1280, 720), 384), ((640, 480), 384), ((480, 360), 384), ((1080, 1920), 384), ((200, 100), 384)],
)
def test_reduced_by_a_power_of_the_pyramid_s_step(size: tuple[int, int], longer: int) -> None:
    small = reduced_size(*size, longer)
    assert max(small) <= longer
    power = np.log(max(size) / max(small)) / np.log(6 / 5)
    assert power == pytest.approx(round(power), abs=0.02)
    assert max(small) == max(size) or max(small) * 6 / 5 > longer


def reduced(frames: list[np.ndarray], tmp_path: Path, *, rate: int = 25, key_seconds: float = 0.4) -> Reduced:
    movie = write(tmp_path / "movie.mp4", frames, rate=rate)
    result = reduce_movie(Pictures(movie), searched=768, key_seconds=key_seconds)
    assert result is not None
    return result


def test_a_movie_is_reduced_to_small_and_key_pictures(tmp_path: Path) -> None:
    movie = reduced(scene([(0, 0)] * 26, height=480, width=640), tmp_path)
    assert movie.grey.shape == (26, 278, 370)
    assert movie.colour.shape == (3, 480, 640, 3)
    assert movie.keys.tolist() == [0, 10, 20]
    far = reduced(scene([(0, 0)] * 28), tmp_path)
    assert far.keys.tolist() == [0, 10, 20, 27]
    assert (far.width, far.height, far.turned) == (320, 240, False)


def centres(boxes: np.ndarray) -> np.ndarray:
    middle: np.ndarray = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middle


@pytest.mark.parametrize("detector", ["dlib_cnn", "dlib_hog"])
def test_a_moving_face_is_followed_between_key_pictures(tmp_path: Path, detector: str) -> None:
    # There and back between two key pictures: straight lines from key to key would stand still.
    moves = [(60 + round(40 * np.sin(2 * np.pi * k / 20)), 24) for k in range(41)]
    path = find_face(reduced(scene(moves), tmp_path, key_seconds=0.4), FaceSettings(detector=detector))
    assert path.seen.all()
    assert path.found.all()
    assert path.oddities == ()
    assert path.boxes.shape == (41, 4)
    offset = centres(path.boxes) - np.array(moves)
    assert np.abs(offset - offset.mean(axis=0)).max() < 12
    assert np.abs(np.diff(path.boxes[:, 2] - path.boxes[:, 0])).max() < 4
    widths = path.boxes[:, 2:] - path.boxes[:, :2]
    np.testing.assert_allclose(widths[:, 0], widths[:, 1])


def test_no_face_is_reported(tmp_path: Path) -> None:
    path = find_face(reduced(scene([None] * 15), tmp_path), FaceSettings(detector="dlib_hog"))
    assert path.boxes.shape == (0, 4)
    assert [str(odd) for odd in path.oddities] == ["no face: 2 key pictures were searched, up to 768 pixels wide"]
    assert not path.seen.any()


def test_of_two_faces_the_larger_is_followed(tmp_path: Path) -> None:
    frames = scene([(0, 20)] * 15, height=240, width=380)
    for frame in frames[:10]:
        put(frame, drawn_face(170, 1), 200, 40)
    path = find_face(reduced(frames, tmp_path, key_seconds=0.2), FaceSettings(detector="dlib_hog"))
    assert path.faces.max() == 2
    assert path.oddities[0].kind == "several faces"
    assert "up to 2 at once" in path.oddities[0].text
    assert np.abs(centres(path.boxes) - [96, 20 + 100]).max() < 30


def test_a_face_that_comes_late_and_one_that_goes(tmp_path: Path) -> None:
    settings = FaceSettings(detector="dlib_hog", bridge_seconds=0.3)
    late = find_face(reduced(scene([None] * 30 + [(60, 24)] * 45), tmp_path), settings)
    assert not late.seen[:20].any()
    assert late.seen[32:].all()
    assert [odd.kind for odd in late.oddities] == ["face lost"]
    np.testing.assert_allclose(late.boxes[0], late.boxes[30], atol=4)
    gone = find_face(reduced(scene([(60, 24)] * 15 + [None] * 60), tmp_path), settings)
    assert [odd.kind for odd in gone.oddities] == ["face seldom seen"]
    assert np.isfinite(gone.boxes).all()


def test_a_face_that_leaves_the_picture(tmp_path: Path) -> None:
    moves = [(60 + 5 * k, 24) for k in range(30)]
    path = find_face(reduced(scene(moves), tmp_path, key_seconds=0.2), FaceSettings(detector="dlib_hog"))
    assert "face leaves the picture" in [odd.kind for odd in path.oddities]
    assert np.isfinite(path.boxes).all()


def test_a_small_face_is_searched_in_a_wider_picture(tmp_path: Path) -> None:
    frames = scene([(420, 150)] * 6, height=480, width=720, face=drawn_face(144))
    movie = reduced(frames, tmp_path)
    path = find_face(movie, FaceSettings(detector="dlib_cnn"))
    assert path.width == 768
    assert path.found.all()
    narrow = find_face(movie, FaceSettings(detector="dlib_cnn", widths=(384,)))
    assert [odd.kind for odd in narrow.oddities] == ["no face"]


def test_small_faces_are_told() -> None:
    about = Facts(0.0, 1.0, 25.0, 200, 100, None)
    grey = np.zeros((2, 100, 200), np.uint8)
    movie = Reduced(
        np.array([0, 0.04]), grey, np.array([0]), np.zeros((1, 100, 200, 3), np.uint8), 200, 100, False, about,
        Damage(0, 0, False),
    )  # fmt: skip

    class Tiny:
        searches = True

        def __call__(self, pictures: Sequence[np.ndarray]) -> list[list[Detection]]:
            return [[Detection((50, 20, 80, 50), 1.0)] for _ in pictures]

    path = find_face(movie, FaceSettings(), detector=Tiny())
    assert "small face: 30 pixels wide" in [str(odd) for odd in path.oddities]


def test_crops_that_exist_already(tmp_path: Path) -> None:
    path = find_face(reduced(scene([None] * 5), tmp_path), FaceSettings(detector="none"))
    assert path.seen.all()
    np.testing.assert_allclose(path.boxes, np.tile([40, 0, 280, 240], (5, 1)))
    assert path.oddities == ()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": ()}, r"widths must be increasing and 16 or more, got \(\)"),
        ({"widths": (640, 320)}, r"widths must be increasing"),
        ({"key_seconds": 0}, r"key_seconds must be above 0, got 0"),
        ({"minimum_share": 2}, r"minimum_share must be from 0 to 1, got 2"),
        ({"size": 4}, r"size must be 8 pixels or more, got 4"),
        ({"margin": -1}, r"margin must be 0 or more, got -1"),
    ],
)
def test_settings_are_checked(options: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        FaceSettings(**options)

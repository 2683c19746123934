"""Landmarks of movies of another rate: interpolated in time, so that one motion has one description."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from examples.aver import prepare as preparation
from examples.aver.clips import Clip, Landmarks
from examples.aver.landmarks import align, at_rate
from examples.aver.openface import NTSC
from examples.aver.prepare import Features, prepare
from examples.aver.versions import Versions, make_versions
from mrpnkit.errors import InputError
from tests.aver.test_landmarks import face
from tests.aver.test_replacement import Inline

RATE = Features().fps
QUIET = Console(quiet=True)
RATES = (RATE / 2, RATE, 2 * RATE)


def motion(fps: float, seconds: float = 4.0) -> Landmarks:
    """A face that speaks and nods, slowly enough for the lowest rate, as a camera of this rate sees it."""
    time = np.arange(round(seconds * fps)) / fps
    points = np.repeat(face(frames=1), len(time), axis=0)
    points[:, 48:, 1] += 9 * np.sin(2 * np.pi * 0.7 * time)[:, None]
    points[:, 17:27, 1] -= 4 * np.cos(2 * np.pi * 0.4 * time)[:, None]
    points += (30 * np.sin(2 * np.pi * 0.3 * time))[:, None, None]
    return Landmarks(points.astype(np.float32), fps)


def clips(fps: float) -> list[Clip]:
    return [
        Clip(id=f"{n}", actor="1", sex="female", emotion="calm", read_landmarks=partial(motion, fps, 3.0 + n))
        for n in range(2)
    ]


@pytest.mark.parametrize("fps", [*RATES, 25.0, 60.0, 30.0, 7.3])
def test_points_are_interpolated_as_numpy_does(fps: float) -> None:
    seen = motion(fps)
    found = at_rate(seen, RATE)
    count = max(1, round(len(seen.points) * RATE / fps))
    assert found.fps == RATE
    assert found.points.shape == (count, 68, 2)
    assert found.points.dtype == np.float32
    own, wanted = np.arange(len(seen.points)) / fps, np.arange(count) / RATE
    for point in range(68):
        for axis in range(2):
            expected = np.interp(wanted, own, seen.points[:, point, axis])
            np.testing.assert_allclose(found.points[:, point, axis], expected, rtol=1e-6)


@pytest.mark.parametrize("fps", [29.97, NTSC, 29.97003, 29.95, 29.999])
def test_that_rate_is_left_as_it_is(fps: float) -> None:
    seen = motion(fps)
    assert at_rate(seen, RATE) is seen


def test_a_single_frame_and_none() -> None:
    one = Landmarks(face(frames=1).astype(np.float32), 25.0)
    np.testing.assert_array_equal(at_rate(one, 5.0).points, one.points)
    assert len(at_rate(one, 60.0).points) == 2
    none = Landmarks(np.zeros((0, 68, 2), np.float32), 0.0)
    assert at_rate(none, RATE) is none
    with pytest.raises(InputError, match=r"have 0\.0 frames a second; expected more than 0"):
        at_rate(Landmarks(one.points, 0.0), RATE)


def test_frames_without_a_face_are_filled_in_before() -> None:
    seen = motion(60.0, 1.0)
    good = np.ones(60, bool)
    broken = seen.points.copy()
    for place, value in ((0, np.nan), (20, 0.0), (21, np.inf), (40, 5.0)):  # a face is not all in one place
        broken[place], good[place] = value, False
    found = at_rate(Landmarks(broken, 60.0), RATE)
    own, wanted = np.flatnonzero(good) / 60, np.arange(len(found.points)) / RATE
    expected = np.interp(wanted, np.arange(60) / 60, np.interp(np.arange(60) / 60, own, seen.points[good, 50, 1]))
    np.testing.assert_allclose(found.points[:, 50, 1], expected, rtol=1e-6)
    with pytest.raises(InputError, match="None of the 30 frames of landmarks is usable"):
        align(at_rate(Landmarks(np.full((60, 68, 2), np.nan, np.float32), 60.0), RATE).points)


def test_one_motion_has_one_description_at_every_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "ProcessPoolExecutor", Inline)
    plain = Versions(count=1)
    described = []
    for fps in RATES:
        folder = tmp_path / f"{fps}"
        frames = prepare(clips(fps), folder / "frames", Features(), QUIET, source="seen")
        assert frames.modalities["video"].rate == RATE
        np.testing.assert_allclose(frames.modalities["video"].lengths / RATE, [3.0, 4.0], atol=1 / RATE)
        made = make_versions(frames, folder / "corpus", plain, QUIET)
        described.append(np.stack([made.read("video", row)[0] for row in range(2)]))
    for other in (described[0], described[2]):
        # Logarithms of spreads and changes among them: half or double the change would be 0.7 away.
        np.testing.assert_allclose(other, described[1], atol=0.12)


def test_nothing_changes_at_the_rate_of_ravdess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "ProcessPoolExecutor", Inline)
    features = Features()
    frames = prepare(clips(NTSC), tmp_path / "frames", features, QUIET, source="seen")
    for row, seconds in enumerate((3.0, 4.0)):
        np.testing.assert_array_equal(frames.read("video", row), features.video(motion(NTSC, seconds).points, NTSC))
    assert set(frames.about) == {"source", "clips", "features", "content"}


def test_what_was_prepared_without_interpolation_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "ProcessPoolExecutor", Inline)
    frames = prepare(clips(25.0), tmp_path / "frames", Features(), QUIET, source="seen")
    lengths = frames.modalities["video"].lengths.tolist()
    assert lengths == [round(75 * RATE / 25), round(100 * RATE / 25)]
    place = tmp_path / "frames" / "corpus.json"
    about = json.loads(place.read_text())
    assert about["about"].pop("interpolated_from_fps") == 25.0
    place.write_text(json.dumps(about))
    told = Console(record=True, width=200)
    prepare(clips(25.0), tmp_path / "frames", Features(), told, source="seen")
    assert "it is made anew" in told.export_text()
    assert json.loads(place.read_text())["about"]["interpolated_from_fps"] == 25.0

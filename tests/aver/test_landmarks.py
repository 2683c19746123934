"""Landmarks: gaps, alignment and features against hand-worked cases and independent derivations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.aver.landmarks import ANCHORS, MIRROR, LandmarkFeatures, align, mirror_landmarks
from examples.aver.openface import NTSC, fill_gaps, read_openface
from mrpnkit.errors import CorpusError, InputError

INVARIANT = ("shape", "deviation", "onset", "velocity", "head", "head_velocity")


def face(seed: int = 0, frames: int = 20) -> np.ndarray:
    """A plausible face in pixels that moves its mouth and its head: (frames, 68, 2)."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(-1.2, 1.2, (68, 2))
    base[36:42] = [-0.5, 0] + 0.12 * rng.uniform(-1, 1, (6, 2))
    base[42:48] = [0.5, 0] + 0.12 * rng.uniform(-1, 1, (6, 2))
    base[27:36] = np.stack([np.zeros(9), np.linspace(0.1, 0.7, 9)], 1) + 0.05 * rng.uniform(-1, 1, (9, 2))
    time = np.linspace(0, 3, frames)
    points = np.repeat(base[None], frames, 0)
    points[:, 48:, 1] += 0.2 * np.sin(4 * time)[:, None]
    turn = 0.2 * np.sin(time)
    z = (points[..., 0] + 1j * points[..., 1]) * np.exp(1j * turn + 0.1 * np.cos(time))[:, None]
    z = z * 90 + (640 + 20 * time + 1j * (300 + 10 * np.sin(time)))[:, None]
    return np.stack([z.real, z.imag], -1)


def moved(points: np.ndarray, *, shift: complex, scale: float, turn: float) -> np.ndarray:
    z = (points[..., 0] + 1j * points[..., 1]) * scale * np.exp(1j * turn) + shift
    return np.stack([z.real, z.imag], -1)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    scale=st.floats(0.2, 5),
    turn=st.floats(-3.1, 3.1),
    size=st.sampled_from(["frame", "clip"]),
)
def test_place_size_and_tilt_of_the_picture_change_nothing(
    seed: int, x: float, y: float, scale: float, turn: float, size: str
) -> None:
    features = LandmarkFeatures(blocks=INVARIANT, scale=size)  # type: ignore[arg-type]
    points = face(seed)
    expected = features(points, 29.97)
    got = features(moved(points, shift=x + 1j * y, scale=scale, turn=turn), 29.97)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_moving_every_frame_on_its_own_changes_the_head_and_not_the_shape() -> None:
    points = face()
    rng = np.random.default_rng(1)
    shaken = np.concatenate(
        [
            moved(
                frame[None],
                shift=complex(*rng.uniform(-30, 30, 2)),
                scale=rng.uniform(0.9, 1.1),
                turn=rng.uniform(-0.3, 0.3),
            )
            for frame in points
        ]
    )
    before, after = align(points), align(shaken)
    np.testing.assert_allclose(after.shape, before.shape, atol=1e-6)
    assert np.abs(after.head - before.head).max() > 0.1


def test_alignment_agrees_with_orthogonal_procrustes() -> None:
    from scipy.linalg import orthogonal_procrustes

    points = face(3)
    aligned = align(points).shape
    anchors = list(ANCHORS)
    for frame in range(len(points)):  # least squares: no rotation about the centre nor scale brings the anchors nearer
        here = aligned[frame, anchors]
        usual = np.median(aligned[:, anchors], axis=0)
        a, b = here - here.mean(0), usual - usual.mean(0)
        rotation, trace = orthogonal_procrustes(a, b)
        assert np.allclose(rotation, np.eye(2), atol=5e-3)
        assert trace / (a**2).sum() == pytest.approx(1, abs=5e-3)


def test_head_channels_of_a_hand_made_motion() -> None:
    still = np.repeat(face(frames=1), 5, 0)
    eyes = np.linalg.norm(still[0, 42:48].mean(0) - still[0, 36:42].mean(0))
    points = moved(still, shift=0, scale=1, turn=0)
    points[3] += [2 * eyes, -eyes]
    points[4] = moved(
        still[4:5] - still[0, 36:48].mean(0), shift=complex(*still[0, 36:48].mean(0)), scale=2.0, turn=0.5
    )[0]
    aligned = align(points)
    tilt = np.arctan2(*(still[0, 42:48].mean(0) - still[0, 36:42].mean(0))[::-1])
    np.testing.assert_allclose(aligned.tilt[:4], tilt, atol=1e-9)
    assert aligned.tilt[4] - tilt == pytest.approx(0.5)
    np.testing.assert_allclose(aligned.head[:3], np.repeat(aligned.head[:1], 3, 0), atol=1e-9)
    step = aligned.head[3] - aligned.head[0]
    assert np.hypot(*step[:2]) == pytest.approx(np.sqrt(5))
    assert aligned.head[4, 2] - aligned.head[0, 2] == pytest.approx(np.log(2))
    assert aligned.head[4, 3] - aligned.head[0, 3] == pytest.approx(0.5)


def test_blocks_are_what_they_say() -> None:
    points = face(5, frames=31)
    shape = align(points).shape.reshape(31, 136)
    got = LandmarkFeatures(blocks=("velocity", "deviation", "onset", "shape"), onset_seconds=0.2)(points, 25.0)
    np.testing.assert_allclose(got[:, :136], np.gradient(shape, 0.04, axis=0), atol=1e-4)
    np.testing.assert_allclose(got[:, 136:272], shape - shape.mean(0), atol=1e-5)
    np.testing.assert_allclose(got[:, 272:408], shape - shape[:5].mean(0), atol=1e-5)
    np.testing.assert_allclose(got[:, 408:], shape, atol=1e-5)


def test_a_mouth_that_opens_moves_only_the_mouth() -> None:
    points = np.repeat(face(frames=1), 3, 0)
    eyes = points[0, 42:48].mean(0) - points[0, 36:42].mean(0)
    down = np.array([-eyes[1], eyes[0]])  # across the line of the eyes, one inter-ocular distance long
    points[1, 57] += 0.3 * down
    change = LandmarkFeatures(blocks=("shape",))(points, 30.0).reshape(3, 68, 2)
    np.testing.assert_allclose(change[1, 57] - change[0, 57], [0, 0.3], atol=1e-5)
    np.testing.assert_allclose(np.delete(change[1], 57, 0), np.delete(change[0], 57, 0), atol=1e-5)


def test_frames_are_pooled() -> None:
    points = face(2, frames=7)
    whole = LandmarkFeatures(blocks=("shape",))(points, 30.0)
    pooled = LandmarkFeatures(blocks=("shape", "velocity"), pool=2)(points, 30.0)
    pairs = whole[:6].reshape(3, 2, 136).mean(1)
    np.testing.assert_allclose(pooled[:, :136], pairs, atol=1e-6)
    np.testing.assert_allclose(pooled[:, 136:], np.gradient(pairs, 1 / 15, axis=0), atol=1e-4)
    assert LandmarkFeatures(blocks=("velocity",), pool=50)(points, 30.0).tolist() == [[0.0] * 136]


def test_mirroring_features_is_mirroring_the_picture() -> None:
    features = LandmarkFeatures(blocks=("shape", "head", "velocity", "tilt", "head_velocity", "deviation", "onset"))
    points = face(4)
    expected = features(mirror_landmarks(points, width=1280), 30.0)
    once = features.mirror(features(points, 30.0))
    np.testing.assert_allclose(once, expected, atol=1e-4)
    np.testing.assert_array_equal(features.mirror(once), features(points, 30.0))
    assert not np.allclose(once, features(points, 30.0), atol=1e-2)


def test_mirror_pairs_are_those_of_the_mark_up() -> None:
    assert [MIRROR[MIRROR[k]] for k in range(68)] == list(range(68))
    # outer corner of the eyes, brow ends, mouth corners, nostrils, chin: from the published drawing of the 68 points
    assert {k: MIRROR[k] for k in (0, 8, 17, 21, 33, 31, 36, 37, 40, 48, 50, 59, 60, 67)} == {
        0: 16, 8: 8, 17: 26, 21: 22, 33: 33, 31: 35, 36: 45, 37: 44, 40: 47, 48: 54, 50: 52, 59: 55, 60: 64, 67: 65,
    }  # fmt: skip


def test_broken_frames_are_filled_in() -> None:
    points = face(6)
    points[5] = np.nan
    points[9] = 0.0
    points[12, 36:48] = points[12, 36]
    clean = LandmarkFeatures(blocks=("shape", "head"))(points, 30.0)
    assert np.isfinite(clean).all()
    patched = points.copy()
    for k in (5, 9, 12):
        patched[k] = (points[k - 1] + points[k + 1]) / 2
    np.testing.assert_allclose(clean, LandmarkFeatures(blocks=("shape", "head"))(patched, 30.0), atol=1e-4)


def test_absent_and_impossible_landmarks() -> None:
    features = LandmarkFeatures(blocks=("head", "tilt"))
    assert features(np.zeros((0, 68, 2)), 0.0).shape == (0, 5)
    with pytest.raises(InputError, match=r"None of the 4 frames of landmarks is usable"):
        features(np.zeros((4, 68, 2)), 30.0)
    with pytest.raises(InputError, match=r"shape \(4, 5, 2\); expected \(T, 68, 2\)"):
        features(np.zeros((4, 5, 2)), 30.0)
    with pytest.raises(InputError, match=r"have 0.0 frames a second; expected more than 0"):
        features(face(), 0.0)
    with pytest.raises(InputError, match=r"blocks are \('hed',\); expected one or more of shape, deviation"):
        LandmarkFeatures(blocks=("hed",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"each once"):
        LandmarkFeatures(blocks=("head", "head"))
    with pytest.raises(InputError, match=r"scale is 'no'; expected 'frame' or 'clip'"):
        LandmarkFeatures(scale="no")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"pool is 0"):
        LandmarkFeatures(pool=0)
    with pytest.raises(InputError, match=r"shape \(3, 4\); expected \(…, 5\)"):
        features.mirror(np.zeros((3, 4), np.float32))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=20).filter(any), st.integers(0, 10**6))
def test_gaps_are_filled_as_numpy_interpolates(good: list[bool], seed: int) -> None:
    mask = np.array(good)
    points = np.random.default_rng(seed).normal(size=(len(mask), 2, 2))
    holes = points.copy()
    holes[~mask] = np.nan
    got = fill_gaps(holes, mask).reshape(len(mask), 4)
    time = np.arange(len(mask))
    expected = np.stack([np.interp(time, time[mask], column[mask]) for column in points.reshape(len(mask), 4).T], 1)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def write_openface(path: Path, points: np.ndarray, *, blank: str = " ", **columns: list[float]) -> Path:
    """A CSV as OpenFace writes it: more columns than needed, blanks after the commas, capitals for other things."""
    names = ["frame", *columns, "X_0", *(f"x_{k}" for k in range(68)), *(f"y_{k}" for k in range(68)), "AU01_r"]
    rows = [
        [columns.get("frame", range(1, len(points) + 1))[t], *(values[t] for values in columns.values()), -7.0]
        + [*points[t, :, 0], *points[t, :, 1], 0.5]
        for t in range(len(points))
    ]
    if "frame" in columns:
        names.remove("frame")
        rows = [row[1:] for row in rows]
    lines = [("," + blank).join(names), *(("," + blank).join(f"{value:.4f}" for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("blank", ["", " "])
def test_openface_table(tmp_path: Path, blank: str) -> None:
    points = face(frames=6).round(2)
    path = write_openface(
        tmp_path / "clip.csv",
        points,
        blank=blank,
        timestamp=[0, 0.04, 0.08, 0.12, 0.16, 0.2],
        confidence=[0.1, 0.98, 0.98, 0.98, 0.5, 0.98],
        success=[1, 1, 0, 1, 1, 1],
    )
    got = read_openface(path)
    expected = points.copy()
    expected[0], expected[2], expected[4] = points[1], (points[1] + points[3]) / 2, (points[3] + points[5]) / 2
    np.testing.assert_allclose(got.points, expected, atol=1e-3)
    assert got.points.dtype == np.float32
    assert got.fps == pytest.approx(25.0)
    np.testing.assert_allclose(read_openface(path, minimum_confidence=0.0).points[4], points[4], atol=1e-3)


def test_openface_frames_left_out_or_given_twice(tmp_path: Path) -> None:
    points = face(frames=4).round(2)
    path = write_openface(tmp_path / "a.csv", points, frame=[1, 2, 4, 4], confidence=[0.9, 0.9, 0.95, 0.8])
    got = read_openface(path)
    np.testing.assert_allclose(got.points[[0, 1, 3]], points[:3], atol=1e-3)
    np.testing.assert_allclose(got.points[2], (points[1] + points[2]) / 2, atol=1e-3)
    assert got.fps == NTSC


def test_openface_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nobody\.csv does not exist"):
        read_openface(tmp_path / "nobody.csv")
    lost = write_openface(tmp_path / "lost.csv", face(frames=2), success=[0, 0], confidence=[0.2, 0.1])
    with pytest.raises(
        CorpusError, match=r"lost\.csv has no good frame: of 2, 0 have success and the highest .* 0\.20"
    ):
        read_openface(lost)
    (tmp_path / "other.csv").write_text("frame,x_0\n1,2\n")
    with pytest.raises(CorpusError, match=r"other\.csv has no column 'x_1' \(135 of the 136 are missing\)"):
        read_openface(tmp_path / "other.csv")
    whole = write_openface(tmp_path / "whole.csv", face(frames=2)).read_text().splitlines()
    (tmp_path / "empty.csv").write_text(whole[0] + "\n")
    with pytest.raises(CorpusError, match=r"empty\.csv has a header and no frames"):
        read_openface(tmp_path / "empty.csv")
    (tmp_path / "cut.csv").write_text("\n".join([*whole[:2], whole[2][:40]]))
    with pytest.raises(CorpusError, match=r"cut\.csv cannot be read as numbers"):
        read_openface(tmp_path / "cut.csv")

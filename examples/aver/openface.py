"""Facial points from the CSV files that OpenFace 2 writes: one row a frame, ``x_0 … x_67, y_0 … y_67`` in pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import POINTS, Landmarks
from mrpnkit.errors import CorpusError

NTSC = 30000 / 1001
"""29.97 frames a second, that of the RAVDESS movies."""


def read_openface(path: Path, *, minimum_confidence: float = 0.7, fps: float | None = None) -> Landmarks:
    """The points of one movie; frames without a reliable face are filled in from their neighbours.

    Column names may have leading blanks and stand in any order; other columns are ignored (``X_0``, in capitals, is
    OpenFace's position in space and another thing than ``x_0``). A frame is good when its ``success`` is not 0, its
    ``confidence`` reaches the minimum and its points are finite and not all in one place; the columns ``frame``,
    ``timestamp``, ``success`` and ``confidence`` may be absent, which then says nothing against a frame. Where a frame
    has several rows, as OpenFace writes for several faces, the most confident one counts; frames left out of the file
    are filled in too.

    Args:
        path: the CSV file.
        minimum_confidence: from 0 to 1.
        fps: frames a second; by default from the timestamps, or 29.97 where they do not tell.

    Raises:
        CorpusError: missing file, one that is no text, missing columns, a value that is no number, or no good frame.
    """
    if not path.is_file():
        raise CorpusError(f"The landmark file {path} does not exist; the clip is listed, so its file should be there.")
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        names = [name.strip() for name in lines.readline().split(",")]
        wanted = [f"{axis}_{point}" for axis in "xy" for point in range(POINTS)]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise CorpusError(
                f"The landmark file {path} has no column {missing[0]!r} ({len(missing)} of the {2 * POINTS} are "
                "missing); "
                "expected the CSV output of OpenFace with x_0 … x_67 and y_0 … y_67 (its option -2Dfp)."
            )
        known = [name for name in ("frame", "timestamp", "success", "confidence") if name in names]
        columns = [names.index(name) for name in (*wanted, *known)]
        rows = [line for line in lines if line.strip()]
        if not rows:
            raise CorpusError(
                f"The landmark file {path} has a header and no frames. Track the movie again, or remove it."
            )
        try:
            table = np.loadtxt(rows, delimiter=",", usecols=columns, ndmin=2)
        except (ValueError, IndexError) as error:
            raise CorpusError(
                f"The landmark file {path} cannot be read as numbers: {error}. It may be cut off. Fetch it or "
                "track the movie again, or remove it."
            ) from error
    points = np.stack([table[:, :POINTS], table[:, POINTS : 2 * POINTS]], axis=-1)
    extra = {name: table[:, 2 * POINTS + place] for place, name in enumerate(known)}
    if not np.isfinite(extra.get("frame", np.zeros(1))).all():
        raise CorpusError(f"The landmark file {path} has frames without a number. Track the movie again, or remove it.")
    confidence = extra.get("confidence", np.ones(len(table)))
    good = (extra.get("success", np.ones(len(table))) != 0) & (confidence >= minimum_confidence)
    good &= np.isfinite(points).all(axis=(1, 2)) & (points != points[:, :1]).any(axis=(1, 2))
    if not good.any():
        raise CorpusError(
            f"The landmark file {path} has no good frame: of {len(table)}, "
            f"{int((extra.get('success', good) != 0).sum())} "
            f"have success and the highest confidence is {np.nan_to_num(confidence, nan=0.0).max():.2f} (at least "
            f"{minimum_confidence:.2f} is asked for). Track the movie again, or remove the file."
        )
    frames = (
        np.arange(len(table)) if "frame" not in extra else np.round(extra["frame"] - extra["frame"].min()).astype(int)
    )
    grid = np.zeros((int(frames.max()) + 1, POINTS, 2))
    trusted = np.zeros(len(grid), dtype=bool)
    for row in np.argsort(np.where(good, confidence, -np.inf), kind="stable"):  # the best row of a frame comes last
        if good[row]:
            grid[frames[row]], trusted[frames[row]] = points[row], True
    return Landmarks(fill_gaps(grid, trusted), fps or _rate(frames, extra.get("timestamp")))


def fill_gaps(points: NDArray[np.floating], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Points (T, K, 2) whose frames with ``good`` (T,) False are interpolated linearly in time; the ends are held.

    >>> fill_gaps(np.array([[[0.0, 0.0]], [[9.0, 9.0]], [[2.0, 4.0]]]), np.array([True, False, True]))[1].tolist()
    [[1.0, 2.0]]

    Raises:
        CorpusError: no frame is good.
    """
    places = np.flatnonzero(good)
    if not len(places):
        raise CorpusError(f"None of the {len(points)} frames has usable landmarks; there is nothing to fill gaps from.")
    if len(places) == len(points):
        return np.asarray(points, dtype=np.float32)
    times = np.arange(len(points))
    right = np.searchsorted(places, times).clip(max=len(places) - 1)
    left = np.where(places[right] > times, np.maximum(right - 1, 0), right)
    before, after = places[left], places[right]
    weight = np.clip((times - before) / np.maximum(after - before, 1), 0, 1)[:, None, None]
    kept = np.where(good[:, None, None], points, 0)  # so that NaN in bad frames goes nowhere
    return np.asarray(kept[before] * (1 - weight) + kept[after] * weight, dtype=np.float32)


def _rate(frames: NDArray[np.int_], timestamps: NDArray[np.float64] | None) -> float:
    if timestamps is None:
        return NTSC
    first, last = int(frames.argmin()), int(frames.argmax())
    seconds = timestamps[last] - timestamps[first]
    if not seconds > 0:
        return NTSC
    rate = float((frames[last] - frames[first]) / seconds)
    return NTSC if abs(rate - NTSC) < 0.05 else rate  # timestamps are rounded to milliseconds

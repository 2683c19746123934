"""A picture of a movie's prediction: faces over time, sound, probabilities over time, and every head's bars."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE, Frames
from examples.aver.figures import STYLE
from examples.aver.predict import MoviePrediction
from mrpnkit.names import FUSED

MOST_FACES = 8
"""That fit beside each other where the pictures last as long as the time axis."""

TITLES = {FUSED: "fusion", "video": "face", "audio": "voice"}


def draw_prediction(
    prediction: MoviePrediction, path: Path, *, frames: Frames | None = None, speech: NDArray[np.float32] | None = None
) -> Path:
    """Draws a prediction beside the faces and the sound it was made of; returns the path."""
    classes, heads = prediction.classes, prediction.heads
    colours = mpl.colormaps["tab10"](np.linspace(0, 1, 10))[: len(classes)]
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(9.2, 4.4), dpi=120, layout="constrained")
        left, right = np.asarray(drawing.subfigures(1, 2, width_ratios=(2.1, 1.0)))
        faces, sound, over_time = left.subplots(3, 1, sharex=True, height_ratios=(1.0, 0.7, 2.2))
        seconds = float(prediction.timeline.seconds.max()) if len(prediction.timeline.seconds) else 1.0
        _faces(faces, frames, seconds)
        _sound(sound, speech)
        head = prediction.answered_by or FUSED
        middle = prediction.timeline.seconds.mean(axis=1)
        for place, name in enumerate(classes):
            values = prediction.timeline.heads[head][:, place]
            over_time.plot(middle, values, color=colours[place], marker="o", markersize=2.5, label=name)
        over_time.set_ylim(0, 1)
        over_time.set_xlim(0, max(seconds, 1e-3))
        over_time.set_ylabel(f"probability, {TITLES.get(head, head)}")
        since = f" from {prediction.start:g} s on" if prediction.start else ""
        over_time.set_xlabel(f"seconds{since} (middle of the window)")
        bars = right.subplots(1, len(heads), sharey=True, squeeze=False)[0]
        for axis, (name, found) in zip(bars, heads.items(), strict=True):
            axis.set_title(TITLES.get(name, name))
            axis.set_xlim(0, 1)
            axis.set_xticks((0, 0.5, 1), ("0", "½", "1"))
            axis.set_yticks(range(len(classes)), classes)
            if found is None:
                axis.text(0.5, (len(classes) - 1) / 2, "nothing\nto judge by", ha="center", va="center", fontsize=8)
            else:
                axis.barh(range(len(classes)), found, color=colours)
        bars[0].invert_yaxis()
        answer = prediction.emotion or "no answer"
        by = f" (answered by the {TITLES[head]} alone)" if prediction.answered_by not in (None, FUSED) else ""
        drawing.suptitle(f"{prediction.name}: {answer}{by}", fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path)
    return path


def _faces(axis: mpl.axes.Axes, frames: Frames | None, seconds: float) -> None:
    """Faces beside each other, each in its own part of the time that the pictures take; no frame is shown twice."""
    axis.set_axis_off()
    if frames is None or not len(frames.pixels):
        axis.text(0.5, 0.5, "no face", transform=axis.transAxes, ha="center", va="center")
        return
    share = min(1.0, len(frames.pixels) / frames.fps / seconds)
    count = min(max(1, round(MOST_FACES * share)), len(frames.pixels))
    room = share / count if count > 1 else max(share, 1 / MOST_FACES)
    for place in range(count):
        inset = axis.inset_axes((place * room, 0.0, 0.98 * room, 1.0))
        inset.imshow(frames.pixels[int((place + 0.5) / count * len(frames.pixels))])
        inset.set_axis_off()


def _sound(axis: mpl.axes.Axes, speech: NDArray[np.float32] | None) -> None:
    axis.set_yticks([])
    axis.set_ylabel("sound")
    if speech is None or not len(speech):
        axis.text(0.5, 0.5, "no sound", transform=axis.transAxes, ha="center", va="center")
        return
    pieces = np.array_split(speech, min(len(speech), 600))
    times = np.arange(len(pieces)) * len(speech) / SPEECH_RATE / len(pieces)
    axis.fill_between(times, [p.min() for p in pieces], [p.max() for p in pieces], color="#4a6fa5", linewidth=0)

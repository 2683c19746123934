"""Figures 2, 3, 9 and 10 of the paper, from any corpus of frames and sound."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from examples.aver.figures import STYLE
from examples.aver.paper.frames import ChangeFrames, face_transform
from examples.aver.paper.system import LEAST_SECONDS, Shape
from examples.aver.recipe import TARGET
from mrpnkit.data import Corpus, RandomSlice
from mrpnkit.errors import InputError

COLUMNS = 8
WINDOW, HOP, BANDS, RANGE = 512, 64, 64, 45.0
"""Of the spectrograms in Figure 3: samples of the Hann window and of the hop, as the system's; mel bands; decibels."""


def draw_figure(number: int, corpus: Corpus, path: Path, *, seed: int = 0) -> Path:
    """Draws a figure into a PNG; returns its path.

    Args:
        number: 2, 3, 9 or 10.
        corpus: of frames and sound.
        path: of the picture; its folder is made.
        seed: chooses clips and what is drawn at random.

    Raises:
        InputError: a path that does not end in ``.png``.
    """
    check_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        return save(FIGURES[number](corpus, np.random.default_rng(seed)), path)


def check_path(path: Path) -> None:
    """Nothing, where a figure can be written there as it is: as PNG.

    Raises:
        InputError: another ending.
    """
    if path.suffix.lower() != ".png":
        raise InputError(
            f"The figure {path} ends in {path.suffix!r}; figures are written as PNG. Give a name that ends in .png, "
            f"such as {path.parent / path.stem}.png."
        )


def save(drawing: Drawing, path: Path) -> Path:
    """Writes a drawing as PNG of 192 colours, which needs a third of the bytes; returns its path.

    Raises:
        InputError: a path that does not end in ``.png``.
    """
    from PIL import Image

    check_path(path)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def expressions(corpus: Corpus, generator: np.random.Generator) -> Drawing:
    """Figure 2: frames of a clip of each emotion, evenly spaced in time."""
    rows = one_of_each(corpus, generator)
    drawing = Drawing(figsize=(COLUMNS * 0.85 + 0.9, len(rows) * 0.88 + 0.2), dpi=100, layout="constrained")
    axes = drawing.subplots(len(rows), COLUMNS, squeeze=False)
    for line, (emotion, row) in zip(axes, rows.items(), strict=True):
        frames = corpus.read("video", row)
        for axis, place in zip(line, spaced(len(frames), COLUMNS), strict=True):
            _picture(axis, frames[place])
        _label(line[0], emotion)
    return drawing


def spectrograms(corpus: Corpus, generator: np.random.Generator) -> Drawing:
    """Figure 3: mel spectrograms of a clip of each emotion, all on one scale of time and level."""
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    rows = one_of_each(corpus, generator)
    rate = Shape.of(corpus).rate
    mel = MelSpectrogram(int(rate), n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    longest = max(len(corpus.read("audio", row)) for row in rows.values()) / rate
    height = -(-len(rows) // 2)
    drawing = Drawing(figsize=(8.6, 1.35 * height + 0.5), dpi=100, layout="constrained")
    axes = drawing.subplots(height, 2, sharex=True, sharey=True, squeeze=False)
    levels = {}
    for emotion, row in rows.items():
        wave = torch.from_numpy(np.array(corpus.read("audio", row), dtype=np.float32)).flatten()
        levels[emotion] = AmplitudeToDB()(mel((wave - wave.mean()) / wave.std().clamp(min=1e-6))).numpy()
    top = max(float(level.max()) for level in levels.values())
    for axis, (emotion, level) in zip(axes.T.flat, levels.items(), strict=False):
        seconds = len(corpus.read("audio", rows[emotion])) / rate
        axis.imshow(level, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, BANDS),
                    vmin=top - RANGE, vmax=top)  # fmt: skip
        axis.set_title(f"{emotion}, {seconds:.1f} s", loc="left", fontsize=9)
        axis.set_xlim(0, longest)
        axis.set_facecolor("#eeeeee")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    for axis in axes[:, 0]:
        axis.set_ylabel("mel band")
    return drawing


def augmentation(corpus: Corpus, generator: np.random.Generator) -> Drawing:
    """Figure 9: frames of a clip as they are, changed together (VA), and each on its own (IA).

    Raises:
        InputError: no clip of the corpus has frames.
    """
    rows = np.flatnonzero(corpus.modalities["video"].lengths)
    if not len(rows):
        raise InputError(f"Figure 9 shows frames, and none of the {len(corpus)} clips of this corpus has any.")
    row = int(rows[generator.integers(len(rows))])
    frames = torch.from_numpy(np.array(corpus.read("video", row)))
    frames = frames[spaced(len(frames), COLUMNS)]
    transform = face_transform()
    versions = {
        "original": frames,
        "one draw for\nall frames (VA)": ChangeFrames(transform, same_for="clip")(frames, generator),
        "a draw for\neach frame (IA)": ChangeFrames(transform, same_for="frame")(frames, generator),
    }
    return _strips({label: [*pictures.numpy()] for label, pictures in versions.items()}, COLUMNS)


def slices(corpus: Corpus, generator: np.random.Generator) -> Drawing:
    """Figure 10: frames of a clip, and two random slices of it: one from its beginning, one from its middle.

    Slices are drawn as in training until such a pair has come; a column is a moment, and what a slice leaves out is
    empty.
    """
    fps = Shape.of(corpus).fps
    lengths = corpus.modalities["video"].lengths
    long = np.flatnonzero(lengths >= np.quantile(lengths, 0.75))
    row = int(generator.choice(long))
    frames = corpus.read("video", row)
    slicing = RandomSlice(LEAST_SECONDS, fps)
    columns = 12
    shown = spaced(len(frames), columns)
    drawn = [slicing.draw(len(frames), generator) for _ in range(5000)]
    least = len(frames) // columns

    def first(wanted: Callable[[int, int], bool]) -> tuple[int, int]:
        return next((w for w in drawn if wanted(*w)), drawn[0])

    windows = {
        "original": (0, len(frames)),
        "from the\nbeginning": first(lambda a, b: a == 0 and b < 0.8 * len(frames)),
        "from the\nmiddle": first(lambda a, b: a > 3 * least and b - a < 0.7 * len(frames) and b > 0.7 * len(frames)),
    }
    strips = {
        f"{label}\n{(last - start) / fps:.1f} s": [frames[place] if start <= place < last else None for place in shown]
        for label, (start, last) in windows.items()
    }
    return _strips(strips, columns)


FIGURES: Mapping[int, Callable[[Corpus, np.random.Generator], Drawing]] = {
    2: expressions,
    3: spectrograms,
    9: augmentation,
    10: slices,
}
"""What each figure is drawn by; Figure 5 is :func:`examples.aver.paper.embedding.draw_embedding`."""


def one_of_each(corpus: Corpus, generator: np.random.Generator) -> dict[str, int]:
    """A row of each emotion that has frames and sound, all by one actor where there is one who shows them all."""
    whole = (corpus.modalities["video"].lengths > 0) & (corpus.modalities["audio"].lengths > 0)
    labels, actors = corpus.targets[TARGET], corpus.groups["actor"]
    most = max(generator.permutation(np.unique(actors)), key=lambda a: len(set(labels[whole & (actors == a)].tolist())))
    found = {}
    for label, name in enumerate(corpus.classes[TARGET]):
        candidates = np.flatnonzero(whole & (labels == label) & (actors == most))
        if len(candidates):
            found[name] = int(generator.choice(candidates))
    return found


def spaced(length: int, count: int) -> NDArray[np.int64]:
    """``count`` places from the first to the last of ``length``, evenly."""
    return np.linspace(0, length - 1, count).round().astype(np.int64)


def _strips(strips: Mapping[str, list[Any]], columns: int) -> Drawing:
    drawing = Drawing(figsize=(columns * 0.8 + 1.1, len(strips) * 0.84 + 0.1), dpi=100, layout="constrained")
    axes = drawing.subplots(len(strips), columns, squeeze=False)
    for line, (label, pictures) in zip(axes, strips.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            _picture(axis, picture)
        _label(line[0], label)
    return drawing


def _picture(axis: Axes, picture: NDArray[np.uint8] | None) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    if picture is None:
        axis.set_facecolor("#f2f2f2")
        axis.set_aspect("equal")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
    else:
        axis.imshow(picture, interpolation="none")


def _label(axis: Axes, text: str) -> None:
    axis.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)

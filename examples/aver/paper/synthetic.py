"""A corpus of frames and sound from the embedded drawn movies, and from any clips that have pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from examples.aver.clips import EMOTIONS, SPEECH_RATE, Clip
from examples.aver.recipe import TARGET
from examples.aver.synthetic import SyntheticCorpus
from mrpnkit.data import Corpus, CorpusWriter

SMALL = SyntheticCorpus(n_actors=6, takes=1, size=96, shortest=1.2, longest=1.6)
"""What ``--small`` draws: 48 clips."""

DRAWN_MOVIES = SyntheticCorpus(n_actors=8, takes=3, size=96, shortest=1.4, longest=2.2)
"""What is drawn where no data set is given: 192 clips."""

FIGURE_MOVIES = SyntheticCorpus(n_actors=2, takes=1, size=128, shortest=1.6, longest=3.0)
"""What figures are drawn from where no data set is given: 16 clips."""


def drawn_corpus(folder: Path, made: SyntheticCorpus, console: Console, *, size: int = 64) -> Corpus:
    """The corpus of the drawn movies, made unless it is there; ``size`` is the side of a frame in pixels."""
    if (folder / "corpus.json").is_file():
        return Corpus.open(folder)
    clips = made.clips()
    console.print(f"Drawing {len(clips)} synthetic movies in {folder}.", soft_wrap=True)
    return corpus_of_clips(clips, folder, console, size=size, source="synthetic faces + voices, pixels")


def corpus_of_clips(clips: Sequence[Clip], folder: Path, console: Console, *, size: int, source: str) -> Corpus:
    """Frames and sound of clips whose pictures show nothing but a face, resized to ``size`` pixels."""
    about = {"source": source, "size": size}
    rates = {"video": float(clips[0].frames().fps), "audio": float(SPEECH_RATE)}
    with CorpusWriter(folder, classes={TARGET: EMOTIONS}, rates=rates, about=about) as writer:
        for clip in track(clips, "drawing", console=console, transient=True):
            pixels = resized(clip.frames().pixels, size)
            groups = {"actor": clip.actor, "sex": clip.sex}
            writer.add(clip.id, {"video": pixels, "audio": clip.speech()}, {TARGET: clip.emotion}, groups)
    return Corpus.open(folder)


def resized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) → (T, size, size, 3), with antialiasing."""
    if pixels.shape[1:3] == (size, size):
        return pixels
    grid = torch.from_numpy(pixels).movedim(-1, 1).float()
    small = F.interpolate(grid, (size, size), mode="bilinear", antialias=True)
    frames: NDArray[np.uint8] = small.round().clamp(0, 255).byte().movedim(1, -1).contiguous().numpy()
    return frames

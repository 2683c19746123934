"""Statistics of every clip over time, of the clip as it is and of versions changed at random, computed once.

Nothing of this is learned, so it need not be done again in every epoch: a clip becomes a sequence of vectors, the
first of the whole unchanged clip, the others of random slices in time, mirrored faces and changed voices. Training
draws one of them for each modality on its own; validation and test read the first. Networks then train in seconds.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import nn

from examples.aver.cepstra import AppendCepstra
from examples.aver.changes import ChangeVoice, MirrorFace
from examples.aver.features import AUDIO, VIDEO
from examples.aver.replacement import check_replaceable, replacing
from mrpnkit.aggregators import Statistics
from mrpnkit.data import Augmentation, Change, Corpus, CorpusDataset, CorpusWriter, RandomSlice

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Versions:
    """How many versions of a clip there are, and how they are drawn.

    Attributes:
        count: versions of a clip, the unchanged one included.
        slices: share of the versions that are a random slice in time, for each modality on its own.
        slice_seconds: least length of a slice.
        mirror: share of the faces that are mirrored.
        voice_reach: largest stretch of the frequencies of a voice.
        voice_decibels: spread of its loudness.
        lag: frames between which the rate of change is measured.
        seed: of everything drawn.
    """

    count: int = 8
    slices: float = 0.67
    slice_seconds: float = 1.0
    mirror: float = 0.5
    voice_reach: float = 0.08
    voice_decibels: float = 1.0
    lag: int = 2
    seed: int = 0


def make_versions(corpus: Corpus, folder: Path, versions: Versions, console: Console) -> Corpus:
    """The corpus of statistics that belongs to a corpus of frames; opened if it is there, made if not.

    A modality of a clip is (count, width) in it, or has no steps where the clip lacks it. An older corpus of the same
    data set is replaced when the new one is whole.

    Raises:
        CorpusError: the folder holds another data set, or another kind of corpus.
    """
    about = json.loads(json.dumps({**corpus.about, "versions": asdict(versions)}))
    found = check_replaceable(folder, about)
    if found is not None and found.about == about:
        return found
    pools = {name: _pool(name, corpus.features(name), versions.lag) for name in corpus.modalities}
    plain = CorpusDataset(corpus)
    changed = CorpusDataset(corpus, augmentation=augmentation(corpus, versions), seed=versions.seed)
    with replacing(folder) as place, CorpusWriter(place, classes=corpus.classes, about=about) as writer:
        blocks = [range(start, min(start + 32, len(corpus))) for start in range(0, len(corpus), 32)]
        for rows in track(blocks, "statistics of the clips", console=console, transient=True):
            drawn = [_statistics(plain, rows, pools)]
            for version in range(1, versions.count):
                changed.set_epoch(version)
                drawn.append(_statistics(changed, rows, pools))
            for number, row in enumerate(rows):
                writer.add(
                    corpus.ids[row],
                    {name: _stacked([one[name][number] for one in drawn], corpus, name, row) for name in pools},
                    {target: corpus.classes[target][labels[row]] for target, labels in corpus.targets.items()},
                    {group: str(values[row]) for group, values in corpus.groups.items()},
                )
    return Corpus.open(folder)


def augmentation(corpus: Corpus, versions: Versions) -> Augmentation:
    """What is drawn for a version: a slice in time of each modality, a mirrored face, a changed voice."""
    slices = {
        name: RandomSlice(versions.slice_seconds, modality.rate, share=versions.slices)
        for name, modality in corpus.modalities.items()
        if modality.rate is not None and versions.slices
    }
    changes: dict[str, list[Change]] = {}
    if versions.mirror:
        changes["video"] = [MirrorFace(VIDEO, share=versions.mirror)]
    if versions.voice_reach or versions.voice_decibels:
        changes["audio"] = [ChangeVoice(AUDIO, reach=versions.voice_reach, decibels=versions.voice_decibels)]
    return Augmentation(slices=slices, changes=changes)


def _pool(name: str, width: int, lag: int) -> nn.Module:
    if name != "audio":
        return Statistics(width, features=None, lag=lag)
    cepstra = AppendCepstra(width, bands=AUDIO.mel.width)
    return nn.Sequential(cepstra, Statistics(cepstra.out_features, features=None, lag=lag))


@torch.no_grad()
def _statistics(dataset: CorpusDataset, rows: range, pools: dict[str, nn.Module]) -> dict[str, Floats]:
    inputs = dataset.__getitems__(rows).inputs
    return {name: pool(inputs[name]).numpy() for name, pool in pools.items()}


def _stacked(vectors: list[Floats], corpus: Corpus, name: str, row: int) -> Floats:
    present = corpus.modalities[name].lengths[row] > 0
    return np.stack(vectors)[: len(vectors) if present else 0]

"""An image network learns to tell speakers by spectrogram segments, and becomes the start of a branch for speech."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor, nn

from examples.aver.pretrain.training import Batch, Recipe, Scores, fit, probabilities
from examples.aver.pretrain.utterances import (
    Parts,
    Utterance,
    fingerprint,
    read_utterance,
    read_utterances,
    some_of,
    split_utterances,
)
from mrpnkit.extractors.spectrogram import Scale, SpectrogramSegments


@dataclass(frozen=True)
class SpeakerRecipe:
    """How a network for speech is trained.

    Args:
        architecture: a network of timm.
        hop, bands, scale: of the segments, as ``spectrogram_timm`` takes them; the branch must have the same ones. The
            paper's are 64, 256, and not said; these make segments of 64×50, twenty times smaller than its 256×250.
        epochs: how often every recording is read.
        masked: longest part of the bands, and of the frames, that is hidden in a training segment, as a fraction.
        memory_gib: spectrograms are kept in memory up to this size; recordings beyond it are read anew every time.
        training: the loop's settings.
    """

    architecture: str = "resnet18"
    hop: int = 320
    bands: int = 64
    scale: Scale = "mel"
    epochs: int = 16
    masked: float = 0.2
    memory_gib: float = 4.0
    training: Recipe = field(default_factory=lambda: Recipe(batch_size=64, smoothing=0.05, averaging=0.97))


class Recordings:
    """Spectrograms of recordings, long enough for a segment each; kept in memory as far as they fit.

    Recordings that repeat an earlier one, sample for sample, are left out.
    """

    def __init__(self, utterances: Sequence[Utterance], cut: SpectrogramSegments, memory_gib: float) -> None:
        self.cut = cut
        self.utterances: list[Utterance] = []
        self._kept: dict[int, Tensor] = {}
        seen: set[bytes] = set()
        room = int(memory_gib * 2**30)
        for utterance in track(utterances, "reading the recordings", transient=True):
            wave = read_utterance(utterance)
            key = fingerprint(wave)
            if key in seen:
                continue
            seen.add(key)
            made = spectrogram_of(torch.from_numpy(wave), cut)
            if made.nbytes <= room:
                room -= made.nbytes
                self._kept[len(self.utterances)] = made
            self.utterances.append(utterance)

    def spectrogram(self, row: int) -> Float[Tensor, "bands frames"]:
        """All frames of the segments of a recording; its tail is filled up with silence, as the extractor does it."""
        kept = self._kept.get(row)
        return (
            spectrogram_of(torch.from_numpy(read_utterance(self.utterances[row])), self.cut) if kept is None else kept
        )


class SpeakerTask:
    """Speaker recognition for the loop: a random segment of every recording an epoch."""

    def __init__(self, recordings: Recordings, labels: Tensor, parts: Parts, recipe: SpeakerRecipe) -> None:
        self.recordings, self.labels, self.parts, self.recipe = recordings, labels, parts, recipe
        self.cycles = (recipe.epochs,)
        self.plan = [recipe.epochs]

    def steps(self, epoch: int) -> int:
        """Whole batches only."""
        return len(self.parts.train) // self.recipe.training.batch_size

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """See :class:`examples.aver.pretrain.training.Task`."""
        size, width = self.recipe.training.batch_size, self.recordings.cut.width
        rows = torch.tensor(self.parts.train)[torch.randperm(len(self.parts.train), generator=generator)]
        for step in range(self.steps(epoch)):
            chosen = rows[step * size : (step + 1) * size]
            segments = []
            for row in chosen.tolist():
                whole = self.recordings.spectrogram(row)
                start = int(torch.randint(whole.shape[1] - width + 1, (), generator=generator))
                segments.append(whole[:, start : start + width])
            pictures = hidden(torch.stack(segments), self.recipe.masked, generator)
            yield Batch(pictures.unsqueeze(1), self.labels[chosen])

    def validate(self, network: nn.Module, epoch: int) -> Scores:
        """See :class:`examples.aver.pretrain.training.Task`."""
        return self.scores(network, self.parts.validation)

    def scores(self, network: nn.Module, rows: Sequence[int]) -> Scores:
        """Of recordings: the mean of the probabilities of their segments, every 0.2 s."""
        found = [self._mean(network, row) for row in rows]
        return Scores(torch.stack(found), self.labels[torch.tensor(rows)])

    def _mean(self, network: nn.Module, row: int) -> Tensor:
        network.eval()
        cut, whole = self.recordings.cut, self.recordings.spectrogram(row)
        segments = whole.unfold(1, cut.width, cut.step).movedim(1, 0).unsqueeze(1)
        device = next(network.parameters()).device
        parts = [probabilities(network, part.to(device), self.recipe.training.precision) for part in segments.split(64)]
        return torch.cat(parts).mean(0).cpu()


class SpeakerOutcome(NamedTuple):
    """The trained network, what it was trained on, a row an epoch, and its scores on the test part."""

    network: nn.Module
    about: dict[str, Any]
    training: Recipe
    history: list[dict[str, float]]
    test: Scores
    sources: list[str]


def hidden(
    segments: Float[Tensor, "batch bands width"], share: float, generator: torch.Generator
) -> Float[Tensor, "batch bands width"]:
    """Segments in which a random run of bands, and one of frames, is replaced by the segment's mean.

    Park et al. (2019), SpecAugment, arXiv:1904.08779.
    """
    batch, bands, width = segments.shape
    masked = torch.zeros(batch, bands, width, dtype=torch.bool)
    for axis, size in ((1, bands), (2, width)):
        lengths = share * size * torch.rand(batch, generator=generator)
        starts = torch.rand(batch, generator=generator) * (size - lengths)
        place = torch.arange(size)
        inside = (place >= starts.unsqueeze(1)) & (place < (starts + lengths).unsqueeze(1))
        masked |= inside.unsqueeze(3 - axis)
    return torch.where(masked, segments.mean(dim=(1, 2), keepdim=True), segments)


def spectrogram_of(wave: Tensor, cut: SpectrogramSegments) -> Float[Tensor, "bands frames"]:
    """The frames of all segments of a wave, of which :class:`SpectrogramSegments` makes views."""
    samples = cut.levelled(wave)
    return cut.spectrogram(samples, 0, (cut.count(len(samples)) - 1) * cut.step + cut.width)


def segments_for(recipe: SpeakerRecipe) -> SpectrogramSegments:
    """How recordings become segments."""
    return SpectrogramSegments(hop=recipe.hop, bands=recipe.bands, scale=recipe.scale)


def speaker_network(recipe: SpeakerRecipe, speakers: int) -> nn.Module:
    """The classifier with its first, random weights."""
    import timm

    torch.manual_seed(recipe.training.seed)
    network: nn.Module = timm.create_model(recipe.architecture, num_classes=speakers, in_chans=1)
    return network.to(memory_format=torch.channels_last)


def train_speakers(
    data: Path, out: Path, recipe: SpeakerRecipe, *, device: str = "cpu", most: int | None = None
) -> SpeakerOutcome:
    """Trains to the end, or goes on; tests the selected epoch on the test utterances once.

    Args:
        data: see :func:`examples.aver.pretrain.utterances.read_utterances`.
        out: folder of state, weights and metrics.
        recipe: settings.
        device: where the network runs.
        most: read no more recordings than this, of some speakers; to see whether everything works.
    """
    utterances = read_utterances(data)
    if most is not None:
        utterances = some_of(utterances, most)
    recordings = Recordings(utterances, segments_for(recipe), recipe.memory_gib)
    copies = len(utterances) - len(recordings.utterances)
    utterances = recordings.utterances
    speakers = sorted({utterance.speaker for utterance in utterances})
    labels = torch.tensor([speakers.index(utterance.speaker) for utterance in utterances])
    parts = split_utterances(utterances, seed=recipe.training.seed)
    task = SpeakerTask(recordings, labels, parts, recipe)
    network = speaker_network(recipe, len(speakers)).to(device)
    about: dict[str, Any] = {
        "source": data.name,
        "speakers": len(speakers),
        "utterances": {part: len(rows) for part, rows in parts._asdict().items()},
        "copies_left_out": copies,
        "segment": [recipe.bands, recordings.cut.width],
        **{key: value for key, value in asdict(recipe).items() if key not in ("training", "memory_gib", "epochs")},
    }
    history = fit(network, task, recipe.training, out, about=about)
    sources = [_source(data, utterances[row]) for row in parts.test]
    return SpeakerOutcome(
        network, {**about, "epochs": recipe.epochs}, recipe.training, history, task.scores(network, parts.test), sources
    )


def _source(data: Path, utterance: Utterance) -> str:
    inside = utterance.path.relative_to(data).parts
    return inside[0] if len(inside) > 1 and not inside[0].startswith("id") else data.name


def by_source(outcome: SpeakerOutcome) -> dict[str, dict[str, float]]:
    """Accuracy and number of the test utterances of each folder of the corpus."""
    right = (outcome.test.probabilities.argmax(1) == outcome.test.labels).numpy()
    names = np.array(outcome.sources)
    return {
        str(name): {"accuracy": float(right[names == name].mean()), "n": int((names == name).sum())}
        for name in np.unique(names)
    }

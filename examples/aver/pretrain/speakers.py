"""An image network learns to tell speakers by spectrogram segments, and becomes the start of a branch for speech."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from examples.aver.pretrain.index import INDEX, look_through, usable
from examples.aver.pretrain.recordings import Recordings, Stretch
from examples.aver.pretrain.training import Batch, Recipe, Scores, fit, probabilities
from examples.aver.pretrain.utterances import Parts, Utterance, read_utterances, some_of, split_utterances
from mrpnkit.extractors.spectrogram import Scale, SpectrogramSegments

VALIDATED = 16
"""Segments of a recording that are looked at to select the epoch, spread evenly; the test looks at all of them."""
TOGETHER = 256
"""Segments, of one recording or several, that are made ready at once to be recognised."""


@dataclass(frozen=True)
class SpeakerRecipe:
    """How a network for speech is trained.

    Args:
        architecture: a network of timm.
        hop, bands, scale: of the segments, as ``spectrogram_timm`` takes them; the branch must have the same ones. The
            paper's are 64, 256, and not said; these make segments of 64×50, twenty times smaller than its 256×250.
        epochs: how often every recording is read.
        masked: longest part of the bands, and of the frames, that is hidden in a training segment, as a fraction.
        memory_gib: spectrograms are kept in memory up to this size; of a recording beyond it the drawn segment is read,
            every time.
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


class Runs(NamedTuple):
    """Where a run begins and ends in each segment of a batch, (B,) each: in bands or frames, with fractions."""

    starts: Tensor
    stops: Tensor


class _Step(NamedTuple):
    """What is drawn for a batch: its rows (B,), a stretch of each, and what is hidden of it."""

    rows: Tensor
    stretches: list[Stretch]
    runs: list[Runs]


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
        """See :class:`examples.aver.pretrain.training.Task`. All is drawn before the first batch, and read ahead."""
        drawn = list(self._drawn(epoch, generator))
        read = self.recordings.read(step.stretches for step in drawn)
        for step, segments in zip(drawn, read, strict=True):
            pictures = hidden(torch.stack(segments), step.runs)
            yield Batch(pictures.unsqueeze(1), self.labels[step.rows])

    def _drawn(self, epoch: int, generator: torch.Generator) -> Iterator[_Step]:
        size, width = self.recipe.training.batch_size, self.recordings.cut.width
        rows = torch.tensor(self.parts.train)[torch.randperm(len(self.parts.train), generator=generator)]
        for step in range(self.steps(epoch)):
            chosen, stretches = rows[step * size : (step + 1) * size], []
            for row in chosen.tolist():
                frames = self.recordings.whole(row).stop
                start = int(torch.randint(frames - width + 1, (), generator=generator))
                stretches.append(Stretch(row, start, start + width))
            yield _Step(chosen, stretches, drawn_runs(size, self.recordings.cut.shape, self.recipe.masked, generator))

    def validate(self, network: nn.Module, epoch: int) -> Scores:
        """See :class:`examples.aver.pretrain.training.Task`."""
        return self.scores(network, self.parts.validation, most=VALIDATED)

    def scores(self, network: nn.Module, rows: Sequence[int], *, most: int | None = None) -> Scores:
        """Of recordings: the mean of the probabilities of their segments, every 0.2 s; of no more than ``most``."""
        network.eval()
        device = next(network.parameters()).device
        read = self.recordings.read([self.recordings.whole(row) for row in group] for group in self._groups(rows, most))
        found: list[Tensor] = []
        for wholes in read:
            segments = [self._segments(whole, most) for whole in wholes]
            parts = [
                probabilities(network, part.unsqueeze(1).to(device), self.recipe.training.precision).cpu()
                for part in torch.cat(segments).split(64)
            ]
            found += [each.mean(0) for each in torch.cat(parts).split([len(each) for each in segments])]
        return Scores(torch.stack(found), self.labels[torch.tensor(rows)])

    def _groups(self, rows: Sequence[int], most: int | None) -> Iterator[list[int]]:
        """Rows that have about :data:`TOGETHER` segments among them."""
        group: list[int] = []
        segments = 0
        for row in rows:
            count = self.recordings.segments(row)
            group.append(row)
            segments += count if most is None else min(count, most)
            if segments >= TOGETHER:
                yield group
                group, segments = [], 0
        if group:
            yield group

    def _segments(self, whole: Tensor, most: int | None) -> Float[Tensor, "segments bands width"]:
        cut = self.recordings.cut
        segments = whole.unfold(1, cut.width, cut.step).movedim(1, 0)
        return segments if most is None or len(segments) <= most else segments[spread(len(segments), most)]


class SpeakerOutcome(NamedTuple):
    """The trained network, what it was trained on, a row an epoch, and its scores on the test part."""

    network: nn.Module
    about: dict[str, Any]
    training: Recipe
    history: list[dict[str, float]]
    test: Scores
    sources: list[str]


def drawn_runs(batch: int, shape: Sequence[int], share: float, generator: torch.Generator) -> list[Runs]:
    """A random run of bands, and one of frames, for each segment of a shape; each up to a share of its axis.

    Park et al. (2019), SpecAugment, arXiv:1904.08779.
    """
    runs = []
    for size in shape:
        lengths = share * size * torch.rand(batch, generator=generator)
        starts = torch.rand(batch, generator=generator) * (size - lengths)
        runs.append(Runs(starts, starts + lengths))
    return runs


def hidden(segments: Float[Tensor, "batch bands width"], runs: Sequence[Runs]) -> Float[Tensor, "batch bands width"]:
    """Segments in which a run of bands, and one of frames, is replaced by the segment's mean."""
    masked = torch.zeros(segments.shape, dtype=torch.bool)
    for axis, run in enumerate(runs, start=1):
        place = torch.arange(segments.shape[axis])
        inside = (place >= run.starts.unsqueeze(1)) & (place < run.stops.unsqueeze(1))
        masked |= inside.unsqueeze(3 - axis)
    return torch.where(masked, segments.mean(dim=(1, 2), keepdim=True), segments)


def spread(count: int, most: int) -> list[int]:
    """So many of ``count`` places, evenly, with the first and the last; 2 ≤ most ≤ count.

    >>> spread(9, 3), spread(5, 5)
    ([0, 4, 8], [0, 1, 2, 3, 4])
    """
    return [place * (count - 1) // (most - 1) for place in range(most)]


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
        out: folder of state, weights and metrics, and of what is known of each recording, so that another start reads
            only what it needs.
        recipe: settings.
        device: where the network runs.
        most: read no more recordings than this, of some speakers; to see whether everything works.

    Raises:
        CorpusError: no such folder, or too many recordings in it that cannot be read; a few are left out, and named.
        RunError, TrainingError: ``out`` holds something else.
    """
    utterances = read_utterances(data)
    if most is not None:
        utterances = some_of(utterances, most)
    found = look_through([utterance.path for utterance in utterances], data, out / INDEX)
    utterances, known, copies, unreadable = usable(utterances, found, data)
    if unreadable:
        named = ", ".join(unreadable[:3]) + (", …" if len(unreadable) > 3 else "")
        print(f"{len(unreadable)} of {len(found)} recordings cannot be read and are left out: {named}")
    speakers = sorted({utterance.speaker for utterance in utterances})
    places = {speaker: place for place, speaker in enumerate(speakers)}
    labels = torch.tensor([places[utterance.speaker] for utterance in utterances])
    parts = split_utterances(utterances, seed=recipe.training.seed)
    network, cut = speaker_network(recipe, len(speakers)).to(device), segments_for(recipe)
    about: dict[str, Any] = {
        "source": data.name,
        "speakers": len(speakers),
        "utterances": {part: len(rows) for part, rows in parts._asdict().items()},
        "copies_left_out": copies,
        **({"unreadable_left_out": {"count": len(unreadable), "files": unreadable}} if unreadable else {}),
        "segment": [recipe.bands, cut.width],
        **{key: value for key, value in asdict(recipe).items() if key not in ("training", "memory_gib", "epochs")},
    }
    paths, kept = [utterance.path for utterance in utterances], [*parts.validation, *parts.train]
    with Recordings(paths, known, cut, memory_gib=recipe.memory_gib, kept=kept) as recordings:
        task = SpeakerTask(recordings, labels, parts, recipe)
        history = fit(network, task, recipe.training, out, about=about)
        test = task.scores(network, parts.test)
    sources = [_source(data, utterances[row]) for row in parts.test]
    told = {**about, "epochs": recipe.epochs, "validated_segments_at_most": VALIDATED}
    return SpeakerOutcome(network, told, recipe.training, history, test, sources)


def _source(data: Path, utterance: Utterance) -> str:
    inside = utterance.path.relative_to(data).parts if utterance.path.is_relative_to(data) else ()
    return inside[0] if len(inside) > 1 and not inside[0].startswith("id") else data.name


def by_source(outcome: SpeakerOutcome) -> dict[str, dict[str, float]]:
    """Accuracy and number of the test utterances of each folder of the corpus."""
    right = (outcome.test.probabilities.argmax(1) == outcome.test.labels).numpy()
    names = np.array(outcome.sources)
    return {
        str(name): {"accuracy": float(right[names == name].mean()), "n": int((names == name).sum())}
        for name in np.unique(names)
    }

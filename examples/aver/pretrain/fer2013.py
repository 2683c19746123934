"""An image network learns FER-2013, from pixels of small faces to larger ones, and becomes a visual branch's start."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.aver.pretrain.convolution import with_small_maps
from examples.aver.pretrain.faces import CLASSES, PARTS, Faces, FaceSplits, read_faces, thinned, without_copies
from examples.aver.pretrain.training import Batch, Recipe, Scores, fit, probabilities
from examples.aver.pretrain.warp import Warp, mild, warped
from mrpnkit.extractors.pixels import Pixels

CYCLES = (((48, 11), (64, 19)),)
SIZE = CYCLES[-1][-1][0]
"""Pixels at which the network is selected and tested."""

Views = Literal["single", "mirrored", "shifted"]
FIRST: Mapping[Views, int] = {"single": 1, "mirrored": 2, "shifted": 10}
"""How many of ten views are averaged: a face, its mirror image, and both shifted to each of four sides."""
SHIFT = 24
"""A shift is the side of the picture over this: two pixels of the 48."""


@dataclass(frozen=True)
class FaceRecipe:
    """How a face network is trained.

    Args:
        architecture: a network of timm.
        cycles: for each cycle of the learning rate the sides of the pictures, in pixels, and for how many epochs each.
            Faces of 48 pixels are enlarged to them; the last is the size at which the network is tested and used.
        warp: augmentation.
        training: the loop's settings.
    """

    architecture: str = "resnet18"
    cycles: tuple[tuple[tuple[int, int], ...], ...] = CYCLES
    warp: Warp = field(default_factory=mild)
    training: Recipe = field(default_factory=Recipe)


class FaceTask:
    """FER-2013 for the loop: enlarged, augmented batches of the training part, validation at the epoch's own size.

    Pictures are kept, enlarged and augmented on the device of the network.
    """

    def __init__(self, splits: FaceSplits, recipe: FaceRecipe, pixels: Pixels, device: torch.device) -> None:
        self.recipe, self.splits, self.pixels = recipe, splits, pixels
        self._sizes = [size for cycle in recipe.cycles for size, epochs in cycle for _ in range(epochs)]
        self.cycles = [sum(epochs for _, epochs in cycle) for cycle in recipe.cycles]
        self.plan = [[list(pair) for pair in cycle] for cycle in recipe.cycles]
        self._pictures = torch.from_numpy(splits.train.pictures).to(device)
        self._labels = torch.from_numpy(splits.train.labels).to(device)

    def steps(self, epoch: int) -> int:
        """Whole batches only: a small last one would disturb the batch norm."""
        return len(self._labels) // self.recipe.training.batch_size

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """See :class:`Task`."""
        device = self._labels.device
        if device != generator.device:  # draws of a device come from a generator of its own
            generator = torch.Generator(device).manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        order = torch.randperm(len(self._labels), generator=generator, device=device)
        size = self.recipe.training.batch_size
        for step in range(self.steps(epoch)):
            rows = order[step * size : (step + 1) * size]
            faces = warped(self._pictures[rows], self._sizes[epoch], self.recipe.warp, generator)
            yield Batch(self.pixels(faces), self._labels[rows])

    def validate(self, network: nn.Module, epoch: int) -> Scores:
        """See :class:`Task`; pictures as they are, not mirrored."""
        scores = face_scores(network, self.splits.validation, self._sizes[epoch], self.recipe, "single")
        return scores["single"]


def face_network(recipe: FaceRecipe) -> nn.Module:
    """The classifier with its first, random weights."""
    import timm

    torch.manual_seed(recipe.training.seed)
    network: nn.Module = timm.create_model(recipe.architecture, num_classes=len(CLASSES))
    return with_small_maps(network).to(memory_format=torch.channels_last)


def face_pixels(network: Any, size: int | None) -> Pixels:
    """How ``frames_timm`` normalises frames for this network, resized to a square where a size is given."""
    normal = network.default_cfg
    return Pixels(mean=normal["mean"], std=normal["std"], size=None if size is None else (size, size))


def face_scores(network: nn.Module, faces: Faces, size: int, recipe: FaceRecipe, *asked: Views) -> dict[Views, Scores]:
    """Probabilities (N, 7) of faces enlarged to ``size``, means over so many views as are asked for."""
    pixels, device = face_pixels(network, size), next(network.parameters()).device
    found: dict[Views, list[Tensor]] = {views: [] for views in asked}
    network.eval()
    for pictures in torch.from_numpy(faces.pictures).split(256):
        inputs = pixels(pictures).to(device)
        seen = islice(_views(inputs), max(FIRST[views] for views in asked))
        told = torch.stack([probabilities(network, view, recipe.training.precision) for view in seen])
        for views, means in found.items():
            means.append(told[: FIRST[views]].mean(0).cpu())
    labels = torch.from_numpy(faces.labels)
    return {views: Scores(torch.cat(means), labels) for views, means in found.items()}


def _views(inputs: Tensor) -> Iterator[Tensor]:
    """Ten of each picture (B, 3, H, H), a mirror image after each place; what a shift uncovers is the border's own."""
    yield from (inputs, inputs.flip(-1))
    size = inputs.shape[-1]
    far = round(size / SHIFT)
    wide = F.pad(inputs, [far] * 4, mode="replicate")
    for row, column in [(far, 0), (0, far), (2 * far, far), (far, 2 * far)]:
        view = wide[:, :, row : row + size, column : column + size]
        yield from (view, view.flip(-1))


class FaceOutcome(NamedTuple):
    """The trained network, what it was trained on, a row an epoch, and its scores on the test part.

    ``tested`` has the scores by what was averaged.
    """

    network: nn.Module
    about: dict[str, Any]
    training: Recipe
    history: list[dict[str, float]]
    tested: dict[Views, Scores]


def train_faces(
    data: Path,
    out: Path,
    recipe: FaceRecipe,
    *,
    device: str = "cpu",
    minutes: float | None = None,
    most: int | None = None,
) -> FaceOutcome:
    """Trains to the end, or goes on; tests the selected epoch on the test part once.

    Args:
        data: see :func:`examples.aver.pretrain.faces.read_faces`.
        out: folder of state, weights and metrics.
        recipe: settings.
        device: where the network runs.
        minutes: no epoch is begun that would end later.
        most: read no more pictures of each part than this, evenly spread; to see whether everything works.
    """
    splits = without_copies(read_faces(data, seed=recipe.training.seed))
    if most is not None:
        splits = thinned(splits, most)
    network = face_network(recipe).to(device)
    task = FaceTask(splits, recipe, face_pixels(network, None).to(device), torch.device(device))
    settings: dict[str, Any] = {"faces": splits.about, "settings": _plain(recipe)}
    history = fit(network, task, recipe.training, out, about=settings, minutes=minutes)
    size = recipe.cycles[-1][-1][0]
    scores = face_scores(network, splits.test, size, recipe, *FIRST)
    counts = {part: len(getattr(splits, part).labels) for part in PARTS}
    return FaceOutcome(network, {**settings, "cycles": task.plan, "pictures": counts}, recipe.training, history, scores)


def small_faces(recipe: FaceRecipe) -> FaceRecipe:
    """An epoch of two small sizes each, to see whether everything works."""
    return replace(recipe, cycles=(((32, 1), (48, 1)),), training=replace(recipe.training, batch_size=32))


def _plain(recipe: FaceRecipe) -> dict[str, Any]:
    return {key: value for key, value in asdict(recipe).items() if key not in ("training", "cycles")}

"""From a corpus to batches: reproducible order and augmentation, whatever the number of workers and processes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from mrpnkit.data.arrays import computable
from mrpnkit.data.augment import Change, ClassPairing, ModalityDropout, Slicing
from mrpnkit.data.corpus import Corpus, join
from mrpnkit.errors import InputError
from mrpnkit.sequences import Sequences


class Batch(NamedTuple):
    """``rows`` (B,) of the corpus, a ragged batch for each modality, labels (B,) or (B, L) for each target."""

    rows: Int64[Tensor, "batch"]
    inputs: dict[str, Sequences]
    labels: dict[str, Tensor]


class Augmentation(NamedTuple):
    """What is drawn when samples are read; for validation and test nothing, or what draws nothing at random."""

    slices: Mapping[str, Slicing] = {}
    changes: Mapping[str, Sequence[Change]] = {}
    pairing: ClassPairing | None = None
    dropout: ModalityDropout | None = None


class CorpusDataset(Dataset[Batch]):
    """Some rows of a corpus, read a batch at a time.

    What is drawn for a sample depends on (seed, epoch, row) alone: not on the order, the workers or the processes.

    Args:
        corpus: where samples are read from.
        rows: which of them, in order.
        modalities: which modalities, in order; by default all of the corpus.
        augmentation: slices, changes, pairing and modality dropout; none by default.
        seed: of everything drawn.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: NDArray[np.int64] | None = None,
        *,
        modalities: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.corpus = corpus
        self.rows = np.arange(len(corpus)) if rows is None else np.asarray(rows, dtype=np.int64)
        self.modalities = list(modalities if modalities is not None else corpus.modalities)
        self.augmentation = augmentation or Augmentation()
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64, device="cpu")  # a tensor, which processes can share
        self._chances: tuple[tuple[int, ...], NDArray[np.float64]] | None = None
        self._labels = {target: corpus.labels(target) for target in corpus.targets}
        dropped = self.augmentation.dropout.rates if self.augmentation.dropout else ()
        named = {*self.modalities, *self.augmentation.slices, *self.augmentation.changes, *dropped}
        unknown = sorted(named - set(corpus.modalities))
        if unknown or not self.modalities:
            raise InputError(
                f"The corpus has no modality {', '.join(map(repr, unknown)) or 'chosen'}; it has "
                f"{list(corpus.modalities)}."
            )
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < len(corpus):
            raise InputError(f"Rows must lie in 0 to {len(corpus) - 1}; got {self.rows.min()} to {self.rows.max()}.")

    @property
    def epoch(self) -> int:
        """Whose augmentation is drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Chooses what is drawn: the augmentation of that epoch."""
        self._epoch.fill_(epoch)

    def share_epoch(self) -> None:
        """Lets processes that are given this data set from now on follow :meth:`set_epoch`."""
        self._epoch.share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """A batch of the samples at these positions of ``rows``; torch's DataLoader calls this."""
        rows = self.rows[np.asarray(positions, dtype=np.int64)]
        slices, changes, pairing, dropout = self.augmentation
        if slices or changes or pairing is not None:
            inputs = self._augmented(rows)
        elif dropout is not None:
            inputs = self._with_some_left_out(rows)
        else:
            inputs = {name: self.corpus.batch(name, rows) for name in self.modalities}
        index = torch.from_numpy(rows)
        return Batch(index, inputs, {name: labels[index] for name, labels in self._labels.items()})

    def _augmented(self, rows: NDArray[np.int64]) -> dict[str, Sequences]:
        epoch = self.epoch
        generators = [np.random.default_rng((self.seed, epoch, int(row))) for row in rows]
        out = self._left_out(rows)
        inputs = {}
        for place, name in enumerate(self.modalities):
            pieces = [
                self._piece(name, int(row), place > 0, generator)[: 0 if left else None]
                for row, generator, left in zip(rows, generators, out[name], strict=True)
            ]
            inputs[name] = join(pieces, like=self.corpus.modalities[name].steps)
        return inputs

    def _with_some_left_out(self, rows: NDArray[np.int64]) -> dict[str, Sequences]:
        """What :meth:`_augmented` gives where nothing is asked for but modality dropout, read as a whole."""
        inputs = {}
        for name, out in self._left_out(rows).items():
            read = self.corpus.batch(name, rows[~out])
            lengths = torch.zeros(len(rows), dtype=read.lengths.dtype)
            lengths[torch.from_numpy(~out)] = read.lengths
            inputs[name] = Sequences(read.steps, lengths)
        return inputs

    def _left_out(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
        """By modality dropout, whose draws are its own: with it or without, all else is drawn alike."""
        present = {name: self.corpus.modalities[name].lengths[rows] > 0 for name in self.modalities}
        dropout = self.augmentation.dropout
        if dropout is None:
            return {name: np.zeros(len(rows), dtype=bool) for name in present}
        seed = (self.seed, self.epoch, 1)
        if self._chances is None or self._chances[0] != seed:  # once an epoch: a generator a sample would take longer
            self._chances = seed, dropout.chances(seed, samples=len(self.corpus), modalities=len(present))
        return dropout.draw(present, chances=self._chances[1][rows])

    def _piece(self, name: str, row: int, pairable: bool, generator: np.random.Generator) -> NDArray[Any]:
        slices, changes, pairing, _ = self.augmentation
        if pairable and pairing is not None:
            row = pairing.draw(row, generator)
        window = None
        if name in slices:
            window = slices[name].draw(int(self.corpus.modalities[name].lengths[row]), generator)
        piece = self.corpus.read(name, row, window)
        if name in changes and len(piece):
            steps = torch.from_numpy(computable(np.array(piece)))
            for change in changes[name]:
                steps = change(steps, generator)
            piece = steps.numpy()
        return piece


class EpochShuffle(Sampler[int]):
    """All positions in an order that depends on (seed, epoch) alone, or in their own order where ``seed`` is None."""

    def __init__(self, size: int, seed: int | None) -> None:
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of that epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            return iter(range(self.size))
        order: list[int] = np.random.default_rng((self.seed, self.epoch)).permutation(self.size).tolist()
        return iter(order)


Loader = DataLoader[Batch]


def loader(
    dataset: CorpusDataset,
    batch_size: int = 32,
    *,
    shuffle_seed: int | None = None,
    workers: int = 0,
    pin_memory: bool = False,
) -> Loader:
    """Batches of a data set; the last may be smaller (see :func:`even_batch_size`).

    Args:
        dataset: which samples.
        batch_size: samples of a batch over all processes together.
        shuffle_seed: of the order, which changes every epoch; None keeps the order of the rows.
        workers: processes that read ahead, two batches each, and stay from epoch to epoch; 0 reads in this one. They
            change the speed and nothing else.
        pin_memory: lay batches into page-locked memory, from which a CUDA device fetches them faster.

    Raises:
        InputError: no samples, or a batch size below 1.
    """
    if not len(dataset):
        raise InputError("The loader was given a data set without samples.")
    if batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, got {batch_size}.")
    if workers:
        dataset.share_epoch()
    order = EpochShuffle(len(dataset), shuffle_seed)
    return DataLoader(
        dataset,
        batch_sampler=BatchSampler(order, batch_size, drop_last=False),
        collate_fn=_as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        generator=torch.Generator().manual_seed(0),
    )


def even_batch_size(samples: int, most: int) -> int:
    """The size of as few batches as can be, none above ``most``, all about equal.

    A last batch of a few samples has its say in the running statistics of batch norm just before they are used; where
    an epoch leaves such a rest over, pass this as the ``batch_size`` of :func:`loader`.

    Args:
        samples: of an epoch.
        most: largest size of a batch.

    Raises:
        InputError: no samples, or ``most`` below 1.

    >>> even_batch_size(3588, 128), 3588 % 128, 3588 % even_batch_size(3588, 128)
    (124, 4, 116)
    """
    if samples < 1 or most < 1:
        raise InputError(
            f"even_batch_size: {samples} samples in batches of at most {most}; expected 1 or more of both."
        )
    return math.ceil(samples / math.ceil(samples / most))


def set_epoch(batches: Loader, epoch: int) -> None:
    """Tells order and augmentation of a loader made by :func:`loader` which epoch it is."""
    for part in (batches.dataset, getattr(batches.batch_sampler, "sampler", None)):
        if isinstance(part, CorpusDataset | EpochShuffle):
            part.set_epoch(epoch)


def _as_it_is(batch: Any) -> Any:
    return batch

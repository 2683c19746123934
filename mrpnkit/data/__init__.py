"""Data: corpora in memory and on disk, folds, augmentation in time, batches."""

from mrpnkit.data.arrays import Modality
from mrpnkit.data.augment import Change, ClassPairing, FirstStep, ModalityDropout, RandomSlice, RandomStep, Slicing
from mrpnkit.data.corpus import Corpus
from mrpnkit.data.folds import Fold, drawn_validation, group_folds, held_out
from mrpnkit.data.loading import Augmentation, Batch, CorpusDataset, Loader, even_batch_size, loader, set_epoch
from mrpnkit.data.writer import CorpusWriter

__all__ = [
    "Augmentation",
    "Batch",
    "Change",
    "ClassPairing",
    "Corpus",
    "CorpusDataset",
    "CorpusWriter",
    "FirstStep",
    "Fold",
    "Loader",
    "Modality",
    "ModalityDropout",
    "RandomSlice",
    "RandomStep",
    "Slicing",
    "drawn_validation",
    "even_batch_size",
    "group_folds",
    "held_out",
    "loader",
    "set_epoch",
]

"""Data: corpora in memory and on disk, folds, augmentation in time, batches."""

from mrpnkit.data.augment import Change, ClassPairing, RandomSlice
from mrpnkit.data.corpus import Corpus, Modality
from mrpnkit.data.folds import Fold, group_folds
from mrpnkit.data.loading import Augmentation, Batch, CorpusDataset, Loader, loader, set_epoch
from mrpnkit.data.writer import CorpusWriter

__all__ = [
    "Augmentation",
    "Batch",
    "Change",
    "ClassPairing",
    "Corpus",
    "CorpusDataset",
    "CorpusWriter",
    "Fold",
    "Loader",
    "Modality",
    "RandomSlice",
    "group_folds",
    "loader",
    "set_epoch",
]

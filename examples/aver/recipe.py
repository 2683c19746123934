"""How the networks of the comparison are built and trained: the same for all, only the network differs."""

from dataclasses import dataclass
from typing import Literal

from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.aggregators import BiLSTM
from mrpnkit.data import Augmentation, ClassPairing, Corpus, Fold, RandomSlice
from mrpnkit.errors import InputError
from mrpnkit.extractors import Conv1d

TARGET = "emotion"
NETWORKS = ("am", "vm", "n0", "n1", "n2")
MODALITIES = {"am": ["audio"], "vm": ["video"], "n0": ["video", "audio"], "n1": ["video", "audio"],
              "n2": ["video", "audio"]}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the defaults are those of the committed table."""

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.3
    clip_norm: float = 5.0
    label_smoothing: float = 0.1
    channels: tuple[int, ...] = (128, 128)
    kernel_size: int = 5
    strides: tuple[int, ...] = (2, 2)
    recurrent: int = 64
    dropout: float = 0.3
    slices: float = 0.0
    pairing: float = 0.0
    select_by: Literal["accuracy", "uar", "loss"] = "accuracy"
    keep: Literal["best", "last"] = "best"


def modalities_of(network: str) -> list[str]:
    """The modalities that a network of the comparison reads.

    Raises:
        InputError: no such network.
    """
    if network not in MODALITIES:
        raise InputError(f"There is no network {network!r}; the comparison has {', '.join(NETWORKS)}.")
    return MODALITIES[network]


def build_model(network: str, corpus: Corpus, recipe: Recipe) -> MRPN:
    """AM and VM are N0 with one branch; N0, N1 and N2 are the paper's networks with two."""
    branches = {}
    for name in modalities_of(network):
        extractor = Conv1d(
            corpus.features(name),
            channels=list(recipe.channels),
            kernel_size=recipe.kernel_size,
            strides=list(recipe.strides),
            dropout=recipe.dropout,
        )
        aggregator = BiLSTM(extractor.out_features, hidden_features=recipe.recurrent, pool="mean")
        branches[name] = Branch(extractor, aggregator)
    kind: Literal["n0", "n1", "n2"] = "n1" if network == "n1" else "n2" if network == "n2" else "n0"
    return MRPN(branches, {TARGET: len(corpus.classes[TARGET])}, network=kind, dropout=recipe.dropout)


def objective_for(corpus: Corpus, recipe: Recipe) -> Objective:
    """The N+1 cross-entropies, weights 1 as in the paper."""
    return Objective({TARGET: Classification(corpus.classes[TARGET], label_smoothing=recipe.label_smoothing)})


def augmentation(corpus: Corpus, fold: Fold, recipe: Recipe, modalities: list[str]) -> Augmentation:
    """What is drawn for the training samples: time slices, and pairs of clips of one class."""
    slices = {}
    if recipe.slices:
        for name in modalities:
            rate = corpus.modalities[name].rate
            if rate is not None:
                slices[name] = RandomSlice(1.0, rate, share=recipe.slices)
    pairing = None
    if recipe.pairing:
        pairing = ClassPairing(corpus.targets[TARGET][fold.train], fold.train, share=recipe.pairing)
    return Augmentation(slices=slices, pairing=pairing)

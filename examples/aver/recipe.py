"""How the networks of the comparison are built and trained: the same for all, only the network differs."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.aggregators import Last
from mrpnkit.data import Augmentation, ClassPairing, Corpus, FirstStep, Fold, RandomStep
from mrpnkit.errors import InputError
from mrpnkit.extractors import MLP, Linear, Normalise

TARGET = "emotion"
NETWORKS = ("am", "vm", "n0", "n1", "n2")
MODALITIES = {"am": ["audio"], "vm": ["video"], "n0": ["video", "audio"], "n1": ["video", "audio"],
              "n2": ["video", "audio"]}  # fmt: skip

CHOSEN_ON = (
    "features, branches and settings were chosen by networks trained on RAVDESS actors 7 to 20 and tried on actors 1 "
    "to 6; actors 7 to 20 were held out for the first time by the reported run, so folds that test them are free of "
    "the choice"
)
"""Where the defaults of :class:`Recipe` come from; it stands in every result file."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the defaults are those of the committed table.

    Attributes:
        epochs, batch_size, learning_rate, weight_decay, warm_up, clip_norm: AdamW under a one-cycle schedule that
            rises to ``learning_rate`` in the first ``warm_up`` of the steps.
        label_smoothing: of all N+1 cross-entropies.
        features: width of f_m.
        input_dropout: on the normalised statistics of a clip.
        hidden: width of a layer between the statistics and f_m; None for none.
        hidden_dropout: after that layer.
        dropout: before each Dense of Scoring.
        pairing: share of the training clips whose voice comes from another clip of the same class.
        select_by: the validation metric of the fusion that selects the epoch.
        keep: test the ``best`` validated epoch or the ``last``.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.3
    clip_norm: float = 5.0
    label_smoothing: float = 0.1
    features: int = 128
    input_dropout: float = 0.3
    hidden: int | None = 128
    hidden_dropout: float = 0.5
    dropout: float = 0.5
    pairing: float = 0.0
    select_by: Literal["accuracy", "uar", "loss"] = "loss"
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
    """AM and VM are N0 with one branch; N0, N1 and N2 are the paper's networks with two.

    A branch normalises the statistics of a clip and projects them to f_m, through one hidden layer.
    """
    branches = {}
    for name in modalities_of(network):
        width = corpus.features(name)
        extractor = nn.Sequential(Normalise(width, dropout=recipe.input_dropout))
        if recipe.hidden is not None:
            extractor.append(MLP(width, hidden=[recipe.hidden], dropout=recipe.hidden_dropout))
        extractor.append(Linear(recipe.hidden or width, recipe.features))
        branches[name] = Branch(extractor, Last(recipe.features))
    kind: Literal["n0", "n1", "n2"] = "n1" if network == "n1" else "n2" if network == "n2" else "n0"
    return MRPN(branches, {TARGET: len(corpus.classes[TARGET])}, network=kind, dropout=recipe.dropout)


def objective_for(corpus: Corpus, recipe: Recipe) -> Objective:
    """The N+1 cross-entropies, weights 1 as in the paper."""
    return Objective({TARGET: Classification(corpus.classes[TARGET], label_smoothing=recipe.label_smoothing)})


def training_draws(corpus: Corpus, fold: Fold, recipe: Recipe, modalities: list[str]) -> Augmentation:
    """For training clips: one of the versions of each modality, and where asked for the voice of another clip."""
    pairing = None
    if recipe.pairing:
        pairing = ClassPairing(corpus.targets[TARGET][fold.train], fold.train, share=recipe.pairing)
    return Augmentation(slices={name: RandomStep() for name in modalities}, pairing=pairing)


def evaluation_draws(modalities: list[str]) -> Augmentation:
    """For validation and test: the version of the whole, unchanged clip."""
    return Augmentation(slices={name: FirstStep() for name in modalities})

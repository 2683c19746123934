"""How the networks of the comparison are built and trained: the same for all, only the network differs."""

from dataclasses import dataclass
from typing import Literal

from examples.aver.cepstra import AppendCepstra
from examples.aver.changes import ChangeVoice, MirrorFace
from examples.aver.landmarks import LandmarkFeatures
from examples.aver.speech import LogMel, SpeechFeatures
from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.aggregators import Statistics
from mrpnkit.data import Augmentation, Change, ClassPairing, Corpus, Fold, RandomSlice
from mrpnkit.errors import InputError
from mrpnkit.extractors import Identity

TARGET = "emotion"
NETWORKS = ("am", "vm", "n0", "n1", "n2")
MODALITIES = {"am": ["audio"], "vm": ["video"], "n0": ["video", "audio"], "n1": ["video", "audio"],
              "n2": ["video", "audio"]}  # fmt: skip

VIDEO = LandmarkFeatures(blocks=("shape", "head", "tilt"))
AUDIO = SpeechFeatures(blocks=("log_mel", "prosody"), mel=LogMel(level="kept"), trim_decibels=30.0)


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
        input_dropout: on the statistics of a clip, before they are projected to f_m.
        dropout: before each Dense of Scoring.
        hidden: width inside Scoring.
        slices: share of the training clips of which a random slice is read, for each modality on its own.
        slice_seconds: least length of a slice.
        mirror: share of the training faces that are mirrored.
        voice_reach, voice_decibels: stretch of the frequencies and spread of the loudness of training voices.
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
    dropout: float = 0.3
    hidden: int | None = None
    slices: float = 0.67
    slice_seconds: float = 1.0
    mirror: float = 0.5
    voice_reach: float = 0.08
    voice_decibels: float = 1.0
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

    A clip's f_m is a projection of statistics over time (mean, spread, quantiles, rate of change) of its landmarks, or
    of its log-mel energies, cepstra and prosody.
    """
    branches = {}
    for name in modalities_of(network):
        width = corpus.features(name)
        extractor = AppendCepstra(width, bands=AUDIO.mel.width) if name == "audio" else Identity(width)
        aggregator = Statistics(extractor.out_features, features=recipe.features, lag=2, dropout=recipe.input_dropout)
        branches[name] = Branch(extractor, aggregator)
    kind: Literal["n0", "n1", "n2"] = "n1" if network == "n1" else "n2" if network == "n2" else "n0"
    outputs = {TARGET: len(corpus.classes[TARGET])}
    return MRPN(branches, outputs, network=kind, dropout=recipe.dropout, hidden=recipe.hidden)


def objective_for(corpus: Corpus, recipe: Recipe) -> Objective:
    """The N+1 cross-entropies, weights 1 as in the paper."""
    return Objective({TARGET: Classification(corpus.classes[TARGET], label_smoothing=recipe.label_smoothing)})


def augmentation(corpus: Corpus, fold: Fold, recipe: Recipe, modalities: list[str]) -> Augmentation:
    """What is drawn for the training samples: slices in time, mirrored faces, changed voices, pairs of one class."""
    slices = {}
    for name in modalities if recipe.slices else []:
        rate = corpus.modalities[name].rate
        if rate is not None:
            slices[name] = RandomSlice(recipe.slice_seconds, rate, share=recipe.slices)
    changes: dict[str, list[Change]] = {}
    if "video" in modalities and recipe.mirror:
        changes["video"] = [MirrorFace(VIDEO, share=recipe.mirror)]
    if "audio" in modalities and (recipe.voice_reach or recipe.voice_decibels):
        changes["audio"] = [ChangeVoice(AUDIO, reach=recipe.voice_reach, decibels=recipe.voice_decibels)]
    pairing = None
    if recipe.pairing:
        pairing = ClassPairing(corpus.targets[TARGET][fold.train], fold.train, share=recipe.pairing)
    return Augmentation(slices=slices, changes=changes, pairing=pairing)

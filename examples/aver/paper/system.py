"""The paper's full system, from options to networks: frames and sound, two CNNs, aggregators, N0, N1 or N2.

AM and VM are N0 with one branch; JM, the paper's joint modalities, is N0 with both (caption of Table 1).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from examples.aver.paper.frames import ChangeFrames, EveryNth, face_transform
from examples.aver.paper.options import Options, System
from examples.aver.recipe import TARGET, modalities_of
from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.aggregators import LSTM, BiLSTM, Transformer
from mrpnkit.data import Augmentation, ClassPairing, Corpus, RandomSlice
from mrpnkit.data.augment import Change
from mrpnkit.errors import InputError
from mrpnkit.extractors import FramesTimm, Identity
from mrpnkit.extractors.spectrogram_timm import SpectrogramTimm

LEAST_SECONDS = 1.0
"""The least duration of a random slice (section 3.3, item 2)."""


class Shape(NamedTuple):
    """What networks need to know of a corpus: frames a second, samples a second, the shape of a frame, the classes."""

    fps: float
    rate: float
    frame: tuple[int, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> "Shape":
        """The shape of a corpus of frames and sound.

        Raises:
            InputError: another corpus, or one that does not tell its rates.
        """
        video, audio = corpus.modalities.get("video"), corpus.modalities.get("audio")
        if (
            video is None
            or audio is None
            or video.steps.dtype != np.uint8
            or video.steps.ndim != 4
            or corpus.features("audio") != 1
            or TARGET not in corpus.classes
        ):
            raise InputError(
                f"{corpus!r} is no corpus of frames and sound; expected 'video', uint8 (H, W, 3), 'audio', one sample "
                f"a step, and the target {TARGET!r}. Prepare one from movies."
            )
        if not video.rate or not audio.rate:
            raise InputError("The corpus does not tell the rates of its modalities, steps a second. Prepare it anew.")
        return cls(video.rate, audio.rate, tuple(video.steps.shape[1:]), tuple(corpus.classes[TARGET]))


def build_extractor(modality: str, system: System, options: Options, shape: Shape) -> FramesTimm | SpectrogramTimm:
    """The CNN of a modality: one vector for each frame, or for each second of sound."""
    memory_format: Literal["channels_last", "contiguous"] = "channels_last" if system.channels_last else "contiguous"
    if modality == "video":
        return FramesTimm(
            int(np.prod(shape.frame)),
            step_shape=shape.frame,
            architecture=system.cnn,
            weights=system.weights.video,
            freeze="all" if system.frozen else "none",
            size=None if system.size is None else (system.size, system.size),
            chunk=system.chunk,
            gradient_checkpointing=system.checkpointing,
            precision=system.precision,
            memory_format=memory_format,
        )
    return SpectrogramTimm(
        rate=shape.rate,
        architecture=system.cnn,
        weights=system.weights.audio,
        freeze="all" if system.frozen else "none",
        step_seconds=options.hop_seconds,
        scale=system.scale,
        bands=system.bands,
        hop=system.hop,
        chunk=system.chunk,
        gradient_checkpointing=system.checkpointing,
        precision=system.precision,
        memory_format=memory_format,
    )


def build_aggregator(width: int, system: System, options: Options) -> nn.Module:
    """What makes f_m, ``system.features`` wide, of the CNN's features over time."""
    match options.aggregator:
        case "lstm":
            return LSTM(width, hidden_features=system.features)
        case "bilstm":
            return BiLSTM(width, hidden_features=system.features // 2)
        case "transformer":
            return Transformer(width, features=system.features, feedforward=2 * system.features)


def build_system(network: str, system: System, options: Options, shape: Shape) -> MRPN:
    """The whole network, from frames and sound to scores.

    Args:
        network: ``am``, ``vm``, ``n0``, ``n1`` or ``n2``.
        system: the networks.
        options: the paper's.
        shape: of the corpus.
    """
    return _joined(
        network, {name: build_extractor(name, system, options, shape) for name in modalities_of(network)},
        system, options, shape,
    )  # fmt: skip


def build_tail(network: str, widths: dict[str, int], system: System, options: Options, shape: Shape) -> MRPN:
    """The network without its CNNs: it reads their features, ``widths[modality]`` wide, one vector a step."""
    extractors = {name: Identity(widths[name]) for name in modalities_of(network)}
    return _joined(network, extractors, system, options, shape)


def width_of(extractor: nn.Module) -> int:
    """How many features an extractor returns for a step."""
    return int(cast(int, extractor.out_features))


def objective_of(shape: Shape) -> Objective:
    """The N+1 cross-entropies with weights 1 (5)."""
    return Objective({TARGET: Classification(shape.classes)})


def training_draws(
    options: Options, system: System, corpus: Corpus, rows: NDArray[np.int64], modalities: Sequence[str], *, kept: bool
) -> Augmentation:
    """What is drawn for training clips, by the options.

    Args:
        options: the paper's.
        system: the networks.
        corpus: what is read.
        rows: of the training part; pairs are made within it.
        modalities: that are read.
        kept: whether the corpus holds features of frozen CNNs rather than frames and sound.
    """
    changes: dict[str, list[Change]] = {}
    if not kept and "video" in modalities:
        changes = {"video": list(_thinning(system, Shape.of(corpus)))}
        if options.image != "none":
            changes["video"].append(
                ChangeFrames(face_transform(), same_for="clip" if options.image == "VA" else "frame")
            )
    slices = {}
    if options.time == "T":
        for name in modalities:
            rate = corpus.modalities[name].rate
            if kept and name == "audio":
                # A segment is a second of sound already: slices have one segment or more.
                slices[name] = RandomSlice(1.0, 1.0)
            elif rate is not None:
                slices[name] = RandomSlice(LEAST_SECONDS, rate)
    pairing = None
    if options.pairing and len(modalities) > 1:
        pairing = ClassPairing(corpus.targets[TARGET][rows], rows, share=options.pairing)
    return Augmentation(slices=slices, changes={n: c for n, c in changes.items() if c}, pairing=pairing)


def evaluation_draws(system: System, corpus: Corpus, modalities: Sequence[str], *, kept: bool) -> Augmentation:
    """For validation and test: whole clips; frames are thinned as in training, and nothing is drawn."""
    if kept or "video" not in modalities:
        return Augmentation()
    thinning = _thinning(system, Shape.of(corpus))
    return Augmentation(changes={"video": thinning} if thinning else {})


def thin(system: System, fps: float) -> EveryNth:
    """Which frames a system takes of movies with so many frames a second."""
    return EveryNth(fps, system.frames_per_second or fps)


def _thinning(system: System, shape: Shape) -> list[Change]:
    every = thin(system, shape.fps)
    return [] if every.n == 1 else [every]


def _joined(network: str, extractors: Mapping[str, nn.Module], system: System, options: Options, shape: Shape) -> MRPN:
    branches = {
        name: Branch(extractor, build_aggregator(width_of(extractor), system, options))
        for name, extractor in extractors.items()
    }
    kind: Literal["n0", "n1", "n2"] = "n1" if network == "n1" else "n2" if network == "n2" else "n0"
    return MRPN(branches, {TARGET: len(shape.classes)}, network=kind, dropout=system.dropout)

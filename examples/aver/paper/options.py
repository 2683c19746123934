"""What can be switched: the paper's options by the paper's names, the networks, and how they are trained.

Source: Chang and Skarbek (2021), arXiv:2107.10742: section 3.3 for the processing, 4.2 for the training, 4.3 for the
notations of Table 1, the caption of Table 4 for IA, WO, VA and AO.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from mrpnkit.errors import InputError

Scale = Literal["linear", "log", "mel"]

Image = Literal["none", "IA", "VA"]
Overlap = Literal["WO", "AO"]
Time = Literal["NT", "T"]
Aggregator = Literal["lstm", "bilstm", "transformer"]
Protocol = Literal["honest", "paper"]

HOPS: dict[Overlap, float] = {"WO": 1.0, "AO": 0.2}
"""Seconds from one segment of sound to the next; a segment lasts one second (section 3.3, items 3 and 4)."""

PROTOCOLS: dict[Protocol, str] = {
    "honest": (
        "honest: the epoch is selected on the actors of the next fold; the test actors are used once, after that"
    ),
    "paper": (
        "paper: the epoch is selected on the very actors that are reported, as the paper does; optimistic, and no "
        "estimate of what strangers would get"
    ),
}


@dataclass(frozen=True)
class Options:
    """The paper's options, each of which can be switched alone.

    Attributes:
        image: ``"IA"``, image augmentation: every frame of a clip is changed by parameters of its own (the bottom of
            Figure 9); ``"VA"``, video frames augmentation: one draw for all frames of a clip (the middle of Figure 9);
            ``"none"``.
        overlap: ``"AO"``, audio overlapping: one-second segments begin every 0.2 s; ``"WO"``, without audio
            overlapping: every second.
        time: ``"T"``, time augmentation: each modality of a training clip is a random slice of at least a second,
            drawn for each on its own (Figure 10); ``"NT"``, not: always the whole clip.
        pairing: share of the training clips whose sound comes from another training clip of the same class (section
            1.4, item 2). The paper gives neither a name nor a share to it; 0 is off.
        aggregator: what makes one vector of the features over time; the paper's Table 4 has LSTM and Transformer.
    """

    image: Image = "VA"
    overlap: Overlap = "AO"
    time: Time = "T"
    pairing: float = 0.0
    aggregator: Aggregator = "lstm"

    def __post_init__(self) -> None:
        for name, known in (("image", Image), ("overlap", Overlap), ("time", Time), ("aggregator", Aggregator)):
            if getattr(self, name) not in get_args(known):
                raise InputError(
                    f"Options: {name} is {getattr(self, name)!r}; expected one of {', '.join(get_args(known))}."
                )
        if not 0 <= self.pairing <= 1:
            raise InputError(f"Options: pairing is {self.pairing}; expected a share, 0 to 1.")

    @property
    def hop_seconds(self) -> float:
        """From one segment of sound to the next."""
        return HOPS[self.overlap]

    @property
    def name(self) -> str:
        """As part of a folder's name, such as ``lstm-VA-AO-T``."""
        parts = [self.aggregator, *([] if self.image == "none" else [self.image]), self.overlap, self.time]
        return "-".join([*parts, *([f"P{self.pairing:g}"] if self.pairing else [])])

    @classmethod
    def parse(cls, text: str, start: "Options | None" = None) -> "Options":
        """Options written as the paper writes them, such as ``"VA+AO+NT"``, on top of ``start``.

        >>> Options.parse("IA+WO").name, Options.parse("none+NT").name
        ('lstm-IA-WO-T', 'lstm-AO-NT')

        The word ``none`` is no augmentation of images.

        Raises:
            InputError: a word that is no option, or two of one kind.
        """
        found = start or cls()
        kinds = {word: kind for kind, choices in (("image", Image), ("overlap", Overlap), ("time", Time),
                 ("aggregator", Aggregator)) for word in get_args(choices)}  # fmt: skip
        seen: dict[str, str] = {}
        for word in filter(None, text.replace(",", "+").split("+")):
            kind = kinds.get(word) or kinds.get(word.upper()) or kinds.get(word.lower())
            if kind is None:
                raise InputError(f"There is no option {word!r}; there are {', '.join(kinds)}.")
            if kind in seen:
                raise InputError(f"The options {seen[kind]} and {word} exclude each other; give one of them.")
            seen[kind] = word
            value = word.lower() if kind == "aggregator" or word.lower() == "none" else word.upper()
            found = replace(found, **{kind: value})  # type: ignore[arg-type]
        return found


@dataclass(frozen=True)
class Weights:
    """Initial weights of the two CNNs: safetensors files, as ``python -m examples.aver pretrain`` writes them.

    The paper takes FER-2013 for the frames and speaker recognition for the sound. Without a file they are random.
    """

    video: str | None = None
    audio: str | None = None

    def fingerprint(self) -> dict[str, str | None]:
        """SHA-256 of the files, by which a run knows its weights wherever they lie."""
        return {name: None if path is None else _digest(path) for name, path in vars(self).items()}


@dataclass(frozen=True)
class System:
    """The networks; where the paper says nothing, the choice is ours.

    Attributes:
        cnn: architecture of both CNNs, a name of timm; the paper's is ResNet-18.
        features: width of f_m: of the LSTM's state, of the BiLSTM's two together, of the Transformer (ours).
        size: frames are resized to this many pixels; None leaves them as the corpus has them.
        frames_per_second: frames are thinned to about this rate; None takes all (the paper speaks of no thinning).
        scale: of the spectrogram, ``"linear"``, ``"log"`` or ``"mel"``; the paper does not say which.
        bands, hop: height of a segment's picture, and samples from one of its columns to the next; the paper's are 256
            and 64, which make 256×250.
        dropout: before each Dense of Scoring; the paper names no rate (ours: 0).
        weights: initial weights of the CNNs.
        frozen: the CNNs stay as they are; their features are computed once and kept. Augmentation of images has then
            no effect and must be ``"none"``; time slices are cut from the kept features.
        precision: ``"bfloat16"`` or ``"float32"``.
        channels_last: memory format of the CNNs.
        checkpointing: compute the CNNs again in the backward pass instead of keeping what lies inside.
        chunk: frames or segments at a time.
    """

    cnn: str = "resnet18"
    features: int = 256
    size: int | None = None
    frames_per_second: float | None = None
    scale: Scale = "log"
    bands: int = 256
    hop: int = 64
    dropout: float = 0.0
    weights: Weights = field(default_factory=Weights)
    frozen: bool = False
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    channels_last: bool = True
    checkpointing: bool = False
    chunk: int = 64

    def __post_init__(self) -> None:
        if self.features < 2 or self.features % 4 or self.chunk < 1:
            raise InputError(
                f"System: features {self.features} must be a multiple of 4, and chunk {self.chunk} at least 1."
            )
        if self.frames_per_second is not None and not self.frames_per_second > 0:
            raise InputError(f"System: frames_per_second is {self.frames_per_second}; expected more than 0.")


@dataclass(frozen=True)
class Schedule:
    """How a network is trained (section 4.2): AdamW, 5·10⁻⁵, halved when validation has not improved for ten epochs.

    Attributes:
        epochs: at most (the paper gives no number).
        batch_size: clips of a batch (ours).
        learning_rate, factor, patience: the paper's.
        weight_decay: torch's default for AdamW; the paper gives none.
        stop_after: stop after so many epochs without a better one; None never.
        select_by: the fusion's validation metric that selects the epoch.
        frozen_epochs: the CNNs are not trained for so many epochs at first.
        epochs_per_stage: after that their stages join the training one by one from the output on, each so many epochs
            after the one before; 0: all at once.
        clip_norm: largest norm of the gradient (ours); None does not clip.
        workers: processes that read clips ahead; they change no result.
    """

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 1e-2
    factor: float = 0.5
    patience: int = 10
    stop_after: int | None = 25
    select_by: Literal["accuracy", "uar", "loss"] = "accuracy"
    frozen_epochs: int = 0
    epochs_per_stage: int = 0
    clip_norm: float | None = 5.0
    workers: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or min(self.frozen_epochs, self.epochs_per_stage, self.workers) < 0:
            raise InputError(
                f"Schedule: epochs {self.epochs} and batch_size {self.batch_size} must be 1 or more; frozen_epochs "
                f"{self.frozen_epochs}, epochs_per_stage {self.epochs_per_stage} and workers {self.workers} 0 or more."
            )


@lru_cache(maxsize=16)
def _digest(path: str) -> str:
    if not Path(path).is_file():
        raise InputError(f"There are no weights {path!r}: that is no file. They are made by `pretrain`.")
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

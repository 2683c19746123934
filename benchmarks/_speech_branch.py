"""The paper's speech branch on RAVDESS: its data, its networks, and how they are trained; no benchmark by itself."""

import hashlib
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from examples.aver.clips import SPEECH_RATE, Clip
from examples.aver.demo import FEATURES
from examples.aver.features import AUDIO
from examples.aver.job import conclude, finished
from examples.aver.prepare import prepare
from examples.aver.recipe import TARGET, Recipe, objective_for
from examples.aver.speech import speech_span
from examples.aver.trained_on import prints_of
from examples.aver.versions import Versions, make_versions
from mrpnkit import MRPN, Branch
from mrpnkit.aggregators import LSTM, Last
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, FirstStep, Fold, RandomSlice, RandomStep, loader
from mrpnkit.data.augment import Slicing
from mrpnkit.extractors import MLP, Linear, Normalise, SpectrogramTimm
from mrpnkit.records import write_json
from mrpnkit.train import Trainer, evaluate, load_weights

ALONE, TOGETHER = ("am_initialised", "am_scratch"), ("n0", "n1", "n2")


@dataclass(frozen=True)
class Settings:
    """What all trainings share.

    Attributes:
        hop, bands, scale: of the segments, those that the initial weights were trained on.
        epochs, batch_size: of AM; a fusion has the recipe's.
        learning_rate: peak of ResNet-18 and LSTM in AM; all else has the recipe's.
        features: width of f_a.
        recipe: the landmark branch, the fusion, and whatever else is not said here.
    """

    architecture: str = "resnet18"
    hop: int = 320
    bands: int = 64
    scale: Literal["log", "mel"] = "mel"
    epochs: int = 6
    batch_size: int = 16
    learning_rate: float = 5e-4
    features: int = 128
    recipe: Recipe = field(default_factory=Recipe)


def corpus_of(clips: list[Clip], out: Path, console: Console, *, source: str = "RAVDESS landmarks + speech") -> Corpus:
    """Statistics of landmarks, and waves; statistics of both, for the networks on log-mel, are left in ``out/corpus``.

    Waves are int16; silence before and after is cut as it is for the log-mel features.
    """
    frames = prepare(clips, out / "frames", FEATURES, console, source=source)
    statistics = make_versions(frames, out / "corpus", Versions(), console)
    video = [statistics.read("video", row) for row in range(len(statistics))]
    rows = {name: row for row, name in enumerate(statistics.ids)}
    waves = sorted((rows[clip.id], trimmed(clip.speech())) for clip in clips)
    made = Corpus.from_arrays(
        {"video": video, "audio": [wave for _, wave in waves]},
        {TARGET: statistics.targets[TARGET]},
        ids=statistics.ids,
        groups={name: values.tolist() for name, values in statistics.groups.items()},
        classes={TARGET: statistics.classes[TARGET]},
        rates={"audio": SPEECH_RATE},
    )
    made.about = statistics.about  # the clips' files and how they were read, by which runs know their data
    return made


def trimmed(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Speech without the silence around it, as 16-bit integers."""
    hop = AUDIO.mel.hop
    span = speech_span(AUDIO.prosody.energy(wave), decibels=AUDIO.trim_decibels or 30.0, margin=round(2400 / hop))
    cut = wave[span.start * hop : span.stop * hop]
    return np.round(np.clip(cut, -1, 1) * 32767).astype(np.int16)


def speech_network(settings: Settings, weights: str | None) -> SpectrogramTimm:
    """The extractor of the speech branch."""
    return SpectrogramTimm(
        architecture=settings.architecture,
        weights=weights,
        hop=settings.hop,
        bands=settings.bands,
        scale=settings.scale,
        precision="bfloat16",
        memory_format="channels_last",
    )


def alone(corpus: Corpus, settings: Settings, weights: str | None) -> MRPN:
    """AM: the speech branch, trained from end to end."""
    speech = speech_network(settings, weights)
    branch = Branch(speech, LSTM(speech.out_features, hidden_features=settings.features))
    return MRPN({"audio": branch}, {TARGET: len(corpus.classes[TARGET])}, network="n0", dropout=settings.recipe.dropout)


def together(network: str, corpus: Corpus, settings: Settings) -> MRPN:
    """The landmark branch of the recipe, and an LSTM on the features of segments that were computed before."""
    recipe, widths = settings.recipe, {name: corpus.features(name) for name in ("video", "audio")}
    hidden = recipe.hidden or widths["video"]
    landmarks = nn.Sequential(
        Normalise(widths["video"], dropout=recipe.input_dropout),
        MLP(widths["video"], hidden=[hidden], dropout=recipe.hidden_dropout),
        Linear(hidden, recipe.features),
    )
    speech = Normalise(widths["audio"], dropout=recipe.input_dropout)
    branches = {
        "video": Branch(landmarks, Last(recipe.features)),
        "audio": Branch(speech, LSTM(widths["audio"], hidden_features=settings.features)),
    }
    kind: Any = network
    return MRPN(branches, {TARGET: len(corpus.classes[TARGET])}, network=kind, dropout=recipe.dropout)


class Plan(NamedTuple):
    """A training: the network, its data and fold, and how it is trained."""

    model: MRPN
    corpus: Corpus
    fold: Fold
    epochs: int
    batch_size: int
    rates: dict[str, float]
    seed: int


def train_one(plan: Plan, folder: Path, description: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Trains on a fold, selects on its validation actors, tests once; or reads what was finished before."""
    start = time.perf_counter()
    write_json(folder / "run.json", description)
    names = list(plan.model.branches)
    rate = plan.corpus.modalities["audio"].rate or 1.0
    slices: dict[str, Slicing] = {"video": RandomStep(), "audio": RandomSlice(max(1.0, 1 / rate), rate)}
    whole = Augmentation(slices={"video": FirstStep()} if "video" in names else {})
    drawn = Augmentation(slices={name: slices[name] for name in names})

    def batches(rows: NDArray[np.int64]) -> Any:
        return loader(CorpusDataset(plan.corpus, rows, modalities=names, augmentation=whole), 32)

    dataset = CorpusDataset(plan.corpus, plan.fold.train, modalities=names, augmentation=drawn, seed=plan.seed)
    train = loader(dataset, plan.batch_size, shuffle_seed=plan.seed)
    speech = list(plan.model.branches["audio"].parameters())
    held = {id(parameter) for parameter in speech}
    others = [parameter for parameter in plan.model.parameters() if id(parameter) not in held]
    rates = [plan.rates["speech"], plan.rates["others"]]
    optimizer = torch.optim.AdamW(
        [{"params": part, "lr": rate} for part, rate in zip((speech, others), rates, strict=True)],
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=len(train) * plan.epochs, pct_start=recipe.warm_up
    )
    objective = objective_for(plan.corpus, recipe)
    trainer = Trainer(
        plan.model,
        objective,
        train,
        batches(plan.fold.validation),
        optimizer=optimizer,
        scheduler=schedule,
        epochs=plan.epochs,
        clip_norm=recipe.clip_norm,
        monitor=f"{TARGET}/fused/{recipe.select_by}",
        folder=folder,
    )
    trainer.fit(keep=recipe.keep)
    evaluation = evaluate(trainer.plain_model, batches(plan.fold.test), objective)
    facts = {"training": description["training"], "fold": description["fold"], "seed": plan.seed}
    classes = plan.corpus.classes[TARGET]
    result = conclude(folder, facts, plan.fold, trainer, evaluation, classes, recipe.keep, start)
    (folder / "state.pt").unlink(missing_ok=True)  # hundreds of MB, and nothing goes on from it
    return result


def train_alone(
    training: str, number: int, corpus: Corpus, fold: Fold, settings: Settings, weights: Path, out: Path
) -> dict[str, Any]:
    """AM on a fold.

    Raises:
        TrainingError: the folder holds a run with other settings or on other data.
    """
    folder = out / "spectrograms" / training / f"fold-{number:02d}"
    initial = str(weights) if training == "am_initialised" else None
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if initial else None
    description = {"training": training, "fold": number, "weights": digest, "settings": asdict(settings), "seed": 0}
    description["data"] = prints_of(corpus)
    before = finished(folder, description)
    if before is not None:
        return before
    set_seed(0)
    rates = {"speech": settings.learning_rate, "others": settings.recipe.learning_rate}
    plan = Plan(alone(corpus, settings, initial), corpus, fold, settings.epochs, settings.batch_size, rates, 0)
    return train_one(plan, folder, description, settings.recipe)


@torch.inference_mode()
def with_features(corpus: Corpus, settings: Settings, weights: Path) -> Corpus:
    """The corpus with features of segments, five a second, instead of waves; ``weights`` are those of a trained AM."""
    model = alone(corpus, settings, None).eval()
    load_weights(weights, model)
    extractor = cast(Branch, model.branches["audio"]).extractor
    rows = np.arange(len(corpus))
    parts = [extractor(corpus.batch("audio", part)).unbind() for part in np.array_split(rows, max(1, len(rows) // 32))]
    return Corpus.from_arrays(
        {
            "video": [corpus.read("video", row) for row in rows.tolist()],
            "audio": [features.numpy() for part in parts for features in part],
        },
        {TARGET: corpus.targets[TARGET]},
        ids=corpus.ids,
        groups={name: values.tolist() for name, values in corpus.groups.items()},
        classes={TARGET: corpus.classes[TARGET]},
        rates={"audio": 5.0},
    )


def train_together(
    number: int, corpus: Corpus, fold: Fold, settings: Settings, out: Path, seeds: tuple[int, ...]
) -> dict[str, list[dict[str, Any]]]:
    """N0, N1 and N2 on a fold, with every seed, on the features of the fold's initialised AM."""
    weights = out / "spectrograms" / "am_initialised" / f"fold-{number:02d}" / "best.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    features: Corpus | None = None
    results: dict[str, list[dict[str, Any]]] = {}
    for network in TOGETHER:
        for seed in seeds:
            folder = out / "spectrograms" / network / f"fold-{number:02d}" / f"seed-{seed}"
            description = {"training": network, "fold": number, "weights": digest, "seed": seed}
            description |= {"settings": asdict(settings), "data": prints_of(corpus)}
            result = finished(folder, description)
            if result is None:
                features = with_features(corpus, settings, weights) if features is None else features
                set_seed(seed)
                recipe = settings.recipe
                rates = {"speech": recipe.learning_rate, "others": recipe.learning_rate}
                model = together(network, features, settings)
                plan = Plan(model, features, fold, recipe.epochs, recipe.batch_size, rates, seed)
                result = train_one(plan, folder, description, recipe)
            results.setdefault(network, []).append(result)
    return results

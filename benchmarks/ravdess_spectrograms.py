"""The paper's own speech branch on RAVDESS: what its speaker initialisation brings, and what it brings to the fusion.

Claims: begun with weights of speaker recognition, the branch (spectrogram segments, ResNet-18, LSTM) recognises more of
the speech of unseen actors than begun at random; beside the landmark branch it gives a table of N0, N1 and N2, compared
on the same folds with the branch on log-mel statistics. The folds test actors that no setting was chosen on; epochs are
selected on validation actors, and test actors are looked at once. Segments are smaller than the paper's 256×250.

1. AM, from end to end, for each fold twice: begun with the given weights and at random, all else equal.
2. The fold's ResNet-18 of AM, initialised and trained on the fold's training actors, is held from then on: its features
   of every segment are computed once. N0, N1 and N2 learn LSTM, landmark branch and fusion on them, with three seeds.

What is finished is skipped, and a training that was stopped goes on.

    python -m examples.aver pretrain speakers --data SPEAKERS
    python -m benchmarks.ravdess_spectrograms --data RAVDESS --weights runs/pretrain/speakers/best.safetensors [--small]
"""

import argparse
import hashlib
import os
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from examples.aver.clips import SPEECH_RATE, Clip
from examples.aver.demo import FEATURES, read_clips
from examples.aver.features import AUDIO
from examples.aver.job import Job, actor_folds, conclude, finished, run_job
from examples.aver.prepare import prepare
from examples.aver.pretrain.training import save_weights as save_network
from examples.aver.recipe import CHOSEN_ON, TARGET, Recipe, objective_for
from examples.aver.speech import speech_span
from examples.aver.versions import Versions, make_versions
from mrpnkit import MRPN, Branch
from mrpnkit.aggregators import LSTM, Last
from mrpnkit.analysis import paired_difference
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, FirstStep, Fold, RandomSlice, RandomStep, loader
from mrpnkit.data.augment import Slicing
from mrpnkit.extractors import MLP, Linear, Normalise, SpectrogramTimm
from mrpnkit.records import write_json
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.train import Trainer, evaluate, load_weights

DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess"
RESULT = Path(__file__).parent / "results" / "ravdess_spectrograms.json"
FOLDS = (4, 7, 10)
"""Counted from 1: they test actors 7 and 8, 13 and 14, 19 and 20."""
ALONE, TOGETHER = ("am_initialised", "am_scratch"), ("n0", "n1", "n2")
SEEDS = (0, 1, 2)
"""Of the fusions, and of the networks on log-mel statistics."""


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
    return Corpus.from_arrays(
        {"video": video, "audio": [wave for _, wave in waves]},
        {TARGET: statistics.targets[TARGET]},
        ids=statistics.ids,
        groups={name: values.tolist() for name, values in statistics.groups.items()},
        classes={TARGET: statistics.classes[TARGET]},
        rates={"audio": SPEECH_RATE},
    )


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
    """AM on a fold."""
    folder = out / "spectrograms" / training / f"fold-{number:02d}"
    initial = str(weights) if training == "am_initialised" else None
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if initial else None
    description = {"training": training, "fold": number, "weights": digest, "settings": asdict(settings), "seed": 0}
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
            description["settings"] = asdict(settings)
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


def accuracy(result: dict[str, Any]) -> float:
    """Of the fusion, or of the one branch where there is no other."""
    return float(result["metrics"][f"{TARGET}/fused/accuracy"])


def summarise(by_training: dict[str, list[float]]) -> dict[str, Figure]:
    """Means over folds, and the differences that the claims are about, with their spread over folds."""
    figures = {name: Figure.mean(values, "fraction") for name, values in by_training.items()}
    pairs = {
        "initialised_minus_scratch": ("am_initialised", "am_scratch"),
        "am_minus_log_mel": ("am_initialised", "am_log_mel"),
        **{f"{name}_minus_log_mel": (name, f"{name}_log_mel") for name in TOGETHER},
        "n1_minus_n0": ("n1", "n0"),
        "n2_minus_n0": ("n2", "n0"),
        "n2_minus_n1": ("n2", "n1"),
    }
    for name, (first, second) in pairs.items():
        gains = [a - b for a, b in zip(by_training[first], by_training[second], strict=True)]
        figures[name] = Figure.mean(gains, "fraction")
    return figures


def main() -> None:
    """Trains, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of RAVDESS landmarks and speech")
    parser.add_argument("--weights", type=Path, default=Path("runs/pretrain/speakers/best.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("runs/ravdess_spectrograms"), help="prepared and trained")
    parser.add_argument("--small", action="store_true", help="a quick run on drawn clips that writes no result file")
    given = parser.parse_args()
    console = Console(highlight=False)
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            run_small(Path(folder), console)
        return
    clips, _ = read_clips(given.data)
    corpus = corpus_of(list(clips), given.out, console)
    settings, folds = Settings(), actor_folds(corpus, len(np.unique(corpus.groups["actor"])) // 2)
    results = run(corpus, folds, given.out, console, settings, given.weights, FOLDS, SEEDS)
    by_training = by_fold(results)
    figures = summarise(by_training)
    gain = paired_difference(by_training["am_initialised"], by_training["am_scratch"])
    write_result(
        RESULT,
        claim="Initialised by speaker recognition, the paper's speech branch recognises more of unseen actors; "
        "N0, N1 and N2 with it beside landmarks, compared with log-mel statistics on the same folds.",
        config={
            "settings": asdict(settings),
            "segments": f"{settings.bands}x{SPEECH_RATE // settings.hop}, 1 s every 0.2 s; the paper's: 256x250",
            "alone": "from end to end; seed 0",
            "together": "ResNet-18 of the fold's initialised AM, held; LSTM, landmark branch and fusion are trained",
            "log_mel": "the networks of examples.aver.recipe on statistics of log-mel frames",
            "folds": list(FOLDS),
            "test_actors": [list(folds[number - 1].test_groups) for number in FOLDS],
            "seeds": {"alone": [0], "together": list(SEEDS), "log_mel": list(SEEDS)},
            "weights_sha256": hashlib.sha256(given.weights.read_bytes()).hexdigest(),
            "selection": "the epoch with the least validation loss, on the next pair of actors; tested once",
            "settings_chosen_on": "nothing of the branch was tuned; the recipe's " + CHOSEN_ON,
            "mean": "over folds, each the mean of its seeds; spread over folds",
            "threads": torch.get_num_threads(),
        },
        figures=figures,
        rows={
            "accuracy": by_training,
            "initialised_minus_scratch_interval": gain._asdict(),
            "runs": {name: [_row(result) for rows in found for result in rows] for name, found in results.items()},
        },
    )
    print_figures(figures)


def run_small(out: Path, console: Console) -> None:
    """All steps on a few drawn clips, with a small network and weights that nothing was learned by."""
    from examples.aver.synthetic import SyntheticCorpus

    settings = Settings(architecture="test_resnet", epochs=1, recipe=replace(Recipe(), epochs=1))
    corpus = corpus_of(list(SyntheticCorpus(n_actors=6, takes=1).clips()), out, console, source="drawn clips")
    save_network(out / "weights.safetensors", speech_network(settings, None).network)
    results = run(corpus, actor_folds(corpus, 3), out, console, settings, out / "weights.safetensors", (1,), (0,))
    print_figures(summarise(by_fold(results)))


Found = dict[str, list[list[dict[str, Any]]]]
"""Results by training, fold and seed."""


def run(
    corpus: Corpus,
    folds: list[Fold],
    out: Path,
    console: Console,
    settings: Settings,
    weights: Path,
    numbers: tuple[int, ...],
    seeds: tuple[int, ...],
) -> Found:
    """All trainings, or what was finished before."""
    results: Found = {}
    for number in numbers:
        fold = folds[number - 1]
        for training in ALONE:
            result = train_alone(training, number, corpus, fold, settings, weights, out)
            results.setdefault(training, []).append([result])
            console.print(f"{training}, fold {number}: {accuracy(result):.3f}, {result['wall_seconds']:.0f} s")
        for network, rows in train_together(number, corpus, fold, settings, out, seeds).items():
            results.setdefault(network, []).append(rows)
            console.print(f"{network}, fold {number}: {np.mean([accuracy(row) for row in rows]):.3f}")
        for network in ("am", "vm", *TOGETHER):
            jobs = [Job(out / "corpus", out, network, number - 1, len(folds), seed, settings.recipe) for seed in seeds]
            results.setdefault(f"{network}_log_mel", []).append([run_job(job) for job in jobs])
    results["vm"] = results.pop("vm_log_mel")  # landmarks alone, which know nothing of either
    return results


def by_fold(results: Found) -> dict[str, list[float]]:
    """Accuracy of each training and fold, the mean of its seeds."""
    return {name: [sum(map(accuracy, rows)) / len(rows) for rows in found] for name, found in results.items()}


def _row(result: dict[str, Any]) -> dict[str, Any]:
    kept = ("fold", "seed", "test_actors", "validation_actors", "selected_epoch", "metrics", "seconds")
    return {key: result[key] for key in kept if key in result}


if __name__ == "__main__":
    main()

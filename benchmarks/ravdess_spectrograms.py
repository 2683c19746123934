"""The paper's own speech branch on RAVDESS: what its speaker initialisation brings, and what it brings to the fusion.

Claims: begun with weights of speaker recognition, the branch (spectrogram segments, ResNet-18, LSTM) recognises more of
the speech of unseen actors than begun at random; beside the landmark branch it gives a table of N0, N1 and N2, compared
on the same folds with the branch on log-mel statistics. Everything is trained for the same folds, which test actors
that no setting was chosen on; epochs are selected on validation actors. Segments are smaller than the paper's 256×250.

Trainings that are finished are skipped, and one that was stopped goes on. Several processes share the work where each
is given some of it by --only; whichever finds everything finished writes the result.

    python -m examples.aver pretrain speakers --data SPEAKERS
    python -m benchmarks.ravdess_spectrograms --data RAVDESS --weights runs/pretrain/speakers/best.safetensors [--small]
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

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
from examples.aver.recipe import TARGET, Recipe, objective_for
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
from mrpnkit.train import Trainer, evaluate

DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess"
RESULT = Path(__file__).parent / "results" / "ravdess_spectrograms.json"
FOLDS = (4, 7, 10)
"""Counted from 1: they test actors 7 and 8, 13 and 14, 19 and 20."""
TRAININGS = ("am_initialised", "am_scratch", "n2", "n1", "n0")
LOG_MEL = ("am", "n0", "n1", "n2")


@dataclass(frozen=True)
class Settings:
    """What all trainings of the branch share.

    Attributes:
        hop, bands, scale: of the segments, those that the initial weights were trained on.
        epochs, batch_size: of every training.
        learning_rate: peak of ResNet-18 and LSTM; the rest has the recipe's.
        slice_seconds: least length of the random slice of the voice that is trained on.
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
    slice_seconds: float = 1.0
    features: int = 128
    recipe: Recipe = field(default_factory=Recipe)


def corpus_of(clips: list[Clip], out: Path, console: Console) -> tuple[Corpus, Corpus]:
    """The corpus of clip statistics that the existing table reads, and one of landmark statistics and waves.

    Waves are int16; silence before and after is cut as it is for the log-mel features.
    """
    frames = prepare(clips, out / "frames", FEATURES, console, source="RAVDESS landmarks + speech")
    statistics = make_versions(frames, out / "corpus", Versions(), console)
    video = [statistics.read("video", row) for row in range(len(statistics))]
    rows = {name: row for row, name in enumerate(statistics.ids)}
    waves = sorted((rows[clip.id], trimmed(clip.speech())) for clip in clips)
    joint = Corpus.from_arrays(
        {"video": video, "audio": [wave for _, wave in waves]},
        {TARGET: statistics.targets[TARGET]},
        ids=statistics.ids,
        groups={name: values.tolist() for name, values in statistics.groups.items()},
        classes={TARGET: statistics.classes[TARGET]},
        rates={"audio": SPEECH_RATE},
    )
    return statistics, joint


def trimmed(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Speech without the silence around it, as 16-bit integers."""
    hop = AUDIO.mel.hop
    span = speech_span(AUDIO.prosody.energy(wave), decibels=AUDIO.trim_decibels or 30.0, margin=round(2400 / hop))
    cut = wave[span.start * hop : span.stop * hop]
    return np.round(np.clip(cut, -1, 1) * 32767).astype(np.int16)


def network_of(training: str, corpus: Corpus, settings: Settings, weights: str | None) -> MRPN:
    """The paper's speech branch, beside the landmark branch of the recipe where the training is of a fusion."""
    recipe, branches = settings.recipe, {}
    if not training.startswith("am"):
        width = corpus.features("video")
        hidden = recipe.hidden or width
        landmarks = nn.Sequential(
            Normalise(width, dropout=recipe.input_dropout),
            MLP(width, hidden=[hidden], dropout=recipe.hidden_dropout),
            Linear(hidden, recipe.features),
        )
        branches["video"] = Branch(landmarks, Last(recipe.features))
    speech = SpectrogramTimm(
        architecture=settings.architecture,
        weights=weights,
        hop=settings.hop,
        bands=settings.bands,
        scale=settings.scale,
        precision="bfloat16",
        memory_format="channels_last",
    )
    branches["audio"] = Branch(speech, LSTM(speech.out_features, hidden_features=settings.features))
    kind: Any = training if training in ("n1", "n2") else "n0"
    return MRPN(branches, {TARGET: len(corpus.classes[TARGET])}, network=kind, dropout=recipe.dropout)


def train_one(
    training: str, number: int, corpus: Corpus, fold: Fold, settings: Settings, weights: str | None, out: Path
) -> dict[str, Any]:
    """Trains on a fold, selects on its validation actors, tests once; or reads what was finished before."""
    folder = out / "spectrograms" / training / f"fold-{number:02d}"
    initial = None if training == "am_scratch" else weights
    digest = hashlib.sha256(Path(initial).read_bytes()).hexdigest() if initial else None
    description = {"training": training, "fold": number, "weights": digest, "settings": asdict(settings), "seed": 0}
    before = finished(folder, description)
    if before is not None:
        return before
    start = time.perf_counter()
    set_seed(0)
    write_json(folder / "run.json", description)
    recipe = settings.recipe
    model = network_of(training, corpus, settings, initial)
    names = list(model.branches)
    draws: dict[str, Slicing] = {"video": RandomStep(), "audio": RandomSlice(settings.slice_seconds, SPEECH_RATE)}
    whole = Augmentation(slices={"video": FirstStep()} if "video" in names else {})
    augmentation = Augmentation(slices={name: draws[name] for name in names})

    def batches(rows: NDArray[np.int64]) -> Any:
        return loader(CorpusDataset(corpus, rows, modalities=names, augmentation=whole), 32)

    train = loader(
        CorpusDataset(corpus, fold.train, modalities=names, augmentation=augmentation, seed=0),
        settings.batch_size,
        shuffle_seed=0,
    )
    speech = list(model.branches["audio"].parameters())
    held = {id(parameter) for parameter in speech}
    others = [parameter for parameter in model.parameters() if id(parameter) not in held]
    rates = [settings.learning_rate, recipe.learning_rate]
    groups = [{"params": part, "lr": rate} for part, rate in zip((speech, others), rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=len(train) * settings.epochs, pct_start=recipe.warm_up
    )
    objective = objective_for(corpus, recipe)
    trainer = Trainer(
        model,
        objective,
        train,
        batches(fold.validation),
        optimizer=optimizer,
        scheduler=schedule,
        epochs=settings.epochs,
        clip_norm=recipe.clip_norm,
        monitor=f"{TARGET}/fused/{recipe.select_by}",
        folder=folder,
    )
    trainer.fit(keep=recipe.keep)
    evaluation = evaluate(trainer.plain_model, batches(fold.test), objective)
    facts = {"training": training, "fold": number, "seed": 0}
    result = conclude(folder, facts, fold, trainer, evaluation, corpus.classes[TARGET], recipe.keep, start)
    (folder / "state.pt").unlink(missing_ok=True)  # hundreds of MB, and nothing goes on from it
    return result


def accuracy(result: dict[str, Any]) -> float:
    """Of the fusion, or of the one branch where there is no other."""
    return float(result["metrics"][f"{TARGET}/fused/accuracy"])


def summarise(by_training: dict[str, list[float]]) -> dict[str, Figure]:
    """Means over folds, and the differences that the claims are about, with their spread."""
    figures = {name: Figure.mean(values, "fraction") for name, values in by_training.items()}
    pairs = {"initialised_minus_scratch": ("am_initialised", "am_scratch")}
    pairs |= {f"{name}_minus_log_mel": (name, f"{name}_log_mel") for name in ("n0", "n1", "n2")}
    pairs |= {"am_minus_log_mel": ("am_initialised", "am_log_mel"), "n2_minus_n0": ("n2", "n0"),
              "n2_minus_n1": ("n2", "n1"), "n1_minus_n0": ("n1", "n0")}  # fmt: skip
    for name, (first, second) in pairs.items():
        gains = [a - b for a, b in zip(by_training[first], by_training[second], strict=True)]
        figures[name] = Figure.mean(gains, "fraction")
    return figures


def main() -> None:
    """Trains, prints, and writes the result file unless ``--small`` or something is left to train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of RAVDESS landmarks and speech")
    parser.add_argument("--weights", type=Path, default=Path("runs/pretrain/speakers/best.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("runs/ravdess"), help="what is prepared and trained")
    parser.add_argument("--only", default=",".join(TRAININGS), help="trainings that this process makes")
    parser.add_argument("--small", action="store_true", help="a quick run on drawn clips that writes no result file")
    given = parser.parse_args()
    console = Console(highlight=False)
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            run_small(Path(folder), console)
        return
    clips, _ = read_clips(given.data)
    statistics, corpus = corpus_of(list(clips), given.out, console)
    folds = actor_folds(corpus, len(np.unique(corpus.groups["actor"])) // 2)
    run(corpus, statistics, folds, given.out, console, Settings(), given.weights, FOLDS, given.only.split(","))


def run_small(out: Path, console: Console) -> None:
    """All steps on a few drawn clips, with a small network and weights that nothing was learned by."""
    from safetensors.torch import save_file

    from examples.aver.synthetic import SyntheticCorpus

    settings = Settings(architecture="test_resnet", epochs=1, recipe=replace(Recipe(), epochs=1))
    clips = SyntheticCorpus(n_actors=6, takes=1).clips()
    statistics, corpus = corpus_of(list(clips), out, console)
    weights = out / "weights.safetensors"
    network = SpectrogramTimm(architecture=settings.architecture, hop=settings.hop, bands=settings.bands).network
    save_file(network.state_dict(), weights)
    run(corpus, statistics, actor_folds(corpus, 3), out, console, settings, weights, (1, 2), TRAININGS, small=True)


def run(
    corpus: Corpus,
    statistics: Corpus,
    folds: list[Fold],
    out: Path,
    console: Console,
    settings: Settings,
    weights: Path,
    numbers: tuple[int, ...],
    only: Any,
    *,
    small: bool = False,
) -> None:
    """All trainings of the branch that this process makes, then those on log-mel statistics; figures and result."""
    results: dict[str, list[dict[str, Any]]] = {}
    for training in TRAININGS:
        for number in numbers:
            made = out / "spectrograms" / training / f"fold-{number:02d}" / "test.json"
            if training in only:
                result = train_one(training, number, corpus, folds[number - 1], settings, str(weights), out)
            elif made.is_file():
                result = json.loads(made.read_text(encoding="utf-8"))
            else:
                continue
            results.setdefault(training, []).append(result)
            console.print(f"{training}, fold {number}: {accuracy(result):.3f}, {result['wall_seconds']:.0f} s")
    if any(len(results.get(training, ())) < len(numbers) for training in TRAININGS):
        console.print("Not everything is trained yet; the result is written by the run that finishes the rest.")
        return
    for network in LOG_MEL:
        jobs = [Job(out / "corpus", out, network, number - 1, len(folds), 0, settings.recipe) for number in numbers]
        results[f"{network}_log_mel"] = [run_job(job) for job in jobs]
    by_training = {name: [accuracy(result) for result in rows] for name, rows in results.items()}
    figures = summarise(by_training)
    if not small:
        gain = paired_difference(by_training["am_initialised"], by_training["am_scratch"])
        write_result(
            RESULT,
            claim="Initialised by speaker recognition, the paper's speech branch recognises more of unseen actors; "
            "N0, N1 and N2 with it beside landmarks, compared with log-mel statistics on the same folds.",
            config={
                "settings": asdict(settings),
                "segments": f"{settings.bands}x{SPEECH_RATE // settings.hop}, 1 s every 0.2 s; the paper's: 256x250",
                "folds": list(numbers),
                "test_actors": [list(folds[number - 1].test_groups) for number in numbers],
                "seed": 0,
                "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
                "selection": "the epoch with the least validation loss, on the next pair of actors; tested once",
                "log_mel": "the networks of examples.aver.recipe on statistics, same folds and seed",
                "threads_each": torch.get_num_threads(),
            },
            figures=figures,
            rows={
                "accuracy": by_training,
                "initialised_minus_scratch_interval": gain._asdict(),
                "runs": {name: [_row(result) for result in rows] for name, rows in results.items()},
            },
        )
    print_figures(figures)


def _row(result: dict[str, Any]) -> dict[str, Any]:
    kept = ("fold", "test_actors", "validation_actors", "selected_epoch", "metrics", "seconds")
    return {key: result[key] for key in kept if key in result}


if __name__ == "__main__":
    main()

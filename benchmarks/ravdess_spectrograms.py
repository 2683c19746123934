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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks._speech_branch import (
    ALONE,
    TOGETHER,
    Settings,
    corpus_of,
    speech_network,
    train_alone,
    train_together,
)
from examples.aver.clips import SPEECH_RATE
from examples.aver.demo import read_clips
from examples.aver.job import Job, actor_folds, run_job
from examples.aver.pretrain.training import save_weights
from examples.aver.recipe import CHOSEN_ON, TARGET, Recipe
from mrpnkit.analysis import paired_difference
from mrpnkit.data import Corpus, Fold
from mrpnkit.report import Figure, print_figures, write_result

DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess"
RESULT = Path(__file__).parent / "results" / "ravdess_spectrograms.json"
FOLDS = (4, 7, 10)
"""Counted from 1: they test actors 7 and 8, 13 and 14, 19 and 20."""
SEEDS = (0, 1, 2)
"""Of the fusions, and of the networks on log-mel statistics."""


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
    save_weights(out / "weights.safetensors", speech_network(settings, None).network)
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

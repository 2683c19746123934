"""What networks do without modalities: RAVDESS landmarks + speech, and the six views of handwritten.

Claims: with modality dropout in training, N2 loses less where modalities are missing than without it, at most 0.02
where nothing is missing; and it answers every one of the 2^N − 1 subsets of modalities.

N0, N1 and N2 are trained with and without modality dropout (each modality of a training sample is left out with
probability 0.3, never all), on handwritten N2 also with a learned stand-in for what is missing. RAVDESS: ten folds of
unseen actor pairs, the epoch selected on the actors of the next fold with everything present, the test pair judged
once. Handwritten: random 80/20 splits of five seeds, a fixed recipe, nothing selected. The rate of dropout was set
before and not tuned.
Every trained network is judged with each subset of the modalities, and with each modality missing at rates from 0 to
0.9; N1 and N2 also with the fall-back to the branches that are left.

    python -m benchmarks.missing_modalities [--data FOLDER] [--out FOLDER] [--workers N] [--folds N] [--seeds N]
                                            [--small]

What is finished stays in the folder of ``--out``, and the same command goes on from there.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._missing import DROPOUT, RATES, REPEATS, VARIANTS, VIEWS_RECIPE, Training, mean_by_size, train
from examples.aver.demo import open_corpus
from examples.aver.recipe import CHOSEN_ON, Recipe
from examples.aver.table import run_jobs
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.report.missing import draw_studies
from mrpnkit.report.results import down
from mrpnkit.robustness import Robustness

ROOT = Path(__file__).parent
RESULT = ROOT / "results" / "missing_modalities.json"
FIGURES = ROOT.parent / "docs" / "figures"
FOLDS, SEEDS = 10, 5
TITLES = {"ravdess": "RAVDESS landmarks + speech", "handwritten": "handwritten, six views"}
METRIC = "accuracy"
DRAWN = {
    "ravdess": ("n0", "n1", "n2", "n0_dropout", "n1_dropout", "n2_dropout"),
    "handwritten": ("n0", "n1", "n2", "n0_dropout", "n1_dropout", "n2_dropout"),
}

Results = Mapping[tuple[str, str], list[dict[str, Any]]]


def main() -> None:
    """Trains what is missing, prints figures, writes the result file and draws, unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("MRPNKIT_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="with the folders ravdess and multiview")
    parser.add_argument("--out", type=Path, default=Path("runs/missing"), help="what is finished stays there")
    parser.add_argument("--workers", type=int, default=None, help="trainings at once; default: cores")
    parser.add_argument("--folds", type=int, default=FOLDS, help="of RAVDESS, the first of its ten")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of handwritten")
    parser.add_argument("--small", action="store_true", help="drawn movies, two variants, no result file")
    given = parser.parse_args()
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            run(given.data, Path(folder), given.workers, tested=1, seeds=1, small=True)
        return
    run(given.data, given.out, given.workers, tested=given.folds, seeds=given.seeds, small=False)


def run(data: Path, out: Path, workers: int | None, *, tested: int, seeds: int, small: bool) -> None:
    """The benchmark, in a folder in which what is finished stays."""
    console = Console(highlight=False)
    corpus, _ = open_corpus(None if small else data / "ravdess", out, console, small=small)
    names = ("n0", "n2_dropout") if small else tuple(VARIANTS)
    folds = 3 if small else FOLDS
    epochs = 1 if small else None
    jobs = []
    for number in range(max(tested, seeds)):
        for name in names:
            if number < seeds:
                jobs.append(Training("handwritten", data / "multiview", out / "trained", name, number, epochs=epochs))
            if number < tested and VARIANTS[name].absent == "zero":
                jobs.append(Training("ravdess", out / "corpus", out / "trained", name, number, folds, epochs))
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in run_jobs(jobs, console, workers=workers or os.cpu_count(), run=train):
        results.setdefault((result["set"], result["variant"]), []).append(result)
    figures = figures_of(results)
    if not small:
        write_result(
            RESULT,
            claim="With modality dropout in training, N2 loses less where modalities are missing than without it, and "
            "at most 0.02 where nothing is; every subset of the modalities is answered.",
            config={
                "dropout": DROPOUT,
                "rates": RATES,
                "repeats": REPEATS,
                "ravdess": {"folds": FOLDS, "tested": list(range(1, tested + 1)), "seed": 0,
                            "recipe": asdict(Recipe()), "chosen": CHOSEN_ON,
                            "trained on": "all actors but two pairs", "selected on": "the next pair, all present",
                            "tested on": "a pair that was seen in neither", "clips": len(corpus)},
                "handwritten": {"seeds": list(range(seeds)), "recipe": dict(VIEWS_RECIPE), "test": 0.2,
                                "trained on": "a random four fifths", "selected on": "nothing"},
                "spread": "over folds, or over seeds",
            },
            figures=figures,
            rows={"curves": [one for found in results.values() for one in found]},
        )  # fmt: skip
        draw(results)
        (FIGURES / "missing.inc").write_text(as_text(results, figures), encoding="utf-8")
    print_figures(figures)


def figures_of(results: Results) -> dict[str, Figure]:
    """By set, variant, fall-back, and modalities left (a mean over subsets) or rate; a mean over folds or seeds."""
    figures: dict[str, Figure] = {}
    for (name, variant), found in results.items():
        for rule in found[0]["curves"]:
            label = variant if rule == "never" else f"{variant}_{rule}"
            sizes = [mean_by_size(one["curves"][rule]["subsets"]) for one in found]
            for size in sizes[0]:
                figures[f"{name}/{label}/left_{size}"] = Figure.mean([one[size] for one in sizes], "fraction")
            for rate in ("0.3", "0.5", "0.7"):
                values = [one["curves"][rule]["rates"][rate] for one in found]
                figures[f"{name}/{label}/rate_{rate}"] = Figure.mean(values, "fraction")
            if name == "ravdess":
                for subset in found[0]["curves"][rule]["subsets"]:
                    values = [one["curves"][rule]["subsets"][subset] for one in found]
                    key = subset.replace(" + ", "_and_")
                    figures[f"{name}/{label}/only_{key}"] = Figure.mean(values, "fraction")
    seconds = sum(one["cpu_seconds"]["all"] for found in results.values() for one in found)
    figures["core_minutes"] = Figure(seconds / 60, "min")
    return figures


def draw(results: Results) -> None:
    """A figure for each set."""
    for name, variants in DRAWN.items():
        studies = {_words(variant): study(results[name, variant]) for variant in variants}
        draw_studies(studies, METRIC, FIGURES / f"missing_{name}.png", title=TITLES[name])


def as_text(results: Results, figures: Mapping[str, Figure]) -> str:
    """The tables that the documentation includes, in Markdown."""
    lines: list[str] = []
    for name, title in TITLES.items():
        count = len(next(found for (one, _), found in results.items() if one == name))
        spread = f"{count} folds of unseen actors" if name == "ravdess" else f"{count} random splits"
        most = max(int(key.rpartition("_")[2]) for key in figures if key.startswith(f"{name}/n2/left_"))
        columns = {f"left_{size}": f"{size} left" for size in range(most, 0, -1)}
        columns |= {"rate_0.3": "rate 0.3", "rate_0.5": "rate 0.5", "rate_0.7": "rate 0.7"}
        lines += [f"**{title}**: accuracy, rounded down, mean ± standard deviation over {spread}.", ""]
        lines += [f"| network | {' | '.join(columns.values())} |", f"|---|{'---:|' * len(columns)}"]
        labels = dict.fromkeys(key.split("/")[1] for key in figures if key.startswith(f"{name}/"))
        for label in labels:
            cells = []
            for column in columns:
                value, _, deviation, _ = figures[f"{name}/{label}/{column}"]
                cells.append(down(value, 3) + (f" ± {deviation:.3f}" if deviation is not None else ""))
            lines.append(f"| {_words(label)} | {' | '.join(cells)} |")
        lines += ["", f"![Accuracy by modalities left and by rate: {title}](../figures/missing_{name}.png)", ""]
    return "\n".join(lines)


def _words(label: str) -> str:
    words = {"dropout": "modality dropout", "learned": "learned stand-in", "incomplete": "fall-back"}
    network, *rest = label.split("_")
    return ", ".join([network.upper(), *(words[part] for part in rest)])


def study(found: list[dict[str, Any]], rule: str = "never") -> Robustness:
    """The curves of a variant as :func:`mrpnkit.report.missing.draw_studies` reads them."""
    curves = {one["fold"]: one["curves"][rule] for one in found}
    first = next(iter(curves.values()))
    subsets = {
        tuple(subset.split(" + ")): {fold: {METRIC: curve["subsets"][subset]} for fold, curve in curves.items()}
        for subset in first["subsets"]
    }
    rates = {
        float(rate): {fold: {METRIC: curve["rates"][rate]} for fold, curve in curves.items()} for rate in first["rates"]
    }
    return Robustness(subsets, rates, {}, REPEATS)


if __name__ == "__main__":
    main()

"""What the residual perceptron adds, and what is better: variants of N1 and N2 on RAVDESS landmarks + speech.

Claims: the best fusion recognises at least 0.82 of the clips of unseen actors, and at least 0.04 more than N0, with a
95 % interval above zero. Two parts, in one command that goes on where it was stopped:

1. The study. The actors are blocks of four. For each pair of blocks every variant is trained on the others and tried on
   both. Its figures are means over these trainings, each on eight unseen actors.
2. The table. N0, N1, N2 and the best variant on each pair of actors, trained on all others. Which variant
   is the best is chosen for each block of pairs anew, from those trainings of the study that have seen the block
   neither in training nor in their trial.

In both every network is trained for the same number of epochs, fixed beforehand, and the last one is tried: where
people are few, those who would select an epoch are missed in training.

    python -m benchmarks.interference_ravdess [--data FOLDER] [--out FOLDER] [--small]
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console

from benchmarks._variant_training import Training, pairs_spoken, right, train
from benchmarks._variants import RULES, SPEAKERS, VARIANTS, Variant
from examples.aver.demo import open_corpus
from examples.aver.prepare import Features, prepare
from examples.aver.recipe import CHOSEN_ON, NETWORKS, TARGET, Recipe
from examples.aver.synthetic import SyntheticCorpus
from examples.aver.table import run_jobs
from examples.aver.versions import Versions, make_versions
from mrpnkit.analysis import Outcomes, interference, paired_difference
from mrpnkit.data import Corpus
from mrpnkit.data.folds import natural
from mrpnkit.report import Figure, print_figures, write_result

RESULT = Path(__file__).parent / "results" / "interference_ravdess.json"
FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "interference_ravdess.png"

EPOCHS = 60
CHANGED = (
    "a table was reported twice before, with 30 epochs, of which the loss of the next pair of actors selected one, and "
    "sixteen actors to learn from (N0 0.7728, N1 0.7992, N2 0.7983, chosen variant 0.775); that selecting costs "
    "points, and that relative numbers and 60 epochs may help, was noticed on these folds in the benchmark of speaker "
    "adaptation, where 60 epochs were chosen on actors 1 to 6 by networks trained without them"
)
"""What was changed after first reports."""

Block = tuple[str, ...]


class Choice(NamedTuple):
    """What is chosen for a block of actors: a variant and a rule, and their accuracy on the other blocks."""

    variant: str
    rule: str
    accuracy: float


class Setting(NamedTuple):
    """What the parts of the comparison share."""

    corpus: Corpus
    folder: Path
    out: Path
    recipe: Recipe
    variants: Mapping[str, Variant]
    per_block: int

    @property
    def actors(self) -> list[str]:
        """All of them, in natural order."""
        return sorted(set(self.corpus.groups["actor"].tolist()), key=natural)

    @property
    def blocks(self) -> list[Block]:
        """Blocks of neighbouring actors."""
        size = self.per_block
        return [tuple(self.actors[start : start + size]) for start in range(0, len(self.actors), size)]

    @property
    def pairs(self) -> list[Block]:
        """Pairs of neighbouring actors."""
        return [tuple(self.actors[start : start + 2]) for start in range(0, len(self.actors), 2)]


def study_jobs(setting: Setting) -> list[Training]:
    """Every variant without each pair of blocks."""
    blocks = setting.blocks
    return [
        Training(setting.folder, setting.out / "study", name, variant, (*blocks[a], *blocks[b]), 0, setting.recipe, a)
        for name, variant in setting.variants.items()
        for a in range(len(blocks))
        for b in range(a + 1, len(blocks))
    ]


def choose(setting: Setting, jobs: Sequence[Training], results: Sequence[dict[str, Any]], block: Block) -> Choice:
    """The variant and the rule that are best on the other blocks, in the trainings that did without this one."""
    found = []
    for name, variant in setting.variants.items():
        for rule in RULES if variant.network in ("n1", "n2") else RULES[:1]:
            accuracies = []
            for job, result in zip(jobs, results, strict=True):
                if job.name == name and set(block) <= set(job.held_out):
                    outside = ~np.isin(setting.corpus.groups["actor"][result["rows"]], block)
                    accuracies.append(right(result, rule)[outside].mean())
            found.append(Choice(name, rule, float(np.mean(accuracies))))
    return max(found, key=lambda choice: choice.accuracy)


def effects(setting: Setting, jobs: Sequence[Training], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of every variant and rule: its mean over the trainings of the study, and the differences to N1 and N2.

    A difference is paired over the blocks, each a mean over the trainings without the block.
    """
    by_block: dict[str, list[float]] = {}
    for name, variant in setting.variants.items():
        for rule in RULES if variant.network in ("n1", "n2") else RULES[:1]:
            for block in setting.blocks:
                values = [
                    right(result, rule)[np.isin(setting.corpus.groups["actor"][result["rows"]], block)].mean()
                    for job, result in zip(jobs, results, strict=True)
                    if job.name == name and set(block) <= set(job.held_out)
                ]
                by_block.setdefault(f"{name}/{rule}", []).append(float(np.mean(values)))
    return {
        key: {
            "mean": float(np.mean(values)),
            "blocks": values,
            **{f"minus_{n}": paired_difference(values, by_block[f"{n}/fused"])._asdict() for n in ("n1", "n2")},
        }
        for key, values in by_block.items()
    }


def table_jobs(setting: Setting, variants: Mapping[str, Variant], seeds: Sequence[int]) -> list[Training]:
    """Every given variant without each pair of actors."""
    return [
        Training(setting.folder, setting.out / "table", name, variant, pair, seed, setting.recipe, fold)
        for seed in seeds
        for fold, pair in enumerate(setting.pairs)
        for name, variant in variants.items()
    ]


def inferior_cases(setting: Setting, trained: Mapping[Training, dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Where a modality that was trained alone beats each network, by actor and class, over all folds of a seed."""
    joined = {}
    for network in NETWORKS:
        parts = [result for job, result in trained.items() if job.name == network and job.seed == seed]
        rows = np.concatenate([result["rows"] for result in parts])
        order = np.argsort(rows)
        fused = np.concatenate([result["probabilities"]["fused"] for result in parts])
        joined[network] = rows[order], np.concatenate([result["labels"] for result in parts])[order], fused[order]
    rows, labels, _ = joined["am"]
    found = {}
    for network in ("n0", "n1", "n2"):
        told = {"fused": joined[network][2], "audio alone": joined["am"][2], "video alone": joined["vm"][2]}
        outcomes = Outcomes.of(told, labels, classes=setting.corpus.classes[TARGET],
                               groups={"actor": setting.corpus.groups["actor"][rows].tolist()})  # fmt: skip
        cells = interference(outcomes, cluster="actor").cells
        found[network] = [
            {key: value for key, value in cell.plain().items() if key not in ("p", "established", "inferior")}
            for cell in cells
            if cell.inferior
        ]
    return found


def compare(setting: Setting, console: Console, *, seeds: int, workers: int | None) -> dict[str, Any]:
    """Runs both parts; the figures, and the rows behind them."""
    jobs = study_jobs(setting)
    results = run_jobs(jobs, console, workers=workers or os.cpu_count(), run=train)
    choices = {block: choose(setting, jobs, results, block) for block in setting.blocks}
    for block, choice in choices.items():
        console.print(f"actors {', '.join(block)}: {choice.variant}, {choice.rule} ({choice.accuracy:.3f} elsewhere)")
    planned = table_jobs(setting, {name: Variant(name) for name in ("n0", "n1", "n2")}, range(seeds))
    planned += table_jobs(setting, {name: Variant(name) for name in ("am", "vm")}, (0,))
    trained = dict(zip(planned, run_jobs(planned, console, workers=workers or os.cpu_count(), run=train), strict=True))
    chosen, rules = [], []
    for name in dict.fromkeys(choice.variant for choice in choices.values()):
        for job in table_jobs(setting, {name: setting.variants[name]}, range(seeds)):
            choice = next(choice for block, choice in choices.items() if set(job.held_out) <= set(block))
            if choice.variant == name:
                chosen.append(job)
                rules.append(choice.rule)
    best = run_jobs(chosen, console, workers=workers or os.cpu_count(), run=train)
    accuracy: dict[str, dict[int, list[float]]] = {}
    for job, result in trained.items():
        accuracy.setdefault(job.name, {}).setdefault(job.fold, []).append(float(right(result, "fused").mean()))
    for job, rule, result in zip(chosen, rules, best, strict=True):
        accuracy.setdefault("chosen", {}).setdefault(job.fold, []).append(float(right(result, rule).mean()))
    folds = {name: [float(np.mean(found[fold])) for fold in sorted(found)] for name, found in accuracy.items()}
    return {
        "folds": folds,
        "seeds_and_folds": {name: [found[fold] for fold in sorted(found)] for name, found in accuracy.items()},
        "chosen": {"+".join(block): choice._asdict() for block, choice in choices.items()},
        "study": effects(setting, jobs, results),
        "inferior_cases": inferior_cases(setting, trained),
    }


def figures_of(rows: Mapping[str, Any]) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Means over folds, and paired differences with their intervals; ``best`` is the fusion of the highest mean."""
    fusions = ("n0", "n1", "n2", "chosen")
    folds = dict(rows["folds"])
    folds["best"] = max((folds[name] for name in fusions), key=lambda found: float(np.mean(found)))
    figures = {name: Figure.mean(folds[name], "fraction") for name in (*fusions, "best", *NETWORKS[:2])}
    differences = {}
    pairs = [(first, second) for first in ("best", "chosen") for second in ("n0", "n1")]
    for first, second in [*pairs, ("n1", "n0"), ("n2", "n0"), ("n2", "n1")]:
        gains = [a - b for a, b in zip(folds[first], folds[second], strict=True)]
        figures[f"{first}_minus_{second}"] = Figure.mean(gains, "fraction")
        differences[f"{first}_minus_{second}"] = paired_difference(folds[first], folds[second])._asdict()
    for name, one in rows["study"].items():
        figures[f"study/{name}"] = Figure.mean(one["blocks"], "fraction")
    return figures, differences


def main() -> None:
    """Trains what is missing, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ravdess"), help="RAVDESS, see docs/aver.md")
    parser.add_argument("--out", type=Path, default=Path("runs/interference"), help="what is finished stays there")
    parser.add_argument("--workers", type=int, default=None, help="trainings at once; default: cores")
    parser.add_argument("--seeds", type=int, default=3, help="of the table, from 0; the study has one")
    parser.add_argument("--small", action="store_true", help="drawn movies, two variants, no result file")
    given = parser.parse_args()
    console = Console(highlight=False)
    torch.set_num_threads(1)
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            small(Path(folder), console)
        return
    corpus, _ = open_corpus(given.data, given.out, console)
    setting = Setting(
        corpus, given.out / "corpus", given.out, replace(Recipe(), epochs=EPOCHS), {**VARIANTS, **SPEAKERS}, 4
    )
    rows = compare(setting, console, seeds=given.seeds, workers=given.workers)
    figures, differences = figures_of(rows)
    write_result(
        RESULT,
        claim=(
            "RAVDESS landmarks + speech: the best fusion recognises 0.82 of the clips of unseen actors, and 0.04 more "
            "than N0 with a 95 % interval above zero."
        ),
        config={
            "recipe": asdict(setting.recipe),
            "folds": len(rows["folds"]["n0"]),
            "seeds": list(range(given.seeds)),
            "study_seed": 0,
            "variants": {name: asdict(variant) for name, variant in setting.variants.items()},
            "changed": CHANGED,
            "rules": list(RULES),
            "protocol": "honest: nothing is selected on the actors that are tested, no epoch either. table: "
            f"{pairs_spoken(setting.pairs)}, all epochs; the chosen variant is chosen for each block of "
            f"{setting.per_block} actors from trainings of the study that had the block neither in training nor in "
            f"their trial. study: {len(setting.blocks)} blocks of {setting.per_block} actors, trained on "
            f"{len(setting.blocks) - 2}, tried on two, all epochs",
            "settings": CHOSEN_ON,
            "best": "of N0, N1, N2 and chosen the one of the highest mean of these figures, which favours it",
            "inferior_cases": "seed 0: where a modality trained alone is better than the network, by class and actor",
        },
        figures=figures,
        rows={"differences": differences, **rows},
    )
    draw(rows["study"], FIGURE)
    print_figures(figures)


def draw(study: Mapping[str, Any], path: Path) -> None:
    """Of every variant, a row with its difference to N1 by each rule, and the interval over the five blocks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    names = sorted({key.partition("/")[0] for key in study}, key=lambda name: float(study[f"{name}/fused"]["mean"]))
    canvas = Canvas(figsize=(6.4, 0.27 * len(names) + 1.1), layout="constrained")
    axes = canvas.subplots()
    axes.axvline(0, color="C7", linewidth=1)
    looks = {
        "fused": ("C0", "o", 0.14, "decided by the fusion"),
        "mean": ("C1", "s", -0.14, "by the mean of all heads"),
    }
    for rule, (colour, marker, shift, label) in looks.items():
        shown = [place for place, name in enumerate(names) if f"{name}/{rule}" in study]
        found = [study[f"{names[place]}/{rule}"]["minus_n1"] for place in shown]
        means, low, high = (np.array([100 * one[key] for one in found]) for key in ("mean", "low", "high"))
        ends = [means - low, high - means]
        axes.errorbar(means, [place + shift for place in shown], xerr=ends, fmt=marker, color=colour, markersize=4,
                      linewidth=1.2, label=label)  # fmt: skip
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlabel("points over N1 decided by its fusion, 95 % interval over blocks")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150)


def small(folder: Path, console: Console) -> None:
    """Through all steps on six drawn actors in blocks of two."""
    clips = SyntheticCorpus(n_actors=6, takes=1).clips()
    frames = prepare(clips, folder / "frames", Features(), console, source="synthetic")
    corpus = make_versions(frames, folder / "corpus", Versions(count=3), console)
    chosen = {**{name: VARIANTS[name] for name in ("n0", "n1", "n2")}, "n1_relative": Variant("n1", relative=True)}
    recipe = replace(Recipe(), epochs=1)
    setting = Setting(corpus, folder / "corpus", folder, recipe, chosen, 2)
    rows = compare(setting, console, seeds=1, workers=1)
    figures, _ = figures_of(rows)
    print_figures(
        {name: figures[name] for name in ("n0", "n1", "n2", "chosen", "best", "best_minus_n0", "best_minus_n1")}
    )
    json.dumps(rows)


if __name__ == "__main__":
    main()

"""What the residual perceptron adds, and what is better: the variants of N1 and N2 on four multi-view sets.

Claim: no variant is better than both N1 and N2 by an established margin on three or more sets; if one is, it deserves a
name of its own. The variants are those of interference_ravdess, the recipe and the sets those of multiview, with every
view seen in training unless a variant says otherwise. Each variant is trained on four fifths of the training part of a
split and tried on the rest, as it is and with conflicting views: no test sample is read, no epoch selected. All start
from the same splits and seeds, so that differences are paired.

    python -m benchmarks.interference_multiview [--data FOLDER] [--out FOLDER] [--workers N] [--small]

What is finished stands in the folder of ``--out``, and the same command goes on from there.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks._multiview_data import CONFLICTING, NOISY, SETS, SIGMA, VALIDATION, Part, split
from benchmarks._multiview_methods import DOUBT, METHODS, RECIPE, SMALL_EPOCHS, built, decided, fit
from benchmarks._variants import VARIANTS, Study, Variant, varied
from examples.aver.files import file_print
from mrpnkit import Objective
from mrpnkit.analysis import paired_difference
from mrpnkit.data import Augmentation, ClassPairing
from mrpnkit.report import Figure, print_figures, write_json, write_result

RESULT = Path(__file__).parent / "results" / "interference_multiview.json"
FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "interference_multiview.png"
SHOWN = ("mean", "witnesses")
"""Rules that the figure shows of N1 and N2; of all other variants it shows the fusion alone."""
SEEDS = tuple(range(5))
CONDITIONS = ("normal", "conflicting")
RULES = ("fused", "mean", "witnesses")
"""The fusion alone, as in the paper; the mean of the probabilities of all heads; :class:`mrpnkit.fusions.Witnesses`."""

Accuracies = dict[str, dict[str, dict[str, list[float]]]]
"""By set, condition, and variant/rule: a value a seed."""


class Task(NamedTuple):
    """A variant on a split of a set."""

    data: Path
    name: str
    seed: int
    variant: str
    folder: Path
    small: bool

    @property
    def file(self) -> Path:
        """Where the result stands."""
        return self.folder / f"{self.name}-{self.variant}-{self.seed}.json"


def main() -> None:
    """Trains what is missing, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/multiview"), help="folder of the .npz files")
    parser.add_argument("--out", type=Path, default=Path("runs/interference_multiview"), help="what is finished")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    given = parser.parse_args()
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(given.data, Path(folder), ("rosmap",), (0, 1), ("n0", "n1", "n2"), 1, small=True)
        print_figures(figures_of(found)[0])
        return
    found = measure(given.data, given.out, SETS, SEEDS, tuple(VARIANTS), given.workers)
    figures, differences = figures_of(found)
    write_result(
        RESULT,
        claim="No variant of N1 or N2 is better than both by an established margin on three of four multi-view sets.",
        config={
            "seeds": SEEDS,
            "recipe": RECIPE,
            "variants": {name: asdict(variant) for name, variant in VARIANTS.items()},
            "rules": {"fused": "the fusion", "mean": "mean of all heads", "witnesses": f"Witnesses, doubt {DOUBT}"},
            "tried on": f"{VALIDATION} of the training part of each split, which is not trained on; no test sample",
            "conflicts": {"noisy": NOISY, "sigma": SIGMA, "conflicting": CONFLICTING, "samples": "tried ones only"},
            "differences": "paired over seeds, each a split of its own; 95 % intervals by Student's t",
            "better_than_both": "sets on which the variant's intervals over N1 and over N2 both lie above zero",
            "workers": given.workers,
            "threads": 1,
        },
        figures=figures,
        rows={"accuracy": found, "differences": differences},
    )
    draw(differences, FIGURE)
    print_figures(figures)


def measure(
    data: Path,
    folder: Path,
    sets: Sequence[str],
    seeds: Sequence[int],
    variants: Sequence[str],
    workers: int,
    *,
    small: bool = False,
) -> Accuracies:
    """Runs what is not finished; the accuracies."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [Task(data, name, seed, variant, folder, small) for seed in seeds for name in sets for variant in variants]
    for done in _in_order(tasks, workers):
        print(done, flush=True)
    found: Accuracies = {name: {condition: {} for condition in CONDITIONS} for name in sets}
    for task in tasks:
        for rule, values in json.loads(task.file.read_text(encoding="utf-8"))["accuracy"].items():
            for condition, value in values.items():
                found[task.name][condition].setdefault(f"{task.variant}/{rule}", []).append(value)
    return found


def _in_order(tasks: Sequence[Task], workers: int) -> Iterator[str]:
    if workers == 1:
        yield from map(run, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(run, tasks)


def run(task: Task) -> str:
    """A variant on a split, unless that is done already; a line that says so."""
    title = f"{task.variant} on {task.name}, seed {task.seed}"
    variant = VARIANTS[task.variant]
    data = file_print(task.data / f"{task.name}.npz")
    settings = json.loads(json.dumps({"recipe": dict(RECIPE), "variant": asdict(variant), "data": data}))
    if task.file.is_file() and json.loads(task.file.read_text(encoding="utf-8"))["settings"] == settings:
        return f"{title}: finished already"
    torch.set_num_threads(1)
    start = time.perf_counter()
    parts = split(task.data, task.name, task.seed, validation=True)
    views = list(parts.train.views)
    method = METHODS[variant.network]
    torch.manual_seed(task.seed)
    model, objective = built(parts, views, method)
    study = varied(model, variant)
    if variant.network != "n0" and variant.side_weight != 1.0:
        objective = Objective(objective.targets, weights=dict.fromkeys(views, variant.side_weight))
    rows = np.random.default_rng(task.seed).permutation(len(parts.train.labels))
    epochs = SMALL_EPOCHS if task.small else int(RECIPE["epochs"])
    fit(study, objective, parts, views, rows, task.seed, epochs=epochs, augmentation=_draws(variant, parts.train))
    accuracy = accuracies(study.eval(), variant, {"normal": parts.normal, "conflicting": parts.conflicting})
    write_json(task.file, {"settings": settings, "accuracy": accuracy})
    return f"{title}: {time.perf_counter() - start:.1f} s"


def _draws(variant: Variant, part: Part) -> Augmentation:
    """Where asked for, views that come from another sample of the class."""
    if not variant.pairing:
        return Augmentation()
    return Augmentation(pairing=ClassPairing(part.labels, np.arange(len(part.labels)), share=variant.pairing))


def accuracies(study: Study, variant: Variant, parts: Mapping[str, Part]) -> dict[str, dict[str, float]]:
    """By rule and condition."""
    rules = RULES if variant.network != "n0" else RULES[:1]
    found: dict[str, dict[str, float]] = {}
    for condition, part in parts.items():
        decisions = decided(study.model, part, list(part.views), rules, corrected=variant.sides == "corrected")
        for rule, probabilities in decisions.items():
            found.setdefault(rule, {})[condition] = float((probabilities.argmax(1).numpy() == part.labels).mean())
    return found


def figures_of(found: Accuracies) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Means over seeds; differences to N1 and N2; and on how many sets a variant is better than both for sure."""
    figures: dict[str, Figure] = {}
    differences: dict[str, Any] = {}
    surely: dict[str, dict[str, int]] = {condition: {} for condition in CONDITIONS}
    for name, conditions in found.items():
        for condition, methods in conditions.items():
            for method, values in methods.items():
                key = f"{name}/{condition}/{method}"
                figures[key] = Figure.mean(values, "accuracy")
                to = {n: paired_difference(values, methods[f"{n}/fused"]) for n in ("n1", "n2")}
                differences[key] = {f"minus_{n}": one._asdict() for n, one in to.items()}
                better = all(one.low > 0 for one in to.values())
                surely[condition][method] = surely[condition].get(method, 0) + better
    for condition, counts in surely.items():
        for method, count in counts.items():
            figures[f"better_than_both/{condition}/{method}"] = Figure(float(count), "sets", n=len(found))
    return figures, differences


def draw(differences: Mapping[str, Any], path: Path) -> None:
    """Of the variants, the differences to N1 with their intervals, set by set; normal views and conflicting ones."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    rows = [f"{name}/fused" for name in VARIANTS if name != "n1"] + [
        f"{n}/{rule}" for n in ("n1", "n2") for rule in SHOWN
    ]
    canvas = Canvas(figsize=(8.4, 0.36 * len(rows) + 1.2), layout="constrained")
    for axes, condition in zip(canvas.subplots(1, 2, sharey=True), CONDITIONS, strict=True):
        axes.axvline(0, color="C7", linewidth=1)
        for offset, name in enumerate(SETS):
            for place, row in enumerate(reversed(rows)):
                one = {k: 100 * v for k, v in differences[f"{name}/{condition}/{row}"]["minus_n1"].items()}
                height = place + 0.27 - 0.18 * offset
                axes.plot([one["low"], one["high"]], [height, height], color=f"C{offset}", linewidth=1.2)
                label = name if not place else None
                axes.plot(one["mean"], height, "o", color=f"C{offset}", markersize=3.5, label=label)
        axes.set_yticks(range(len(rows)), [row.replace("/fused", "").replace("/", ", ") for row in reversed(rows)])
        axes.set_title(f"{condition} views")
        axes.set_xlabel("points over N1, 95 % interval over splits")
        axes.grid(axis="x", alpha=0.3)
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(SETS))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

"""Does the report find fuzziness that was placed on purpose, and nothing where there is none?

Claim: on movies drawn by code, an N1 is trained on clean clips of eight actors and tested on four others. Where the
voices of two classes, or of one actor, show another class, the report names just these classes, or this actor, and the
branch that knew better; where nothing is spoilt, it names nothing. Over several seeds of corpus and training.

    python -m benchmarks.interference_synthetic [--small]
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from benchmarks._variants import Variant, fit, without
from examples.aver.clips import EMOTIONS, Clip
from examples.aver.job import evaluation_loader
from examples.aver.prepare import Features, prepare
from examples.aver.recipe import TARGET, Recipe
from examples.aver.synthetic import Evidence, SyntheticCorpus
from examples.aver.versions import Versions, make_versions
from mrpnkit.analysis import Outcomes, interference
from mrpnkit.data import Corpus
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.train import evaluate

RESULT = Path(__file__).parent / "results" / "interference_synthetic.json"
SPOILT_CLASSES = ("happy", "angry")


class Scale(NamedTuple):
    """How much is made: actors who train and are tested, takes of each, versions of a clip, epochs."""

    training: int
    testing: int
    takes: int
    test_takes: int
    versions: int
    epochs: int


FULL, SMALL = Scale(8, 4, 4, 10, 4, 30), Scale(4, 2, 2, 2, 2, 4)


def clips_of(scale: Scale, seed: int, placed: str) -> list[Clip]:
    """Clean clips of those who train; of those who are tested, with misleading voices where ``placed`` says."""
    actors, spoilt_actor = scale.training + scale.testing, str(scale.training + 1)
    shares: dict[int | str, float] = dict.fromkeys(SPOILT_CLASSES if placed == "class" else EMOTIONS, 1.0)
    spoilt = Evidence(misleading={"audio": shares})
    clean = SyntheticCorpus(seed=seed, n_actors=actors, takes=scale.test_takes).clips()
    bad = SyntheticCorpus(seed=seed, n_actors=actors, takes=scale.test_takes, evidence=spoilt).clips()
    found = []
    for good, other in zip(clean, bad, strict=True):
        trains = int(good.actor) <= scale.training
        if trains and int(good.attributes["take"]) > scale.takes:
            continue
        hit = placed == "class" or (placed == "actor" and good.actor == spoilt_actor)
        found.append(other if hit and not trains else good)
    return found


def named(scale: Scale, seed: int, placed: str, folder: Path, console: Console) -> dict[str, Any]:
    """What the report names as inferior cases, by class and by actor; and the accuracies of the heads."""
    clips = clips_of(scale, seed, placed)
    frames = prepare(clips, folder / "frames", Features(), console, source="synthetic")
    corpus = make_versions(frames, folder / "corpus", Versions(count=scale.versions), console)
    testers = tuple(str(scale.training + 1 + number) for number in range(scale.testing))
    fold = without(corpus, testers)
    model, objective = fit(Variant("n1"), corpus, fold, replace(Recipe(), epochs=scale.epochs), seed)
    outcomes = outcomes_of(corpus, model, objective, fold.test)
    found = interference(outcomes, axes=["actor"])
    cases = [(cell.axis, cell.value, cell.branch) for cell in found.inferior_cases]
    return {
        "class": sorted(value for axis, value, branch in cases if axis == "class" and branch == "video"),
        "actor": sorted(value for axis, value, branch in cases if axis == "actor" and branch == "video"),
        "audio": [value for _, value, branch in cases if branch == "audio"],
        "accuracy": {head: outcomes.accuracy(head) for head in outcomes.heads},
    }


def outcomes_of(corpus: Corpus, model: Any, objective: Any, rows: Any) -> Outcomes:
    """What every head said about some clips."""
    evaluation = evaluate(model, evaluation_loader("n1", corpus, rows), objective)
    return Outcomes.of(
        {head: torch.softmax(scores[TARGET].double(), dim=-1).numpy() for head, scores in evaluation.scores.items()},
        evaluation.labels[TARGET].numpy(),
        classes=corpus.classes[TARGET],
        groups={"actor": corpus.groups["actor"][rows].tolist()},
    )


def figures_of(found: Sequence[dict[str, dict[str, Any]]], scale: Scale) -> dict[str, Figure]:
    """Shares over seeds: of what was spoilt that was named, and how much was named besides."""
    spoilt = {"class": set(SPOILT_CLASSES), "actor": {str(scale.training + 1)}}
    figures = {}
    for placed, wanted in spoilt.items():
        hits = [len(wanted & set(one[placed][placed])) / len(wanted) for one in found]
        extra = [float(len(set(one[placed][placed]) - wanted) + len(one[placed]["audio"])) for one in found]
        figures[f"{placed}/found"] = Figure.mean(hits, "fraction")
        figures[f"{placed}/others_named"] = Figure.mean(extra, "cases")
    nothing = [
        float(len(one["none"]["class"]) + len(one["none"]["actor"]) + len(one["none"]["audio"])) for one in found
    ]
    figures["none/named"] = Figure.mean(nothing, "cases")
    return figures


def main() -> None:
    """Makes the corpora, trains, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    given = parser.parse_args()
    console = Console(highlight=False)
    torch.set_num_threads(1)
    scale, seeds = (SMALL, 1) if given.small else (FULL, given.seeds)
    found = []
    for seed in range(seeds):
        one = {}
        for placed in ("none", "class", "actor"):
            with tempfile.TemporaryDirectory() as folder:
                one[placed] = named(scale, seed, placed, Path(folder), console)
            told = {head: round(value, 3) for head, value in one[placed]["accuracy"].items()}
            console.print(
                f"seed {seed}, {placed}: classes {one[placed]['class']}, actors {one[placed]['actor']}, {told}"
            )
        found.append(one)
    figures = figures_of(found, scale)
    if not given.small:
        write_result(
            RESULT,
            claim="The report names the classes and the actor whose voices mislead, and nothing where none does.",
            config={"scale": scale._asdict(), "seeds": seeds, "spoilt_classes": list(SPOILT_CLASSES),
                    "spoilt_actor": str(scale.training + 1), "level": 0.05, "network": "n1"},
            figures=figures,
            rows={"seeds": found},
        )  # fmt: skip
    print_figures(figures)


if __name__ == "__main__":
    main()

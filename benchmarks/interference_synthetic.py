"""Does the report find fuzziness that was placed on purpose, and nothing where there is none?

Claim: on movies drawn by code, an N1 is trained on clean clips of eight actors and tested on sixteen others. Where the
voices of two classes, or of one actor, show another class, the report says that the audio misleads in just these
classes, or for this actor; where nothing is spoilt, it names nothing. Over several seeds of corpus and training. Beside
that it is counted how often the fusion is named that follows the audio, and loses to the video.

    python -m benchmarks.interference_synthetic [--small]
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console

from benchmarks._variant_training import fit
from benchmarks._variants import Variant
from examples.aver.clips import EMOTIONS, Clip
from examples.aver.job import evaluation_loader
from examples.aver.prepare import Features, prepare
from examples.aver.recipe import TARGET, Recipe
from examples.aver.synthetic import Evidence, SyntheticCorpus
from examples.aver.versions import Versions, make_versions
from mrpnkit.analysis import Outcomes, interference
from mrpnkit.data import Corpus, Fold
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.train import evaluate

RESULT = Path(__file__).parent / "results" / "interference_synthetic.json"
SPOILT_CLASSES = ("happy", "angry")
FIRST = 3
"""The first seed that is reported; how to test was settled on seeds 0, 1, 100 and 101."""


class Scale(NamedTuple):
    """How much is made: actors who train and are tested, takes of each, versions of a training clip, epochs."""

    training: int
    testing: int
    takes: int
    test_takes: int
    versions: int
    epochs: int


FULL, SMALL = Scale(8, 16, 4, 10, 4, 30), Scale(4, 2, 2, 2, 2, 4)


def clips_of(scale: Scale, seed: int) -> dict[str, list[Clip]]:
    """Clean clips of those who train; clips of those who are tested, clean and, where spoilt, with other voices."""
    actors, takes = scale.training + scale.testing, max(scale.takes, scale.test_takes)
    spoilt = Evidence(misleading={"audio": dict.fromkeys(EMOTIONS, 1.0)})
    clean = SyntheticCorpus(seed=seed, n_actors=actors, takes=takes).clips()
    bad = SyntheticCorpus(seed=seed, n_actors=actors, takes=takes, evidence=spoilt).clips()

    def some(clips: Sequence[Clip], takes: int, *, training: bool) -> list[Clip]:
        return [
            clip
            for clip in clips
            if (int(clip.actor) <= scale.training) == training and int(clip.attributes["take"]) <= takes
        ]

    return {
        "training": some(clean, scale.takes, training=True),
        "clean": some(clean, scale.test_takes, training=False),
        "spoilt": [
            clip
            for clip in some(bad, scale.test_takes, training=False)
            if clip.emotion in SPOILT_CLASSES or int(clip.actor) == scale.training + 1
        ],
    }


def tested(scale: Scale, seed: int, folder: Path, console: Console) -> dict[str, Outcomes]:
    """What an N1 that was trained on clean clips says about the clean and the spoilt clips of other actors."""
    corpora = {}
    for part, clips in clips_of(scale, seed).items():
        frames = prepare(clips, folder / part / "frames", Features(), console, source="synthetic")
        versions = Versions(count=scale.versions if part == "training" else 1)
        corpora[part] = make_versions(frames, folder / part / "corpus", versions, console)
    everyone = np.arange(len(corpora["training"]))
    fold = Fold(everyone, everyone[:0], everyone[:0], (), ())
    model, objective = fit(Variant("n1"), corpora["training"], fold, replace(Recipe(), epochs=scale.epochs), seed)
    return {part: outcomes_of(corpora[part], model, objective) for part in ("clean", "spoilt")}


def outcomes_of(corpus: Corpus, model: Any, objective: Any) -> Outcomes:
    """What every head said about all clips."""
    evaluation = evaluate(model, evaluation_loader("n1", corpus, np.arange(len(corpus))), objective)
    return Outcomes.of(
        {head: torch.softmax(scores[TARGET].double(), dim=-1).numpy() for head, scores in evaluation.scores.items()},
        evaluation.labels[TARGET].numpy(),
        classes=corpus.classes[TARGET],
        ids=[corpus.ids[row] for row in evaluation.rows.tolist()],
        groups={"actor": corpus.groups["actor"][evaluation.rows.numpy()].tolist()},
    )


def placed(outcomes: dict[str, Outcomes], where: str, actor: str) -> Outcomes:
    """The clean clips, but those of the spoilt classes, or of an actor, with misleading voices."""
    clean = outcomes["clean"]
    hit = {
        "none": np.zeros(len(clean.labels), dtype=np.bool_),
        "class": np.isin(clean.labels, [clean.classes.index(name) for name in SPOILT_CLASSES]),
        "actor": clean.groups["actor"] == actor,
    }[where]
    place = {name: row for row, name in enumerate(outcomes["spoilt"].ids.tolist())}
    rows = [place[name] for name in clean.ids[hit].tolist()]
    probabilities = {head: values.copy() for head, values in clean.probabilities.items()}
    for head, values in probabilities.items():
        values[hit] = outcomes["spoilt"].probabilities[head][rows]
    return clean._replace(probabilities=probabilities)


def named(outcomes: Outcomes) -> dict[str, Any]:
    """What the report says: where a branch misleads, where the fusion follows, where it loses to a branch."""
    found = interference(outcomes, cluster="actor", axes=["actor"])
    keys = ("axis", "value", "branch", "samples", "accuracy", "elsewhere", "adjusted", "fused", "better", "follows")
    return {
        "misleading": [
            {**{key: value for key, value in cell.plain().items() if key in keys}, "bits": cell.information.value}
            for cell in found.misleading
        ],
        "followed": [[cell.axis, cell.value, cell.branch] for cell in found.misleading if cell.followed()],
        "inferior": [[cell.axis, cell.value, cell.branch] for cell in found.inferior_cases],
        "lowest_bits": min(cell.information.value for cell in found.fuzzy),
        "accuracy": {head: outcomes.accuracy(head) for head in outcomes.heads},
    }


def figures_of(found: Sequence[dict[str, dict[str, Any]]], scale: Scale) -> dict[str, Figure]:
    """Over seeds: the share of what was spoilt that was named, and how much was named besides."""
    spoilt = {
        "class": {("class", name, "audio") for name in SPOILT_CLASSES},
        "actor": {("actor", str(scale.training + 1), "audio")},
    }
    figures = {}
    for where, wanted in spoilt.items():
        told = [{(c["axis"], c["value"], c["branch"]) for c in one[where]["misleading"]} for one in found]
        followed = [{tuple(cell) for cell in one[where]["followed"]} for one in found]
        inferior = [{tuple(cell) for cell in one[where]["inferior"]} for one in found]
        lost = {(axis, value, "video") for axis, value, _ in wanted}
        figures[f"{where}/found"] = Figure.mean([len(wanted & one) / len(wanted) for one in told], "fraction")
        figures[f"{where}/others_named"] = Figure.mean([float(len(one - wanted)) for one in told], "cases")
        figures[f"{where}/fusion_follows"] = Figure.mean(
            [len(wanted & one) / len(wanted) for one in followed], "fraction"
        )
        figures[f"{where}/others_lost"] = Figure.mean([float(len(one - lost)) for one in inferior], "cases")
    for name, key in (("named", "misleading"), ("lost", "inferior")):
        figures[f"none/{name}"] = Figure.mean([float(len(one["none"][key])) for one in found], "cases")
    return figures


def main() -> None:
    """Makes the corpora, trains, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    parser.add_argument("--seeds", type=int, default=3, help=f"how many, from {FIRST}")
    given = parser.parse_args()
    console = Console(highlight=False)
    torch.set_num_threads(1)
    scale, seeds = (SMALL, range(FIRST, FIRST + 1)) if given.small else (FULL, range(FIRST, FIRST + given.seeds))
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = tested(scale, seed, Path(folder), console)
        one = {where: named(placed(outcomes, where, str(scale.training + 1))) for where in ("none", "class", "actor")}
        for where, told in one.items():
            cells = [f"{cell['branch']} in {cell['axis']} {cell['value']}" for cell in told["misleading"]]
            heads = {head: round(value, 3) for head, value in told["accuracy"].items()}
            console.print(f"seed {seed}, {where}: misleading {cells}, followed {told['followed']}, {heads}")
        found.append(one)
    figures = figures_of(found, scale)
    if not given.small:
        write_result(
            RESULT,
            claim="The report names the audio, and the classes or the actor, where it misleads, and else nothing.",
            config={"scale": scale._asdict(), "seeds": list(seeds), "spoilt_classes": list(SPOILT_CLASSES),
                    "spoilt_actor": str(scale.training + 1), "level": 0.05, "network": "n1",
                    "chosen_on": "trust, temperatures, adjustment and the size of the corpus: seeds 0, 1, 100, 101"},
            figures=figures,
            rows={"seeds": found},
        )  # fmt: skip
    print_figures(figures)


if __name__ == "__main__":
    main()

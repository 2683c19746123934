"""What a pretraining leaves behind: test figures, a learning curve, and where asked for a result file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from examples.aver.figures import COLOURS, STYLE
from examples.aver.pretrain.faces import CLASSES
from examples.aver.pretrain.fer2013 import FaceOutcome
from examples.aver.pretrain.speakers import SpeakerOutcome, by_source
from examples.aver.pretrain.training import BEST, Recipe, Scores
from mrpnkit.records import write_json
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.report.results import down

CURVE, TEST = "curve.png", "test.json"
FACES_CLAIM = "A ResNet-18 trained from scratch on FER-2013 reaches at least 0.66 on its test part."
SPEAKERS_CLAIM = "A ResNet-18 on spectrogram segments tells speakers: at least 0.85 on utterances held out of each."


def confusion(scores: Scores, classes: int) -> list[list[int]]:
    """Counts, a row a true class, a column a predicted one."""
    cells = scores.labels * classes + scores.probabilities.argmax(1)
    return torch.bincount(cells, minlength=classes**2).view(classes, classes).tolist()


def conclude_faces(outcome: FaceOutcome, out: Path, result: Path | None) -> dict[str, Figure]:
    """Writes ``test.json``, the curve and the result file; prints and returns the figures."""
    tested, official = outcome.tested, outcome.about["faces"]["parts"] == "official"
    count = len(tested["single"].labels)
    figures = {
        "test_accuracy": Figure(tested["shifted"].accuracy, "fraction", n=count),
        "test_accuracy_mirrored": Figure(tested["mirrored"].accuracy, "fraction", n=count),
        "test_accuracy_single_view": Figure(tested["single"].accuracy, "fraction", n=count),
        **_of_history(outcome.history),
    }
    rows = {
        "classes": list(CLASSES),
        "confusion": confusion(tested["shifted"], len(CLASSES)),
        "history": outcome.history,
    }
    config = {
        **outcome.about,
        **_settings(outcome.training),
        "selected_by": f"accuracy on the validation part{' (PublicTest)' if official else ''}, one view",
        "epochs": f"{len(outcome.history)} of {_planned(outcome.about['cycles'])}",
        "test": f"{'PrivateTest' if official else 'the test part'}, once",
        "test_accuracy": "mean of the probabilities of ten views: a face and its mirror image, also shifted",
    }
    _write(FACES_CLAIM, figures, rows, config, out, result)
    draw_curve(
        outcome.history, out / CURVE, title="FER-2013, validation part, one view",
        tested={"one view": tested["single"].accuracy, "ten views": tested["shifted"].accuracy},
    )  # fmt: skip
    return figures


def conclude_speakers(outcome: SpeakerOutcome, out: Path, result: Path | None) -> dict[str, Figure]:
    """Writes ``test.json``, the curve and the result file; prints and returns the figures."""
    sources = by_source(outcome)
    figures = {
        "top1": Figure(outcome.test.accuracy, "fraction", n=len(outcome.test.labels)),
        **{f"top1/{name}": Figure(of["accuracy"], "fraction", n=int(of["n"])) for name, of in sources.items()},
        **_of_history(outcome.history),
    }
    config = {
        **outcome.about,
        **_settings(outcome.training),
        "split": "by recording within each speaker: 0.15 tested, 0.1 validated, at random",
        "selected_by": "top-1 on the validation recordings",
        "test": "held-out recordings of each speaker, once; mean of the probabilities of segments every 0.2 s",
    }
    _write(SPEAKERS_CLAIM, figures, {"history": outcome.history}, config, out, result)
    draw_curve(
        outcome.history, out / CURVE, title="speakers, validation part", tested={"recordings": outcome.test.accuracy}
    )
    return figures


def draw_curve(history: Sequence[Mapping[str, float]], path: Path, *, title: str, tested: Mapping[str, float]) -> Path:
    """Training loss and validation accuracy by epoch, and the test accuracies of the epoch that was kept, by how."""
    epochs = [int(row["epoch"]) for row in history]
    accuracy = [100 * row["validation_accuracy"] for row in history]
    best = max(range(len(accuracy)), key=lambda place: (accuracy[place], -place))
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(6.4, 2.8), dpi=150, layout="constrained")
        left, right = drawing.subplots(1, 2)
        left.plot(epochs, [row["loss"] for row in history], color=COLOURS["audio"])
        left.set(xlabel="epoch", ylabel="training loss, nats", title="smoothed labels, augmented")
        right.plot(epochs, accuracy, color=COLOURS["video"])
        right.plot(epochs[best], accuracy[best], "o", color=COLOURS["video"], label=f"kept: {down(accuracy[best])} %")
        for (how, share), dashes in zip(tested.items(), ("--", ":"), strict=False):
            label = f"test, {how}: {down(100 * share)} %"
            right.axhline(100 * share, color=COLOURS["fused"], lw=0.8, ls=dashes, label=label)
        right.set(xlabel="epoch", ylabel="accuracy, %", title=title)
        right.legend(loc="lower right")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        drawing.savefig(path)
    return path


def _of_history(history: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    return {
        "validation_accuracy": Figure(max(row["validation_accuracy"] for row in history), "fraction"),
        "minutes": Figure(sum(row["seconds"] for row in history) / 60, "min"),
    }


def _planned(cycles: Sequence[Sequence[Sequence[int]]]) -> int:
    return sum(epochs for cycle in cycles for _, epochs in cycle)


def _settings(recipe: Recipe) -> dict[str, Any]:
    from dataclasses import asdict

    return {"training": asdict(recipe), "threads": torch.get_num_threads(), "optimiser": "AdamW, one cycle"}


def _write(
    claim: str,
    figures: Mapping[str, Figure],
    rows: Mapping[str, Any],
    config: Mapping[str, Any],
    out: Path,
    result: Path | None,
) -> None:
    write_json(out / TEST, {"figures": {name: figure._asdict() for name, figure in figures.items()}, **rows})
    if result is not None:
        write_result(result, claim=claim, config=config, figures=figures, rows=rows)
    print_figures(dict(figures))
    print(f"weights: {out / BEST}")

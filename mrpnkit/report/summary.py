"""The report of a run or an ablation: what was trained, learning curves, metrics of fusion and branches per fold.

``summary.json`` holds the figures, ``summary.md`` says them in a text; curves are drawn as PNG where matplotlib is
installed. Another form, such as a page, is made from the same :class:`Summary`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.errors import RunError
from mrpnkit.names import FUSED
from mrpnkit.records import read_json, replacing
from mrpnkit.runs import RESULTS, Run
from mrpnkit.train.state import METRICS

FOLDER, TEXT, DATA = "report", "summary.md", "summary.json"
REPORTED = {"epoch", "seconds", "train", "validation"}
"""What is read of an epoch's report."""


class Summary(NamedTuple):
    """Everything that a report says, as plain data.

    ``folds`` are the contents of ``fold.json`` by number from 1, ``curves`` the epochs' reports of every fold that has
    begun, ``results`` mean and spread over the finished folds.
    """

    title: str
    config: dict[str, Any]
    outline: dict[str, Any]
    versions: dict[str, str]
    folds: dict[int, dict[str, Any]]
    curves: dict[int, list[dict[str, Any]]]
    results: dict[str, Any]

    @property
    def heads(self) -> list[str]:
        """``fused``, then the branches that have a score."""
        return list(dict.fromkeys(metric.split("/")[1] for metric in self.results.get("summary", {}) if "/" in metric))

    @property
    def targets(self) -> list[str]:
        """What is predicted."""
        return list(dict.fromkeys(metric.split("/")[0] for metric in self.results.get("summary", {}) if "/" in metric))


def read_summary(folder: str | Path) -> Summary:
    """Collects a run's figures; unfinished folds count with their curves only.

    Raises:
        RunError: no run, or nothing trained in it yet.
    """
    run = Run.open(folder)
    curves = {}
    for path in sorted(run.folder.glob(f"fold-*/{METRICS}")):
        curves[int(path.parent.name.removeprefix("fold-"))] = _reports(path)
    if not curves:
        raise RunError(f"{run.folder} has nothing to report: no epoch has been trained yet.")
    results = read_json(run.folder / RESULTS) if (run.folder / RESULTS).is_file() else {}
    title = run.folder.resolve().name
    return Summary(title, run.config.resolved(), run.outline, run.versions, run.finished(), curves, results)


def facts_of(summary: Summary) -> list[tuple[str, str]]:
    """What was trained, as names and values."""
    config = summary.config
    return [
        ("data set", f"{config['dataset']['name']}, {summary.outline['samples']} samples"),
        ("network", f"{config['model']['network'].upper()}, fusion {config['model']['fusion']['name']}"),
        *(
            (f"branch {name}", f"{branch['extractor']['name']} → {branch['aggregator']['name']}")
            for name, branch in config["branches"].items()
        ),
        ("training", _training(config["training"])),
        *(("adaptation", _adaptation(config["adaptation"])) for _ in range(config.get("adaptation") is not None)),
        ("folds", _folds(config["folds"], summary)),
        ("versions", ", ".join(f"{name} {version}" for name, version in summary.versions.items())),
    ]


def as_text(summary: Summary, figures: list[Path]) -> str:
    """The report in Markdown."""
    lines = [f"# {summary.title}", "", "## What was trained", ""]
    facts = facts_of(summary)
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts), ""]
    for target in summary.targets:
        lines += [f"## {target} on the test parts", "", *_metrics(summary, target), ""]
    lines += ["## Folds", "", "| fold | tests | epochs | kept | seconds |", "|---|---|---:|---:|---:|"]
    for number, reports in summary.curves.items():
        fold = summary.folds.get(number)
        seconds = sum(report["seconds"] for report in reports)
        name, kept = (fold["name"], str(fold["selected_epoch"])) if fold else ("not finished", "")
        lines.append(f"| {number} | {name} | {len(reports)} | {kept} | {seconds:.1f} |")
    for figure in figures:
        lines += ["", f"![{figure.stem.replace('_', ' ')}]({figure.name})"]
    return "\n".join(lines) + "\n"


def draw_curves(summary: Summary, folder: Path) -> list[Path]:
    """Losses over epochs, and the first validation metric of every target for each head; a thin line a fold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    validated = [report for reports in summary.curves.values() for report in reports if report["validation"]]
    series = {"loss": ["loss"]}
    first: dict[str, str] = {}
    for metric in validated[0]["validation"] if validated else ():
        target, name = metric.partition("/")[0], metric.rpartition("/")[2]
        if "/" in metric and first.setdefault(target, name) == name:
            series.setdefault(f"{target}_{name}", []).append(metric)
    for name, metrics in series.items():
        canvas = Canvas(figsize=(6.4, 4.0), layout="constrained")
        axes = canvas.subplots()
        for place, metric in enumerate(metrics):
            head = metric.split("/")[1] if "/" in metric else "validation"
            for number, reports in enumerate(summary.curves.values()):
                points = [(r["epoch"], r["validation"][metric]) for r in reports if r["validation"]]
                if points:
                    axes.plot(*zip(*points, strict=True), color=f"C{place}", linewidth=2.0 if head == FUSED else 1.0,
                              alpha=0.8, label=head if not number else None)  # fmt: skip
        if name == "loss":
            for number, reports in enumerate(summary.curves.values()):
                points = [(r["epoch"], sum(v for v in r["train"].values() if math.isfinite(v))) for r in reports]
                axes.plot(*zip(*points, strict=True), color="C7", linewidth=1.0, alpha=0.8,
                          label=None if number else "training")  # fmt: skip
        axes.set_xlabel("epoch")
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        path = folder / f"{name}.png"
        with replacing(path) as file:
            canvas.savefig(file, format="png", dpi=150)
        written.append(path)
    return written


def _reports(path: Path) -> list[dict[str, Any]]:
    mend = "Train the fold anew to report it."
    try:
        reports = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. {mend}") from error
    for number, report in enumerate(reports, 1):
        if not isinstance(report, dict) or not report.keys() >= REPORTED:
            raise RunError(f"{path} is damaged: line {number} is no report of an epoch. {mend}")
    return reports


def _metrics(summary: Summary, target: str) -> list[str]:
    figures: Mapping[str, Mapping[str, Any]] = summary.results["summary"]
    names = [metric.split("/")[2] for metric in figures if metric.startswith(f"{target}/{FUSED}/")]
    lines = ["| head | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for head in summary.heads:
        cells = [spread(figures.get(f"{target}/{head}/{name}", {})) for name in names]
        lines.append(f"| {head} | " + " | ".join(cells) + " |")
    return [*lines, *(["", "Mean ± standard deviation over folds."] if len(summary.folds) > 1 else [])]


def spread(figure: Mapping[str, Any]) -> str:
    """``0.812 ± 0.030``; without the spread where there is one value, and ``–`` where there is none."""
    if figure.get("mean") is None:
        return "–"
    return f"{figure['mean']:.3f}" + (f" ± {figure['sd']:.3f}" if figure.get("sd") is not None else "")


def _training(training: Mapping[str, Any]) -> str:
    optimizer, schedule = training["optimizer"], training["schedule"]
    return (
        f"at most {training['epochs']} epochs of batches of {training['batch_size']}, {optimizer['name']} with "
        f"learning rate {optimizer['learning_rate']:g}, schedule {schedule['name']}, seed {training['seed']}, keeps "
        f"the {training['keep']} epoch by {training['monitor']}"
    )


def _adaptation(chosen: Mapping[str, Any]) -> str:
    what = ", ".join(chosen["modalities"]) if chosen["modalities"] else "all branches"
    of = f" that are {chosen['condition']}" if chosen["condition"] is not None else ""
    number = chosen["enrol"]
    both = "; the population's normalisation stands beside" if chosen.get("with_population") else ""
    return (
        f"{what} by groups of {chosen['column']!r}; those who are tested are enrolled from {number} of their own "
        f"unlabelled samples{of}{both}"
    )


def _folds(folds: Mapping[str, Any], summary: Summary) -> str:
    what = f"groups of {folds['group']!r}" if folds["group"] else "random samples"
    balanced = f", balanced over {folds['stratum']!r}" if folds["stratum"] else ""
    if folds.get("test"):
        return f"one fixed split, {what}{balanced}"
    return f"{len(summary.folds)} finished of {folds['count']}, {what}{balanced}"

"""Figures of the comparison: learning curves of the N+1 terms, and confusion matrices side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from examples.aver.comparison import LABELS
from examples.aver.job import Job
from examples.aver.recipe import TARGET
from mrpnkit.train.state import METRICS

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
}
COLOURS = {"fused": "#1b1b1b", "audio": "#d1495b", "video": "#00798c"}


def draw_figures(results: Sequence[dict[str, Any]], jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Draws the figures of a finished comparison into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = [network for network in LABELS if any(job.network == network for job in jobs)]
    with mpl.rc_context(STYLE):
        return [
            learning_curves(jobs, networks, folder / "learning_curves.png"),
            confusion_matrices(results, networks, folder / "confusion_matrices.png"),
            folds_figure(results, networks, folder / "folds.png"),
        ]


def learning_curves(jobs: Sequence[Job], networks: Sequence[str], path: Path) -> Path:
    """Above the training loss, below the validation accuracy, of every head, mean and range over folds."""
    drawing = Drawing(figsize=(2.3 * len(networks) + 0.6, 4.2), dpi=150, layout="constrained")
    axes = drawing.subplots(2, len(networks), sharex=True, sharey="row", squeeze=False)
    for column, network in enumerate(networks):
        histories = [_history(job) for job in jobs if job.network == network]
        top, bottom = axes[0, column], axes[1, column]
        for head in _heads(histories[0]):
            _band(top, [[e["train"][f"{TARGET}/{head}"] for e in history] for history in histories], head)
            key = f"{TARGET}/{head}/accuracy"
            if key in histories[0][0]["validation"]:
                _band(bottom, [[100 * e["validation"][key] for e in history] for history in histories], head)
        top.set_title(LABELS[network])
        bottom.set_xlabel("epoch")
        bottom.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes[0, 0].set_ylabel("training loss, nats")
    axes[1, 0].set_ylabel("validation accuracy, %")
    axes[0, -1].legend(loc="upper right")
    drawing.savefig(path, bbox_inches="tight")
    return path


def confusion_matrices(results: Sequence[dict[str, Any]], networks: Sequence[str], path: Path) -> Path:
    """Recall in per cent by true class (rows) and predicted class (columns), over the test actors of all folds."""
    classes = results[0]["classes"]
    drawing = Drawing(figsize=(2.35 * len(networks) + 0.9, 3.4), dpi=150, layout="constrained")
    axes = drawing.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axis, network in zip(axes, networks, strict=True):
        counts = np.sum([r["confusion"]["fused"] for r in results if r["network"] == network], axis=0)
        share = 100 * counts / np.maximum(np.sum(counts, axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for row, column in np.ndindex(*share.shape):
            if share[row, column] >= 0.5:
                ink = "white" if share[row, column] > 55 else "#333333"
                axis.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=6.5)
        correct = 100 * np.trace(counts) / np.sum(counts)
        axis.set_title(f"{LABELS[network]}  {correct:.1f} %")
        axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
        axis.set_yticks(range(len(classes)), classes, fontsize=7)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.set_xlabel("predicted")
    axes[0].set_ylabel("true")
    drawing.savefig(path, bbox_inches="tight")
    return path


def folds_figure(results: Sequence[dict[str, Any]], networks: Sequence[str], path: Path) -> Path:
    """Test accuracy of every network on every fold, a line a fold."""
    drawing = Drawing(figsize=(1.05 * len(networks) + 1.4, 3.4), dpi=150, layout="constrained")
    axis = drawing.subplots()
    folds = list(dict.fromkeys(result["fold"] for result in results))
    table = np.array(
        [
            [
                np.mean([100 * r["metrics"][f"{TARGET}/fused/accuracy"] for r in results
                         if (r["network"], r["fold"]) == (network, fold)])
                for network in networks
            ]
            for fold in folds
        ]
    )  # fmt: skip
    places = np.arange(len(networks))
    for line in table:
        axis.plot(places, line, color="#9aa5b1", linewidth=0.8, marker="o", markersize=2.5, zorder=1)
    axis.plot(places, table.mean(axis=0), color="#1b1b1b", linewidth=0, marker="_", markersize=26, markeredgewidth=2)
    for place, value in zip(places, table.mean(axis=0), strict=True):
        axis.annotate(
            f"{value:.1f}", (place, value), xytext=(15, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_xticks(places, [LABELS[network] for network in networks])
    axis.set_xlim(-0.5, len(networks) - 0.3)
    axis.set_ylabel("test accuracy, %")
    axis.set_title("a line a fold; bar: mean")
    drawing.savefig(path, bbox_inches="tight")
    return path


def _history(job: Job) -> list[dict[str, Any]]:
    lines = (job.folder / METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _heads(history: list[dict[str, Any]]) -> list[str]:
    return [name.partition("/")[2] for name in history[0]["train"] if name.startswith(f"{TARGET}/")]


def _band(axis: Axes, curves: list[list[float]], head: str) -> None:
    longest = max(map(len, curves))
    grid: NDArray[np.float64] = np.full((len(curves), longest), np.nan)
    for row, curve in enumerate(curves):
        grid[row, : len(curve)] = curve
    epochs = np.arange(1, longest + 1)
    colour = COLOURS.get(head, "#777777")
    axis.plot(epochs, np.nanmean(grid, axis=0), color=colour, label=head, linewidth=1.4)
    axis.fill_between(epochs, np.nanmin(grid, axis=0), np.nanmax(grid, axis=0), color=colour, alpha=0.12, linewidth=0)

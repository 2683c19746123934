"""The figure of a robustness study: a metric by the modalities that are left, and by how often they are missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mrpnkit.records import replacing


class Measured(Protocol):
    """What is drawn: :class:`mrpnkit.robustness.Robustness`."""

    @property
    def subsets(self) -> Mapping[tuple[str, ...], Any]:
        """By the modalities that were left."""

    @property
    def rates(self) -> Mapping[float, Any]:
        """By the probability with which a modality is missing."""

    def summary(self, by: Mapping[Any, Any], metric: str) -> dict[Any, dict[str, Any]]:
        """Mean and standard deviation over folds, for each entry."""


def draw_robustness(found: Measured, metric: str, path: Path) -> Path:
    """Draws one study as PNG; returns the path."""
    return draw_studies({"": found}, metric, path)


def draw_studies(studies: Mapping[str, Measured], metric: str, path: Path, *, title: str = "") -> Path:
    """Draws several studies of the same modalities into one figure, by their label; returns the path.

    Left: every subset is a dot, the line joins the means over subsets of one size. Right: the metric by the rate at
    which modalities are missing, with one standard deviation over folds or seeds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9.0, 3.8), layout="constrained")
    left, right = canvas.subplots(1, 2, sharey=True)
    width = 0.5 / max(len(studies), 2)
    for place, (label, found) in enumerate(studies.items()):
        shift, colour = (place - (len(studies) - 1) / 2) * width, f"C{place}"
        values = {subset: one["mean"] for subset, one in found.summary(found.subsets, metric).items()}
        known = {subset: value for subset, value in values.items() if value is not None}
        sizes = sorted({len(subset) for subset in known})
        left.plot([len(s) + shift for s in known], list(known.values()), "o", color=colour, alpha=0.45, markersize=4,
                  markeredgewidth=0)  # fmt: skip
        means = [_mean([v for s, v in known.items() if len(s) == size]) for size in sizes]
        left.plot([size + shift for size in sizes], means, color=colour, linewidth=1.4, label=label or None)
        if len(studies) == 1 and len(known) <= 7:
            for subset, value in known.items():
                left.annotate(" + ".join(subset), (len(subset), value), xytext=(6, 3), textcoords="offset points",
                              fontsize=8)  # fmt: skip
        series = found.summary(found.rates, metric)
        rates = [rate for rate, one in series.items() if one["mean"] is not None]
        centre = [series[rate]["mean"] for rate in rates]
        spread = [series[rate]["sd"] or 0.0 for rate in rates]
        right.plot(rates, centre, color=colour, marker=".", linewidth=1.4, label=label or None)
        low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
        right.fill_between(rates, low, high, color=colour, alpha=0.12, linewidth=0)
    most = max(len(subset) for found in studies.values() for subset in found.subsets)
    left.set_xticks(range(1, most + 1))
    left.set_xlim(0.5, most + 0.9 if len(studies) == 1 else most + 0.5)
    left.set_xlabel("modalities left")
    left.set_ylabel(metric.replace("/", " "))
    right.set_xlabel("probability that a modality is missing")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    if any(studies):
        right.legend(frameon=False, fontsize=8)
    if title:
        canvas.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        canvas.savefig(file, format="png", dpi=150)
    return path


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""The table and the figure of the multi-view benchmark, with published figures beside ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._multiview_data import SETS
from mrpnkit.report import Figure
from mrpnkit.report.results import down

PUBLISHED_PROTOCOL = (
    "Published: Table 3 of FUML (ICML 2025), random 80/20 splits, ten seeds, the best epoch on the test set, conflicts "
    "by RCML's recipe. Not our protocol: ours selects no epoch and no method on test samples."
)
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "TMC": {"handwritten": (0.9851, 0.9276), "scene15": (0.6771, 0.4227), "landuse21": (0.3169, 0.1967)},
    "ETMC": {"handwritten": (0.9875, 0.9385), "scene15": (0.7161, 0.5690), "landuse21": (0.4352, 0.3605)},
    "QMF": {"handwritten": (0.9872, 0.9752), "scene15": (0.6858, 0.5953), "landuse21": (0.4786, 0.4017)},
    "ECML": {"handwritten": (0.9872, 0.9452), "scene15": (0.7619, 0.5697), "landuse21": (0.6010, 0.5031)},
    "FUML": {"handwritten": (0.9920, 0.9878), "scene15": (0.7941, 0.7271), "landuse21": (0.7671, 0.6914)},
}
"""Accuracy on normal and on conflicting views."""
ROSMAP_PUBLISHED = {"concatenated network": (0.755, 0.764, 0.827), "MOGONET": (0.815, 0.821, 0.874)}
"""Accuracy, F1 and AUC on the fixed split in the table of MOGONET (Wang et al. 2021), without conflicting views."""
LEAST: Mapping[str, tuple[float, float | None]] = {
    "handwritten": (0.990, 0.983), "scene15": (0.84, 0.66), "landuse21": (0.79, 0.62), "rosmap": (0.81, None),
}  # fmt: skip
"""What N2 has to reach on normal and on conflicting views."""
DRAWN = (
    "best_view", "n0", "n1", "n2", "n2_sum_of_softmax", "n1_witnesses", "n2_witnesses", "n2_all_views",
    "gmu", "film", "lmf", "mbt", "late_mean", "tmc", "uncertainty", "ogm_ge", "pmr", "mmpareto",
)  # fmt: skip
"""What the figure shows; the table has everything."""


def print_table(figures: Mapping[str, Figure], methods: Sequence[str], sets: Sequence[str] = SETS) -> None:
    """Per cent, mean over seeds, normal → conflicting; published figures below, apart."""
    table = Table(title="accuracy in per cent, normal → conflicting views, mean (± of normal) over seeds")
    table.add_column("method")
    for name in sets:
        table.add_column(name, justify="right")
    for method in methods:
        table.add_row(method, *(_cell(figures, name, method) for name in sets))
    table.add_section()
    for method, values in PUBLISHED.items():
        cells = [f"{100 * values[n][0]:.1f} → {100 * values[n][1]:.1f}" if n in values else "" for n in sets]
        table.add_row(f"{method}, published", *cells)
    for method, (value, _, _) in ROSMAP_PUBLISHED.items():
        table.add_row(f"{method}, published", *(f"{100 * value:.1f}" if n == "rosmap" else "" for n in sets))
    console = Console(width=132)
    console.print(table)
    console.print(PUBLISHED_PROTOCOL)


def _cell(figures: Mapping[str, Figure], name: str, method: str) -> str:
    normal, other = (figures.get(f"{name}/{condition}/{method}") for condition in ("normal", "conflicting"))
    if normal is None or other is None:
        return ""
    spread = f" ±{100 * normal.spread:.1f}" if normal.spread is not None else ""
    return f"{down(100 * normal.value)}{spread} → {down(100 * other.value)}"


def promises(figures: Mapping[str, Figure], sets: Sequence[str] = SETS) -> list[tuple[str, float, float]]:
    """What is claimed: a text, the measured value, and the least that it may be."""
    found = []
    for name, (normal, other) in LEAST.items():
        for condition, least in (("normal", normal), ("conflicting", other)):
            if least is not None and name in sets:
                found.append((f"{name}, {condition}: N2", figures[f"{name}/{condition}/n2"].value, least))
    for name in sets:
        best = figures[f"{name}/normal/best_view"].value
        found.append(
            (f"{name}, normal: N2, against the best view less 0.005", figures[f"{name}/normal/n2"].value, best - 0.005)
        )
    for name in sets:
        if name in PUBLISHED["FUML"]:
            witnesses = figures[f"{name}/conflicting/n2_witnesses"].value
            found.append((f"{name}, conflicting: witnesses, against FUML", witnesses, PUBLISHED["FUML"][name][1]))
        n2 = figures[f"{name}/normal/n2"].value
        found.append(
            (
                f"{name}, normal: witnesses, against N2 less 0.005",
                figures[f"{name}/normal/n2_witnesses"].value,
                n2 - 0.005,
            )
        )
    return found


def markdown(figures: Mapping[str, Figure], methods: Sequence[str], sets: Sequence[str] = SETS) -> str:
    """The table, the promises and the figure, as docs/multiview.md includes them."""
    lines = [
        "Accuracy in per cent, rounded down, normal → conflicting views; mean of ten seeds, ± deviation of normal.",
        "",
        f"| method | {' | '.join(sets)} |",
        f"|---|{'---:|' * len(sets)}",
    ]
    lines += [f"| `{method}` | {' | '.join(_cell(figures, name, method) for name in sets)} |" for method in methods]
    if "tmc" not in methods:
        lines += ["", "Measured with `--claims`: other fusions and balancers are not in this table yet."]
    lines += ["", PUBLISHED_PROTOCOL, "", f"| published | {' | '.join(sets)} |", f"|---|{'---:|' * len(sets)}"]
    for method, values in PUBLISHED.items():
        cells = [f"{100 * values[n][0]:.1f} → {100 * values[n][1]:.1f}" if n in values else "" for n in sets]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    for method, (value, _, _) in ROSMAP_PUBLISHED.items():
        lines.append(f"| {method} | {' | '.join(f'{100 * value:.1f}' if n == 'rosmap' else '' for n in sets)} |")
    lines += _rosmap(figures, methods)
    lines += ["", "| claim | measured | at least | |", "|---|---:|---:|---|"]
    for text, value, least in promises(figures, sets):
        lines.append(f"| {text} | {value:.4f} | {least:.4f} | {'kept' if value >= least else 'not kept'} |")
    lines += ["", "![Accuracy of each method on the four sets](figures/multiview.png)", ""]
    return "\n".join(lines)


def _rosmap(figures: Mapping[str, Figure], methods: Sequence[str]) -> list[str]:
    """Accuracy, F1 and AUC of the set of two classes, the published ones last."""
    lines = ["", "Rosmap in full, normal views, mean of ten seeds:", "", "| method | accuracy | F1 | AUC |"]
    lines.append("|---|---:|---:|---:|")
    for method in methods:
        found = [figures.get(f"rosmap/{kind}/{method}") for kind in ("normal", "f1", "auc")]
        cells = [down(figure.value, 3) for figure in found if figure is not None]
        if len(cells) == len(found):
            lines.append(f"| `{method}` | {' | '.join(cells)} |")
    for method, values in ROSMAP_PUBLISHED.items():
        lines.append(f"| {method}, published | {' | '.join(f'{value:.3f}' for value in values)} |")
    return lines


def draw(figures: Mapping[str, Figure], path: Path, sets: Sequence[str] = SETS) -> Path:
    """A panel a set: for each method a full dot for normal and an open one for conflicting views."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(11.0, 6.6), layout="constrained")
    panels = canvas.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    measured = [name for name in DRAWN if f"{sets[0]}/normal/{name}" in figures]
    rows = [*measured, *(f"{name} (published)" for name in PUBLISHED)]
    for panel, name in zip(panels, sets, strict=True):
        for place, row in enumerate(rows):
            if row in DRAWN:
                pair = [figures.get(f"{name}/{condition}/{row}") for condition in ("normal", "conflicting")]
                values = [figure.value for figure in pair if figure is not None]
                colour = "C1" if "witnesses" in row else "C0"
            else:
                values = list(PUBLISHED[row.removesuffix(" (published)")].get(name, ()))
                colour = "0.55"
            if len(values) != 2:
                continue
            panel.plot([100 * value for value in values], [place, place], color=colour, linewidth=1.2)
            panel.plot(100 * values[0], place, "o", color=colour, markersize=5)
            panel.plot(100 * values[1], place, "o", color=colour, markerfacecolor="white", markersize=5)
        panel.set_title(name)
        panel.set_xlabel("accuracy, %")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(rows)), [row.replace("_", " ") for row in rows])
    panels[0].invert_yaxis()
    canvas.suptitle(
        "Full dots: test samples as they are; open dots: conflicting views. Orange: the witnesses' decision."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150)
    return path

"""Sections of the page that go along the training: curves of losses and metrics, and gradients that agree or not."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from mrpnkit.names import FUSED
from mrpnkit.report import drawing
from mrpnkit.report.drawing import Line
from mrpnkit.report.findings import Findings
from mrpnkit.report.found_tables import gradient_table
from mrpnkit.report.rendering import joined, paragraph, part, row, safe
from mrpnkit.train import GradientRecord

if TYPE_CHECKING:
    from markupsafe import Markup


def curves(findings: Findings) -> "Markup":
    """Training losses of the N+1 terms and validation accuracies, a mean over folds with the range."""
    histories = list(findings.summary.curves.values())
    longest = max(map(len, histories))
    epochs = list(range(1, longest + 1))

    def series(name: str, source: str, colour: int, label: str) -> Line:
        at = [[h[e][source][name] for h in histories if e < len(h) and h[e][source]] for e in range(longest)]
        known = [[value for value in values if value is not None and math.isfinite(value)] for values in at]
        mean = [fmean(values) if values else math.nan for values in known]
        low, high = ([pick(values) if values else math.nan for values in known] for pick in (min, max))
        return Line(label, epochs, mean, low, high, colour)

    first = histories[0][0]
    heads = list(dict.fromkeys(term.split("/")[1] for term in first["train"] if "/" in term))
    colours = {head: place for place, head in enumerate([FUSED, *(h for h in heads if h != FUSED)])}
    figures: list[str] = []
    for target in dict.fromkeys(term.split("/")[0] for term in first["train"] if "/" in term):
        terms = [term for term in first["train"] if term.startswith(f"{target}/")]
        drawn = [series(term, "train", colours[term.split("/")[1]], term.split("/")[1]) for term in terms]
        svg = drawing.lines(drawn, x_label="epoch", y_label="training loss", title=f"Training losses of {target}")
        figures.append(part("figure", safe(svg), f"{target}: training loss of each term; mean and range over folds"))
        if not first["validation"]:
            continue
        named = [metric for metric in first["validation"] if metric.startswith(f"{target}/")]
        chosen = [m for m in named if m.split("/")[2] == named[0].split("/")[2]] if named else []
        known = [m for m in chosen if m.split("/")[1] in colours]
        drawn = [series(metric, "validation", colours[metric.split("/")[1]], metric.split("/")[1]) for metric in known]
        label = f"validation {known[0].split('/')[2]}" if known else ""
        svg = drawing.lines(drawn, x_label="epoch", y_label=label, title=f"{label} of {target}") if known else ""
        figures.append(part("figure", safe(svg), f"{target}: {label} of each head; mean and range over folds"))
    return joined([safe(drawing.legend(colours)), row(figures)])


def gradients(folds: Mapping[int, Sequence[GradientRecord]]) -> "Markup":
    """Cosine and ratio of lengths over steps, a mean over folds, and the share of conflicts."""
    names = list(next(iter(folds.values()))[0].branches)
    steps = sorted({record.step for records in folds.values() for record in records})
    drawn: dict[str, list[Line]] = {"cosine": [], "ratio": []}
    for place, name in enumerate(names, start=1):
        for what, series in drawn.items():
            at: dict[int, list[float]] = {step: [] for step in steps}
            for records in folds.values():
                for record in records:
                    value = float(getattr(record.branches[name], what))
                    if math.isfinite(value):
                        at[record.step].append(value)
            known = [step for step in steps if at[step]]
            series.append(Line(name, known, [fmean(at[step]) for step in known], [min(at[step]) for step in known],
                               [max(at[step]) for step in known], place))  # fmt: skip
    cosine = drawing.lines(drawn["cosine"], x_label="step", y_label="cosine", title="Cosine of gradients", zero=True)
    ratio = drawing.lines(drawn["ratio"], x_label="step", y_label="length ratio", title="Lengths of gradients")
    text = (
        "For each branch, the gradient of the fusion's loss beside that of its own: below a cosine of 0 they pull the "
        "branch apart. The ratio is the length of the fusion's over that of the branch's own."
    )
    return joined([
        paragraph(text, kind="soft"),
        safe(drawing.legend({name: place for place, name in enumerate(names, start=1)})),
        row([part("figure", safe(cosine), "cosine; mean and range over folds"),
             part("figure", safe(ratio), "length of the fusion's gradient over the branch's own")]),
        part("table", gradient_table(folds)),
    ])  # fmt: skip

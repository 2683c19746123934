"""The tables of what was found about a run, for the page and for export."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrpnkit.names import FUSED
from mrpnkit.report.findings import Findings, TargetFindings
from mrpnkit.report.tables import Table, Value
from mrpnkit.train import GradientRecord, conflict_share


def tables(findings: Findings) -> list[Table]:
    """Every table of the page, for CSV and LaTeX."""
    made = result_tables(findings)
    for found in findings.targets:
        name = found.target
        cells = [cell.plain() for cell in found.interference.cells]
        made.append(Table.of(f"{name}_interference", "The fusion beside each branch on the same samples", cells))
        made.append(misleading_table(found))
        made.append(calibration_table(found))
        made.append(agreement_table(found))
        if found.worth is not None:
            made += worth_tables(found)
        if found.residuals is not None:
            made.append(residual_table(found))
        for head in found.outcomes.heads:
            counts, classes = found.outcomes.confusion(head), found.outcomes.classes
            rows = [{"true": classes[place], **dict(zip(classes, line.tolist(), strict=True))}
                    for place, line in enumerate(counts)]  # fmt: skip
            caption = f"Confusion of {head}: rows true, columns decided"
            made.append(Table.of(f"{name}_confusion_{head.replace('/', '_')}", caption, rows))
        made.append(sample_table(found))
    if findings.gradients:
        made.append(gradient_table(findings.gradients))
    return made


def result_tables(findings: Findings) -> list[Table]:
    """Means and spreads of every metric and head, and the fusion's metrics of every fold."""
    summary = findings.summary
    figures: Mapping[str, Mapping[str, Any]] = summary.results.get("summary", {})
    made = []
    for target in summary.targets:
        rows: dict[str, dict[str, Any]] = {}
        for metric, figure in figures.items():
            parts = metric.split("/")
            if parts[0] == target and len(parts) == 3:
                rows.setdefault(parts[1], {"head": parts[1]})[parts[2]] = figure["mean"]
                rows[parts[1]][f"± {parts[2]}"] = figure["sd"]
        caption = f"{target}: mean and standard deviation over folds, on the test parts"
        made.append(Table.of(f"{target}_results", caption, rows.values()))
    folds = []
    for number, fold in summary.folds.items():
        chosen = {metric: value for metric, value in fold["metrics"].items() if f"/{FUSED}/" in metric}
        folds.append({"fold": number, "tests": fold["name"], "epoch": fold["selected_epoch"], **chosen})
    made.append(Table.of("folds", "The fusion on the test part of each fold, and the epoch that was kept", folds))
    return made


def misleading_table(found: TargetFindings, most: int | None = None) -> Table:
    """A row a cell and branch, the least information first; all rows, or so many."""
    cells = sorted(found.interference.fuzzy, key=lambda cell: cell.information.value)[:most]
    rows = [
        {
            "by": cell.axis,
            "value": cell.value,
            "branch": cell.branch,
            "samples": cell.samples,
            "right here": cell.accuracy,
            "right elsewhere": cell.elsewhere,
            "bits": cell.information.value,
            "low": cell.information.low,
            "high": cell.information.high,
            "p adjusted": cell.adjusted,
            "misleads": "yes" if cell.misleads() else "no",
            "fusion": cell.fused,
            "best other": cell.better,
            "p of the fusion's loss": cell.follows if cell.other else None,
        }
        for cell in cells
    ]
    left = (
        f"; the lowest {len(rows)} of {len(found.interference.fuzzy)}"
        if len(rows) < len(found.interference.fuzzy)
        else ""
    )
    caption = f"What a branch says of the true class, in bits a sample; below 0 is worse than nothing{left}"
    return Table.of(f"{found.target}_misleading", caption, rows)


def calibration_table(found: TargetFindings) -> Table:
    """A row a head."""
    rows = [{"head": head, **{k: v for k, v in one._asdict().items() if k != "bins"}}
            for head, one in found.calibration.items()]  # fmt: skip
    caption = "Calibration: ece and mce in probability, Brier score from 0 to 2, nll in nats a sample"
    return Table.of(f"{found.target}_calibration", caption, rows)


def agreement_table(found: TargetFindings) -> Table:
    """A row a pair of heads."""
    caption = "Agreement of heads: share of equal decisions, Cohen's kappa, and who is right where"
    return Table.of(f"{found.target}_agreement", caption, [one._asdict() for one in found.agreement])


def worth_tables(found: TargetFindings) -> list[Table]:
    """Of the subsets, and of the shares."""
    worth = found.worth
    if worth is None:
        return []
    total = sum(worth.shares.values())
    rows = [{"modality": name, "bits": value, "low": worth.intervals[name].low, "high": worth.intervals[name].high,
             "share": value / total if total > 0 else None} for name, value in worth.shares.items()]  # fmt: skip
    return [
        Table.of(f"{found.target}_subsets", "Every subset of modalities, information in bits", worth.plain()),
        Table.of(f"{found.target}_shares", f"What each modality adds to {total:.2f} bits of {worth.entropy:.2f}", rows),
    ]


def residual_table(found: TargetFindings) -> Table:
    """A row a branch."""
    rows = found.residuals.plain(found.outcomes.classes) if found.residuals is not None else []
    return Table.of(f"{found.target}_residuals", "Residual perceptrons", rows)


def gradient_table(folds: Mapping[int, Sequence[GradientRecord]]) -> Table:
    """The share of conflicting steps of each branch, in each fold."""
    names = list(next(iter(folds.values()))[0].branches)
    rows = [{"fold": number, "steps recorded": len(records), **{n: conflict_share(records, n) for n in names}}
            for number, records in folds.items()]  # fmt: skip
    return Table.of("gradient_conflicts", "Share of recorded steps at which the two gradients conflict", rows)


def sample_table(found: TargetFindings) -> Table:
    """A row a sample: what every head decided."""
    outcomes = found.outcomes
    classes = [*outcomes.classes, ""]
    decided = {head: [classes[place] for place in outcomes.decided(head).tolist()] for head in outcomes.heads}
    columns = ["sample", "fold", *outcomes.groups, "true", *decided]
    content: list[list[Any]] = [outcomes.ids.tolist(), outcomes.folds.tolist(),
                                *(values.tolist() for values in outcomes.groups.values()),
                                [classes[label] for label in outcomes.labels.tolist()], *decided.values()]  # fmt: skip
    rows: list[list[Value]] = [list(values) for values in zip(*content, strict=True)]
    return Table(f"{found.target}_samples", "What every head decided", columns, rows)

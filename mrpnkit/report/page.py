"""The report page of a run: everything that was found, in one HTML file that works offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrpnkit.analysis import Cell
from mrpnkit.names import FUSED
from mrpnkit.records import write_text
from mrpnkit.report import drawing
from mrpnkit.report.drawing import Line
from mrpnkit.report.findings import Findings, TargetFindings
from mrpnkit.report.found_tables import (
    agreement_table,
    calibration_table,
    misleading_table,
    residual_table,
    result_tables,
    worth_tables,
)
from mrpnkit.report.over_time import curves, gradients
from mrpnkit.report.rendering import Section, data_block, heading, joined, paragraph, part, render, row, safe
from mrpnkit.report.summary import facts_of
from mrpnkit.report.tables import Table
from mrpnkit.report.words import sentences

if TYPE_CHECKING:
    from markupsafe import Markup

COLUMNS = 4
"""So many groups of the data set are columns of the table of samples."""

SHOWN = 12
"""So many places where branches say least are on the page; all are among the exported tables."""


def page(findings: Findings) -> str:
    """The page as HTML.

    Raises:
        DependencyError: jinja2 is not installed.
    """
    summary = findings.summary
    several = len(findings.targets) > 1
    sections = [Section("summary", "In plain words", joined([part("words", sentences(findings)),
                                                             part("facts", facts_of(summary))]))]  # fmt: skip
    sections.append(Section("results", "Results", joined([part("table", table) for table in result_tables(findings)])))
    sections.append(Section("curves", "Learning curves", curves(findings)))
    for number, found in enumerate(findings.targets):
        name = f" of {found.target}" if several else ""
        tag = f"-{number}" if several else ""
        made = {
            f"confusion{tag}": (f"Confusion{name}", confusions(found)),
            f"misleading{tag}": (f"Misleading modalities{name}", misleading(found)),
            f"interference{tag}": (f"Interference{name}", interference(found, f"samples{tag}")),
            f"calibration{tag}": (f"Calibration{name}", calibrations(found)),
            f"modalities{tag}": (f"Modalities{name}", modalities(found)),
            f"residuals{tag}": (f"Residual perceptrons{name}", residuals(found)),
            f"features{tag}": (f"Features{name}", features(found)),
        }
        sections += [Section(key, title, body) for key, (title, body) in made.items() if body]
    if findings.gradients:
        sections.append(Section("gradients", "Gradients", gradients(findings.gradients)))
    sections.append(Section("audit", "Audit of the split", audit(findings)))
    return render(summary.title, subtitle(findings), sections)


def subtitle(findings: Findings) -> str:
    """What it is about, in a line."""
    config = findings.summary.config
    return (
        f"{config['model']['network'].upper()} on {config['dataset']['name']}: {', '.join(config['branches'])}; "
        f"{len(findings.summary.folds)} folds, {findings.summary.outline['samples']} samples"
    )


def confusions(found: TargetFindings) -> "Markup":
    """Side by side."""
    outcomes = found.outcomes
    made = [part("confusion", head, outcomes.confusion(head).tolist(), outcomes.classes, outcomes.accuracy(head))
            for head in outcomes.heads]  # fmt: skip
    return row(made)


def misleading(found: TargetFindings) -> "Markup":
    """The places where branches say least."""
    if not found.interference.fuzzy:
        return safe("")
    text = (
        "A class that is hard for a modality takes bits away from what it says, and leaves them above 0. Below 0 the "
        "modality is sure of the wrong class: it shows something else there than in training. The fusion and the best "
        "other branch are compared where a branch misleads by more than chance, all places considered."
    )
    return joined([paragraph(text, kind="soft"), part("table", misleading_table(found, most=SHOWN))])


def interference(found: TargetFindings, samples_id: str) -> "Markup":
    """The table of comparisons, and the samples behind each."""
    cells, outcomes = found.interference.cells, found.outcomes
    reach = max([0.05, *(max(abs(cell.gain.low), abs(cell.gain.high)) for cell in cells)])
    shown = {
        "axes": found.interference.axes,
        "branches": outcomes.branches,
        "cells": [
            {
                **cell.plain(),
                "svg": safe(drawing.interval(*cell.gain, reach)),
                "place": outcomes.heads.index(cell.branch),
                "verdict": verdict(cell),
            }
            for cell in cells
        ],
    }
    columns = _columns(found)
    content = {
        "id": outcomes.ids.tolist(),
        "label": outcomes.labels.tolist(),
        "classes": list(outcomes.classes),
        "columns": columns,
        "heads": [
            {"name": head, "decided": outcomes.decided(head).tolist(), **_confidence(found, head)}
            for head in outcomes.heads
        ],
    }
    table = part("interference", shown, samples_id) if cells else paragraph(
        "This network has no side scores to compare the fusion with. N1 and N2 have them; runs of single modalities "
        "can be put beside it.", kind="soft")  # fmt: skip
    return joined([table, part("samples", samples_id, data_block(content), columns, outcomes.classes, outcomes.heads)])


def verdict(cell: Cell) -> str:
    """In two or three words."""
    if not cell.established():
        return "may be chance"
    return "branch is better" if cell.inferior else "fusion is better"


def calibrations(found: TargetFindings) -> "Markup":
    """Reliability of every head, the figures, and how heads agree."""
    figures = [
        part("figure", safe(drawing.reliability([(b.confidence, b.accuracy, b.samples) for b in one.bins],
                                                title=f"Reliability of {head}", colour=place)),
             f"{head}: ECE {100 * one.ece:.1f} points")
        for place, (head, one) in enumerate(found.calibration.items())
    ]  # fmt: skip
    made: list[str] = [row(figures), part("table", calibration_table(found))]
    if found.agreement:
        made.append(part("table", agreement_table(found)))
    return joined(made)


def modalities(found: TargetFindings) -> "Markup":
    """What is left when modalities are missing, and what each adds."""
    if found.worth is None:
        return safe("")
    curve = found.worth.curve()
    line = Line("fusion", [size for size, *_ in curve], [mean for _, mean, _, _ in curve],
                [low for *_, low, _ in curve], [high for *_, high in curve])  # fmt: skip
    svg = drawing.lines([line], x_label="modalities present", y_label="accuracy", title="Accuracy over modalities",
                        size=(320, 230))  # fmt: skip
    subsets, shares = worth_tables(found)
    text = (
        "The network judged the test samples with every subset of its modalities, the others taken away. Information "
        "is the entropy of the classes less the log loss, a lower bound of the mutual information; a modality's share "
        "is what it adds on average over all orders of adding modalities (Shapley), with a 95 % interval."
    )
    figure = part("figure", safe(svg), "mean, least and largest accuracy over the subsets of a size")
    return joined([paragraph(text, kind="soft"), row([figure, part("table", shares), part("table", subsets)])])


def residuals(found: TargetFindings) -> "Markup":
    """How large they are, and the score without them."""
    if found.residuals is None:
        return safe("")
    text = (
        "Size is the length of the residual over the length of its input, a mean over samples, of all and of each "
        "class. Switched off, the fusion reads the branch as it is; it was not trained for that, so a loss says that "
        "the network uses the residual, not that a network without it would be worse."
    )
    return joined([paragraph(text, kind="soft"), part("table", residual_table(found))])


def features(found: TargetFindings) -> "Markup":
    """Principal components and t-SNE of each branch and of what the fusion reads."""
    if not found.embeddings:
        return safe("")
    classes = found.outcomes.classes
    made: list[str] = [safe(drawing.legend({name: place % drawing.COLOURS for place, name in enumerate(classes)}))]
    for what in ("tsne", "pca"):
        figures = []
        for head, one in found.embeddings.items():
            places = getattr(one, what)
            if places is None:
                continue
            note = f", {100 * one.explained:.0f} % of the variance" if what == "pca" else ""
            title = f"{'t-SNE' if what == 'tsne' else 'Principal components'} of {head}"
            svg = drawing.points(np.asarray(places), one.labels, title=title)
            figures.append(part("figure", safe(svg), f"{head}{note}"))
        if figures:
            made += [heading("t-SNE" if what == "tsne" else "Principal components"), row(figures)]
    first = min(found.outcomes.folds.tolist(), default=1)
    made.append(paragraph(f"Test samples of fold {first}, features of its network: f̂ of each branch, and for the "
                          "fusion all that it reads.", kind="soft"))  # fmt: skip
    return joined(made)


def audit(findings: Findings) -> "Markup":
    """What was found about the split, and its fingerprints."""
    if not findings.audit:
        return paragraph("The split of this run was not audited.", kind="soft")
    found = findings.audit["findings"]
    said = [paragraph(f"{one['severity'].capitalize()}: {one['text']}", kind=one["severity"]) for one in found]
    if not found:
        said = [paragraph("Nothing was found that makes a result worthless, and nothing else worth a note.")]
    prints = [{"fold": number, "fingerprint": text[:16]} for number, text in findings.audit["split"].items()]
    caption = "Fingerprints of who trains, who selects and who is tested; the same stand in the files of weights"
    return joined([*said, part("table", Table.of("split", caption, prints))])


def _columns(found: TargetFindings) -> list[dict[str, Any]]:
    outcomes = found.outcomes
    columns: dict[str, list[str]] = {}
    if len(set(outcomes.folds.tolist())) > 1:
        columns["fold"] = [str(number) for number in outcomes.folds.tolist()]
    few = [name for name, values in outcomes.groups.items() if 1 < len(set(values.tolist())) <= 60]
    for name in few[:COLUMNS]:
        columns[name] = outcomes.groups[name].tolist()
    made = []
    for name, values in columns.items():
        texts = sorted(set(values), key=lambda text: (len(text), text))
        place = {text: number for number, text in enumerate(texts)}
        made.append({"name": name, "texts": texts, "codes": [place[value] for value in values]})
    return made


def _confidence(found: TargetFindings, head: str) -> dict[str, list[float]]:
    if head != FUSED:
        return {}
    sure = np.nan_to_num(found.outcomes.confidence(head), nan=0.0)
    return {"confidence": [round(value, 3) for value in sure.tolist()]}


def write_page(findings: Findings, path: Path) -> Path:
    """Writes the page; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, page(findings))

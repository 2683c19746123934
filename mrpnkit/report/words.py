"""What was found, in plain words: the top of a report, for a reader who wants to know what to do."""

import json
import math
from collections.abc import Sequence

from mrpnkit.analysis import Cell, Fuzzy, Interference
from mrpnkit.build_adaptation import protocol_of
from mrpnkit.config import AdaptationConfig
from mrpnkit.mrpn import FUSED
from mrpnkit.report.findings import Findings, TargetFindings
from mrpnkit.train import conflict_share


def sentences(findings: Findings) -> list[str]:
    """A sentence a finding, the most important first; all targets with classes."""
    told = []
    chosen = findings.summary.config.get("adaptation")
    if chosen is not None:
        told.append(str(protocol_of(AdaptationConfig.model_validate_json(json.dumps(chosen)))))
    for severity in ("problem",):
        texts = [one["text"] for one in findings.audit.get("findings", []) if one["severity"] == severity]
        if texts:
            told.append(f"The audit of the split found what makes these results worthless: {texts[0]}")
    for found in findings.targets:
        prefix = f"{found.target}: " if len(findings.targets) > 1 else ""
        told += [prefix + text for text in about(found)]
    told += conflicts(findings)
    if not findings.data_found:
        told.append(
            "The data of the run are not where they were, or have changed: what needs them is left out (subsets of "
            "modalities, residuals, features), and samples have no names."
        )
    return told


def about(found: TargetFindings) -> list[str]:
    """About one target: accuracy, inferior cases, what modalities add, residuals, calibration."""
    outcomes = found.outcomes
    size = len(outcomes.labels)
    told = [f"The fusion is right on {_percent(outcomes.accuracy(FUSED))} of {size} samples that it was tested on."]
    if not outcomes.branches:
        told.append(
            "This network has no side scores, so that nothing can be said about its modalities; N1 and N2 have them, "
            "and runs of single modalities can be put beside it."
        )
        return told
    told += overall(found.interference)
    told += misleading(found.interference)
    told += inferior(found.interference)
    if found.worth is not None:
        told.append(_shares(found))
    if found.residuals is not None:
        told.append(_residuals(found))
    told += _calibrated(found)
    return told


def overall(interference: Interference) -> list[str]:
    """Does the fusion beat its best branch over all samples?"""
    cells = interference.on("all")
    if not cells:
        return []
    best = max(cells, key=lambda cell: cell.alone)
    gain = f"{100 * best.gain.value:+.1f} points ({_reach(best)})"
    if not best.established():
        return [f"The best single head is {best.branch}, {_percent(best.alone)}. The fusion differs by {gain}; that "
                "may be chance."]  # fmt: skip
    word = "worse" if best.inferior else "better"
    return [f"The fusion is {word} than its best single head, {best.branch} ({_percent(best.alone)}): {gain}."]


def misleading(interference: Interference) -> list[str]:
    """Which modality misleads where, and whether the fusion follows it: the interference of the paper."""
    cells = interference.misleading
    if not cells:
        return [f"No modality misleads by more than chance in any of {len(interference.fuzzy)} places looked at (the "
                "whole, classes, folds and groups, of each branch): nothing here is interference."]  # fmt: skip
    told = []
    for branch in dict.fromkeys(cell.branch for cell in cells):
        places = [cell for cell in cells if cell.branch == branch]
        shown = "; ".join(_misled(cell) for cell in places[:4])
        more = f"; and in {len(places) - 4} more places" if len(places) > 4 else ""
        told.append(f"{branch} misleads, so that it is worse than nothing: {shown}{more}.")
    followed = [cell for cell in cells if cell.followed()]
    if followed:
        shown = "; ".join(f"{_place(cell)}: {_percent(cell.fused)} against {_percent(cell.better)} of {cell.other}"
                          for cell in followed[:4])  # fmt: skip
        more = f"; and in {len(followed) - 4} more places" if len(followed) > 4 else ""
        told.append(f"There is interference: the fusion follows what misleads, and loses. {shown}{more}.")
    rest = [cell for cell in cells if not cell.followed()]
    if rest:
        shown = ", ".join(_place(cell) for cell in rest[:4]) + (f" and {len(rest) - 4} more places" * (len(rest) > 4))
        told.append(f"That the fusion loses by it to the best other branch is not established: {shown}.")
    return told


def inferior(interference: Interference) -> list[str]:
    """Where a single modality beats the fusion, whatever the cause."""
    cases = [cell for cell in interference.inferior_cases if cell.axis != "all"]
    if not cases:
        count = len([cell for cell in interference.cells if cell.axis != "all"])
        return [f"In none of {count} comparisons by class, group and fold a branch is better than the fusion by more "
                "than chance (McNemar's exact test, adjusted)."]  # fmt: skip
    shown = "; ".join(f"{_place(cell)}: {cell.branch} {_percent(cell.alone)} against {_percent(cell.fused)}"
                      for cell in cases[:4])  # fmt: skip
    more = f"; and {len(cases) - 4} more" if len(cases) > 4 else ""
    told = [
        f"A single head beats the fusion by more than chance in {len(cases)} "
        f"{'place' if len(cases) == 1 else 'places'}. {shown}{more}. Look at what the other modalities say on these "
        "samples: open a number in the interference table."
    ]
    misled = {(cell.axis, cell.value) for cell in interference.misleading}
    unexplained = [_place(cell) for cell in cases if (cell.axis, cell.value) not in misled]
    if unexplained:
        names = list(dict.fromkeys(unexplained))[:4]
        told.append(f"In {_and(names)} no modality is found to mislead: it may be that one of them alone can tell "
                    "there, and the fusion trusts the others too much.")  # fmt: skip
    return told


def conflicts(findings: Findings) -> list[str]:
    """How often the gradients pulled apart, over all folds that were recorded."""
    records = [record for fold in findings.gradients.values() for record in fold]
    if not records:
        return []
    shares = {name: conflict_share(records, name) for name in records[0].branches}
    shown = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items() if not math.isnan(share))
    return [f"Share of the recorded steps at which the fusion's gradient opposed the branch's own: {shown}."] * bool(
        shown
    )


def _shares(found: TargetFindings) -> str:
    worth = found.worth
    assert worth is not None
    total = sum(worth.shares.values())
    parts = [
        f"{name} {value:.2f} bits" + (f" ({100 * value / total:.0f} %)" if total > 0 and value >= 0 else "")
        for name, value in sorted(worth.shares.items(), key=lambda item: -item[1])
    ]
    harmful = [name for name, value in worth.shares.items() if value < 0]
    warning = f" {_and(harmful)} takes away more than it adds." if harmful else ""
    return f"Of {worth.entropy:.2f} bits that there are to know, the modalities add: {', '.join(parts)}.{warning}"


def _residuals(found: TargetFindings) -> str:
    residuals = found.residuals
    assert residuals is not None
    change = 100 * (residuals.accuracy("all") - residuals.accuracy("none"))
    sizes = ", ".join(f"{name} {residuals.size(name):.2f}" for name in residuals.ratio)
    return (
        f"The residual perceptrons change what the fusion reads by {sizes} of its length; with all of them switched "
        f"off, the accuracy changes by {change:+.1f} points."
    )


def _calibrated(found: TargetFindings) -> list[str]:
    fused = found.calibration[FUSED]
    if math.isnan(fused.ece):
        return []
    gap = sum(one.samples * (one.confidence - one.accuracy) for one in fused.bins) / fused.samples
    word = "surer than it should be" if gap > 0.02 else "about as sure as it should be"
    word = "less sure than it could be" if gap < -0.02 else word
    return [f"The fusion is {word}: its confidence misses its accuracy by {100 * fused.ece:.1f} points (ECE)."]


def _place(cell: Cell | Fuzzy) -> str:
    return f"{cell.axis} {cell.value}".strip()


def _misled(cell: Fuzzy) -> str:
    place = f"in {_place(cell)}" if cell.axis != "all" else "over all samples"
    elsewhere = "" if math.isnan(cell.elsewhere) else f", {_percent(cell.elsewhere)} elsewhere"
    return f"{place} ({_percent(cell.accuracy)} right{elsewhere}; {cell.information.value:+.2f} bits a sample)"


def _reach(cell: Cell) -> str:
    return f"95 % interval {100 * cell.gain.low:+.1f} to {100 * cell.gain.high:+.1f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

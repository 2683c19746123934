"""What was found, in plain words: the top of a report, for a reader who wants to know what to do."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mrpnkit.analysis import Cell, Fuzzy, Interference, paired_difference
from mrpnkit.analysis.differences import FEW_FOLDS, gains_of, mean_of_known
from mrpnkit.build_adaptation import protocol_of
from mrpnkit.config import AdaptationConfig
from mrpnkit.names import FUSED
from mrpnkit.report.findings import Findings, TargetFindings
from mrpnkit.targets import minimised
from mrpnkit.train import conflict_share


def sentences(findings: Findings) -> list[str]:
    """A sentence a finding, the most important first; of all targets, most about those with classes."""
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
    told += without_classes(findings)
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
        compared = f"p is {best.adjusted:.3f}" + (f", adjusted for {len(cells)} branches" if len(cells) > 1 else "")
        return [f"The best single head is {best.branch}, {_percent(best.alone)}. The fusion differs by {gain}; that "
                f"may be chance ({compared})."]  # fmt: skip
    word = "worse" if best.inferior else "better"
    return [f"The fusion is {word} than its best single head, {best.branch} ({_percent(best.alone)}): {gain}."]


def misleading(interference: Interference) -> list[str]:
    """Which modality misleads where, and whether the fusion follows it: the interference of the paper."""
    cells = interference.misleading
    if not cells:
        return [f"No modality misleads by more than chance in any of {len(interference.fuzzy)} places looked at (the "
                "whole, classes, folds and groups, of each branch): no interference is established."]  # fmt: skip
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
                "than chance (McNemar's exact test, and Student's t over groups where there are five or more; adjusted "
                "within each kind of comparison)."]  # fmt: skip
    shown = "; ".join(f"{_place(cell)}: {cell.branch} {_percent(cell.alone)} against {_percent(cell.fused)}"
                      for cell in cases[:4])  # fmt: skip
    more = f"; and {len(cases) - 4} more" if len(cases) > 4 else ""
    told = [
        f"A single head beats the fusion by more than chance in {len(cases)} "
        f"{'place' if len(cases) == 1 else 'places'}. {shown}{more}. Look at what the other modalities say on these "
        "samples: open a number in the interference table."
    ]
    habits = [cell for cell in cases if interference.habit(cell)]
    told += [_habit(interference, cell) for cell in habits[:4]]
    misled = {(cell.axis, cell.value) for cell in interference.misleading}
    unexplained = [_place(cell) for cell in cases if (cell.axis, cell.value) not in misled and cell not in habits]
    if unexplained:
        names = list(dict.fromkeys(unexplained))[:4]
        told.append(f"In {_and(names)} no modality is found to mislead: it may be that one of them alone can tell "
                    "there, and the fusion trusts the others too much.")  # fmt: skip
    return told


def without_classes(findings: Findings) -> list[str]:
    """About targets that are numbers or several labels: the fusion beside its best branch in their first metric."""
    folds = list(findings.summary.folds.values())
    judged = {found.target for found in findings.targets}
    first: dict[str, str] = {}
    for metric in folds[0]["metrics"]:
        target, slash, rest = metric.partition("/")
        if slash and target not in judged:
            first.setdefault(target, rest.rpartition("/")[2])
    told = [text for target, name in first.items() for text in over_folds(folds, target, name)]
    if first:
        told.append(
            "Places where a branch misleads or beats the fusion, calibration, and what each modality adds are looked "
            f"for where answers are classes, and not for {_and(list(first))}."
        )
    return told


def over_folds(folds: Sequence[Mapping[str, Any]], target: str, name: str) -> list[str]:
    """The fusion's metric, and whether it beats the best branch, paired over folds."""
    values: dict[str, list[float]] = {}
    for metric in folds[0]["metrics"]:
        if metric.startswith(f"{target}/") and metric.endswith(f"/{name}"):
            found = [fold["metrics"].get(metric) for fold in folds]
            values[metric.split("/")[1]] = [math.nan if value is None else value for value in found]
    fused = values.pop(FUSED)
    measured = sum(map(math.isfinite, fused))
    if not measured:
        return [f"{target}: {name} could not be measured in any fold."]
    told = f"{target}: {name} of the fusion is {mean_of_known(fused):.3f}, a mean over {_folds(measured)}."
    known = {head: mean_of_known(one) for head, one in values.items() if gains_of(fused, one)}
    if not known:
        return [f"{told} There are no side scores to compare it with."]
    less = minimised(f"{target}/{FUSED}/{name}")
    best = min(known, key=lambda head: known[head] if less else -known[head])
    gain, pairs = paired_difference(fused, values[best]), len(gains_of(fused, values[best]))
    reach = f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}" if math.isfinite(gain.low) else "no interval"
    difference = f"fusion − {best} is {gain.mean:+z.3f} ({reach}), paired over {_folds(pairs)}"
    verdict = "better" if (gain.mean < 0) == less else "worse"
    few = "; folds are few, and share training samples, so that the interval is too narrow" if pairs < FEW_FOLDS else ""
    sure = f"the fusion is {verdict} by more than chance{few}" if gain.established else "that may be chance"
    return [f"{told} The best single head is {best}, {known[best]:.3f}: {difference}; {sure}."]


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
    if total < 0:
        return (
            f"Of {worth.entropy:.2f} bits that there are to know, all modalities together tell {total:.2f}: less than "
            "the frequencies of the classes do. The network is badly calibrated, or trained too little, and what each "
            "modality adds cannot be said."
        )
    parts = [
        f"{name} {value:.2f} bits" + (f" ({100 * value / total:.0f} %)" if total > 0 and value >= 0 else "")
        for name, value in sorted(worth.shares.items(), key=lambda item: -item[1])
    ]
    told = (
        f"Of {worth.entropy:.2f} bits that there are to know, all modalities together tell {total:.2f}: "
        f"{', '.join(parts)}."
    )
    harmful = [name for name, interval in worth.intervals.items() if interval.high < 0]
    if harmful:
        told += f" {_and(harmful)} " + _verb(harmful, "takes away more than it adds.", "take away more than they add.")
    unsure = [name for name, value in worth.shares.items() if value < 0 and name not in harmful]
    if unsure:
        told += f" That {_and(unsure)} " + _verb(unsure, "adds", "add") + " less than nothing may be chance."
    return told


def _residuals(found: TargetFindings) -> str:
    residuals = found.residuals
    assert residuals is not None
    change = 100 * (residuals.accuracy("all") - residuals.accuracy("none"))
    sizes = ", ".join(f"{name} {residuals.size(name):.2f}" for name in residuals.ratio)
    return (
        f"The residual perceptrons change what the fusion reads by {sizes} of its length; with all of them switched "
        f"off, the accuracy changes by {change:+.1f} points."
    )


def _habit(interference: Interference, cell: Cell) -> str:
    fused, alone = interference.taken_elsewhere(cell)
    return (
        f"In {_place(cell)} {cell.branch} is right out of habit: it takes {_percent(alone)} of the samples of other "
        f"classes for {cell.value} too, the fusion {_percent(fused)}. It does not tell that class better."
    )


def _calibrated(found: TargetFindings) -> list[str]:
    fused = found.calibration[FUSED]
    if math.isnan(fused.ece):
        return []
    gap = sum(one.samples * (one.confidence - one.accuracy) for one in fused.bins) / fused.samples
    word = "surer than it should be" if gap > 0.02 else "about as sure as it should be"
    word = "less sure than it could be" if gap < -0.02 else word
    return [
        f"The fusion is {word} on average: confidence − accuracy is {100 * gap:+z.1f} points. In bins of confidence "
        f"they differ by {100 * fused.ece:.1f} points (ECE); chance alone would make it about "
        f"{100 * fused.by_chance():.1f} of {fused.samples} samples."
    ]


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


def _verb(names: Sequence[str], of_one: str, of_several: str) -> str:
    return of_one if len(names) == 1 else of_several


def _folds(count: int) -> str:
    return "one fold" if count == 1 else f"{count} folds"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""Several runs beside each other: means, paired differences, a ranking that says what is not established; a page."""

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.analysis import Difference, paired_difference
from mrpnkit.analysis.differences import FEW_FOLDS
from mrpnkit.analysis.ranking import Rank, ranking
from mrpnkit.errors import RunError
from mrpnkit.names import FUSED
from mrpnkit.records import read_json, write_text
from mrpnkit.report import drawing
from mrpnkit.report.drawing import Line
from mrpnkit.report.pairing import Origin, check_pairs, origin_of_ablation, origin_of_run
from mrpnkit.report.tables import Table, write_tables
from mrpnkit.runs import RESULTS, RUN, Run
from mrpnkit.targets import minimised

PAGE, TABLES = "index.html", "tables"


class Compared(NamedTuple):
    """Values of the fusion's metrics by variant, metric and fold (a mean over seeds); the folds by number.

    A value that was not measured is NaN. ``protocols`` says of the variants that are adapted to groups how; ``notes``
    say what could not be checked of the folds.
    """

    values: dict[str, dict[str, list[float]]]
    folds: list[int]
    protocols: dict[str, str]
    notes: list[str]

    @property
    def metrics(self) -> list[str]:
        """Those that every variant has, in the order of the first."""
        first, *others = self.values.values()
        return [metric for metric in first if all(metric in one for one in others)]

    def ranked(self, metric: str) -> list[Rank]:
        """The variants by their mean of a metric, the best first."""
        return ranking({name: one[metric] for name, one in self.values.items()}, less_is_better=minimised(metric))

    def difference(self, first: str, second: str, metric: str) -> Difference:
        """Paired over folds, first − second."""
        return paired_difference(self.values[first][metric], self.values[second][metric])


def is_ablation(folder: Path) -> bool:
    """Whether a folder holds an ablation and not a single run."""
    return not (folder / RUN).is_file() and (folder / RESULTS).is_file()


def compare(folders: Sequence[str | Path]) -> Compared:
    """Reads runs, and ablations with all of their variants; only folds that all have are compared.

    Raises:
        RunError: no run, no finished fold in common, folds of another split, or other samples.
    """
    found: dict[str, dict[str, dict[int, float]]] = {}
    origins: list[Origin] = []
    protocols: dict[str, str] = {}
    for folder in map(Path, folders):
        if is_ablation(folder):
            content = read_json(folder / RESULTS)
            origins.append(origin_of_ablation(folder, content))
            for name, one in content.get("variants", {}).items():
                called = one["label"] if one["label"] not in found else f"{folder.name}: {one['label']} ({name})"
                found[called] = {
                    metric: dict(zip(content["folds"], map(_value, values), strict=True))
                    for metric, values in one["folds"].items()
                }
                if "protocol" in content:
                    protocols[called] = content["protocol"]
            continue
        run = Run.open(folder)
        called = folder.name if folder.name not in found else str(folder)
        finished = run.finished()
        origins.append(origin_of_run(run, finished))
        for number, fold in finished.items():
            for metric, value in fold["metrics"].items():
                if f"/{FUSED}/" in metric:
                    found.setdefault(called, {}).setdefault(metric, {})[number] = _value(value)
            if "adaptation" in fold:
                protocols[called] = fold["adaptation"]["protocol"]
    notes = check_pairs(origins)
    common = set.intersection(*(set(at) for one in found.values() for at in one.values())) if found else set()
    if not common:
        raise RunError("The runs have no finished fold in common; nothing can be compared.")
    folds = sorted(common)
    return Compared(
        {name: {metric: [at[n] for n in folds] for metric, at in one.items()} for name, one in found.items()},
        folds,
        {name: told for name, told in protocols.items() if name in found},
        notes,
    )


def comparison_tables(compared: Compared) -> list[Table]:
    """For each metric: the ranking, and the values of every fold."""
    made = []
    for metric in compared.metrics:
        name = metric.replace("/", "_")
        rows = [rank.plain() for rank in compared.ranked(metric)]
        caption = f"{metric}: variants in order; 'not established' where the difference to the first may be chance"
        made.append(Table.of(f"{name}_ranking", caption, rows))
        folds = [
            {"variant": variant}
            | {f"fold {n}": v if math.isfinite(v) else None for n, v in zip(compared.folds, one[metric], strict=True)}
            for variant, one in compared.values.items()
        ]
        made.append(Table.of(f"{name}_folds", f"{metric}: every fold", folds))
        made.append(
            Table.of(
                f"{name}_differences",
                f"{metric}: row − column, a mean over folds; * where the 95 % interval of that pair alone excludes "
                "zero, not adjusted for the number of pairs",
                matrix(compared, metric),
            )
        )
    return made


def matrix(compared: Compared, metric: str) -> list[dict[str, Any]]:
    """Mean differences of every pair, with a star where the 95 % interval excludes zero."""
    rows = []
    for first in compared.values:
        row: dict[str, Any] = {"variant": first}
        for second in compared.values:
            if first == second:
                row[second] = None
                continue
            found = compared.difference(first, second, metric)
            row[second] = (
                None if math.isnan(found.mean) else f"{found.mean:+z.3f}" + (" *" if found.established else "")
            )
        rows.append(row)
    return rows


def in_words(compared: Compared, metric: str) -> list[str]:
    """Which is first, which others may be as good, which are worse by more than chance, and which were not measured."""
    ranks = compared.ranked(metric)
    open_, worse, without = (
        [rank.name for rank in ranks if rank.verdict == verdict]
        for verdict in ("not established", "behind", "not measured")
    )
    told = []
    if ranks[0].folds:
        told.append(f"{metric}: {ranks[0].name} is first, {ranks[0].mean:.3f} on average over {ranks[0].folds} folds.")
    if open_:
        told.append(f"Not established: whether it is better than {', '.join(open_)}.")
    if worse:
        told.append(f"Behind it by more than chance: {', '.join(worse)}.")
    few = [f"{rank.name} ({rank.folds})" for rank in ranks if 0 < rank.folds < len(compared.folds)]
    if few:
        told.append(f"Measured in fewer than {len(compared.folds)} folds: {', '.join(few)}; the others do not count.")
    if without:
        told.append(f"{metric} could not be measured in any fold of {', '.join(without)}.")
    return told


def told_apart(compared: Compared) -> list[str]:
    """What is to be said where variants are adapted to groups: how, and whether others are not."""
    told = []
    for protocol in dict.fromkeys(compared.protocols.values()):
        names = [name for name in compared.values if compared.protocols.get(name) == protocol]
        told.append(f"{', '.join(names)}: {protocol}")
    if told and (len(set(compared.protocols.values())) > 1 or set(compared.protocols) != set(compared.values)):
        told.append("The variants were not tested by one protocol; differences between them are not of the networks.")
    return told


def write_comparison(folders: Sequence[str | Path], out: str | Path) -> list[Path]:
    """Writes a comparison page, where jinja2 is installed, and its tables as CSV and LaTeX. Returns the files."""
    compared = compare(folders)
    out = Path(out)
    tables = comparison_tables(compared)
    written = write_tables(tables, out / TABLES)
    if importlib.util.find_spec("jinja2") is not None:
        written.insert(0, write_text(out / PAGE, page(compared, tables)))
    return written


def page(compared: Compared, tables: Sequence[Table]) -> str:
    """The page: words, then for each metric a figure of the folds and the tables."""
    from mrpnkit.report.rendering import Section, joined, part, render, row, safe

    names = list(compared.values)
    first = {metric.split("/")[0]: metric for metric in reversed(compared.metrics)}  # of each target
    said = (text for metric in compared.metrics if metric in first.values() for text in in_words(compared, metric))
    words = [*told_apart(compared), *compared.notes, *said]
    note = (
        "Differences are paired over folds, with Student's t; p is adjusted for the number of comparisons with the "
        "first (Holm), intervals and stars are not. Folds share training samples, so that intervals are, "
        "if anything, too narrow."
    )
    if len(compared.folds) < FEW_FOLDS:
        note += " With so few folds they are much too narrow at times: what is established is a hint."
    sections = [Section("summary", "In plain words", joined([part("words", [*words, note])]))]
    for place, metric in enumerate(compared.metrics):
        series = [
            Line(name, [float(n) for n in compared.folds], compared.values[name][metric], colour=number)
            for number, name in enumerate(names)
        ]
        svg = drawing.lines(series, x_label="fold", y_label=metric.split("/")[-1], title=f"{metric} over folds")
        mine = [table for table in tables if table.name.startswith(f"{metric.replace('/', '_')}_")]
        figure = part("figure", safe(svg), f"{metric} of every fold")
        body = joined([safe(drawing.legend(names)), row([figure]), *(part("table", table) for table in mine)])
        sections.append(Section(f"metric-{place}", metric, body))
    return render("Comparison", f"{len(names)} variants on {len(compared.folds)} folds", sections)


def _value(value: float | None) -> float:
    """As a number; JSON has no word for NaN."""
    return math.nan if value is None else value

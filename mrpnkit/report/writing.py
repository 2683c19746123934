"""What `mrpnkit report` writes: text, figures as JSON and drawn, the page, and its tables as CSV and LaTeX."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from mrpnkit.records import write_json, write_text
from mrpnkit.report.findings import find
from mrpnkit.report.found_tables import tables
from mrpnkit.report.summary import DATA, FOLDER, TEXT, as_text, draw_curves, read_summary
from mrpnkit.report.tables import write_tables

PAGE, TABLES = "index.html", "tables"


def write_report(
    folder: str | Path,
    *,
    beside: Mapping[str, str | Path] | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
) -> list[Path]:
    """Writes ``report/`` into a run's folder, or the same elsewhere; returns the files.

    ``summary.md`` and ``summary.json`` are always there. Curves as PNG need matplotlib, the page ``index.html`` needs
    jinja2 and a finished fold, and so do the tables.

    Args:
        folder: of the run.
        beside: other runs on the same data and folds by the name of the head that they become, such as
            ``{"audio alone": "runs/only_audio"}``.
        cluster: the column whose samples belong together in intervals and tests; by default that of the folds.
        out: the folder that is written; by default ``report`` in that of the run.

    Raises:
        RunError: no run, or nothing trained in it yet.
        InputError: runs that cannot be compared, or no such column.
    """
    summary, place = read_summary(folder), Path(folder) / FOLDER if out is None else Path(out)
    findings = find(folder, beside=beside, cluster=cluster) if summary.folds else None
    written = [write_json(place / DATA, {**summary._asdict()})]
    drawn = draw_curves(summary, place) if importlib.util.find_spec("matplotlib") is not None else []
    text = write_text(place / TEXT, as_text(summary, drawn))
    if findings is not None:
        if importlib.util.find_spec("jinja2") is not None:
            from mrpnkit.report.page import write_page

            written.append(write_page(findings, place / PAGE))
        written += write_tables(tables(findings), place / TABLES)
    return [text, *written, *drawn]

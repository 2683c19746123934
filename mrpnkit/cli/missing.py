"""The command that takes modalities away: ``robustness``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mrpnkit.cli.given import numbers_of, open_data, rates_of
from mrpnkit.cli.running import Folds, RunFolder
from mrpnkit.cli.screen import console, say
from mrpnkit.errors import InputError, RunError
from mrpnkit.wording import nearest


def robustness(
    run: RunFolder,
    part: Annotated[
        Literal["train", "validation", "test"], typer.Option("--part", help="Which part of each fold.")
    ] = "test",
    folds: Folds = None,
    rates: Annotated[
        str | None,
        typer.Option("--rates", metavar="RATE,…", help="Of missing modalities; default: 0,0.1,…,0.9.",
                     show_default=False),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often samples are drawn at a rate.")] = 3,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="What tables and figures show; default: each target's first.",
                     show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Other data, which are judged whole.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; default: RUN/robustness.", show_default=False)
    ] = None,
) -> None:  # fmt: skip
    """Judge a run's test parts without modalities: every subset of them, and some missing at random.

    Nothing is trained. Writes robustness.json, robustness.csv and, with the extra `report`, a figure for each target.

    Examples:
    `mrpnkit robustness runs/first`

    `mrpnkit robustness runs/first --rates 0,0.25,0.5 --metric uar --out missing`
    """
    import numpy as np

    from mrpnkit.build import build_corpus, build_folds
    from mrpnkit.cli.tables import robustness_tables
    from mrpnkit.names import FUSED
    from mrpnkit.robustness import FOLDER, RATES, metrics_named, robustness_of, write_robustness
    from mrpnkit.runs import Run

    opened = Run.open(run)
    chosen = RATES if rates is None else rates_of(rates)
    numbers = numbers_of(folds, sorted(opened.finished()), run)
    if not numbers:
        raise RunError(f"{run} has no finished fold yet; `mrpnkit train` goes on with it.")
    measured = opened.finished()[numbers[0]]["metrics"]
    known = sorted({name.rpartition("/")[2] for name in measured if f"/{FUSED}/" in name})
    if metric is not None and metric not in known:
        raise InputError(f"There is no metric {metric!r}{nearest(metric, known)} There are {', '.join(known)}.")
    if data is not None:
        corpus = open_data(data, opened)
        rows = {number: np.arange(len(corpus)) for number in numbers}
    else:
        corpus = build_corpus(opened.config, opened.base)
        opened.check_corpus(corpus)
        split = build_folds(opened.config, corpus)
        rows = {number: getattr(split[number - 1], part) for number in numbers}
    found = robustness_of(opened, corpus, rows, rates=chosen, repeats=repeats, say=say)
    for shown in metrics_named(found, metric):
        for made in robustness_tables(found, shown):
            console().print(made)
    for path in write_robustness(found, out or run / FOLDER, metric=metric):
        say(f"Written to {path}.")

"""Commands that look at a configuration or a run without training: ``check`` and ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from mrpnkit.cli.given import config_of, lengths_of
from mrpnkit.cli.running import Changes, ConfigFile
from mrpnkit.cli.screen import console, say
from mrpnkit.errors import InputError

FOUND = 1


def check(
    config: ConfigFile,
    changes: Changes = None,
    data: Annotated[bool, typer.Option("--data", help="Also audit the split; reads all steps once.")] = False,
    lengths: Annotated[
        list[str] | None,
        typer.Option("--length", metavar="MODALITY=STEPS", help="Of a sample; default: the median. May be repeated."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=2, help="Default: training.batch_size.", show_default=False)
    ] = None,
) -> None:
    """Validate a configuration, build it, and show its parts and what a step costs; nothing is trained or written.

    Of each target it shows what its labels are taken for, and how many samples each class has.

    With --data the split is audited: groups and equal samples on both sides, classes that a part lacks. The exit code
    is 1 if something would make the result worthless.

    Examples:
    `mrpnkit check run.toml`

    `mrpnkit check run.toml --length audio=300 --length video=90 --batch-size 16`

    `mrpnkit check run.toml --data`
    """
    import torch
    from accelerate.utils import set_seed

    from mrpnkit.build import (
        build_corpus,
        build_folds,
        build_model,
        build_objective,
        build_optimizer,
        build_scheduler,
        check_steering,
        warn_of_random_folds,
    )
    from mrpnkit.build_adaptation import adaptation_findings, as_networks_read
    from mrpnkit.cli.labels import label_lines
    from mrpnkit.cli.tables import cost_lines, parts_table
    from mrpnkit.cost import check_lengths, example_batch, parts_of, step_cost, usual_lengths
    from mrpnkit.data.audit import audit
    from mrpnkit.experiment import fold_numbers, name_of
    from mrpnkit.watching import owners_of

    chosen, base = config_of(config, changes)
    asked = lengths_of(lengths)
    corpus = build_corpus(chosen, base)
    folds = build_folds(chosen, corpus)
    warn_of_random_folds(chosen, corpus)
    set_seed(chosen.training.seed)
    read = as_networks_read(chosen, corpus)
    model, objective = build_model(chosen, read), build_objective(chosen, corpus)
    check_lengths(model, asked)
    screen = console()
    screen.print(f"{config}: {corpus}", markup=False, soft_wrap=True)
    numbers = fold_numbers(chosen, folds)
    for number in numbers:
        fold = folds[number - 1]
        sizes = f"{len(fold.train)} to train, {len(fold.validation)} to validate, {len(fold.test)} to test"
        screen.print(f"  fold {number}: {sizes}; tests {name_of(fold)}", markup=False, soft_wrap=True)
    for name, target in objective.targets.items():
        target.check(corpus.labels(name), name)
    for line in label_lines(chosen, corpus):
        screen.print(f"  {line}", markup=False, soft_wrap=True)
    steps = -(-len(folds[numbers[0] - 1].train) // chosen.training.batch_size)
    build_scheduler(chosen, build_optimizer(chosen, model), steps * chosen.training.epochs)
    size = batch_size or max(2, chosen.training.batch_size)
    used = {**usual_lengths(corpus, model.branches), **asked}
    inputs = example_batch(read, {name: used[name] for name in model.branches}, size)
    owners = owners_of(chosen)
    screen.print(parts_table(parts_of(model, inputs, owners=owners)))
    if torch.cuda.is_available():
        model = model.cuda()
        inputs = {name: type(value)(value.steps.cuda(), value.lengths.cuda()) for name, value in inputs.items()}
    bfloat16 = chosen.training.precision == "bfloat16"
    cost = step_cost(model, objective, inputs, bfloat16=bfloat16, owners=owners)
    check_steering(objective, model)
    for line in [*cost_lines(cost, steps), f"{config} is valid."]:
        screen.print(line, markup=False, soft_wrap=True)
    if not data:
        return
    found = audit(
        corpus,
        {number: folds[number - 1] for number in numbers},
        targets=list(objective.targets),
        modalities=list(model.branches),
        group=chosen.folds.group if chosen.folds.test is None or chosen.folds.validation else None,
        stratum=chosen.folds.stratum,
    )
    findings = [*found, *adaptation_findings(chosen)]
    for finding in findings:
        screen.print(f"{finding.severity}: {finding.text}", markup=False, soft_wrap=True)
    if any(finding.severity == "problem" for finding in findings):
        raise typer.Exit(FOUND)
    say("The split is sound: nothing was found that makes a result worthless.")


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folder of a run; several, or an ablation, are compared.")
    ],
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="NAME=RUN", help="Another run as a further head, such as a modality alone."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="Column of one run whose samples belong together; default: that of the folds."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder that is written; default: RUN/report, or runs/comparison.")
    ] = None,
) -> None:
    """Write a run's report: where fusion loses to a single modality and why, and everything that was measured.

    The report of one run stands in RUN/report, or in --out: the page index.html, which is one file and works offline,
    the text summary.md, summary.json, every table as CSV and LaTeX, and curves as PNG. The page needs the extra
    `report`. With several runs of the same data and folds, a page compares them.

    Examples:
    `mrpnkit report runs/first`

    `mrpnkit report runs/first --beside "face alone=runs/only_face"`

    `mrpnkit report runs/first runs/second --out runs/first_and_second`
    """
    from mrpnkit.cli.given import named_runs
    from mrpnkit.report.comparison import is_ablation, write_comparison
    from mrpnkit.report.writing import PAGE, write_report

    if len(runs) == 1 and not is_ablation(runs[0]):
        written = write_report(runs[0], beside=named_runs(beside), cluster=cluster, out=out)
    elif beside or cluster is not None:
        option = "--beside" if beside else "--cluster"
        raise InputError(
            f"{option} goes with one run; several runs, or an ablation, are compared over folds as they are."
        )
    else:
        default = runs[0] / "report" if len(runs) == 1 else Path("runs") / "comparison"
        written = write_comparison(runs, out or default)
    for path in written:
        typer.echo(str(path))
    if not any(path.name == PAGE for path in written):
        say('There is no page: it needs a finished fold, and pip install "mrpnkit[report]".')

"""Commands that look at a configuration or a run without training: ``check`` and ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from mrpnkit.cli.given import config_of, lengths_of
from mrpnkit.cli.running import Changes, ConfigFile
from mrpnkit.cli.screen import console, say

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

    With --data the split is audited: groups and equal samples on both sides, classes that a part lacks. The exit code
    is 1 if something would make the result worthless.

    Examples:
    `mrpnkit check run.toml`

    `mrpnkit check run.toml --length audio=300 --length video=90 --batch-size 16`

    `mrpnkit check run.toml --data`
    """
    import torch
    from accelerate.utils import set_seed

    from mrpnkit.build import build_corpus, build_folds, build_model, build_objective, build_optimizer, build_scheduler
    from mrpnkit.cli.tables import cost_lines, parts_table
    from mrpnkit.cost import check_lengths, example_batch, parts_of, step_cost, usual_lengths
    from mrpnkit.data.audit import audit
    from mrpnkit.experiment import fold_numbers, name_of

    chosen, base = config_of(config, changes)
    asked = lengths_of(lengths)
    corpus = build_corpus(chosen, base)
    folds = build_folds(chosen, corpus)
    set_seed(chosen.training.seed)
    model, objective = build_model(chosen, corpus), build_objective(chosen, corpus)
    check_lengths(model, asked)
    screen = console()
    screen.print(f"{config} is valid: {corpus}", markup=False, soft_wrap=True)
    numbers = fold_numbers(chosen, folds)
    for number in numbers:
        fold = folds[number - 1]
        sizes = f"{len(fold.train)} to train, {len(fold.validation)} to validate, {len(fold.test)} to test"
        screen.print(f"  fold {number}: {sizes}; tests {name_of(fold)}", markup=False, soft_wrap=True)
    for name, target in objective.targets.items():
        target.check(corpus.labels(name), name)
    steps = -(-len(folds[numbers[0] - 1].train) // chosen.training.batch_size)
    build_scheduler(chosen, build_optimizer(chosen, model), steps * chosen.training.epochs)
    size = batch_size or max(2, chosen.training.batch_size)
    used = {**usual_lengths(corpus, model.branches), **asked}
    inputs = example_batch(corpus, {name: used[name] for name in model.branches}, size)
    screen.print(parts_table(parts_of(model, inputs)))
    if torch.cuda.is_available():
        model = model.cuda()
        inputs = {name: type(value)(value.steps.cuda(), value.lengths.cuda()) for name, value in inputs.items()}
    bfloat16 = chosen.training.precision == "bfloat16"
    for line in cost_lines(step_cost(model, objective, inputs, bfloat16=bfloat16), steps):
        screen.print(line, markup=False, soft_wrap=True)
    if not data:
        return
    findings = audit(
        corpus,
        {number: folds[number - 1] for number in numbers},
        targets=list(objective.targets),
        modalities=list(model.branches),
        group=chosen.folds.group if chosen.folds.test is None or chosen.folds.validation else None,
        stratum=chosen.folds.stratum,
    )
    for finding in findings:
        screen.print(f"{finding.severity}: {finding.text}", markup=False, soft_wrap=True)
    if any(finding.severity == "problem" for finding in findings):
        raise typer.Exit(FOUND)
    say("The split is sound: nothing was found that makes a result worthless.")


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]) -> None:
    """Write a run's report: what was trained, learning curves, metrics of fusion and branches for each fold.

    The report stands in RUN/report: summary.md, summary.json and, with the extra `report`, curves as PNG.

    Examples:
    `mrpnkit report runs/first`
    """
    from mrpnkit.report.summary import write_report

    written = write_report(run)
    for path in written:
        typer.echo(str(path))
    if not any(path.suffix == ".png" for path in written):
        say('No curves were drawn: pip install "mrpnkit[report]" brings matplotlib.')

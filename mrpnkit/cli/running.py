"""Commands that run networks: ``train``, ``evaluate``, ``ablate`` and ``extract``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from mrpnkit.cli.given import config_of, enrolment_in, numbers_of, open_data
from mrpnkit.cli.screen import console, print_protocol, say
from mrpnkit.errors import InputError, RunError

STOPPED = 3

ConfigFile = Annotated[Path, typer.Argument(metavar="RUN.TOML", help="The configuration.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; VALUE as in TOML. May be repeated."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the run; default: runs/NAME of RUN.TOML.", show_default=False)
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
Cpu = Annotated[bool, typer.Option("--cpu", help="Stay on the CPU although there is an accelerator.")]
Enrolled = Annotated[
    Path | None,
    typer.Option("--enrolled", metavar="FILE", help="Groups that `enrol` measured, for a run with adaptation.",
                 show_default=False),
]  # fmt: skip
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="NAME", help="The enrolled group of all samples; default: the run's column.",
                 show_default=False),
]  # fmt: skip
Folds = Annotated[
    list[int] | None, typer.Option("--fold", min=1, help="Which folds, from 1; default: all that are finished.")
]


def train(config: ConfigFile, changes: Changes = None, out: Out = None, cpu: Cpu = False) -> None:
    """Train and test a configuration on each of its folds.

    A fold that is finished is skipped and one that was interrupted goes on: the same command takes up a run where it
    was stopped. A folder that holds a run of another configuration is refused.

    Examples:
    `mrpnkit train run.toml`

    `mrpnkit train run.toml --set training.epochs=5 --set 'folds.only=[1]' --out runs/trial`

    `torchrun --nproc_per_node 2 -m mrpnkit train run.toml`
    """
    from mrpnkit.build import build_corpus
    from mrpnkit.build_adaptation import protocol_of
    from mrpnkit.cli.labels import SHORT, label_lines
    from mrpnkit.cli.tables import folds_table
    from mrpnkit.experiment import kept_at_the_end, run_experiment
    from mrpnkit.runs import is_first_process

    chosen, base = config_of(config, changes)
    folder = out or Path("runs") / config.stem
    with _stoppable(folder):
        corpus = build_corpus(chosen, base)
        for line in label_lines(chosen, corpus, most=SHORT):
            say(line)
        bar = sys.stderr.isatty()
        found = run_experiment(chosen, folder, base=base, corpus=corpus, say=say, progress_bar=bar, cpu=cpu)
    if is_first_process():
        for target in chosen.targets or dict.fromkeys(
            metric.split("/")[0] for metric in found.summary() if "/" in metric
        ):
            console().print(folds_table(found, target))
        print_protocol(protocol_of(chosen.adaptation))
        late = kept_at_the_end(found) if chosen.training.keep == "best" else None
        if late is not None:
            say(late)
        say(f"Everything stands in {folder}; the figures in {folder / 'results.json'}.")


def evaluate(
    run: RunFolder,
    part: Annotated[
        Literal["train", "validation", "test"], typer.Option("--part", help="Which part of each fold.")
    ] = "test",
    folds: Folds = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Other data, which are evaluated whole.", show_default=False)
    ] = None,
    enrolled: Enrolled = None,
    group: Group = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the metrics to this JSON file.", show_default=False)
    ] = None,
) -> None:
    """Evaluate a run's networks on a part of their folds, or on other data.

    DATA is a corpus folder, a .npz or .safetensors file, or a TOML file with a table [dataset]. Of a run with
    adaptation, parts of the folds are normalised as in training; in other data, groups are known that were enrolled.

    Examples:
    `mrpnkit evaluate runs/first --part validation`

    `mrpnkit evaluate runs/first --data other_corpus --fold 1 --out other.json`
    """
    import numpy as np

    from mrpnkit.adapted import groups_in, protocol_with
    from mrpnkit.build import build_corpus, build_folds
    from mrpnkit.cli.tables import folds_table
    from mrpnkit.experiment import Experiment, finite
    from mrpnkit.predict import evaluate_corpus
    from mrpnkit.records import write_json
    from mrpnkit.runs import Run

    opened = Run.open(run)
    numbers = numbers_of(folds, sorted(opened.finished()), run)
    if not numbers:
        raise RunError(f"{run} has no finished fold yet; `mrpnkit train` goes on with it.")
    if data is None and (enrolled is not None or group is not None):
        raise InputError("--enrolled and --group go with --data; parts of the folds are normalised as in training.")
    if data is not None:
        corpus = open_data(data, opened)
        rows = {number: np.arange(len(corpus)) for number in numbers}
    else:
        corpus = build_corpus(opened.config, opened.base)
        opened.check_corpus(corpus)
        split = build_folds(opened.config, corpus)
        rows = {number: getattr(split[number - 1], part) for number in numbers}
    groups = groups_in(opened, corpus, enrolment=enrolment_in(enrolled), group=group)
    names = {number: "all of it" if data is not None else opened.finished()[number]["name"] for number in numbers}
    found = {
        number: {
            "name": names[number],
            "selected_epoch": opened.finished()[number]["selected_epoch"],
            "metrics": evaluate_corpus(opened, number, corpus, rows[number], groups=groups).metrics,
        }
        for number in numbers
    }
    experiment = Experiment(run, found)
    what = str(data) if data is not None else f"{part} parts"
    for target in dict.fromkeys(metric.split("/")[0] for metric in experiment.summary() if "/" in metric):
        console().print(folds_table(experiment, target, title=f"{target} on {what}"))
    protocol = protocol_with(opened.config, groups)
    print_protocol(protocol)
    if out is not None:
        content: dict[str, Any] = {"run": str(run), "on": what}
        if groups is not None:
            content["protocol"] = protocol
            content["enrolled"] = str(enrolled) if enrolled is not None else None
        content |= {"folds": {str(n): finite(f) for n, f in found.items()}, "summary": experiment.summary()}
        write_json(out, content)
        say(f"Written to {out}.")


def ablate(
    config: ConfigFile,
    changes: Changes = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder; default: runs/NAME-ablation of RUN.TOML.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many, from training.seed on.")] = 1,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Of the fusion: what the tables show; default: each target's first."),
    ] = None,
    fusions: Annotated[
        list[str] | None, typer.Option("--fusion", help="A further fusion, as `list` names it. May be repeated.")
    ] = None,
    balancers: Annotated[
        list[str] | None, typer.Option("--balancer", help="A further balancer, tried with each fusion. Likewise.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Folds that are trained at once.")] = 1,
    cpu: Cpu = False,
) -> None:
    """Compare every modality alone with N0, N1 and N2: equal budget, the same folds and seeds.

    Prints means and spreads, paired differences with 95 % intervals, and a ranking that says which differences are not
    established. The same command goes on where it was stopped. `mrpnkit report FOLDER` makes a page of it.

    Examples:
    `mrpnkit ablate run.toml`

    `mrpnkit ablate run.toml --seeds 3 --metric uar --out runs/comparison --workers 4`

    `mrpnkit ablate run.toml --fusion gmu --fusion film --balancer uncertainty`
    """
    from mrpnkit.ablation import check_folder, run_ablation
    from mrpnkit.build_adaptation import protocol_of
    from mrpnkit.cli.tables import ablation_tables
    from mrpnkit.runs import is_first_process
    from mrpnkit.targets import KINDS

    known = {kind: target.metric_names for kind, target in KINDS.items()}
    if metric is not None and not any(metric in names for names in known.values()):
        listed = "; ".join(f"{kind} has {', '.join(names)}" for kind, names in known.items())
        raise InputError(f"--metric {metric}: there is no such metric; {listed}.")
    chosen, base = config_of(config, changes)
    folder = out or Path("runs") / f"{config.stem}-ablation"
    check_folder(folder)
    with _stoppable(folder):
        found = run_ablation(
            chosen,
            folder,
            base=base,
            seeds=seeds,
            fusions=fusions or (),
            balancers=balancers or (),
            workers=workers,
            say=say,
            progress_bar=sys.stderr.isatty(),
            cpu=cpu,
        )
    if is_first_process():
        for name in found.metrics(metric):
            for shown in ablation_tables(found, name):
                console().print(shown)
        print_protocol(protocol_of(chosen.adaptation))
        say(f"Everything stands in {folder}; the figures in {folder / 'results.json'}.")


def extract(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, or a configuration.", show_default=False)
    ],
    data: Annotated[
        Path | None,
        typer.Argument(help="As for `predict`; default: the data set of the configuration.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The corpus folder to make.", show_default=False)] = None,
    changes: Changes = None,
    fold: Annotated[int | None, typer.Option("--fold", min=1, help="Whose network; default: the first one.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Samples at once.")] = 16,
    cpu: Cpu = False,
) -> None:
    """Run the extractors of all branches over a data set once, and write their outputs as a corpus.

    Trained on that corpus with the extractor `identity`, aggregators and fusion learn what they would have learned
    behind frozen extractors, at a fraction of the cost. Several processes share the work.

    Examples:
    `mrpnkit extract run.toml --out features`

    `mrpnkit extract runs/first new_corpus --out features --fold 2`

    `torchrun --nproc_per_node 2 -m mrpnkit extract run.toml --out features`
    """
    from accelerate.utils import set_seed

    from mrpnkit.adapted import adapted, groups_in
    from mrpnkit.build import build_corpus, build_model
    from mrpnkit.extraction import extract_corpus
    from mrpnkit.predict import fit_corpus, trained_model
    from mrpnkit.runs import Run, is_first_process

    if out is None:
        raise InputError("extract needs --out FOLDER, the corpus to make.")
    if source.is_dir():
        if changes:
            raise InputError("--set changes a configuration; a run's is settled.")
        opened = Run.open(source)
        settled, base = opened.config, opened.base
        number = fold or min(opened.finished(), default=1)
        corpus = build_corpus(settled, base) if data is None else open_data(data, opened)
        model, whose = trained_model(opened, number), groups_in(opened, corpus)
        corpus = fit_corpus(corpus, opened.corpus_like(), list(model.branches), labels="as they are")
        corpus = adapted(opened, number, corpus, whose)
    else:
        if fold is not None:
            raise InputError("--fold chooses a network of a run; a configuration has none yet.")
        settled, base = config_of(source, changes)
        if settled.adaptation is not None:
            raise InputError("Statistics of [adaptation] are those of a fold: train, and give the run to extract.")
        corpus = build_corpus(settled, base) if data is None else open_data(data)
        set_seed(settled.training.seed)
        model = build_model(settled, corpus)
        parts = {name: cast("Any", branch).extractor for name, branch in model.branches.items()}
        bare = [name for name, part in parts.items() if any(p.requires_grad for p in part.parameters())]
        if bare and is_first_process():
            say(f"Extractors that are not frozen: {', '.join(bare)}. They stay as built; trained ones are a run's.")
        number = 0
    extractors = {name: branch.extractor.model_dump(mode="json") for name, branch in settled.branches.items()}
    about = {"extracted_by": extractors, "source": source.name, "fold": number, "seed": settled.training.seed}
    made = extract_corpus(model, corpus, out, batch_size=batch_size, about=about, cpu=cpu)
    say(f"{len(corpus)} samples written to {made}.")


@contextmanager
def _stoppable(folder: Path) -> Iterator[None]:
    """Ctrl-C leaves with the code of a training that stopped, and says how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"Stopped. The same command goes on with {folder}.")
        raise typer.Exit(STOPPED) from None

"""Commands for samples that nobody has judged: ``enrol``, which gets to know a group, and ``predict``."""

from pathlib import Path
from typing import Annotated

import typer

from mrpnkit.cli.given import enrolment_in, open_data
from mrpnkit.cli.running import Enrolled, Folds, Group, RunFolder
from mrpnkit.cli.screen import say
from mrpnkit.errors import InputError

ENROLLED = "enrolled.npz"
KINDS = "A corpus folder, a .npz or .safetensors file, or a TOML file with [dataset]; labels are not needed."


def predict(
    run: RunFolder,
    data: Annotated[Path, typer.Argument(help=KINDS, show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A .csv or .json file; default: CSV to the terminal.", show_default=False),
    ] = None,
    folds: Folds = None,
    enrolled: Enrolled = None,
    group: Group = None,
) -> None:
    """Judge samples: for each its id, the answer, and the probabilities or values of the fusion and of every branch.

    They are the mean over the networks of the folds. A sample, or all of the data, may lack a modality: the
    fusion answers with what is left, and the branch that is missing stays empty. Of a run with adaptation, samples of
    groups that were not enrolled are normalised as the population, and a line says so.

    Examples:
    `mrpnkit predict runs/first new_corpus --out answers.csv`

    `mrpnkit predict runs/first features.npz --fold 1 > answers.csv`

    `mrpnkit predict runs/first clips.npz --enrolled people.npz --group anna`
    """
    from mrpnkit.predict import Predictor
    from mrpnkit.records import replacing
    from mrpnkit.runs import Run

    if out is not None and out.suffix not in (".csv", ".json"):
        raise InputError(f"--out {out}: expected a name that ends in .csv or .json.")
    predictor = Predictor.open(run, folds=folds or None, enrolment=enrolment_in(enrolled))
    found = predictor(open_data(data, Run.open(run), labels="none"), group=group)
    text = found.json() if out is not None and out.suffix == ".json" else found.csv()
    if out is None:
        typer.echo(text, nl=False)
    else:
        with replacing(out) as file:
            file.write(text.encode())
        say(f"{len(found.ids)} samples written to {out}.")


def enrol(
    run: RunFolder,
    data: Annotated[list[Path], typer.Argument(help=f"{KINDS} Several count as one.", show_default=False)],
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="NAME", help="Who is measured; default: every group of the run's column.",
                     show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help=f"The file; default: RUN/{ENROLLED}.", show_default=False)
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option("--condition", metavar="VALUE", show_default=False,
                     help="What all samples are, such as neutral; '' for every kind; default: as the run enrols."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Measure a group anew that the file has already.")] = False,
) -> None:  # fmt: skip
    """Measure a group, such as a speaker, from unlabelled samples, for a run that was trained with adaptation.

    Of data that have the run's column, the samples of NAME count; in data without it, all are of NAME. The statistics
    are plain numbers in a file, to which further groups are added; `predict --enrolled FILE` applies them.

    Examples:
    `mrpnkit enrol runs/first clips_of_anna.npz --group anna --out people.npz`

    `mrpnkit enrol runs/first neutral_clips.npz --group anna --condition neutral`
    """
    from mrpnkit.data.adaptation import Enrolment
    from mrpnkit.enrolment import enrol as measure
    from mrpnkit.runs import Run

    place = out or run / ENROLLED
    if place.suffix != ".npz":
        raise InputError(f"--out {place}: expected a name that ends in .npz.")
    known = Enrolment.load(place) if place.exists() else Enrolment()
    opened = Run.open(run)
    corpora = [open_data(one, opened, labels="none") for one in data]
    found = measure(run, corpora, group=group, condition=condition)
    twice = [name for name in found.groups if name in known.groups]
    if twice and not replace:
        raise InputError(f"{place} has the group {twice[0]!r} already; give --replace to measure it anew.")
    known.joined(found).save(place)
    for name, one in found.groups.items():
        counts = ", ".join(f"{modality} {moments.samples}" for modality, moments in one.moments.items())
        kind = f", taken as {one.condition}" if one.condition else ""
        say(f"{name}: measured from so many samples: {counts}{kind}.")
    say(f"{len(known.joined(found).groups)} groups stand in {place}.")

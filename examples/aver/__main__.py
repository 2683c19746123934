"""The command line of the audio-video emotion system: ``python -m examples.aver COMMAND``."""

import os
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from examples.aver.memory import what_ran_out
from examples.aver.paper.commands import add_to
from examples.aver.preparation.commands import add_commands
from examples.aver.pretrain.commands import pretrain
from examples.aver.recipe import Recipe
from mrpnkit.errors import MrpnkitError, TrainingError

if TYPE_CHECKING:
    from mrpnkit.train import Evaluation

app = typer.Typer(
    name="python -m examples.aver",
    help="Audio-video emotion recognition with the multi-modal Residual Perceptron Network.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ONLY_IN_SEVERAL = "system"
"""The command that several processes of a launcher share; each of the others is one process."""


@app.callback()
def check_processes(context: typer.Context) -> None:
    """Refuses to do in several processes what is one process's work: they would write the same files at once.

    Raises:
        TrainingError: a launcher started several processes of a command other than ``system``.
    """
    number, command = os.environ.get("WORLD_SIZE", "1"), context.invoked_subcommand
    if command != ONLY_IN_SEVERAL and number.isdigit() and int(number) > 1:
        raise TrainingError(
            f"`{command}` is one process's work, and a launcher started {number} of it (WORLD_SIZE). Start it without "
            f"torchrun or accelerate launch: python -m examples.aver {command}. The command for several processes is "
            f"`{ONLY_IN_SEVERAL}`: torchrun --nproc-per-node N -m examples.aver {ONLY_IN_SEVERAL} --corpus FOLDER."
        )


app.add_typer(pretrain)
console = Console(highlight=False)
add_commands(app, console)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder of a data set (RAVDESS). Without it: movies drawn by code.", show_default=False
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder that everything is written to.")]
Network = Annotated[
    Literal["am", "vm", "n0", "n1", "n2"], typer.Option("--network", help="Audio alone, video alone, N0, N1, N2.")
]
FoldNumber = Annotated[int, typer.Option("--fold", min=1, help="Which fold's actors are tested, from 1.")]
Folds = Annotated[int | None, typer.Option("--folds", min=3, help="Number of folds; default: pairs of actors.")]
Seed = Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")]


@app.command()
def demo(
    data: Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Default: runs/aver-demo, or runs/aver for --data; with -small added for --small."),
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="One fold, two epochs: does everything work?")] = False,
) -> None:
    """The whole comparison: one modality alone against N0, N1 and N2, in one command.

    Without --data it runs on an embedded corpus of drawn faces and speech-like sound and takes minutes;
    with --data it runs the full table on your data set, which takes longer, and says how much.

    Examples:
        python -m examples.aver demo
        python -m examples.aver demo --data /path/to/ravdess
    """
    from examples.aver.demo import run_demo

    run_demo(data, out, console, small=small)


@app.command()
def prepare(data: Data = None, out: Out = Path("runs/aver")) -> None:
    """Computes the features of every clip, once, into OUT/corpus.

    Example: python -m examples.aver prepare --data /path/to/ravdess --out runs/ravdess
    """
    from examples.aver.demo import open_corpus

    corpus, seconds = open_corpus(data, out, console)
    console.print(f"{corpus!r}, {seconds:.0f} s")


@app.command()
def train(
    network: Network = "n2",
    data: Data = None,
    out: Out = Path("runs/aver"),
    fold: FoldNumber = 1,
    folds: Folds = None,
    seed: Seed = 0,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Default: the recipe's.")] = None,
    test_actors: Annotated[
        str, typer.Option("--test-actors", help="Test these actors, such as 21,22,23,24, instead of a fold's.")
    ] = "",
    validation_actors: Annotated[
        str, typer.Option("--validation-actors", help="Select the epoch on these; needed with --test-actors.")
    ] = "",
) -> None:
    """Trains one network on one fold and tests it on the fold's actors; goes on where it was stopped.

    Examples:
        python -m examples.aver train --network n2 --fold 3 --data /path/to/ravdess
        python -m examples.aver train --data /path/to/ravdess --test-actors 21,22,23,24 --validation-actors 19,20
    """
    from examples.aver.demo import number_of_folds, open_corpus
    from examples.aver.job import Job, run_job

    corpus, _ = open_corpus(data, out, console)
    recipe = Recipe() if epochs is None else replace(Recipe(), epochs=epochs)
    known = set(corpus.groups["actor"].tolist())
    tested, validated = (actors_named(text, known) for text in (test_actors, validation_actors))
    if bool(tested) != bool(validated):
        raise typer.BadParameter("name both, or neither", param_hint="--test-actors, --validation-actors")
    job = Job(out / "corpus", out, network, fold - 1, folds or number_of_folds(corpus), seed, recipe, tested, validated)
    if fold > job.folds:
        raise typer.BadParameter(f"there are {job.folds} folds; {fold} is none of them", param_hint="--fold")
    result = run_job(job, progress_bar=console.is_terminal)
    _print_metrics(result["metrics"], f"{network}, test actors {', '.join(result['test_actors'])}")
    console.print(f"Run: {job.folder}", soft_wrap=True)


def actors_named(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Actors as they are called in a corpus, from a list with commas: each once, in the order given.

    RAVDESS writes ``Actor_01`` and a corpus may call that actor ``1``, so leading zeros are dropped where the corpus
    has the shorter name and not the longer. Unknown names are left as they are, for the split to refuse.

    >>> actors_named("1, 02,02", {"1", "2"}), actors_named("02", {"02", "2"})
    (('1', '2'), ('02',))
    """
    names = dict.fromkeys(name for part in text.split(",") if (name := part.strip()))
    shorter = {name: name.lstrip("0") or "0" for name in names if name.isdigit() and name not in known}
    return tuple(dict.fromkeys(shorter[name] if shorter.get(name) in known else name for name in names))


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/aver/n2/fold-01/seed-0.")],
    part: Annotated[Literal["test", "validation", "train"], typer.Option("--part", help="Which actors.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Another data set, all of whose clips are evaluated; it is prepared in --out."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the other data set is prepared.")] = Path("runs/unseen"),
    confusion: Annotated[
        Literal["fused", "video", "audio"] | None, typer.Option("--confusion", help="Also show whom it takes for whom.")
    ] = None,
) -> None:
    """Evaluates a trained run, the fusion and every branch, on its own corpus or on another data set.

    Examples:
        python -m examples.aver evaluate runs/aver/n2/fold-01/seed-0 --part validation
        python -m examples.aver evaluate runs/aver/n2/fold-01/seed-0 --data /path/to/other/actors
    """
    from examples.aver.demo import open_corpus
    from examples.aver.job import Job, evaluate_run
    from examples.aver.trained_on import check_without_runs

    if data is not None:
        Job.of_run(run)
        check_without_runs(out)
        open_corpus(data, out, console)
    evaluation, actors = evaluate_run(run, part, out / "corpus" if data is not None else None)
    title = f"{part} actors" if data is None else str(data)
    if confusion:
        _print_confusion(evaluation, confusion)
    _print_metrics(evaluation.metrics, f"{title}: {', '.join(actors)}; {len(evaluation.rows)} clips")


def _print_metrics(metrics: dict[str, float], title: str) -> None:
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    names = ("accuracy", "uar", "macro_f1", "loss")
    shown.add_column("head")
    for name in names:
        shown.add_column(name, justify="right")
    for head in dict.fromkeys(key.split("/")[1] for key in metrics if "/" in key):
        shown.add_row(head, *(f"{metrics[f'emotion/{head}/{name}']:.3f}" for name in names))
    console.print(shown)


def _print_confusion(evaluation: "Evaluation", head: str) -> None:
    from rich.table import Table

    from examples.aver.clips import EMOTIONS

    if head not in evaluation.scores:
        raise typer.BadParameter(f"this network has the heads {', '.join(evaluation.scores)}", param_hint="--confusion")
    counts = evaluation.confusion("emotion", head, classes=len(EMOTIONS)).tolist()
    shown = Table(title=f"{head}: rows are true, columns predicted", title_justify="left")
    shown.add_column("")
    for emotion in EMOTIONS:
        shown.add_column(emotion, justify="right")
    for emotion, row in zip(EMOTIONS, counts, strict=True):
        shown.add_row(emotion, *(str(count) if count else "·" for count in row))
    console.print(shown)


add_to(app)


def main() -> None:
    """Runs the command; what its user can mend is told in a sentence, with exit code 2, not as a traceback."""
    try:
        app(prog_name="python -m examples.aver")
    except MrpnkitError as error:
        _tell(str(error))
    except OSError as error:
        _tell(_about_files(error))
    except (MemoryError, RuntimeError) as error:
        told = what_ran_out(error)
        if told is None:
            raise
        _tell(told)


def _tell(mistake: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(Text.assemble(("Error:", "red"), f" {mistake}"), soft_wrap=True)
    sys.exit(2)


def _about_files(error: OSError) -> str:
    """Which file or folder the system refused, why, and what to do."""
    if error.filename is None:
        return f"Reading or writing failed: {error}. Mend that, and give the command again."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is a file, or lies below one; a folder is expected there. Give another path."
    return f"{error.filename} cannot be read or written: {error.strerror}. Give a path that can, or change its rights."


if __name__ == "__main__":
    main()

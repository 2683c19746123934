"""The application: its commands, and what a mistake looks like.

Nothing here imports torch: ``--help`` and ``list`` answer at once. Commands import what they need when they run.
"""

import errno
import logging
import sys
from collections.abc import Callable, Sequence

import typer

from mrpnkit.cli import answering, looking, measuring, missing, running
from mrpnkit.cli.screen import complain
from mrpnkit.errors import MrpnkitError, TrainingError

FINE, FOUND, MISTAKE, STOPPED = 0, 1, 2, 3

app = typer.Typer(
    name="mrpnkit",
    help=(
        "Multi-modal fusion with the Residual Perceptron Network: train, compare, predict.\n\n"
        "A run is described by one TOML file; `mrpnkit describe --schema` prints its JSON schema for editors.\n\n"
        "Exit codes: 0 fine, 1 a check found problems, 2 a mistake in what was given, 3 a training stopped."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: tuple[Callable[..., None], ...] = (
    running.train,
    running.evaluate,
    answering.predict,
    answering.enrol,
    running.ablate,
    running.extract,
    looking.list_,
    looking.describe,
    measuring.check,
    measuring.report,
    missing.robustness,
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


def version(shown: bool) -> None:
    """Prints the version and leaves, where it is asked for."""
    if shown:
        from mrpnkit import __version__

        typer.echo(f"mrpnkit {__version__}")
        raise typer.Exit


@app.callback()
def before(
    show_version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Print the version."),
) -> None:
    """Multi-modal fusion with the Residual Perceptron Network."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mrpnkit").setLevel(logging.INFO)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and leaves with its exit code; a user's mistake is told in a sentence, not as a traceback."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="mrpnkit")
    except TrainingError as error:
        complain("Training stopped", str(error))
        sys.exit(STOPPED)
    except MrpnkitError as error:
        complain("Error", str(error))
        sys.exit(MISTAKE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FINE)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        if error.filename is None and not full:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        room = " What was finished stays; with more room, the same command goes on." if full else ""
        complain("Error", f"{where}{error.strerror}.{room}")
        sys.exit(MISTAKE)

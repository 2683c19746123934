"""Commands of the paper's system: ``table 1|2|3|4``, ``system``, ``figure`` and ``predict``.

Nothing heavy is imported before a command is called.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from examples.aver.paper.flags import PANEL, Flags, changed, chosen, refuse_pixels, with_flags

DRAWN = "runs/aver-pixels"

CorpusFolder = Annotated[
    Path | None,
    typer.Option(
        "--corpus", help="Prepared corpus of face crops and sound. Without it: movies drawn by code.",
        rich_help_panel=PANEL, show_default=False,
    ),
]  # fmt: skip
ProtocolName = Annotated[
    Literal["honest", "paper"],
    typer.Option("--protocol", help="Select the epoch on other actors, or on those reported (optimistic).",
                 rich_help_panel=PANEL),
]  # fmt: skip
EstimateOnly = Annotated[
    bool, typer.Option("--estimate", help="Say how long it would take, and stop.", rich_help_panel=PANEL)
]
Small = Annotated[
    bool, typer.Option("--small", help="A tiny network, one fold, two epochs: does everything work?",
                       rich_help_panel=PANEL),
]  # fmt: skip
Out = Annotated[
    Path | None,
    typer.Option("--out", help=f"Folder of the runs; default: {DRAWN}, or {DRAWN}-small for --small.",
                 show_default=False),
]  # fmt: skip


def default_out(*, small: bool) -> Path:
    """Where runs lie if it is not said: small networks are others, so they have a folder of their own."""
    return Path(f"{DRAWN}-small" if small else DRAWN)


def corpus_folder(given: Path | None, out: Path, console: Console, *, small: bool = False) -> Path:
    """The given corpus, or that of the drawn movies, made where it lacks."""
    if given is not None:
        return given
    from examples.aver.paper.synthetic import DRAWN_MOVIES, SMALL, drawn_corpus

    console.print("No --corpus was given: movies are drawn by code (the embedded default).")
    folder = out / ("drawn-small" if small else "drawn")
    drawn_corpus(folder, SMALL if small else DRAWN_MOVIES, console, size=32 if small else 64)
    return folder


def table(
    number: Annotated[
        int | None,
        typer.Argument(
            min=1,
            max=4,
            help="A table of the paper, on pixels and sound; without it AM, VM, N0, N1 and N2 on landmarks + speech.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Without a number: folder of RAVDESS. Without it: movies drawn by code.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help=f"Folder of the runs; default: runs/aver, with a number {DRAWN}, or {DRAWN}-small for --small.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=3, help="Number of folds; default: pairs of actors.")
    ] = None,
    only_folds: Annotated[int | None, typer.Option("--only-folds", min=1, help="Only the first so many folds.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds, from 0; folds are their means.")] = 1,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Trainings at once; default: one a GPU or core that memory allows."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Default: the recipe's.")] = None,
    result: Annotated[Path | None, typer.Option("--result", help="Also write a result file (JSON).")] = None,
    corpus: CorpusFolder = None,
    protocol: ProtocolName = "honest",
    *,
    flags: Flags,
    estimate: EstimateOnly = False,
    small: Small = False,
) -> None:
    """AM, VM, N0, N1 and N2 over all folds; with a number, that table of the paper from pixels and sound.

    Finished trainings are skipped, so it can be stopped and started again. With a number, the time that it takes is
    measured and told first, and the paper's own figures stand beside ours. Options of the paper's system need a number.

    Examples:
        python -m examples.aver table --data /path/to/ravdess --out runs/ravdess
        python -m examples.aver table 2 --small
        python -m examples.aver table 1 --corpus runs/movies/corpus --estimate
    """
    console = Console(highlight=False)
    if number is None:
        refuse_pixels(
            [name for name, given in {"--corpus": corpus is not None, "--protocol": protocol != "honest",
                                      "--estimate": estimate, "--small": small}.items() if given] + changed(flags)
        )  # fmt: skip
        _compare(console, data, out or Path("runs/aver"), folds, only_folds, seeds, workers, epochs, result)
        return
    from examples.aver.paper.making import make_table
    from examples.aver.table import default_workers
    from mrpnkit.errors import InputError

    if data is not None:
        raise InputError(
            f"table {number} reads a corpus of face crops and sound: run prepare-movies, then give --corpus."
        )
    parts = chosen(flags=flags, epochs=epochs, small=small, trainings=workers or default_workers())
    out = out or default_out(small=small)
    folder = corpus_folder(corpus, out, console, small=small)
    make_table(
        number, folder, out, console, protocol=protocol, options=parts[0], system=parts[1], schedule=parts[2],
        folds=folds, only_folds=1 if small and only_folds is None else only_folds, seeds=range(seeds), workers=workers,
        result=result, estimate_only=estimate,
    )  # fmt: skip


def _compare(
    console: Console, data: Path | None, out: Path, folds: int | None, only_folds: int | None, seeds: int,
    workers: int | None, epochs: int | None, result: Path | None,
) -> None:  # fmt: skip
    """The comparison of networks on landmarks + speech."""
    from examples.aver.demo import number_of_folds, open_corpus
    from examples.aver.recipe import Recipe
    from examples.aver.table import run_table

    corpus, seconds = open_corpus(data, out, console)
    run_table(
        out / "corpus",
        out,
        Recipe() if epochs is None else replace(Recipe(), epochs=epochs),
        console,
        title=corpus.about["source"],
        folds=folds or number_of_folds(corpus),
        only_folds=only_folds,
        seeds=range(seeds),
        workers=workers,
        result=result,
        prepare_seconds=seconds,
    )


def system(
    network: Annotated[
        Literal["am", "vm", "n0", "n1", "n2"], typer.Option("--network", help="AM, VM, N0 (JM), N1, N2.")
    ] = "n2",
    corpus: CorpusFolder = None,
    out: Out = None,
    fold: Annotated[int, typer.Option("--fold", min=1, help="Which fold's actors are tested, from 1.")] = 1,
    folds: Annotated[int | None, typer.Option("--folds", min=3, help="Number of folds.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")] = 0,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="At most.")] = None,
    protocol: ProtocolName = "honest",
    *,
    flags: Flags,
    estimate: EstimateOnly = False,
    small: Small = False,
) -> None:
    """Trains one network of the paper's system on one fold, from frames and sound, and tests it.

    Goes on where it was stopped. Several GPUs: start it with `torchrun -m examples.aver system`.

    Examples:
        python -m examples.aver system --small
        python -m examples.aver system --network n2 --corpus runs/movies/corpus --video-weights fer.safetensors
    """
    from accelerate import PartialState

    from examples.aver.paper.job import PaperJob, on_cpu, run_paper_job
    from examples.aver.paper.making import folds_of, print_heads, say_time
    from examples.aver.paper.tables import data_set_of
    from mrpnkit.data import Corpus
    from mrpnkit.errors import InputError
    from mrpnkit.runs import is_first_process

    console = Console(highlight=False, quiet=not is_first_process())
    out = out or default_out(small=small)
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of a launcher on this machine
    parts = chosen(flags=flags, epochs=epochs, small=small, trainings=beside)
    with PartialState(cpu=on_cpu()).main_process_first():
        folder = corpus_folder(corpus, out, console, small=small)
    opened = Corpus.open(folder)
    count = folds or folds_of(opened, data_set_of(opened.classes.get("emotion", []), opened.about))
    if fold > count:
        raise InputError(f"There are {count} folds; {fold} is none of them.")
    job = PaperJob(folder, out, network, fold - 1, count, seed, protocol, *parts)
    say_time(job, console, estimate_only=estimate)
    if estimate:
        return
    result = run_paper_job(job, progress_bar=console.is_terminal)
    if result:
        print_heads(result, console, f"{network} {job.options.name}, test actors {', '.join(result['test_actors'])}")
        console.print(f"Run: {job.folder}", soft_wrap=True)


def figure(
    number: Annotated[int, typer.Argument(help="2, 3, 5, 9 or 10.")],
    corpus: CorpusFolder = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Figure 5: a trained run, of pixels and sound or of landmarks + speech."),
    ] = None,
    part: Annotated[
        Literal["test", "validation", "train", "all"], typer.Option("--part", help="Figure 5: whose clips.")
    ] = "test",
    path: Annotated[
        Path | None, typer.Option("--to", help="The picture; default: figures/figureNN.png in --out.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs.")] = Path(DRAWN),
    seed: Annotated[int, typer.Option("--seed", help="Of clips, augmentation and t-SNE.")] = 0,
) -> None:
    """Draws a figure of the paper: 2 frames, 3 mel spectrograms, 5 t-SNE of features, 9 augmentation, 10 time slices.

    Examples:
        python -m examples.aver figure 9
        python -m examples.aver figure 5 --run runs/aver-pixels/honest/n2-lstm-VA-AO-T/fold-01/seed-0
    """
    from examples.aver.paper.figures import FIGURES, check_path, draw_figure
    from mrpnkit.errors import InputError

    console = Console(highlight=False)
    known = sorted([5, *FIGURES])
    if number not in known:
        raise InputError(f"There is no figure {number} to draw; there are {', '.join(map(str, known))}.")
    target = path or out / "figures" / f"figure{number:02d}.png"
    check_path(target)
    if number == 5:
        from examples.aver.paper.embedding import draw_embedding

        if run is None:
            raise InputError("Figure 5 needs a trained run: --run FOLDER.")
        console.print(f"Figure 5: {draw_embedding(run, target, part=part, seed=seed)}", soft_wrap=True)
        return
    from examples.aver.paper.synthetic import FIGURE_MOVIES, drawn_corpus
    from mrpnkit.data import Corpus

    if corpus is not None:
        opened = Corpus.open(corpus)
    else:
        opened = drawn_corpus(out / "drawn-figures", FIGURE_MOVIES, console, size=112)
    drawn = draw_figure(number, opened, target, seed=seed)
    console.print(f"Figure {number}: {drawn}", soft_wrap=True)


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run of the paper's system.")],
    movies: Annotated[list[Path], typer.Argument(help="Movie files.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and pictures.")] = None,
    window: Annotated[float, typer.Option("--window", min=1.0, help="Seconds of a window.")] = 1.5,
    hop: Annotated[float, typer.Option("--hop", min=0.02, help="Seconds from window to window.")] = 0.25,
    detector: Annotated[
        str | None, typer.Option("--detector", help="dlib_cnn, dlib_hog or none; default: the one of the run's corpus.")
    ] = None,
    start: Annotated[float, typer.Option("--start", min=0.0, help="Seconds at which the slice starts.")] = 0.0,
    end: Annotated[float | None, typer.Option("--end", help="Seconds at which it ends; default: the end.")] = None,
) -> None:
    """The emotion of movies by a trained run: of the whole, over time, by each branch.

    A movie without sound or without a face is judged by the branch that is left. Give long ones in slices. The run must
    be one of pixels and sound, as `system` and `table 1` make them. The exit code is 1 where a movie got no answer: it
    could not be opened, or nothing in it could be judged.

    Example: python -m examples.aver predict runs/aver-pixels/honest/n2-lstm-VA-AO-T/fold-01/seed-0 movie.mp4
    """
    from examples.aver.predict_movies import predict_movies

    found = predict_movies(
        run, movies, Console(highlight=False), out=out, window=window, hop=hop, detector=detector, start=start, end=end
    )
    if len(found) < len(movies) or any(prediction.emotion is None for prediction in found):
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    for command in (with_flags(table), with_flags(system), figure, predict):
        app.command()(command)


__all__ = ["add_to", "chosen", "corpus_folder", "figure", "predict", "system", "table"]

"""The main job in one command: data, comparison, figures, and what to do next."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from examples.aver.clips import Clip
from examples.aver.prepare import Features, prepare
from examples.aver.recipe import Recipe
from examples.aver.replacement import check_replaceable
from examples.aver.versions import Versions, make_versions
from mrpnkit.data import Corpus

FEATURES = Features()


def open_corpus(data: Path | None, out: Path, console: Console, *, small: bool = False) -> tuple[Corpus, float]:
    """The statistics of a data set in ``out/corpus``, made if they are not there; and the seconds that took.

    The frames that they are made from lie in ``out/frames``.

    Raises:
        CorpusError: one of the two folders holds another data set or another kind of corpus; nothing is written then.
    """
    start = time.perf_counter()
    clips, source = read_clips(data, small=small)
    check_replaceable(out / "frames", {"source": source, "features": asdict(FEATURES)})
    check_replaceable(out / "corpus", {"source": source, "versions": asdict(Versions())})
    frames = prepare(clips, out / "frames", FEATURES, console, source=source)
    corpus = make_versions(frames, out / "corpus", Versions(), console)
    return corpus, time.perf_counter() - start


def read_clips(data: Path | None, *, small: bool = False) -> tuple[Sequence[Clip], str]:
    """Clips of a RAVDESS folder, or of the synthetic corpus where there is none; and the name of the source."""
    if data is not None:
        from examples.aver.ravdess import read_ravdess

        return read_ravdess(data), "RAVDESS landmarks + speech"
    from examples.aver.synthetic import synthetic_clips

    return synthetic_clips(), "synthetic faces + voices"


def number_of_folds(corpus: Corpus) -> int:
    """A fold for every pair of actors."""
    return max(3, len(np.unique(corpus.groups["actor"])) // 2)


def default_out(data: Path | None, *, small: bool) -> Path:
    """Where the main job writes if it is not told: small and whole trainings, real and drawn data have folders apart.

    >>> default_out(None, small=True).as_posix(), default_out(Path("ravdess"), small=False).as_posix()
    ('runs/aver-demo-small', 'runs/aver')
    """
    return Path("runs") / (("aver" if data else "aver-demo") + ("-small" if small else ""))


def run_demo(data: Path | None, out: Path | None, console: Console, *, small: bool) -> None:
    """Prepares, compares, draws, and says what to do next; ``small`` takes one fold and two epochs."""
    from examples.aver.table import run_table

    out = out or default_out(data, small=small)
    if data is None:
        console.print("No data set was given: faces and voices are made by code (the embedded default).")
    corpus, seconds = open_corpus(data, out, console, small=small)
    recipe = Recipe()
    if data is None or small:
        recipe = replace(recipe, epochs=2 if small else 12)
    run_table(
        out / "corpus",
        out,
        recipe,
        console,
        title=str(corpus.about["source"]),
        folds=number_of_folds(corpus),
        only_folds=1 if small else 3 if data is None else None,
        prepare_seconds=seconds,
    )
    if data is None:
        console.print(f"What the faces look like: {_draw_clips(out / 'figures')}", soft_wrap=True)
    console.print(
        f"\nEverything is in {out}. Next: your own data, make aver DATA=/path/to/ravdess (see docs/aver.md for the "
        "layouts it reads), or look at one run, .venv/bin/python -m examples.aver evaluate "
        f"{out / 'n2' / 'fold-01' / 'seed-0'}.",
        soft_wrap=True,
    )


def _draw_clips(folder: Path) -> Path:
    from PIL import Image

    from examples.aver.synthetic import contact_sheet, one_of_each, synthetic_clips

    path = folder / "clips.png"
    Image.fromarray(contact_sheet(one_of_each(synthetic_clips(), actor="2"))).save(path)
    return path

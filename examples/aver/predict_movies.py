"""Prediction from movie files: crops and sound as the run's corpus was prepared, then JSON and a picture for each."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from examples.aver.clips import Frames
from examples.aver.faces import DETECTORS, FaceSettings
from examples.aver.job import RUN
from examples.aver.movies import facts
from examples.aver.paper.system import Shape
from examples.aver.predict import MoviePrediction, MoviePredictor
from examples.aver.preparation import MovieSettings, PreparedMovie, prepare_movie
from examples.aver.preparation.dataset import settings_of as settings_of_corpus
from mrpnkit.errors import CorpusError
from mrpnkit.names import FUSED


def settings_of(run: Path, shape: Shape, detector: str | None = None) -> MovieSettings:
    """How movies were prepared for a run; where its corpus does not tell, the defaults at its size and rate.

    Args:
        run: folder of the run.
        shape: of its corpus.
        detector: of faces, instead of the corpus' own.

    Raises:
        CorpusError: settings that are damaged.
    """
    about: dict[str, Any] = json.loads((run / RUN).read_text(encoding="utf-8")).get("preparation", {})
    if "settings" in about:
        settings = settings_of_corpus(about)
    else:
        faces = FaceSettings(size=shape.frame[0])
        settings = MovieSettings(faces=faces, rate=shape.fps, sound_rate=round(shape.rate))
    if detector is not None:
        settings = replace(settings, faces=settings.faces.with_detector(detector))
    return settings


def predict_movie(
    predictor: MoviePredictor, path: Path, settings: MovieSettings, *, window: float = 1.5, hop: float = 0.25,
    start: float = 0.0, end: float | None = None, **options: Any,
) -> tuple[MoviePrediction, PreparedMovie]:  # fmt: skip
    """Prepares a movie, or a slice of it, and judges it by what the run reads: sound alone needs no face.

    What was odd about the movie stands in the prediction's notes, and the whole path of its file beside its name.

    Args:
        predictor: of the run.
        path: of the movie.
        settings: see :func:`settings_of`.
        window: of the timeline, in seconds.
        hop: from window to window, in seconds.
        start: of the slice, in seconds.
        end: of the slice, in seconds; None is the end of the movie.
        options: go to :func:`examples.aver.preparation.prepare_movie`.

    Raises:
        CorpusError: the file cannot be opened at all, or ends before the slice starts.
        InputError: an empty slice.
    """
    length = facts(path).seconds if start > 0 else None
    if length is not None and start >= length:
        raise CorpusError(
            f"The movie {path} ends after {length:.2f} s; the slice starts at {start:g} s. Give an earlier start."
        )
    options = {"modalities": tuple(predictor.extractors), **options}
    movie = prepare_movie(path, settings, start=start, end=end, **options)
    frames = Frames(movie.video, movie.rate) if len(movie.video) else None
    found = predictor(frames, movie.audio, name=path.name, window=window, hop=hop)
    notes = (*(str(oddity) for oddity in movie.oddities), *found.notes)
    return found._replace(notes=notes, path=str(path.absolute()), start=start), movie


def result_names(movies: Sequence[Path]) -> list[str]:
    """What the JSON and the picture of each movie are called, without their endings: no two alike.

    A movie gives its own name, ``a`` for ``a.mp4``. Movies that would share it put their folder's before and keep their
    ending; what is still alike gets a number, in the order given. Upper and lower case count as alike, since some file
    systems do not tell them apart.

    >>> result_names([Path("/x/a.mp4"), Path("/y/a.mp4"), Path("/y/a.mp4"), Path("/y/b.mov")])
    ['x-a.mp4', 'y-a.mp4', 'y-a.mp4-2', 'b']
    """
    stems = Counter(path.stem.casefold() for path in movies)
    taken = {stem for stem, count in stems.items() if count == 1}
    names = []
    for path in movies:
        name = path.stem
        if stems[name.casefold()] > 1:
            whole = name = "-".join(filter(None, (path.absolute().parent.name, path.name)))
            number = 1
            while name.casefold() in taken:
                number += 1
                name = f"{whole}-{number}"
            taken.add(name.casefold())
        names.append(name)
    return names


def predict_movies(
    run: Path,
    movies: Sequence[Path],
    console: Console,
    *,
    out: Path | None = None,
    window: float = 1.5,
    hop: float = 0.25,
    detector: str | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> list[MoviePrediction]:
    """Judges movies one by one, prints a row each, and writes ``NAME.json`` and ``NAME.png`` into ``out``.

    Of each it judges the slice from ``start`` to ``end``, in seconds. The names are those of :func:`result_names`. A
    file that cannot be opened, or ends before the slice starts, is told and left out.

    Raises:
        TrainingError: the run is none of pixels and sound, or not finished.
        CorpusError: not one of the movies could be read.
        InputError: an empty slice.
        OSError: ``out`` cannot be written to; found before the first movie is read.
    """
    from examples.aver.predict_figure import draw_prediction

    predictor = MoviePredictor.open(run)
    settings = settings_of(run, predictor.shape, detector)
    if out is not None:
        _make_folder(out)
    labels = _labels(movies)
    found: list[MoviePrediction] = []
    judged: list[str] = []
    finder = DETECTORS[settings.faces.detector]()
    for path, label, name in zip(movies, labels, result_names(movies), strict=True):
        try:
            prediction, movie = predict_movie(
                predictor, path, settings, window=window, hop=hop, start=start, end=end, detector=finder
            )
        except CorpusError as error:
            if len(movies) == 1:
                raise
            console.print(f"Left out: {error}", soft_wrap=True, markup=False)
            continue
        found.append(prediction)
        judged.append(label)
        for note in prediction.notes:
            console.print(f"{label}: {note}", soft_wrap=True, markup=False)
        if out is not None:
            (out / f"{name}.json").write_text(prediction.json(), encoding="utf-8")
            frames = Frames(movie.video, movie.rate) if len(movie.video) else None
            draw_prediction(prediction, out / f"{name}.png", frames=frames, speech=movie.audio)
    if not found:
        raise CorpusError(f"None of the {len(movies)} movies could be read; the reasons stand above.")
    console.print(_rows(found, judged))
    if out is not None:
        console.print(f"JSON and pictures: {out}", soft_wrap=True, markup=False)
    return found


def _make_folder(out: Path) -> None:
    """Makes the folder, and writes a file into it that is gone again: what cannot be written to is told at once."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:  # names a file that nobody asked for
        raise OSError(error.errno, error.strerror, str(out)) from error


def _labels(movies: Sequence[Path]) -> list[str]:
    """What each movie is called on the screen: its name, or its path where several have that name."""
    counts = Counter(path.name for path in movies)
    return [path.name if counts[path.name] == 1 else str(path) for path in movies]


def _rows(found: Sequence[MoviePrediction], labels: Sequence[str]) -> Table:
    heads = list(found[0].heads)
    shown = Table(Column("movie", overflow="fold"), "emotion", *heads)
    for label, prediction in zip(labels, found, strict=True):
        cells = []
        for head in heads:
            values = prediction.heads[head]
            cells.append(
                "–" if values is None else f"{prediction.classes[int(values.argmax())]} {float(values.max()):.2f}"
            )
        by = "" if prediction.answered_by in (None, FUSED) else f" ({prediction.answered_by} alone)"
        shown.add_row(Text(label), f"{prediction.emotion or 'none'}{by}", *cells)
    return shown

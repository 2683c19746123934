"""Prediction from movie files: crops and sound as the run's corpus was prepared, then JSON and a picture for each."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.aver.clips import Frames
from examples.aver.faces import DETECTORS, FaceSettings
from examples.aver.job import RUN
from examples.aver.paper.system import Shape
from examples.aver.predict import MoviePrediction, MoviePredictor
from examples.aver.preparation import MovieSettings, PreparedMovie, prepare_movie
from examples.aver.preparation.dataset import settings_of as settings_of_corpus
from mrpnkit.errors import CorpusError
from mrpnkit.mrpn import FUSED


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
        settings = replace(settings, faces=replace(settings.faces, detector=detector))
    return settings


def predict_movie(
    predictor: MoviePredictor, path: Path, settings: MovieSettings, *, window: float = 1.5, hop: float = 0.25,
    **options: Any,
) -> tuple[MoviePrediction, PreparedMovie]:  # fmt: skip
    """Prepares a movie and judges it; ``options`` go to :func:`examples.aver.preparation.prepare_movie`.

    What was odd about the movie stands in the prediction's notes.

    Raises:
        CorpusError: the file cannot be opened at all.
    """
    movie = prepare_movie(path, settings, **options)
    frames = Frames(movie.video, movie.rate) if len(movie.video) else None
    found = predictor(frames, movie.audio, name=path.name, window=window, hop=hop)
    return found._replace(notes=(*(str(oddity) for oddity in movie.oddities), *found.notes)), movie


def predict_movies(
    run: Path,
    movies: Sequence[Path],
    console: Console,
    *,
    out: Path | None = None,
    window: float = 1.5,
    hop: float = 0.25,
    detector: str | None = None,
) -> list[MoviePrediction]:
    """Judges movies one by one, prints a row each, and writes ``NAME.json`` and ``NAME.png`` into ``out``.

    A file that cannot be opened is told and left out.

    Raises:
        TrainingError: the run is none of pixels and sound, or not finished.
        CorpusError: not one of the movies could be opened.
    """
    from examples.aver.predict_figure import draw_prediction

    predictor = MoviePredictor.open(run)
    settings = settings_of(run, predictor.shape, detector)
    found: list[MoviePrediction] = []
    refused: list[str] = []
    finder = DETECTORS[settings.faces.detector]()
    for path in movies:
        try:
            prediction, movie = predict_movie(predictor, path, settings, window=window, hop=hop, detector=finder)
        except CorpusError as error:
            refused.append(str(error))
            console.print(f"Left out: {error}", soft_wrap=True)
            continue
        found.append(prediction)
        for note in prediction.notes:
            console.print(f"{path.name}: {note}", soft_wrap=True)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{path.stem}.json").write_text(prediction.json(), encoding="utf-8")
            frames = Frames(movie.video, movie.rate) if len(movie.video) else None
            draw_prediction(prediction, out / f"{path.stem}.png", frames=frames, speech=movie.audio)
    if not found:
        raise CorpusError(f"None of the {len(movies)} movies could be judged: {'; '.join(refused)}")
    console.print(_rows(found))
    if out is not None:
        console.print(f"JSON and pictures: {out}", soft_wrap=True)
    return found


def _rows(found: Sequence[MoviePrediction]) -> Table:
    heads = list(found[0].heads)
    shown = Table("movie", "emotion", *heads)
    for prediction in found:
        cells = []
        for head in heads:
            values = prediction.heads[head]
            cells.append(
                "–" if values is None else f"{prediction.classes[int(values.argmax())]} {float(values.max()):.2f}"
            )
        by = "" if prediction.answered_by in (None, FUSED) else f" ({prediction.answered_by} alone)"
        shown.add_row(prediction.name, f"{prediction.emotion or 'none'}{by}", *cells)
    return shown

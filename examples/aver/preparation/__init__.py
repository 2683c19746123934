"""From movies to what networks read: one movie with :func:`prepare_movie`, a data set with :func:`prepare_movies`."""

from examples.aver.preparation.dataset import prepare_movies, settings_of
from examples.aver.preparation.movie import MODALITIES, MovieSettings, PreparedMovie, prepare_movie
from examples.aver.preparation.report import ClipRow

__all__ = [
    "MODALITIES",
    "ClipRow",
    "MovieSettings",
    "PreparedMovie",
    "prepare_movie",
    "prepare_movies",
    "settings_of",
]

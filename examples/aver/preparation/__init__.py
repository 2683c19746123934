"""From movies to what networks read: one movie with :func:`prepare_movie`, a data set with :func:`prepare_movies`."""

from examples.aver.preparation.movie import MovieSettings, PreparedMovie, prepare_movie

__all__ = ["MovieSettings", "PreparedMovie", "prepare_movie"]

"""Data sets of movies: which clips a folder holds, which are missing, and how to fetch them."""

from examples.aver.sources.cremad import read_cremad
from examples.aver.sources.inventory import Inventory, MovieClip
from examples.aver.sources.places import SOURCES, find_source, read_movies
from examples.aver.sources.ravdess_movies import read_ravdess_movies

__all__ = [
    "SOURCES",
    "Inventory",
    "MovieClip",
    "find_source",
    "read_cremad",
    "read_movies",
    "read_ravdess_movies",
]

"""Movies: their pictures at a constant rate, upright, and their sound at 16 kHz, from files as they come.

Decoding is PyAV's, which carries FFmpeg. What is odd about a file is not an error but an :class:`Oddity`: it has a
kind, a sentence, and a documented treatment. Which modalities a movie has is told by the caller, never read off its
streams.
"""

from examples.aver.movies.clock import is_steady, largest_gap, nearest_frames
from examples.aver.movies.oddity import TREATMENTS, Oddity
from examples.aver.movies.opening import Facts, facts, open_movie
from examples.aver.movies.pictures import Damage, Picture, Pictures
from examples.aver.movies.sound import Sound, read_sound

__all__ = [
    "TREATMENTS",
    "Damage",
    "Facts",
    "Oddity",
    "Picture",
    "Pictures",
    "Sound",
    "facts",
    "is_steady",
    "largest_gap",
    "nearest_frames",
    "open_movie",
    "read_sound",
]

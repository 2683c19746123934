"""What can be odd about a movie, and what is done about it."""

from collections.abc import Mapping
from typing import NamedTuple

TREATMENTS: Mapping[str, str] = {
    "unreadable": "left out: no modality could be read",
    "crashed": "left out: reading it ended the process, twice",
    "corrupt": "broken packets are skipped; pictures that lean on them are kept as the decoder mends them",
    "truncated": "what is there is kept",
    "rotated": "turned upright, as the file's display matrix says",
    "stamps out of order": "the pictures, which come in the order in which they are shown, take the sorted time stamps",
    "variable rate": "brought to a constant rate by the nearest time stamp",
    "gap": "the nearest picture is shown for as long as there is none",
    "no pictures": "the clip has no video",
    "no sound": "the clip has no audio",
    "several audio tracks": "the one that is marked as default is read, or the first; another where that is silent",
    "channels cancel": "the first channel is read: the mean of the channels would leave next to nothing",
    "silent": "the clip has no audio: standardising would only enlarge noise",
    "short": "kept; time slices of a second cannot be drawn from it",
    "no face": "the clip has no video",
    "face seldom seen": "the clip has no video: most crops would show something else",
    "face lost": "the box waits between the places where the face was seen",
    "several faces": "the face that is followed is the one that is largest and longest in the picture",
    "face leaves the picture": "what lies outside repeats the picture's border",
    "small face": "kept; its crops are enlarged",
}
"""Every kind of oddity, with its treatment."""


class Oddity(NamedTuple):
    """Something that a reader of the report should know of a clip.

    Attributes:
        kind: one of :data:`TREATMENTS`.
        text: what was found, with numbers.

    >>> str(Oddity("no face", "12 key frames were searched"))
    'no face: 12 key frames were searched'
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"

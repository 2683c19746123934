"""What is reported of a preparation: a table with a row a clip, and a picture of the crops."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from examples.aver.movies import TREATMENTS
from examples.aver.preparation.clip_store import ClipStore
from examples.aver.preparation.contact_sheet import contact_sheet
from examples.aver.preparation.movie import PreparedMovie
from examples.aver.sources import Inventory, MovieClip


class ClipRow(NamedTuple):
    """A row of ``report.csv``.

    Attributes:
        id, actor, sex, emotion: of the clip.
        movie: name of its file.
        frames: in the corpus; 0 where the clip has no video there.
        sound_seconds: in the corpus; 0 where the clip has no audio there.
        face_seen: share of the frames in which the face was found or followed; elsewhere the box was held.
        key_pictures: how many were searched.
        key_pictures_with_face: in how many of them the face that is cropped was found.
        most_faces: in one key picture.
        face_width: median width of the crops in pixels of the movie, margin included; 0 without a face.
        oddities: what was odd, as ``kind: text``, separated by semicolons.
        treatment: what was done about it.
    """

    id: str
    actor: str
    sex: str
    emotion: str
    movie: str
    frames: int
    sound_seconds: float
    face_seen: float
    key_pictures: int
    key_pictures_with_face: int
    most_faces: int
    face_width: int
    oddities: str
    treatment: str

    @property
    def kinds(self) -> list[str]:
        """The kinds of oddities."""
        return [entry.partition(":")[0].strip() for entry in self.oddities.split(";") if entry]


def row_of(clip: MovieClip, movie: PreparedMovie) -> ClipRow:
    """What the report says of a clip."""
    widths = sorted((movie.boxes[:, 2] - movie.boxes[:, 0]).tolist())
    return ClipRow(
        **_name_of(clip),
        frames=len(movie.video),
        sound_seconds=round(len(movie.audio) / movie.sound_rate, 3),
        face_seen=round(float(movie.seen.mean()), 3) if len(movie.seen) else 0.0,
        key_pictures=len(movie.key_faces),
        key_pictures_with_face=int(movie.key_found.sum()),
        most_faces=int(movie.key_faces.max(initial=0)),
        face_width=round(widths[len(widths) // 2]) if widths else 0,
        oddities="; ".join(str(odd).replace(";", ",").replace("\n", " ") for odd in movie.oddities),
        treatment="; ".join(dict.fromkeys(TREATMENTS[odd.kind] for odd in movie.oddities)),
    )


def read_report(out: Path) -> list[ClipRow]:
    """The rows of ``report.csv``; none where there is no such file, or one that something else wrote."""
    path = out / "report.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != ClipRow._fields:
        return []
    return [_typed(row) for row in rows[1:] if len(row) == len(ClipRow._fields)]


def _typed(row: Sequence[str]) -> ClipRow:
    types = ClipRow.__annotations__
    values = {name: types[name](value) for name, value in zip(ClipRow._fields, row, strict=True)}
    return ClipRow(**values)


def named(row: ClipRow, clip: MovieClip) -> ClipRow:
    """A row of an earlier run, for the clip as its data set describes it now."""
    return row._replace(**_name_of(clip))


def _name_of(clip: MovieClip) -> dict[str, Any]:
    return {"id": clip.id, "actor": clip.actor, "sex": clip.sex, "emotion": clip.emotion, "movie": clip.movie.name}


def write_report(out: Path, inventory: Inventory, rows: Sequence[ClipRow], store: ClipStore) -> None:
    """Writes ``report.csv`` and ``report.png``."""
    partial = out / "report.csv.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(ClipRow._fields)
        writer.writerows(rows)
    partial.replace(out / "report.csv")
    contact_sheet(rows, store, title=inventory.name).save(out / "report.png")

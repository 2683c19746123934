"""A picture of many crops, to see at a glance whether faces were found: odd clips first, then one crop a clip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from examples.aver.preparation.clip_store import ClipStore

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64
"""Pixels of a crop."""
STRIP = 8
"""Crops of a clip that is shown with more than one."""
COLUMNS = 24
MOST_ODD = 60
"""Odd clips that are shown; the table has all."""
FEW = 24
"""So many clips are all shown as strips."""
LINE = 16


class Row(Protocol):
    """What is written beside a clip."""

    @property
    def id(self) -> str:
        """Of the clip."""

    @property
    def frames(self) -> int:
        """How many crops it has."""

    @property
    def oddities(self) -> str:
        """What was odd; empty where nothing was."""


def contact_sheet(rows: Sequence[Row], store: ClipStore, *, title: str) -> "Image":
    """The picture.

    Odd clips, and all where there are few, are shown as a strip of crops that are evenly spaced over the clip, with
    their id and what was odd. Of all others the crop in the middle is shown, in the order of the table.

    Args:
        rows: of the report.
        store: with the crops.
        title: stands above.
    """
    from PIL import Image, ImageDraw

    few = len(rows) <= FEW
    strips = [row for row in rows if few or row.oddities][:MOST_ODD]
    shown = {row.id for row in strips}
    tiles = [row for row in rows if row.frames and row.id not in shown]
    width = COLUMNS * SIDE
    odd = sum(bool(row.oddities) for row in rows)
    height = 2 * LINE + len(strips) * (SIDE + 4) + (LINE if tiles else 0) + -(-len(tiles) // COLUMNS) * SIDE
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, 4), f"{title}: {len(rows)} clips, {odd} odd", fill="black")
    top = 2 * LINE
    for row in strips:
        video = store.read(row.id).video
        for place, index in enumerate(np.linspace(0, len(video) - 1, min(STRIP, len(video))).round().astype(int)):
            sheet.paste(_tile(video[index]), (place * SIDE, top))
        if not len(video):
            pen.rectangle((0, top, STRIP * SIDE - 1, top + SIDE - 1), outline="grey")
            pen.text((8, top + SIDE // 2 - 6), "no crops", fill="grey")
        pen.text((STRIP * SIDE + 8, top + 4), row.id, fill="black")
        for line, entry in enumerate(row.oddities.split("; ")[:3] if row.oddities else ()):
            pen.text(
                (STRIP * SIDE + 8, top + 18 + 14 * line), _shortened(pen, entry, width - STRIP * SIDE - 16), "#a00"
            )
        top += SIDE + 4
    if tiles:
        pen.text((4, top), "one crop of each other clip", fill="black")
        top += LINE
    for place, row in enumerate(tiles):
        video = store.read(row.id).video
        sheet.paste(_tile(video[len(video) // 2]), (place % COLUMNS * SIDE, top + place // COLUMNS * SIDE))
    return sheet


def _tile(crop: NDArray[np.uint8]) -> "Image":
    from PIL import Image

    return Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _shortened(pen: Any, text: str, width: int) -> str:
    while pen.textlength(text) > width:
        text = text[: -max(2, len(text) // 20)].rstrip(" .") + "…"
    return text

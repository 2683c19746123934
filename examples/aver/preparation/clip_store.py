"""The prepared clips of an unfinished corpus: a file each, which is there whole or not at all.

A file says from what it was made; one that was made from another movie or with other settings is made again.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.aver.preparation.movie import PreparedMovie
from mrpnkit.errors import CorpusError


class StoredClip(NamedTuple):
    """What is kept of a clip: its two modalities, and what the report says of it."""

    video: NDArray[np.uint8]
    audio: NDArray[np.float32]
    row: Mapping[str, Any]


class ClipStore:
    """A folder with a file for each clip.

    Args:
        folder: is made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, clip: str) -> Path:
        """Of the file of a clip."""
        return self.folder / f"{clip}.npz"

    def write(self, clip: str, origin: str, movie: PreparedMovie, row: Mapping[str, Any]) -> None:
        """Writes a clip's file; a kill leaves a ``.partial``, which goes with the folder when the corpus is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = json.dumps({"origin": origin, "row": dict(row)})
        partial = self.folder / f"{clip}.{os.getpid()}.partial"  # of this process: another may write the same clip
        with partial.open("wb") as file:
            np.savez(file, video=movie.video, audio=movie.audio, record=np.array(record))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path(clip))

    def row(self, clip: str, origin: str) -> dict[str, Any] | None:
        """What the report says of a clip; None where it has no file, or one of another origin. Frames are not read."""
        try:
            with self.path(clip).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                record = json.loads(str(arrays["record"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or damaged: it is made again
        return dict(record["row"]) if record.get("origin") == origin else None

    def read(self, clip: str) -> StoredClip:
        """A clip.

        Raises:
            CorpusError: its file is missing or damaged.
        """
        try:
            with self.path(clip).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return StoredClip(arrays["video"], arrays["audio"], json.loads(str(arrays["record"]))["row"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CorpusError(f"{self.path(clip)} cannot be read: {error}. Remove it and prepare again.") from error

"""From the bytes of one file to the steps of one sample: arrays, sound and images."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.datasets.options import missing_package
from mrpnkit.data.datasets.places import check_known, listed
from mrpnkit.errors import CorpusError
from mrpnkit.wording import unread

Colour = Literal["rgb", "grey"]
Size = tuple[int, int]

SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3")
IMAGE = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
ARRAY = (".npy", ".npz")


def read_array(file: Path, where: str, name: str | None) -> NDArray[Any]:
    """An ``.npy`` file, memory-mapped, or an array of an ``.npz`` file; objects are never unpickled.

    Raises:
        CorpusError: a file that cannot be read, or an archive without that array.
    """
    try:
        if file.suffix.lower() == ".npy":
            array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
            return array
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            if name is None and len(names) != 1:
                raise CorpusError(f"{where} has the arrays {listed(names)}; say which: array = {names[:1]}.")
            check_known("array", [name or names[0]], names, where)
            return np.asarray(archive[name or names[0]])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{where} cannot be read as an array: {unread(error)}.") from error


def read_sound(source: Path | bytes, where: str) -> tuple[NDArray[np.float32], float]:
    """Samples (T, 1) of all channels' mean, in −1 to 1, and how many there are a second.

    Raises:
        DependencyError: soundfile is not installed.
        CorpusError: a file that cannot be read as sound.
    """
    try:
        import soundfile
    except ImportError as error:
        raise missing_package("soundfile", "Reading sound", "av") from error
    try:
        samples, rate = soundfile.read(_opened(source), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise CorpusError(f"{where} cannot be read as sound: {error}") from error
    return samples.mean(axis=1, keepdims=True, dtype=np.float32), float(rate)


def read_image(source: Path | bytes, where: str, *, colour: Colour, size: Size | None) -> NDArray[np.uint8]:
    """An image (H, W, 3), or (H, W) in grey, as bytes; resized to ``size`` (height, width) where that is given.

    Raises:
        DependencyError: Pillow is not installed.
        CorpusError: a file that cannot be read as an image.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_package("pillow", "Reading images", "av") from error
    try:
        with Image.open(_opened(source)) as image:
            plain = image.convert("RGB" if colour == "rgb" else "L")
            if size is not None:
                plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(plain, dtype=np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise CorpusError(f"{where} cannot be read as an image: {error}") from error


def _opened(source: Path | bytes) -> Path | BytesIO:
    return BytesIO(source) if isinstance(source, bytes) else source

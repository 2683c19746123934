"""FER-2013 in the three forms in which it is found: an npz, folders of pictures, the original csv.

Letters: N pictures, H height, W width.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import CorpusError

CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Labels 0 to 6, in the order of their names."""
OFFICIAL = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""What the numbers of the original csv mean."""
PARTS = ("train", "validation", "test")
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test",)}
PICTURES = (".png", ".jpg", ".jpeg")


class Faces(NamedTuple):
    """Grey pictures (N, H, W) uint8 and their labels (N,), numbers of :data:`CLASSES`."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


class FaceSplits(NamedTuple):
    """The official parts; ``about`` says where they are from and what was done to them."""

    train: Faces
    validation: Faces
    test: Faces
    about: dict[str, object]


def read_faces(path: Path, *, seed: int = 0) -> FaceSplits:
    """Reads FER-2013.

    Args:
        path: an ``.npz`` with ``train_x``, ``train_y``, the same for ``validation`` and ``test``, and ``classes``; or
            the original ``.csv`` with the columns emotion, pixels and Usage; or a folder with
            ``train/angry/….png`` and so on. Folders without a part for validation give up a tenth of each class of
            ``train`` for it.
        seed: of the choice of that tenth.

    Raises:
        CorpusError: nothing of the kind there, a part or class that is missing, pictures of several sizes.
    """
    if path.is_dir():
        return _from_folders(path, seed)
    if not path.is_file():
        raise CorpusError(f"{path}: no such file or folder; expected FER-2013 as an npz, a csv or a folder.")
    if path.suffix == ".npz":
        return _from_npz(path)
    if path.suffix == ".csv":
        return _from_csv(path)
    raise CorpusError(f"{path}: expected an .npz, a .csv or a folder of pictures, got {path.suffix or 'no ending'}.")


def without_copies(splits: FaceSplits) -> FaceSplits:
    """Leaves out of training what also stands in validation or test, and out of validation what stands in test.

    FER-2013 has the same picture in several parts, sometimes with another label. The test part stays whole, so that
    accuracies on it can be compared.
    """
    keys = {part: _keys(getattr(splits, part).pictures) for part in PARTS}
    test, validation = set(keys["test"]), set(keys["validation"])
    train_rows = [row for row, key in enumerate(keys["train"]) if key not in test and key not in validation]
    validation_rows = [row for row, key in enumerate(keys["validation"]) if key not in test]
    about = dict(splits.about)
    about["left_out_of_train"] = len(keys["train"]) - len(train_rows)
    about["left_out_of_validation"] = len(keys["validation"]) - len(validation_rows)
    return FaceSplits(_rows(splits.train, train_rows), _rows(splits.validation, validation_rows), splits.test, about)


def thinned(splits: FaceSplits, most: int) -> FaceSplits:
    """At most so many pictures of each part, evenly spread."""
    found = {}
    for part in PARTS:
        faces: Faces = getattr(splits, part)
        found[part] = _rows(faces, range(0, len(faces.labels), -(-len(faces.labels) // most)))
    return _splits(found, splits.about)


def _splits(found: Mapping[str, Faces], about: dict[str, object]) -> FaceSplits:
    return FaceSplits(found["train"], found["validation"], found["test"], about)


def _keys(pictures: NDArray[np.uint8]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def _rows(faces: Faces, rows: Iterable[int]) -> Faces:
    chosen = np.fromiter(rows, np.int64)
    return Faces(faces.pictures[chosen], faces.labels[chosen])


def _from_npz(path: Path) -> FaceSplits:
    with np.load(path, allow_pickle=False) as arrays:
        missing = [name for part in PARTS for name in (f"{part}_x", f"{part}_y") if name not in arrays]
        if missing or "classes" not in arrays:
            raise CorpusError(f"{path} lacks the arrays {', '.join([*missing, *_absent(arrays)])}.")
        numbers = _numbers(path, [str(name) for name in arrays["classes"]])
        parts = [
            Faces(_grey(path, arrays[f"{part}_x"]), numbers[arrays[f"{part}_y"].astype(np.int64)]) for part in PARTS
        ]
    return _splits(dict(zip(PARTS, parts, strict=True)), {"source": path.name, "parts": "official"})


def _absent(arrays: Mapping[str, object]) -> list[str]:
    return [] if "classes" in arrays else ["classes"]


def _from_csv(path: Path) -> FaceSplits:
    import csv

    rows: dict[str, list[tuple[NDArray[np.uint8], int]]] = {part: [] for part in PARTS}
    numbers = _numbers(path, OFFICIAL)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]  # some copies have blanks before names
        if not {"emotion", "pixels", "Usage"} <= set(reader.fieldnames or ()):
            raise CorpusError(f"{path}: expected the columns emotion, pixels and Usage, got {reader.fieldnames}.")
        for line, row in enumerate(reader, start=2):
            try:
                part, label = USAGES[row["Usage"].strip()], int(numbers[int(row["emotion"])])
                pixels = np.array(row["pixels"].split(), dtype=np.uint8)
                side = round(len(pixels) ** 0.5)
                rows[part].append((pixels.reshape(side, side), label))
            except (KeyError, IndexError, ValueError, OverflowError) as error:
                raise CorpusError(f"{path}, line {line} cannot be read: {error!r}.") from error
    found = {part: _stack(path, part, rows[part]) for part in PARTS}
    return _splits(found, {"source": path.name, "parts": "official"})


def _from_folders(root: Path, seed: int) -> FaceSplits:
    from PIL import Image

    found: dict[str, Faces] = {}
    for part, names in FOLDERS.items():
        folder = next((root / name for name in names if (root / name).is_dir()), None)
        if folder is None:
            continue
        names_of_classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        numbers = _numbers(folder, names_of_classes)
        rows = []
        for name, number in zip(names_of_classes, numbers, strict=True):
            for file in sorted(folder.joinpath(name).iterdir()):
                if file.suffix.lower() in PICTURES:
                    with Image.open(file) as image:
                        rows.append((np.asarray(image.convert("L"), dtype=np.uint8), int(number)))
        found[part] = _stack(folder, part, rows)
    for part in ("train", "test"):
        if part not in found:
            raise CorpusError(f"{root} has no folder {part!r}; expected {part}/angry/….png and so on.")
    about: dict[str, object] = {"source": root.name, "parts": "as in the folders"}
    if "validation" not in found:
        found["train"], found["validation"] = _tenth(found["train"], seed)
        about["parts"] = "test as in the folder; validation is a tenth of each class of train"
    return _splits(found, about)


def _tenth(faces: Faces, seed: int) -> tuple[Faces, Faces]:
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(faces.labels), dtype=bool)
    for label in np.unique(faces.labels):
        rows = generator.permutation(np.flatnonzero(faces.labels == label))
        chosen[rows[: max(1, len(rows) // 10)]] = True
    return _rows(faces, np.flatnonzero(~chosen)), _rows(faces, np.flatnonzero(chosen))


def _numbers(path: Path, names: Iterable[str]) -> NDArray[np.int64]:
    """Our number of each of a source's classes."""
    named = [name.lower() for name in names]
    if sorted(named) != sorted(CLASSES):
        raise CorpusError(f"{path} has the classes {', '.join(named)}; expected {', '.join(CLASSES)}.")
    return np.array([CLASSES.index(name) for name in named], dtype=np.int64)


def _grey(path: Path, pictures: NDArray[np.generic]) -> NDArray[np.uint8]:
    if pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise CorpusError(f"{path}: expected grey pictures uint8 (N, H, W), got {pictures.dtype} {pictures.shape}.")
    return pictures.astype(np.uint8, copy=False)


def _stack(path: Path, part: str, rows: list[tuple[NDArray[np.uint8], int]]) -> Faces:
    shapes = {picture.shape for picture, _ in rows}
    if len(shapes) != 1:
        found = "none" if not rows else f"the sizes {', '.join(sorted(map(str, shapes)))}"
        raise CorpusError(f"{path}: the pictures of {part} must have one size; found {found}.")
    return Faces(np.stack([picture for picture, _ in rows]), np.array([label for _, label in rows], dtype=np.int64))

"""Records: files that are written whole or not at all, JSON above all, and the versions that stand in them."""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from mrpnkit.errors import RunError

PACKAGES = ("mrpnkit", "torch", "numpy", "accelerate", "torchaudio", "torchvision", "timm", "scikit-learn")


def read_json(path: Path, *, mend: str = "Remove it, and the same command makes it again.") -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: of the file.
        mend: a sentence on what to do where it is damaged.

    Raises:
        RunError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. {mend}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no JSON object. {mend}")
    return content


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the name ``path`` when the block ends; where it fails, nothing of it is left.

    Raises:
        OSError: it cannot be written, as on a full disk; the error names ``path``, whoever wrote in the block.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        cause = next((one for one in (error, error.__context__) if isinstance(one, OSError)), None)
        if cause is None or cause.errno is None or cause.filename not in (None, str(partial), partial):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def write_text(path: Path, text: str) -> Path:
    """Writes a text in UTF-8, whole or not at all, into a folder that is there. Returns the path."""
    with replacing(path) as file:
        file.write(text.encode())
    return path


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Writes indented JSON, whole or not at all; makes the folder. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

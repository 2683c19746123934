"""Records: JSON files that are written whole or not at all, and the versions that stand in them."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mrpnkit.errors import RunError

PACKAGES = ("mrpnkit", "torch", "numpy", "accelerate", "torchaudio", "torchvision", "timm", "scikit-learn")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RunError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. Remove it, and the same command makes it again.") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no JSON object. Remove it, and the same command makes it again.")
    return content


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Writes indented JSON, whole or not at all; makes the folder. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

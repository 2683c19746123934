"""Files that a Git repository keeps in Git LFS: pointers, and where a server has what they point to.

A pointer is a small text with the SHA-256 and the size of the file; the batch API of the server answers addresses
(git-lfs, docs/spec.md and docs/api/batch.md).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from examples.aver.sources.transfer import Remote, fetch_json
from mrpnkit.errors import CorpusError

BATCH = 100
MEDIA = "application/vnd.git-lfs+json"
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n?")


class Pointer(NamedTuple):
    """What a pointer says: the SHA-256 of the file, in hexadecimal digits, and its size in bytes."""

    oid: str
    size: int


def read_pointer(path: Path) -> Pointer | None:
    """The pointer in a file; None where the file is no pointer, but what it should be."""
    if path.stat().st_size > 1024:
        return None
    match = _POINTER.fullmatch(path.read_bytes())
    return None if match is None else Pointer(match[1].decode(), int(match[2]))


def resolve(pointers: Sequence[Pointer], *, server: str) -> Iterator[tuple[Pointer, Remote]]:
    """Where the files are; asked for in batches, one at a time, since addresses expire.

    Args:
        pointers: to the files.
        server: such as ``https://github.com/OWNER/NAME.git/info/lfs``.

    Raises:
        CorpusError: the server cannot be reached, answers something else, or lacks a file.
    """
    for start in range(0, len(pointers), BATCH):
        asked = {pointer.oid: pointer for pointer in pointers[start : start + BATCH]}
        content = {
            "operation": "download",
            "transfers": ["basic"],
            "objects": [pointer._asdict() for pointer in asked.values()],
        }
        answer: Any = fetch_json(
            f"{server}/objects/batch", content=content, headers={"Accept": MEDIA, "Content-Type": MEDIA}
        )
        try:
            found = {entry["oid"]: entry for entry in answer["objects"]}
            for oid, pointer in asked.items():
                entry = found[oid]
                if "error" in entry:
                    told = entry["error"]
                    raise CorpusError(f"{server} does not give the file {oid}: {told['code']} {told['message']}.")
                action = entry["actions"]["download"]
                headers = {str(key): str(value) for key, value in action.get("header", {}).items()}
                yield (
                    pointer,
                    Remote(url=action["href"], size=pointer.size, checksum=f"sha256:{oid}", headers=headers),
                )
        except (KeyError, TypeError) as error:
            raise CorpusError(f"{server} answers what is no batch of Git LFS: {error!r}.") from error

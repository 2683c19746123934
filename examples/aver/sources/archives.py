"""Taking known files out of an archive, and nothing else: no path leads out of the folder, nothing is half written."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from mrpnkit.errors import CorpusError

Wanted = Callable[[PurePosixPath], Path | None]
"""Where a member goes, relative to the folder; None for one that is not wanted."""

LARGEST = 2 << 30
"""Bytes of one file; a member that says it has more is refused."""


def unpack_zip(archive: Path, folder: Path, wanted: Wanted) -> list[Path]:
    """Writes the wanted files of a ZIP archive; those that are there and right already are left alone.

    Raises:
        CorpusError: no ZIP archive, a damaged member, or one that is too large or leads out of the folder.
    """
    written = []
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                target = None if member.is_dir() or _is_link(member) else _target(folder, member.filename, wanted)
                if target is None:
                    continue
                _check_size(archive, member.filename, member.file_size)
                if not _is_there(target, member.file_size, member.CRC):
                    with members.open(member) as source:
                        _write(source, target)
                written.append(target)
    # zipfile raises a RuntimeError for encryption and for a compression that it does not know
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CorpusError(f"{archive} cannot be unpacked: {error}. Remove it and fetch it again.") from error
    return written


def unpack_tar(archive: Path, folder: Path, wanted: Wanted) -> list[Path]:
    """The same of a TAR archive, whose files do not say whether they are right: all are written.

    Raises:
        CorpusError: as for ZIP.
    """
    written = []
    try:
        with tarfile.open(archive) as members:
            for member in members:
                target = _target(folder, member.name, wanted) if member.isfile() else None
                source = None if target is None else members.extractfile(member)
                if target is None or source is None:
                    continue
                _check_size(archive, member.name, member.size)
                with source:
                    _write(source, target)
                written.append(target)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise CorpusError(f"{archive} cannot be unpacked: {error}. Remove it and fetch it again.") from error
    return written


def _target(folder: Path, name: str, wanted: Wanted) -> Path | None:
    member = PurePosixPath(name.replace("\\", "/"))
    relative = wanted(member)
    if relative is None:
        return None
    target = folder / relative
    if member.is_absolute() or ".." in member.parts or not target.resolve().is_relative_to(folder.resolve()):
        raise CorpusError(f"The archive's file {name!r} leads out of its folder; it is not unpacked.")
    return target


def _is_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 16) & 0o170000 == 0o120000


def _check_size(archive: Path, name: str, size: int) -> None:
    if size > LARGEST:
        raise CorpusError(f"{archive}: the file {name!r} would have {size} bytes; that is no clip.")


def _is_there(path: Path, size: int, crc: int) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    value = 0
    with path.open("rb") as file:
        for chunk in _chunks(file):
            value = zlib.crc32(chunk, value)
    return value == crc


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    with partial.open("wb") as file:
        for chunk in _chunks(source):
            file.write(chunk)
    partial.replace(target)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(1 << 20):
        yield chunk

"""Fetching the movies of RAVDESS and CREMA-D: checked against their publishers' checksums, and resumable anywhere.

Checksums are never written down here. They are those of Zenodo's record (MD5) and of Git LFS (SHA-256).
"""

import json
import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from examples.aver.ravdess_official import decode_name
from examples.aver.sources.archives import unpack_tar, unpack_zip
from examples.aver.sources.cremad import NAME as CREMAD_NAME
from examples.aver.sources.inventory import listed
from examples.aver.sources.lfs import BATCH, Pointer, read_pointer, resolve
from examples.aver.sources.transfer import Remote, fetch
from examples.aver.sources.zenodo import API, record_files
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.records import write_json

RAVDESS_RECORD = "1188976"
CREMAD_ARCHIVE = "https://codeload.github.com/CheyneyComputerScience/CREMA-D/tar.gz/refs/heads/master"
CREMAD_SERVER = "https://github.com/CheyneyComputerScience/CREMA-D.git/info/lfs"
AT_ONCE = 4
"""Small files that are fetched at a time."""


def download_ravdess(
    out: Path, console: Console, *, actors: Collection[str] = (), keep_archives: bool = False, api: str = API
) -> None:
    """Fetches and unpacks ``Video_Speech_Actor_01.zip`` … ``24``: OUT/Actor_01/01-01-….mp4.

    An actor whose files are all there is passed over. An archive is removed when it is unpacked.

    Args:
        out: the folder.
        console: where progress is shown.
        actors: numbers, 1 to 24; all where none is named.
        keep_archives: leaves them in OUT/archives.
        api: of Zenodo.

    Raises:
        CorpusError: see :func:`~examples.aver.sources.transfer.fetch`; an archive that is missing in the record.
        InputError: an actor that RAVDESS does not have.
    """
    numbers = [_actor(text) for text in actors] or list(range(1, 25))
    files = record_files(RAVDESS_RECORD, api=api)
    names = [f"Video_Speech_Actor_{number:02d}.zip" for number in numbers]
    lacking = [name for name in names if name not in files]
    if lacking:
        raise CorpusError(f"Zenodo's record {RAVDESS_RECORD} lists no {listed(lacking)}; has the record changed?")
    left = [name for name in names if not _is_unpacked(out, name, files[name])]
    total = sum(files[name].size or 0 for name in left)
    console.print(f"RAVDESS: {len(names) - len(left)} of {len(names)} actors are there; {total / 1e9:.2f} GB to fetch.")
    with _progress(console) as progress:
        bar = progress.add_task("fetching RAVDESS", total=total)
        for name in left:
            archive = fetch(files[name], out / "archives" / name, advance=lambda n: progress.advance(bar, n))
            written = unpack_zip(archive, out, _ravdess_place)
            if not written:
                raise CorpusError(f"{archive} holds no RAVDESS movie; has the record changed?")
            sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in written}
            write_json(_note(out, name), {"checksum": files[name].checksum, "files": sizes})
            if not keep_archives:
                archive.unlink()
    console.print(f"RAVDESS is in {out}. Licence: CC BY-NC-SA 4.0, Livingstone and Russo (2018).")


def download_cremad(
    out: Path,
    console: Console,
    *,
    actors: Collection[str] = (),
    archive: str = CREMAD_ARCHIVE,
    server: str = CREMAD_SERVER,
) -> None:
    """Fetches CREMA-D's tables, and its movies from Git LFS: OUT/VideoFlash/1001_DFA_ANG_XX.flv.

    The repository's archive holds the tables and a pointer for each movie; GitHub gives no checksum of the archive, but
    the pointers, which are kept in OUT/.pointers, have those of the movies. Movies that are there already are left
    alone.

    Args:
        out: the folder.
        console: where progress is shown.
        actors: 1001 to 1091; all where none is named.
        archive: the repository as a TAR archive.
        server: of Git LFS.

    Raises:
        CorpusError: see :func:`~examples.aver.sources.transfer.fetch`.
        InputError: an actor of whom there are no movies.
    """
    pointers_in = out / ".pointers"  # hidden: what looks for movies passes it over
    if not (pointers_in / "complete").is_file():
        console.print("CREMA-D: fetching the tables and the list of the movies.")
        fetched = fetch(Remote(url=archive, size=None, checksum=None), out / "repository.tar.gz")
        unpack_tar(fetched, out, _cremad_table)
        if not unpack_tar(fetched, pointers_in, _cremad_movie):
            raise CorpusError(f"{archive} holds no CREMA-D movie; has the repository changed?")
        (pointers_in / "complete").touch()
        fetched.unlink()
    wanted = {path.name: path for path in sorted(pointers_in.glob("*.flv"))}
    known = sorted({name[:4] for name in wanted})
    unknown = [actor for actor in actors if actor not in known]
    if unknown:
        raise InputError(f"CREMA-D has no movies of the actor {listed(unknown)}; it has {known[0]} to {known[-1]}.")
    pairs = []
    for name, path in wanted.items():
        pointer = read_pointer(path)
        if not actors or name[:4] in actors:
            if pointer is None:  # the archive holds the movie itself
                raise CorpusError(
                    f"{path} is no Git LFS pointer; the repository has changed. Clone it with git instead."
                )
            pairs.append((pointer, out / "VideoFlash" / name))
    _fetch_pointers(pairs, console, server)
    console.print(f"CREMA-D is in {out}. Licence: Open Database License, Cao et al. (2014).")


def _fetch_pointers(pairs: Sequence[tuple[Pointer, Path]], console: Console, server: str) -> None:
    left = [(pointer, path) for pointer, path in pairs if not path.is_file() or path.stat().st_size != pointer.size]
    total = sum(pointer.size for pointer, _ in left)
    console.print(f"CREMA-D: {len(pairs) - len(left)} of {len(pairs)} movies are there; {total / 1e9:.2f} GB to fetch.")
    paths: dict[Pointer, list[Path]] = {}
    for pointer, path in left:
        paths.setdefault(pointer, []).append(path)
    with _progress(console) as progress, ThreadPoolExecutor(AT_ONCE) as pool:
        bar = progress.add_task("fetching CREMA-D", total=total)
        pointers = list(paths)
        for start in range(0, len(pointers), BATCH):
            batch = resolve(pointers[start : start + BATCH], server=server)
            jobs = [
                pool.submit(fetch, remote, path, advance=lambda n: progress.advance(bar, n))
                for pointer, remote in batch
                for path in paths[pointer]
            ]
            for job in jobs:
                job.result()


def _actor(text: str) -> int:
    if not re.fullmatch(r"0?[1-9]|1\d|2[0-4]", text):
        raise InputError(f"RAVDESS has the actors 1 to 24, got {text!r}.")
    return int(text)


def _ravdess_place(member: PurePosixPath) -> Path | None:
    """``Actor_01/NAME.mp4``, whatever folders the archive has; what a Mac adds to an archive is none."""
    if member.suffix.lower() != ".mp4" or any(part.startswith((".", "__MACOSX")) for part in member.parts):
        return None
    try:
        name = decode_name(member.stem)
    except CorpusError:
        return None
    return Path(f"Actor_{name.actor:02d}") / member.name


def _cremad_table(member: PurePosixPath) -> Path | None:
    """Tables and licence, where they are in the repository; its own folder is taken off."""
    inside = PurePosixPath(*member.parts[1:])
    if inside.name in ("SentenceFilenames.csv", "VideoDemographics.csv", "summaryTable.csv", "LICENSE.txt"):
        return Path(inside)
    return None


def _cremad_movie(member: PurePosixPath) -> Path | None:
    if member.suffix == ".flv" and member.parent.name == "VideoFlash" and CREMAD_NAME.fullmatch(member.stem):
        return Path(member.name)
    return None


def _note(out: Path, archive: str) -> Path:
    return out / "archives" / f"{archive}.json"


def _is_unpacked(out: Path, archive: str, remote: Remote) -> bool:
    try:
        note = json.loads(_note(out, archive).read_text(encoding="utf-8"))
        files = dict(note["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    there = all((out / name).is_file() and (out / name).stat().st_size == size for name, size in files.items())
    return there and note.get("checksum") == remote.checksum


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)

"""A data set of movies, prepared: from a folder of files to a corpus folder and a report on every clip.

In OUT::

    clips/        a file for each clip that is done; removed when the corpus is whole
    corpus/       the corpus: modalities "video" and "audio", target "emotion", groups "actor", "sex" and others
    inventory.json what the folder holds of the data set, what is missing, what was left out
    report.csv    a row for each clip; report.png: crops of the clips, the odd ones with their oddities
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from examples.aver.faces import DETECTORS, Detector, FaceSettings
from examples.aver.files import file_print
from examples.aver.movies import Oddity
from examples.aver.preparation.clip_store import ClipStore
from examples.aver.preparation.movie import MovieSettings, PreparedMovie, nothing, prepare_movie
from examples.aver.preparation.report import ClipRow, named, read_report, row_of, write_report
from examples.aver.preparation.workers import in_processes
from examples.aver.recipe import TARGET
from examples.aver.replacement import check_replaceable, replacing, same_data_set
from examples.aver.sources import Inventory, MovieClip
from mrpnkit.data import Corpus, CorpusWriter
from mrpnkit.errors import CorpusError, DependencyError, RegistryError
from mrpnkit.records import read_json, write_json

VERSION = 3
"""Of how a movie becomes a clip; another number makes all clips anew."""


FAILED = {"unreadable", "crashed"}
"""Kinds of clips that another run tries again."""


class _Task(NamedTuple):
    clip: MovieClip
    origin: str


def prepare_movies(
    inventory: Inventory,
    out: Path,
    settings: MovieSettings,
    console: Console,
    *,
    workers: int | None = None,
    keep_clips: bool = False,
) -> Corpus:
    """Prepares all clips of a data set, or goes on where a run was stopped, or opens what is finished.

    A clip that lacks a modality, or whose face or sound cannot be used, has no steps of it. One that has neither is
    not in the corpus, and in the report. An older corpus of the same data set, of other movies or settings, is replaced
    when the new one is whole; for that time there must be room for both.

    Args:
        inventory: the clips.
        out: the folder; see the module.
        settings: how.
        console: where progress and summary are shown.
        workers: processes at once; by default as many as there are cores.
        keep_clips: leaves ``clips/`` there, so that a data set that grows is prepared clip by clip.

    Raises:
        CorpusError: no clips, none that could be read, or a folder that holds another data set or kind of corpus.
        RegistryError, DependencyError: of the detector.
    """
    if not inventory.clips:
        raise CorpusError(f"{inventory.name}: there are no clips to prepare.")
    DETECTORS[settings.faces.detector]()  # an unknown name is told before the work
    tasks = [_Task(clip, _origin(clip, settings)) for clip in inventory.clips]
    about = about_of(inventory, tasks, settings)
    store, folder = ClipStore(out / "clips"), out / "corpus"
    before = check_replaceable(folder, about)
    _check_unfinished(out, store, inventory)
    console.print(inventory.summary())
    prepared = partial(_prepare_clips, store=store, settings=settings, console=console,
                       workers=workers or os.cpu_count() or 1)  # fmt: skip
    if before is not None and before.about == about:
        failed = {row.id for row in read_report(out) if FAILED & set(row.kinds)}
        again = [task for task in tasks if task.clip.id in failed]
        if again:
            console.print(f"{len(again)} clips could not be read before; they are tried again.")
        if all(FAILED & set(row.kinds) for row in prepared(again)):
            if not keep_clips:
                shutil.rmtree(store.folder, ignore_errors=True)
            return before
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "inventory.json", _inventory_record(inventory))
    rows = prepared(tasks)
    write_report(out, inventory, rows, store)
    if before is not None:
        console.print(f"{folder} was prepared from other movies or settings; it is made anew.")
    _assemble(inventory, rows, store, folder, settings, about)
    if not keep_clips:
        shutil.rmtree(store.folder)
    console.print(summary_of(rows), f"The report: {out / 'report.csv'}, {out / 'report.png'}.", soft_wrap=True)
    return Corpus.open(folder)


def settings_of(about: Mapping[str, Any]) -> MovieSettings:
    """The settings that a corpus was prepared with, from ``Corpus.about``; for a new movie to be prepared alike.

    Raises:
        CorpusError: the corpus was not prepared from movies.
    """
    try:
        given = dict(about["settings"])
        faces = dict(given.pop("faces"))
        return MovieSettings(faces=FaceSettings(**{**faces, "widths": tuple(faces["widths"])}), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(
            f"This corpus does not say how its movies were prepared ({type(error).__name__}: {error}); it was made by "
            "something else than prepare-movies."
        ) from error


def about_of(inventory: Inventory, tasks: Sequence[_Task], settings: MovieSettings) -> dict[str, Any]:
    """What is stored with the corpus, and decides whether it is the one that is asked for."""
    origins = hashlib.sha256("".join(task.origin for task in tasks).encode()).hexdigest()
    content = {
        "source": inventory.name,
        "clips": [task.clip.id for task in tasks],
        "settings": asdict(settings),
        "origins": origins,
        "content": hashlib.sha256(json.dumps([_told(task.clip) for task in tasks]).encode()).hexdigest(),
    }
    return dict(json.loads(json.dumps(content)))


def summary_of(rows: Sequence[ClipRow]) -> str:
    """How many clips have which modality, and in how many key pictures the face was found."""
    keys = sum(row.key_pictures for row in rows)
    rate = f"{sum(row.key_pictures_with_face for row in rows) / keys:.1%}" if keys else "none"
    odd = sum(bool(row.oddities) for row in rows)
    with_face, with_sound = sum(row.frames > 0 for row in rows), sum(row.sound_seconds > 0 for row in rows)
    return (
        f"{len(rows)} clips: {with_face} with a face, {with_sound} with sound, {odd} odd. The face was found in {rate} "
        f"of {keys} key pictures."
    )


def _check_unfinished(out: Path, store: ClipStore, inventory: Inventory) -> None:
    """Clips of another data set, whose preparation was stopped, would be removed at the end."""
    begun = out / "inventory.json"
    if not (store.folder.exists() and begun.is_file()):
        return
    name = str(read_json(begun).get("name", ""))
    if same_data_set(name, inventory.name):
        return
    raise CorpusError(
        f"{store.folder} holds clips of {name}, whose preparation was begun; clips of {inventory.name} do not belong "
        "there. Give another --out or the --data that was begun with, or remove it."
    )


def _prepare_clips(
    tasks: Sequence[_Task], *, store: ClipStore, settings: MovieSettings, console: Console, workers: int
) -> list[ClipRow]:
    rows: dict[str, ClipRow] = {}
    for task in tasks:
        known = store.row(task.clip.id, task.origin)
        if known is not None and not FAILED & set(ClipRow(**known).kinds):
            rows[task.clip.id] = named(ClipRow(**known), task.clip)
    left = [task for task in tasks if task.clip.id not in rows]
    if rows:
        console.print(f"{len(rows)} of {len(tasks)} clips are done already.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        shown = progress.add_task("preparing movies", total=len(tasks), completed=len(rows))
        work = partial(_prepare_clip, folder=store.folder, settings=settings)
        for done in in_processes(work, left, workers=min(workers, max(1, len(left)))):
            row = done.result
            if row is None:
                movie = nothing(settings, Oddity("crashed", "the process that read the movie ended without an error"))
                row = _keep(done.item, movie, store)
            rows[row.id] = row
            progress.advance(shown)
    return [rows[task.clip.id] for task in tasks]


def _prepare_clip(task: _Task, *, folder: Path, settings: MovieSettings) -> ClipRow:
    """Prepares one clip and writes its file. What a movie brings about is reported, not raised."""
    clip = task.clip
    try:
        movie = prepare_movie(clip.movie, settings, wave=clip.wave, detector=_detector(settings.faces.detector))
    except (DependencyError, RegistryError):
        raise
    except Exception as error:
        text = str(error) if isinstance(error, CorpusError) else f"{type(error).__name__}: {error}"
        movie = nothing(settings, Oddity("unreadable", text))
    return _keep(task, movie, ClipStore(folder))


def _keep(task: _Task, movie: PreparedMovie, store: ClipStore) -> ClipRow:
    row = row_of(task.clip, movie)
    store.write(task.clip.id, task.origin, movie, row._asdict())
    return row


@cache
def _detector(name: str) -> Detector:
    return DETECTORS[name]()


def _assemble(
    inventory: Inventory,
    rows: Sequence[ClipRow],
    store: ClipStore,
    folder: Path,
    settings: MovieSettings,
    about: Mapping[str, Any],
) -> None:
    used = {row.id for row in rows if row.frames or row.sound_seconds}
    if not used:
        kinds = sorted({kind for row in rows for kind in row.kinds})
        raise CorpusError(
            f"{inventory.name}: none of {len(rows)} clips has a face or sound that can be used ({', '.join(kinds)}). "
            f"See {folder.parent / 'report.csv'}."
        )
    rates = {"video": settings.rate, "audio": float(settings.sound_rate)}
    with (
        replacing(folder) as place,
        CorpusWriter(place, classes={TARGET: inventory.classes}, rates=rates, about=about) as writer,
    ):
        for clip in inventory.clips:
            if clip.id not in used:
                continue
            stored = store.read(clip.id)
            writer.add(
                clip.id,
                {"video": stored.video, "audio": stored.audio},
                {TARGET: clip.emotion},
                {"actor": clip.actor, "sex": clip.sex, **clip.attributes},
            )


def _told(clip: MovieClip) -> list[Any]:
    """What is known of a clip beside its files: whose it is, what it shows."""
    return [clip.id, clip.actor, clip.sex, clip.emotion, sorted(clip.attributes.items())]


def _origin(clip: MovieClip, settings: MovieSettings) -> str:
    """A digest of all that decides what a clip becomes: its files (see ``file_print``), the settings, the version."""
    files = [_print_of(path) for path in (clip.movie, clip.wave) if path is not None]
    content = json.dumps([VERSION, clip.id, files, asdict(settings)])
    return hashlib.sha256(content.encode()).hexdigest()


def _print_of(path: Path) -> str:
    try:
        return file_print(path)
    except OSError:  # the clip is unreadable then, and reported as that
        return f"{path.name} cannot be read"


def _inventory_record(inventory: Inventory) -> dict[str, Any]:
    return {
        "name": inventory.name,
        "expected": inventory.expected,
        "used": len(inventory.clips),
        "missing": list(inventory.missing),
        "left_out": [{"file": left.path.name, "reason": left.reason} for left in inventory.left_out],
    }

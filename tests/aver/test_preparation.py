"""A data set of movies becomes a corpus: in processes, resumable, with a report on every clip."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from examples.aver.__main__ import app
from examples.aver.clips import EMOTIONS
from examples.aver.faces import FaceSettings
from examples.aver.preparation import ClipRow, MovieSettings, dataset, prepare_movie, prepare_movies, settings_of
from examples.aver.preparation.clip_store import ClipStore
from examples.aver.preparation.contact_sheet import contact_sheet
from examples.aver.preparation.dataset import _origin
from examples.aver.preparation.workers import Done, in_processes
from examples.aver.sources import read_movies
from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError, RegistryError
from tests.aver.movie_files import damaged, grey_levels, noise, tone, write

SETTINGS = MovieSettings(faces=FaceSettings(detector="none", size=16, margin=0.0), rate=25)
GOOD, VARIANT, SILENT, BROKEN, LOST = (
    "Actor_01/01-01-03-01-01-01-01.mp4",
    "Actor_01/02-01-03-01-01-01-01.mp4",
    "Actor_01/01-01-04-02-02-01-01.mp4",
    "Actor_02/01-01-05-01-01-02-02.mp4",
    "Actor_02/01-01-06-01-01-02-02.mp4",
)


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips: a good one with its variant, a silent one, a corrupt one, and one that is no movie."""
    folder = tmp_path_factory.mktemp("movies")
    for actor in ("Actor_01", "Actor_02"):
        (folder / actor).mkdir()
    write(folder / GOOD, grey_levels(30), sound=tone(1.2))
    write(folder / VARIANT, grey_levels(30), sound=tone(1.2))
    write(folder / SILENT, grey_levels(28), sound=np.zeros((1, 52800), np.float32))
    damaged(folder / BROKEN, write(folder / "whole.mp4", noise(40), sound=tone(1.6), front=True), bytes_flipped=50)
    (folder / LOST).write_bytes(b"no movie" * 100)
    return folder


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def one_by_one(function: Callable[[Any], Any], items: Sequence[Any], *, workers: int) -> Iterator[Done[Any, Any]]:
    """What :func:`in_processes` does, in this process."""
    for item in items:
        yield Done(item, function(item))


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes: each takes seconds to start."""
    monkeypatch.setattr(dataset, "in_processes", one_by_one)


@pytest.fixture(scope="module")
def prepared(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a finished preparation, and what was said."""
    out, console = tmp_path_factory.mktemp("prepared") / "out", quiet()
    prepare_movies(read_movies(movies), out, SETTINGS, console, workers=2, keep_clips=True)
    return out, said(console)


def test_the_corpus(prepared: tuple[Path, str], movies: Path) -> None:
    corpus = Corpus.open(prepared[0] / "corpus")
    assert corpus.ids == ["01-03-01-01-01-01", "01-04-02-02-01-01", "01-05-01-01-02-02"]
    video, audio = corpus.modalities["video"], corpus.modalities["audio"]
    assert (str(video.steps.dtype), video.steps.shape[1:], video.rate) == ("uint8", (16, 16, 3), 25)
    assert (str(audio.steps.dtype), audio.steps.shape[1:], audio.rate) == ("float32", (), 16000)
    assert corpus.classes == {"emotion": list(EMOTIONS)}
    assert corpus.targets["emotion"].tolist() == [2, 3, 4]
    assert {name: values.tolist() for name, values in corpus.groups.items()} == {
        "actor": ["1", "1", "2"],
        "sex": ["male", "male", "female"],
        "intensity": ["normal", "strong", "normal"],
        "statement": ["1", "2", "1"],
        "repetition": ["1", "1", "2"],
    }
    alone = prepare_movie(movies / GOOD, SETTINGS)
    np.testing.assert_array_equal(corpus.read("video", 0), alone.video)
    np.testing.assert_array_equal(corpus.read("audio", 0), alone.audio)
    assert audio.lengths[1] == 0  # silent: the modality is missing
    assert settings_of(corpus.about) == SETTINGS


def test_the_report(prepared: tuple[Path, str]) -> None:
    out, text = prepared
    with (out / "report.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["01-03-01-01-01-01", "01-04-02-02-01-01", "01-05-01-01-02-02", "01-06-01-01-02-02"]
    good, silent, broken, lost = rows.values()
    assert (good["frames"], good["oddities"], good["treatment"], good["face_seen"]) == ("30", "", "", "1.0")
    assert (good["key_pictures"], good["key_pictures_with_face"]) == ("3", "3")
    assert silent["oddities"].startswith("silent: every sample is 0 in ")
    assert silent["treatment"] == "the clip has no audio: standardising would only enlarge noise"
    assert "corrupt: " in broken["oddities"]
    assert lost["oddities"].startswith("unreadable: The movie ")
    assert (lost["frames"], lost["sound_seconds"]) == ("0", "0.0")
    assert lost["treatment"] == "left out: no modality could be read"
    with Image.open(out / "report.png") as sheet:
        assert sheet.width > 1000
        assert sheet.height > 4 * 64
    assert "4 clips: 3 with a face, 2 with sound, 3 odd. The face was found in 100.0% of" in text
    assert "RAVDESS movies: 4 of 1440 clips are here" in text
    inventory = (out / "inventory.json").read_text()
    assert '"missing": [' in inventory
    assert "the same takes without sound (02)" in inventory


def test_what_is_finished_is_opened(prepared: tuple[Path, str], movies: Path) -> None:
    out = prepared[0]
    before = (out / "corpus" / "corpus.json").stat().st_mtime_ns
    console = quiet()
    prepare_movies(read_movies(movies), out, SETTINGS, console, workers=1, keep_clips=True)
    assert (out / "corpus" / "corpus.json").stat().st_mtime_ns == before
    assert "clips:" not in said(console)


@pytest.mark.usefixtures("inline")
def test_other_settings_make_another_corpus(movies: Path, tmp_path: Path) -> None:
    inventory = read_movies(movies)
    inventory = inventory._replace(clips=inventory.clips[:1])
    prepare_movies(inventory, tmp_path, SETTINGS, quiet(), workers=1)
    assert not (tmp_path / "clips").exists()
    console = quiet()
    slower = MovieSettings(faces=SETTINGS.faces, rate=5)
    corpus = prepare_movies(inventory, tmp_path, slower, console, workers=1)
    assert corpus.modalities["video"].lengths.tolist() == [6]
    assert "was prepared from other movies or settings; it is made anew" in said(console)


@pytest.mark.usefixtures("inline")
def test_it_goes_on_after_a_kill(movies: Path, tmp_path: Path) -> None:
    """Killed while the second clip is read; the first is kept, and nothing half-written is taken for a clip."""
    code = f"""
import sys, time
from pathlib import Path
from io import StringIO
from rich.console import Console
from examples.aver.preparation import dataset
from examples.aver.preparation.dataset import prepare_movies
from examples.aver.sources import read_movies
from tests.aver.test_preparation import SETTINGS
def one_by_one(function, items, *, workers):
    for item in items:
        if item.clip.id != {"01-03-01-01-01-01"!r}:
            (Path({str(tmp_path)!r}) / "clips" / (item.clip.id + ".partial")).write_bytes(b"half")
            print("ready", flush=True)
            time.sleep(60)
        yield dataset_done(item, function(item))
from examples.aver.preparation.workers import Done as dataset_done
dataset.in_processes = one_by_one
prepare_movies(read_movies(Path({str(movies)!r})), Path({str(tmp_path)!r}), SETTINGS, Console(file=StringIO()))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "corpus").exists()
    store = ClipStore(tmp_path / "clips")
    first = store.path("01-03-01-01-01-01").stat().st_mtime_ns
    console = quiet()
    corpus = prepare_movies(read_movies(movies), tmp_path, SETTINGS, console, workers=1, keep_clips=True)
    assert "1 of 4 clips are done already" in said(console)
    assert len(corpus) == 3
    assert store.path("01-03-01-01-01-01").stat().st_mtime_ns == first


def test_damaged_and_other_clips_are_made_again(movies: Path, tmp_path: Path) -> None:
    inventory = read_movies(movies)
    clip = inventory.clips[0]
    store, origin = ClipStore(tmp_path), _origin(clip, SETTINGS)
    movie = prepare_movie(clip.movie, SETTINGS)
    store.write(clip.id, origin, movie, {"frames": 3})
    assert store.row(clip.id, origin) == {"frames": 3}
    assert store.row(clip.id, _origin(clip, MovieSettings())) is None
    assert store.row("another", origin) is None
    whole = store.path(clip.id).read_bytes()
    store.path(clip.id).write_bytes(whole[: len(whole) // 2])
    assert store.row(clip.id, origin) is None
    with pytest.raises(CorpusError, match=r"cannot be read: .*Remove it and prepare again"):
        store.read(clip.id)


@pytest.mark.usefixtures("inline")
def test_nothing_that_can_be_used(movies: Path, tmp_path: Path) -> None:
    inventory = read_movies(movies)
    only = inventory._replace(clips=inventory.clips[3:])
    with pytest.raises(CorpusError, match=r"none of 1 clips has a face or sound that can be used \(unreadable\)"):
        prepare_movies(only, tmp_path, SETTINGS, quiet(), workers=1)
    assert (tmp_path / "report.csv").is_file()
    with pytest.raises(CorpusError, match=r"there are no clips to prepare"):
        prepare_movies(inventory._replace(clips=()), tmp_path, SETTINGS, quiet())
    with pytest.raises(RegistryError, match=r"no detector named 'x'"):
        prepare_movies(inventory, tmp_path, MovieSettings(faces=FaceSettings(detector="x")), quiet())


def test_corpora_of_something_else() -> None:
    with pytest.raises(CorpusError, match=r"does not say how its movies were prepared"):
        settings_of({"source": "x"})


def square_or_end(number: int, *, fatal: int) -> int:
    if number == fatal:
        os._exit(7)
    if number < 0:
        raise ValueError(f"of {number}")
    return number * number


def test_an_item_that_ends_its_process_stops_no_other() -> None:
    done = list(in_processes(partial(square_or_end, fatal=1), range(3), workers=2))
    with pytest.raises(ValueError, match=r"of -1"):
        list(in_processes(partial(square_or_end, fatal=1), [-1], workers=1))
    assert dict(done) == {0: 0, 1: None, 2: 4}


def wait_long(seconds: float) -> int:
    print(os.getpid(), flush=True)
    time.sleep(seconds)
    return 0


def test_no_worker_outlives_a_killed_parent() -> None:
    code = (
        "from examples.aver.preparation.workers import in_processes\n"
        "from tests.aver.test_preparation import wait_long\n"
        "if __name__ == '__main__':\n    list(in_processes(wait_long, [600.0], workers=1))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    # The pipe ends when the last process that holds it has ended.
    assert process.stdout.read() == b""
    process.stdout.close()


def row(clip: str, frames: int, oddities: str = "") -> ClipRow:
    return ClipRow(clip, "1", "male", "calm", f"{clip}.mp4", frames, 1.0, 1.0, 1, 1, 1, 100, oddities, "")


def test_the_contact_sheet_of_many(movies: Path, tmp_path: Path) -> None:
    store = ClipStore(tmp_path)
    movie = prepare_movie(movies / GOOD, SETTINGS)
    empty = movie._replace(video=movie.video[:0])
    rows = [row(f"c{number}", 30) for number in range(30)]
    rows[3] = row("c3", 0, "no face: 4 key pictures were searched; short: 0.5 s")
    for number, one in enumerate(rows):
        store.write(one.id, "", empty if number == 3 else movie, {})
    sheet = contact_sheet(rows, store, title="test")
    # A heading, one strip for the odd clip, a line, and two rows of 24 tiles for the 29 others.
    assert sheet.size == (24 * 64, 32 + 68 + 16 + 2 * 64)
    pixels = np.asarray(sheet)
    last = pixels[-64:, : 5 * 64]
    assert last.std() > 0
    assert (pixels[-64:, 5 * 64 :] == 255).all()


@pytest.mark.usefixtures("inline")
def test_the_command(movies: Path, tmp_path: Path) -> None:
    arguments = ["prepare-movies", "--data", str(movies), "--out", str(tmp_path / "out"), "--detector", "none"]
    shown = CliRunner().invoke(app, [*arguments, "--rate", "5", "--workers", "1", "--sound", "recording"])
    assert shown.exit_code == 0, shown.output
    corpus = Corpus.open(tmp_path / "out" / "corpus")
    assert corpus.modalities["video"].steps.shape[1:] == (112, 112, 3)
    assert settings_of(corpus.about).faces.margin == 0


@pytest.mark.data
@pytest.mark.usefixtures("inline")
def test_two_real_movies(shared_data: Path, tmp_path: Path) -> None:
    inventory = read_movies(shared_data / "ravdess_mp4")
    inventory = inventory._replace(clips=inventory.clips[::4])
    settings = MovieSettings(faces=FaceSettings(detector="dlib_hog", key_seconds=1.0))
    corpus = prepare_movies(inventory, tmp_path, settings, quiet(), workers=1)
    assert corpus.ids == ["01-01-01-01-01-01", "01-08-02-02-02-01"]
    assert corpus.modalities["video"].lengths.tolist() == [98, 97]
    assert (corpus.modalities["audio"].lengths > 50_000).all()
    with (tmp_path / "report.csv").open(newline="") as file:
        assert [entry["oddities"] for entry in csv.DictReader(file)] == ["", ""]

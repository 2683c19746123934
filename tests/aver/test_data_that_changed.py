"""Data that changed under the same names, lies behind links, or could not be read at first."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from examples.aver.clips import Clip, Landmarks, read_wave
from examples.aver.faces import FaceSettings
from examples.aver.files import PRINTED, file_print, files_in
from examples.aver.preparation import dataset, prepare_movies
from examples.aver.preparation.report import read_report
from examples.aver.prepare import Features, content_print, prepare
from examples.aver.ravdess_official import survey
from examples.aver.sources import read_movies
from mrpnkit.data import Corpus
from tests.aver.movie_files import grey_levels, tone, write
from tests.aver.test_preparation import SETTINGS, one_by_one, quiet, said


def test_files_behind_links_are_found_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "Actor_21").mkdir(parents=True)
    (tmp_path / "elsewhere" / "Actor_21" / "a.wav").touch()
    data = tmp_path / "data"
    (data / "Actor_22").mkdir(parents=True)
    (data / "Actor_22" / "b.wav").touch()
    (data / "Actor_21").symlink_to(tmp_path / "elsewhere" / "Actor_21")
    (data / "Actor_22" / "loop").symlink_to(data)
    (data / "again").symlink_to(tmp_path / "elsewhere" / "Actor_21")
    assert [path.relative_to(data).as_posix() for path in files_in(data)] == ["Actor_21/a.wav", "Actor_22/b.wav"]


def test_ravdess_behind_links(tmp_path: Path) -> None:
    for actor in ("21", "22"):
        (tmp_path / "all" / f"Actor_{actor}").mkdir(parents=True)
        soundfile.write(tmp_path / "all" / f"Actor_{actor}" / f"03-01-06-01-02-01-{actor}.wav", np.zeros(800), 16000)
        write_movie(tmp_path / "all" / f"Actor_{actor}" / f"01-01-06-01-02-01-{actor}.mp4")
    data = tmp_path / "data"
    data.mkdir()
    (data / "Actor_21").symlink_to(tmp_path / "all" / "Actor_21")
    assert list(survey(data).audio) == ["01-06-01-02-01-21"]
    assert [clip.actor for clip in read_movies(data).clips] == ["21"]


def write_movie(path: Path) -> None:
    write(path, grey_levels(6), sound=tone(0.3))


@pytest.mark.parametrize("place", [0, PRINTED // 2, 5 * PRINTED - 1])
def test_a_file_of_the_same_size_is_told_from_another(place: int, tmp_path: Path) -> None:
    content = bytearray(np.random.default_rng(0).bytes(5 * PRINTED))
    (tmp_path / "a").write_bytes(content)
    before = file_print(tmp_path / "a")
    content[place] ^= 1
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_bytes(content)
    assert file_print(tmp_path / "b" / "a") != before
    content[place] ^= 1
    (tmp_path / "b" / "a").write_bytes(content)
    os.utime(tmp_path / "b" / "a", (1, 1))
    assert file_print(tmp_path / "b" / "a") == before  # a copy, wherever it lies and however old it is


def still() -> Landmarks:
    points = np.random.default_rng(0).normal(300, 60, (1, 68, 2)).repeat(20, 0)
    return Landmarks(points.astype(np.float32), 29.97)


def clip(wave: Path, emotion: str = "happy", **changed: Any) -> Clip:
    return Clip(id="a", actor="1", sex="male", emotion=emotion, read_landmarks=still,
                read_speech=partial(read_wave, wave), files=(wave,), **changed)  # fmt: skip


def test_other_labels_or_recordings_make_the_corpus_anew(tmp_path: Path) -> None:
    def speech(seed: int) -> NDArray[np.float64]:
        return np.random.default_rng(seed).uniform(-0.5, 0.5, 12000)

    wave, folder = tmp_path / "a.wav", tmp_path / "corpus"
    soundfile.write(wave, speech(0), 16000)
    first = prepare([clip(wave)], folder, Features(), quiet(), source="x")
    bands = first.read("audio", 0).copy()
    assert np.array_equal(prepare([clip(wave)], folder, Features(), quiet(), source="x").read("audio", 0), bands)
    assert prepare([clip(wave, "sad")], folder, Features(), quiet(), source="x").targets["emotion"].tolist() == [3]
    size = wave.stat().st_size
    soundfile.write(wave, speech(1), 16000)
    assert wave.stat().st_size == size
    again = prepare([clip(wave, "sad")], folder, Features(), quiet(), source="x")
    assert not np.array_equal(again.read("audio", 0), bands)


def test_what_is_known_of_clips_is_in_their_print(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    plain = clip(tmp_path / "a.wav")
    others = [plain, replace(plain, sex="female"), replace(plain, actor="2"), replace(plain, attributes={"take": "1"})]
    assert len({content_print([one]) for one in others}) == 4


@pytest.fixture
def movies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dataset, "in_processes", one_by_one)
    folder = tmp_path / "movies"
    folder.mkdir()
    for name in ("01-01-03-01-01-01-01.mp4", "01-01-04-02-02-01-02.mp4"):
        write_movie(folder / name)
    return folder


def test_labels_and_sexes_of_movies_that_were_corrected(movies: Path, tmp_path: Path) -> None:
    inventory, out = read_movies(movies), tmp_path / "out"
    prepare_movies(inventory, out, SETTINGS, quiet(), workers=1, keep_clips=True)
    corrected = inventory._replace(
        clips=(replace(inventory.clips[0], emotion="calm", sex="female"), *inventory.clips[1:])
    )
    corpus = prepare_movies(corrected, out, SETTINGS, quiet(), workers=1)
    assert [corpus.classes["emotion"][label] for label in corpus.targets["emotion"]] == ["calm", "sad"]
    assert corpus.groups["sex"].tolist() == ["female", "female"]
    assert [(row.emotion, row.sex) for row in read_report(out)] == [("calm", "female"), ("sad", "female")]


def failing_once(names: set[str]) -> Callable[..., Any]:
    real = vars(dataset)["prepare_movie"]

    def read(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name in names:
            names.remove(path.name)
            raise MemoryError("for a moment")
        return real(path, *arguments, **options)

    return read


def test_a_movie_that_could_not_be_read_is_tried_again(
    movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory, out = read_movies(movies), tmp_path / "out"
    monkeypatch.setattr(dataset, "prepare_movie", failing_once({inventory.clips[1].movie.name}))
    assert len(prepare_movies(inventory, out, SETTINGS, quiet(), workers=1)) == 1
    console = quiet()
    assert len(prepare_movies(inventory, out, SETTINGS, console, workers=1)) == 2
    assert "1 clips could not be read before" in said(console)
    assert not any("unreadable" in row.kinds for row in read_report(out))
    console = quiet()
    assert len(prepare_movies(inventory, out, SETTINGS, console, workers=1)) == 2
    assert "could not be read" not in said(console)


def test_a_movie_that_stays_unreadable_costs_no_other(movies: Path, tmp_path: Path) -> None:
    (movies / "01-01-06-01-01-02-02.mp4").write_bytes(b"no movie" * 100)
    inventory, out = read_movies(movies), tmp_path / "out"
    prepare_movies(inventory, out, SETTINGS, quiet(), workers=1)
    made = (out / "corpus" / "corpus.json").stat().st_mtime_ns
    corpus = prepare_movies(inventory, out, SETTINGS, quiet(), workers=1)
    assert isinstance(corpus, Corpus)
    assert len(corpus) == 2
    assert (out / "corpus" / "corpus.json").stat().st_mtime_ns == made
    assert not (out / "clips").exists()


def test_crops_have_no_margin() -> None:
    faces = FaceSettings(margin=0.3)
    assert faces.with_detector("dlib_hog") == replace(faces, detector="dlib_hog")
    crops = faces.with_detector("none")
    assert (crops.detector, crops.margin) == ("none", 0.0)
    assert crops.with_detector("dlib_cnn") == FaceSettings()

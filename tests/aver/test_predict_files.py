"""Files of predictions: movies of one name, folders that cannot be written to, exit codes, and faces in the picture."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
pytest.importorskip("av", reason="needs av: pip install 'mrpnkit[av]'")

from examples.aver import predict_movies as module
from examples.aver.clips import Frames
from examples.aver.predict import MoviePredictor
from examples.aver.predict_figure import _faces
from examples.aver.predict_movies import predict_movies, result_names, settings_of
from examples.aver.preparation import prepare_movie
from examples.aver.synthetic import SyntheticCorpus, write_movie
from mrpnkit.errors import CorpusError
from tests.aver.movie_files import scene, write
from tests.aver.paper_corpora import finished
from tests.aver.test_cli import run as aver


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of N2 on noise."""
    return finished(tmp_path_factory.mktemp("predict-files"))[0].folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two movies of one name in two folders, the second without sound."""
    clips = SyntheticCorpus(n_actors=1, takes=1, size=48, shortest=1.2, longest=1.2).clips()[:2]
    folder = tmp_path_factory.mktemp("drawn")
    movies = folder / "a" / "same.mp4", folder / "b" / "same.mp4"
    for movie, clip, sound in zip(movies, clips, (True, False), strict=True):
        movie.parent.mkdir()
        write_movie(clip, movie, sound=sound)
    return movies


def test_movies_of_one_name_keep_their_results(run: Path, drawn: tuple[Path, Path], tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    found = predict_movies(run, drawn, console, out=tmp_path / "out", detector="none")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a-same.mp4.json", "a-same.mp4.png", "b-same.mp4.json", "b-same.mp4.png",
    }  # fmt: skip
    for name, movie, prediction in zip("ab", drawn, found, strict=True):
        record = json.loads((tmp_path / "out" / f"{name}-same.mp4.json").read_text())
        assert record == prediction.record()
        assert (record["movie"], record["path"]) == ("same.mp4", str(movie))
    assert [prediction.answered_by for prediction in found] == ["fused", "video"]
    text = console.export_text()
    assert f"{drawn[1]}: The video branch alone answers." in text
    assert all(str(movie) in text.split("emotion", 1)[1] for movie in drawn)
    narrow = Console(record=True, width=70)
    predict_movies(run, drawn, narrow, detector="none")
    rows = narrow.export_text().split("emotion", 1)[1].split("\n")
    folded = "".join(line.split("│")[1].strip() for line in rows if line.count("│") > 2)
    assert folded == f"{drawn[0]}{drawn[1]}"  # long paths are folded, not cut


@pytest.mark.parametrize(
    ("movies", "names"),
    [
        (["/x/a.mp4", "/x/b.mp4"], ["a", "b"]),
        (["/x/a.mp4", "/x/a.wav", "/x/a.MOV"], ["x-a.mp4", "x-a.wav", "x-a.MOV"]),
        (["/x/a.mp4", "/y/A.mp4"], ["x-a.mp4", "y-A.mp4"]),
        (["/x/a.mp4", "/x/a.MP4"], ["x-a.mp4", "x-a.MP4-2"]),  # alike where case does not count
        (["/1/x/a.mp4", "/2/x/a.mp4", "/3/x/a.mp4"], ["x-a.mp4", "x-a.mp4-2", "x-a.mp4-3"]),
        (["/x/x-a.mp4.avi", "/x/a.mp4", "/x/a.wav"], ["x-a.mp4", "x-a.mp4-2", "x-a.wav"]),
        (["/a.mp4", "/a.wav"], ["a.mp4", "a.wav"]),
    ],
)
def test_names_of_results(movies: list[str], names: list[str]) -> None:
    assert result_names([Path(movie) for movie in movies]) == names
    assert len({name.casefold() for name in names}) == len(names)


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(
    run: Path, drawn: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(module, "predict_movie", lambda *_, **__: pytest.fail("a movie was judged"))
    file = tmp_path / "file"
    file.touch()
    for out, text in (
        ("/proc/xx", "/proc/xx cannot be read or written"),
        ("/proc", "/proc cannot be read or written"),
        (str(file), f"{file} is a file, or lies below one; a folder is expected there"),
        (str(file / "out"), "is a file, or lies below one; a folder is expected there"),
    ):
        assert aver(monkeypatch, "predict", str(run), str(drawn[0]), "--out", out, "--detector", "none") == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("Error: ")
        assert text in shown.err
        assert "Traceback" not in shown.err + shown.out


def test_exit_codes(
    run: Path, drawn: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    broken, other = tmp_path / "broken.mp4", tmp_path / "[red]other.mp4"
    for path in (broken, other):
        path.write_bytes(b"no movie")

    def code(*movies: Path) -> tuple[int, str, str]:
        arguments = [str(movie) for movie in movies]
        number = aver(monkeypatch, "predict", str(run), *arguments, "--detector", "none")
        shown = capsys.readouterr()
        return number, shown.out, shown.err

    assert code(drawn[0])[0] == 0
    number, out, err = code(drawn[0], broken)
    assert (number, out.count("broken.mp4"), err) == (1, 1, "")
    number, out, err = code(broken)  # told once
    assert (number, out, err.count("broken.mp4 cannot be opened")) == (2, "", 1)
    number, out, err = code(broken, other)
    assert (number, out.count("cannot be opened")) == (2, 2)
    assert "Left out: The movie " in out
    assert "[red]other.mp4 cannot be opened" in out
    assert "None of the 2 movies could be read; the reasons stand above." in err
    number, out, err = code(tmp_path)
    assert number == 2
    assert f"The movie {tmp_path} is a folder; expected a file." in err
    empty = write(tmp_path / "empty.mp4", scene([None] * 30))
    assert aver(monkeypatch, "predict", str(run), str(empty), "--detector", "dlib_hog") == 1
    assert "Nothing is left to judge by." in capsys.readouterr().out


def test_a_slice_is_judged_as_a_movie_of_its_own(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    movie, out = tmp_path / "long.mp4", tmp_path / "out"
    clip = SyntheticCorpus(n_actors=1, takes=1, size=48, shortest=3.0, longest=3.0).clips()[0]
    write_movie(clip, movie)

    def code(*options: str) -> int:
        return aver(monkeypatch, "predict", str(run), str(movie), "--detector", "none", *options)

    assert code("--start", "1.2", "--end", "2.6", "--out", str(out)) == 0
    record = json.loads((out / "long.json").read_text())
    predictor = MoviePredictor.open(run)
    part = prepare_movie(movie, settings_of(run, predictor.shape, "none"), start=1.2, end=2.6)
    assert len(part.audio) == round(1.4 * part.sound_rate)
    alone = predictor(Frames(part.video, part.rate), part.audio).record()
    assert (record["heads"], record["timeline"]) == (alone["heads"], alone["timeline"])
    assert record["start"] == 1.2
    assert record["timeline"][0]["begin"] == 0.0
    assert record["timeline"][-1]["end"] == pytest.approx(1.4, abs=0.01)
    capsys.readouterr()
    for options, text in (
        (("--start", "9"), "long.mp4 ends after 3.0"),
        (("--start", "2", "--end", "1"), "the slice from 2.0 s to 1.0 s is empty; expected 0 ≤ start < end"),
        (("--start", "-1"), "--start"),
    ):
        assert code(*options) == 2
        assert text in capsys.readouterr().err


def test_one_movie_that_cannot_be_opened_raises_its_own_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no movie")
    console = Console(record=True)
    with pytest.raises(CorpusError, match=r"^The movie .*broken\.mp4 cannot be opened"):
        predict_movies(run, [tmp_path / "broken.mp4"], console, detector="none")
    assert console.export_text() == ""


@pytest.mark.parametrize(
    ("count", "seconds", "faces"),
    [
        (45, 1.5, 8),  # pictures as long as the axis
        (45, 3.3, 4),  # the sound goes on: 8 · 1.5 / 3.3 = 3.6
        (45, 60.0, 1),
        (45, 1.0, 8),
        (3, 0.1, 3),  # never one frame twice
        (1, 1 / 30, 1),
    ],
)
def test_faces_stand_beside_each_other(count: int, seconds: float, faces: int) -> None:
    """Places and widths of the faces, and that each is a frame of the time at which it stands."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3))
    drawing = Figure()
    axis: mpl.axes.Axes = drawing.subplots()
    _faces(axis, Frames(pixels, 30.0), seconds)
    drawing.draw_without_rendering()
    whole = axis.get_position()
    insets = axis.child_axes
    assert len(insets) == faces
    shown = [int(np.asarray(inset.images[0].get_array())[0, 0, 0]) for inset in insets]
    assert len(set(shown)) == faces
    boxes = [inset.get_position(original=True) for inset in insets]
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0 + 1e-9
    assert boxes[0].x0 >= whole.x0 - 1e-9
    assert boxes[-1].x1 <= whole.x1 + 1e-9
    if faces > 1:
        for box, frame in zip(boxes, shown, strict=True):
            begin, end = ((edge - whole.x0) / whole.width * max(seconds, count / 30) for edge in (box.x0, box.x1))
            if seconds >= count / 30:
                assert begin - 1 / 30 <= frame / 30 <= end + 1 / 30

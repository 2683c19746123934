"""What was prepared gives way only to its own data set and kind, and is whole at every moment."""

import sys
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from examples.aver import demo, prepare
from examples.aver.__main__ import app
from examples.aver.demo import open_corpus
from examples.aver.replacement import check_replaceable, replacing
from examples.aver.synthetic import SyntheticCorpus
from examples.aver.versions import Versions, make_versions
from mrpnkit.data import Corpus
from mrpnkit.data.partial import alone_in
from mrpnkit.errors import CorpusError, MrpnkitError

FRAMES = {"source": "A movies, intended emotions", "settings": {"rate": 25}}
CLIPS = SyntheticCorpus(n_actors=10, takes=1, shortest=1.0, longest=1.1).clips()
"""Eight of each actor."""


def made(folder: Path, value: float, **about: Any) -> Path:
    corpus = Corpus.from_arrays({"video": np.full((3, 2), value)}, {"emotion": [0, 1, 1]})
    corpus.about = {**FRAMES, **about}
    return corpus.save(folder)


def value_of(folder: Path) -> float:
    return float(Corpus.open(folder).read("video", 0)[0, 0])


def replace_by(folder: Path, value: float) -> None:
    check_replaceable(folder, FRAMES)
    with replacing(folder) as place:
        made(place, value)


class Stopped(BaseException):
    """What a kill is to the code: it runs no further."""


def test_the_first_and_the_second_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    assert check_replaceable(folder, FRAMES) is None
    for value in (1.0, 2.0):
        replace_by(folder, value)
        assert value_of(folder) == value
        assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    found = check_replaceable(folder, {"source": "A movies, crowd emotions", "settings": {"rate": 5}})
    assert found is not None
    assert found.about == FRAMES


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ({"source": "B movies", "settings": {}}, "holds face crops and sound of A movies, intended emotions; face "
         "crops and sound of B movies would take their place. Give another --out or the --data that it was made from, "
         "or remove it."),
        ({"source": "A movies", "features": {}}, "; features of every frame of A movies would take"),
        ({"source": "A movies", "features": {}, "versions": {}}, "; statistics of clips of A movies would take"),
        ({}, "; samples of an unknown data set would take"),
    ],
)  # fmt: skip
def test_another_data_set_or_kind_is_refused(about: dict[str, Any], text: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "corpus", 1.0)
    with pytest.raises(CorpusError) as refused:
        check_replaceable(folder, about)
    assert text in str(refused.value)
    assert value_of(folder) == 1.0


def test_what_is_no_corpus_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match=r"is no corpus: it has no corpus.json"):
        check_replaceable(tmp_path / "corpus", FRAMES)
    assert (tmp_path / "corpus" / "notes.txt").read_text() == "mine"


def test_an_error_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    folder = made(tmp_path / "corpus", 1.0)
    with pytest.raises(ZeroDivisionError), replacing(folder):
        raise ZeroDivisionError
    assert value_of(folder) == 1.0


@pytest.mark.parametrize("after", range(3))
def test_a_kill_while_they_change_places_loses_neither(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the new one is whole, when the old one has gone aside, and when the new one has taken its place."""
    folder = made(tmp_path / "corpus", 1.0)
    rename = Path.rename
    calls: list[Path] = []

    def dying(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":  # CorpusWriter's own
            return rename(path, target)
        if len(calls) == after:
            raise Stopped
        calls.append(path)
        return rename(path, target)

    def never(*arguments: Any, **settings: Any) -> None:
        if len(calls) == 2:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        patch.setattr("examples.aver.replacement.shutil.rmtree", never)
        with pytest.raises(Stopped), replacing(folder) as place:
            made(place, 2.0)
    whole = {value_of(path) for path in tmp_path.iterdir()}
    assert whole == {1.0, 2.0}
    found = check_replaceable(folder, FRAMES)
    assert found is not None
    assert value_of(folder) == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders")
def test_two_that_change_places_do_it_one_after_the_other(tmp_path: Path) -> None:
    folder = made(tmp_path / "corpus", 1.0)
    other = Thread(target=replace_by, args=(folder, 2.0))
    with replacing(folder) as place:
        made(place, 3.0)
        with alone_in(tmp_path):
            other.start()
            other.join(0.5)
            assert other.is_alive()
            assert (value_of(folder), value_of(place)) == (1.0, 3.0)
        other.join()
    assert value_of(folder) == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


class Inline:
    """A pool without processes, each of which takes seconds to start."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        pass

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *columns: Iterable[Any], chunksize: int) -> Iterator[Any]:
        return map(function, *columns)

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        assert cancel_futures
        assert not wait


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Clips and source that ``--data`` stands for: some of the drawn ones, under the name of a data set."""
    chosen: dict[str, Any] = {"actors": range(1, 7), "source": "RAVDESS landmarks + speech"}

    def read_clips(data: Path | None, *, small: bool = False) -> tuple[list[Any], str]:
        clips = [clip for clip in CLIPS if int(clip.actor) in chosen["actors"]]
        return clips, chosen["source"] if data is not None else "synthetic faces + voices"

    monkeypatch.setattr(prepare, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(demo, "read_clips", read_clips)
    return chosen


def stamps(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_from_training_to_refusal(given: dict[str, Any], tmp_path: Path) -> None:
    """A run is read again on its own data, and told on any other; nothing is trained and nothing evaluated then."""
    out, runner = tmp_path / "out", CliRunner()
    train = ["train", "--network", "am", "--epochs", "1", "--out", str(out)]
    first = runner.invoke(app, [*train, "--data", "x"])
    assert first.exit_code == 0, first.output
    before = stamps(out)
    again = runner.invoke(app, [*train, "--data", "x"])
    assert again.exit_code == 0, again.output
    assert "am, test actors 1, 2" in again.output
    assert stamps(out) == before

    forgotten = runner.invoke(app, train)
    assert isinstance(forgotten.exception, CorpusError)
    assert "frames holds features of every frame of RAVDESS landmarks + speech; " in str(forgotten.exception)
    assert stamps(out) == before

    given["actors"] = range(5, 11)
    other = runner.invoke(app, [*train, "--data", "y"])
    assert isinstance(other.exception, MrpnkitError)
    assert "trained on 48 clips of RAVDESS landmarks + speech, actors 1, 2, 3, 4, 5, 6; " in str(other.exception)
    assert "here are 48 clips of RAVDESS landmarks + speech, actors 5, 6, 7, 8, 9, 10." in str(other.exception)
    run = out / "am" / "fold-01" / "seed-0"
    evaluated = runner.invoke(app, ["evaluate", str(run)])
    assert "holds a run on another corpus" in str(evaluated.exception)
    assert {name: at for name, at in stamps(out).items() if name.startswith("am")} == {
        name: at for name, at in before.items() if name.startswith("am")
    }

    given["actors"] = range(1, 7)
    back = runner.invoke(app, [*train, "--data", "x"])
    assert back.exit_code == 0, back.output
    assert runner.invoke(app, ["evaluate", str(run)]).exit_code == 0


def test_a_corpus_of_movies_is_seen_before_anything_is_made(given: dict[str, Any], tmp_path: Path) -> None:
    made(tmp_path / "corpus", 1.0)
    with pytest.raises(
        CorpusError, match=r"corpus holds face crops and sound of A movies.* statistics of clips of RAV"
    ):
        open_corpus(Path("x"), tmp_path, Console(file=StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert value_of(tmp_path / "corpus") == 1.0


def test_more_clips_replace_and_a_failure_does_not(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given["actors"] = range(1, 4)
    console = Console(file=StringIO())
    assert len(open_corpus(Path("x"), tmp_path, console)[0]) == 24
    given["actors"] = range(1, 5)
    describe = prepare._describe

    def dying(clip: Any, features: Any) -> Any:
        if clip.actor == "4":
            raise Stopped
        return describe(clip, features)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_describe", dying)
        with pytest.raises(Stopped):
            open_corpus(Path("x"), tmp_path, console)
    assert [len(Corpus.open(tmp_path / name)) for name in ("frames", "corpus")] == [24, 24]
    assert len(open_corpus(Path("x"), tmp_path, console)[0]) == 32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "frames"]
    frames = Corpus.open(tmp_path / "frames")
    frames.about["source"] = "another data set"
    with pytest.raises(CorpusError, match="statistics of clips of another data set would take their place"):
        make_versions(frames, tmp_path / "corpus", Versions(count=2), console)

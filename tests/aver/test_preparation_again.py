"""Movies are prepared again into a folder that holds something: their own corpus, another one, or half of one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.aver.preparation import dataset, prepare_movies
from examples.aver.preparation.clip_store import ClipStore
from examples.aver.sources import Inventory, read_movies
from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError
from tests.aver.movie_files import grey_levels, tone, write
from tests.aver.test_preparation import SETTINGS, one_by_one, quiet, said


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good clips, and one that is no movie."""
    folder = tmp_path_factory.mktemp("movies")
    for name in ("01-01-03-01-01-01-01.mp4", "01-01-04-02-02-01-01.mp4"):
        write(folder / name, grey_levels(30), sound=tone(1.2))
    (folder / "01-01-06-01-01-02-02.mp4").write_bytes(b"no movie" * 100)
    return folder


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes: each takes seconds to start."""
    monkeypatch.setattr(dataset, "in_processes", one_by_one)


def crema(movies: Path, *, labels: str = "intended") -> Inventory:
    """The good clip under the name of the other data set."""
    inventory = read_movies(movies)
    return inventory._replace(name=f"CREMA-D movies, {labels} emotions", clips=inventory.clips[:1])


@pytest.mark.usefixtures("inline")
def test_another_data_set_is_refused_before_the_work(movies: Path, tmp_path: Path) -> None:
    prepare_movies(crema(movies), tmp_path, SETTINGS, quiet(), workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(
        CorpusError,
        match=r"corpus holds face crops and sound of CREMA-D movies, intended emotions; face crops and sound of "
        r"RAVDESS movies would take their place. Give another --out",
    ):
        prepare_movies(read_movies(movies), tmp_path, SETTINGS, quiet(), workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    crowd = prepare_movies(crema(movies, labels="crowd"), tmp_path, SETTINGS, quiet(), workers=1)
    assert crowd.about["source"] == "CREMA-D movies, crowd emotions"


@pytest.mark.usefixtures("inline")
def test_landmarks_are_no_movies(movies: Path, tmp_path: Path) -> None:
    """The corpus that ``prepare`` makes stays when movies are prepared into its folder."""
    landmarks = Corpus.from_arrays({"video": np.zeros((2, 3))}, {"emotion": ["calm", "sad"]})
    landmarks.about = {"source": "RAVDESS landmarks + speech", "features": {}, "versions": {}}
    landmarks.save(tmp_path / "corpus")
    with pytest.raises(
        CorpusError, match=r"corpus holds statistics of clips of RAVDESS landmarks \+ speech; face crops"
    ):
        prepare_movies(read_movies(movies), tmp_path, SETTINGS, quiet(), workers=1)
    assert Corpus.open(tmp_path / "corpus").about == landmarks.about
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.usefixtures("inline")
def test_clips_of_a_stopped_preparation_stay(movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_assemble", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_movies(crema(movies), tmp_path, SETTINGS, quiet(), workers=1)
    (clip,) = (tmp_path / "clips").iterdir()
    with pytest.raises(CorpusError, match=r"clips holds clips of CREMA-D movies, intended emotions, whose preparation"):
        prepare_movies(read_movies(movies), tmp_path, SETTINGS, quiet(), workers=1)
    assert clip.is_file()
    console = quiet()
    assert len(prepare_movies(crema(movies), tmp_path, SETTINGS, console, workers=1)) == 1
    assert "1 of 1 clips are done already" in said(console)


@pytest.mark.usefixtures("inline")
def test_the_old_corpus_stays_until_the_new_one_is_whole(
    movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = read_movies(movies)
    first = prepare_movies(inventory._replace(clips=inventory.clips[:1]), tmp_path, SETTINGS, quiet(), workers=1)
    with pytest.raises(CorpusError, match="none of 1 clips has a face or sound"):
        prepare_movies(inventory._replace(clips=inventory.clips[2:]), tmp_path, SETTINGS, quiet(), workers=1)
    assert Corpus.open(tmp_path / "corpus").about == first.about
    read, calls = ClipStore.read, []

    def dying(store: ClipStore, clip: str) -> Any:
        calls.append(clip)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return read(store, clip)

    with monkeypatch.context() as patch:
        patch.setattr(ClipStore, "read", dying)
        patch.setattr(dataset, "write_report", lambda *arguments: None)  # it reads clips too
        with pytest.raises(KeyboardInterrupt):
            prepare_movies(inventory, tmp_path, SETTINGS, quiet(), workers=1)
    assert len(calls) == 2
    assert Corpus.open(tmp_path / "corpus").about == first.about
    assert len(prepare_movies(inventory, tmp_path, SETTINGS, quiet(), workers=1)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "inventory.json", "report.csv", "report.png"]

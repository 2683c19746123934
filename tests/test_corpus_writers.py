"""Several processes that write one corpus: each has a folder of its own, and one corpus comes of it, whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mrpnkit.data import Corpus, CorpusWriter
from mrpnkit.errors import CorpusError

ROOT = Path(__file__).resolve().parent.parent

WRITE = """
import sys, time
import numpy as np
from pathlib import Path
from mrpnkit.data import CorpusWriter

folder, value, here, there = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
with CorpusWriter(folder) as writer:
    for number in range(50):
        writer.add(f"{number}", {"m": np.full((3, 2), value)}, {"y": value})
        if number == 10:
            here.touch()
            while not there.exists():
                time.sleep(0.01)
"""

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders: what is left there stays")


def add(writer: CorpusWriter, sample: str, value: float) -> None:
    writer.add(sample, {"m": np.full((1, 2), value)}, {"y": value})


Process = subprocess.Popen[str]
Start = Callable[[Path, float, Path, Path], Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that writes a corpus of a value, and waits in the midst of it, with ``here``, for ``there``."""
    started: list[Process] = []

    def begin(folder: Path, value: float, here: Path, there: Path) -> Process:
        command = [sys.executable, "-c", WRITE, str(folder), str(value), str(here), str(there)]
        settings = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(path: Path, process: Process) -> None:
    while not path.exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""


def test_two_writers_take_turns_and_the_first_to_end_gives_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    first, second = CorpusWriter(folder).__enter__(), CorpusWriter(folder).__enter__()
    for sample in ("a", "b", "c"):
        add(first, sample, 1.0)
        add(second, sample, 2.0)
    assert not folder.exists()
    second.__exit__(None, None, None)
    with pytest.raises(CorpusError, match=r"corpus was not there before and is now: another process made it meanwhile"):
        first.__exit__(None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    corpus = Corpus.open(folder)
    assert corpus.ids == ["a", "b", "c"]
    assert np.unique(corpus.modalities["m"].steps).tolist() == [2.0]
    assert corpus.targets["y"].tolist() == [2.0, 2.0, 2.0]


def test_a_writer_that_fails_removes_nothing_of_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    with CorpusWriter(folder) as writer:
        add(writer, "a", 1.0)
        other = CorpusWriter(folder).__enter__()
        add(other, "z", 2.0)
        other.__exit__(RuntimeError, None, None)
        add(writer, "b", 1.0)
    assert Corpus.open(folder).ids == ["a", "b"]


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    writer = CorpusWriter(tmp_path / "corpus").__enter__()
    add(writer, "a", 1.0)
    (tmp_path / "corpus").write_text("mine")
    with pytest.raises(CorpusError, match="is now"):
        writer.__exit__(None, None, None)
    assert (tmp_path / "corpus").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_two_processes_at_once_make_one_whole_corpus(start: Start, tmp_path: Path) -> None:
    folder, flags = tmp_path / "made" / "corpus", [tmp_path / "one", tmp_path / "two"]
    one, two = start(folder, 1.0, *flags), start(folder, 2.0, *flags[::-1])
    told = [process.communicate(timeout=120)[1] for process in (one, two)]
    assert sorted([one.returncode, two.returncode]) == [0, 1], told
    assert sum("another process made it meanwhile" in text for text in told) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["corpus"]
    corpus = Corpus.open(folder)
    value = 1.0 if one.returncode == 0 else 2.0
    assert corpus.ids == [str(number) for number in range(50)]
    assert np.array_equal(corpus.modalities["m"].steps, np.full((150, 2), value))
    assert np.array_equal(corpus.targets["y"], np.full(50, value))


@needs_locks
def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_writes_is_not(
    start: Start, tmp_path: Path
) -> None:
    folder, never = tmp_path / "made" / "corpus", tmp_path / "never"
    killed, living = start(folder, 1.0, tmp_path / "one", never), start(folder, 2.0, tmp_path / "two", tmp_path / "go")
    wait_for(tmp_path / "one", killed)
    wait_for(tmp_path / "two", living)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=120)
    assert len(list(folder.parent.iterdir())) == 2
    assert not folder.exists()
    for path in folder.parent.iterdir():
        assert path.name.startswith("corpus.")
        assert path.suffix == ".partial"
        with pytest.raises(CorpusError, match="is no corpus"):
            Corpus.open(path)
    others = [folder.parent / name for name in ("corpus.replacement", "my-corpus.partial", "corpus.notes.partial")]
    for path in others:
        path.mkdir()
    third = CorpusWriter(folder).__enter__()
    assert len(list(folder.parent.glob("corpus.????????.partial"))) == 2  # the living one's and this one's
    third.__exit__(RuntimeError, None, None)
    (tmp_path / "go").touch()
    told = living.communicate(timeout=120)[1]
    assert living.returncode == 0, told
    assert sorted(folder.parent.iterdir()) == sorted([folder, *others])
    assert np.unique(Corpus.open(folder).modalities["m"].steps).tolist() == [2.0]

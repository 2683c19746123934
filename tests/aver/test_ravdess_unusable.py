"""Tables of landmarks that cannot be used: the clip is left out and told, and the others are prepared."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from examples.aver.openface import read_openface
from examples.aver.ravdess_official import read_official
from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError
from tests.aver.test_cli import run as aver
from tests.aver.test_landmarks import face, write_openface
from tests.aver.test_ravdess import tracked, wav

GOOD = ("01-01-01-01-01-01", "01-02-01-01-01-02", "01-03-01-01-01-03")
BAD = "01-04-01-01-01-04"


def without_success(path: Path) -> None:
    write_openface(path, face(frames=5), success=[0] * 5, confidence=[0.98] * 5)


def without_columns(path: Path) -> None:
    path.write_text("frame, timestamp, confidence, success, x_0\n1, 0, 0.98, 1, 3\n")


def cut_off(path: Path) -> None:
    text = tracked(path, frames=20).read_text()
    path.write_text(text[: text.rindex("\n", 0, -1) + 60])


def one_place(path: Path) -> None:
    write_openface(path, np.zeros((5, 68, 2)), success=[1] * 5, confidence=[0.98] * 5)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "without success": (without_success, r"has no good frame: of 5, 0 have success .*Track the movie again, or remove"),
    "without columns": (without_columns, r"has no column 'x_1' \(135 of the 136 are missing\)"),
    "empty": (lambda path: path.write_text(""), r"has no column 'x_0' \(136 of the 136 are missing\)"),
    "cut off": (cut_off, r"cannot be read as numbers: .* It may be cut off\."),
    "no text": (lambda path: path.write_bytes(bytes(range(256)) * 9), r"has no column 'x_0'"),
    "one place": (one_place, r"has no good frame: of 5, 5 have success"),
    "no frame numbers": (
        lambda path: write_openface(path, face(frames=2), frame=[float("nan"), 1]),
        r"has frames without a number",
    ),
}


def folder_of(folder: Path, clips: tuple[str, ...] = (*GOOD, BAD)) -> Path:
    for clip in clips:
        wav(folder / f"03-{clip}.wav", seconds=1.0)
        tracked(folder / f"01-{clip}.csv", frames=30)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_table_is_left_out_and_told(kind: str, tmp_path: Path) -> None:
    spoil, text = KINDS[kind]
    spoil(folder_of(tmp_path) / f"01-{BAD}.csv")
    with pytest.raises(CorpusError, match=rf"01-{BAD}\.csv {text}"):
        read_openface(tmp_path / f"01-{BAD}.csv")
    told = rf"1 clips have landmarks that cannot be used \({BAD}\)\. These clips are left out\..*01-{BAD}\.csv {text}"
    with pytest.warns(UserWarning, match=told):
        clips = read_official(tmp_path)
    assert tuple(clip.id for clip in clips) == GOOD
    for clip in clips:
        assert clip.landmarks().points.shape == (30, 68, 2)


def test_all_of_them_are_named(tmp_path: Path) -> None:
    names = tuple(f"01-05-01-01-02-{actor:02d}" for actor in range(1, 9))
    folder_of(tmp_path, (*GOOD, *names))
    for name in names:
        without_success(tmp_path / f"01-{name}.csv")
    (tmp_path / f"01-{GOOD[0]}.csv").unlink()
    told = (
        rf"1 clips have no landmarks \({GOOD[0]}\); 8 clips have landmarks that cannot be used \({', '.join(names)}\)\."
    )
    with pytest.warns(UserWarning, match=told):
        assert tuple(clip.id for clip in read_official(tmp_path)) == GOOD[1:]


def test_good_tables_are_not_spoken_of(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_official(folder_of(tmp_path))) == 4


def test_refused_or_kept_with_the_recording_alone(tmp_path: Path) -> None:
    without_columns(folder_of(tmp_path) / f"01-{BAD}.csv")
    told = rf"1 clips have landmarks that cannot be used \({BAD}\); The landmark file .*01-{BAD}\.csv has no column"
    with pytest.raises(CorpusError, match=told + r".* or 'skip' to leave them out"):
        read_official(tmp_path, incomplete="refuse")
    with pytest.warns(UserWarning, match=r"Of clips with such landmarks, the recordings are kept\."):
        kept = {clip.id: clip.modalities for clip in read_official(tmp_path, incomplete="keep")}
    assert kept == {**dict.fromkeys(GOOD, ("video", "audio")), BAD: ("audio",)}


def test_nothing_is_left(tmp_path: Path) -> None:
    folder_of(tmp_path)
    for clip in (*GOOD, BAD):
        without_success(tmp_path / f"01-{clip}.csv")
    names = ", ".join((*GOOD, BAD))
    with pytest.raises(CorpusError, match=rf"4 clips have landmarks that cannot be used \({names}\); ") as told:
        read_official(tmp_path)
    assert str(told.value).count("has no good frame") == 3  # the first of them


@pytest.mark.filterwarnings("ignore:RAVDESS below:UserWarning")
def test_the_command_prepares_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_success(folder_of(tmp_path / "data") / f"01-{BAD}.csv")
    assert aver(monkeypatch, "prepare", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert list(Corpus.open(tmp_path / "out" / "frames").ids) == list(GOOD)

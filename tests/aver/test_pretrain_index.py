"""What is known of every recording: found out once, stored as it comes, and damaged files named instead of fatal."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from examples.aver.movies.sound import Sound
from examples.aver.preparation.workers import Done
from examples.aver.pretrain import index
from examples.aver.pretrain.index import INDEX, Known, look_through, usable
from examples.aver.pretrain.utterances import Utterance, read_recording, read_utterances
from mrpnkit.errors import CorpusError, RunError
from tests.aver.voices import RATE, as_table, voice

DAMAGED = b"RIFF and nothing that follows"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return as_table(tmp_path / "data")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings that are read from here on."""
    names: list[str] = []

    def told(path: Path) -> Sound:
        names.append(path.name)
        return read_recording(path)

    monkeypatch.setattr(index, "read_recording", told)
    return names


def paths_of(found: list[Utterance]) -> list[Path]:
    return [utterance.path for utterance in found]


def look(corpus: Path, workers: int | None = None) -> list[Known]:
    return look_through(paths_of(read_utterances(corpus)), corpus, corpus.parent / "out" / INDEX, workers=workers)


def test_what_is_known_is_what_numpy_says(corpus: Path) -> None:
    found = look(corpus)
    assert len(found) == 30
    for known, path in zip(found, paths_of(read_utterances(corpus)), strict=True):
        wave, _ = soundfile.read(path, dtype="float32")
        assert known.samples == len(wave)
        assert known.mean == pytest.approx(wave.mean(dtype=np.float64), abs=1e-6)
        assert known.deviation == pytest.approx(wave.std(dtype=np.float64), rel=1e-5)
        assert known.digest == hashlib.sha256(wave.tobytes()).digest()
        assert (known.whole_only, known.problem) == (False, None)


def test_another_start_reads_no_sound(corpus: Path, read: list[str]) -> None:
    first = look(corpus)
    assert len(read) == 30
    assert look(corpus) == first
    assert len(read) == 30


def test_files_that_changed_are_read_anew(corpus: Path, read: list[str]) -> None:
    look(corpus)
    read.clear()
    soundfile.write(corpus / "set_0" / "0-3.wav", voice(0, 3, 1.2), RATE)
    touched = corpus / "set_1" / "1-4.wav"
    os.utime(touched, ns=(0, touched.stat().st_mtime_ns + 1))
    found = look(corpus)
    assert read == ["0-3.wav", "1-4.wav"]
    assert found[3].samples == round(1.2 * RATE)


def test_an_interrupted_look_goes_on_where_it_was(
    corpus: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "TOGETHER", 4)
    told = vars(index)["read_recording"]

    def interrupted(path: Path) -> Sound:
        if len(read) == 10:
            raise KeyboardInterrupt
        return cast(Sound, told(path))

    with monkeypatch.context() as patch:
        patch.setattr(index, "read_recording", interrupted)
        with pytest.raises(KeyboardInterrupt):
            look(corpus)
    read.clear()
    look(corpus)
    assert len(read) == 22  # two groups of four were stored


def test_processes_find_the_same(corpus: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "TOGETHER", 8)
    (corpus / "set_0" / "2-1.wav").write_bytes(DAMAGED)
    found = look(corpus, workers=2)
    assert read == []
    (corpus.parent / "out" / INDEX).unlink()
    assert look(corpus, workers=1) == found


def test_damaged_recordings_are_left_out_and_named(corpus: Path) -> None:
    (corpus / "set_1" / "1-2.wav").write_bytes(DAMAGED)
    found, known = read_utterances(corpus), look(corpus)
    kept = usable(found, known, corpus)
    assert kept.unreadable == ["set_1/1-2.wav"]
    assert kept.utterances == [utterance for utterance in found if utterance.path.name != "1-2.wav"]
    assert kept.known == [one for one in known if one.problem is None]
    assert "1-2.wav cannot be decoded" in (known[12].problem or "")


def test_recordings_that_repeat_another_are_left_out(corpus: Path) -> None:
    found = read_utterances(corpus)
    soundfile.write(found[7].path, voice(2, 3), RATE)  # as another speaker's
    kept = usable(found, look(corpus), corpus)
    assert (len(kept.utterances), kept.copies) == (29, 1)
    assert found[7] in kept.utterances
    assert found[23] not in kept.utterances


def test_whatever_a_decoder_raises_is_told_of_the_file(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> Sound:
        if path.name == "0-0.wav":
            raise ZeroDivisionError("a rate of 0")
        return read_recording(path)

    monkeypatch.setattr(index, "read_recording", broken)
    problem = look(corpus)[0].problem or ""
    assert "0-0.wav cannot be decoded (ZeroDivisionError: a rate of 0). Fetch it again" in problem


def test_a_package_that_is_missing_is_no_fault_of_the_files(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> Sound:
        raise ImportError("no av")

    monkeypatch.setattr(index, "read_recording", missing)
    with pytest.raises(ImportError, match="no av"):
        look(corpus)


def test_a_recording_without_a_finite_level_is_unreadable(corpus: Path) -> None:
    soundfile.write(corpus / "set_0" / "0-1.wav", np.full(RATE, 3e38, np.float32), RATE, subtype="FLOAT")
    assert "has no finite level" in (look(corpus)[1].problem or "")


def test_a_file_that_ends_its_process_is_found_among_its_group(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(function: object, items: list[list[str]], *, workers: int) -> Iterator[Done]:
        for item in items:
            yield Done(item, None if "set_0/2-5.wav" in item else function(item))  # type: ignore[operator]

    monkeypatch.setattr(index, "in_processes", crashing)
    found = look(corpus, workers=2)
    assert "2-5.wav ends the process that reads it" in (found[25].problem or "")
    assert [known.problem is None for known in found].count(False) == 1


def test_a_speaker_that_is_lost_is_refused(corpus: Path) -> None:
    table = (corpus / "speakers.csv").read_text() + "alone.wav,s9,1\n"
    (corpus / "speakers.csv").write_text(table)
    (corpus / "alone.wav").write_bytes(DAMAGED)
    with pytest.raises(
        CorpusError, match=r"1 of 31 recordings .* cannot be read, among them all of the speaker s9\. The"
    ):
        usable(read_utterances(corpus), look(corpus), corpus)


def test_too_many_damaged_recordings_are_refused(corpus: Path) -> None:
    for name in ("set_0/0-0.wav", "set_1/1-0.wav"):
        (corpus / name).write_bytes(DAMAGED)
    with pytest.raises(
        CorpusError, match=r"2 of 30 recordings .* cannot be read; expected at most 5 %\. The first: .*0-0"
    ):
        usable(read_utterances(corpus), look(corpus), corpus)


def test_an_index_that_is_none_is_refused(corpus: Path) -> None:
    place = corpus.parent / "out" / INDEX
    place.parent.mkdir()
    place.write_bytes(b"no index at all " * 100)
    with pytest.raises(RunError, match=r"recordings\.sqlite cannot be used as the index .* Remove it, and the same"):
        look(corpus)

"""Recordings with no voice, or half of one, and landmarks that cannot be used: named, and not taken as they are."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from examples.aver import prepare as preparation
from examples.aver.clips import Clip, Landmarks
from examples.aver.prepare import Features, prepare
from examples.aver.ravdess import read_ravdess
from examples.aver.versions import Versions, make_versions
from mrpnkit.errors import CorpusError
from tests.aver.test_landmarks import face
from tests.aver.test_ravdess import tracked, wav
from tests.aver.test_replacement import Inline

QUIET = Console(quiet=True)


def noise(level: float) -> NDArray[np.float32]:
    """A second and a half whose root mean square is ``level``."""
    drawn = np.random.default_rng(0).standard_normal(24000)
    return np.asarray(level * drawn / np.sqrt((drawn**2).mean()), dtype=np.float32)


def still(frames: int, rate: float) -> Landmarks:
    return Landmarks(face(frames=frames).astype(np.float32), rate)


def lost(frames: int) -> Landmarks:
    return Landmarks(np.full((frames, 68, 2), np.nan, dtype=np.float32), 29.97)


def clip(name: str, level: float) -> Clip:
    speech, points = partial(noise, level), partial(still, 40, 29.97)
    return Clip(
        id=name, actor="1", sex="male", emotion="sad", read_landmarks=points, read_speech=speech if level >= 0 else None
    )


def test_a_silent_recording_is_no_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """−80 dB of full scale is the border, as in movies; a clip without a recording is not counted."""
    monkeypatch.setattr(preparation, "ProcessPoolExecutor", Inline)
    clips = [clip("heard", 0.1), clip("digital", 0.0), clip("hiss", 0.9e-4), clip("faint", 1.1e-4), clip("none", -1.0)]
    with pytest.warns(UserWarning, match=r"2 of 5 recordings are silent \(digital, hiss\); these clips have no voice"):
        frames = prepare(clips, tmp_path / "frames", Features(), QUIET, source="noise")
    assert [length > 0 for length in frames.modalities["audio"].lengths] == [True, False, False, True, False]
    assert (frames.modalities["video"].lengths == 40).all()
    statistics = make_versions(frames, tmp_path / "corpus", Versions(), QUIET)
    assert statistics.modalities["audio"].lengths.tolist() == [8, 0, 0, 8, 0]


@pytest.mark.parametrize(
    ("landmarks", "why"), [(partial(lost, 7), "None of the 7"), (partial(still, 7, 0.0), "have 0.0")]
)
def test_landmarks_that_cannot_be_used_are_told_with_their_clip(
    landmarks: partial[Landmarks], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "ProcessPoolExecutor", Inline)
    bad = Clip(id="01-02", actor="1", sex="male", emotion="sad", read_landmarks=landmarks)
    with pytest.raises(CorpusError, match=rf"The landmarks of clip '01-02' cannot be used: .*{why}.* leave it out"):
        prepare([clip("heard", 0.1), bad], tmp_path / "frames", Features(), QUIET, source="noise")


def test_recordings_of_a_telephone_are_told(tmp_path: Path) -> None:
    """Half of the band is missing: a warning names one; recordings of 16 kHz or more are as they should be."""
    for actor, rate in (("01", 48000), ("02", 8000), ("03", 16000), ("04", 11025)):
        wav(tmp_path / f"03-01-04-01-01-01-{actor}.wav", rate=rate)
        tracked(tmp_path / f"01-01-04-01-01-01-{actor}.csv")
    with pytest.warns(UserWarning, match=r"2 of 4 recordings have fewer than 16000 .* with 8000: .* above 4000 Hz"):
        clips = read_ravdess(tmp_path)
    assert [len(clip.speech()) for clip in clips] == [8000] * 4


def test_a_recording_that_cannot_be_opened_is_left_to_the_decoder(tmp_path: Path) -> None:
    wav(tmp_path / "03-01-04-01-01-01-01.wav").write_bytes(b"nothing")
    tracked(tmp_path / "01-01-04-01-01-01-01.csv")
    (clip,) = read_ravdess(tmp_path)
    with pytest.raises(CorpusError, match="cannot be decoded"):
        clip.speech()

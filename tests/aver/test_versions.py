"""Versions of clips: the first is the whole unchanged clip, the others follow what is drawn, and all is found again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.fft import dct

from examples.aver.features import AUDIO, VIDEO
from examples.aver.recipe import TARGET
from examples.aver.versions import Versions, make_versions
from mrpnkit.data import Corpus

QUIET = Console(quiet=True)
UNCHANGED = Versions(count=3, slices=0, mirror=0, voice_reach=0, voice_decibels=0)


@pytest.fixture(scope="module")
def frames() -> Corpus:
    generator = np.random.default_rng(0)
    corpus = Corpus.from_arrays(
        {
            "video": [generator.normal(size=(length, VIDEO.width)) for length in (140, 60, 50)],
            "audio": [generator.normal(size=(length, AUDIO.width)) for length in (150, 130, 0)],
        },
        {TARGET: ["calm", "happy", "calm"]},
        groups={"actor": ["1", "2", "2"]},
        rates={"video": 30.0, "audio": 100.0},
    )
    corpus.about = {"source": "noise"}
    return corpus


def statistics(x: np.ndarray, lag: int) -> np.ndarray:
    """What a clip is described by, from NumPy."""
    low, median, high = np.quantile(x, [0.1, 0.5, 0.9], axis=0) - x.mean(axis=0)
    spread = 0.5 * np.log(x.var(axis=0) + 1e-6)
    change = np.log(np.abs(x[lag:] - x[:-lag]).mean(axis=0) + 1e-3)
    return np.concatenate([x.mean(axis=0), spread, low, median, high, change])


def test_the_first_version_describes_the_whole_clip(frames: Corpus, tmp_path: Path) -> None:
    made = make_versions(frames, tmp_path / "corpus", Versions(count=2), QUIET)
    video = np.asarray(frames.read("video", 1), dtype=np.float64)
    np.testing.assert_allclose(made.read("video", 1)[0], statistics(video, 2), atol=1e-4)
    audio = np.asarray(frames.read("audio", 1), dtype=np.float64)
    bands = AUDIO.mel.width
    cepstra = dct(audio[:, :bands], type=2, axis=1)[:, :20] / 2 / np.sqrt(bands)
    np.testing.assert_allclose(made.read("audio", 1)[0], statistics(np.hstack([audio, cepstra]), 2), atol=1e-4)


def test_versions_are_counted_and_a_missing_voice_has_none(frames: Corpus, tmp_path: Path) -> None:
    made = make_versions(frames, tmp_path / "corpus", Versions(count=4, slices=1.0), QUIET)
    assert made.modalities["video"].lengths.tolist() == [4, 4, 4]
    assert made.modalities["audio"].lengths.tolist() == [4, 4, 0]
    assert made.groups["actor"].tolist() == ["1", "2", "2"]
    assert made.targets[TARGET].tolist() == frames.targets[TARGET].tolist()
    assert len(np.unique(made.read("video", 0), axis=0)) == 4
    assert len(np.unique(made.read("audio", 0), axis=0)) == 4


def test_without_changes_all_versions_are_one(frames: Corpus, tmp_path: Path) -> None:
    made = make_versions(frames, tmp_path / "corpus", UNCHANGED, QUIET)
    for name in ("video", "audio"):
        np.testing.assert_array_equal(made.read(name, 0)[0], made.read(name, 0)[2])


def test_mirrored_faces_are_mirrored_statistics(frames: Corpus, tmp_path: Path) -> None:
    made = make_versions(frames, tmp_path / "corpus", replace(UNCHANGED, mirror=1.0), QUIET)
    mirrored = VIDEO.mirror(np.array(frames.read("video", 0), dtype=np.float32))
    np.testing.assert_allclose(made.read("video", 0)[1], statistics(mirrored.astype(np.float64), 2), atol=1e-4)


def test_they_are_made_once_and_made_anew_when_asked_for_otherwise(frames: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    first = make_versions(frames, folder, Versions(count=3), QUIET)
    stamp = (folder / "corpus.json").stat().st_mtime_ns
    again = make_versions(frames, folder, Versions(count=3), QUIET)
    assert (folder / "corpus.json").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.read("audio", 0), again.read("audio", 0))
    other = make_versions(frames, folder, Versions(count=3, seed=1), QUIET)
    assert not np.array_equal(first.read("audio", 0)[1:], other.read("audio", 0)[1:])

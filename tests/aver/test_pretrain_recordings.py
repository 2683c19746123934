"""Stretches of recordings are those of the whole-clip transform, and no more is read or kept than that asks for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from examples.aver.pretrain import recordings, stretches
from examples.aver.pretrain.index import INDEX, look_through
from examples.aver.pretrain.recordings import Recordings, Stretch, frames_of, part_of, spectrogram_of
from examples.aver.pretrain.stretches import read_stretch
from examples.aver.pretrain.utterances import read_recording, read_utterances
from mrpnkit.errors import CorpusError
from mrpnkit.extractors import SpectrogramSegments
from tests.aver.voices import RATE, as_table, voice, write_aac

SECONDS = 4.3


def long_voice(rate: int = RATE) -> np.ndarray:
    """Speech-like: another loudness at every moment, and not around zero."""
    wave = voice(1, 2, SECONDS * rate / RATE)
    return (wave * np.linspace(0.1, 1.5, len(wave)) + 0.05).astype(np.float32)


def stereo(path: Path) -> None:
    wave = long_voice(44100)
    soundfile.write(path, np.stack([wave, 0.3 * wave[::-1]], 1), 44100)


def late(path: Path) -> None:
    """Two seconds of silence before anything is heard."""
    write_aac(path, np.concatenate([np.zeros(2 * RATE, np.float32), long_voice()]))


FORMATS: dict[str, Callable[[Path], None]] = {
    "16k.wav": lambda path: soundfile.write(path, long_voice(), RATE),
    "float.wav": lambda path: soundfile.write(path, long_voice(), RATE, subtype="FLOAT"),
    "adpcm.wav": lambda path: soundfile.write(path, long_voice(), RATE, subtype="IMA_ADPCM"),
    "8k.wav": lambda path: soundfile.write(path, long_voice(8000), 8000),
    "stereo.wav": stereo,
    "16k.flac": lambda path: soundfile.write(path, long_voice(), RATE),
    "48k.flac": lambda path: soundfile.write(path, long_voice(48000), 48000),
    "vorbis.ogg": lambda path: soundfile.write(path, long_voice(), RATE, format="OGG", subtype="VORBIS"),
    "opus.ogg": lambda path: soundfile.write(path, long_voice(), RATE, format="OGG", subtype="OPUS"),
    "16k.m4a": lambda path: write_aac(path, long_voice()),
    "44k.m4a": lambda path: write_aac(path, long_voice(44100), 44100),
    "late.m4a": late,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_stretch_is_a_part_of_the_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    FORMATS[name](path)
    whole = read_recording(path).samples
    count, generator = len(whole), np.random.default_rng(0)
    places = np.sort(generator.integers(0, count, (3, 2)), axis=1).tolist()
    for first, last in [(0, count), (0, 500), (count - 700, count), (RATE, RATE + 1), *places]:
        np.testing.assert_allclose(read_stretch(path, first, last), whole[first:last], atol=2e-6)
        assert np.array_equal(read_stretch(path, first, last, whole_only=True), whole[first:last])


@pytest.mark.parametrize("name", ["16k.wav", "stereo.wav", "opus.ogg", "44k.m4a"])
@pytest.mark.parametrize("cut", [{"hop": 320, "bands": 64, "scale": "mel"}, {"scale": "log"}])
def test_frames_of_a_stretch_are_those_of_the_whole_clip(name: str, cut: dict, tmp_path: Path) -> None:
    path, segments = tmp_path / name, SpectrogramSegments(**cut)
    FORMATS[name](path)
    known = look_through([path], tmp_path, tmp_path / INDEX)[0]
    whole = spectrogram_of(torch.from_numpy(read_recording(path).samples), segments)
    frames, width = whole.shape[1], segments.width
    assert frames == frames_of(known.samples, segments)
    for start in (0, 1, width // 3, frames - width - 1, frames - width):
        made = part_of(path, known, segments, start, start + width)
        torch.testing.assert_close(made, whole[:, start : start + width], atol=2e-3, rtol=0)
    assert torch.equal(part_of(path, known, segments, 0, frames), whole)


def test_a_sought_stretch_reads_no_more_than_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cut, asked = tmp_path / "16k.flac", SpectrogramSegments(hop=320, bands=64, scale="mel"), []
    FORMATS["16k.flac"](path)
    known = look_through([path], tmp_path, tmp_path / INDEX)[0]
    original = soundfile.SoundFile.read

    def read(self: soundfile.SoundFile, frames: int = -1, **about: object) -> np.ndarray:
        asked.append(frames)
        return np.asarray(original(self, frames, **about))

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    part_of(path, known, cut, 100, 150)
    assert len(asked) == 1
    assert 0 < asked[0] <= RATE + 2 * cut.window


def test_aac_is_decoded_to_the_end_of_the_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, ends, original = tmp_path / "16k.m4a", [], vars(stretches)["read_sound"]
    FORMATS["16k.m4a"](path)

    def read_sound(path: Path, *, end: float) -> object:
        ends.append(end)
        return original(path, end=end)

    monkeypatch.setattr(stretches, "read_sound", read_sound)
    assert len(read_stretch(path, RATE, 2 * RATE)) == RATE
    assert ends == [2.0]


def test_a_recording_that_became_shorter_is_told(tmp_path: Path) -> None:
    for name in ("16k.wav", "16k.m4a"):
        FORMATS[name](tmp_path / name)
        count = len(read_recording(tmp_path / name).samples)
        with pytest.raises(CorpusError, match=r"has no samples .*; it changed since it was first read"):
            read_stretch(tmp_path / name, count - 100, count + 100)


class Corpus:
    """Thirty recordings, a transform, and the rows that are read."""

    def __init__(self, folder: Path) -> None:
        self.cut = SpectrogramSegments(hop=320, bands=32)
        self.paths = [utterance.path for utterance in read_utterances(as_table(folder))]
        self.known = look_through(self.paths, folder, folder / INDEX)
        self.read: list[tuple[int, int, int]] = []

    def recordings(self, fitting: int, **about: object) -> Recordings:
        """With room for so many spectrograms."""
        size = 4 * 32 * self.cut.width
        return Recordings(self.paths, self.known, self.cut, memory_gib=(fitting + 0.5) * size / 2**30, **about)  # type: ignore[arg-type]

    def whole(self, row: int) -> torch.Tensor:
        return spectrogram_of(torch.from_numpy(read_recording(self.paths[row]).samples), self.cut)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    made, original = Corpus(tmp_path), part_of

    def counted(path: Path, known: object, cut: object, start: int, stop: int) -> torch.Tensor:
        made.read.append((made.paths.index(path), start, stop))
        return original(path, known, cut, start, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(recordings, "part_of", counted)
    return made


def test_what_fits_is_read_once_and_whole_the_rest_as_it_is_needed(corpus: Corpus) -> None:
    some = corpus.recordings(2, kept=[5, 7, 3])
    groups = [[Stretch(5, 10, 30), Stretch(3, 10, 30)], [Stretch(7, 0, 20), Stretch(5, 3, 4)]]
    for _ in range(2):
        for group, found in zip(groups, some.read(groups), strict=True):
            for (row, start, stop), frames in zip(group, found, strict=True):
                torch.testing.assert_close(frames, corpus.whole(row)[:, start:stop], atol=2e-3, rtol=0)
    width = corpus.cut.width
    assert corpus.read == [(5, 0, width), (3, 10, 30), (7, 0, width), (3, 10, 30)]


def test_frames_in_memory_are_those_of_the_whole_clip_exactly(corpus: Corpus) -> None:
    every = corpus.recordings(30)
    for _ in range(2):
        for row, (found,) in enumerate(every.read([every.whole(row)] for row in range(30))):
            assert torch.equal(found, corpus.whole(row))
    assert len(corpus.read) == 30


def test_nothing_is_read_before_it_is_asked_for(corpus: Corpus) -> None:
    corpus.recordings(30)
    assert corpus.read == []


def test_processes_read_the_same_in_the_same_order(corpus: Corpus) -> None:
    groups = [[Stretch(row, 5, 40), Stretch(29 - row, 0, 10)] for row in range(12)]
    with corpus.recordings(4, workers=1) as apart, corpus.recordings(4, workers=0) as here:
        for _ in range(2):
            for one, other in zip(apart.read(groups), here.read(groups), strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        corpus.read.clear()
        assert next(apart.read([[Stretch(0, 0, 5)]]))[0].shape == (32, 5)
    assert corpus.read == []


def test_an_error_of_a_process_names_the_file(corpus: Corpus) -> None:
    corpus.paths[3].write_bytes(b"RIFF")
    with corpus.recordings(0, workers=1) as apart, pytest.raises(CorpusError, match=r"0-3\.wav cannot be decoded"):
        list(apart.read([[Stretch(row, 0, 10)] for row in range(6)]))

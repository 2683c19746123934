"""Speaker recognition: reading both layouts, honest splits, and the very segments of the extractor."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from examples.aver.pretrain import speakers
from examples.aver.pretrain.speakers import Recordings, SpeakerRecipe, hidden, segments_for, spectrogram_of
from examples.aver.pretrain.utterances import Utterance, read_utterance, read_utterances, some_of, split_utterances
from mrpnkit.errors import CorpusError, SplitError
from mrpnkit.extractors import SpectrogramSegments, SpectrogramTimm

RATE = 16000


def voice(speaker: int, take: int, seconds: float = 0.9) -> np.ndarray:
    """A tone of the speaker's own pitch in some noise."""
    generator = np.random.default_rng((speaker, take))
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * n * (150 + 120 * speaker) * time + generator.random()) / n for n in (1, 2, 3))
    return (0.2 * tone + 0.02 * generator.standard_normal(len(time))).astype(np.float32)


def as_table(folder: Path, takes: int = 10) -> Path:
    with (folder / "speakers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "speaker", "seconds"])
        for speaker in range(3):
            for take in range(takes):
                name = f"set_{speaker % 2}/{speaker}-{take}.wav"
                (folder / name).parent.mkdir(exist_ok=True)
                soundfile.write(folder / name, voice(speaker, take), RATE)
                writer.writerow([name, f"s{speaker}", 0.9])
    return folder


def as_voxceleb(folder: Path, ending: str = "wav") -> Path:
    for speaker in range(2):
        for video in range(4):
            target = folder / "dev" / ending / f"id1000{speaker}" / f"video{video}" / f"00001.{ending}"
            target.parent.mkdir(parents=True)
            if ending == "wav":
                soundfile.write(target, voice(speaker, video), RATE)
            else:
                write_aac(target, voice(speaker, video))
            if ending == "wav" and video == 0:
                soundfile.write(target.with_name("00002.wav"), voice(speaker, 9), RATE)
    return folder


def write_aac(path: Path, wave: np.ndarray) -> None:
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'mrpnkit[av]'")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def test_a_table_of_files(tmp_path: Path) -> None:
    found = read_utterances(as_table(tmp_path))
    assert len(found) == 30
    assert found[11].speaker == "s1"
    np.testing.assert_allclose(read_utterance(found[11]), voice(1, 1), atol=1e-4)
    assert len({utterance.session for utterance in found}) == 30  # each may be split from the others


def test_voxceleb_s_folders(tmp_path: Path) -> None:
    found = read_utterances(as_voxceleb(tmp_path))
    assert len(found) == 10
    assert {utterance.speaker for utterance in found} == {"id10000", "id10001"}
    parts = split_utterances(found, seed=0)
    for utterance in found[:2]:  # two recordings of one video
        assert utterance.session == "video0"
    places = {row: part for part, rows in parts._asdict().items() for row in rows}
    assert places[0] == places[1]


def test_aac_is_read(tmp_path: Path) -> None:
    found = read_utterances(as_voxceleb(tmp_path, "m4a"))
    wave = read_utterance(found[0])
    assert abs(len(wave) / RATE - 0.9) < 0.15
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * RATE / len(wave) - 150) < 5


def test_a_quick_look_at_many_speakers_can_be_split() -> None:
    # As large as VoxCeleb: 1,211 speakers, each with 18 sessions of 7 recordings.
    found = [Utterance(Path(f"{who}/{n}/{m}"), f"id{who}", str(n)) for who in range(1211) for n in range(18)
             for m in range(7)]  # fmt: skip
    some = some_of(found, 400)
    assert 300 <= len(some) <= 400
    assert len({utterance.speaker for utterance in some}) == 33
    parts = split_utterances(some, seed=0)
    assert min(map(len, parts)) >= 33
    assert some_of(found[:50], 400) == found[:50]
    few = [Utterance(Path(f"{who}{n}"), who, str(n)) for who in "abc" for n in range(2)]
    assert len(some_of(few, 4)) <= 4


@pytest.mark.parametrize("seed", [0, 1])
def test_every_speaker_that_is_tested_is_trained_on(seed: int) -> None:
    counts = {"a": 40, "b": 10, "c": 3, "d": 2, "e": 1}
    found = [Utterance(Path(f"{who}{n}"), who, str(n)) for who, count in counts.items() for n in range(count)]
    parts = split_utterances(found, seed=seed)
    assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(56))
    by_speaker = {who: [sum(found[row].speaker == who for row in rows) for rows in parts] for who in counts}
    assert by_speaker == {"a": [30, 4, 6], "b": [7, 1, 2], "c": [1, 1, 1], "d": [1, 0, 1], "e": [1, 0, 0]}


def test_recordings_that_repeat_another_are_left_out(tmp_path: Path) -> None:
    found = read_utterances(as_table(tmp_path))
    soundfile.write(found[7].path, voice(2, 3), RATE)  # as another speaker's
    recordings = Recordings(found, SpectrogramSegments(hop=320, bands=32), 1.0)
    assert len(recordings.utterances) == 29
    assert found[7] in recordings.utterances
    assert found[23] not in recordings.utterances


def test_segments_are_those_of_the_extractor(tmp_path: Path) -> None:
    """What is trained on is what ``spectrogram_timm`` with the same settings shows its network."""
    recipe = SpeakerRecipe()
    part = SpectrogramTimm(architecture="test_resnet", hop=recipe.hop, bands=recipe.bands, scale=recipe.scale)
    cut = segments_for(recipe)
    for seconds in (0.5, 1.0, 2.3):
        wave = torch.from_numpy(voice(0, 0, seconds))
        whole = spectrogram_of(wave, cut)
        segments = whole.unfold(1, cut.width, cut.step).movedim(1, 0)
        torch.testing.assert_close(segments, part.cut(wave))


def test_recordings_that_do_not_fit_into_memory_are_read_anew(tmp_path: Path) -> None:
    found, cut = read_utterances(as_table(tmp_path)), SpectrogramSegments(hop=320, bands=32)
    kept, anew = Recordings(found, cut, 1.0), Recordings(found, cut, 0.0)
    assert torch.equal(kept.spectrogram(5), anew.spectrogram(5))
    assert kept.spectrogram(5) is kept.spectrogram(5)
    assert anew.spectrogram(5) is not anew.spectrogram(5)


def test_what_is_hidden() -> None:
    segments = torch.rand(300, 20, 30) + 1
    given = hidden(segments, 0.4, torch.Generator().manual_seed(0))
    changed = (given != segments).view(300, 20, 30)
    rows, columns = changed.all(2).sum(1), changed.all(1).sum(1)
    assert rows.max() <= 8 + 1
    assert columns.max() <= 12 + 1
    assert rows.float().mean() == pytest.approx(4, abs=1)
    assert columns.float().mean() == pytest.approx(6, abs=1)
    inside = changed & ~changed.all(2, keepdim=True) & ~changed.all(1, keepdim=True)
    assert not inside.any()  # nothing but runs of bands and of frames
    means = segments.mean((1, 2), keepdim=True).expand_as(segments)
    assert torch.equal(given[changed], means[changed])
    assert torch.equal(hidden(segments, 0.0, torch.Generator()), segments)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("does not exist; expected speakers.csv or VoxCeleb's folders", lambda folder: folder / "nothing"),
        ("holds recordings of fewer than two speakers", lambda folder: folder),
        (r"has the columns \['a', 'b'\]; expected file and speaker", lambda folder: _table(folder, "a,b\n1,2\n")),
        ("names .*x.wav, which does not exist", lambda folder: _table(folder, "file,speaker\nx.wav,1\n")),
    ],
)
def test_what_is_no_corpus_of_speakers_is_refused(text: str, make: object, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=text):
        read_utterances(make(tmp_path))  # type: ignore[operator]


def _table(folder: Path, text: str) -> Path:
    (folder / "speakers.csv").write_text(text)
    return folder


def test_too_few_sessions_are_refused() -> None:
    found = [Utterance(Path(f"{who}{n}"), who, str(n)) for who in "ab" for n in range(2)]
    with pytest.raises(SplitError, match="No speaker has three sessions"):
        split_utterances(found, seed=0)


def test_the_command_goes_all_the_way_and_spectrogram_timm_loads_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from examples.aver.__main__ import app
    from mrpnkit import Sequences

    recipe = speakers.SpeakerRecipe
    monkeypatch.setattr(speakers, "SpeakerRecipe", lambda: recipe(architecture="test_resnet"))
    out, result = tmp_path / "out", tmp_path / "result.json"
    arguments = ["--data", str(as_table(tmp_path)), "--out", str(out), "--small", "--result", str(result)]
    shown = CliRunner().invoke(app, ["pretrain", "speakers", *arguments], catch_exceptions=False)
    assert "top1:" in shown.output
    content = json.loads(result.read_text())
    assert content["config"]["utterances"] == {"train": 21, "validation": 3, "test": 6}
    assert set(content["figures"]) >= {"top1", "top1/set_0", "top1/set_1"}
    assert (out / "curve.png").stat().st_size > 1000
    wanted = recipe()
    part = SpectrogramTimm(
        architecture="test_resnet",
        weights=str(out / "best.safetensors"),
        hop=wanted.hop,
        bands=wanted.bands,
        scale=wanted.scale,
    ).eval()
    assert part(Sequences.of([torch.from_numpy(voice(0, 0))])).lengths.tolist() == [1]


def test_the_real_recordings_are_opus(shared_data: Path) -> None:
    found = read_utterances(shared_data / "speakers")
    assert (len(found), len({utterance.speaker for utterance in found})) == (4017, 98)
    wave = read_utterance(found[0])
    assert abs(len(wave) / RATE - 1.232) < 0.01
    parts = split_utterances(found, seed=0)
    assert {found[row].speaker for row in parts.test} <= {found[row].speaker for row in parts.train}

"""Speaker recognition: reading both layouts, honest splits, and the very segments of the extractor."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from examples.aver.pretrain import index, speakers
from examples.aver.pretrain.index import INDEX, look_through
from examples.aver.pretrain.recordings import Recordings, spectrogram_of
from examples.aver.pretrain.speakers import (
    VALIDATED,
    SpeakerRecipe,
    SpeakerTask,
    drawn_runs,
    hidden,
    segments_for,
    spread,
)
from examples.aver.pretrain.training import Recipe
from examples.aver.pretrain.utterances import (
    Parts,
    Utterance,
    read_recording,
    read_utterances,
    some_of,
    split_utterances,
)
from mrpnkit.errors import CorpusError, SplitError
from mrpnkit.extractors import SpectrogramTimm
from tests.aver.voices import RATE, as_table, as_voxceleb, voice


def test_a_table_of_files(tmp_path: Path) -> None:
    found = read_utterances(as_table(tmp_path))
    assert len(found) == 30
    assert found[11].speaker == "s1"
    np.testing.assert_allclose(read_recording(found[11].path).samples, voice(1, 1), atol=1e-4)
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
    wave = read_recording(found[0].path).samples
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


def task_of(folder: Path, lengths: list[float], *, memory_gib: float = 1.0) -> SpeakerTask:
    """Recordings of so many seconds; the last of them are validated and tested."""
    recipe = SpeakerRecipe(bands=32, memory_gib=memory_gib, training=Recipe(batch_size=4, precision="float32"))
    paths = [folder / f"{number}.wav" for number in range(len(lengths))]
    for number, (path, seconds) in enumerate(zip(paths, lengths, strict=True)):
        soundfile.write(path, voice(number % 3, number, seconds), RATE)
    known, rows = look_through(paths, folder, folder / INDEX), list(range(len(paths)))
    recordings = Recordings(paths, known, segments_for(recipe), memory_gib=memory_gib)
    return SpeakerTask(recordings, torch.arange(len(paths)) % 3, Parts(rows[:-4], rows[-4:], rows[-4:]), recipe)


def whole_clips(task: SpeakerTask) -> list[torch.Tensor]:
    return [spectrogram_of(torch.from_numpy(read_recording(path).samples), task.recordings.cut)
            for path in task.recordings.paths]  # fmt: skip


@pytest.mark.parametrize("memory_gib", [1.0, 0.0])
def test_batches_are_the_segments_that_were_drawn_from_whole_clips(memory_gib: float, tmp_path: Path) -> None:
    """Against the draws written out, one recording after the other, then what is hidden, batch by batch."""
    task = task_of(
        tmp_path, [0.5, 1.0, 1.3, 2.1, 1.7, 3.2, 0.9, 2.4, 1.1, 1.6, 1.0, 1.0, 1.0, 1.0], memory_gib=memory_gib
    )
    wholes, width = whole_clips(task), task.recordings.cut.width
    given = list(task.batches(0, torch.Generator().manual_seed(3)))
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(10, generator=generator)
    assert len(given) == task.steps(0) == 2
    for step, batch in enumerate(given):
        rows = order[4 * step : 4 * step + 4]
        starts = [int(torch.randint(wholes[row].shape[1] - width + 1, (), generator=generator)) for row in rows]
        segments = torch.stack([wholes[row][:, s : s + width] for row, s in zip(rows, starts, strict=True)])
        expected, mean = segments.clone(), segments.mean((1, 2))
        for axis, size in ((1, 32), (2, width)):
            lengths = 0.2 * size * torch.rand(4, generator=generator)
            begins = torch.rand(4, generator=generator) * (size - lengths)
            for place in range(4):
                inside = [n for n in range(size) if begins[place] <= n < begins[place] + lengths[place]]
                expected[place].index_fill_(axis - 1, torch.tensor(inside, dtype=torch.int64), float(mean[place]))
        torch.testing.assert_close(batch.inputs, expected.unsqueeze(1), atol=1e-6 if memory_gib else 2e-3, rtol=0)
        assert torch.equal(batch.labels, rows % 3)


def small_network(task: SpeakerTask) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(32 * task.recordings.cut.width, 3))


def test_recordings_are_recognised_together_by_the_mean_of_their_segments(tmp_path: Path) -> None:
    task = task_of(tmp_path, [1.0, 2.3, 0.4, 5.1, 1.2])
    network, cut, batches = small_network(task), task.recordings.cut, []
    network.register_forward_hook(lambda part, inputs, outputs: batches.append(len(inputs[0])))
    rows = [3, 0, 4, 1, 2]
    found = task.scores(network, rows)
    assert sum(batches) == 22 + 1 + 2 + 8 + 1
    assert len(batches) == 1  # of five recordings
    assert torch.equal(found.labels, torch.tensor(rows) % 3)
    wholes = whole_clips(task)
    for row, probabilities in zip(rows, found.probabilities, strict=True):
        segments = wholes[row].unfold(1, cut.width, cut.step).movedim(1, 0)
        with torch.no_grad():
            expected = network(segments).softmax(1).mean(0)
        torch.testing.assert_close(probabilities, expected)


def test_long_recordings_are_validated_by_some_of_their_segments(tmp_path: Path) -> None:
    """Sixteen at most, evenly; those of shorter recordings, and of the test, are all."""
    task = task_of(tmp_path, [1.0, 6.1, 4.0, 4.3, 1.2])
    network, cut, wholes = small_network(task), task.recordings.cut, whole_clips(task)
    validated, tested = task.validate(network, 0), task.scores(network, task.parts.test)
    for place, row in enumerate(task.parts.validation):
        segments = wholes[row].unfold(1, cut.width, cut.step).movedim(1, 0)
        chosen = np.linspace(0, len(segments) - 1, min(len(segments), VALIDATED)).astype(int)
        with torch.no_grad():
            every = network(segments).softmax(1)
        torch.testing.assert_close(validated.probabilities[place], every[torch.from_numpy(chosen)].mean(0))
        torch.testing.assert_close(tested.probabilities[place], every.mean(0))
    assert [task.recordings.segments(row) for row in task.parts.validation] == [27, 16, 18, 2]
    torch.testing.assert_close(validated.probabilities[1], tested.probabilities[1])  # sixteen, all of them
    assert len(set(spread(27, VALIDATED))) == VALIDATED


def test_what_is_hidden() -> None:
    segments = torch.rand(300, 20, 30) + 1
    given = hidden(segments, drawn_runs(300, (20, 30), 0.4, torch.Generator().manual_seed(0)))
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
    assert torch.equal(hidden(segments, drawn_runs(300, (20, 30), 0.0, torch.Generator())), segments)


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
    (as_table(tmp_path) / "set_0" / "0-9.wav").write_bytes(b"damaged")
    arguments = ["--data", str(tmp_path), "--out", str(out), "--small", "--result", str(result)]
    shown = CliRunner().invoke(app, ["pretrain", "speakers", *arguments], catch_exceptions=False)
    assert "top1:" in shown.output
    content = json.loads(result.read_text())
    assert content["config"]["utterances"] == {"train": 21, "validation": 3, "test": 5}
    left_out = {"count": 1, "files": ["set_0/0-9.wav"]}
    assert content["config"]["unreadable_left_out"] == left_out
    assert json.loads((out / "metrics.json").read_text())["unreadable_left_out"] == left_out
    assert "1 of 30 recordings cannot be read and are left out: set_0/0-9.wav" in shown.output
    assert set(content["figures"]) >= {"top1", "top1/set_0", "top1/set_1"}
    with monkeypatch.context() as patch:  # a finished training is read again, and no recording looked at
        patch.setattr(index, "read_recording", None)
        CliRunner().invoke(app, ["pretrain", "speakers", *arguments], catch_exceptions=False)
    assert json.loads(result.read_text())["figures"]["top1"] == content["figures"]["top1"]
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


@pytest.mark.parametrize("command", ["fer2013", "speakers"])
@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [([], True, "cuda"), ([], False, "cpu"), (["--device", "auto"], True, "cuda"), (["--device", "cpu"], True, "cpu")],
)
def test_a_pretraining_runs_on_a_gpu_where_there_is_one(
    command: str, given: list[str], there: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from examples.aver.__main__ import app

    what, devices = "faces" if command == "fer2013" else "speakers", []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(
        f"examples.aver.pretrain.{command}.train_{what}", lambda *about, device, **others: devices.append(device)
    )
    monkeypatch.setattr(f"examples.aver.pretrain.outcomes.conclude_{what}", lambda *about: None)
    arguments = ["pretrain", command, "--data", "x", "--precision", "float32", *given]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert devices == [expected]


def test_the_real_recordings_are_opus(shared_data: Path) -> None:
    found = read_utterances(shared_data / "speakers")
    assert (len(found), len({utterance.speaker for utterance in found})) == (4017, 98)
    wave = read_recording(found[0].path).samples
    assert abs(len(wave) / RATE - 1.232) < 0.01
    parts = split_utterances(found, seed=0)
    assert {found[row].speaker for row in parts.test} <= {found[row].speaker for row in parts.train}

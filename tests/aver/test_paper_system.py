"""Runs of the paper's system: what is read, trained, selected, kept, and never mixed."""

import json
from dataclasses import replace
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver.paper import job as jobs
from examples.aver.paper.cache import place_of
from examples.aver.paper.estimate import keeping_seconds, measure, spoken, total
from examples.aver.paper.job import PaperJob, make_paper_trainer, open_job, run_paper_job, train_by
from examples.aver.paper.options import Options, Schedule, System, Weights
from examples.aver.paper.system import Shape, build_extractor, build_system, build_tail, training_draws
from mrpnkit import Branch, Sequences
from mrpnkit.aggregators import LSTM, BiLSTM, Transformer
from mrpnkit.data import Corpus, CorpusDataset
from mrpnkit.errors import InputError, TrainingError
from tests.aver.paper_corpora import FPS, RATE, SCHEDULE, SHAPE, SYSTEM, finished, initial_weights, tiny_job


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[PaperJob, dict[str, Any]]:
    return finished(tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def corpus(done: tuple[PaperJob, dict[str, Any]]) -> Path:
    return done[0].corpus


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Initial weights of both CNNs, as a pretraining leaves them."""
    return initial_weights(tmp_path_factory.mktemp("weights"))


def test_what_a_run_holds(done: tuple[PaperJob, dict[str, Any]]) -> None:
    job, result = done
    assert job.folder == job.out / "honest" / "n2-lstm-VA-AO-T" / "fold-01" / "seed-0"
    assert json.loads((job.folder / "test.json").read_text()) == result
    assert (result["network"], result["options"], result["protocol"]) == ("n2", "lstm-VA-AO-T", "honest")
    assert (result["test_actors"], result["validation_actors"]) == (["1", "2"], ["3", "4"])
    with np.load(job.folder / "test.npz") as saved:
        for head in ("fused", "video", "audio"):
            expected = accuracy_score(saved["labels/emotion"], saved[f"scores/{head}/emotion"].argmax(1))
            assert result["metrics"][f"emotion/{head}/accuracy"] == pytest.approx(expected)
    assert job.done() == result
    files = {"run.json", "test.json", "test.npz", "metrics.jsonl", "best.safetensors", "last.safetensors"}
    assert {path.name for path in job.folder.iterdir()} == files  # and no state, which is needed no more
    assert open_job(job.folder) == (job, SHAPE)


def test_a_finished_run_is_only_read(done: tuple[PaperJob, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    job, result = done
    monkeypatch.setattr(jobs, "make_paper_trainer", lambda *arguments: pytest.fail("trained again"))
    assert run_paper_job(job) == result
    with pytest.raises(TrainingError, match="holds a run with another system"):
        replace(job, system=replace(SYSTEM, dropout=0.5)).done()
    assert replace(job, schedule=replace(SCHEDULE, workers=3)).done() == result


def test_the_papers_protocol_selects_on_what_it_reports(corpus: Path, tmp_path: Path) -> None:
    honest, paper = (tiny_job(corpus, tmp_path, protocol=protocol) for protocol in ("honest", "paper"))
    opened = Corpus.open(corpus)
    first, second = honest.split(opened), paper.split(opened)
    assert not set(first.validation) & set(first.test)
    assert second.validation.tolist() == second.test.tolist() == first.test.tolist()
    assert sorted([*second.train, *second.test]) == list(range(len(opened)))
    assert set(opened.groups["actor"][second.train]) == {"3", "4", "5", "6"}
    assert honest.folder != paper.folder


@pytest.mark.parametrize(("network", "heads"), [("am", {"fused"}), ("vm", {"fused"}), ("n0", {"fused"}),
                                                ("n1", {"fused", "video", "audio"})])  # fmt: skip
def test_every_network_trains(network: str, heads: set[str], corpus: Path, tmp_path: Path) -> None:
    result = run_paper_job(tiny_job(corpus, tmp_path, network))
    assert {name.split("/")[1] for name in result["metrics"] if "/" in name} == heads


@pytest.mark.parametrize(("word", "kind", "width"), [("lstm", LSTM, 8), ("bilstm", BiLSTM, 8),
                                                     ("transformer", Transformer, 8)])  # fmt: skip
def test_every_aggregator_makes_f_m_of_one_width(word: str, kind: type, width: int) -> None:
    model = build_system("n2", SYSTEM, Options.parse(word), SHAPE)
    for branch in model.branches.values():
        aggregator = cast(Branch, branch).aggregator
        assert isinstance(aggregator, kind)
        assert aggregator.out_features == width


def test_without_overlapping_there_are_fewer_segments() -> None:
    sound = Sequences.of([torch.randn(3 * 16000)])
    counts = [build_extractor("audio", SYSTEM, Options.parse(o), SHAPE)(sound).lengths.item() for o in ("AO", "WO")]
    assert counts == [11, 3]


def test_what_the_options_draw(corpus: Path) -> None:
    opened, rows, both = Corpus.open(corpus), np.arange(18), ["video", "audio"]

    def read(text: str, **more: Any) -> list[Any]:
        options = Options.parse(text, Options(**more))
        draws = training_draws(options, replace(SYSTEM, frames_per_second=None), opened, rows, both, kept=False)
        dataset = CorpusDataset(opened, rows, augmentation=draws, seed=3)
        return [dataset[place] for place in (1, 3, 5)]

    whole = [opened.batch("video", np.array([row])) for row in (1, 3, 5)]
    for batch, before in zip(read("none+NT"), whole, strict=True):
        assert torch.equal(batch.inputs["video"].steps, before.steps)
    lengths = set()
    for batch, before in zip(read("none+T"), whole, strict=True):
        seconds = {n: len(b.steps) / r for (n, b), r in zip(batch.inputs.items(), (FPS, RATE), strict=True)}
        assert min(seconds.values()) >= 1.0
        assert len(batch.inputs["video"].steps) <= len(before.steps)
        lengths.add(tuple(seconds.values()))
    assert any(video != audio for video, audio in lengths)  # each modality on its own
    for batch, before in zip(read("VA+NT"), whole, strict=True):
        assert batch.inputs["video"].steps.shape == before.steps.shape
        assert not torch.equal(batch.inputs["video"].steps, before.steps)
    own = [opened.batch("audio", np.array([row])).steps for row in (1, 3, 5)]
    paired = [batch.inputs["audio"].steps for batch in read("none+NT", pairing=1.0)]
    assert not all(torch.equal(a, b) for a, b in zip(own, paired, strict=True))
    found = {
        row for steps in paired for row in range(18) if torch.equal(steps, opened.batch("audio", np.array([row])).steps)
    }
    labels = opened.targets["emotion"]
    assert {int(labels[row]) for row in found} <= {int(labels[row]) for row in (1, 3, 5)}


def test_a_run_that_was_killed_while_thawing_goes_on(corpus: Path, tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, epochs=3, frozen_epochs=1, epochs_per_stage=1)
    job = tiny_job(corpus, tmp_path, "vm", schedule=schedule)
    opened = Corpus.open(corpus)
    whole, _ = make_paper_trainer(job, opened, job.split(opened), SHAPE, folder=tmp_path / "whole")
    before = {k: v.clone() for k, v in whole.plain_model.state_dict().items() if "extractor.network" in k}
    train_by(schedule, whole)
    killed, _ = make_paper_trainer(job, opened, job.split(opened), SHAPE, folder=tmp_path / "killed")
    step = killed._step

    def fragile(batch: Any) -> None:
        if killed.progress.epoch == 1:
            raise KeyboardInterrupt
        step(batch)

    killed._step = fragile  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train_by(schedule, killed)
    for name, value in killed.plain_model.state_dict().items():
        if name in before:
            assert torch.equal(value, before[name]), f"{name} moved while it was frozen"
    again, _ = make_paper_trainer(job, opened, job.split(opened), SHAPE, folder=tmp_path / "killed")
    train_by(schedule, again)
    assert [r.train for r in again.history] == [r.train for r in whole.history]
    last = load_file(tmp_path / "killed" / "last.safetensors")
    moved = [name for name in before if not torch.equal(last[name], before[name])]
    assert 0 < len(moved) < len(before)  # those that joined, and the last stages first
    assert all(torch.equal(v, last[n]) for n, v in load_file(tmp_path / "whole" / "last.safetensors").items())


def test_frozen_cnns_run_once_and_give_what_they_gave_before(corpus: Path, tmp_path: Path, weights: Weights) -> None:
    system = replace(SYSTEM, frozen=True, weights=weights)
    job = tiny_job(corpus, tmp_path, system=system, options=Options(image="none"))
    assert keeping_seconds(job) > 0
    kept = job.read_corpus()
    opened = Corpus.open(corpus)
    assert kept.modalities["video"].lengths.tolist() == [-(-n // 2) for n in opened.modalities["video"].lengths]
    whole = build_system("n2", system, job.options, SHAPE).eval()
    tail = build_tail("n2", {name: kept.features(name) for name in job.modalities}, system, job.options, SHAPE).eval()
    tail.load_state_dict({k: v for k, v in whole.state_dict().items() if ".extractor." not in k})
    rows = np.array([2, 3])
    frames = [torch.from_numpy(np.array(opened.read("video", row)[::2])) for row in rows]
    direct = whole({"video": Sequences.of(frames), "audio": opened.batch("audio", rows)}, sides=True)
    cached = tail({name: kept.batch(name, rows) for name in job.modalities}, sides=True)
    torch.testing.assert_close(cached.fused["emotion"], direct.fused["emotion"], rtol=1e-4, atol=1e-5)
    for name in job.modalities:
        torch.testing.assert_close(
            cached.branches[name]["emotion"], direct.branches[name]["emotion"], rtol=1e-4, atol=1e-5
        )
    made = (tmp_path / "features").stat().st_mtime_ns
    result = run_paper_job(job)
    assert (tmp_path / "features").stat().st_mtime_ns == made
    assert result["metrics"]["emotion/fused/accuracy"] >= 0
    draws = training_draws(job.options, system, kept, np.arange(18), job.modalities, kept=True)
    sizes = {draws.slices["audio"].draw(11, np.random.default_rng(n)) for n in range(300)}
    assert {last - first for first, last in sizes} == set(range(1, 12))  # one segment, a second, or more


def test_what_frozen_cnns_need(corpus: Path, tmp_path: Path, weights: Weights) -> None:
    frozen, both = replace(SYSTEM, frozen=True), ["video", "audio"]
    with pytest.raises(InputError, match="give weights for video and audio"):
        place_of(tmp_path, frozen, Options(image="none"), both, corpus)
    with pytest.raises(InputError, match="VA has no effect"):
        place_of(tmp_path, replace(frozen, weights=weights), Options(), both, corpus)
    one = place_of(tmp_path, replace(frozen, weights=weights), Options(image="none"), both, corpus)
    other = place_of(tmp_path, replace(frozen, weights=weights), Options.parse("none+WO"), both, corpus)
    assert one.folder != other.folder


def test_initial_weights_are_loaded(weights: Weights) -> None:
    model = build_system("n2", replace(SYSTEM, weights=weights), Options(), SHAPE)
    again = build_system("n2", replace(SYSTEM, weights=weights), Options(), SHAPE)
    for name in ("video", "audio"):
        one, two = (cast(Branch, m.branches[name]).extractor.state_dict() for m in (model, again))
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert tiny_job(Path("c"), Path("o"), system=replace(SYSTEM, weights=weights)).settings()["system"]["weights"] == (
        weights.fingerprint()
    )


def test_the_time_is_measured_on_a_few_steps(corpus: Path, tmp_path: Path) -> None:
    job = tiny_job(corpus, tmp_path, "vm", schedule=replace(SCHEDULE, epochs=10, frozen_epochs=1))
    found = measure(job)
    assert found.step_seconds > 0
    batches, clips = 1, 6
    assert found.run_seconds == pytest.approx(
        10 * (found.step_seconds * batches + found.clip_seconds * clips) + found.clip_seconds * clips
    )
    assert not job.folder.exists()
    seconds, kinds = total([job, replace(job, fold=1)], workers=2)
    assert list(kinds) == ["vm-lstm-VA-AO-T"]
    assert seconds == pytest.approx(kinds["vm-lstm-VA-AO-T"].run_seconds)
    assert [spoken(s) for s in (50, 600, 10_000, 1e6)] == ["50 s", "10 min", "2.8 h", "11.6 days"]


def test_readers_change_no_result_and_end_with_the_training(corpus: Path, tmp_path: Path) -> None:
    before = {process.pid for process in active_children()}
    found = []
    for readers in (0, 1):
        job = tiny_job(corpus, tmp_path / str(readers), "vm", schedule=replace(SCHEDULE, epochs=2, workers=readers))
        run_paper_job(job)
        found.append(load_file(job.folder / "last.safetensors"))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert {process.pid for process in active_children()} <= before


def test_batches_are_pinned_where_there_is_cuda(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, opened = tiny_job(corpus, tmp_path), Corpus.open(corpus)
    pinned: list[bool] = []
    real = vars(jobs)["loader"]

    def noted(*given: Any, pin_memory: bool, **settings: Any) -> Any:
        pinned.append(pin_memory)
        return real(*given, **settings)

    monkeypatch.setattr(jobs, "loader", noted)
    for there_is_one in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", partial(bool, there_is_one))
        jobs.evaluation_batches(job, opened, np.arange(3))
    assert pinned == [False, True]


def test_other_corpora_and_runs_are_refused(tmp_path: Path) -> None:
    landmarks = Corpus.from_arrays({"video": [np.zeros((2, 7))] * 3, "audio": [np.zeros((2, 5))] * 3},
                                   {"emotion": ["a", "b", "c"]})  # fmt: skip
    with pytest.raises(InputError, match="no corpus of frames and sound"):
        Shape.of(landmarks)
    with pytest.raises(TrainingError, match="holds no finished run"):
        open_job(tmp_path)
    (tmp_path / "test.json").write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"network": "n2"}))
    with pytest.raises(TrainingError, match="run on prepared features, such as landmarks"):
        open_job(tmp_path)
    assert System() == System(cnn="resnet18")
    assert (Schedule().learning_rate, Schedule().factor, Schedule().patience) == (5e-5, 0.5, 10)

"""A run of the paper's system is of one corpus, wherever that lies, and is refused on any other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver.job import above
from examples.aver.paper import job as jobs
from examples.aver.paper.job import PaperJob, open_job, run_paper_job
from examples.aver.paper.options import Options, Weights
from examples.aver.paper.system import build_extractor
from mrpnkit.data import Corpus
from mrpnkit.errors import TrainingError
from tests.aver.paper_corpora import SHAPE, SYSTEM, finished, tiny_job


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[PaperJob, dict[str, Any]]:
    return finished(tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def corpus(done: tuple[PaperJob, dict[str, Any]]) -> Path:
    return done[0].corpus


def other(corpus: Path, folder: Path, *, first: int = 1, **about: Any) -> Path:
    """The corpus again in another place: of actors from ``first`` on, or with another preparation."""
    again = Corpus.open(corpus)
    again.groups["actor"] = np.array([str(int(actor) + first - 1) for actor in again.groups["actor"]])
    again.about = {**again.about, **about}
    return again.save(folder)


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_on_other_data_is_refused(
    finished: bool, done: tuple[PaperJob, dict[str, Any]], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, result = done
    job = replace(job, out=tmp_path / "runs")
    shutil.copytree(done[0].folder, job.folder)
    if not finished:
        (job.folder / "test.json").unlink()
    monkeypatch.setattr(jobs, "make_paper_trainer", lambda *arguments: pytest.fail("trained"))
    same = replace(job, corpus=other(corpus, tmp_path / "elsewhere"))
    assert same.done() == (result if finished else None)
    assert len(same.read_corpus()) == len(Corpus.open(corpus))
    strangers = replace(job, corpus=other(corpus, tmp_path / "strangers" / "corpus", first=4))
    changed = replace(job, corpus=other(corpus, tmp_path / "changed" / "corpus", settings={"margin": 0.4}))
    for wrong, text in (
        (strangers, "trained on 18 clips of noise, actors 1, 2, 3, 4, 5, 6; here are 18 clips of noise, actors 4, 5"),
        (changed, "a run on the clips of .*changed/corpus, but prepared in another way"),
    ):
        with pytest.raises(TrainingError, match=text):
            run_paper_job(wrong)
        with pytest.raises(TrainingError, match=text):
            wrong.read_corpus()
    stored = json.loads((job.folder / "run.json").read_text())
    del stored["data"]
    (job.folder / "run.json").write_text(json.dumps(stored))
    with pytest.raises(TrainingError, match="does not say what it was trained on: an earlier version made it"):
        run_paper_job(job)
    if finished:
        assert open_job(job.folder)[1] == SHAPE  # prediction needs no corpus


def test_a_run_that_was_moved_is_opened_from_within_its_folder(
    done: tuple[PaperJob, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done[0].folder, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert open_job(Path("mine"))[1] == SHAPE
    assert above(Path("/a/b/c/d"), 3) == Path("/a")
    assert above(Path("/a/b"), 9) == Path("/")


@pytest.mark.parametrize(("processes", "size"), [(1, 8), (2, 8), (3, 9), (5, 10), (7, 14), (16, 16)])
def test_every_process_judges_as_many_clips_of_a_batch(
    processes: int, size: int, done: tuple[PaperJob, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done[0]
    monkeypatch.setattr(jobs, "PartialState", lambda **options: SimpleNamespace(num_processes=processes))
    corpus = job.read_corpus()
    batches = jobs.evaluation_batches(job, corpus, np.arange(len(corpus)))
    assert len(next(iter(batches)).rows) == size
    fold = job.split(corpus)
    odd = replace(job, schedule=replace(job.schedule, batch_size=16 * 9 + 1))
    if processes in (2, 3, 7, 16):
        with pytest.raises(TrainingError, match=f"145 cannot be shared by {processes} processes; give a --batch-size"):
            jobs.make_paper_trainer(odd, corpus, fold, SHAPE, written=False)


def test_kept_features_of_another_corpus_are_refused(corpus: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = build_extractor("video", SYSTEM, Options(), SHAPE).network
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "video.safetensors")
    weights = Weights(video=str(tmp_path / "video.safetensors"))
    system = replace(SYSTEM, frozen=True, weights=weights)
    job = tiny_job(corpus, tmp_path, "vm", system=system, options=Options(image="none"))
    assert len(job.read_corpus()) == 18
    strangers = replace(job, corpus=other(corpus, tmp_path / "strangers" / "corpus", first=4))
    with pytest.raises(TrainingError, match=r"features/\w+ holds features of another corpus than .*strangers/corpus"):
        strangers.read_corpus()
    assert job.read_corpus().groups["actor"].tolist() == Corpus.open(corpus).groups["actor"].tolist()

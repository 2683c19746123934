"""Benchmarks that go on where they were stopped read again only what was made of the data that is there now."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from benchmarks import _missing, _speech_branch, _variant_training, speaker_adaptation
from benchmarks._variant_training import pairs_spoken
from benchmarks._variants import Variant
from examples.aver.job import actor_folds
from examples.aver.recipe import TARGET, Recipe
from mrpnkit.data import Corpus
from mrpnkit.errors import TrainingError

RECIPE = replace(Recipe(), epochs=1)


def make(folder: Path, *, first: str = "neutral", source: str = "some") -> Corpus:
    """Six actors with four clips each; ``first`` is the class of the first clip, ``source`` how it was prepared."""
    generator = np.random.default_rng(0)
    labels = ["neutral", "happy"] * 12
    labels[0] = first
    corpus = Corpus.from_arrays(
        {name: [generator.normal(size=(3, 5)) for _ in labels] for name in ("video", "audio")},
        {TARGET: labels},
        groups={
            "actor": [str(1 + number // 4) for number in range(24)],
            "sex": [("male", "female")[number // 4 % 2] for number in range(24)],
        },
        classes={TARGET: ["neutral", "happy"]},
    )
    corpus.about = {"source": source}
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    corpus.save(folder)
    return corpus


def variant(folder: Path) -> Any:
    return _variant_training.Training(folder / "corpus", folder, "n0", Variant("n0"), ("1", "2"), 0, RECIPE)


def speakers(folder: Path) -> Any:
    return speaker_adaptation.Job(folder / "corpus", folder, "n0", ("1", "2"), 0, 0, 1, RECIPE)


def missing(folder: Path) -> Any:
    return _missing.Training("ravdess", folder / "corpus", folder, "n0", 0, 3, 1)


TRAININGS = [(variant, _variant_training.train), (speakers, speaker_adaptation.run), (missing, _missing.train)]


@pytest.mark.parametrize(("job_in", "run"), TRAININGS)
@pytest.mark.parametrize("change", [{"first": "happy"}, {"source": "prepared otherwise"}])
def test_a_result_is_of_the_data_it_was_made_from(
    job_in: Callable[[Path], Any], run: Callable[[Any], Any], change: dict[str, str], tmp_path: Path
) -> None:
    make(tmp_path / "corpus")
    job = job_in(tmp_path)
    assert job.done() is None
    made = run(job)
    assert job.done() == json.loads(json.dumps(made))
    make(tmp_path / "corpus", **change)
    assert job.done() is None
    make(tmp_path / "corpus")
    assert job.done() == json.loads(json.dumps(made))
    told = json.loads(job.file.read_text())
    del told["data"]
    job.file.write_text(json.dumps(told))
    assert job.done() is None  # an earlier version did not say what it was made from


@pytest.mark.parametrize("change", [{"epochs": 2}, {"folds": 4}])
def test_another_number_of_epochs_or_folds_is_another_training(change: dict[str, int], tmp_path: Path) -> None:
    make(tmp_path / "corpus")
    _missing.train(missing(tmp_path))
    assert replace(missing(tmp_path), **change).done() is None


def test_other_pairs_and_repetitions_are_another_job(tmp_path: Path) -> None:
    make(tmp_path / "corpus")
    speaker_adaptation.run(speakers(tmp_path))
    assert replace(speakers(tmp_path), held_out=("2", "3")).done() is None
    assert replace(speakers(tmp_path), repeats=2).done() is None


def test_a_speech_branch_of_other_data_is_refused_and_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(plan: Any, folder: Path, description: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
        """What a training that was stopped leaves."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(description))
        (folder / "state.pt").touch()
        return {}

    monkeypatch.setattr(_speech_branch, "train_one", started)
    monkeypatch.setattr(_speech_branch, "alone", lambda *given: None)
    settings = _speech_branch.Settings(architecture="test_resnet")

    def train(corpus: Corpus) -> None:
        fold = actor_folds(corpus, 3)[0]
        _speech_branch.train_alone("am_scratch", 1, corpus, fold, settings, tmp_path / "none", tmp_path)

    train(make(tmp_path / "corpus"))
    for change in ({"first": "happy"}, {"source": "prepared otherwise"}):
        with pytest.raises(TrainingError, match=r"holds a run with another data"):
            train(make(tmp_path / "corpus", **change))


@pytest.mark.parametrize(
    ("pairs", "spoken"),
    [
        ([(str(n), str(n + 1)) for n in range(1, 21, 2)] * 2, "10 pairs of actors; the other 18 train"),
        ([["1", "2"], ["3"]], "2 pairs of actors (one of 1); the other 1 to 2 train"),
    ],
)
def test_who_is_tested_and_who_trains(pairs: list[Any], spoken: str) -> None:
    assert pairs_spoken(pairs) == spoken

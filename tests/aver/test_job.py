"""One training of the comparison on a tiny corpus: it is tested once, found again, and never mixed with another."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from examples.aver import demo
from examples.aver import job as jobs
from examples.aver.__main__ import main
from examples.aver.job import Job, actor_folds, evaluate_run, run_job
from examples.aver.recipe import TARGET, Recipe
from mrpnkit.data import Corpus
from mrpnkit.errors import InputError, SplitError, TrainingError

RECIPE = replace(Recipe(), epochs=1)
ACTORS, CLASSES = 6, ["calm", "happy", "sad"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise: six actors of alternating sex, six clips each, two of each emotion."""
    generator = np.random.default_rng(0)
    actors = np.repeat(np.arange(1, ACTORS + 1), 6)
    video = [generator.standard_normal((3, 7)) for _ in actors]
    audio = [generator.standard_normal((3, 5)) for _ in actors]
    return Corpus.from_arrays(
        {"video": video, "audio": audio},
        {TARGET: CLASSES * (len(actors) // 3)},
        ids=[f"clip-{row}" for row in range(len(actors))],
        groups={"actor": actors.tolist(), "sex": ["male" if actor % 2 else "female" for actor in actors]},
    ).save(tmp_path_factory.mktemp("aver") / "corpus")


@pytest.fixture(scope="module")
def done(corpus: Path) -> tuple[Job, dict[str, Any]]:
    job = Job(corpus, corpus.parent, "n2", 1, 3, 0, RECIPE)
    return job, run_job(job)


def test_what_a_run_holds(done: tuple[Job, dict[str, Any]], corpus: Path) -> None:
    job, result = done
    assert job.folder == corpus.parent / "n2" / "fold-02" / "seed-0"
    assert {path.name for path in job.folder.iterdir()} == {
        "run.json", "test.json", "test.npz", "state.pt", "best.safetensors", "last.safetensors", "metrics.jsonl",
    }  # fmt: skip
    assert json.loads((job.folder / "run.json").read_text()) == json.loads(
        json.dumps(job.description(Corpus.open(corpus)))
    )
    assert json.loads((job.folder / "test.json").read_text()) == result
    assert (result["network"], result["fold"], result["seed"]) == ("n2", "3,4", 0)
    assert result["test_actors"] == ["3", "4"]
    assert result["validation_actors"] == ["5", "6"]
    assert result["selected_epoch"] == 1


def test_the_test_is_on_the_test_actors_alone(done: tuple[Job, dict[str, Any]], corpus: Path) -> None:
    job, result = done
    opened = Corpus.open(corpus)
    with np.load(job.folder / "test.npz") as saved:
        assert set(opened.groups["actor"][saved["rows"]]) == {"3", "4"}
        assert len(saved["rows"]) == 12
        np.testing.assert_array_equal(saved[f"labels/{TARGET}"], opened.targets[TARGET][saved["rows"]])
        for head in ("fused", "video", "audio"):
            predicted = saved[f"scores/{head}/{TARGET}"].argmax(1)
            expected = accuracy_score(saved[f"labels/{TARGET}"], predicted)
            assert result["metrics"][f"{TARGET}/{head}/accuracy"] == pytest.approx(expected)


def test_a_finished_run_is_only_read(done: tuple[Job, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    job, result = done

    def refuse(*arguments: Any) -> None:
        raise AssertionError("trained again")

    before = {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    monkeypatch.setattr(jobs, "make_trainer", refuse)
    assert run_job(job) == result
    assert {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()} == before


def test_evaluating_a_run_gives_its_test_figures(done: tuple[Job, dict[str, Any]], corpus: Path) -> None:
    job, result = done
    evaluation, actors = evaluate_run(job.folder, "test")
    assert evaluation.metrics == result["metrics"]
    assert actors == ("3", "4")
    validation, actors = evaluate_run(job.folder, "validation")
    assert actors == ("5", "6")
    (line,) = (job.folder / "metrics.jsonl").read_text().splitlines()
    assert validation.metrics == pytest.approx(json.loads(line)["validation"], rel=1e-5)
    assert len(evaluate_run(job.folder, "train")[0].rows) == 12


@pytest.mark.parametrize("differing", ["folds", "recipe"])
def test_other_settings_are_refused(done: tuple[Job, dict[str, Any]], differing: str) -> None:
    job, _ = done
    other = replace(job, folds=4) if differing == "folds" else replace(job, recipe=replace(RECIPE, epochs=2))
    with pytest.raises(TrainingError, match=rf"holds a run with another {differing}. Give another --out, or remove it"):
        run_job(other)


def people(folder: Path, first: int = 1, *, swapped: bool = False, about: dict[str, Any] | None = None) -> Path:
    """Six actors from ``first`` on, of alternating sex, three clips each; ``swapped`` exchanges two labels."""
    shutil.rmtree(folder, ignore_errors=True)
    actors = np.repeat(np.arange(first, first + ACTORS), 3)
    labels = CLASSES * ACTORS
    if swapped:
        labels[0], labels[1] = labels[1], labels[0]
    generator = np.random.default_rng(first)
    corpus = Corpus.from_arrays(
        {name: list(generator.standard_normal((len(actors), 3, n))) for name, n in (("video", 7), ("audio", 5))},
        {TARGET: labels},
        ids=[f"{actor}-{row % 3}" for row, actor in enumerate(actors)],
        groups={"actor": actors.tolist(), "sex": ["male" if actor % 2 else "female" for actor in actors]},
    )  # fmt: skip
    corpus.about = {"source": "noise", **(about or {})}
    return corpus.save(folder)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"first": 5}, r"on another corpus than is in .*corpus now: it was trained on 18 clips of noise, actors 1, 2, "
         r"3, 4, 5, 6; here are 18 clips of noise, actors 5, 6, 7, 8, 9, 10. Give another --out, or prepare"),
        ({"swapped": True}, "on another corpus than is in"),
        ({"about": {"features": 2}}, "prepared in another way: settings, features or files differ"),
    ],
)  # fmt: skip
def test_a_run_on_other_data_is_refused(
    changes: dict[str, Any], text: str, finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corpus was made anew in its place: neither old figures, nor another test, nor an old training taken up."""
    job = Job(people(tmp_path / "corpus"), tmp_path, "am", 0, 3, 0, RECIPE)
    result = run_job(job)
    if not finished:
        (job.folder / "test.json").unlink()
    monkeypatch.setattr(jobs, "make_trainer", lambda *arguments: pytest.fail("trained"))
    monkeypatch.setattr(jobs, "evaluate", lambda *arguments: pytest.fail("evaluated"))
    people(job.corpus, **changes)
    before = {path: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    with pytest.raises(TrainingError, match=text):
        run_job(job)
    if finished:
        for part in ("test", "train"):
            with pytest.raises(TrainingError, match=text):
                evaluate_run(job.folder, part)
        people(job.corpus)
        assert job.done() == result
    assert {path: path.stat().st_mtime_ns for path in job.folder.iterdir()} == before


def test_where_a_corpus_lies_is_nothing_to_a_run(tmp_path: Path) -> None:
    job = Job(people(tmp_path / "one" / "corpus"), tmp_path / "one", "am", 0, 3, 0, RECIPE)
    result = run_job(job)
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = replace(job, corpus=tmp_path / "two" / "corpus", out=tmp_path / "two")
    assert run_job(moved) == result
    assert evaluate_run(moved.folder, "test")[0].metrics == result["metrics"]


def test_runs_that_do_not_say_what_they_were_trained_on(tmp_path: Path) -> None:
    job = Job(people(tmp_path / "corpus"), tmp_path, "am", 0, 3, 0, RECIPE)
    run_job(job)
    description = job.folder / "run.json"
    stored = json.loads(description.read_text())
    assert stored["data"]["test_actors"] == ["1", "2"]
    assert stored["data"]["validation_actors"] == ["3", "4"]
    stored["data"]["test_actors"] = ["1", "4"]
    description.write_text(json.dumps(stored))
    with pytest.raises(TrainingError, match=r"a run with other test actors: 1, 4 there, 1, 2 here. Give another --out"):
        job.done()
    del stored["data"]
    description.write_text(json.dumps(stored))
    text = r"does not say what it was trained on: an earlier version made it, .* remove the run and train again"
    with pytest.raises(TrainingError, match=text):
        run_job(job)
    with pytest.raises(TrainingError, match=text):
        evaluate_run(job.folder, "test")
    del stored["recipe"]
    description.write_text(json.dumps(stored))
    with pytest.raises(TrainingError, match="is a run on pixels and sound; this command needs a run on landmarks"):
        evaluate_run(job.folder, "test")


def test_one_modality_alone_and_again_the_same(corpus: Path, tmp_path: Path) -> None:
    found = [run_job(Job(corpus, tmp_path / name, "am", 0, 3, 5, RECIPE)) for name in ("first", "second")]
    assert found[0]["metrics"] == found[1]["metrics"]
    assert {name.split("/")[1] for name in found[0]["metrics"] if "/" in name} == {"fused"}


def test_a_run_that_was_killed_goes_on(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, epochs=2)
    whole = run_job(Job(corpus, tmp_path / "whole", "n1", 0, 3, 0, recipe))
    job = Job(corpus, tmp_path / "killed", "n1", 0, 3, 0, recipe)
    build = jobs.make_trainer

    def dying(*arguments: Any) -> Any:
        trainer, objective = build(*arguments)
        step = trainer._step

        def fragile(batch: Any) -> None:
            if trainer.progress.epoch == 1:
                raise KeyboardInterrupt
            step(batch)

        trainer._step = fragile  # type: ignore[method-assign]
        return trainer, objective

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "make_trainer", dying)
        with pytest.raises(KeyboardInterrupt):
            run_job(job)
    assert not (job.folder / "test.json").exists()
    assert job.done() is None
    assert run_job(job)["metrics"] == whole["metrics"]


def test_folds_pair_the_sexes(corpus: Path) -> None:
    opened = Corpus.open(corpus)
    folds = actor_folds(opened, 3)
    assert [fold.name for fold in folds] == ["1,2", "3,4", "5,6"]
    for fold in folds:
        assert set(opened.groups["sex"][fold.test]) == {"male", "female"}


def test_unknown_network(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no network 'n3'; the comparison has am, vm, n0, n1, n2"):
        run_job(Job(corpus, tmp_path, "n3", 0, 3, 0, RECIPE))


def test_no_finished_run(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"holds no finished run: it has no test.json. Runs lie in OUT/NETWORK/fold-NN"
    ):
        evaluate_run(tmp_path, "test")


def test_actors_that_are_named_are_tested(corpus: Path, tmp_path: Path) -> None:
    job = Job(corpus, corpus.parent, "am", 0, 3, 0, RECIPE, ("5", "6"), ("1",))
    result = run_job(job)
    assert job.folder.parent.name == "test-5+6"
    assert result["test_actors"] == ["5", "6"]
    assert result["validation_actors"] == ["1"]
    evaluation, actors = evaluate_run(job.folder, "train")
    assert actors == ("2", "3", "4")
    assert len(evaluation.rows) == 18


def test_evaluating_on_another_corpus(done: tuple[Job, dict[str, Any]], corpus: Path, tmp_path: Path) -> None:
    """All clips of the other corpus are evaluated; the same clips give the same scores."""
    job, _ = done
    copy = Corpus.open(corpus).save(tmp_path / "other")
    evaluation, actors = evaluate_run(job.folder, "test", copy)
    assert actors == ("1", "2", "3", "4", "5", "6")
    own, _ = evaluate_run(job.folder, "test")
    rows = own.rows.tolist()
    np.testing.assert_array_equal(evaluation.scores["fused"][TARGET][rows], own.scores["fused"][TARGET])


def test_a_corpus_of_other_features_is_refused(done: tuple[Job, dict[str, Any]], corpus: Path, tmp_path: Path) -> None:
    job, _ = done
    other = Corpus.open(corpus)
    other.about = {"features": "others"}
    with pytest.raises(TrainingError, match="other classes or features"):
        evaluate_run(job.folder, "test", other.save(tmp_path / "other"))


def test_a_class_of_one_actor_alone_is_told_by_its_name() -> None:
    labels = [*CLASSES, "calm", "happy", "calm", "happy", None]
    corpus = Corpus.from_arrays(
        {"video": np.zeros((8, 1)), "audio": np.zeros((8, 1))},
        {TARGET: labels},
        groups={"actor": [1, 1, 1, 2, 2, 3, 3, 3], "sex": ["male"] * 8},
    )
    with pytest.raises(SplitError, match=r"the classes \['sad'\]; they occur only in the groups \['1'\]"):
        actor_folds(corpus, 3)


@pytest.mark.parametrize(
    ("run", "told"), [("n2/fold-02/seed-0", "holds runs, such as "), ("n2/none", "no finished run")]
)
def test_nothing_is_prepared_for_an_evaluation_that_cannot_be(
    run: str,
    told: str,
    done: tuple[Job, dict[str, Any]],
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The data to evaluate would take the place of those that a run was trained on, or there is no run."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("prepared")

    monkeypatch.setattr(demo, "open_corpus", refuse)
    out = corpus.parent
    monkeypatch.setattr(sys, "argv", ["aver", "evaluate", str(out / run), "--data", "new", "--out", str(out)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert told in capsys.readouterr().err

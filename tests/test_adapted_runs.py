"""A run that adapts to groups: statistics again in plain NumPy, the command line against Python, resume, refusals."""

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from mrpnkit import Branch
from mrpnkit.adapted import adapted_fold, fold_adaptation, groups_in
from mrpnkit.build import build_corpus, build_folds
from mrpnkit.build_adaptation import enrolled_rows
from mrpnkit.cli import main
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.data.adaptation import Enrolment
from mrpnkit.enrolment import enrol
from mrpnkit.errors import InputError, RunError
from mrpnkit.experiment import run_experiment
from mrpnkit.parallel import FoldJob, _run
from mrpnkit.predict import Predictor, evaluate_corpus, trained_model
from mrpnkit.report.comparison import compare, told_apart
from mrpnkit.report.summary import facts_of, read_summary
from mrpnkit.runs import Run, claim
from mrpnkit.sequences import Sequences
from mrpnkit.train import Trainer, marks_of
from tests.small_people import ADAPTED, people, workplace
from tests.small_runs import TOML, small_corpus
from tests.test_cli import call

Parts = list[NDArray[np.float64]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, run.toml, its finished run, and new recordings of somebody else in ``new.npz``."""
    folder = tmp_path_factory.mktemp("adapted")
    with pytest.raises(SystemExit) as left:
        main(["train", str(workplace(folder)), "--out", str(folder / "run"), "--cpu"])
    assert left.value.code in (0, None)
    generator = np.random.default_rng(5)
    lengths = generator.integers(3, 7, 10)
    audio, face = generator.normal(4, 2, (int(lengths.sum()), 5)), generator.normal(-3, 1, (10, 4))
    arrays: dict[str, Any] = {"audio": audio, "audio.lengths": lengths, "face": face}
    np.savez(folder / "new.npz", **arrays)
    (folder / "new.toml").write_text('[dataset]\nname = "npz"\npath = "new.npz"\ntargets = []\n', encoding="utf-8")
    return folder


def moments(parts: Parts) -> list[Any]:
    """Samples, mean, variance of steps, and variance of the samples' means, each sample with the same weight."""
    means = np.array([part.mean(0) for part in parts])
    within, spread = np.mean([part.var(0) for part in parts], axis=0), means.var(0, ddof=1)
    n = len(parts)
    return [n, means.mean(0), within + spread, spread]


def normalised(steps: NDArray[Any], own: Parts, training: list[Parts], strength: float = 10.0) -> NDArray[Any]:
    """(x − m_g) / s_g by the formulas of the documentation, from the samples of a group and of the training groups."""
    groups = [moments(parts) for parts in training]
    mean, variance, within = (np.mean([group[k] for group in groups], axis=0) for k in (1, 2, 3))
    chance = within * np.mean([1 / group[0] for group in groups])
    between = np.maximum(np.var([group[1] for group in groups], axis=0, ddof=1) - chance, 0)
    if not own:
        return np.asarray((steps - mean) / np.sqrt(variance))
    n, mine, spread, _ = moments(own)
    weight = n * between / (n * between + within)
    scale = ((n - 1) * spread + strength * variance) / (n - 1 + strength)
    return np.asarray((steps - (weight * mine + (1 - weight) * mean)) / np.sqrt(scale))


def parts_of(corpus: Corpus, modality: str, rows: NDArray[np.int64]) -> Parts:
    pieces = [np.asarray(corpus.read(modality, int(row)), dtype=np.float64) for row in rows]
    return [piece for piece in pieces if len(piece)]


def by_hand(corpus: Corpus, train: NDArray[np.int64], own: dict[str, NDArray[np.int64]]) -> dict[str, Parts]:
    """Every sample normalised: training groups with all of their samples, others with the rows in ``own``."""
    actors = corpus.groups["actor"]
    members = {actor: train[actors[train] == actor] for actor in sorted(set(actors[train].tolist()))}
    found: dict[str, Parts] = {}
    for name in corpus.modalities:
        training = [parts_of(corpus, name, rows) for rows in members.values()]
        for row, actor in enumerate(actors.tolist()):
            rows = members.get(actor, own.get(actor, np.array([], dtype=np.int64)))
            steps = np.asarray(corpus.read(name, row), dtype=np.float64)
            found.setdefault(name, []).append(normalised(steps, parts_of(corpus, name, rows), training))
    return found


def fused(run: Run, number: int, samples: dict[str, Parts]) -> NDArray[Any]:
    """Scores of a fold's network on arrays, with nothing of the toolkit's reading in between."""
    model = trained_model(run, number).cpu().eval()
    inputs = {
        name: Sequences(
            torch.from_numpy(np.concatenate(pieces).astype(np.float32)), torch.tensor([len(p) for p in pieces])
        )
        for name, pieces in samples.items()
    }
    with torch.no_grad():
        scores: NDArray[Any] = model(inputs).fused["emotion"].numpy()
    return scores


# Training


def test_a_fold_is_tested_on_what_the_formulas_say(place: Path) -> None:
    """Scores in ``test.npz`` are those of the network on the samples that plain NumPy normalised."""
    run, corpus = Run.open(place / "run"), people()
    fold = build_folds(run.config, corpus)[0]
    actors = corpus.groups["actor"]
    own = {actor: np.flatnonzero(actors == actor) for actor in fold.test_groups}
    samples = by_hand(corpus, fold.train, own)
    tested = {name: [pieces[row] for row in fold.test] for name, pieces in samples.items()}
    with np.load(run.fold_folder(1) / "test.npz") as stored:
        order = np.argsort(stored["rows"])
        np.testing.assert_array_equal(stored["rows"][order], fold.test)
        np.testing.assert_allclose(stored["scores/fused/emotion"][order], fused(run, 1, tested), rtol=1e-4, atol=1e-4)
    accuracy = run.finished()[1]["metrics"]["emotion/fused/accuracy"]
    assert evaluate_corpus(run, 1, corpus, fold.test).metrics["emotion/fused/accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize("enrol_from", ["3", '"none"'])
def test_some_or_no_samples_by_the_formulas(enrol_from: str) -> None:
    """Of tested groups only what is drawn counts; without any they are the population."""
    corpus, config = people(), parse_config(ADAPTED, [f"adaptation.enrol={enrol_from}"])
    fold = build_folds(config, corpus)[1]
    adapted, found = adapted_fold(config, corpus, fold, None)
    assert found is not None
    rows = enrolled_rows(config, corpus, fold)
    assert found.enrolled == {group: len(some) for group, some in rows.items()}
    assert set(found.enrolled.values()) == ({3} if enrol_from == "3" else {0})
    for name, pieces in by_hand(corpus, fold.train, rows).items():
        np.testing.assert_allclose(adapted.modalities[name].steps, np.concatenate(pieces), rtol=1e-5, atol=1e-5)


def test_it_is_said_wherever_figures_stand(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = place / "run"
    _, out, _ = call(capsys, "train", place / "run.toml", "--out", run, "--cpu")
    told = "all of its own unlabelled samples; they are among those that are judged. The figures are not comparable"
    assert told in out
    results, audit = (json.loads((run / name).read_text(encoding="utf-8")) for name in ("results.json", "audit.json"))
    assert told in results["protocol"]
    assert [told in finding["text"] for finding in audit["findings"]].count(True) == 1
    fold = Run.open(run).finished()[2]
    assert told in fold["adaptation"]["protocol"]
    assert fold["adaptation"]["enrolled_samples"] == {"3": 9, "4": 9, "5": 9, "6": 9}
    assert told in marks_of(run / "fold-01" / "best.safetensors")["adaptation"]
    facts = dict(facts_of(read_summary(run)))
    assert facts["adaptation"].startswith(
        "all branches by groups of 'actor'; those who are tested are enrolled from all"
    )
    assert call(capsys, "report", run)[0] == 0
    assert told in (run / "report" / "index.html").read_text(encoding="utf-8")
    assert call(capsys, "check", place / "run.toml", "--data")[1].count(told) == 1


def test_a_comparison_tells_protocols_apart(place: Path, tmp_path: Path) -> None:
    other = parse_config(TOML, ["training.epochs=1"])
    run_experiment(other, tmp_path / "plain", base=place, cpu=True)
    compared = compare([place / "run", tmp_path / "plain"])
    told = told_apart(compared)
    assert told[0].startswith("run: Adapted to those who are tested")
    assert told[1].startswith("The variants were not tested by one protocol")
    assert told_apart(compare([tmp_path / "plain"])) == []


def test_an_interrupted_fold_goes_on_bitwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workplace(tmp_path)
    config = parse_config(ADAPTED, ["folds.only=[1]", "adaptation.enrol=4", 'adaptation.condition="emotion=sad"'])
    whole = run_experiment(config, tmp_path / "whole", base=tmp_path, cpu=True)
    epochs = Trainer._epoch

    def stop(trainer: Trainer) -> object:
        if trainer.progress.epoch == 1:
            raise KeyboardInterrupt
        return epochs(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, tmp_path / "run", base=tmp_path, cpu=True)
    assert (tmp_path / "run" / "fold-01" / "adaptation.npz").is_file()
    monkeypatch.setattr("mrpnkit.adapted.build_adaptation", lambda *_: pytest.fail("the statistics were stored"))
    again = run_experiment(config, tmp_path / "run", base=tmp_path, cpu=True)
    assert again.folds[1]["metrics"] == whole.folds[1]["metrics"]
    assert again.folds[1]["adaptation"] == whole.folds[1]["adaptation"]
    for name in ("best.safetensors", "last.safetensors"):
        ours, theirs = (load_file(tmp_path / run / "fold-01" / name) for run in ("run", "whole"))
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    resumed, straight = (fold_adaptation(Run.open(tmp_path / run), 1) for run in ("run", "whole"))
    for actor in "123456":
        for got, expected in zip(resumed.statistics(actor, "audio"), straight.statistics(actor, "audio"), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_a_fold_that_an_ablation_trains_is_the_same(place: Path, tmp_path: Path) -> None:
    """What a process of its own does with a fold, here in this one."""
    shutil.copytree(place / "corpus", tmp_path / "corpus")
    config = parse_config(ADAPTED)
    claim(tmp_path / "run", config, build_corpus(config, tmp_path), base=tmp_path)
    _run(FoldJob(json.dumps(config.resolved()), tmp_path, tmp_path / "run", 1, True))
    ours, theirs = (Run.open(folder).finished()[1] for folder in (tmp_path / "run", place / "run"))
    assert ours["metrics"] == pytest.approx(theirs["metrics"], nan_ok=True)
    assert ours["adaptation"] == theirs["adaptation"]


def test_both_normalisations_by_the_formulas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``with_population`` a network reads both; training, check, evaluation and prediction agree with NumPy."""
    toml = workplace(tmp_path, f"{ADAPTED}with_population = true\n")
    code, _, err = call(capsys, "check", toml)
    assert code == 0, err
    assert call(capsys, "train", toml, "--out", tmp_path / "run", "--cpu", "--set", "folds.only=[1]")[0] == 0
    run, corpus = Run.open(tmp_path / "run"), people()
    fold, actors = build_folds(run.config, corpus)[0], corpus.groups["actor"]
    own = {actor: np.flatnonzero(actors == actor) for actor in fold.test_groups}
    ours, general = by_hand(corpus, fold.train, own), by_hand(corpus, fold.train, {})
    unknown = {name: [general[name][row] for row in fold.test] for name in ours}
    tested = {
        name: [np.concatenate([ours[name][row], unknown[name][place]], axis=1) for place, row in enumerate(fold.test)]
        for name in ours
    }
    assert cast(Branch, trained_model(run, 1).branches["face"]).extractor.in_features == 8
    with np.load(run.fold_folder(1) / "test.npz") as stored:
        order = np.argsort(stored["rows"])
        np.testing.assert_allclose(stored["scores/fused/emotion"][order], fused(run, 1, tested), rtol=1e-4, atol=1e-4)
    nobody = {name: [np.concatenate([piece, piece], axis=1) for piece in pieces] for name, pieces in unknown.items()}
    found = Predictor.open(tmp_path / "run").arrays(
        {name: [corpus.read(name, int(row)) for row in fold.test] for name in corpus.modalities}
    )
    expected = torch.softmax(torch.from_numpy(fused(run, 1, nobody)), dim=1).numpy()
    np.testing.assert_allclose(found.probabilities["fused"]["emotion"], expected, atol=1e-4)


# Enrolling and predicting


def test_the_command_line_equals_python_and_numpy(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, enrol, predict: as Python says it, and as the networks say it of what plain NumPy normalised."""
    people_file = place / "people.npz"
    code, _, err = call(capsys, "enrol", place / "run", place / "new.toml", "--group", "anna", "--out", people_file)
    assert code == 0, err
    assert "anna: measured from so many samples: audio 10, face 10." in err
    given = ("--enrolled", people_file, "--group", "anna")
    code, out, err = call(capsys, "predict", place / "run", place / "new.toml", *given)
    assert code == 0, err
    printed = {row["id"]: row for row in csv.DictReader(out.splitlines())}

    with np.load(place / "new.npz") as new:
        voices = np.split(new["audio"].astype(np.float32), np.cumsum(new["audio.lengths"])[:-1])
        samples = {"audio": voices, "face": list(new["face"][:, None].astype(np.float32))}
    enrolment = Enrolment().enrol("anna", samples)
    found = Predictor.open(place / "run", enrolment=enrolment).arrays(samples, group="anna")
    for row, name in enumerate(found.ids):
        for place_, label in enumerate(found.classes["emotion"]):
            value = float(printed[name][f"emotion/fused/{label}"])
            assert value == pytest.approx(found.probabilities["fused"]["emotion"][row, place_], abs=1e-5)

    run, corpus = Run.open(place / "run"), people()
    expected = np.zeros((10, 3))
    for number, fold in enumerate(build_folds(run.config, corpus), start=1):
        actors = corpus.groups["actor"]
        members = [fold.train[actors[fold.train] == actor] for actor in sorted(set(actors[fold.train].tolist()))]
        mine = {}
        for name, pieces in samples.items():
            training = [parts_of(corpus, name, rows) for rows in members]
            own = [np.asarray(piece, dtype=np.float64) for piece in pieces]
            mine[name] = [normalised(piece, own, training) for piece in own]
        scores = torch.from_numpy(fused(run, number, mine))
        expected += torch.softmax(scores, dim=1).numpy() / 3
    np.testing.assert_allclose(found.probabilities["fused"]["emotion"], expected, atol=1e-4)


def test_who_is_not_enrolled_is_the_population(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Actors of the training are somebody else in new data; a note says who is not known."""
    run, corpus = Run.open(place / "run"), people()
    fold = build_folds(run.config, corpus)[0]
    predictor = Predictor.open(place / "run", folds=[1])
    with caplog.at_level(logging.WARNING):
        found = predictor(corpus)
    assert "54 of 54 samples are of groups of 'actor' that are not enrolled" in caplog.text
    assert "('1', '2', '3', '4' and 2 more); they are normalised as the population" in caplog.text
    training = [fold.train[corpus.groups["actor"][fold.train] == actor] for actor in ("5", "6")]
    strangers = {
        name: [
            normalised(
                np.asarray(corpus.read(name, row), dtype=np.float64), [], [parts_of(corpus, name, r) for r in training]
            )
            for row in range(len(corpus))
        ]
        for name in corpus.modalities
    }
    expected = torch.softmax(torch.from_numpy(fused(run, 1, strangers)), dim=1).numpy()
    np.testing.assert_allclose(found.probabilities["fused"]["emotion"], expected, atol=1e-4)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        predictor.arrays({"face": np.zeros((2, 4), dtype=np.float32)})
    assert "nobody is enrolled; all samples are normalised as the population" in caplog.text


def test_a_column_says_who_is_who(place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Groups measured at once from the column; files grow, and stay readable by every network of the run."""
    corpus = people()
    found = enrol(place / "run", corpus)
    assert sorted(found.groups) == list("123456")
    one = enrol(place / "run", corpus, group="3")
    np.testing.assert_array_equal(one.groups["3"].moments["face"].mean, found.groups["3"].moments["face"].mean)
    read = Enrolment.load(found.save(tmp_path / "all.npz"))
    with caplog.at_level(logging.WARNING):
        whole = Predictor.open(place / "run", folds=[1], enrolment=read)(corpus)
    assert not caplog.text
    alone = Predictor.open(place / "run", folds=[1], enrolment=one)(corpus)
    mine = corpus.groups["actor"] == "3"
    ours, theirs = (p.probabilities["fused"]["emotion"] for p in (whole, alone))
    np.testing.assert_allclose(ours[mine], theirs[mine], atol=1e-6)
    assert np.abs(ours[~mine] - theirs[~mine]).max() > 0.01
    run = Run.open(place / "run")
    test = build_folds(run.config, corpus)[0].test
    scores = evaluate_corpus(run, 1, corpus, test).scores["fused"]["emotion"]
    np.testing.assert_allclose(torch.softmax(scores, dim=1).numpy(), ours[test], atol=1e-5)


def test_the_file_grows_and_is_not_overwritten(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "people.npz"
    command = ("enrol", place / "run", place / "new.toml", "--out", file, "--group")
    assert call(capsys, *command, "anna")[0] == 0
    assert call(capsys, *command, "bob / 2 =")[0] == 0
    code, _, err = call(capsys, *command, "anna")
    assert code == 2
    assert "has the group 'anna' already; give --replace" in err
    assert call(capsys, *command, "anna", "--replace")[0] == 0
    assert list(Enrolment.load(file).groups) == ["anna", "bob / 2 ="]


def test_other_data_are_evaluated_with_who_is_enrolled(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    other, file = tmp_path / "other", tmp_path / "people.npz"
    plain = small_corpus(18)
    plain.save(other)
    enrol(place / "run", plain).save(file)
    out = tmp_path / "metrics.json"
    given = ("evaluate", place / "run", "--data", other, "--fold", "1", "--out", out)
    assert "Adapted to those" not in call(capsys, *given)[1]
    assert json.loads(out.read_text(encoding="utf-8"))["protocol"] is None
    assert "18 of 18 samples are of groups of 'actor' that are not enrolled" in caplog.text
    caplog.clear()
    code, told, _ = call(capsys, *given, "--enrolled", file)
    assert code == 0
    assert "18 of 18 samples are of groups of 'actor' that were enrolled" in told
    assert not caplog.text
    stored = json.loads(out.read_text(encoding="utf-8"))
    assert stored["enrolled"] == str(file)
    assert stored["protocol"].startswith("Adapted to those who are tested: 18 of 18 samples are of groups of 'actor'")
    assert "others" not in stored["protocol"]
    code, _, err = call(capsys, "evaluate", place / "run", "--enrolled", file)
    assert code == 2
    assert "--enrolled and --group go with --data" in err


def test_robustness_and_extract_read_what_the_network_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "robustness", place / "run", "--rates", "0", "--out", place / "robust")[0] == 0
    content = json.loads((place / "robust" / "robustness.json").read_text(encoding="utf-8"))
    for number, fold in Run.open(place / "run").finished().items():
        found = content["rates"][0]["folds"][str(number)]["emotion/fused/accuracy"]
        assert found == pytest.approx(fold["metrics"]["emotion/fused/accuracy"])
    assert call(capsys, "extract", place / "run", "--out", place / "features", "--cpu")[0] == 0
    run, corpus = Run.open(place / "run"), people()
    adapted = fold_adaptation(run, 1).apply(corpus, "actor")
    model = trained_model(run, 1).cpu().eval()
    with torch.no_grad():
        expected = cast(Branch, model.branches["face"]).extractor(adapted.batch("face", np.arange(54))).steps.numpy()
    np.testing.assert_allclose(Corpus.open(place / "features").modalities["face"].steps, expected, atol=1e-5)
    code, _, err = call(capsys, "extract", place / "run.toml", "--out", place / "other")
    assert code == 2
    assert "Statistics of [adaptation] are those of a fold" in err


# What cannot be


def test_what_cannot_be_enrolled(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = people()
    with pytest.raises(InputError, match="no sample whose 'actor' is 'anna'"):
        enrol(place / "run", corpus, group="anna")
    narrow = Corpus.from_arrays({"face": np.zeros((3, 2))}, {"none": [-1, -1, -1]}, classes={"none": ["none"]})
    with pytest.raises(InputError, match=r"Steps of 'face' have shape \(2,\); the network was trained on \(4,\)"):
        enrol(place / "run", narrow, group="anna")
    nameless = Corpus.from_arrays({"face": np.zeros((3, 4))}, {"none": [-1, -1, -1]}, classes={"none": ["none"]})
    with pytest.raises(InputError, match="no column 'actor'; name the group"):
        enrol(place / "run", nameless)
    with pytest.raises(InputError, match=r"knows no condition 'sad'.*has no adaptation\.condition"):
        enrol(place / "run", corpus, group="1", condition="sad")
    silent = Corpus.from_arrays({"audio": [np.zeros((0, 5))]}, {"none": [-1]}, classes={"none": ["none"]})
    with pytest.raises(InputError, match="No sample of 'anna' has steps of audio or face"):
        enrol(place / "run", silent, group="anna")
    (tmp_path / "plain").mkdir()
    plain = tmp_path / "plain" / "run"
    config = parse_config(TOML, ["training.epochs=1", "folds.only=[1]"])
    run_experiment(config, plain, base=place, cpu=True)
    with pytest.raises(RunError, match="was trained without adaptation"):
        enrol(plain, corpus)
    with pytest.raises(RunError, match="was trained without adaptation"):
        Predictor.open(plain, enrolment=Enrolment())
    with pytest.raises(InputError, match="knows no group, and so not 'anna'"):
        Predictor.open(plain)(corpus, group="anna")
    assert groups_in(Run.open(plain), corpus) is None
    code, _, err = call(capsys, "enrol", plain, place / "new.toml", "--group", "anna")
    assert code == 2
    assert "without adaptation" in err


def test_what_cannot_be_predicted(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people_file = tmp_path / "people.npz"
    faces = {"face": [np.zeros((1, 4)), np.ones((1, 4))]}
    Enrolment().enrol("anna", faces).save(people_file)
    predict = ("predict", place / "run", place / "new.toml")
    code, _, err = call(capsys, *predict, "--enrolled", people_file, "--group", "ana")
    assert code == 2
    assert "no enrolled group 'ana'; did you mean 'anna'? Enrolled: anna." in err
    code, _, err = call(capsys, *predict, "--group", "anna")
    assert "no enrolled group 'anna'. Enrolled: none." in err
    code, _, err = call(capsys, *predict, "--enrolled", people_file)
    assert "no column 'actor' that says whose each sample is. Name the group" in err
    code, _, err = call(capsys, *predict, "--enrolled", place / "new.npz", "--group", "anna")
    assert code == 2
    assert "new.npz holds no enrolment" in err
    code, _, err = call(capsys, *predict, "--enrolled", place / "none.npz", "--group", "anna")
    assert "none.npz does not exist" in err
    with pytest.raises(InputError, match="'face' of the group 'b' have another width than 4: 3"):
        Predictor.open(place / "run", enrolment=Enrolment().enrol("b", {"face": [np.zeros((1, 3))]}))
    with pytest.raises(InputError, match="no condition 'sad' was fitted"):
        Predictor.open(place / "run", enrolment=Enrolment().enrol("b", faces, condition="sad"))
    with pytest.raises(InputError, match="no statistics of the modality 'pulse'"):
        Predictor.open(place / "run", enrolment=Enrolment().enrol("b", {"pulse": [np.zeros((1, 3))]}))

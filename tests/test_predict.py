"""From a run to probabilities, and from extractors to a corpus: against the modules called by hand."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mrpnkit import Sequences
from mrpnkit.build import build_folds, build_model
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError, InputError, RunError
from mrpnkit.experiment import run_experiment
from mrpnkit.extraction import extract_corpus
from mrpnkit.predict import Predictor, evaluate_corpus, fit_corpus, trained_model
from mrpnkit.prediction import Prediction
from mrpnkit.runs import Run
from tests.small_runs import CLASSES, CONFIG, TOML, small_corpus

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    run_experiment(parse_config(CONFIG), folder / "run", base=folder, corpus=small_corpus(), cpu=True)
    return folder / "run"


def by_hand(run: Path, corpus: Corpus, folds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Mean softmax of the folds' networks, whose weights are read from their files."""
    found: dict[str, list[np.ndarray]] = {}
    for number in folds:
        model = build_model(parse_config(CONFIG), small_corpus())
        model.load_state_dict(load_file(run / f"fold-{number:02d}" / "best.safetensors"))
        model.eval()
        with torch.no_grad():
            output = model({name: corpus.batch(name, np.arange(len(corpus))) for name in ("audio", "face")}, sides=True)
        for head, scores in {"fused": output.fused, **output.branches}.items():
            found.setdefault(head, []).append(np.exp(torch.log_softmax(scores["emotion"], 1).numpy()))
    return {head: np.mean(values, axis=0) for head, values in found.items()}


@pytest.mark.parametrize("folds", [(1, 2, 3), (2,)])
def test_probabilities_are_means_of_the_folds(run: Path, folds: tuple[int, ...]) -> None:
    corpus = small_corpus(seed=5)
    found = Predictor.open(run, folds=folds)(corpus)
    expected = by_hand(run, corpus, folds)
    absent = corpus.modalities["audio"].lengths == 0
    assert absent.sum() == 3
    for head, values in expected.items():
        answer = found.probabilities[head]["emotion"]
        judged = ~absent if head == "audio" else np.ones(len(corpus), dtype=bool)
        np.testing.assert_allclose(answer[judged], values[judged], atol=1e-5)
        assert np.isnan(answer[~judged]).all()
    assert found.best("emotion")[0] == CLASSES[int(expected["fused"][0].argmax())]
    assert found.best("emotion", "audio")[5] is None


def test_a_missing_modality_is_answered_by_what_is_left(run: Path) -> None:
    corpus = small_corpus(seed=5)
    faces = {"face": corpus.modalities["face"].steps}
    found = Predictor.open(run, folds=[1]).arrays(faces)
    model = trained_model(Run.open(run), 1).eval()
    with torch.no_grad():
        face = Sequences.vectors(torch.from_numpy(faces["face"]))
        output = model({"audio": Sequences.absent(36, torch.zeros(0, 5)), "face": face}, sides=True)
    expected = torch.softmax(output.fused["emotion"], 1).numpy()
    np.testing.assert_allclose(found.probabilities["fused"]["emotion"], expected, atol=1e-6)
    assert np.isnan(found.probabilities["audio"]["emotion"]).all()
    assert not np.isnan(found.probabilities["face"]["emotion"]).any()


def test_nothing_is_answered_from_nothing(run: Path) -> None:
    found = Predictor.open(run).arrays({"audio": [np.zeros((0, 5), np.float32), np.ones((3, 5), np.float32)]})
    assert found.best("emotion")[0] is None
    assert found.best("emotion")[1] in CLASSES


def test_training_data_are_not_needed(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "moved")
    corpus = small_corpus(seed=1)
    here, there = Predictor.open(run)(corpus), Predictor.open(tmp_path / "moved")(corpus)
    assert here.csv() == there.csv()


def test_csv_and_json_say_the_same(run: Path) -> None:
    found = Predictor.open(run)(small_corpus())
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    records = json.loads(found.json())
    assert list(rows[0])[:3] == ["id", "emotion", "emotion/fused/calm"]
    assert [row["id"] for row in rows] == [record["id"] for record in records] == [f"clip{n}" for n in range(36)]
    for row, record in zip(rows, records, strict=True):
        assert row["emotion"] == record["answer"]["emotion"]
        for head in ("fused", "audio", "face"):
            answer = record["probabilities"][head]["emotion"]
            for name in CLASSES:
                cell = row[f"emotion/{head}/{name}"]
                assert (cell == "" and answer is None) or float(cell) == pytest.approx(answer[name], rel=1e-4)


def test_a_csv_keeps_the_digits_of_large_values() -> None:
    """Values whose differences are small beside them, such as times in seconds."""
    values = np.array([1.7e9, 1.7e9 + 640, 0.1, np.nan], dtype=np.float32)
    found = Prediction(list("abcd"), {"time": "regression"}, {}, {}, {"fused": {"time": values}})
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    for column in ("time", "time/fused"):
        read = [np.float32(row[column] or "nan") for row in rows]
        np.testing.assert_array_equal(read, values)
    assert rows[2]["time"] == "0.1"


def test_what_does_not_fit(run: Path, tmp_path: Path) -> None:
    predictor = Predictor.open(run)
    with pytest.raises(
        InputError, match=r"none of the modalities that the network reads: audio, face\. They have voice"
    ):
        predictor.arrays({"voice": np.zeros((2, 5), np.float32)})
    with pytest.raises(InputError, match=r"Steps of 'face' have shape \(7,\); the network was trained on \(4,\)"):
        predictor.arrays({"face": np.zeros((2, 7), np.float32)})
    with pytest.raises(InputError, match="was given no samples"):
        predictor.arrays({})
    with pytest.raises(RunError, match=r"has no finished fold \[9\]; it has \[1, 2, 3\]"):
        Predictor.open(run, folds=[9])
    shutil.copytree(run, tmp_path / "begun", ignore=shutil.ignore_patterns("fold.json"))
    with pytest.raises(RunError, match="has no finished fold yet"):
        Predictor.open(tmp_path / "begun")


def test_evaluation_repeats_the_run_s_figures(run: Path) -> None:
    opened, corpus = Run.open(run), small_corpus()
    for number, fold in enumerate(build_folds(opened.config, corpus), start=1):
        again = evaluate_corpus(opened, number, corpus, fold.test).metrics
        assert again == pytest.approx(opened.finished()[number]["metrics"], abs=1e-5)


def test_labels_are_counted_in_the_network_s_classes(run: Path) -> None:
    """The same samples with the classes in another order, and with one of them missing."""
    corpus = small_corpus()
    other = Corpus.from_arrays(
        {name: [corpus.read(name, row) for row in range(36)] for name in corpus.modalities},
        {"emotion": [CLASSES[label] if label else None for label in corpus.targets["emotion"]]},
        classes={"emotion": ["sad", "happy"]},
    )
    like = Run.open(run).corpus_like()
    fitted = fit_corpus(other, like, ["audio", "face"], labels="needed")
    expected = np.where(corpus.targets["emotion"] == 0, -1, corpus.targets["emotion"])
    np.testing.assert_array_equal(fitted.targets["emotion"], expected)
    strange = Corpus.from_arrays({"face": np.zeros((2, 4))}, {"emotion": ["calm", "angry"]})
    with pytest.raises(InputError, match=r"the data have the classes \['angry'\]; the network knows \['calm'"):
        fit_corpus(strange, like, ["face"], labels="needed")
    nameless = Corpus.from_arrays({"face": np.zeros((2, 4))}, {"mood": ["calm", "angry"]})
    with pytest.raises(InputError, match="have no target 'emotion', which the network predicts"):
        fit_corpus(nameless, like, ["face"], labels="needed")


# Extraction


def test_extracted_features_are_the_extractors_outputs(run: Path, tmp_path: Path) -> None:
    corpus, model = small_corpus(), trained_model(Run.open(run), 1).eval()
    made = Corpus.open(extract_corpus(model, corpus, tmp_path / "features", batch_size=7, about={"a": 1}, cpu=True))
    assert (made.ids, made.classes, made.about) == (corpus.ids, corpus.classes, {"a": 1})
    np.testing.assert_array_equal(made.targets["emotion"], corpus.targets["emotion"])
    np.testing.assert_array_equal(made.groups["actor"], corpus.groups["actor"])
    with torch.no_grad():
        for name in ("audio", "face"):
            branch = model.branches[name]
            pieces = branch.extractor(corpus.batch(name, np.arange(36))).unbind()  # type: ignore[operator]
            for row, piece in enumerate(pieces):
                np.testing.assert_allclose(made.read(name, row), piece.numpy(), atol=1e-5)
    steps = int(made.modalities["audio"].lengths.sum()) / int(corpus.modalities["audio"].lengths.sum())
    assert made.modalities["audio"].rate == pytest.approx(10 * steps)
    assert 0.4 < steps < 0.7, "the stride is 2"
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_network_on_extracted_features_answers_the_same(run: Path, tmp_path: Path) -> None:
    corpus, model = small_corpus(), trained_model(Run.open(run), 1).eval()
    made = Corpus.open(extract_corpus(model, corpus, tmp_path / "features", cpu=True))
    identities = {name: {**branch, "extractor": {"name": "identity"}} for name, branch in CONFIG["branches"].items()}
    config = parse_config({**CONFIG, "branches": identities})
    small = build_model(config, made).eval()
    weights = {name: value for name, value in model.state_dict().items() if ".extractor." not in name}
    small.load_state_dict(weights)
    rows = np.arange(36)
    with torch.no_grad():
        expected = model({name: corpus.batch(name, rows) for name in ("audio", "face")}).fused["emotion"]
        found = small({name: made.batch(name, rows) for name in ("audio", "face")}).fused["emotion"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_extraction_refuses(run: Path, tmp_path: Path) -> None:
    model = trained_model(Run.open(run), 1)
    (tmp_path / "there").mkdir()
    with pytest.raises(CorpusError, match="there exists already"):
        extract_corpus(model, small_corpus(), tmp_path / "there", cpu=True)
    faces = Corpus.from_arrays({"face": np.zeros((2, 4))}, {"emotion": [0, 1]})
    with pytest.raises(InputError, match=r"lack the modalities \['audio'\], which the branches read"):
        extract_corpus(model, faces, tmp_path / "features", cpu=True)


@pytest.mark.slow
def test_two_processes_extract_what_one_does(tmp_path: Path) -> None:
    small_corpus(35).save(tmp_path / "corpus")
    (tmp_path / "run.toml").write_text(TOML, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for name, launcher in (("one", []), ("two", two)):
        command = [sys.executable, *launcher, "-m", "mrpnkit", "extract", "run.toml", "--out", name, "--cpu"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, both = Corpus.open(tmp_path / "one"), Corpus.open(tmp_path / "two")
    assert one.ids == both.ids
    for name, modality in one.modalities.items():
        np.testing.assert_array_equal(both.modalities[name].lengths, modality.lengths)
        np.testing.assert_allclose(both.modalities[name].steps, modality.steps, atol=1e-6)
        assert both.modalities[name].rate == modality.rate
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "one", "run.toml", "two"]


def test_last_weights_do_not_stand_in_for_better_ones_that_are_gone(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    fold = tmp_path / "run" / "fold-01"
    content = json.loads((fold / "fold.json").read_text(encoding="utf-8"))
    (fold / "best.safetensors").unlink()
    for selected, told in ((content["epochs"] - 1, True), (content["epochs"], False)):
        (fold / "fold.json").write_text(json.dumps({**content, "selected_epoch": selected}), encoding="utf-8")
        opened = Run.open(tmp_path / "run")
        if told:
            with pytest.raises(RunError, match=r"best.safetensors cannot be loaded .*Put a copy of it back"):
                trained_model(opened, 1)
        else:
            found = trained_model(opened, 1).state_dict()
            last = load_file(fold / "last.safetensors")
            assert all(torch.equal(found[name].cpu(), last[name]) for name in last)

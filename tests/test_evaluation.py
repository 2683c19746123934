"""Evaluation against scikit-learn, and what must change nothing about it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss
from torch import nn

from mrpnkit import MRPN, Classification, Objective
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.mrpn import Network
from mrpnkit.train import Evaluation, evaluate
from tests.small_models import affine_branch, randomise

LABELS = np.random.default_rng(0).integers(0, 4, 41)
WITHOUT_AUDIO = np.arange(41) % 3 == 1


def corpus(labels: np.ndarray = LABELS) -> Corpus:
    generator = np.random.default_rng(1)
    audio = [generator.standard_normal((0 if WITHOUT_AUDIO[row] else 1 + row % 4, 3)) for row in range(41)]
    video = [generator.standard_normal((1 + row % 2, 2)) for row in range(41)]
    return Corpus.from_arrays({"audio": audio, "video": video}, {"y": labels}, classes={"y": list("abcd")})


def network(kind: Network = "n2") -> MRPN:
    model = MRPN({"audio": affine_branch(3, 4), "video": affine_branch(2, 4)}, {"y": 4}, network=kind, dropout=0.5)
    randomise(model, 7)
    return model


def measured(model: MRPN, *, batch: int = 8, labels: np.ndarray = LABELS, **options: Any) -> Evaluation:
    return evaluate(model, loader(CorpusDataset(corpus(labels)), batch), Objective({"y": Classification(4)}, **options))


def test_metrics_are_those_of_scikit_learn() -> None:
    found = measured(network())
    assert found.rows.tolist() == list(range(41))
    assert found.present["audio"].tolist() == (~WITHOUT_AUDIO).tolist()
    assert found.present["video"].all()
    total = 0.0
    for head in ("fused", "audio", "video"):
        rows = ~WITHOUT_AUDIO if head == "audio" else np.full(41, True)
        labels, scores = LABELS[rows], found.scores[head]["y"].numpy()[rows].astype(np.float64)
        probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        expected = {
            "accuracy": accuracy_score(labels, scores.argmax(1)),
            "uar": balanced_accuracy_score(labels, scores.argmax(1)),
            "macro_f1": f1_score(labels, scores.argmax(1), average="macro"),
            "loss": log_loss(labels, probabilities, labels=range(4)),
        }
        for name, value in expected.items():
            assert found.metrics[f"y/{head}/{name}"] == pytest.approx(value, rel=1e-5)
        total += expected["loss"]
    assert found.metrics["loss"] == pytest.approx(total, rel=1e-5)
    assert len(found.metrics) == 13


def test_scores_are_those_of_the_model_on_each_sample_alone() -> None:
    model = network()
    found = measured(model)
    model.eval()
    for row in range(41):
        with torch.no_grad():
            output = model(CorpusDataset(corpus())[row].inputs, sides=True)
        torch.testing.assert_close(output.fused["y"][0], found.scores["fused"]["y"][row])
        torch.testing.assert_close(output.branches["video"]["y"][0], found.scores["video"]["y"][row])


@pytest.mark.parametrize("batch", [1, 7, 41, 64])
def test_the_batch_size_changes_nothing(batch: int) -> None:
    model = network()
    first, second = measured(model), measured(model, batch=batch)
    assert first.metrics == pytest.approx(second.metrics, rel=1e-5)
    assert torch.equal(first.rows, second.rows)
    assert torch.equal(first.present["audio"], second.present["audio"])
    torch.testing.assert_close(first.scores, second.scores)


def test_the_network_without_sides_has_only_the_fusion() -> None:
    found = measured(network("n0"))
    assert list(found.scores) == ["fused"]
    assert found.metrics["loss"] == found.metrics["y/fused/loss"]
    assert set(found.metrics) == {"loss", *(f"y/fused/{m}" for m in ("accuracy", "uar", "macro_f1", "loss"))}


def test_weights_count_in_the_loss() -> None:
    plain, weighted = measured(network()).metrics, measured(network(), weights={"audio": 0.25, "fused": 2.0}).metrics
    assert weighted["y/audio/loss"] == plain["y/audio/loss"]
    assert weighted["loss"] == pytest.approx(
        2 * plain["y/fused/loss"] + 0.25 * plain["y/audio/loss"] + plain["y/video/loss"]
    )


def test_samples_without_a_label_are_left_out() -> None:
    labels = np.where(np.arange(41) % 5 == 0, -1, LABELS)
    found = measured(network(), labels=labels)
    predicted = found.scores["fused"]["y"].argmax(1).numpy()
    known = labels >= 0
    assert found.metrics["y/fused/accuracy"] == pytest.approx(accuracy_score(labels[known], predicted[known]))
    assert len(found.rows) == 41


def test_a_branch_without_any_labelled_sample_adds_nothing_to_the_loss() -> None:
    found = measured(network(), labels=np.where(WITHOUT_AUDIO, LABELS, -1))
    assert np.isnan(found.metrics["y/audio/loss"])
    assert found.metrics["loss"] == pytest.approx(found.metrics["y/fused/loss"] + found.metrics["y/video/loss"])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_and_nothing_is_learned(training: bool) -> None:
    model = network().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measured(model)
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_mode_is_restored_after_an_error() -> None:
    model = network()

    class Broken(nn.Module):
        def forward(self, inputs: Any) -> Any:
            raise RuntimeError("broken")

    model.branches["audio"].extractor = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        measured(model)
    assert model.training


def test_bfloat16_scores_are_close_and_stored_as_float32() -> None:
    model = network()
    batches, objective = loader(CorpusDataset(corpus()), 8), Objective({"y": Classification(4)})
    exact, rough = evaluate(model, batches, objective), evaluate(model, batches, objective, bfloat16=True)
    for head, scores in rough.scores.items():
        assert scores["y"].dtype == torch.float32
        assert 0 < (scores["y"] - exact.scores[head]["y"]).abs().max() < 0.3


def test_round_trip(tmp_path: Path) -> None:
    found = measured(network())
    found.save(tmp_path / "test.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["test.npz"]
    with np.load(tmp_path / "test.npz") as saved:
        assert set(saved) == {
            "rows", "labels/y", "present/audio", "present/video", "scores/fused/y", "scores/audio/y", "scores/video/y",
        }  # fmt: skip
        np.testing.assert_array_equal(saved["rows"], found.rows)
        np.testing.assert_array_equal(saved["labels/y"], LABELS)
        np.testing.assert_array_equal(saved["present/audio"], ~WITHOUT_AUDIO)
        for head, scores in found.scores.items():
            np.testing.assert_array_equal(saved[f"scores/{head}/y"], scores["y"])

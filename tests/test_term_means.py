"""Terms that few samples count in: the epoch's means, and what balancers make of them."""

import copy
import math
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mrpnkit import MRPN, Classification, Objective
from mrpnkit.balancing import GradientBlending, Uncertainty
from mrpnkit.balancing.floats import exact
from mrpnkit.balancing.steering import Step
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.train import Trainer, evaluate
from mrpnkit.train.progress import summary
from tests.small_models import affine_branch

ROWS = 40
LABELLED = np.array([3, 4, 17, 22, 38])  # of batches of 8: two, none, two, none, one
SEEN = np.arange(ROWS) % 3 != 1  # has the video: rows 3, 17 and 38 of those
AUDIO = np.random.default_rng(0).standard_normal((ROWS, 3)).astype(np.float32)
VIDEO = np.random.default_rng(1).standard_normal((ROWS, 2)).astype(np.float32)
FULL = np.random.default_rng(2).integers(0, 3, ROWS)
RARE = np.where(np.isin(np.arange(ROWS), LABELLED), FULL, -1)
TARGETS = {"full": Classification(3), "rare": Classification(3)}


def corpus(labels: dict[str, np.ndarray]) -> Corpus:
    video = [row[None] if seen else row[None][:0] for row, seen in zip(VIDEO, SEEN, strict=True)]
    return Corpus.from_arrays({"audio": AUDIO, "video": video}, labels, classes={name: list("abc") for name in labels})


def training(labels: dict[str, np.ndarray], *, epochs: int = 1, rate: float = 0.0, balancer: Any = None) -> Trainer:
    data = corpus(labels)
    torch.manual_seed(0)
    model = MRPN({n: affine_branch(data.features(n), 4) for n in data.modalities}, dict.fromkeys(labels, 3))
    return Trainer(
        model,
        Objective({name: TARGETS[name] for name in labels}, balancer=balancer),
        loader(CorpusDataset(data), 8),
        loader(CorpusDataset(data), 8),
        optimizer=torch.optim.SGD(model.parameters(), rate),
        epochs=epochs,
        cpu=True,
    )


def costs(head: str, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each sample in training mode, batch by batch, of the network that does not change."""
    trainer = training({"full": FULL, "rare": RARE})
    model, found = trainer.plain_model.train(), []
    for batch in loader(CorpusDataset(corpus({"full": FULL, "rare": RARE})), 8):
        output = model(batch.inputs)
        scores = output.fused if head == "fused" else output.branches[head]
        target = "rare" if labels is RARE else "full"
        found.append(F.cross_entropy(scores[target], torch.tensor(FULL)[batch.rows], reduction="none").detach())
    return torch.cat(found).numpy()


@pytest.mark.parametrize("head", ["fused", "audio", "video"])
@pytest.mark.parametrize(("target", "labels"), [("full", FULL), ("rare", RARE)])
def test_the_mean_is_that_over_the_samples_that_count(head: str, target: str, labels: np.ndarray) -> None:
    report = training({"full": FULL, "rare": RARE}).fit()[0]
    counting = (labels >= 0) & (SEEN if head == "video" else np.ones(ROWS, dtype=bool))
    assert counting.sum() == {"full": {"video": 27}, "rare": {"video": 3, "audio": 5, "fused": 5}}[target].get(head, 40)
    assert report.train[f"{target}/{head}"] == pytest.approx(float(costs(head, labels)[counting].mean()), rel=1e-5)


def test_counts_of_the_objective() -> None:
    batch = next(iter(loader(CorpusDataset(corpus({"full": FULL, "rare": RARE})), 8)))
    model = training({"full": FULL, "rare": RARE}).plain_model
    loss = Objective(dict(TARGETS))(model(batch.inputs), batch.labels)
    assert {name: int(count) for name, count in loss.counts.items()} == {
        "full/fused": 8, "full/audio": 8, "full/video": 5, "rare/fused": 2, "rare/audio": 2, "rare/video": 1
    }  # fmt: skip
    assert list(loss.counts) == list(loss.terms)


def test_a_target_without_a_label_has_no_mean() -> None:
    report = training({"full": FULL, "rare": np.full(ROWS, -1)}).fit()[0]
    assert [name for name, value in report.train.items() if math.isnan(value)] == [
        "rare/fused", "rare/audio", "rare/video"
    ]  # fmt: skip
    known = sum(value for name, value in report.train.items() if name.startswith("full/"))
    assert summary(report).startswith(f"loss {known:.3f}  ")


class Labels:
    """A criterion whose loss is the label itself."""

    def __call__(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return labels.to(scores.dtype)

    def begin_epoch(self, epoch: int) -> None:
        pass


def test_terms_of_an_evaluation_are_the_losses_that_are_trained() -> None:
    nobody = np.full(ROWS, -1)
    data = corpus({"full": FULL, "rare": RARE, "none": nobody})
    torch.manual_seed(0)
    model = MRPN({n: affine_branch(data.features(n), 4) for n in data.modalities}, dict.fromkeys(data.targets, 3))
    weights = [1.0, 2.0, 0.5]
    targets = {name: Classification(3) for name in ("rare", "none")}
    targets["full"] = Classification(3, class_weights=weights, label_smoothing=0.1)
    objective = Objective(targets)
    found = evaluate(model, loader(CorpusDataset(data), 8), objective)
    terms = found.terms(objective, torch.device("cpu"))
    assert set(terms) == {f"{t}/{head}/term" for t in targets for head in ("fused", "audio", "video")}
    cost = torch.nn.CrossEntropyLoss(torch.tensor(weights), reduction="none", label_smoothing=0.1)
    for head in ("fused", "audio", "video"):
        each = cost(found.scores[head]["full"], torch.tensor(FULL)).numpy()
        assert terms[f"full/{head}/term"] == pytest.approx(each[SEEN if head == "video" else slice(None)].mean())
        assert terms[f"rare/{head}/term"] == pytest.approx(found.metrics[f"rare/{head}/loss"])
        assert math.isnan(terms[f"none/{head}/term"])
    told = found.terms(Objective(targets, criterion=Labels()), torch.device("cpu"))
    assert told["rare/fused/term"] == pytest.approx(FULL[LABELLED].mean())
    assert told["full/fused/term"] == pytest.approx(np.mean([label * weights[label] for label in FULL]))
    assert told["full/audio/term"] == terms["full/audio/term"]


@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", torch.float64), ("cuda:1", torch.float64), ("mps", torch.float32)]
)
def test_sums_are_as_exact_as_the_device_can(device: str, dtype: torch.dtype) -> None:
    assert exact(torch.device(device)) == dtype


class TestUncertainty:
    def step(self, balancer: Uncertainty, losses: dict[str, float], counts: dict[str, float] | None) -> None:
        terms = {name: torch.tensor(value, requires_grad=True) for name, value in losses.items()}
        told = None if counts is None else {name: torch.tensor(value) for name, value in counts.items()}
        balancer.backward(Step(None, {}, terms, balancer(terms), told))  # type: ignore[arg-type]

    def test_a_loss_without_a_sample_teaches_nothing(self) -> None:
        """The weight of the rare loss is that of a training in which the other batches were not."""
        values = [(2.0, 1.5, 4.0), (1.0, 0.0, 0.0), (1.5, 0.0, 0.0), (0.5, 0.5, 2.0), (1.0, 0.0, 0.0)]
        balancer = Uncertainty(learning_rate=0.1)
        for full, rare, count in values:
            before = balancer.weights.get("rare")
            self.step(balancer, {"full": full, "rare": rare}, {"full": 8.0, "rare": count})
            assert count or balancer.weights["rare"] == before
        for name, place in (("full", 0), ("rare", 1)):
            s = torch.zeros((), requires_grad=True)
            adam = torch.optim.Adam([s], lr=0.1)
            for value in (row for row in values if name == "full" or row[2]):
                adam.zero_grad()
                (torch.exp(-s) * value[place] + s / 2).backward()
                adam.step()
            assert balancer.weights[name] == pytest.approx(exp(-s.item()), rel=1e-6)

    def test_without_counts_all_losses_have_samples(self) -> None:
        told, untold = Uncertainty(), Uncertainty()
        for values in ({"a": 2.0, "b": 0.0}, {"a": 1.0, "b": 0.5}):
            self.step(told, values, {"a": 3.0, "b": 0.5})
            self.step(untold, values, None)
        assert told.weights == untold.weights
        assert told.weights["b"] > 1 > told.weights["a"]

    def test_its_state_before_and_after_a_loss_was_first_seen(self) -> None:
        first, second = Uncertainty(), Uncertainty()
        second.load_state_dict(first.state_dict())
        assert second.weights == {}
        for counts in ({"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 1.0}):
            self.step(first, {"a": 2.0, "b": 0.0}, counts)
            second = Uncertainty()
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            assert second.weights == first.weights
        for balancer in (first, second):
            self.step(balancer, {"a": 2.0, "b": 0.3}, None)
        assert second.weights == first.weights

    def test_in_a_training_batches_without_a_label_do_not_raise_the_weight(self) -> None:
        balancer = Uncertainty(learning_rate=0.05)
        first = np.where(np.arange(ROWS) < 8, FULL, -1)  # one batch of five has labels; its loss is above ½
        report = training({"full": FULL, "rare": first}, epochs=3, balancer=balancer).fit()[-1]
        assert report.train["rare/fused"] > 0.6
        assert balancer.weights["rare/fused"] < 1

    def test_in_a_training_a_head_of_weight_zero_keeps_its_own(self) -> None:
        data, balancer = corpus({"full": FULL}), Uncertainty(learning_rate=0.05)
        model = MRPN({n: affine_branch(data.features(n), 4) for n in data.modalities}, {"full": 3})
        Trainer(
            model,
            Objective({"full": Classification(3)}, weights={"video": 0.0}, balancer=balancer),
            loader(CorpusDataset(data), 8),
            optimizer=torch.optim.SGD(model.parameters(), 0.0),
            epochs=1,
            cpu=True,
        ).fit()
        assert [name for name, weight in balancer.weights.items() if weight == 1.0] == ["full/video"]


class TestGradientBlending:
    def test_a_head_that_was_not_measured_keeps_its_weight(self) -> None:
        nan = math.nan
        epochs = [((2.0, 2.1), (2.0, 2.2), (2.0, nan)), ((1.0, 1.5), (1.5, 1.8), (1.5, 1.6)),
                  ((0.5, 1.4), (nan, 1.0), (1.0, 1.3))]  # fmt: skip
        balancer, seen = GradientBlending(every=1), []
        for epoch in epochs:
            heads = dict(zip(("y/fused", "y/a", "y/b"), epoch, strict=True))
            balancer.end_epoch({h: t for h, (t, _) in heads.items()}, {f"{h}/term": v for h, (_, v) in heads.items()})
            seen.append(dict(balancer.weights))
        # ΔG 0.6 and 0.4, ΔO 0.4 and 0.1: worth 3.75 and 40
        assert seen[1] == pytest.approx({"y/fused": 2 * 3.75 / 43.75, "y/a": 2 * 40 / 43.75})
        # ΔG 0.1 and 0.3, ΔO 0.4 and 0.2: worth 0.625 and 7.5; they share what a has left of 3
        rest = 3 - 2 * 40 / 43.75
        assert seen[2] == pytest.approx(
            {"y/fused": rest * 0.625 / 8.125, "y/a": seen[1]["y/a"], "y/b": rest * 7.5 / 8.125}
        )

"""The training loop against a plain torch loop, on problems that can be learned, and on what it must refuse."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.balancing import MMPareto
from mrpnkit.data import Corpus, CorpusDataset, Loader, loader, set_epoch
from mrpnkit.errors import InputError, TrainingError
from mrpnkit.mrpn import Network
from mrpnkit.train import EpochReport, Trainer, load_weights
from tests.small_models import Affine, Average, affine_branch, randomise

WIDTHS = {"audio": 3, "video": 4, "pulse": 2}
CLASSES = 3


def toy(samples: int = 96, modalities: int = 2, *, seed: int = 0, noise: float = 0.5) -> Corpus:
    """Vectors around the centre of their class, in each modality: separable."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99)
    labels = generator.integers(0, CLASSES, samples)
    arrays = {
        name: (4 * centres.standard_normal((CLASSES, width)))[labels]
        + noise * generator.standard_normal((samples, width))
        for name, width in list(WIDTHS.items())[:modalities]
    }
    return Corpus.from_arrays(arrays, {"y": labels}, classes={"y": ["a", "b", "c"]})


def network(names: Sequence[str], kind: Network = "n2", *, seed: int = 0, dropout: float = 0.0) -> MRPN:
    torch.manual_seed(seed)
    return MRPN({n: affine_branch(WIDTHS[n], 5) for n in names}, {"y": CLASSES}, network=kind, dropout=dropout)


def objective() -> Objective:
    return Objective({"y": Classification(CLASSES)})


def trainer(
    corpus: Corpus, model: MRPN, *, epochs: int = 2, batch: int = 16, validate: bool = True, **options: Any
) -> Trainer:
    batches = options.pop("batches", None) or loader(CorpusDataset(corpus), batch, shuffle_seed=1)
    options.setdefault("optimizer", torch.optim.AdamW(model.parameters(), 1e-2))
    validation = loader(CorpusDataset(corpus), 20) if validate else None
    return Trainer(model, objective(), batches, validation, epochs=epochs, cpu=True, **options)


@pytest.mark.parametrize("modalities", [1, 2, 3])
@pytest.mark.parametrize("kind", ["n0", "n1", "n2"])
def test_learns_what_can_be_learned(kind: Network, modalities: int) -> None:
    seen, unseen = toy(120, modalities), toy(60, modalities, seed=1)
    model = network(list(seen.modalities), kind)
    training = Trainer(
        model,
        objective(),
        loader(CorpusDataset(seen), 16, shuffle_seed=0),
        loader(CorpusDataset(unseen), 32),
        optimizer=torch.optim.AdamW(model.parameters(), 1e-2),
        epochs=8,
        monitor="y/fused/accuracy",
        cpu=True,
    )
    before = training.model.eval()(
        {n: CorpusDataset(unseen).__getitems__(range(60)).inputs[n] for n in seen.modalities}
    )
    chance = float((before.fused["y"].argmax(1) == unseen.labels("y")).double().mean())
    history = training.fit()
    assert chance < 0.75
    last = history[-1].validation
    assert last is not None
    assert max(report.validation["y/fused/accuracy"] for report in history if report.validation) > 0.95
    heads = [] if kind == "n0" else list(seen.modalities)
    assert list(history[0].train) == ["y/fused", *(f"y/{head}" for head in heads)]
    assert all(history[-1].train[name] < 0.7 * history[0].train[name] for name in history[0].train)
    assert [name for name in last if name.endswith("/accuracy")] == [f"y/{h}/accuracy" for h in ("fused", *heads)]
    assert all(last[f"y/{head}/accuracy"] > 0.8 for head in heads)


class Plain(nn.Module):
    """N0, N1 and N2 (7, 8, 9) of vectors, written with torch.nn alone."""

    def __init__(self, names: Sequence[str], kind: Network) -> None:
        super().__init__()
        self.names, self.kind = list(names), kind
        self.dense = nn.ModuleDict({n: nn.Linear(WIDTHS[n], 5) for n in names})
        self.norm = nn.ModuleDict({n: nn.BatchNorm1d(5) for n in names})
        if kind == "n2":
            self.residual = nn.ModuleDict({n: nn.Linear(5, 5) for n in names})
            self.residual_norm = nn.ModuleDict({n: nn.BatchNorm1d(5) for n in names})
        if kind != "n0":
            self.side = nn.ModuleDict({n: nn.Linear(5, CLASSES) for n in names})
        joint = 5 * len(names)
        self.fusion_norm = nn.BatchNorm1d(joint)
        self.hidden = nn.Linear(joint, joint)
        self.hidden_norm = nn.BatchNorm1d(joint)
        self.output = nn.Linear(joint, CLASSES)

    def losses(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        losses, joint = [], []
        for n in self.names:
            f = self.norm[n](self.dense[n](inputs[n]))
            if self.kind != "n0":
                losses.append(F.cross_entropy(self.side[n](f), labels))
            joint.append(f + self.residual_norm[n](torch.sigmoid(self.residual[n](f))) if self.kind == "n2" else f)
        hidden = self.hidden_norm(torch.relu(self.hidden(self.fusion_norm(torch.cat(joint, 1)))))
        return torch.stack([F.cross_entropy(self.output(hidden), labels), *losses])


NAMES = (
    ("branches.{}.extractor.dense", "dense.{}"),
    ("norms.{}", "norm.{}"),
    ("perceptrons.{}.dense", "residual.{}"),
    ("perceptrons.{}.norm", "residual_norm.{}"),
    ("sides.{}.y", "side.{}"),
    ("fusion.norm", "fusion_norm"),
    ("fusion.scoring.y.dense", "hidden"),
    ("fusion.scoring.y.norm", "hidden_norm"),
    ("fusion.scoring.y.output", "output"),
)


def translated(model: MRPN) -> dict[str, Tensor]:
    """The model's state under the names of :class:`Plain`; everything in it must have one."""
    pairs = {ours.format(n): theirs.format(n) for ours, theirs in NAMES for n in model.branches}
    state = {}
    for name, value in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        state[f"{pairs[module]}.{kind}"] = value.clone()
    return state


@pytest.mark.parametrize("modalities", [1, 2, 3])
@pytest.mark.parametrize("kind", ["n0", "n1", "n2"])
def test_equals_a_plain_loop(kind: Network, modalities: int) -> None:
    corpus = toy(50, modalities, noise=3.0)
    model, plain = network(list(corpus.modalities), kind), Plain(list(corpus.modalities), kind)
    randomise(model, 3)
    missing = plain.load_state_dict(translated(model), strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, weight_decay=1e-2)

    ours, theirs = optimizer(model), optimizer(plain)
    schedulers = [torch.optim.lr_scheduler.OneCycleLR(o, 0.02, total_steps=12) for o in (ours, theirs)]
    history = trainer(
        corpus, model, epochs=3, batch=14, optimizer=ours, scheduler=schedulers[0], clip_norm=0.7, validate=False
    ).fit()
    batches, clipped = loader(CorpusDataset(corpus), 14, shuffle_seed=1), 0
    for epoch in range(3):
        set_epoch(batches, epoch)
        sums = torch.zeros(len(history[epoch].train), dtype=torch.float64)
        for batch in batches:
            losses = plain.losses({n: s.steps for n, s in batch.inputs.items()}, batch.labels["y"])
            theirs.zero_grad()
            losses.sum().backward()
            norm = torch.stack([p.grad.norm() for p in plain.parameters() if p.grad is not None]).norm()
            if norm > 0.7:
                clipped += 1
                for p in plain.parameters():
                    assert p.grad is not None
                    p.grad.mul_(0.7 / norm)
            theirs.step()
            schedulers[1].step()
            sums = sums + losses.detach().double() * len(batch.rows)
        torch.testing.assert_close(list(history[epoch].train.values()), (sums / 50).tolist(), rtol=1e-5, atol=1e-6)
        assert history[epoch].step == 4 * (epoch + 1)
        assert history[epoch].learning_rate == pytest.approx(schedulers[1].get_last_lr()[0])
    assert clipped > 0
    expected = plain.state_dict()
    for name, value in translated(model).items():
        assert torch.allclose(value, expected[name], rtol=1e-5, atol=1e-6), name


def test_clip_norm_bounds_a_step() -> None:
    corpus = toy()
    model = network(list(corpus.modalities))
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer(corpus, model, epochs=1, batch=96, optimizer=torch.optim.SGD(model.parameters(), 1.0), clip_norm=0.01).fit(
        keep="last"
    )
    moved = torch.cat([(value - before[name]).flatten() for name, value in model.named_parameters()]).norm().item()
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_plateau_halves_the_rate_once_an_epoch() -> None:
    corpus = toy(32)
    model = network(list(corpus.modalities))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.99)
    history = trainer(corpus, model, epochs=6, batch=8, optimizer=optimizer, scheduler=plateau).fit()
    assert [report.learning_rate / 1e-3 for report in history] == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.25])


class Scripted(Trainer):
    """A trainer whose validation metric goes as it is told."""

    values: Sequence[float] = ()

    def _validate(self) -> dict[str, float]:
        return {"loss": self.values[self.progress.epoch], "y/fused/accuracy": -self.values[self.progress.epoch]}


def scripted(values: Sequence[float], folder: Path | None = None, **options: Any) -> Scripted:
    corpus = toy(16)
    model = network(list(corpus.modalities))
    run = Scripted(
        model,
        objective(),
        loader(CorpusDataset(corpus), 8),
        loader(CorpusDataset(corpus), 8),
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        epochs=len(values),
        folder=folder,
        cpu=True,
        **options,
    )
    run.values = values
    return run


@pytest.mark.parametrize("monitor", ["loss", "y/fused/accuracy"])
@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best"),
    [
        ([3, 2, 1, 2, 2, 0], 2, 5, [1, 2, 3]),
        ([3, 2, 1, 2, 2, 0], 3, 6, [1, 2, 3, 6]),
        ([3, 2, 1, 2, 2, 0], None, 6, [1, 2, 3, 6]),
        ([1, 1, 1], 2, 3, [1]),
        ([math.nan, 2, math.nan, 1], 2, 4, [2, 4]),
    ],
)
def test_early_stopping(monitor: str, values: list[float], patience: int | None, epochs: int, best: list[int]) -> None:
    history = scripted(values, monitor=monitor, patience=patience).fit()
    assert [report.epoch for report in history] == list(range(1, epochs + 1))
    assert [report.epoch for report in history if report.best] == best


@pytest.mark.parametrize("keep", ["best", "last"])
def test_best_and_last_weights(keep: Literal["best", "last"], tmp_path: Path) -> None:
    run = scripted([3, 1, 2, 2], tmp_path)
    states = []
    for _ in run.epochs():
        states.append({name: value.clone() for name, value in run.plain_model.state_dict().items()})
    run.fit(keep=keep)
    wanted = states[1 if keep == "best" else 3]
    assert all(torch.equal(value, wanted[name]) for name, value in run.plain_model.state_dict().items())
    for file, state in (("best.safetensors", states[1]), ("last.safetensors", states[3])):
        model = network(["audio", "video"], seed=5)
        load_weights(tmp_path / file, model)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not torch.equal(states[1]["norms.audio.running_mean"], states[3]["norms.audio.running_mean"])


def test_fitting_again_changes_nothing(tmp_path: Path) -> None:
    run = scripted([3, 1, 2, 2], tmp_path)
    run.fit()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".safetensors"}
    assert len(before) == 2
    assert len(run.fit()) == 4
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".safetensors"} == before


def test_without_validation_the_last_weights_stay(tmp_path: Path) -> None:
    corpus = toy(32)
    model = network(list(corpus.modalities))
    history = trainer(corpus, model, validate=False, folder=tmp_path, patience=1, epochs=4).fit(keep="best")
    assert [report.validation for report in history] == [None] * 4
    assert not any(report.best for report in history)
    saved = network(list(corpus.modalities), seed=9)
    load_weights(tmp_path / "last.safetensors", saved)
    assert all(torch.equal(value, saved.state_dict()[name]) for name, value in model.state_dict().items())
    assert not (tmp_path / "best.safetensors").exists()


def test_metrics_file_has_a_line_an_epoch(tmp_path: Path) -> None:
    corpus = toy(32)
    run = trainer(corpus, network(list(corpus.modalities)), epochs=3, folder=tmp_path)
    for number, report in enumerate(run.epochs(), start=1):
        lines = [EpochReport(**json.loads(line)) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert len(lines) == number
        assert lines == run.history
        assert lines[-1] == report
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "metrics.jsonl", "state.pt"]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = toy(32)
    trainer(corpus, network(list(corpus.modalities)), save_every=1).fit()
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_learns_with_float32_weights() -> None:
    corpus = toy(120)
    model = network(list(corpus.modalities))
    history = trainer(corpus, model, epochs=6, precision="bfloat16").fit()
    assert history[-1].validation is not None
    assert history[-1].validation["y/fused/accuracy"] > 0.95
    assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    plain = network(list(corpus.modalities))
    exact = trainer(corpus, plain, epochs=6).fit()
    assert 0 < abs(exact[0].train["y/fused"] - history[0].train["y/fused"]) < 0.05


@pytest.mark.parametrize("missing", [False, True])
def test_a_last_batch_of_one_trains(missing: bool) -> None:
    corpus = toy(33)
    if missing:
        corpus = lacking(corpus, {5, 20})
    model = network(list(corpus.modalities))
    history = trainer(corpus, model, batch=16, epochs=3).fit(keep="last")
    assert history[-1].step == 9
    assert all(math.isfinite(value) for report in history for value in report.train.values())
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert history[-1].train["y/fused"] < history[0].train["y/fused"]


@pytest.mark.parametrize("kind", ["n0", "n1", "n2"])
@pytest.mark.parametrize("having", [0, 1])
def test_batches_that_hold_a_modality_once_or_never_train(kind: Network, having: int) -> None:
    corpus = toy(32)
    lacking_rows = {row for row in range(32) if row % 8 >= having}
    corpus = lacking(corpus, lacking_rows, name="video")
    model = network(list(corpus.modalities), kind)
    batches = loader(CorpusDataset(corpus), 8)
    assert [int(batch.inputs["video"].present.sum()) for batch in batches] == [having] * 4
    history = trainer(corpus, model, batches=batches, epochs=2).fit(keep="last")
    for name, value in [pair for report in history for pair in report.train.items()]:
        assert math.isnan(value) if name == "y/video" and not having else math.isfinite(value), name
    assert all(value.isfinite().all() for value in model.state_dict().values())


def lacking(corpus: Corpus, rows: set[int], *, name: str = "audio") -> Corpus:
    """The same samples, of which some lack a modality."""
    pieces: dict[str, list[Any]] = {
        m: [corpus.read(m, row)[: 0 if m == name and row in rows else 1] for row in range(len(corpus))]
        for m in corpus.modalities
    }
    return Corpus.from_arrays(pieces, {"y": corpus.targets["y"]}, classes=corpus.classes)


def test_a_loss_that_is_not_finite_names_step_and_term_and_updates_no_weight() -> None:
    corpus = toy(32)
    model = network(list(corpus.modalities))
    run = trainer(corpus, model, batch=8, batches=loader(CorpusDataset(corpus), 8))
    reports = run.epochs()
    next(reports)
    with torch.no_grad():
        model.sides["video"]["y"].weight.fill_(math.inf)  # type: ignore[index]
    before = {name: value.clone() for name, value in model.named_parameters()}
    text = r"not finite at step 5 \(epoch 2\): y/video = nan; corpus rows \[0, 1, 2, 3, 4, 5, 6, 7\]…\. No weight was"
    with pytest.raises(TrainingError, match=text):
        next(reports)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert run.progress.step == 4


def test_a_gradient_that_is_not_finite_names_parameters_and_updates_no_weight() -> None:
    corpus = toy(32)
    model = network(list(corpus.modalities))
    run = trainer(corpus, model, batch=8, batches=loader(CorpusDataset(corpus), 8), clip_norm=1.0)
    reports = run.epochs()
    next(reports)
    model.sides["video"]["y"].weight.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[index]
    before = {name: value.clone() for name, value in model.named_parameters()}
    text = r"loss is finite, its gradient is not, at step 5 \(epoch 2\): of sides\.video\.y\.weight; corpus rows \[0, 1"
    with pytest.raises(TrainingError, match=text):
        next(reports)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_labels_are_checked_before_anything_is_trained() -> None:
    corpus = Corpus.from_arrays({"audio": np.zeros((4, 3))}, {"y": [0, 1, 2, 3]})
    with pytest.raises(InputError, match=r"Label 3 of 'y' \(sample 3, 1 such in all\) is out of range; 3 classes"):
        trainer(corpus, network(["audio"]))
    named = Corpus.from_arrays({"audio": np.zeros((4, 3))}, {"mood": [0, 1, 2, 0]})
    with pytest.raises(InputError, match=r"The objective has the target 'y'; the corpus has \['mood'\]"):
        trainer(named, network(["audio"]))


def test_unknown_monitor() -> None:
    corpus = toy(32)
    text = r"no metric 'accuracy' to monitor; there are loss, y/fused/accuracy, .*y/video/loss"
    with pytest.raises(InputError, match=text):
        trainer(corpus, network(list(corpus.modalities)), monitor="accuracy")


def test_optimizer_of_another_model() -> None:
    corpus = toy(32)
    other = network(list(corpus.modalities))
    with pytest.raises(InputError, match="the optimizer has parameters that are not the model's"):
        trainer(corpus, network(list(corpus.modalities)), optimizer=torch.optim.SGD(other.parameters(), 0.1))


def test_settings_that_cannot_be() -> None:
    corpus = toy(32)
    model = network(list(corpus.modalities))
    with pytest.raises(InputError, match="precision 'float16'; expected 'float32' or 'bfloat16'"):
        trainer(corpus, model, precision="float16")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(InputError, match="ReduceLROnPlateau needs validation batches, whose loss it watches"):
        trainer(corpus, model, optimizer=optimizer, scheduler=plateau, validate=False)


def test_weights_of_another_model(tmp_path: Path) -> None:
    corpus = toy(16)
    trainer(corpus, network(list(corpus.modalities)), folder=tmp_path).fit()
    with pytest.raises(TrainingError, match=r"last.safetensors cannot be loaded into this model"):
        load_weights(tmp_path / "last.safetensors", network(["audio"]))
    with pytest.raises(TrainingError, match=r"nowhere.safetensors cannot be loaded"):
        load_weights(tmp_path / "nowhere.safetensors", network(["audio"]))


def test_any_loader_will_do() -> None:
    """Batches of one's own data set: nothing but rows, inputs and labels is asked of them."""
    corpus = toy(24)

    class Own(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 24

        def __getitems__(self, positions: list[int]) -> Any:
            return CorpusDataset(corpus).__getitems__(positions)

    batches: Loader = torch.utils.data.DataLoader(Own(), batch_size=8, collate_fn=lambda batch: batch)
    history = trainer(corpus, network(list(corpus.modalities)), batches=batches, epochs=1).fit()
    assert history[-1].step == 3


@pytest.mark.parametrize("balancer", [None, MMPareto()])
def test_gradients_of_parameters_that_the_optimizer_lacks_do_not_add_up(balancer: MMPareto | None) -> None:
    """They are those of the last step, as where the optimizer has them with a learning rate of 0."""
    corpus, found = toy(48), []
    for lacking in (True, False):
        model = network(list(corpus.modalities))
        own = {id(p) for p in model.branches[next(iter(corpus.modalities))].parameters()}
        groups = [{"params": [p for p in model.parameters() if id(p) not in own], "lr": 1e-2}]
        if not lacking:
            groups.append({"params": [p for p in model.parameters() if id(p) in own], "lr": 0.0})
        Trainer(
            model,
            Objective({"y": Classification(CLASSES)}, balancer=balancer),
            loader(CorpusDataset(corpus), 16, shuffle_seed=1),
            optimizer=torch.optim.SGD(groups),
            epochs=3,
            cpu=True,
        ).fit()
        found.append([p.grad for p in model.parameters()])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert torch.equal(one, other)


def test_branches_may_share_an_extractor(tmp_path: Path) -> None:
    """The weights of the file are those of the network, and a network of the same kind takes them."""
    draw = np.random.default_rng(0)
    hands = {hand: draw.normal(size=(32, 3)) for hand in ("left", "right")}
    corpus = Corpus.from_arrays(hands, {"y": draw.integers(0, CLASSES, 32)}, classes={"y": ["a", "b", "c"]})
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        shared = Affine(3, 5)
        models.append(MRPN({n: Branch(shared, Average(5)) for n in hands}, {"y": CLASSES}))
        trainer(corpus, models[-1], folder=tmp_path).fit(keep="last")
    weights = load_file(tmp_path / "last.safetensors")
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, weights[name]), name
        assert torch.equal(value, models[1].state_dict()[name]), name

"""A training that is killed goes on bitwise the same; a state that is none, or another's, is refused."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import Tensor

from mrpnkit import MRPN, Classification, Objective
from mrpnkit.data import Augmentation, ClassPairing, CorpusDataset, RandomSlice, loader
from mrpnkit.errors import TrainingError
from mrpnkit.train import Trainer
from tests.fragile import Fragile, Killed
from tests.small_models import affine_branch
from tests.test_trainer import toy

EPOCHS, BATCHES = 3, 4
Schedule = Callable[[torch.optim.Optimizer], Any]


def one_cycle(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=EPOCHS * BATCHES)


def plateau(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.3)


def warm_up_and_decay(optimizer: torch.optim.Optimizer) -> Any:
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9),
    ]
    return torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [3])


def run(
    folder: Path | None, schedule: Schedule = one_cycle, *, width: int = 5, workers: int = 0, **options: Any
) -> Fragile:
    """A training that draws wherever it can: dropout, order, slices, pairs."""
    corpus = toy(30, noise=3.0)
    torch.manual_seed(11)
    model = MRPN({n: affine_branch(corpus.features(n), width) for n in corpus.modalities}, {"y": 3}, dropout=0.4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    drawn = Augmentation(
        {"audio": RandomSlice(1, 1, share=0.5)}, pairing=ClassPairing(corpus.targets["y"], torch.arange(30).numpy())
    )
    return Fragile(
        model,
        Objective({"y": Classification(3)}),
        loader(CorpusDataset(corpus, augmentation=drawn), 8, shuffle_seed=3, workers=workers),
        loader(CorpusDataset(corpus), 30),
        optimizer=optimizer,
        scheduler=schedule(optimizer),
        epochs=EPOCHS,
        folder=folder,
        cpu=True,
        **options,
    )


def everything(trainer: Trainer) -> dict[str, Any]:
    """Whatever decides how a training would go on, and what it reports; all but the seconds."""
    found: dict[str, Any] = {f"model {n}": v.clone() for n, v in trainer.plain_model.state_dict().items()}
    for number, state in trainer.optimizer.state_dict()["state"].items():
        found |= {f"optimizer {number} {name}": value for name, value in state.items()}
    found["random"] = torch.get_rng_state()
    found["progress"] = repr(trainer.progress)
    found["history"] = [report._replace(seconds=0.0) for report in trainer.history]
    return found


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, second[name]), name
        else:
            assert value == second[name], name


def killed(folder: Path, step: int, schedule: Schedule = one_cycle, **options: Any) -> None:
    """A training that dies in a step, and a generator that has gone on since."""
    dying = run(folder, schedule, **options)
    dying.dies_in = step
    with pytest.raises(Killed):
        dying.fit()
    assert dying.progress.step == step
    torch.rand(17)


@pytest.mark.parametrize(
    ("schedule", "step", "save_every"),
    [
        (one_cycle, 2, None),
        (one_cycle, 9, None),
        (one_cycle, 2, 1),
        (one_cycle, 7, 1),
        (one_cycle, 8, 4),
        (plateau, 11, 3),
        (warm_up_and_decay, 7, 1),
    ],
)
def test_goes_on_bitwise(schedule: Schedule, step: int, save_every: int | None, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", schedule)
    whole.fit(keep="last")
    expected = everything(whole)
    assert whole.progress.step == EPOCHS * BATCHES
    killed(tmp_path / "killed", step, schedule, save_every=save_every)
    again = run(tmp_path / "killed", schedule, save_every=save_every)
    again.fit(keep="last")
    same(everything(again), expected)
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("step", "save_every", "epoch", "batch"), [(5, None, 1, 0), (7, 1, 1, 2), (8, 4, 1, 0), (2, None, 0, 0)]
)
def test_goes_on_where_the_last_state_was_saved(
    step: int, save_every: int | None, epoch: int, batch: int, tmp_path: Path
) -> None:
    killed(tmp_path, step, save_every=save_every)
    again = run(tmp_path)
    assert again.resume() == (tmp_path / "state.pt").is_file() == (epoch > 0)
    assert (again.progress.epoch, again.progress.batch) == (epoch, batch)
    assert len(again.history) == epoch


def test_workers_change_nothing(tmp_path: Path) -> None:
    whole = run(None)
    whole.fit(keep="last")
    expected = everything(whole)
    killed(tmp_path, 6, save_every=1, workers=1)
    again = run(tmp_path, save_every=1, workers=1)
    again.fit(keep="last")
    same(everything(again), expected)


def test_saving_changes_nothing(tmp_path: Path) -> None:
    plain = run(None)
    plain.fit(keep="last")
    whole = everything(plain)
    saving = run(tmp_path, save_every=1)
    saving.fit(keep="last")
    same(everything(saving), whole)


def test_killed_twice(tmp_path: Path) -> None:
    whole = run(None)
    whole.fit(keep="last")
    expected = everything(whole)
    killed(tmp_path, 3, save_every=1)
    killed(tmp_path, 10, save_every=1)
    again = run(tmp_path, save_every=1)
    again.fit(keep="last")
    same(everything(again), expected)


def test_best_weights_of_before_the_kill_are_kept(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", monitor="y/fused/uar")
    history = whole.fit()
    best = max(report.epoch for report in history if report.best)
    killed(tmp_path / "killed", best * BATCHES + 1 if best < EPOCHS else EPOCHS * BATCHES, monitor="y/fused/uar")
    again = run(tmp_path / "killed", monitor="y/fused/uar")
    again.fit()
    same(
        {n: v for n, v in everything(again).items() if n.startswith("model")},
        {n: v for n, v in everything(whole).items() if n.startswith("model")},
    )


def test_a_finished_training_is_only_read(tmp_path: Path) -> None:
    first = run(tmp_path)
    first.fit()
    again = run(tmp_path)
    again.dies_in = EPOCHS * BATCHES + 1
    history = again.fit()
    assert [report.epoch for report in history] == list(range(1, EPOCHS + 1))
    same(
        {n: v for n, v in everything(again).items() if n.startswith("model")},
        {n: v for n, v in everything(first).items() if n.startswith("model")},
    )


def test_stopped_early_stays_stopped(tmp_path: Path) -> None:
    first = run(tmp_path, plateau, patience=1, monitor="y/fused/accuracy")
    first._is_better = lambda metrics: first.progress.epoch == 0  # type: ignore[method-assign]
    assert len(first.fit()) == 2
    assert len(run(tmp_path, plateau, patience=1).fit()) == 2


def test_an_interrupted_write_leaves_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = run(tmp_path)
    next(trainer.epochs())
    before = (tmp_path / "state.pt").read_bytes()

    def half(content: Any, file: BinaryIO) -> None:
        file.write(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Killed):
        trainer.save()
    assert (tmp_path / "state.pt").read_bytes() == before
    monkeypatch.undo()
    assert run(tmp_path).resume()


class WithKappa(Classification):
    """A target of one's own, whose metrics are numbers of NumPy."""

    metric_names = ("kappa", *Classification.metric_names)

    def metrics(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        found = {name: np.float64(value) for name, value in super().metrics(scores, labels).items()}
        return {"kappa": np.float32(cohen_kappa_score(labels.numpy(), scores.argmax(1).numpy())), **found}  # type: ignore[dict-item]


@pytest.mark.parametrize("monitor", ["loss", "y/fused/kappa"])
def test_metrics_that_are_numbers_of_numpy_are_saved_and_read(monitor: str, tmp_path: Path) -> None:
    def training() -> Trainer:
        corpus = toy(30, noise=3.0)
        torch.manual_seed(1)
        model = MRPN({n: affine_branch(corpus.features(n), 4) for n in corpus.modalities}, {"y": 3})
        objective = Objective({"y": WithKappa(3)}, weights={"audio": np.float64(0.5)})
        batches = loader(CorpusDataset(corpus), 10)
        optimizer = torch.optim.SGD(model.parameters(), 1e-2)
        return Trainer(
            model,
            objective,
            batches,
            batches,
            optimizer=optimizer,
            epochs=2,
            folder=tmp_path,
            monitor=monitor,
            cpu=True,
        )

    first = training()
    reports = [next(first.epochs())]
    again = training()
    reports += again.fit()[1:]
    assert again.history[0] == reports[0]
    assert {type(value) for report in reports for value in (report.validation or {}).values()} == {float}
    assert "y/audio/kappa" in (tmp_path / "metrics.jsonl").read_text().splitlines()[1]


class Trap:
    """An object that runs a program when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def damage(file: Path, kind: str) -> None:
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:-200])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("no state")
    elif kind == "pickle":
        file.write_bytes(pickle.dumps({"model": Trap(file.parent / "trapped")}))
    elif kind == "object":
        torch.save(torch.load(file) | {"processes": Trap(file.parent / "trapped")}, file)
    elif kind == "list":
        torch.save([1, 2], file)
    elif kind == "dict":
        torch.save({"model": {}}, file)
    elif kind == "of an older version":
        state = torch.load(file)
        torch.save({name: part for name, part in state.items() if name != "processes"} | state["processes"][0], file)


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "text", "pickle", "object", "list", "dict", "of an older version"]
)
def test_a_state_that_is_none(kind: str, tmp_path: Path) -> None:
    next(run(tmp_path).epochs())
    damage(tmp_path / "state.pt", kind)
    with pytest.raises(TrainingError, match=r"state.pt is no state of a training.*Remove the folder to start anew"):
        run(tmp_path).fit()
    assert not (tmp_path / "trapped").exists()


def test_the_state_of_another_model(tmp_path: Path) -> None:
    next(run(tmp_path).epochs())
    with pytest.raises(
        TrainingError, match=r"(?s)belongs to another model or optimizer; choose another folder.*size mismatch"
    ):
        run(tmp_path, width=6).fit()


def test_the_state_of_more_processes(tmp_path: Path) -> None:
    next(run(tmp_path).epochs())
    state = torch.load(tmp_path / "state.pt")
    torch.save(state | {"processes": state["processes"] * 3}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match="was trained by 3 processes, not 1; start as many, or remove the folder"):
        run(tmp_path).fit()


def test_best_weights_that_were_lost(tmp_path: Path) -> None:
    next(run(tmp_path).epochs())
    (tmp_path / "best.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"best.safetensors cannot be loaded into this model: .*[Nn]o such file"):
        run(tmp_path).fit()
    (tmp_path / "best.safetensors").write_bytes(b"")
    advice = re.escape(f". Put a copy of it back, or remove {tmp_path} and train it anew.")
    with pytest.raises(TrainingError, match=rf"best.safetensors cannot be loaded into this model: .*header.*{advice}$"):
        run(tmp_path).fit()

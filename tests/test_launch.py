"""Two processes started by torchrun train and evaluate as one process does."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from mrpnkit.errors import TrainingError

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = '''
import sys

import numpy as np
import torch

from mrpnkit import Classification, Objective
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.train import Trainer, evaluate
from tests.small_models import affine_branch
from mrpnkit import MRPN


def corpus():
    """32 samples of ragged audio and video; some lack the audio, some have no label."""
    generator = np.random.default_rng(0)
    audio = [generator.standard_normal((0 if row % 5 == 3 else 1 + row % 3, 3)) for row in range(32)]
    video = [generator.standard_normal((1 + row % 4, 2)) for row in range(32)]
    labels = np.where(np.arange(32) % 7 == 2, -1, generator.integers(0, 3, 32))
    return Corpus.from_arrays({"audio": audio, "video": video}, {"y": labels}, classes={"y": ["a", "b", "c"]})


def trainer(folder, *, epochs=2):
    torch.manual_seed(3)
    data = corpus()
    model = MRPN({name: affine_branch(data.features(name), 4) for name in data.modalities}, {"y": 3})
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    return Trainer(
        model,
        Objective({"y": Classification(3)}),
        loader(CorpusDataset(data), 8, shuffle_seed=1),
        loader(CorpusDataset(data, np.arange(13)), 4),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4 * epochs),
        epochs=epochs,
        clip_norm=1.0,
        folder=folder,
        cpu=True,
    )


def work(folder):
    training = trainer(folder)
    history = training.fit(keep="last")
    found = training.last_evaluation
    return {
        "processes": training.accelerator.num_processes,
        "weights": {name: value.clone() for name, value in training.plain_model.state_dict().items()},
        "history": [{**report._asdict(), "seconds": 0.0} for report in history],
        "rows": found.rows,
        "labels": found.labels["y"],
        "present": found.present,
        "scores": found.scores,
        "metrics": found.metrics,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = work(sys.argv[1])
    torch.save(results, f"{sys.argv[1]}/results-{torch.distributed.get_rank()}.pt")
    torch.distributed.destroy_process_group()
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("launch") / "train_small.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def module(script: Path) -> ModuleType:
    """The script as a module, for the one process."""
    made = ModuleType("train_small")
    exec(compile(script.read_text(), str(script), "exec"), made.__dict__)
    return made


@pytest.fixture(scope="module")
def two(script: Path) -> tuple[Path, list[dict[str, Any]]]:
    folder = script.parent / "two"
    folder.mkdir()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script), str(folder)]
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=script.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, [torch.load(folder / f"results-{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def one(module: ModuleType, script: Path) -> dict[str, Any]:
    found: dict[str, Any] = module.work(script.parent / "one")
    return found


def test_two_processes_train_what_one_trains(one: dict[str, Any], two: tuple[Path, list[dict[str, Any]]]) -> None:
    _, results = two
    assert one["processes"] == 1
    for found in results:
        assert found["processes"] == 2
        torch.testing.assert_close(found["weights"], one["weights"], rtol=1e-5, atol=1e-5)
    assert all(torch.equal(results[0]["weights"][name], value) for name, value in results[1]["weights"].items())


def test_they_report_the_same(one: dict[str, Any], two: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in two[1]:
        for ours, theirs in zip(found["history"], one["history"], strict=True):
            assert (ours["epoch"], ours["step"], ours["best"]) == (theirs["epoch"], theirs["step"], theirs["best"])
            assert ours["learning_rate"] == pytest.approx(theirs["learning_rate"])
            assert ours["train"] == pytest.approx(theirs["train"], rel=1e-4)
            assert ours["validation"] == pytest.approx(theirs["validation"], rel=1e-4)


def test_they_evaluate_every_sample_once(one: dict[str, Any], two: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in two[1]:
        assert sorted(found["rows"].tolist()) == list(range(13)) == one["rows"].tolist()
        order = found["rows"].argsort()
        assert torch.equal(found["labels"][order], one["labels"])
        for branch, present in one["present"].items():
            assert torch.equal(found["present"][branch][order], present)
        for head, scores in one["scores"].items():
            torch.testing.assert_close(found["scores"][head]["y"][order], scores["y"], rtol=1e-4, atol=1e-5)
        assert found["metrics"] == pytest.approx(one["metrics"], rel=1e-4)


def test_one_process_writes_for_both(two: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = two
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("results-"))
    assert names == ["best.safetensors", "last.safetensors", "metrics.jsonl", "state.pt"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_another_number_of_processes_does_not_go_on(module: ModuleType, two: tuple[Path, list[dict[str, Any]]]) -> None:
    with pytest.raises(TrainingError, match="was trained by 2 processes, not 1"):
        module.trainer(two[0]).resume()

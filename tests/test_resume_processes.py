"""Two processes that are stopped and go on as two that were not; gloo, on the CPU."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

from mrpnkit import MRPN, Classification, Objective
from mrpnkit.balancing import PMR, GradientBlending, Uncertainty
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.train import Trainer
from tests.fragile import Fragile, Killed
from tests.small_models import affine_branch

BALANCERS: dict[str, Any] = {
    "sum": lambda: None,
    "uncertainty": Uncertainty,
    "gradient_blending": lambda: GradientBlending(every=1),
    "pmr": PMR,
}
STEPS = {"within the first epoch": 3, "within the second epoch": 6, "between epochs": 4}
Found = dict[str, dict[str, Any]]


def corpus() -> Corpus:
    """32 samples; some lack the audio, some have no label."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 32)
    audio = [generator.standard_normal((0 if row % 5 == 3 else 1 + row % 3, 3)) + y[row] for row in range(32)]
    video = generator.standard_normal((32, 2))
    labels = np.where(np.arange(32) % 7 == 2, -1, y)
    return Corpus.from_arrays({"audio": audio, "video": video}, {"y": labels}, classes={"y": ["a", "b", "c"]})


def training(folder: Path, balancer: Any) -> Fragile:
    data = corpus()
    torch.manual_seed(3)
    model = MRPN({n: affine_branch(data.features(n), 4) for n in data.modalities}, {"y": 3}, dropout=0.2)
    return Fragile(
        model,
        Objective({"y": Classification(3)}, balancer=balancer),
        loader(CorpusDataset(data), 8, shuffle_seed=1),
        loader(CorpusDataset(data), 8),
        optimizer=torch.optim.AdamW(model.parameters(), 1e-2),
        epochs=3,
        folder=folder,
        save_every=1,
        cpu=True,
    )


def results(done: Trainer) -> dict[str, Any]:
    return {
        "weights": {name: value.clone() for name, value in done.plain_model.state_dict().items()},
        "history": [{**report._asdict(), "seconds": 0.0} for report in done.history],
        "processes": done.accelerator.num_processes,
    }


def everything(folder: Path) -> Found:
    found: Found = {}
    for name, balancer in BALANCERS.items():
        whole = training(folder / name / "whole", balancer())
        whole.fit(keep="last")
        found[name] = results(whole)
        for place, step in STEPS.items():
            dying = training(folder / name / place, balancer())
            dying.dies_in = step + (place == "between epochs")  # its last state is that of the step before
            try:
                dying.fit()
            except Killed:
                torch.rand(17)
            again = training(folder / name / place, balancer())
            again.fit(keep="last")
            found[f"{name}, {place}"] = results(again)
    return found


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(everything(Path(folder)), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    folder = tmp_path_factory.mktemp("resumed")
    multiprocessing.set_forkserver_preload(["tests.test_resume_processes", "torch._dynamo"])
    start_processes(process, args=(str(folder),), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("place", STEPS)
@pytest.mark.parametrize("name", BALANCERS)
def test_two_processes_go_on_bitwise(name: str, place: str, two: list[Found]) -> None:
    for found in two:
        whole, resumed = found[name], found[f"{name}, {place}"]
        assert whole["processes"] == resumed["processes"] == 2
        assert resumed["history"] == whole["history"]
        assert resumed["weights"].keys() == whole["weights"].keys()
        for key, value in whole["weights"].items():
            assert torch.equal(value, resumed["weights"][key]), key

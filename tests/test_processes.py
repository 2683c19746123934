"""Two processes, each with a part of a batch, against one process with the whole of it; gloo, on the CPU."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

from mrpnkit import MRPN, Classification, FeatureNorm, MultiLabel, Objective, Ordinal, Regression, Sequences
from mrpnkit.targets import Target
from tests.small_models import affine_branch, ragged, randomise

BATCH = 8
SPLITS = ((0, 5), (5, 8))  # of unequal size
NORMS = {
    "whole": torch.ones(BATCH, 3).bool(),
    "columns": torch.rand(BATCH, 3, generator=torch.Generator().manual_seed(3)) > 0.4,
    "none in the second": torch.arange(BATCH)[:, None].expand(-1, 3) < 4,
    "one in each": (torch.arange(BATCH) % 5 == 2)[:, None].expand(-1, 3),
    "one in all": (torch.arange(BATCH) == 6)[:, None].expand(-1, 3),
}
AUDIO = [2, 1, 3, 1, 1, 2, 1, 4]
MODELS: dict[str, dict[str, list[int]]] = {
    "complete": {"video": [1, 2, 1, 1, 2, 1, 3, 1], "emotion": [0, 2, 1, 0, 2, 1, 1, 0]},
    "video in both, not everywhere": {"video": [1, 0, 1, 1, 0, 1, 0, 3], "emotion": [0, 2, 1, 0, 2, 1, 1, 0]},
    "no video in the second": {"video": [1, 0, 1, 2, 1, 0, 0, 0], "emotion": [0, 2, 1, 0, 2, 1, 1, 0]},
    "labels unequal": {"video": [1, 0, 1, 2, 1, 1, 1, 0], "emotion": [0, 2, 1, 0, 2, -1, 1, -1]},
    "no label in the first": {"video": [1, 1, 1, 2, 1, 1, 1, 0], "emotion": [-1, -1, -1, -1, -1, 2, 1, 0]},
}
NAN = float("nan")
VALUES = [0.5, NAN, 2.0, -1.0, 0.3, 1.5, -0.7, 4.0]
KINDS = "every kind of target, stand-ins, a sample of nothing"
Results = dict[str, dict[str, Tensor]]


def norm_step(present: Tensor, start: int, end: int) -> dict[str, Tensor]:
    """One training step of FeatureNorm on rows start … end; gradients of a weighted sum."""
    generator = torch.Generator().manual_seed(1)
    x = 2 + 3 * torch.randn(BATCH, 3, generator=generator)
    weights = torch.randn(BATCH, 3, generator=generator)
    norm = FeatureNorm(3)
    randomise(norm, seed=5)
    mine = x[start:end].clone().requires_grad_()
    rows = present[start:end]
    y = norm(mine, None if present.all() else rows)
    (y * weights[start:end]).sum().backward()
    found = {"y": y.detach(), "x": mine.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return {name: t for name, t in found.items() if t is not None} | {f"buffer {n}": b for n, b in norm.named_buffers()}


def model_step(case: dict[str, list[int]], start: int, end: int, *, side: Any) -> dict[str, Tensor]:
    """One training step of an MRPN and its objective on samples start … end."""
    model = MRPN({"audio": affine_branch(4, 3), "video": affine_branch(4, 2)}, {"emotion": 3}, network="n2", side=side)
    randomise(model, seed=2)
    inputs = {"audio": part(ragged(AUDIO, 4), start, end), "video": part(ragged(case["video"], 4, seed=1), start, end)}
    labels = {"emotion": torch.tensor(case["emotion"][start:end])}
    module: nn.Module = DistributedDataParallel(model) if dist.is_initialized() else model
    output = module(inputs)
    Objective({"emotion": Classification(3)}, weights={"video": 0.5})(output, labels).total.backward()
    found = {"fused": output.fused["emotion"].detach(), "audio": output.branches["audio"]["emotion"].detach()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[f"gradient {name}"] = parameter.grad
    return found | {f"buffer {name}": buffer for name, buffer in model.named_buffers()}


def kinds_step(start: int, end: int) -> dict[str, Tensor]:
    """One training step on targets of every kind, with CCC, whose loss is a figure of the whole batch."""
    targets: dict[str, Target] = {
        "age": Regression("ccc", mean=0.5, sd=2.0),
        "mood": MultiLabel(2),
        "pain": Ordinal(3),
    }
    objective = Objective(targets, target_weights={"age": 2.0})
    branches = {"audio": affine_branch(4, 3), "video": affine_branch(4, 2)}
    model = MRPN(branches, objective.outputs, absent="learned")
    randomise(model, seed=2)
    inputs = {
        "audio": part(ragged([2, 1, 3, 1, 1, 2, 0, 4], 4), start, end),
        "video": part(ragged([1, 1, 1, 1, 1, 0, 0, 3], 4, seed=1), start, end),
    }
    mood = torch.tensor([[0, 1], [1, 1], [-1, 0], [0, 0], [1, 0], [1, -1], [0, 1], [-1, -1]])
    labels = {"age": torch.tensor(VALUES), "mood": mood, "pain": torch.tensor([0, 1, 2, -1, 1, 0, 2, 2])}
    module: nn.Module = DistributedDataParallel(model) if dist.is_initialized() else model
    output = module(inputs)
    loss = objective(output, {name: values[start:end] for name, values in labels.items()})
    loss.total.backward()
    found = {"fused": output.fused["age"].detach(), "audio": output.branches["audio"]["age"].detach()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[f"gradient {name}"] = parameter.grad
    return found


def part(inputs: Sequences, start: int, end: int) -> Sequences:
    return Sequences.of(inputs.unbind()[start:end])


def everything(start: int, end: int) -> Results:
    results = {f"norm: {name}": norm_step(present, start, end) for name, present in NORMS.items()}
    results |= {f"model: {name}": model_step(case, start, end, side="dense") for name, case in MODELS.items()}
    scoring = model_step(MODELS["no video in the second"], start, end, side="scoring")
    results |= {"model: no video in the second, scoring": scoring}
    return results | {f"model: {KINDS}": kinds_step(start, end)}


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(everything(*SPLITS[rank]), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def one() -> Results:
    return everything(0, BATCH)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    folder: Path = tmp_path_factory.mktemp("processes")
    multiprocessing.set_forkserver_preload(["tests.test_processes", "torch._dynamo"])  # imported once, not twice
    start_processes(process, args=(str(folder),), nprocs=2, start_method="forkserver")
    first, second = (torch.load(folder / f"{rank}.pt") for rank in (0, 1))
    return first, second


def labelled(key: str) -> Callable[[str], str]:
    return lambda text: f"{key}: {text}"


@pytest.mark.parametrize("name", NORMS)
def test_feature_norm(name: str, one: Results, two: tuple[Results, Results]) -> None:
    whole = one[f"norm: {name}"]
    first, second = (results[f"norm: {name}"] for results in two)
    assert len(whole) == 6
    for key, expected in whole.items():
        if key in ("y", "x"):
            found = torch.cat([first[key], second[key]])
        elif key.startswith("buffer"):
            found = first[key]
            assert torch.equal(first[key], second[key])
        else:
            found = first[key] + second[key]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=labelled(key))


@pytest.mark.parametrize("name", [*MODELS, "no video in the second, scoring", KINDS])
def test_model_and_objective(name: str, one: Results, two: tuple[Results, Results]) -> None:
    whole = one[f"model: {name}"]
    first, second = (results[f"model: {name}"] for results in two)
    assert sum(key.startswith("gradient") for key in whole) > 20
    for key, expected in whole.items():
        if key in ("fused", "audio"):
            found = torch.cat([first[key], second[key]])
        else:
            found = first[key]
            torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=labelled(key))

"""Training of a classifier whose body becomes a branch's initial weights: one loop for faces and for speakers.

AdamW under one or more cycles of the learning rate, smoothed labels, and a running mean of the weights that is
what is validated and kept. After every epoch the whole state is saved, so that a stopped training goes on with the
next epoch as if it had not been stopped: what an epoch draws depends on the seed and its number alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mrpnkit.errors import RunError, TrainingError
from mrpnkit.extractors.backbone import Precision, precise
from mrpnkit.records import write_json

STATE, BEST, METRICS = "state.pt", "best.safetensors", "metrics.json"
AGAIN = 0.5
"""Peak of the learning rate in each cycle after the first, as a share of that of the cycle before."""


@dataclass(frozen=True)
class Recipe:
    """Settings of the loop.

    Args:
        batch_size: samples a step.
        learning_rate: at its peak.
        weight_decay: on matrices and kernels; biases and norms have none.
        warm_up: share of the steps in which the learning rate rises.
        smoothing: of the labels, 0 to 1.
        averaging: how much of the running mean of the weights stays in a step.
        mixing: parameter of the Beta distribution from which mixup (Zhang et al. 2018) draws, once a step, how much of
            every sample another one replaces; 0 mixes none.
        precision: ``"float32"`` or ``"bfloat16"``.
        seed: of weights, order and augmentation.
    """

    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.25
    smoothing: float = 0.1
    averaging: float = 0.997
    mixing: float = 0.0
    precision: Precision = "bfloat16"
    seed: int = 0


class Batch(NamedTuple):
    """What the network reads, (B, C, H, W), and the classes (B,)."""

    inputs: Tensor
    labels: Tensor


class Scores(NamedTuple):
    """Of a whole part: probabilities (N, K) and classes (N,)."""

    probabilities: Tensor
    labels: Tensor

    @property
    def accuracy(self) -> float:
        """Share of samples whose most probable class is the right one."""
        return float((self.probabilities.argmax(1) == self.labels).double().mean())


class Task(Protocol):
    """What is learned: the batches of each epoch, and how a network is validated."""

    @property
    def cycles(self) -> Sequence[int]:
        """Epochs of each cycle of the learning rate; mostly there is one."""

    @property
    def plan(self) -> list[Any]:
        """For each cycle what decides its result, as plain data."""

    def steps(self, epoch: int) -> int:
        """Batches in an epoch, counted from 0."""

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of an epoch; whatever is random comes from the generator."""

    def validate(self, network: nn.Module, epoch: int) -> Scores:
        """Scores of the part on which the epoch is selected."""


def fit(
    network: nn.Module,
    task: Task,
    recipe: Recipe,
    folder: Path,
    *,
    about: Mapping[str, Any],
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Trains to the end and leaves the best weights in ``folder/best.safetensors``; goes on where it was stopped.

    Args:
        network: a classifier with its first weights; after the call it holds the best ones.
        task: what is learned.
        recipe: settings.
        folder: what is kept; made.
        about: whatever else decides the result; a state in the folder must have the same. Only cycles may be added to
            those that it was trained for.
        minutes: no epoch is begun that would end later, if it took as long as the one before; by default all are.
        say: is given a line an epoch.

    Returns:
        A row an epoch: epoch, loss, validation_accuracy, learning_rate, seconds, images_per_second.

    Raises:
        TrainingError: the folder holds a state of other settings, or the loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = next(network.parameters()).device
    optimizer = _optimizer(network, recipe)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True)
    settings = {"recipe": asdict(recipe), "cycles": task.plan, **about}
    state = _stored(folder / STATE, settings)
    history: list[dict[str, float]] = state["history"]
    starts = [sum(task.cycles[:number]) for number in range(len(task.cycles))]
    cycle = max(number for number, first in enumerate(starts) if first <= len(history))
    scheduler = _cycle(optimizer, task, recipe, starts, cycle)
    parts: dict[str, Any] = {"network": network, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    for name, part in parts.items():
        if name in state:
            part.load_state_dict(state[name])
    for epoch in range(len(history), sum(task.cycles)):
        if minutes is not None and history and _seconds(history) + history[-1]["seconds"] > 60 * minutes:
            say(f"{minutes:g} minutes: stops after {epoch} of {sum(task.cycles)} epochs")
            break
        if epoch in starts:
            parts["scheduler"] = scheduler = _cycle(optimizer, task, recipe, starts, starts.index(epoch))
        row = _epoch(network, average, task, recipe, epoch, optimizer, scheduler, device)
        best = max((past["validation_accuracy"] for past in history), default=-1.0)
        if row["validation_accuracy"] > best:
            save_weights(folder / BEST, average.module)
        history.append(row)
        _save(folder / STATE, {name: part.state_dict() for name, part in parts.items()}, settings, history)
        write_json(folder / METRICS, {**settings, "history": history})
        say(
            f"epoch {epoch + 1:3d}/{sum(task.cycles)}  loss {row['loss']:.3f}  validation "
            f"{100 * row['validation_accuracy']:.2f} %  {row['images_per_second']:.0f}/s  {row['seconds']:.0f} s"
        )
    network.load_state_dict(load_file(folder / BEST))
    network.eval()
    return history


def _seconds(history: Sequence[Mapping[str, float]]) -> float:
    return sum(row["seconds"] for row in history)


def save_weights(path: Path, network: nn.Module) -> None:
    """Writes a network's weights as safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}, partial)
    partial.replace(path)


def probabilities(network: nn.Module, inputs: Tensor, precision: Precision) -> Tensor:
    """Softmax (B, K) in float32 of a network in evaluation; (B, C, H, W) in channels-last order."""
    with torch.inference_mode(), precise(precision, inputs.device):
        scores = network(inputs.contiguous(memory_format=torch.channels_last))
    return torch.softmax(scores.float(), 1)


def _epoch(
    network: nn.Module,
    average: AveragedModel,
    task: Task,
    recipe: Recipe,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
) -> dict[str, float]:
    start, losses, count = time.perf_counter(), 0.0, 0
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    network.train()
    for batch in task.batches(epoch, generator):
        inputs, labels = batch.inputs.to(device), batch.labels.to(device)
        partners, share = labels, 0.0
        if recipe.mixing:
            inputs, partners, share = _mixed(inputs, labels, recipe.mixing, generator)
        with precise(recipe.precision, device):
            scores = network(inputs.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(scores, labels, label_smoothing=recipe.smoothing)
        if share:
            loss = torch.lerp(loss, F.cross_entropy(scores, partners, label_smoothing=recipe.smoothing), share)
        if not torch.isfinite(loss):
            value = float(loss.detach())
            raise TrainingError(f"The loss is {value} in epoch {epoch + 1}; try a smaller learning rate.")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        average.update_parameters(network)
        losses, count = losses + float(loss.detach()) * len(inputs), count + len(inputs)
    seconds = time.perf_counter() - start
    average.eval()
    return {
        "epoch": epoch + 1,
        "loss": losses / count,
        "validation_accuracy": task.validate(average.module, epoch).accuracy,
        "learning_rate": float(scheduler.get_last_lr()[0]),
        "seconds": time.perf_counter() - start,
        "images_per_second": count / seconds,
    }


def _mixed(inputs: Tensor, labels: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Samples of which a share is another one's, the classes of these others, and the share, from Beta(α, α)."""
    drawn = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    share = float(drawn.beta(alpha, alpha))
    others = torch.from_numpy(drawn.permutation(len(labels))).to(labels.device)
    return torch.lerp(inputs, inputs[others], share), labels[others], share


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _cycle(
    optimizer: torch.optim.Optimizer, task: Task, recipe: Recipe, starts: Sequence[int], number: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The learning rate of a cycle; each rises to :data:`AGAIN` of the peak before."""
    total = sum(task.steps(epoch) for epoch in range(starts[number], starts[number] + task.cycles[number]))
    peak = recipe.learning_rate * AGAIN**number
    return torch.optim.lr_scheduler.OneCycleLR(  # of some steps at least: torch cannot rise for one alone
        optimizer, peak, total_steps=max(total, 20), pct_start=recipe.warm_up
    )


def _stored(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a training that was stopped, or one with no more than an empty history."""
    if not path.is_file():
        return {"history": []}
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        kind = type(error).__name__
        raise RunError(f"{path} is no state of a training ({kind}). Remove it to train from the start.") from error
    stored = dict(state["settings"])
    if settings["cycles"][: len(stored["cycles"])] == stored["cycles"]:
        stored["cycles"] = settings["cycles"]
    differing = sorted(key for key in settings if stored.get(key) != settings[key])
    if differing:
        raise TrainingError(
            f"{path.parent} holds a training with another {', '.join(differing)}. Give another --out, or remove it."
        )
    return state


def _save(path: Path, states: Mapping[str, Any], settings: Mapping[str, Any], history: list[dict[str, float]]) -> None:
    partial = path.with_suffix(".partial")
    torch.save({**states, "settings": dict(settings), "history": history}, partial)
    partial.replace(path)

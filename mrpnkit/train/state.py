"""The state of a training on disk: one file, written whole or not at all, read without running any code from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mrpnkit.errors import TrainingError
from mrpnkit.records import replacing

STATE, BEST, LAST, METRICS = "state.pt", "best.safetensors", "last.safetensors", "metrics.jsonl"
PARTS = {"model", "optimizer", "scheduler", "processes", "progress", "terms", "history"}


class Progress(NamedTuple):
    """How far a training is: whole epochs, batches of the epoch under way, optimiser steps, and the best epoch."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_epoch: int = -1
    best_value: float = float("nan")
    stopped: bool = False


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors, numbers, texts, lists and dicts; replaces an older file in one step."""
    with replacing(path) as file:
        torch.save(content, file)


def read_state(path: Path) -> dict[str, Any]:
    """Reads what :func:`write_state` wrote, with all tensors on the CPU; anything but plain data is refused.

    Raises:
        TrainingError: the file is damaged or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(
            f"{path} is no state of a training, or is damaged ({type(error).__name__}). "
            "Remove the folder to start anew."
        ) from error
    if not isinstance(content, dict) or content.keys() != PARTS:
        raise TrainingError(
            f"{path} is no state of a training, or one of another version of mrpnkit. Remove the folder to start anew."
        )
    return content


def random_state() -> dict[str, Tensor]:
    """State of torch's generators in this process, as plain tensors."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """Puts torch's generators of this process back into a state of :func:`random_state`."""
    torch.set_rng_state(states["cpu"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def save_weights(path: Path, model: nn.Module, marks: Mapping[str, str] | None = None) -> None:
    """The model's parameters and buffers as safetensors, with texts beside them; replaces an older file in one step.

    What branches share, such as an extractor, is written under each of its names, since the format knows no sharing.
    """
    written: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        written[name] = tensor.clone() if place in places else tensor
        places.add(place)
    with replacing(path) as file:
        file.write(save(written, dict(marks or {})))


def marks_of(path: Path) -> dict[str, str]:
    """The texts that :func:`save_weights` stored beside the weights."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def load_weights(path: Path, model: nn.Module) -> None:
    """Loads what :func:`save_weights` wrote into a model of the same shape.

    Raises:
        TrainingError: the file is missing or damaged, or belongs to another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        text = f"{path} cannot be loaded into this model: {str(error).removesuffix('.')}."
        if isinstance(error, OSError | SafetensorError):  # otherwise it is whole, and of another model
            text += f" Put a copy of it back, or remove {path.parent} and train it anew."
        raise TrainingError(text) from error

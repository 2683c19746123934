"""Do a branch's own loss and the fusion's loss pull it the same way? Measured while the network trains.

The paper's hypothesis is that a fuzzy modality spoils a clean one through the gradient that they share. Where it does,
the gradient that reaches a branch from the fusion's loss points away from that of the branch's own loss.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mrpnkit.balancing.floats import exact
from mrpnkit.errors import InputError, TrainingError
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.records import replacing

GRADIENTS = "gradients.jsonl"


class BranchGradient(NamedTuple):
    """Of one branch at one step: the cosine between the two gradients, and their lengths.

    ``cosine`` is NaN where one of them is zero. Below 0 the losses conflict.
    """

    cosine: float
    fused: float
    own: float

    @property
    def ratio(self) -> float:
        """Length of the fusion's gradient over that of the branch's own; infinite where the latter is zero."""
        return self.fused / self.own if self.own else math.inf


class GradientRecord(NamedTuple):
    """The gradients of all branches at one step, counted from 1; epochs count from 1 as well."""

    step: int
    epoch: int
    branches: dict[str, BranchGradient]


class GradientRecorder:
    """Measures, at every so manieth step, the gradients of a branch's own loss and of the fusion's loss.

    A branch's parameters are those of its extractor, its aggregator and its FeatureNorm, as far as they are trained;
    losses count with the weights of their targets and heads, before a balancer joins them. The fusion's loss is that of
    its score and of its parts. A measurement costs two further backward passes, and nothing of the training changes by
    it: weights, order and what is drawn stay bitwise the same. With the default of 20 steps that was 1 % of the time of
    a step, and 44 % if every step is measured (benchmarks/gradient_recorder.py).

    Args:
        model: an N1 or N2: N0 has no losses of its branches.
        every: steps between two measurements; 1 measures every step.

    Raises:
        InputError: a network without side scores, or no trained parameter in any branch.
    """

    def __init__(self, model: nn.Module, *, every: int = 20) -> None:
        if every < 1:
            raise InputError(f"GradientRecorder: every {every} steps; expected 1 or more.")
        if not isinstance(model, MRPN) or not len(model.sides):
            what = f"a network {model.network!r}" if isinstance(model, MRPN) else type(model).__name__
            raise InputError(f"GradientRecorder: {what} has no losses of its branches to compare with; N1 and N2 have.")
        self.every = every
        self.records: list[GradientRecord] = []
        self._parts = {name: [*model.branches[name].parameters(), *model.norms[name].parameters()]
                       for name in model.branches}  # fmt: skip
        if not any(p.requires_grad for parts in self._parts.values() for p in parts):
            raise InputError("GradientRecorder: no branch has a parameter that is trained.")

    def due(self, step: int) -> bool:
        """Whether the step, counted from 1, is measured: the first and every ``every`` after it."""
        return (step - 1) % self.every == 0

    def record(self, step: int, epoch: int, losses: Mapping[str, Tensor]) -> None:
        """Measures a step whose graph is still there.

        Args:
            step: from 1.
            epoch: from 1.
            losses: weighted, by ``target/head``, with their graph: :meth:`mrpnkit.Objective.weighted`. Parts of the
                fusion, ``target/fused.NAME``, belong to the fusion.
        """
        trained = {name: [p for p in parts if p.requires_grad] for name, parts in self._parts.items()}
        flat = [p for parts in trained.values() for p in parts]
        heads = {name: name.rpartition("/")[2].partition(".")[0] for name in losses}
        fused = sum_of([loss for name, loss in losses.items() if heads[name] == FUSED])
        own = sum_of([loss for name, loss in losses.items() if heads[name] in trained])
        from_fused = torch.autograd.grad(fused, flat, retain_graph=True, allow_unused=True)
        from_own = torch.autograd.grad(own, flat, retain_graph=True, allow_unused=True)
        products, start = [], 0
        for parts in trained.values():
            end = start + len(parts)
            products.append(_products(from_fused[start:end], from_own[start:end], fused))
            start = end
        values = torch.stack(products).tolist()
        self.records.append(
            GradientRecord(step, epoch, {n: _gradient(*v) for n, v in zip(trained, values, strict=True)})
        )

    def save(self, folder: Path) -> None:
        """Writes ``gradients.jsonl``, a line a measured step, whole or not at all."""
        lines = [json.dumps(plain(record)) + "\n" for record in self.records]
        with replacing(folder / GRADIENTS) as file:
            file.write("".join(lines).encode())

    def resume(self, folder: Path, step: int) -> None:
        """Takes up what was measured up to a step; later lines belong to steps that are made again."""
        self.records = [record for record in read_gradients(folder) if record.step <= step]


def read_gradients(folder: Path) -> list[GradientRecord]:
    """What was recorded while a fold was trained; nothing where nothing was.

    Raises:
        TrainingError: the file is damaged.
    """
    path = folder / GRADIENTS
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            GradientRecord(
                line["step"],
                line["epoch"],
                {
                    name: BranchGradient(math.nan if one["cosine"] is None else one["cosine"], one["fused"], one["own"])
                    for name, one in line["branches"].items()
                },
            )
            for line in lines
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is damaged: {error}. Remove it, or train the fold anew.") from error


def conflict_share(records: Sequence[GradientRecord], branch: str) -> float:
    """Share of the measured steps at which the two gradients of a branch conflict; NaN where none was measured."""
    known = [r.branches[branch].cosine for r in records if not math.isnan(r.branches[branch].cosine)]
    return sum(cosine < 0 for cosine in known) / len(known) if known else math.nan


def plain(record: GradientRecord) -> dict[str, Any]:
    """As plain data that JSON can hold."""
    branches = {
        name: {**one._asdict(), "cosine": None if math.isnan(one.cosine) else one.cosine}
        for name, one in record.branches.items()
    }
    return {"step": record.step, "epoch": record.epoch, "branches": branches}


def sum_of(terms: Sequence[Tensor]) -> Tensor:
    """The sum of scalars."""
    return terms[0] if len(terms) == 1 else torch.stack(list(terms)).sum()


def _products(fused: Sequence[Tensor | None], own: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """⟨a, b⟩, ⟨a, a⟩ and ⟨b, b⟩ of two gradients given in pieces."""
    found = torch.zeros(3, dtype=exact(like.device), device=like.device)
    for a, b in zip(fused, own, strict=True):
        if a is not None:
            found[1] += torch.sum(a * a).to(found)
        if b is not None:
            found[2] += torch.sum(b * b).to(found)
        if a is not None and b is not None:
            found[0] += torch.sum(a * b).to(found)
    return found


def _gradient(dot: float, fused: float, own: float) -> BranchGradient:
    cosine = dot / math.sqrt(fused * own) if fused and own else math.nan
    return BranchGradient(max(-1.0, min(1.0, cosine)) if cosine == cosine else cosine, math.sqrt(fused), math.sqrt(own))

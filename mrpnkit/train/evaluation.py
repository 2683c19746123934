"""Evaluation: the scores of the fusion and of every branch over a data set, and their metrics."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mrpnkit.data import Batch
from mrpnkit.names import FUSED
from mrpnkit.objective import Objective
from mrpnkit.outputs import MRPNOutput
from mrpnkit.records import replacing
from mrpnkit.targets import Classification


class Evaluation(NamedTuple):
    """What a model says about n samples.

    ``rows`` (n,) are corpus rows; ``scores[head][target]`` (n, C), where a head is ``fused`` or a branch;
    ``labels[target]`` (n,), or (n, L) for a target of several labels; ``present[branch]`` (n,); ``metrics`` are named
    ``target/head/metric``, and ``loss`` is the weighted sum of the heads' losses. A branch is measured on the samples
    that have its modality, the fusion on those that have any.
    """

    rows: Tensor
    scores: dict[str, dict[str, Tensor]]
    labels: dict[str, Tensor]
    present: dict[str, Tensor]
    metrics: dict[str, float]

    def seen(self, head: str) -> Tensor:
        """(n,): True for the samples that a head has something to judge by: its modality, or for the fusion any."""
        if head in self.present:
            return self.present[head]
        return torch.stack(list(self.present.values())).any(dim=0)

    def terms(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """The mean of each loss as it is trained, ``target/head/term``, over the samples that count; NaN without any.

        Unlike the metric ``loss`` it has class weights, smoothing and the criterion of a fusion. It is computed on
        ``device``, that of the training, where processes can add up.
        """
        found = {}
        for name, target in objective.targets.items():
            for head, scores in self.scores.items():
                rows = self.seen(head) & target.known(self.labels[name])
                values, labels = scores[name][rows].to(device), self.labels[name][rows].to(device)
                losses = objective.losses(name, values, labels, of_fusion=head == FUSED)
                found[f"{name}/{head}/term"] = float(losses.mean())
        return found

    def confusion(self, target: str, head: str = FUSED, *, classes: int) -> Tensor:
        """Counts (C, C) of a classification, rows labels and columns predictions, on the samples that the head saw.

        Samples without a label, and for a branch those without its modality, are left out.
        """
        seen = self.seen(head)
        return Classification(classes).confusion(self.scores[head][target][seen], self.labels[target][seen])

    def save(self, path: str | Path) -> None:
        """Writes rows, labels, presence and scores as ``.npz``, under the names ``scores/head/target`` and so on."""
        arrays = {"rows": self.rows.numpy()}
        arrays |= {f"labels/{target}": labels.numpy() for target, labels in self.labels.items()}
        arrays |= {f"present/{branch}": mask.numpy() for branch, mask in self.present.items()}
        for head, scores in self.scores.items():
            arrays |= {f"scores/{head}/{target}": values.float().numpy() for target, values in scores.items()}
        with replacing(Path(path)) as file:
            np.savez_compressed(file, **cast("Mapping[str, np.ndarray]", arrays))  # type: ignore[arg-type]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    objective: Objective,
    *,
    accelerator: Accelerator | None = None,
    bfloat16: bool = False,
) -> Evaluation:
    """Runs the model in evaluation mode over all batches, side scores included, and measures every head.

    Under several processes, give the accelerator that prepared the model and the loader: every sample is then
    counted once. The model is left in the mode that it was in.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    collected: list[tuple[Tensor, dict[str, Tensor], MRPNOutput]] = []
    try:
        for batch in batches:
            rows, inputs, labels = batch if accelerator is not None else _moved(batch, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                output = model(inputs, sides=True)
            size = len(rows)
            present = {
                name: mask if mask is not None else torch.ones(size, dtype=torch.bool, device=device)
                for name, mask in output.present.items()
            }
            record = (rows, dict(labels), MRPNOutput(output.fused, output.branches, dict(present)))
            collected.append(accelerator.gather_for_metrics(record) if accelerator is not None else record)
    finally:
        model.train(training)
    return summarise(collected, objective)


def summarise(collected: list[tuple[Tensor, dict[str, Tensor], MRPNOutput]], objective: Objective) -> Evaluation:
    """Joins the batches' rows, labels and outputs, and computes the metrics of every head."""
    outputs = [output for _, _, output in collected]
    rows = _joined([rows for rows, _, _ in collected])
    labels = {name: _joined([labels[name] for _, labels, _ in collected]) for name in objective.targets}
    present = {name: _joined([cast(Tensor, output.present[name]) for output in outputs]) for name in outputs[0].present}
    scores = {FUSED: {t: _joined([output.fused[t] for output in outputs]).float() for t in outputs[0].fused}}
    for name, heads in outputs[0].branches.items():
        scores[name] = {t: _joined([output.branches[name][t] for output in outputs]).float() for t in heads}
    found = Evaluation(rows, scores, labels, present, {})
    metrics: dict[str, float] = {}  # plain floats, though a target of one's own may give NumPy's: they are saved
    total = 0.0
    for name, target in objective.targets.items():
        for head, values in scores.items():
            mask = found.seen(head)
            figures = target.metrics(values[name][mask], labels[name][mask])
            metrics |= {f"{name}/{head}/{metric}": float(value) for metric, value in figures.items()}
            measured = bool(target.known(labels[name][mask]).any())
            total += objective.weight(name, head) * figures["loss"] if measured else 0.0
    return found._replace(metrics={"loss": float(total), **metrics})


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).cpu()


def _moved(batch: Batch, device: torch.device) -> Batch:
    from accelerate.utils import send_to_device

    return cast(Batch, send_to_device(batch, device))

"""What the residual perceptrons of a trained network do: how large they are, and what is lost without them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.arrays import Floats
from mrpnkit.data import Batch
from mrpnkit.errors import InputError
from mrpnkit.mrpn import MRPN
from mrpnkit.outputs import MRPNFeatures
from mrpnkit.sequences import Sequences


class Residuals(NamedTuple):
    """Of n samples of one target.

    Attributes:
        labels: (n,).
        classes: how many there are.
        ratio: by branch (n,), the length of the residual over the length of its input, ‖f' − f̂‖ / ‖f̂‖; NaN where the
            sample lacks the modality.
        switched: by what is switched off, ``none``, a branch, or ``all``: probabilities of the fusion (n, C).
    """

    labels: NDArray[np.int64]
    classes: int
    ratio: dict[str, Float64[Floats, "samples"]]
    switched: dict[str, Float64[Floats, "samples classes"]]

    def accuracy(self, off: str) -> float:
        """Accuracy of the fusion with that residual switched off."""
        known = self.labels >= 0
        return float((self.switched[off][known].argmax(axis=1) == self.labels[known]).mean())

    def size(self, branch: str, label: int | None = None) -> float:
        """Mean size of the residual against its input, of a class or of all samples; NaN where there are none."""
        chosen = ~np.isnan(self.ratio[branch]) & ((self.labels == label) if label is not None else True)
        return float(self.ratio[branch][chosen].mean()) if chosen.any() else float("nan")

    def plain(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """A row a branch: mean size, size by class, and the accuracy without it; then ``all`` of them off."""
        classes, whole = list(names), self.accuracy("none")
        rows: list[dict[str, Any]] = [
            {
                "branch": branch,
                "size": self.size(branch),
                **{name: self.size(branch, label) for label, name in enumerate(classes)},
                "accuracy off": self.accuracy(branch),
                "change": self.accuracy(branch) - whole,
            }
            for branch in self.ratio
        ]
        if len(rows) > 1:
            rows.append({"branch": "all", "accuracy off": self.accuracy("all"), "change": self.accuracy("all") - whole})
        return rows


@torch.no_grad()
def inspect_residuals(model: MRPN, batches: Iterable[Batch], target: str) -> Residuals:
    """Measures every residual perceptron of an N2 on some samples, and the fusion without each and without all.

    Switching a residual off feeds f̂_m to the fusion in place of f'_m: the fusion was not trained for that, so that a
    loss tells that the network uses the residual, not that a network trained without it would be worse. The model is
    left in the mode that it was in.

    Raises:
        InputError: the network has no residual perceptron.
    """
    if not model.perceptrons:
        raise InputError(f"inspect_residuals: a network {model.network!r} has no residual perceptron; N2 has.")
    training, device = model.training, next(model.parameters()).device
    names = list(model.perceptrons)
    off = {"none": [], **{name: [name] for name in names}, "all": names}
    labels: list[NDArray[np.int64]] = []
    ratios: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    switched: dict[str, list[NDArray[np.float64]]] = {what: [] for what in off}
    model.eval()
    try:
        for batch in batches:
            inputs = {n: Sequences(v.steps.to(device), v.lengths.to(device)) for n, v in batch.inputs.items()}
            features = model.features(inputs)
            labels.append(batch.labels[target].numpy())
            for name in names:
                ratios[name].append(_ratio(features, name))
            for what, without in off.items():
                corrected = {n: features.normalised[n] if n in without else g for n, g in features.corrected.items()}
                scores = model.score(features._replace(corrected=corrected), sides=False).fused[target]
                switched[what].append(torch.softmax(scores.double(), dim=-1).cpu().numpy())
    finally:
        model.train(training)
    return Residuals(
        np.concatenate(labels),
        model.targets[target],
        {name: np.concatenate(parts) for name, parts in ratios.items()},
        {what: np.concatenate(parts) for what, parts in switched.items()},
    )


def _ratio(features: MRPNFeatures, name: str) -> NDArray[np.float64]:
    before = features.normalised[name].double()
    length: Tensor = before.norm(dim=1)
    ratio: Tensor = (features.corrected[name].double() - before).norm(dim=1) / length.clamp(min=1e-12)
    mask = features.present[name]
    if mask is not None:
        ratio = ratio.masked_fill(~mask, float("nan"))
    found: NDArray[np.float64] = ratio.cpu().numpy()
    return found

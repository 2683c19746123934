"""What networks say of samples, as data, as JSON and as a table."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.names import FUSED
from mrpnkit.targets import Kind

Answer = str | list[str] | float | None
"""A class, the labels that hold, or a number; None where a head has nothing to judge by."""


class Prediction(NamedTuple):
    """Answers for n samples.

    A head is ``fused`` or a branch. What a head says is NaN where it has nothing to judge by: a branch without its
    modality, the fusion without any.

    Attributes:
        ids: of the samples.
        kinds: of the targets.
        classes: names of the classes, or labels, of those targets that have some, in the order of the probabilities.
        probabilities: ``[head][target]`` (n, C) of those targets; those of several labels do not add up to 1.
        values: ``[head][target]`` (n,) of the regressions, in their own units.
    """

    ids: list[str]
    kinds: dict[str, Kind]
    classes: dict[str, list[str]]
    probabilities: dict[str, dict[str, NDArray[np.float32]]]
    values: dict[str, dict[str, NDArray[np.float32]]]

    def best(self, target: str, head: str = FUSED) -> list[Answer]:
        """What a head answers for each sample.

        The class of highest probability; of ordered classes the median; those labels whose probability is above a
        half; or the value. None where the head has nothing to judge by.
        """
        if self.kinds[target] == "regression":
            return [None if math.isnan(value) else value for value in self.values[head][target].tolist()]
        names = self.classes[target]
        return [
            None if np.isnan(row).any() else _chosen(self.kinds[target], names, row)
            for row in self.probabilities[head][target]
        ]

    def records(self) -> Iterator[dict[str, Any]]:
        """A sample at a time, as plain data: id, the fusion's answers, and what every head says."""
        best = {target: self.best(target) for target in self.kinds}
        for row, name in enumerate(self.ids):
            record: dict[str, Any] = {"id": name, "answer": {target: best[target][row] for target in best}}
            if self.classes:
                record["probabilities"] = {
                    head: {
                        target: _named(self.classes[target], values[row]) for target, values in sorted_as(self, targets)
                    }
                    for head, targets in self.probabilities.items()
                }
            if len(self.classes) < len(self.kinds):
                record["values"] = {
                    head: {target: _plain(values[row]) for target, values in sorted_as(self, targets)}
                    for head, targets in self.values.items()
                }
            yield record

    def json(self) -> str:
        """A JSON array with one object for each sample, as :meth:`records` gives them."""
        return json.dumps(list(self.records()), indent=1, ensure_ascii=False) + "\n"

    def csv(self) -> str:
        """A table: id, the fusion's answer for each target, and what every head says.

        Columns are ``target/head/class`` for probabilities and ``target/head`` for values, empty where a head cannot
        judge. Several labels are separated by semicolons.
        """
        columns: dict[str, NDArray[np.float32]] = {}
        for target in self.kinds:
            for head in self.heads:
                if target in self.classes:
                    for place, name in enumerate(self.classes[target]):
                        columns[f"{target}/{head}/{name}"] = self.probabilities[head][target][:, place]
                else:
                    columns[f"{target}/{head}"] = self.values[head][target]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *self.kinds, *columns])
        best = {target: self.best(target) for target in self.kinds}
        for row, name in enumerate(self.ids):
            answers = [_cell(best[target][row]) for target in self.kinds]
            writer.writerow([name, *answers, *(_cell(_plain(values[row])) for values in columns.values())])
        return text.getvalue()

    @property
    def heads(self) -> list[str]:
        """``fused``, then the branches that have scores."""
        return list(dict.fromkeys([*self.probabilities, *self.values]))


def sorted_as(
    prediction: Prediction, targets: Mapping[str, NDArray[np.float32]]
) -> list[tuple[str, NDArray[np.float32]]]:
    """The entries of a mapping by target, in the order of the prediction's targets."""
    return [(target, targets[target]) for target in prediction.kinds if target in targets]


def _chosen(kind: Kind, names: list[str], probabilities: NDArray[np.float32]) -> str | list[str]:
    if kind == "multilabel":
        return [name for name, value in zip(names, probabilities, strict=True) if value > 0.5]
    if kind == "ordinal":
        above = 1 - np.cumsum(probabilities.astype(np.float64))[:-1]
        return names[int((above > 0.5).sum())]
    return names[int(np.argmax(probabilities))]


def _named(names: list[str], values: NDArray[np.float32]) -> dict[str, float] | None:
    return None if np.isnan(values).any() else dict(zip(names, map(float, values), strict=True))


def _plain(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _cell(answer: Answer) -> str:
    if answer is None:
        return ""
    if isinstance(answer, list):
        return ";".join(answer)
    return answer if isinstance(answer, str) else str(np.float32(answer))  # as few digits as float32 is read back from

"""Tables 1 to 4: which runs make a row, and the rows beside the paper's.

A run that two tables share, such as JM(T) of Table 1 and N0 of Table 2, is trained once.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from examples.aver.paper import published
from examples.aver.paper.job import PaperJob
from examples.aver.paper.options import PROTOCOLS, Options, Protocol, Schedule, System
from examples.aver.recipe import TARGET
from mrpnkit.errors import InputError
from mrpnkit.report import Figure

DataSet = Literal["ravdess", "cremad"]
NAMES: dict[str, str] = {"ravdess": "RAVDESS", "cremad": "CREMA-D"}
FOLDS: dict[str, tuple[str, ...]] = {"ravdess": published.RAVDESS_FOLDS, "cremad": published.CREMAD_FOLDS}
CREMAD_CLASSES = frozenset({"angry", "disgust", "fearful", "happy", "neutral", "sad"})


@dataclass(frozen=True)
class Row:
    """A row: its label, the network, the options that differ from the chosen ones, and the paper's figures.

    ``folds`` are the paper's accuracies by fold in per cent, ``mean`` what it reports as the average where it does so.
    """

    label: str
    network: str
    options: str = ""
    folds: tuple[float, ...] = ()
    mean: float | None = None

    @property
    def published_mean(self) -> float | None:
        """The paper's average: reported, or the mean of its folds."""
        if self.mean is not None:
            return self.mean
        return statistics.fmean(self.folds) if self.folds else None


class Spec(NamedTuple):
    """A table of the paper: number, title, rows, and the names of its folds as columns (none: means alone)."""

    number: int
    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]


def table_spec(number: int, data: str, *, frozen: bool = False) -> Spec:
    """The rows of a table for a data set.

    Tables 1 and 2 are of RAVDESS in the paper and 3 of CREMA-D; the same rows can be made for the other data set, and
    then nothing of the paper stands beside them. With frozen CNNs there is no augmentation of images: the rows keep
    their other options.

    Raises:
        InputError: no such table.
    """
    ravdess, columns = data == "ravdess", FOLDS.get(data, ())
    name = NAMES.get(data, data)
    if number == 1:
        rows = tuple(
            Row(f"{short}({time})", network, time, published.TABLE_1[f"{short}({time})"] if ravdess else ())
            for short, network in (("AM", "am"), ("VM", "vm"), ("JM", "n0"))
            for time in ("NT", "T")
        )
        return Spec(1, f"{name}: one modality alone (AM, VM) and both (JM), without and with time augmentation",
                    rows, columns)  # fmt: skip
    if number in (2, 3):
        known: dict[tuple[int, str], Mapping[str, tuple[float, ...]]]
        known = {(2, "ravdess"): published.TABLE_2, (3, "cremad"): published.TABLE_3}
        figures = known.get((number, data), {})
        labels = {"n0": "N0", "n1": "N1", "n2": "N2 (MRPN)"}
        rows = tuple(Row(label, network, "T", figures.get(label, ())) for network, label in labels.items())
        return Spec(number, f"{name}: simple fusion (N0), with the branches' losses (N1), MRPN (N2)", rows, columns)
    if number == 4:
        options = ("IA+AO+lstm", "VA+WO+lstm", "VA+AO+lstm", "VA+AO+lstm", "VA+AO+transformer")
        networks = ("n0", "n0", "n0", "n2", "n2")
        rows = tuple(
            Row(label, network, f"{chosen}+T", mean=getattr(mean, data, None))
            for (label, mean), network, chosen in zip(published.TABLE_4.items(), networks, options, strict=True)
        )
        if frozen:
            rows = tuple(
                Row(row.label, row.network, row.options.removeprefix("VA+"), mean=row.mean)
                for row in rows
                if "IA" not in row.options
            )
        return Spec(4, f"{name}: the options, means over folds", rows, ())
    raise InputError(f"There is no table {number}; the paper has 1, 2, 3 and 4.")


def data_set_of(classes: Sequence[str], about: dict[str, Any]) -> str:
    """Which data set a corpus is: what it says of itself, else what its classes tell."""
    source = str(about.get("dataset", about.get("source", ""))).lower().replace("-", "")
    for name in get_args(DataSet):
        if name in source:
            return str(name)
    if "synthetic" in source:
        return "synthetic"
    return "cremad" if set(classes) == CREMAD_CLASSES else "ravdess" if len(classes) == 8 else "other"


def jobs_of(
    spec: Spec,
    corpus: Path,
    out: Path,
    *,
    folds: int,
    only_folds: int | None,
    seeds: Sequence[int],
    protocol: Protocol,
    options: Options,
    system: System,
    schedule: Schedule,
) -> list[tuple[Row, PaperJob]]:
    """The runs of a table, fold by fold, each with its row.

    ``options`` are the ones chosen by hand; a row overrides what it is about.
    """
    chosen = range(folds if only_folds is None else min(only_folds, folds))
    if system.frozen:
        options = replace(options, image="none")
    return [
        (
            row,
            PaperJob(
                corpus, out, row.network, fold, folds, seed, protocol, Options.parse(row.options, options), system,
                schedule,
            ),
        )
        for fold in chosen
        for row in spec.rows
        for seed in seeds
    ]  # fmt: skip


class Made(NamedTuple):
    """A table that was made: its rows' accuracies by fold, means over seeds, as fractions.

    ``frozen`` tells that the CNNs were, so that no images were augmented.
    """

    spec: Spec
    protocol: Protocol
    folds: tuple[str, ...]
    accuracy: dict[str, list[float]]
    frozen: bool = False

    @classmethod
    def of(
        cls, spec: Spec, protocol: Protocol, results: Sequence[tuple[Row, dict[str, Any]]], *, frozen: bool = False
    ) -> "Made":
        """Collects the results of a table's runs."""
        folds = tuple(dict.fromkeys(result["fold"] for _, result in results))
        accuracy = {
            row.label: [
                statistics.fmean(
                    result["metrics"][f"{TARGET}/fused/accuracy"]
                    for other, result in results
                    if other.label == row.label and result["fold"] == fold
                )
                for fold in folds
            ]
            for row in spec.rows
        }
        return cls(spec, protocol, folds, accuracy, frozen)

    def figures(self) -> dict[str, Figure]:
        """The mean of each row over folds, as fractions."""
        return {label: Figure.mean(values, "fraction") for label, values in self.accuracy.items()}

    def cells(self) -> list[list[str]]:
        """The table as text: a header, then for each row ours, and the paper's below where it has any."""
        by_fold = bool(self.spec.columns) or self.spec.number != 4
        header = ["", "by", *(self._columns() if by_fold else ()), "mean", "sd"]
        lines = [header]
        for row in self.spec.rows:
            values = [100 * value for value in self.accuracy[row.label]]
            spread = f"{statistics.stdev(values):.1f}" if len(values) > 1 else ""
            shown = [f"{value:.1f}" for value in values] if by_fold else []
            lines.append([row.label, f"ours, {self.protocol}", *shown, f"{statistics.fmean(values):.1f}", spread])
            if row.published_mean is not None:
                lines.append(self._published(row, by_fold))
        return lines

    def markdown(self) -> str:
        """The table with its protocol and sources."""
        header, *body = self.cells()
        lines = [
            f"## Table {self.spec.number}. {self.spec.title}",
            "",
            "| " + " | ".join(header) + " |",
            "|---|---|" + "---:|" * (len(header) - 2),
            *("| " + " | ".join(cells) + " |" for cells in body),
            "",
            *(f"{note}  " for note in self.notes()),
        ]
        return "\n".join(lines) + "\n"

    def notes(self) -> list[str]:
        """What has to be said with the table."""
        notes = [f"Accuracy of the fusion in per cent. Ours: protocol {PROTOCOLS[self.protocol]}."]
        if self.protocol == "paper":
            notes[0] = f"OPTIMISTIC. {notes[0]}"
        if self.frozen:
            notes.append("The CNNs were frozen: no images were augmented, whatever a row is called.")
        if any(row.folds for row in self.spec.rows) and len(self.folds) < len(self.spec.columns):
            notes.append(
                f"The paper's mean and sd are over all of its {len(self.spec.columns)} folds, "
                f"ours over {len(self.folds)}."
            )
        if self._columns()[:1] == ["S1"]:
            notes.append("; ".join(f"S{n}: actors {fold}" for n, fold in enumerate(self.folds, start=1)) + ".")
        if any(row.folds for row in self.spec.rows) and self.spec.columns[:1] == ("S1",):
            notes.append("The paper does not say who is in its S1 to S9: a column does not hold the same actors.")
        if any(row.published_mean is not None for row in self.spec.rows):
            notes.append(
                f"Paper: {published.SOURCE}, Table {self.spec.number}; the epoch is selected on the reported actors."
            )
        return notes

    def _published(self, row: Row, by_fold: bool) -> list[str]:
        if self.spec.columns[:1] == ("S1",):
            named = dict(enumerate(row.folds))
            theirs = [named.get(place) for place in range(len(self.folds))]
        else:
            by_name = dict(zip(self.spec.columns, row.folds, strict=False))
            theirs = [by_name.get(fold) for fold in self.folds]
        shown = ["" if value is None else f"{value:.1f}" for value in theirs] if by_fold else []
        mean = row.published_mean
        spread = f"{statistics.stdev(row.folds):.1f}" if len(row.folds) > 1 else ""
        return ["", "paper", *shown, "" if mean is None else f"{mean:.1f}", spread]

    def _columns(self) -> list[str]:
        """Names of the folds: their actors, or S1, S2 … where those are many."""
        if any(len(fold) > 8 for fold in self.folds):
            return [f"S{place}" for place in range(1, len(self.folds) + 1)]
        return [f"A{fold}" for fold in self.folds]

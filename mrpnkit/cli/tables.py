"""Tables of the command line: folds, ablations, parts and what a step costs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mrpnkit.cli.screen import table

if TYPE_CHECKING:
    from rich.table import Table

    from mrpnkit.ablation import Ablation
    from mrpnkit.cost import Part, StepCost
    from mrpnkit.experiment import Experiment
    from mrpnkit.robustness import Robustness


def folds_table(experiment: "Experiment", target: str, *, title: str | None = None) -> "Table":
    """A row a fold with the target's first metric of fusion and branches, then their mean ± standard deviation."""
    summary = experiment.summary()
    name = next(metric for metric in summary if metric.startswith(f"{target}/")).rpartition("/")[2]
    heads = [m.split("/")[1] for m in summary if m.startswith(f"{target}/") and m.endswith(f"/{name}")]
    rows = []
    for number, fold in experiment.folds.items():
        cells = [_number(fold["metrics"][f"{target}/{head}/{name}"]) for head in heads]
        rows.append([str(number), fold["name"], str(fold["selected_epoch"]), *cells])
    if len(rows) > 1:
        rows.append(["", "mean ± sd", "", *(_spread(summary[f"{target}/{head}/{name}"]) for head in heads)])
    shown = title or f"{target} on the test parts"
    return table(f"{shown}: {name}", ("fold", "tests", "epoch", *heads), rows, left=2)


def ablation_tables(ablation: "Ablation", metric: str) -> "list[Table]":
    """Means and spreads, a row a variant; paired differences; and the ranking. What was not measured is a dash."""
    from mrpnkit.analysis.differences import FEW_FOLDS

    folds = [f"fold {number}" for number in ablation.folds]
    rows = []
    for name, label in ablation.labels.items():
        values = ablation.values(name, metric)
        known = [value for value in values if math.isfinite(value)]
        spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
        of = f" ({len(known)} of {len(values)} folds)" if 0 < len(known) < len(values) else ""
        average = f"{statistics.fmean(known):.3f}{spread}{of}" if known else "not measured"
        rows.append([label, *map(_number, values), average])
    differences = []
    for pair in ablation.differences(metric):
        mean, low, high = pair.difference
        unknown = "needs two folds" if pair.folds < 2 else "unknown: all equal"
        interval = f"{low:+z.3f} … {high:+z.3f}" if math.isfinite(low) else unknown
        few = f", of {pair.folds} folds only" if pair.folds < FEW_FOLDS else ""
        established = f"yes{few}" if pair.difference.established else "no"
        label = f"{ablation.labels[pair.first]} − {ablation.labels[pair.second]}"
        differences.append([label, f"{mean:+z.3f}" if pair.folds else "–", str(pair.folds), interval, established])
    order = []
    for rank in ablation.ranking(metric):
        behind = "" if rank.behind is None else _number(rank.behind.mean)
        p = "" if rank.adjusted is None else f"{rank.adjusted:.3f}"
        order.append(
            [str(rank.place), ablation.labels[rank.name], _number(rank.mean), str(rank.folds), behind, p, rank.verdict]
        )
    columns = ("difference", "mean", "folds", "95 % interval", "established")
    return [
        table(metric, ("network", *folds, "mean ± sd"), rows),
        table(
            "Paired differences over folds, each by itself; the ranking allows for their number", columns, differences
        ),
        table("Ranking", ("place", "network", "mean", "folds", "behind", "p adjusted", "verdict"), order, left=2),
    ]


def robustness_tables(found: "Robustness", metric: str) -> "list[Table]":
    """A row a subset of the modalities, and a row a rate of missing ones: mean ± standard deviation over folds."""
    subsets = [
        [" + ".join(subset), str(sum(found.judged[subset].values())), _spread(figure)]
        for subset, figure in found.summary(found.subsets, metric).items()
    ]
    rates = [[f"{rate:g}", _spread(figure)] for rate, figure in found.summary(found.rates, metric).items()]
    return [
        table(f"{metric} with these modalities alone", ("modalities", "samples", "mean ± sd"), subsets),
        table(f"{metric} with modalities missing at random", ("rate", "mean ± sd"), rates),
    ]


def parts_table(parts: "Sequence[Part]") -> "Table":
    """A row a part: parameters, how many are trained, and the shape of what it returns for one sample."""
    rows = [[part.name, part.kind, part.output, f"{part.parameters:,}", f"{part.trained:,}"] for part in parts]
    whole = ["", "", "", f"{sum(p.parameters for p in parts):,}", f"{sum(p.trained for p in parts):,}"]
    return table("Parts", ("part", "class", "output", "parameters", "trained"), [*rows, whole], left=3)


def cost_lines(cost: "StepCost", steps: int) -> list[str]:
    """What a training step costs, in words."""
    lengths = ", ".join(f"{name} {length}" for name, length in cost.lengths.items())
    return [
        f"A step of {cost.batch} samples, of so many steps each: {lengths}",
        f"  forward and backward    {1e3 * cost.seconds:.1f} ms, so some {steps * cost.seconds:.1f} s an epoch "
        f"of {steps} steps",
        f"  weights                 {_bytes(cost.bytes_weights)}",
        f"  kept for the backward   {_bytes(cost.bytes_activations)}",
        f"  in training, about      {_bytes(cost.bytes_training)}",
    ]


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _spread(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    return f"{figure['mean']:.3f}" + (f" ± {figure['sd']:.3f}" if figure["sd"] is not None else "")


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"

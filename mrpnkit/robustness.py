"""How well a run's networks do without modalities: every subset of them, and samples that lack some at random.

The test part of each fold is judged again and again, with modalities taken away from the samples before the network
sees them. Nothing is trained. A sample that has none of what is left is judged by nobody and counts in no metric;
``judged`` says how many samples count.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mrpnkit.adapted import adapted, groups_in
from mrpnkit.analysis import subsets_of
from mrpnkit.build import build_objective
from mrpnkit.data import Batch, Corpus, CorpusDataset, Loader, ModalityDropout, loader
from mrpnkit.errors import InputError
from mrpnkit.experiment import finite, summarise
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.objective import Objective
from mrpnkit.predict import fit_corpus, scales_of, trained_model
from mrpnkit.records import write_json, write_text
from mrpnkit.runs import Run
from mrpnkit.sequences import Sequences
from mrpnkit.train import evaluate

LARGEST = 10
"""Of so many modalities all subsets are judged; there are 2^N − 1."""
RATES = tuple(round(0.1 * step, 1) for step in range(10))
FOLDER, DATA = "robustness", "robustness.json"

Metrics = dict[str, float]
Flags = Mapping[str, NDArray[np.bool_]]
Lost = Callable[[NDArray[np.int64], Flags], Flags]
"""From n corpus rows and which of them have which modality, (n,) each, to which lose which."""


class Robustness(NamedTuple):
    """Metrics of each fold without modalities.

    Attributes:
        subsets: by the modalities that were left, then by fold number from 1; the last are all.
        rates: by the probability with which each modality of a sample is missing, then by fold; a mean over repeats.
        judged: samples that counted, by subset and fold.
        repeats: how often samples were drawn at each rate above 0.
    """

    subsets: dict[tuple[str, ...], dict[int, Metrics]]
    rates: dict[float, dict[int, Metrics]]
    judged: dict[tuple[str, ...], dict[int, int]]
    repeats: int

    @property
    def targets(self) -> dict[str, str]:
        """The first metric of each target, which tables show, as ``target/fused/name``."""
        metrics = next(iter(next(iter(self.subsets.values())).values()))
        fused = [metric for metric in metrics if f"/{FUSED}/" in metric]
        return {metric.partition("/")[0]: metric for metric in reversed(fused)}

    def summary(self, by: Mapping[Any, Mapping[int, Metrics]], metric: str) -> dict[Any, dict[str, Any]]:
        """Mean and standard deviation over folds of a metric, for each entry of ``subsets`` or ``rates``.

        Raises:
            InputError: there is no such metric.
        """
        known = next(iter(next(iter(by.values())).values()))
        if metric not in known:
            raise InputError(f"There is no metric {metric!r}; there are {', '.join(known)}.")
        values = {key: [found.get(metric, float("nan")) for found in folds.values()] for key, folds in by.items()}
        return dict(zip(values, summarise({str(key): found for key, found in values.items()}).values(), strict=True))

    def plain(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        content = {
            "subsets": [
                {
                    "modalities": list(subset),
                    "judged": {str(number): count for number, count in self.judged[subset].items()},
                    "folds": {str(number): metrics for number, metrics in folds.items()},
                    "summary": summarise(_columns(folds.values())),
                }
                for subset, folds in self.subsets.items()
            ],
            "rates": [
                {
                    "rate": rate,
                    "folds": {str(number): metrics for number, metrics in folds.items()},
                    "summary": summarise(_columns(folds.values())),
                }
                for rate, folds in self.rates.items()
            ],
            "repeats": self.repeats,
        }
        cleaned: dict[str, Any] = finite(content)
        return cleaned

    def csv(self) -> str:
        """A row a subset or rate, fold and metric: ``what``, ``fold``, ``target``, ``head``, ``metric``, ``value``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["what", "fold", "target", "head", "metric", "value"])
        entries = [(" + ".join(subset), folds) for subset, folds in self.subsets.items()]
        entries += [(f"rate {rate:g}", folds) for rate, folds in self.rates.items()]
        for what, folds in entries:
            for number, metrics in folds.items():
                for name, value in metrics.items():
                    if "/" in name:
                        target, head, metric = name.split("/")
                        writer.writerow([what, number, target, head, metric, f"{value:.6g}"])
        return text.getvalue()


def robustness_of(
    run: Run,
    corpus: Corpus,
    rows: Mapping[int, NDArray[np.int64]],
    *,
    rates: Sequence[float] = RATES,
    repeats: int = 3,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Robustness:
    """Judges rows of a corpus by the networks of finished folds, with modalities taken away.

    Args:
        run: whose networks.
        corpus: with the run's targets and at least one of its modalities.
        rows: which samples are judged by the network of which fold.
        rates: the probabilities with which each modality of a sample is missing, one by one; never all of a sample's
            (as :class:`~mrpnkit.data.ModalityDropout` draws them).
        repeats: how often samples are drawn at each rate above 0.
        seed: of what is drawn.
        say: is told in a line what happens.

    Raises:
        InputError: more than ten modalities, a single one, or rates out of range.
    """
    like = run.corpus_like()
    names = list(run.config.branches)
    chosen = _chosen(names, rates, repeats)
    subsets: dict[tuple[str, ...], dict[int, Metrics]] = {subset: {} for subset in chosen}
    judged: dict[tuple[str, ...], dict[int, int]] = {subset: {} for subset in chosen}
    by_rate: dict[float, dict[int, Metrics]] = {rate: {} for rate in rates}
    fitted, whose = fit_corpus(corpus, like, names, labels="needed"), groups_in(run, corpus)
    for number, some in rows.items():
        say(f"fold {number}: {len(chosen)} subsets and {len(rates)} rates of {len(some)} samples")
        model = trained_model(run, number, like)
        objective = build_objective(run.config, like, scales=scales_of(run, number))
        read = adapted(run, number, fitted, whose)
        batches = loader(CorpusDataset(read, some, modalities=names), run.config.training.batch_size)
        bfloat16 = run.config.training.precision == "bfloat16"
        for subset, (metrics, count) in judge_subsets(model, objective, batches, bfloat16=bfloat16).items():
            subsets[subset][number], judged[subset][number] = metrics, count
        for rate, metrics in judge_rates(
            model, objective, batches, rates=rates, repeats=repeats, seed=seed, bfloat16=bfloat16
        ).items():
            by_rate[rate][number] = metrics
    return Robustness(subsets, by_rate, judged, repeats)


def judge_subsets(
    model: MRPN, objective: Objective, batches: Loader, *, bfloat16: bool = False
) -> dict[tuple[str, ...], tuple[Metrics, int]]:
    """Metrics of all heads with each subset of the modalities left, and how many samples have one of them."""
    found = {}
    for subset in subsets_of(model.branches):

        def lost(rows: NDArray[np.int64], present: Flags, subset: tuple[str, ...] = subset) -> Flags:
            return {name: np.full(len(rows), name not in subset) for name in present}

        evaluation = evaluate(model, _Without(batches, lost), objective, bfloat16=bfloat16)
        found[subset] = (evaluation.metrics, int(evaluation.seen(FUSED).sum()))
    return found


def judge_rates(
    model: MRPN,
    objective: Objective,
    batches: Loader,
    *,
    rates: Sequence[float] = RATES,
    repeats: int = 3,
    seed: int = 0,
    bfloat16: bool = False,
) -> dict[float, Metrics]:
    """Metrics of all heads where each modality of a sample is missing with a probability, a mean over repeats.

    The draws for a sample depend on (seed, repeat, row) alone: at a higher rate it lacks what it lacked at a lower
    one, as long as something is left.
    """
    found, samples = {}, len(cast(CorpusDataset, batches.dataset).corpus)
    for rate in rates:
        drop = ModalityDropout(dict.fromkeys(model.branches, rate))
        series = []
        for repeat in range(repeats if rate else 1):
            drawn = drop.chances((seed, repeat), samples=samples, modalities=len(model.branches))

            def lost(
                rows: NDArray[np.int64],
                present: Flags,
                drop: ModalityDropout = drop,
                drawn: NDArray[np.float64] = drawn,
            ) -> Flags:
                return drop.draw(present, chances=drawn[rows])

            series.append(evaluate(model, _Without(batches, lost), objective, bfloat16=bfloat16).metrics)
        found[rate] = {name: float(np.mean([metrics[name] for metrics in series])) for name in series[0]}
    return found


class _Without:
    """Batches from which modalities are taken away; :func:`mrpnkit.train.evaluate` reads them as it reads a loader."""

    def __init__(self, batches: Loader, lost: Lost) -> None:
        self.batches, self.lost = batches, lost

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            yield batch._replace(inputs=taken_away(batch, self.lost))


def taken_away(batch: Batch, lost: Lost) -> dict[str, Sequences]:
    """The inputs of a batch without the modalities that each of its samples loses."""
    present = {name: value.present.numpy() for name, value in batch.inputs.items()}
    out = lost(batch.rows.numpy(), present)
    inputs = {}
    for name, value in batch.inputs.items():
        stays = torch.from_numpy(~out[name])
        inputs[name] = Sequences(value.steps[stays[value.sample_of_step()]], value.lengths * stays)
    return inputs


def write_robustness(found: Robustness, folder: Path, *, metric: str | None = None) -> list[Path]:
    """Writes ``robustness.json``, ``robustness.csv`` and, with matplotlib, a figure for each target; returns them.

    Args:
        found: what was measured.
        folder: where to; it is made.
        metric: what the figure shows, by its own name; by default each target's first.
    """
    import importlib.util

    folder.mkdir(parents=True, exist_ok=True)
    table = write_text(folder / "robustness.csv", found.csv())
    written = [write_json(folder / DATA, found.plain()), table]
    if importlib.util.find_spec("matplotlib") is not None:
        from mrpnkit.report.missing import draw_robustness

        for shown in metrics_named(found, metric):
            written.append(draw_robustness(found, shown, folder / f"{shown.replace('/', '_')}.png"))
    return written


def metrics_named(found: Robustness, name: str | None) -> list[str]:
    """The fused metric of that name of every target that has it; by default each target's first.

    Raises:
        InputError: no target has it.
    """
    if name is None:
        return list(found.targets.values())[::-1]
    metrics = next(iter(next(iter(found.subsets.values())).values()))
    chosen = [metric for metric in metrics if metric.endswith(f"/{FUSED}/{name}")]
    if not chosen:
        known = sorted({metric.rpartition("/")[2] for metric in metrics if "/" in metric})
        raise InputError(f"There is no metric {name!r}; there are {', '.join(known)}.")
    return chosen


def _chosen(names: Sequence[str], rates: Sequence[float], repeats: int) -> list[tuple[str, ...]]:
    if len(names) < 2:
        raise InputError(f"The run reads {names[0]!r} alone; without it nothing is left to judge.")
    if len(names) > LARGEST:
        raise InputError(f"{len(names)} modalities have {2 ** len(names) - 1} subsets; at most {LARGEST} are judged.")
    wrong = [rate for rate in rates if not 0 <= rate < 1]
    if wrong or repeats < 1:
        raise InputError(f"Rates must lie in 0 to below 1, and repeats be 1 or more; got {list(rates)} and {repeats}.")
    return subsets_of(names)


def _columns(metrics: Iterable[Metrics]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in metrics:
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    return found

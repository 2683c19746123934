"""The comparison that decides: every modality alone, N0, N1, N2 and others, with equal budget, folds and seeds.

A fusion is worth its parts only where it is better than the best of them trained alone. Each modality is therefore
trained by itself, as a network of one branch; the networks of the paper are trained on all of them. Everything else
stays as the configuration says: epochs, optimizer, folds, seeds. Further fusions and ways to balance the losses can be
asked for; each combination is then trained as well, with the configuration's network.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.analysis import Difference, Rank, paired_difference, ranking
from mrpnkit.analysis.differences import gains_of
from mrpnkit.build import build_corpus, build_folds, warn_of_random_folds
from mrpnkit.config import Config
from mrpnkit.data import Corpus
from mrpnkit.data.audit import refuse
from mrpnkit.errors import InputError, RunError
from mrpnkit.experiment import Experiment, audit_of, finite, fold_numbers, run_experiment, summarise
from mrpnkit.names import FUSED
from mrpnkit.parallel import FoldJob, run_folds
from mrpnkit.records import write_json
from mrpnkit.runs import FOLD, RESULTS, Run, claim, fold_folder, is_first_process
from mrpnkit.targets import minimised
from mrpnkit.variants import NETWORKS, changed, check_variants, variants

PAIRS = (("n1", "n0"), ("n2", "n0"), ("n2", "n1"))


class Pair(NamedTuple):
    """The difference of two variants in a metric, first − second, over so many folds in which both were measured."""

    metric: str
    first: str
    second: str
    difference: Difference
    folds: int


class Ablation(NamedTuple):
    """Labels and experiments of each variant, one experiment for each seed; variants in declared order."""

    folder: Path
    labels: dict[str, str]
    experiments: dict[str, list[Experiment]]

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds, from 1."""
        return list(next(iter(self.experiments.values()))[0].folds)

    @property
    def singles(self) -> list[str]:
        """The variants of one modality."""
        return [name for name in self.labels if name.startswith("only_")]

    def values(self, variant: str, metric: str) -> list[float]:
        """A test metric of a variant for each fold, a mean over seeds; NaN where a seed has no value."""
        by_seed = [experiment.values(metric) for experiment in self.experiments[variant]]
        return [statistics.fmean(values) for values in zip(*by_seed, strict=True)]

    def best_single(self, metric: str) -> str:
        """The modality that alone has the best mean over its measured folds: the least of a loss, else the greatest."""
        ranks = ranking({name: self.values(name, metric) for name in self.singles}, less_is_better=minimised(metric))
        return ranks[0].name

    def differences(self, metric: str) -> list[Pair]:
        """Paired differences between networks, and of each to the best single modality; intervals of 95 %.

        A further fusion or balancer is compared with N0, and with the network whose own it stands in for.
        """
        single = self.best_single(metric)
        others = [name for name in self.labels if name not in NETWORKS and name not in self.singles]
        pairs = [*PAIRS, *((network, single) for network in (*NETWORKS, *others))]
        pairs += [(name, base) for name in others for base in dict.fromkeys(("n0", name.partition("-")[0]))]
        values = {name: self.values(name, metric) for name in self.labels}
        return [
            Pair(
                metric,
                first,
                second,
                paired_difference(values[first], values[second]),
                len(gains_of(values[first], values[second])),
            )
            for first, second in pairs
        ]

    def ranking(self, metric: str) -> list[Rank]:
        """The variants by their mean over folds, the best first, and which differences are not established."""
        values = {name: self.values(name, metric) for name in self.labels}
        return ranking(values, less_is_better=minimised(metric))

    def metrics(self, name: str | None = None) -> list[str]:
        """The fused metric of that name of every target that has it, as ``target/fused/name``; by default its first."""
        fold = next(iter(next(iter(self.experiments.values()))[0].folds.values()))
        fused = [metric for metric in fold["metrics"] if f"/{FUSED}/" in metric]
        if name is None:
            return list({metric.partition("/")[0]: metric for metric in reversed(fused)}.values())[::-1]
        found = [metric for metric in fused if metric.endswith(f"/{name}")]
        if not found:
            known = sorted({metric.rpartition("/")[2] for metric in fused})
            raise InputError(f"There is no metric {name!r}; there are {', '.join(known)}.")
        return found


def run_ablation(
    config: Config,
    folder: str | Path,
    *,
    base: str | Path,
    seeds: int = 1,
    fusions: Sequence[str] = (),
    balancers: Sequence[str] = (),
    workers: int = 1,
    corpus: Corpus | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress_bar: bool = False,
    cpu: bool = False,
) -> Ablation:
    """Runs every variant over the folds and seeds, and writes ``results.json``.

    Each is a run of its own in ``FOLDER/VARIANT/seed-N`` (see :mod:`mrpnkit.runs`); what is finished is only read, and
    what was interrupted goes on.

    Args:
        config: what is compared; its network is one of the three.
        folder: of the ablation.
        base: the folder that paths in the configuration start from.
        seeds: how many, counted from the configuration's.
        fusions: further ones that are tried with the configuration's network.
        balancers: further ones, each tried with each fusion.
        workers: folds that are trained at once, each in a process of its own that opens the data set itself.
        corpus: the data set, where it is open already; with several workers, what the configuration names.
        say: is told in a line what happens.
        progress_bar: draw a bar over the epochs of each fold.
        cpu: stay on the CPU although there is an accelerator.

    Raises:
        InputError: nothing to compare.
        ConfigError: variants that cannot be built.
        RunError: the folder holds runs of another configuration.
        TrainingError: a loss that is not finite.
    """
    if seeds < 1:
        raise InputError(f"An ablation needs one seed or more, got {seeds}.")
    folder = Path(folder)
    todo = variants(config, fusions=fusions, balancers=balancers)
    corpus = corpus if corpus is not None else build_corpus(config, Path(base))
    folds = build_folds(config, corpus)
    numbers = fold_numbers(config, folds)
    seeded = {
        (name, seed): changed(variant, branches=tuple(variant.branches), network=variant.model.network, seed=seed)
        for name, (_, variant) in todo.items()
        for seed in range(config.training.seed, config.training.seed + seeds)
    }
    places = {(name, seed): folder / name / f"seed-{seed}" for name, seed in seeded}
    unfinished = {
        name for (name, _), place in places.items() for n in numbers if not (fold_folder(place, n) / FOLD).is_file()
    }
    check_variants({name: todo[name] for name in todo if name in unfinished}, corpus, folds[numbers[0] - 1].train)
    warn_of_random_folds(config, corpus)
    findings = audit_of(config, corpus, {number: folds[number - 1] for number in numbers})
    if config.folds.audit == "refuse":
        refuse(findings)
    if workers > 1:
        for key, place in places.items():
            claim(place, seeded[key], corpus, base=Path(base), write=is_first_process())
        jobs = [
            FoldJob(json.dumps(seeded[key].resolved()), Path(base).resolve(), place, number, cpu)
            for number in numbers
            for key, place in places.items()
        ]
        run_folds(jobs, workers, say=say)
    experiments: dict[str, list[Experiment]] = {}
    for (name, seed), variant in seeded.items():
        say(f"{todo[name][0]}, seed {seed}")
        experiment = run_experiment(
            variant,
            places[name, seed],
            base=base,
            corpus=corpus,
            say=lambda text: say(f"  {text}"),
            progress_bar=progress_bar,
            cpu=cpu,
            findings=findings,
        )
        experiments.setdefault(name, []).append(experiment)
    ablation = Ablation(folder, {name: label for name, (label, _) in todo.items()}, experiments)
    if is_first_process():
        write_json(folder / RESULTS, results_of(ablation))
    return ablation


def results_of(ablation: Ablation) -> dict[str, Any]:
    """What ``results.json`` holds: fused metrics of every variant and fold, their spread, paired differences.

    ``corpus``, ``split`` and ``tested`` tell on which data and folds: see :func:`mrpnkit.runs.identity_of`,
    :func:`mrpnkit.data.audit.fingerprint_of` and :func:`mrpnkit.data.audit.sample_digests`.
    """
    first = next(iter(ablation.experiments.values()))[0]
    fold = next(iter(first.folds.values()))
    fused = [metric for metric in fold["metrics"] if f"/{FUSED}/" in metric]
    protocol = protocol_in(ablation)
    by_variant = {}
    for name, label in ablation.labels.items():
        values = {metric: ablation.values(name, metric) for metric in fused}
        by_variant[name] = {"label": label, "folds": values, "summary": summarise(values)}
    pairs = [pair for metric in fused for pair in ablation.differences(metric)]
    content = {
        "kind": "ablation",
        **({"protocol": protocol} if protocol is not None else {}),
        "folds": ablation.folds,
        "corpus": Run.open(first.folder).identity,
        "split": {str(number): fold["split"] for number, fold in first.folds.items() if "split" in fold},
        "tested": {str(number): fold["tested"] for number, fold in first.folds.items() if "tested" in fold},
        "seeds": len(next(iter(ablation.experiments.values()))),
        "variants": by_variant,
        "differences": [
            {**pair._asdict(), "difference": pair.difference._asdict(), "established": pair.difference.established}
            for pair in pairs
        ],
        "ranking": {metric: [rank.plain() for rank in ablation.ranking(metric)] for metric in fused},
    }
    cleaned: dict[str, Any] = finite(content)
    return cleaned


def protocol_in(ablation: Ablation) -> str | None:
    """What is to be said of an ablation whose variants are adapted to groups."""
    folds = (fold for many in ablation.experiments.values() for one in many for fold in one.folds.values())
    return next((fold["adaptation"]["protocol"] for fold in folds if "adaptation" in fold), None)


def check_folder(folder: Path) -> None:
    """Raises RunError where the folder is a single run, into which an ablation must not write."""
    if (folder / "run.json").is_file():
        raise RunError(f"{folder} holds a run, not an ablation; give another --out.")

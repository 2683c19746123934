"""A whole configuration over its folds: train, select on validation, test once, for each fold; and the summary.

A fold that is finished is only read, one that was interrupted goes on where it was, on a CPU bitwise the same.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.utils import set_seed

from mrpnkit.adapted import adapted_fold, record_of
from mrpnkit.build import (
    build_corpus,
    build_folds,
    build_loader,
    build_model,
    build_objective,
    build_optimizer,
    build_scheduler,
    warn_of_random_folds,
)
from mrpnkit.build_adaptation import adaptation_findings, protocol_of
from mrpnkit.build_targets import target_names
from mrpnkit.config import Config
from mrpnkit.data import Corpus, Fold
from mrpnkit.data.audit import Finding, audit, fingerprint_of, refuse, sample_digests
from mrpnkit.errors import RunError
from mrpnkit.holding import held
from mrpnkit.mrpn import MRPN
from mrpnkit.objective import Objective
from mrpnkit.records import write_json
from mrpnkit.runs import AUDIT, FOLD, RESULTS, SCORES, claim, fold_folder, is_first_process
from mrpnkit.targets import Classification, Ordinal, Regression
from mrpnkit.train import Evaluation, GradientRecorder, Trainer, evaluate

AUDITED_BYTES = 2**28


class Experiment(NamedTuple):
    """The finished folds of a run: their figures by number from 1, as ``fold.json`` has them."""

    folder: Path
    folds: dict[int, dict[str, Any]]

    def values(self, metric: str) -> list[float]:
        """A test metric, ``target/head/metric``, of each fold in order; NaN where it could not be measured.

        Raises:
            RunError: no fold has the metric.
        """
        try:
            found = [fold["metrics"][metric] for fold in self.folds.values()]
            return [math.nan if value is None else value for value in found]
        except KeyError:
            known = ", ".join(next(iter(self.folds.values()))["metrics"]) if self.folds else "none"
            raise RunError(f"{self.folder} has no metric {metric!r}; there are: {known}.") from None

    def summary(self) -> dict[str, dict[str, float | int | None]]:
        """Mean and standard deviation (n − 1) over folds of every test metric, and how many folds have it."""
        return summarise({metric: self.values(metric) for metric in self._metrics()})

    def _metrics(self) -> list[str]:
        return list(next(iter(self.folds.values()))["metrics"]) if self.folds else []


def summarise(values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | int | None]]:
    """Mean, standard deviation (n − 1) and number of the values that are numbers, by name; None where there is none.

    >>> summarise({"accuracy": [0.5, 0.7]})["accuracy"]["mean"]
    0.6
    """
    found: dict[str, dict[str, float | int | None]] = {}
    for name, series in values.items():
        known = [value for value in series if value is not None and math.isfinite(value)]
        found[name] = {
            "mean": statistics.fmean(known) if known else None,
            "sd": statistics.stdev(known) if len(known) > 1 else None,
            "n": len(known),
        }
    return found


def run_experiment(
    config: Config,
    folder: str | Path,
    *,
    base: str | Path,
    corpus: Corpus | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress_bar: bool = False,
    cpu: bool = False,
    findings: Sequence[Finding] | None = None,
) -> Experiment:
    """Trains and tests a configuration on each of its folds, and writes the run's folder (see :mod:`mrpnkit.runs`).

    Returns the folds that the configuration asks for; ``results.json`` has all that are finished.

    Args:
        config: what is trained, on what, how.
        folder: of the run; made, or gone on with.
        base: the folder that paths in the configuration start from.
        corpus: the data set, where it is open already.
        say: is told in a line what happens.
        progress_bar: draw a bar over the epochs of each fold.
        cpu: stay on the CPU although there is an accelerator.
        findings: of the audit, where the split was audited already.

    Raises:
        SplitError: the audit of the split found what makes the result worthless, and ``folds.audit`` is ``"refuse"``.
        RunError: the folder holds a run of another configuration or on other data, or another process trains there.
        TrainingError: a loss that is not finite, a state that is damaged.
    """
    folder = Path(folder)
    corpus = corpus if corpus is not None else build_corpus(config, Path(base))
    folds = build_folds(config, corpus)
    numbers = fold_numbers(config, folds)
    if findings is None:
        warn_of_random_folds(config, corpus)
        findings = audit_of(config, corpus, {number: folds[number - 1] for number in numbers})
    if config.folds.audit == "refuse":
        refuse(findings)
    run = claim(folder, config, corpus, base=Path(base), write=is_first_process())
    if is_first_process():
        prints = {str(number): fingerprint_of(corpus, fold) for number, fold in enumerate(folds, start=1)}
        write_json(folder / AUDIT, {"split": prints, "findings": [finding._asdict() for finding in findings]})
    for number in numbers:
        place = fold_folder(folder, number)
        if (place / FOLD).is_file():
            say(f"fold {number} is finished already")
            continue
        going_on = " goes on" if (place / "state.pt").is_file() else ""
        say(f"fold {number} of {len(folds)}{going_on}: tests {name_of(folds[number - 1])}")
        with held(place) if is_first_process() else nullcontext():
            run_fold(config, corpus, folds[number - 1], number, place, progress_bar=progress_bar, cpu=cpu)
    finished = run.finished()
    if is_first_process():
        write_json(folder / RESULTS, results_of(Experiment(folder, finished)))
    return Experiment(folder, {number: finished[number] for number in numbers})


def audit_of(config: Config, corpus: Corpus, folds: Mapping[int, Fold]) -> list[Finding]:
    """What makes the folds' results worthless, or is worth knowing.

    Nearly equal samples are looked for where the steps are :data:`AUDITED_BYTES` at most, equal ones always.
    """
    size = sum(corpus.modalities[name].steps.nbytes for name in config.branches)
    found = audit(
        corpus,
        folds,
        targets=target_names(config, corpus),
        modalities=list(config.branches),
        group=config.folds.group if config.folds.test is None or config.folds.validation else None,
        stratum=config.folds.stratum,
        depth="steps" if size <= AUDITED_BYTES else "copies",
    )
    return [*found, *adaptation_findings(config)]


def fold_numbers(config: Config, folds: Sequence[Fold]) -> list[int]:
    """The numbers, from 1, of the folds that the configuration asks for."""
    return list(config.folds.only) if config.folds.only else list(range(1, len(folds) + 1))


def name_of(fold: Fold) -> str:
    """Its test groups, or how many samples it tests where nothing is grouped."""
    shown = fold.test_groups[:6]
    if not shown or len(fold.test_groups) == len(fold.test):
        return f"{len(fold.test)} samples"
    return ", ".join(shown) + (f" and {len(fold.test_groups) - 6} more" if len(fold.test_groups) > 6 else "")


def run_fold(
    config: Config,
    corpus: Corpus,
    fold: Fold,
    number: int,
    folder: Path,
    *,
    progress_bar: bool = False,
    cpu: bool = False,
) -> dict[str, Any]:
    """Trains on a fold, tests the kept weights on its test part once, and writes the fold's folder."""
    start = time.perf_counter()
    corpus, adaptation = adapted_fold(config, corpus, fold, folder)
    trainer, objective = make_trainer(config, corpus, fold, folder, cpu=cpu)
    trainer.fit(keep=config.training.keep, progress_bar=progress_bar)
    parts = {"validation": fold.validation, "test": fold.test}
    found = {
        part: evaluate(
            trainer.model,
            trainer.accelerator.prepare(build_loader(config, corpus, rows, "evaluate")),
            objective,
            accelerator=trainer.accelerator,
            bfloat16=trainer.bfloat16,
        )
        for part, rows in parts.items()
        if len(rows)
    }
    model = trainer.plain_model
    kept = trainer.progress.best_epoch + 1 if config.training.keep == "best" else 0
    result = {
        "fold": number,
        "name": name_of(fold),
        "test_groups": list(fold.test_groups),
        "validation_groups": list(fold.validation_groups),
        "samples": {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        "split": fingerprint_of(corpus, fold),
        "tested": sample_digests(corpus, fold),
        "seed": config.training.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "selected_epoch": kept or trainer.progress.epoch,
        "epochs": trainer.progress.epoch,
        "metrics": found["test"].metrics,
        "validation": found["validation"].metrics if "validation" in found else None,
        "confusion": confusions(found["test"], objective),
        "scales": scales_of(objective),
        "seconds": sum(report.seconds for report in trainer.history),
        "wall_seconds": time.perf_counter() - start,
    }
    if adaptation is not None:
        result["adaptation"] = record_of(config, adaptation)
    if trainer.accelerator.is_main_process:
        found["test"].save(folder / SCORES)
        write_json(folder / FOLD, finite(result))
    trainer.accelerator.wait_for_everyone()
    return result


def make_trainer(
    config: Config, corpus: Corpus, fold: Fold, folder: Path | None, *, cpu: bool = False
) -> tuple[Trainer, Objective]:
    """The trainer of one fold, not yet started, and its objective; the same seed gives the same weights.

    The corpus is taken as it is: one that is to be adapted has been (:func:`mrpnkit.adapted.adapted_fold`).
    """
    set_seed(config.training.seed)
    model: MRPN = build_model(config, corpus)
    objective = build_objective(config, corpus, rows=fold.train, model=model)
    batches = build_loader(config, corpus, fold.train, "train")
    validation = build_loader(config, corpus, fold.validation, "evaluate") if len(fold.validation) else None
    optimizer = build_optimizer(config, model)
    scheduler = build_scheduler(config, optimizer, len(batches) * config.training.epochs)
    every, protocol = config.training.gradients, protocol_of(config.adaptation)
    recorder = GradientRecorder(model, every=every) if every is not None and len(model.sides) else None
    trainer = Trainer(
        model,
        objective,
        batches,
        validation,
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=config.training.epochs,
        clip_norm=config.training.clip_norm,
        monitor=config.training.monitor,
        patience=config.training.patience,
        precision=config.training.precision,
        folder=folder,
        cpu=cpu,
        gradients=recorder,
        marks={"split": fingerprint_of(corpus, fold), **({"adaptation": protocol} if protocol is not None else {})},
    )
    return trainer, objective


def confusions(evaluation: Evaluation, objective: Objective) -> dict[str, dict[str, Any]]:
    """Counts of each target with classes and each head, rows labels and columns predictions."""
    found: dict[str, dict[str, Any]] = {}
    for name, target in objective.targets.items():
        if isinstance(target, Classification | Ordinal):
            labels = evaluation.labels[name]
            for head, scores in evaluation.scores.items():
                seen = evaluation.seen(head)
                counts = target.confusion(scores[name][seen], labels[seen])
                found.setdefault(name, {})[head] = counts.tolist()
    return found


def scales_of(objective: Objective) -> dict[str, list[float]]:
    """Mean and standard deviation of the values that each regression was trained on."""
    return {name: [t.mean, t.sd] for name, t in objective.targets.items() if isinstance(t, Regression)}


def results_of(experiment: Experiment) -> dict[str, Any]:
    """What ``results.json`` holds: the test metrics of each fold, their mean and spread; of an adapted run how."""
    protocols = [fold["adaptation"]["protocol"] for fold in experiment.folds.values() if "adaptation" in fold]
    return {
        **({"protocol": protocols[0]} if protocols else {}),
        "folds": {
            str(number): {key: fold[key] for key in ("name", "selected_epoch", "metrics")}
            for number, fold in experiment.folds.items()
        },
        "summary": experiment.summary(),
    }


def kept_at_the_end(experiment: Experiment) -> str | None:
    """What is to be said where the epoch that validation selects is the last one in most of several folds."""
    chosen = [f for f in experiment.folds.values() if f.get("validation") is not None and f.get("epochs", 0) > 1]
    late = [fold for fold in chosen if fold["selected_epoch"] == fold["epochs"]]
    if len(chosen) < 2 or 2 * len(late) <= len(chosen):
        return None
    return (
        f"The kept epoch is the last one in {len(late)} of {len(chosen)} folds: training longer (training.epochs) or a "
        "higher learning rate may help."
    )


def finite(value: Any) -> Any:
    """Plain data in which a number that is not finite is None, since JSON has no word for it."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Whether a corpus has what a configuration names, before anything is built of the two."""

from collections.abc import Iterable, Mapping
from typing import Any

from mrpnkit.build_adaptation import adaptation_problems
from mrpnkit.build_targets import target_config, target_names, target_problems
from mrpnkit.config import Config
from mrpnkit.data import Corpus
from mrpnkit.data.folds import natural
from mrpnkit.errors import ConfigError, Problem
from mrpnkit.targets import KINDS
from mrpnkit.wording import nearest

SOURCE = "The configuration does not fit"


def check_corpus(config: Config, corpus: Corpus) -> None:
    """Checks that a corpus has the modalities, targets, columns and rates that a configuration names.

    Raises:
        ConfigError: what it does not have.
    """
    problems = [*unfit(config, corpus), *adaptation_problems(config, corpus)]
    for name, branch in config.branches.items():
        known = name in corpus.modalities
        if branch.slice_seconds is not None and known and corpus.modalities[name].rate is None:
            text = "the data set does not say how many steps a second the modality has; remove it, or give the rate."
            problems.append(Problem(f"branches.{name}.slice_seconds", text))
    group, stratum = config.folds.group, config.folds.stratum
    if group is not None and group not in corpus.groups:
        problems.append(_absent("folds.group", "column", group, corpus.groups))
    elif group is not None:
        values = sorted(set(corpus.groups[group].tolist()), key=natural)
        for key, names in (("test", config.folds.test), ("validation", config.folds.validation)):
            absent = next((name for name in names or () if name not in values), None)
            if absent is not None:
                problems.append(_absent(f"folds.{key}", f"{group}", absent, values))
    if stratum is not None and stratum not in {*corpus.groups, *corpus.single_classes}:
        problems.append(_absent("folds.stratum", "column", stratum, [*corpus.groups, *corpus.single_classes]))
    monitored, metric = config.training.monitor.partition("/")[0], config.training.monitor.rpartition("/")[2]
    if config.training.monitor != "loss" and monitored not in corpus.targets:
        problems.append(_absent("training.monitor", "target", monitored, corpus.targets))
    elif config.training.monitor != "loss":
        known_metrics = KINDS[target_config(config, corpus, monitored).kind].metric_names
        if metric not in known_metrics:
            text = f"{monitored!r} has no metric {metric!r}{nearest(metric, known_metrics)} It has "
            problems.append(Problem("training.monitor", f"{text}{', '.join(known_metrics)}."))
    refuse(problems)


def unfit(config: Config, corpus: Corpus) -> list[Problem]:
    """Modalities and targets that a network needs and the corpus does not have."""
    problems = [
        _absent(f"branches.{name}", "modality", name, corpus.modalities)
        for name in config.branches
        if name not in corpus.modalities
    ]
    if not target_names(config, corpus):
        problems.append(Problem("targets", "the data set has no target; nothing can be trained."))
    for name in target_names(config, corpus):
        if name not in corpus.targets:
            problems.append(_absent(f"targets.{name}", "target", name, corpus.targets))
    return [*problems, *target_problems(config, corpus)]


def refuse(problems: list[Problem]) -> None:
    """Raises ConfigError with all the problems, where there are any."""
    if problems:
        raise ConfigError(SOURCE, problems)


def _absent(path: str, kind: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> Problem:
    names = list(known)
    has = ", ".join(names) or "none"
    return Problem(path, f"the data set has no {kind} {name!r}{nearest(name, names)} It has {has}.")

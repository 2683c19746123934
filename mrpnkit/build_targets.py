"""From what a configuration says of targets, and the labels of a corpus, to target objects."""

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from mrpnkit.config import (
    ClassificationConfig,
    Config,
    MultiLabelConfig,
    OrdinalConfig,
    RegressionConfig,
    TargetConfig,
)
from mrpnkit.data import Corpus
from mrpnkit.errors import Problem
from mrpnkit.targets import Classification, Kind, MultiLabel, Ordinal, Regression, Target
from mrpnkit.wording import nearest

Scale = tuple[float, float]
"""Mean and standard deviation of the values that a regression was trained on."""
_ROUNDING = 1e-12
"""A spread below this share of the largest value is the rounding of a sum: all values are the same."""
_NEEDS: Mapping[str, str] = {
    "classification": "one class a sample",
    "ordinal": "one class a sample",
    "multilabel": "several labels a sample",
    "regression": "numbers",
}


def target_names(config: Config, corpus: Corpus) -> list[str]:
    """The targets that are trained: those of the configuration, or else all of the corpus."""
    return list(config.targets or corpus.targets)


def kind_in(corpus: Corpus, name: str) -> Kind:
    """The kind that a target of a corpus is by default: by whether it has values, classes, or labels."""
    if name not in corpus.classes:
        return "regression"
    return "multilabel" if corpus.targets[name].ndim == 2 else "classification"


def target_config(config: Config, corpus: Corpus, name: str) -> TargetConfig:
    """What the configuration says of a target, or what it is by default."""
    if name in config.targets:
        return config.targets[name]
    by_default: dict[Kind, type[ClassificationConfig] | type[MultiLabelConfig] | type[RegressionConfig]] = {
        "classification": ClassificationConfig,
        "multilabel": MultiLabelConfig,
        "regression": RegressionConfig,
    }
    return by_default[kind_in(corpus, name)]()


def target_problems(config: Config, corpus: Corpus) -> list[Problem]:
    """What is wrong with the configuration of targets in view of their labels; targets that are not there aside."""
    problems = []
    for name in (name for name in target_names(config, corpus) if name in corpus.targets):
        chosen, found = target_config(config, corpus, name), kind_in(corpus, name)
        if found != chosen.kind and not (found == "classification" and chosen.kind == "ordinal"):
            text = (
                f"{chosen.kind} needs {_NEEDS[chosen.kind]}; the data set has {_NEEDS[found]} for {name!r}. Write "
                f'kind = "{found}", or give the data set the labels in another form.'
            )
            problems.append(Problem(f"targets.{name}.kind", text))
            continue
        key = "class_weights" if isinstance(chosen, ClassificationConfig) else "positive_weights"
        for one in getattr(chosen, key, {}):
            if one not in corpus.classes[name]:
                known = corpus.classes[name]
                text = f"there is no class {one!r}{nearest(one, known)} The data set has {', '.join(known)}."
                problems.append(Problem(f"targets.{name}.{key}.{one}", text))
        if found != "regression" and len(corpus.classes[name]) < (1 if found == "multilabel" else 2):
            text = f"the data set has only the class {corpus.classes[name]} of {name!r}; nothing can be learned."
            problems.append(Problem(f"targets.{name}" if name in config.targets else "targets", text))
    return problems


def build_targets(
    config: Config,
    corpus: Corpus,
    *,
    rows: NDArray[np.int64] | None = None,
    scales: Mapping[str, Scale] | None = None,
) -> dict[str, Target]:
    """The targets of a configuration.

    Args:
        config: the configuration; what it says fits the corpus.
        corpus: whose labels are learned.
        rows: the training samples, from which the balance of classes and the scale of values are taken; by default
            all samples.
        scales: of regressions that were trained before, in place of those of ``rows``.
    """
    made: dict[str, Target] = {}
    for name in target_names(config, corpus):
        labels = corpus.targets[name] if rows is None else corpus.targets[name][rows]
        chosen, names = target_config(config, corpus, name), corpus.classes.get(name, [])
        match chosen:
            case ClassificationConfig():
                weights = _combined(chosen.class_weights, names, _rarity(labels, len(names)), chosen.balance)
                made[name] = Classification(names, label_smoothing=chosen.label_smoothing, class_weights=weights)
            case MultiLabelConfig():
                weights = _combined(chosen.positive_weights, names, _negatives_a_positive(labels), chosen.balance)
                made[name] = MultiLabel(names, positive_weights=weights)
            case OrdinalConfig():
                made[name] = Ordinal(names)
            case RegressionConfig():
                mean, sd = (0.0, 1.0) if chosen.scale == "none" else (scales or {}).get(name) or scale_of(labels)
                made[name] = Regression(chosen.loss, delta=chosen.delta, mean=mean, sd=sd)
            case _:
                assert_never(chosen)
    return made


def scale_of(values: NDArray[Any]) -> Scale:
    """Mean and standard deviation (over n) of the values that are known; 0 and 1 where they do not tell.

    >>> scale_of(np.array([1.0, float("nan"), 3.0]))
    (2.0, 1.0)
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        return 0.0, 1.0
    sd = float(known.std())
    return float(known.mean()), sd if sd > _ROUNDING * float(np.abs(known).max()) else 1.0


def _combined(
    given: Mapping[str, float], names: list[str], rarity: NDArray[np.float64], balance: str
) -> list[float] | None:
    if not given and balance == "none":
        return None
    factors = rarity if balance == "inverse_frequency" else np.ones(len(names))
    return [given.get(name, 1.0) * float(factor) for name, factor in zip(names, factors, strict=True)]


def _rarity(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """n / (C · n_c) for each class, with the C classes that occur; 1 for one that does not."""
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    occur = int((counts > 0).sum())
    return np.where(counts > 0, counts.sum() / (max(occur, 1) * np.maximum(counts, 1)), 1.0)


def _negatives_a_positive(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many samples lack each label for one that has it; 1 where it always or never holds."""
    positives, negatives = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    return np.where((positives > 0) & (negatives > 0), negatives / np.maximum(positives, 1), 1.0)

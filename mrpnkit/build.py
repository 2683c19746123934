"""From a configuration to objects: the only place where names become parts.

What a configuration says is right by itself once it has been read; here it meets a data set, and what does not fit is
a :class:`~mrpnkit.errors.ConfigError` with the path that the user wrote, everything at once.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from mrpnkit.balancing.steering import Steering
from mrpnkit.build_checks import SOURCE, check_corpus, refuse, unfit
from mrpnkit.build_targets import Scale, build_targets, target_names
from mrpnkit.config import Config, PartConfig
from mrpnkit.config.models import (
    AdamConfig,
    AdamWConfig,
    ConstantConfig,
    OneCycleConfig,
    PlateauConfig,
    SGDConfig,
)
from mrpnkit.config.parts import build_part
from mrpnkit.data import (
    Augmentation,
    Corpus,
    CorpusDataset,
    Fold,
    Loader,
    ModalityDropout,
    RandomSlice,
    drawn_validation,
    group_folds,
    held_out,
    loader,
)
from mrpnkit.errors import ConfigError, DependencyError, InputError, MrpnkitError, Problem, RegistryError
from mrpnkit.fusions.presence import check_kinds
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.objective import Objective

T = TypeVar("T")
_log = logging.getLogger(__name__)


def build_corpus(config: Config, folder: str | Path) -> Corpus:
    """Opens the data set, and checks that it has what the configuration names.

    Args:
        config: the configuration.
        folder: where relative paths begin: that of the configuration's file.

    Raises:
        ConfigError: the data set refuses its options, or does not have what the configuration names.
        MrpnkitError: what the data set itself raises.
    """
    problems: list[Problem] = []
    source = _attempt(problems, "dataset", lambda: _part("data set", config.dataset))
    refuse(problems)
    corpus = source.load(Path(folder))
    if not isinstance(corpus, Corpus):
        text = f"{type(source).__name__}.load() must return a Corpus, returned {type(corpus).__name__}."
        raise ConfigError(SOURCE, [Problem("dataset", text)])
    check_corpus(config, corpus)
    return corpus


def build_folds(config: Config, corpus: Corpus) -> list[Fold]:
    """All folds; which of them are run, ``folds.only`` says. Where ``folds.test`` names groups, that one split.

    A class that a training part lacks is left to the audit of the split. Without ``folds.group`` every sample is a
    group of its own: the folds are random, balanced by ``folds.stratum`` or else by the first target of which a sample
    has one class; see :func:`warn_of_random_folds`.

    Raises:
        ConfigError, SplitError: columns that are not there, folds that cannot be made.
    """
    check_corpus(config, corpus)
    folds = config.folds
    if folds.test is not None and folds.group is not None:
        groups = corpus.groups[folds.group]
        if folds.validation is not None:
            return [held_out(groups, test=folds.test, validation=folds.validation)]
        first = _first_classes(config, corpus)
        labels = corpus.targets[first] if first is not None else np.zeros(len(corpus), dtype=np.int64)
        share, seed = folds.validation_share, folds.seed or 0
        return [drawn_validation(groups, test=folds.test, share=share, labels=labels, seed=seed, every_class=False)]
    stratum = _stratum(config, corpus)
    strata = (
        None
        if stratum is None
        else (corpus.groups[stratum] if stratum in corpus.groups else labels_of(stratum, corpus))
    )
    if folds.group is None:
        return group_folds(corpus.ids, folds.count, strata=strata, seed=folds.seed or 0)
    return group_folds(corpus.groups[folds.group], folds.count, strata=strata, seed=folds.seed)


def warn_of_random_folds(config: Config, corpus: Corpus) -> None:
    """Logs a warning where folds are random over samples: before a training, not wherever they are made again."""
    if config.folds.group is None:
        stratum = _stratum(config, corpus)
        _log.warning(
            "folds: random over samples, balanced by %s. If several samples come from one person or recording, name "
            "its column as folds.group; otherwise the test tells too much.",
            "nothing" if stratum is None else repr(stratum),
        )


def build_model(config: Config, corpus: Corpus) -> MRPN:
    """The network, with weights drawn from torch's global generator: seed it before.

    Raises:
        ConfigError: a part refuses its options, or the width of what it reads.
    """
    refuse(unfit(config, corpus))
    problems: list[Problem] = []
    branches: dict[str, Branch] = {}
    for name in config.branches:
        branch = _branch(config, corpus, name, problems)
        if branch is not None:
            branches[name] = branch
    refuse(problems)
    model = config.model
    targets = build_targets(config, corpus)
    outputs = {name: target.outputs for name, target in targets.items()}
    widths = [branch.out_features for branch in branches.values()]
    facts = {"features": widths, "targets": outputs, "sequences": [b.extractor.out_features for b in branches.values()]}
    fusion = _attempt(problems, "model.fusion", lambda: _part("fusion", model.fusion, **facts))
    _attempt(problems, "model.fusion", lambda: check_kinds(fusion, {n: t.kind for n, t in targets.items()}))
    refuse(problems)
    built = _attempt(
        problems,
        "model",
        lambda: MRPN(
            branches,
            outputs,
            network=model.network,
            hidden=model.hidden,
            dropout=model.dropout,
            side=model.side,
            fallback=model.fallback,
            fusion=fusion,
        ),
    )
    refuse(problems)
    return built


def build_objective(
    config: Config,
    corpus: Corpus,
    *,
    rows: NDArray[np.int64] | None = None,
    scales: Mapping[str, Scale] | None = None,
    model: MRPN | None = None,
) -> Objective:
    """The N+1 losses of every target; ``rows`` and ``scales`` as for :func:`mrpnkit.build_targets.build_targets`.

    Give the model to train it with the loss that its fusion has of its own, where it has one.
    """
    refuse(unfit(config, corpus))
    problems: list[Problem] = []
    balancer = _attempt(problems, "objective.balancer", lambda: _part("balancer", config.objective.balancer))
    refuse(problems)
    weights = {name: chosen.weight for name, chosen in config.targets.items()}
    targets = build_targets(config, corpus, rows=rows, scales=scales)
    return Objective(
        targets,
        weights=config.objective.weights,
        target_weights=weights,
        balancer=balancer,
        criterion=getattr(model.fusion, "criterion", None) if model is not None else None,
    )


def check_steering(objective: Objective, model: nn.Module) -> None:
    """Whether the balancer can steer this network's training, with targets of these kinds.

    Raises:
        ConfigError: it cannot.
    """
    try:
        Steering(objective.balancer, model, {name: target.kind for name, target in objective.targets.items()})
    except InputError as error:
        raise ConfigError(SOURCE, [Problem("objective.balancer", str(error))]) from error


def build_loader(
    config: Config, corpus: Corpus, rows: NDArray[np.int64], purpose: Literal["train", "evaluate"]
) -> Loader:
    """Batches of some rows of the corpus: shuffled, sliced and without some modalities to train, whole to evaluate."""
    names, training = list(config.branches), config.training
    if purpose == "evaluate":
        return loader(CorpusDataset(corpus, rows, modalities=names), training.batch_size, workers=training.workers)
    slices = {
        name: RandomSlice(branch.slice_seconds, corpus.modalities[name].rate or 0.0)
        for name, branch in config.branches.items()
        if branch.slice_seconds is not None
    }
    rates = {
        name: training.modality_dropout if branch.modality_dropout is None else branch.modality_dropout
        for name, branch in config.branches.items()
    }
    dropout = ModalityDropout(rates) if any(rates.values()) and len(rates) > 1 else None
    draws = Augmentation(slices=slices, dropout=dropout)
    dataset = CorpusDataset(corpus, rows, modalities=names, augmentation=draws, seed=training.seed)
    return loader(dataset, training.batch_size, shuffle_seed=training.seed, workers=training.workers)


def build_optimizer(config: Config, model: nn.Module) -> Optimizer:
    """The optimizer over all parameters that are trained; Adam's steps are taken by PyTorch's fused kernel."""
    chosen, parameters = config.training.optimizer, [p for p in model.parameters() if p.requires_grad]
    match chosen:
        case AdamWConfig():
            decay = chosen.weight_decay
            return AdamW(parameters, lr=chosen.learning_rate, weight_decay=decay, betas=chosen.betas, fused=True)
        case AdamConfig():
            return Adam(parameters, lr=chosen.learning_rate, betas=chosen.betas, fused=True)
        case SGDConfig():
            return SGD(parameters, lr=chosen.learning_rate, momentum=chosen.momentum, weight_decay=chosen.weight_decay)
    assert_never(chosen)


def build_scheduler(config: Config, optimizer: Optimizer, steps: int) -> LRScheduler | ReduceLROnPlateau | None:
    """The schedule of the learning rate over ``steps`` optimiser steps in all; None where it is constant.

    The learning rate alone: momentum and betas stay as the optimizer has them.
    """
    chosen = config.training.schedule
    match chosen:
        case PlateauConfig():
            return ReduceLROnPlateau(optimizer, factor=chosen.factor, patience=chosen.patience)
        case OneCycleConfig():
            rate = config.training.optimizer.learning_rate
            return OneCycleLR(optimizer, rate, total_steps=steps, pct_start=chosen.warm_up, cycle_momentum=False)
        case ConstantConfig():
            return None
    assert_never(chosen)


def labels_of(target: str, corpus: Corpus) -> list[str]:
    """The class name of each sample, and an empty text where it is missing."""
    classes = corpus.classes[target]
    return [classes[label] if label >= 0 else "" for label in corpus.targets[target].tolist()]


def _first_classes(config: Config, corpus: Corpus) -> str | None:
    """The first target of which a sample has one class."""
    return next((name for name in target_names(config, corpus) if name in corpus.single_classes), None)


def _stratum(config: Config, corpus: Corpus) -> str | None:
    """What is balanced over the folds: the column or target that is named, without groups else the first classes."""
    if config.folds.stratum is not None:
        return config.folds.stratum
    return _first_classes(config, corpus) if config.folds.group is None else None


def _branch(config: Config, corpus: Corpus, name: str, problems: list[Problem]) -> Branch | None:
    chosen, modality = config.branches[name], corpus.modalities[name]
    facts = {"in_features": corpus.features(name), "step_shape": modality.steps.shape[1:], "rate": modality.rate}
    path = f"branches.{name}"
    extractor = _attempt(problems, f"{path}.extractor", lambda: _part("extractor", chosen.extractor, **facts))
    if extractor is None:
        return None
    width = getattr(extractor, "out_features", None)
    if not isinstance(width, int):
        text = f"{type(extractor).__name__} has no integer attribute out_features, the width of the steps it returns."
        problems.append(Problem(f"{path}.extractor", text))
        return None
    aggregator = _attempt(
        problems, f"{path}.aggregator", lambda: _part("aggregator", chosen.aggregator, in_features=width)
    )
    return None if aggregator is None else _attempt(problems, path, lambda: Branch(extractor, aggregator))


def _part(kind: str, part: PartConfig, **facts: Any) -> Any:
    return build_part(kind, part.name, part.options, **facts)


def _attempt(problems: list[Problem], path: str, make: Callable[[], T]) -> T | Any:
    """What ``make`` makes, or None and a problem at the path where its options cannot be."""
    try:
        return make()
    except (ConfigError, RegistryError, DependencyError):
        raise
    except MrpnkitError as error:
        problems.append(Problem(path, str(error)))
    except (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        problems.append(Problem(path, f"cannot be built: {type(error).__name__}: {error}"))
    return None

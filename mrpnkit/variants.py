"""What an ablation compares: the configuration with one modality, another network, another fusion or balancer."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mrpnkit.build import build_model, build_objective, check_steering
from mrpnkit.build_adaptation import as_networks_read
from mrpnkit.config import Config, parse_config
from mrpnkit.data import Corpus
from mrpnkit.errors import ConfigError, InputError, Problem
from mrpnkit.names import FUSED

NETWORKS = ("n0", "n1", "n2")
NETWORK_LABELS = {"n0": "N0", "n1": "N1", "n2": "N2 (MRPN)"}
BY_DEFAULT = (
    "What is asked for beside the configuration's own fusion and balancer has its default options; to try one with "
    "others, make it the configuration's own, by the file or --set"
)
"""What is said where those options do not do."""


def variants(
    config: Config, *, fusions: Sequence[str] = (), balancers: Sequence[str] = ()
) -> dict[str, tuple[str, Config]]:
    """Label and configuration of each single modality, N0, N1 and N2, and what was asked for, by the folder's name.

    Args:
        config: its own fusion and balancer are those of N0, N1 and N2.
        fusions: further ones, by registered name.
        balancers: further ones; each is tried with each of the fusions, and with the configuration's own.

    Raises:
        InputError: one branch only, a monitored metric that not every network has, or a balancer for N0.
        ConfigError: no such fusion or balancer.
    """
    if len(config.branches) < 2:
        raise InputError(
            f"An ablation compares modalities with their fusion; the configuration has only the branch "
            f"{next(iter(config.branches))!r}. Give it two or more."
        )
    parts = config.training.monitor.split("/")
    if len(parts) == 3 and parts[1] != FUSED:
        raise InputError(
            f"training.monitor is {config.training.monitor!r}, which a network without that head does not have; for "
            f"an ablation, monitor loss or {parts[0]}/{FUSED}/{parts[2]}."
        )
    found = {}
    for name in config.branches:
        found[f"only_{name}"] = (f"{name} alone", changed(config, branches=(name,), network="n0"))
    for network in NETWORKS:
        label = NETWORK_LABELS[network]
        found[network] = (label, changed(config, branches=tuple(config.branches), network=network))
    network = config.model.network
    if balancers and network == "n0":
        raise InputError("N0 has one loss, so that there is nothing to balance; give model.network n1 or n2.")
    own = (config.model.fusion.name, config.objective.balancer.name)
    problems: dict[Problem, None] = {}  # in their order, each once
    for fusion in dict.fromkeys([own[0], *fusions]):
        for balancer in dict.fromkeys([own[1], *balancers]):
            if (fusion, balancer) != own:
                label = " + ".join([NETWORK_LABELS[network], fusion, *([balancer] if balancers else [])])
                try:
                    found[f"{network}-{fusion}-{balancer}"] = (label, with_parts(config, fusion, balancer))
                except ConfigError as error:
                    problems |= dict.fromkeys(error.problems)
    if problems:
        raise ConfigError(BY_DEFAULT, list(problems))
    return found


def with_parts(config: Config, fusion: str, balancer: str) -> Config:
    """The configuration with another fusion or balancer, which have their default options unless it is the same."""
    content = config.resolved()
    if fusion != config.model.fusion.name:
        content["model"]["fusion"] = {"name": fusion}
    if balancer != config.objective.balancer.name:
        content["objective"]["balancer"] = {"name": balancer}
    return parse_config(content, source="ablation")


def changed(config: Config, *, branches: Sequence[str], network: str, seed: int | None = None) -> Config:
    """The configuration with some of its branches, another network, or another seed."""
    content = config.resolved()
    content["branches"] = {name: content["branches"][name] for name in branches}
    content["model"]["network"] = network
    if content["adaptation"] is not None and content["adaptation"]["modalities"] is not None:
        kept = [name for name in content["adaptation"]["modalities"] if name in branches]
        content["adaptation"] = {**content["adaptation"], "modalities": kept} if kept else None
    if network == "n0":
        content["model"]["fallback"] = "never"  # it has no side scores
    heads = {FUSED, *(branches if network != "n0" else ())}
    content["objective"]["weights"] = {h: w for h, w in content["objective"]["weights"].items() if h in heads}
    if seed is not None:
        content["training"]["seed"] = seed
    return parse_config(content, source="ablation")


def check_variants(todo: Mapping[str, tuple[str, Config]], corpus: Corpus, rows: NDArray[np.int64]) -> None:
    """Builds network, losses and balancer of every variant once, so that what cannot be is said before any is trained.

    Args:
        todo: as :func:`variants` gives them.
        corpus: the data set.
        rows: of samples that train.

    Raises:
        ConfigError: all problems, each with the variants that have it.
    """
    found: dict[Problem, list[str]] = {}
    for label, variant in todo.values():
        try:
            model = build_model(variant, as_networks_read(variant, corpus))
            objective = build_objective(variant, corpus, rows=rows, model=model)
            check_steering(objective, model)
        except ConfigError as error:
            for problem in error.problems:
                found.setdefault(problem, []).append(label)
    if found:
        problems = [Problem(path, f"{text} ({', '.join(labels)})") for (path, text), labels in found.items()]
        raise ConfigError("Nothing was trained, since not every variant can be", problems)

"""Everything that is found out about a run: interference, calibration, information, residuals, gradients, features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mrpnkit.adapted import adapted, groups_in
from mrpnkit.analysis import (
    Agreement,
    Calibration,
    Interference,
    Outcomes,
    Residuals,
    Worth,
    agreement,
    calibration,
    inspect_residuals,
    interference,
    judge_subsets,
    worth,
)
from mrpnkit.analysis.subsets import LARGEST
from mrpnkit.build import build_loader
from mrpnkit.data import Corpus
from mrpnkit.errors import InputError, RunError
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.predict import trained_model
from mrpnkit.records import read_json
from mrpnkit.report.embedding import Embedding, embed
from mrpnkit.report.reading import open_data, read_outcomes, targets_of, tested_rows
from mrpnkit.report.summary import Summary, read_summary
from mrpnkit.runs import AUDIT, Run
from mrpnkit.sequences import Sequences
from mrpnkit.train import GradientRecord, read_gradients

SHOWN_SAMPLES = 600
"""Of so many test samples of one fold features are laid out in the plane."""


class TargetFindings(NamedTuple):
    """About one target with classes.

    ``worth``, ``residuals`` and ``embeddings`` need the data; they are None or empty where those are not there, and
    residuals also where the network has none. ``beside`` are heads of other runs.
    """

    target: str
    outcomes: Outcomes
    interference: Interference
    calibration: dict[str, Calibration]
    agreement: list[Agreement]
    worth: Worth | None
    residuals: Residuals | None
    embeddings: dict[str, Embedding]
    beside: list[str]


class Findings(NamedTuple):
    """About a run: what was trained, the targets with classes, gradients by fold, and the audit of the split."""

    folder: Path
    summary: Summary
    targets: list[TargetFindings]
    gradients: dict[int, list[GradientRecord]]
    audit: dict[str, Any]
    data_found: bool


def find(
    folder: str | Path,
    *,
    beside: Mapping[str, str | Path] | None = None,
    cluster: str | None = None,
    corpus: Corpus | None = None,
    draws: int = 2000,
) -> Findings:
    """Analyses a run; figures that need its data are left out where the data are no longer there.

    Args:
        folder: of the run, with one finished fold or more.
        beside: other runs on the same data and folds, such as of a modality alone; their fusions are further heads.
        cluster: the column whose samples belong together in intervals and tests; by default the column of the folds.
        corpus: the data, where they are open already.
        draws: of the bootstrap.

    Raises:
        RunError: no run, or no finished fold.
        InputError: runs that cannot be compared, or no such column.
    """
    run = Run.open(folder)
    summary = read_summary(folder)
    data = corpus if corpus is not None else open_data(run)
    numbers = sorted(run.finished())
    if not numbers:
        raise RunError(f"{run.folder} has no finished fold yet; `mrpnkit train` goes on with it.")
    grouped = _cluster(run, data, cluster)
    models = {number: trained_model(run, number) for number in numbers} if data is not None else {}
    others = {name: _named(run, Run.open(other), data) for name, other in (beside or {}).items()}
    found = []
    for target in targets_of(run):
        outcomes = read_outcomes(run, target, data)
        for name, (other, own) in others.items():
            outcomes = outcomes.beside(name, read_outcomes(other, target, own))
        found.append(
            TargetFindings(
                target,
                outcomes,
                interference(outcomes, cluster=grouped, draws=draws),
                {head: calibration(outcomes, head) for head in outcomes.heads},
                agreement(outcomes),
                _worth(run, data, models, target, grouped, draws) if data is not None else None,
                _residuals(run, data, models, target) if data is not None else None,
                _embeddings(run, data, models, target) if data is not None else {},
                list(others),
            )
        )
    gradients = {number: read_gradients(run.fold_folder(number)) for number in numbers}
    audit = read_json(run.folder / AUDIT) if (run.folder / AUDIT).is_file() else {}
    return Findings(run.folder, summary, found, {n: g for n, g in gradients.items() if g}, audit, data is not None)


def _cluster(run: Run, data: Corpus | None, asked: str | None) -> str | None:
    """The column whose samples belong together: the one that was asked for, or that of the folds."""
    if asked is None:
        return run.config.folds.group
    if data is None:
        raise InputError(
            f"The column {asked!r} stands in the data of {run.folder}, which are not where they were, or have changed. "
            "Bring them back, or name no column."
        )
    if asked not in data.groups:
        raise InputError(
            f"There is no column {asked!r} whose samples could belong together; the data of {run.folder} have "
            f"{', '.join(data.groups) or 'none'}."
        )
    return asked


def _named(run: Run, other: Run, data: Corpus | None) -> tuple[Run, Corpus | None]:
    """Another run, and what names its samples: its own data, where those are not ours."""
    if other.identity == run.identity:
        return other, data
    own = open_data(other)
    if data is None or own is None:
        raise InputError(
            f"{other.folder} was trained on other data than {run.folder}, and the data of one of them are not where "
            "they were, or have changed, so that samples cannot be paired. Train both on the same data and folds."
        )
    return other, own


def _batches(run: Run, data: Corpus, number: int) -> Any:
    """The test part of a fold, as its network read it."""
    read = adapted(run, number, data, groups_in(run, data))
    return build_loader(run.config, read, tested_rows(run, data, number), "evaluate")


def _worth(
    run: Run, data: Corpus, models: Mapping[int, MRPN], target: str, cluster: str | None, draws: int
) -> Worth | None:
    """Over the test parts of all folds; None for one modality, or for too many to try all subsets."""
    names = list(run.config.branches)
    if not 2 <= len(names) <= LARGEST or targets_of(run)[target].kind != "classification":
        return None
    parts = [judge_subsets(model, _batches(run, data, number), target) for number, model in models.items()]
    rows = np.concatenate([tested_rows(run, data, number) for number in models])
    clusters = data.groups[cluster][rows] if cluster is not None else None
    told = {subset: np.concatenate([part[subset] for part in parts]) for subset in parts[0]}
    return worth(told, data.targets[target][rows], clusters=clusters, draws=draws)


def _residuals(run: Run, data: Corpus, models: Mapping[int, MRPN], target: str) -> Residuals | None:
    if not next(iter(models.values())).perceptrons or targets_of(run)[target].kind != "classification":
        return None
    parts = [inspect_residuals(model, _batches(run, data, number), target) for number, model in models.items()]
    return Residuals(
        np.concatenate([part.labels for part in parts]),
        parts[0].classes,
        {name: np.concatenate([part.ratio[name] for part in parts]) for name in parts[0].ratio},
        {what: np.concatenate([part.switched[what] for part in parts]) for what in parts[0].switched},
    )


@torch.no_grad()
def _embeddings(run: Run, data: Corpus, models: Mapping[int, MRPN], target: str) -> dict[str, Embedding]:
    """Features of the test part of the first fold: f̂ of each branch, and what the fusion reads of all of them."""
    number, model = next(iter(models.items()))
    labels = data.targets[target][tested_rows(run, data, number)]
    device = next(model.parameters()).device
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in [FUSED, *model.branches]}
    seen: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in parts}
    model.eval()
    for batch in _batches(run, data, number):
        inputs = {n: Sequences(v.steps.to(device), v.lengths.to(device)) for n, v in batch.inputs.items()}
        features = model.features(inputs)
        for name, values in features.normalised.items():
            parts[name].append(values.double().cpu().numpy())
            seen[name].append(batch.inputs[name].present.numpy())
        parts[FUSED].append(torch.cat(list(features.corrected.values()), dim=1).double().cpu().numpy())
        seen[FUSED].append(np.ones(len(batch.rows), dtype=np.bool_))
    known = labels >= 0
    found = {}
    for name, pieces in parts.items():
        keep = np.flatnonzero(np.concatenate(seen[name]) & known)[:SHOWN_SAMPLES]
        if len(keep) >= 5:
            found[name] = embed(np.concatenate(pieces)[keep], labels[keep])
    return found

"""From a run's folder to what its heads said: outcomes of each fold, joined, and the networks for a closer look."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as BadZlib

import numpy as np
import torch
from numpy.typing import NDArray

from mrpnkit.analysis import Outcomes
from mrpnkit.analysis.outcomes import KINDS
from mrpnkit.build import build_corpus, build_folds, build_objective
from mrpnkit.data import Corpus, Fold
from mrpnkit.errors import InputError, MrpnkitError, RunError
from mrpnkit.names import FUSED
from mrpnkit.runs import SCORES, Run
from mrpnkit.targets import Target
from mrpnkit.wording import unread


def open_data(run: Run) -> Corpus | None:
    """The data that a run was trained on, or None where they are no longer there or are others now."""
    try:
        corpus = build_corpus(run.config, run.base)
        run.check_corpus(corpus)
    except (MrpnkitError, OSError):
        return None
    return corpus


def targets_of(run: Run) -> dict[str, Target]:
    """The targets of a run whose answers are classes."""
    known: dict[str, Target] = build_objective(run.config, run.corpus_like()).targets
    return {name: target for name, target in known.items() if target.kind in KINDS}


def read_outcomes(run: Run, target: str, corpus: Corpus | None = None) -> Outcomes:
    """What every head said on the test part of every finished fold.

    Args:
        run: with one finished fold or more.
        target: one of :func:`targets_of`.
        corpus: the data, which give the samples' names and groups; without it they are numbered.

    Raises:
        RunError: no finished fold, or scores that are missing or damaged.
        InputError: no such target.
    """
    known = targets_of(run)
    if target not in known:
        raise InputError(f"{run.folder} has no target {target!r} with classes; it has {', '.join(known) or 'none'}.")
    numbers = sorted(run.finished())
    if not numbers:
        raise RunError(f"{run.folder} has no finished fold yet; `mrpnkit train` goes on with it.")
    parts = [_fold(run, number, target, known[target], corpus) for number in numbers]
    heads = list(parts[0].probabilities)
    return Outcomes(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.folds for part in parts]),
        np.concatenate([part.labels for part in parts]),
        parts[0].classes,
        {head: np.concatenate([part.probabilities[head] for part in parts]) for head in heads},
        {name: np.concatenate([part.groups[name] for part in parts]) for name in parts[0].groups},
        known[target].kind,
    )


def tested_rows(run: Run, corpus: Corpus, number: int) -> NDArray[np.int64]:
    """Rows of the corpus that a fold tests."""
    fold: Fold = build_folds(run.config, corpus)[number - 1]
    return fold.test


def _fold(run: Run, number: int, target: str, kind: Target, corpus: Corpus | None) -> Outcomes:
    arrays = _arrays(run.fold_folder(number) / SCORES, f"labels/{target}", f"scores/{FUSED}/{target}")
    rows, labels = arrays["rows"], arrays[f"labels/{target}"]
    present = {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith("present/")}
    probabilities: dict[str, NDArray[np.float64]] = {}
    for name in arrays:
        parts = name.split("/")
        if parts[0] == "scores" and parts[-1] == target:
            head = "/".join(parts[1:-1])
            p = kind.answers(torch.from_numpy(arrays[name]).double()).double().numpy().copy()
            seen = present[head] if head in present else _any(present, len(rows)) if head == FUSED else None
            if seen is not None:
                p[~seen] = np.nan
            probabilities[head] = p
    names = list(run.corpus_like().classes[target])
    ids: Sequence[str] = [corpus.ids[row] for row in rows] if corpus is not None else [f"row {row}" for row in rows]
    groups = {} if corpus is None else {name: values[rows].tolist() for name, values in corpus.groups.items()}
    return Outcomes.of(probabilities, labels, classes=names, ids=ids, folds=np.full(len(rows), number), groups=groups,
                       kind=kind.kind)  # fmt: skip


def _any(present: dict[str, NDArray[np.bool_]], count: int) -> NDArray[np.bool_]:
    masks = list(present.values()) or [np.ones(count, dtype=np.bool_)]
    return np.asarray(np.stack(masks).any(axis=0))


def _arrays(path: Path, *needed: str) -> dict[str, NDArray[Any]]:
    """The arrays of a fold's scores, all of them of as many samples as ``rows``."""
    mend = "Train the fold anew to report it."
    try:
        with path.open("rb") as opened:  # given a path, numpy leaves the file open where it is damaged
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in getattr(file, "files", ())}
    except (OSError, ValueError, EOFError, BadZipFile, BadZlib) as error:
        raise RunError(f"{path} cannot be read: {unread(error)}. {mend}") from error
    missing = [name for name in ("rows", *needed) if name not in arrays]
    if missing:
        raise RunError(f"{path} has no {' and no '.join(map(repr, missing))}; it is no file of scores. {mend}")
    lengths = {name: len(np.atleast_1d(array)) for name, array in arrays.items()}
    other = next((f"{name!r} {length}" for name, length in lengths.items() if length != lengths["rows"]), None)
    if other:
        raise RunError(f"{path} is damaged: {lengths['rows']} rows, but of {other}. {mend}")
    return arrays

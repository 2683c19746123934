"""Enrolling: a new group, such as a speaker, measured from unlabelled samples for the networks of a run."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpnkit.adapted import column_of, fold_adaptation
from mrpnkit.build_adaptation import adapted_modalities
from mrpnkit.data import Corpus
from mrpnkit.data.adaptation import Enrolment
from mrpnkit.errors import InputError, RunError
from mrpnkit.predict import fit_corpus
from mrpnkit.runs import Run
from mrpnkit.wording import nearest

_log = logging.getLogger(__name__)

Steps = dict[str, NDArray[np.generic]]


def enrol(
    run: str | Path,
    data: Corpus | Sequence[Corpus],
    *,
    group: str | None = None,
    condition: str | None = None,
) -> Enrolment:
    """Measures groups from samples; their targets are not read.

    Args:
        run: the folder of a run with adaptation and a finished fold. What is measured serves other runs on features
            that were prepared in the same way as well.
        data: one corpus or several, which count as one: a sample that stands in them again, with the same id and the
            same steps, counts once, and the log says so.
        group: its name. Of data that have the run's column, only its samples are measured; data without the column are
            all of this group. By default every group of the column is measured.
        condition: a value of the run's condition that all samples are of, such as ``"neutral"``; by default the
            value that the configuration names. ``""`` for samples of every kind.

    Raises:
        RunError: no run, one that adapts nothing, or one without a finished fold.
        InputError: steps of another shape than in training, no sample of the group, a condition that is not known.
    """
    opened = Run.open(run)
    column = column_of(opened)
    if group == "":
        raise InputError("A group needs a name that is not empty.")
    wanted = condition if condition is not None else _condition_of(opened)
    _check_condition(opened, wanted)
    names, like = adapted_modalities(opened.config), opened.corpus_like()
    samples: dict[str, list[tuple[str, Steps]]] = {}
    for corpus in [data] if isinstance(data, Corpus) else data:
        fitted = fit_corpus(corpus, like, names, labels="none")
        for name, rows in _rows(fitted, column, group).items():
            read = [
                (fitted.ids[row], {modality: fitted.read(modality, int(row)) for modality in names}) for row in rows
            ]
            samples.setdefault(name, []).extend(read)
    found = Enrolment()
    for name, several in samples.items():
        single = _each_once(several)
        if len(single) < len(several):
            _log.warning(
                "%d of the %d samples of %r stand there again, with the same id and steps; each counts once.",
                len(several) - len(single),
                len(several),
                name,
            )
        sequences = {modality: [steps[modality] for steps in single] for modality in names}
        _refuse_empty(name, sequences)
        found = found.enrol(name, sequences, condition=wanted)
    if not found.groups:
        raise InputError(f"The data have no sample of the group {group!r} of {column!r}.")
    return found


def _rows(corpus: Corpus, column: str, group: str | None) -> dict[str, NDArray[np.int64]]:
    """Rows to measure by group; none where a column is there and has nobody of the name."""
    if column not in corpus.groups:
        if group is None:
            raise InputError(f"The data have no column {column!r}; name the group that all of their samples are of.")
        return {group: np.arange(len(corpus))}
    owners = corpus.groups[column]
    known = sorted(set(owners.tolist()) - {""})
    if group is not None and group not in known:
        raise InputError(
            f"The data have no sample whose {column!r} is {group!r}{nearest(group, known)} They have "
            f"{', '.join(known[:10]) or 'no named group'}. Without that column, all samples are of the named group."
        )
    return {name: np.flatnonzero(owners == name) for name in ([group] if group is not None else known)}


def _each_once(samples: Iterable[tuple[str, Steps]]) -> list[Steps]:
    """Samples less those whose id and steps were there before."""
    kept: dict[str, list[Steps]] = {}
    for identity, steps in samples:
        before = kept.setdefault(identity, [])
        if not any(all(np.array_equal(one[name], steps[name]) for name in steps) for one in before):
            before.append(steps)
    return [steps for of_one_id in kept.values() for steps in of_one_id]


def _condition_of(run: Run) -> str:
    return run.config.adaptation.condition_value if run.config.adaptation is not None else ""


def _check_condition(run: Run, condition: str) -> None:
    finished = sorted(run.finished())
    if not finished:
        raise RunError(f"{run.folder} has no finished fold yet; `mrpnkit train` goes on with it.")
    known = fold_adaptation(run, finished[0]).population
    if condition not in known:
        values = [value for value in known if value]
        has = ", ".join(values) or "none: its configuration has no adaptation.condition"
        raise InputError(f"{run.folder} knows no condition {condition!r}{nearest(condition, values)} It knows {has}.")


def _refuse_empty(group: str, sequences: Mapping[str, Sequence[NDArray[np.generic]]]) -> None:
    if not any(len(steps) for many in sequences.values() for steps in many):
        raise InputError(f"No sample of {group!r} has steps of {' or '.join(sequences)}; there is nothing to measure.")

"""Data as the networks of an adapted run read them: each sample normalised with statistics of its group.

Every fold has a population of its own, that of its training part, and stores it beside its weights. A run recognises
the data that it was trained on, and then takes the groups as the training took them. In other data everybody is new: a
group that happens to have the name of a training group is somebody else. It has been enrolled, or it is normalised as
the population, and the log says so.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.build_adaptation import (
    FoldAdaptation,
    adapted_modalities,
    build_adaptation,
    enrolled_rows,
    protocol_of,
)
from mrpnkit.config import Config
from mrpnkit.data import Corpus, Fold
from mrpnkit.data.adaptation import Adaptation, Enrolment
from mrpnkit.errors import InputError, RunError
from mrpnkit.runs import ADAPTATION, Run, is_first_process

_log = logging.getLogger(__name__)


class DataGroups(NamedTuple):
    """Whose the samples of some data are.

    ``owners`` is the group of each sample. ``own`` says that the data are those of the training; where they are not,
    only groups of ``enrolment`` are known.
    """

    owners: list[str]
    own: bool
    enrolment: Enrolment


def adapted_fold(
    config: Config, corpus: Corpus, fold: Fold, folder: Path | None
) -> tuple[Corpus, FoldAdaptation | None]:
    """The corpus as a fold trains and tests on it, and the statistics; as it is where nothing is adapted.

    Statistics are written into the fold's folder, where there is one, and read back when a training goes on.
    """
    if config.adaptation is None:
        return corpus, None
    path = folder / ADAPTATION if folder is not None else None
    if path is not None and path.is_file():
        counts = {group: len(rows) for group, rows in enrolled_rows(config, corpus, fold).items()}
        found = FoldAdaptation(Adaptation.load(path), counts)
    else:
        made = build_adaptation(config, corpus, fold)
        assert made is not None
        found = made
        if path is not None and is_first_process():
            path.parent.mkdir(parents=True, exist_ok=True)
            found.adaptation.save(path)
    return found.adaptation.apply(corpus, config.adaptation.column), found


def record_of(config: Config, found: FoldAdaptation) -> dict[str, Any]:
    """What ``fold.json`` says of it: the protocol in words, the settings, how many samples of whom were enrolled."""
    settings = config.adaptation.model_dump(mode="json") if config.adaptation is not None else {}
    return {
        "protocol": protocol_of(config.adaptation),
        **settings,
        "modalities": found.adaptation.modalities,
        "enrolled_samples": found.enrolled,
    }


def fold_adaptation(run: Run, number: int) -> Adaptation:
    """The statistics that a finished fold was trained and tested with.

    Raises:
        RunError: the run adapts nothing.
        CorpusError: the file is missing or damaged.
    """
    column_of(run)
    return Adaptation.load(run.fold_folder(number) / ADAPTATION)


def column_of(run: Run) -> str:
    """The column whose groups a run adapts to.

    Raises:
        RunError: it adapts nothing.
    """
    if run.config.adaptation is None:
        raise RunError(
            f"{run.folder} was trained without adaptation, so that no group can be enrolled or named. Give "
            "the configuration a table [adaptation], and train it."
        )
    return run.config.adaptation.column


def groups_in(
    run: Run, corpus: Corpus, *, enrolment: Enrolment | None = None, group: str | None = None
) -> DataGroups | None:
    """Whose the samples of some data are; None for a run that adapts nothing.

    Args:
        run: whose column of groups it is.
        corpus: the data.
        enrolment: groups that were enrolled; of the run's own data they replace those of the same names.
        group: the enrolled group that all samples are of, whatever a column says.

    Raises:
        RunError: an enrolment or a group for a run that adapts nothing.
        InputError: as :func:`owners_of`.
    """
    if run.config.adaptation is None and enrolment is None and group is None:
        return None
    column, known = column_of(run), enrolment or Enrolment()
    if group is None and run.trained_on(corpus):
        return DataGroups(corpus.groups[column].tolist(), True, known)
    owners = owners_of(corpus, column, enrolment=known, modalities=adapted_modalities(run.config), group=group)
    return DataGroups(owners, False, known)


def protocol_with(config: Config, groups: DataGroups | None) -> str | None:
    """What is to be said beside figures on data whose groups are these; None where nobody's samples were used."""
    if groups is None or config.adaptation is None:
        return None
    if groups.own:
        return protocol_of(config.adaptation)
    count = sum(owner in groups.enrolment.groups for owner in groups.owners)
    if not count:
        return None
    rest = "" if count == len(groups.owners) else "; the others are read as the population"
    return (
        f"Adapted to those who are tested: {count} of {len(groups.owners)} samples are of groups of "
        f"{config.adaptation.column!r} that were enrolled, and are normalised with statistics of samples of theirs, "
        f"which may be among those that are judged{rest}. The figures are not comparable with those of networks that "
        "meet a group for the first time."
    )


def adapted(run: Run, number: int, corpus: Corpus, groups: DataGroups | None) -> Corpus:
    """The data as the network of a fold reads them, by what :func:`groups_in` found.

    Raises:
        InputError: enrolled statistics of another width or condition, steps of another width.
    """
    if groups is None:
        return corpus
    stored = fold_adaptation(run, number)
    known = stored if groups.own else stored.of_population()
    return known.with_enrolled(groups.enrolment).apply_to(corpus, groups.owners)


def owners_of(
    corpus: Corpus, column: str, *, enrolment: Enrolment, modalities: Sequence[str], group: str | None = None
) -> list[str]:
    """The group of each sample of new data; the log says who is normalised as the population, and in which modality.

    Args:
        corpus: the data.
        column: where a sample's group stands; without it nobody is known.
        enrolment: the groups that are known.
        modalities: those that are normalised.
        group: the one that all samples are of, whatever the column says.

    Raises:
        InputError: a group that was not enrolled; enrolled groups, and neither a column nor a name to tell whose the
            samples are.
    """
    if group is not None:
        owners: list[str] = [enrolment.check(group)] * len(corpus)
        _tell_unmeasured(corpus, owners, enrolment, modalities)
        return owners
    if column not in corpus.groups:
        if enrolment.groups:
            raise InputError(
                f"The data have no column {column!r} that says whose each sample is. Name the group that all of them "
                f"are of: one of {', '.join(enrolment.groups)}."
            )
        _log.warning("adaptation: nobody is enrolled; all samples are normalised as the population of the training.")
        return [""] * len(corpus)
    owners = corpus.groups[column].tolist()
    strange = [owner for owner in dict.fromkeys(owners) if owner not in enrolment.groups]
    if strange:
        count = sum(owner not in enrolment.groups for owner in owners)
        _log.warning(
            "adaptation: %d of %d samples are of groups of %r that are not enrolled (%s); they are normalised as the "
            "population of the training.",
            count,
            len(owners),
            column,
            _some(strange),
        )
    _tell_unmeasured(corpus, owners, enrolment, modalities)
    return owners


def _tell_unmeasured(corpus: Corpus, owners: Sequence[str], enrolment: Enrolment, modalities: Sequence[str]) -> None:
    """The log says which enrolled groups have a modality now that they had not when they were measured."""
    for name in modalities:
        if name not in corpus.modalities:
            continue
        without = {owner for owner, found in enrolment.groups.items() if name not in found.moments}
        lengths = corpus.modalities[name].lengths
        lacking = [owner for owner, length in zip(owners, lengths, strict=True) if length and owner in without]
        if lacking:
            _log.warning(
                "adaptation: %d of %d samples have %r, which was not measured of their groups (%s); it is normalised "
                "as the population of the training. Enrol those groups with samples that have it.",
                len(lacking),
                len(owners),
                name,
                _some(list(dict.fromkeys(lacking))),
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) if name else "without a name" for name in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")

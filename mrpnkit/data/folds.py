"""Folds: groups are never split, strata are balanced over the folds, and the same input gives the same folds."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.labels import text_of
from mrpnkit.errors import SplitError

Rows = NDArray[np.int64]
Column = Sequence[Any] | NDArray[Any]


class Fold(NamedTuple):
    """Rows of the three parts of one fold, and the groups held out for validation and test."""

    train: Rows
    validation: Rows
    test: Rows
    validation_groups: tuple[str, ...]
    test_groups: tuple[str, ...]

    @property
    def name(self) -> str:
        """The test groups, as in ``1,2``: how tables call the fold."""
        return ",".join(self.test_groups)


def group_folds(
    groups: Column,
    folds: int,
    *,
    strata: Column | None = None,
    labels: Column | None = None,
    seed: int | None = None,
) -> list[Fold]:
    """Divides groups into folds; each fold's part is tested once, the next fold's part serves for validation.

    Within each stratum the groups are taken in natural order (``"2"`` before ``"10"``), or shuffled if a seed is
    given, and dealt to the folds in runs of nearly equal length. With actors as groups and sexes as strata, ten folds
    of 20 actors numbered by alternating sex are the pairs (1, 2), (3, 4) … (19, 20), as the paper has them.

    Args:
        groups: the group of each sample, such as its actor.
        folds: how many, at least 3: one tests, one validates, the others train.
        strata: the stratum of each sample, the same for all samples of a group, such as the actor's sex.
        labels: the class of each sample by number or name, −1 or the empty text where it is missing; if given, every
            class must be in the training part of every fold.
        seed: shuffles the groups.

    Raises:
        SplitError: fewer groups than folds, a group in two strata, a class that a training part lacks.

    >>> [fold.name for fold in group_folds(["1", "2", "3", "4", "5", "6"], 3, strata=["m", "f"] * 3)]
    ['1,2', '3,4', '5,6']
    """
    names = _names(groups)
    kinds = np.asarray([text_of(stratum) for stratum in strata]) if strata is not None else np.full(len(names), "")
    if len(kinds) != len(names) or (labels is not None and len(labels) != len(names)):
        given = f"{len(kinds)} strata and {'no' if labels is None else len(labels)} labels"
        raise SplitError(f"group_folds: {len(names)} groups, but {given}; expected one for each sample.")
    stratum_of = _strata(names, kinds)
    if folds < 3:
        raise SplitError(f"group_folds: {folds} folds; at least 3 are needed: to test, to validate and to train.")
    if len(stratum_of) < folds:
        raise SplitError(
            f"group_folds: {len(stratum_of)} groups cannot fill {folds} folds; a group is never split. Ask for at "
            f"most {len(stratum_of)} folds, or give finer groups."
        )
    parts = _deal(stratum_of, folds, seed)
    return [
        held_out(names, test=tested, validation=parts[(number + 1) % folds], labels=labels)
        for number, tested in enumerate(parts)
    ]


def held_out(
    groups: Sequence[Any] | NDArray[Any],
    *,
    test: Sequence[Any],
    validation: Sequence[Any],
    labels: Sequence[Any] | NDArray[Any] | None = None,
) -> Fold:
    """The fold that tests on some groups, selects on others, and trains on the rest.

    Args:
        groups: the group of each sample.
        test: groups of the test part.
        validation: groups of the validation part; none of them tests.
        labels: as for :func:`group_folds`.

    Raises:
        SplitError: a group that no sample has, one in both parts, nobody left to train on, a class that is not trained.

    >>> held_out(["a", "b", "c", "a"], test=["b"], validation=["c"]).train
    array([0, 3])
    """
    names = _names(groups)
    tested, validated = ([text_of(group) for group in part] for part in (test, validation))
    known = sorted(set(names.tolist()), key=natural)
    unknown = [group for group in (*tested, *validated) if group not in known]
    if unknown:
        raise SplitError(f"held_out: no sample belongs to the groups {unknown}; there are {known}.")
    both = sorted(set(tested) & set(validated), key=natural)
    if both:
        raise SplitError(f"held_out: the groups {both} are to test and to validate; a group does one of the two.")
    testing, validating = np.isin(names, tested), np.isin(names, validated)
    fold = Fold(
        np.flatnonzero(~testing & ~validating),
        np.flatnonzero(validating),
        np.flatnonzero(testing),
        tuple(sorted(validated, key=natural)),
        tuple(sorted(tested, key=natural)),
    )
    if not len(fold.train) or not len(fold.test):
        raise SplitError(
            f"held_out: {len(fold.train)} samples to train on and {len(fold.test)} to test; there are {known}."
        )
    if labels is not None:
        _check_classes(fold, np.asarray(labels), names)
    return fold


def drawn_validation(
    groups: Column, *, test: Sequence[Any], share: float, labels: Column, seed: int = 0, every_class: bool = True
) -> Fold:
    """The fold that tests on some groups, and selects on samples drawn from the others, class by class.

    For a data set with a fixed test part. Samples of one group may train and validate: where groups are people, name
    those that validate, with :func:`held_out`.

    Args:
        groups: the group of each sample.
        test: groups of the test part.
        share: of the samples of each class that are not tested, above 0 and below 1; at least one a class.
        labels: the class of each sample, −1 where it is missing.
        seed: of what is drawn.
        every_class: whether every class must be in the training part.

    Raises:
        SplitError: as for :func:`held_out`, or a share out of range.

    >>> drawn_validation(["a"] * 4 + ["b"], test=["b"], share=0.5, labels=[0, 1, 0, 1, 0]).test
    array([4])
    """
    if not 0 < share < 1:
        raise SplitError(f"drawn_validation: share must lie above 0 and below 1, got {share}.")
    tested = held_out(groups, test=test, validation=())
    classes, generator = np.asarray(labels)[tested.train], np.random.default_rng(seed)
    drawn = np.zeros(len(tested.train), dtype=np.bool_)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        drawn[generator.permutation(members)[: max(1, round(share * len(members)))]] = True
    fold = tested._replace(train=tested.train[~drawn], validation=tested.train[drawn])
    if every_class:
        _check_classes(fold, np.asarray(labels), _names(groups))
    return fold


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which ``actor_2`` comes before ``actor_10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _names(groups: Column) -> NDArray[np.str_]:
    texts = [text_of(group) for group in groups]
    cut = [text for text in texts if text.endswith("\0")]
    if cut:
        raise SplitError(
            f"The group {cut[0]!r} ends with a NUL character, which arrays of texts do not keep; rename it."
        )
    return np.asarray(texts, dtype=np.str_)


def _strata(names: NDArray[np.str_], kinds: NDArray[np.str_]) -> dict[str, str]:
    stratum_of: dict[str, str] = {}
    for name, kind in zip(names.tolist(), kinds.tolist(), strict=True):
        if stratum_of.setdefault(name, kind) != kind:
            raise SplitError(f"group_folds: group {name!r} stands in the strata {stratum_of[name]!r} and {kind!r}.")
    return stratum_of


def _deal(stratum_of: dict[str, str], folds: int, seed: int | None) -> list[list[str]]:
    """Runs of groups for each fold; strata that do not divide evenly give their rest to the smallest folds."""
    generator = None if seed is None else np.random.default_rng(seed)
    parts: list[list[str]] = [[] for _ in range(folds)]
    for stratum in sorted(set(stratum_of.values())):
        members = sorted((name for name, kind in stratum_of.items() if kind == stratum), key=natural)
        if generator is not None:
            members = [members[place] for place in generator.permutation(len(members))]
        base, rest = divmod(len(members), folds)
        smallest = sorted(range(folds), key=lambda number: (len(parts[number]), number))[:rest]
        start = 0
        for number in range(folds):
            stop = start + base + (number in smallest)
            parts[number].extend(members[start:stop])
            start = stop
    return parts


def _check_classes(fold: Fold, labels: NDArray[Any], groups: NDArray[np.str_]) -> None:
    lacking = sorted(set(labels.tolist()) - set(labels[fold.train].tolist()) - {-1, ""})
    if lacking:
        holding = sorted(set(groups[np.isin(labels, lacking)].tolist()), key=natural)
        raise SplitError(
            f"The training part of fold {fold.name!r} has no sample of the classes {lacking}; they occur only in the "
            f"groups {holding}. Leave these classes out, use fewer folds (3 at least), or groups that hold all classes."
        )

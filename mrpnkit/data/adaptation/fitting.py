"""From a corpus to statistics: of each group of a column, and of the population that the groups are drawn from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.adaptation.moments import (
    Moments,
    Population,
    SampleMoments,
    joined,
    population_of,
    sample_moments,
)
from mrpnkit.data.augment import Slicing
from mrpnkit.data.corpus import Corpus
from mrpnkit.errors import InputError


class Fitted(NamedTuple):
    """The population by condition and modality, where ``""`` are all samples, and the groups by name and modality."""

    population: dict[str, dict[str, Population]]
    groups: dict[str, dict[str, Moments]]


def fitted(
    corpus: Corpus,
    column: str,
    rows: NDArray[np.int64] | None,
    *,
    modalities: Sequence[str] | None,
    condition: str | None,
    window: Slicing | None,
) -> Fitted:
    """As :meth:`mrpnkit.data.adaptation.Adaptation.fit` says; samples whose group has no name belong to none."""
    names = list(modalities if modalities is not None else corpus.modalities)
    unknown = [name for name in names if name not in corpus.modalities]
    if unknown or column not in corpus.groups:
        what = f"modality {unknown[0]!r}" if unknown else f"column {column!r}"
        there = list(corpus.modalities) if unknown else list(corpus.groups)
        raise InputError(f"Adaptation.fit: the corpus has no {what}; it has {', '.join(there) or 'none'}.")
    used = np.arange(len(corpus)) if rows is None else np.asarray(rows)
    owners = corpus.groups[column][used]
    kinds = {"": np.ones(len(used), dtype=np.bool_)}
    if condition is not None:
        values = values_of(corpus, condition)[used]
        kinds |= {value: values == value for value in sorted(set(values.tolist()) - {""})}
    found = Fitted({}, {})
    for name in names:
        samples = {int(row): _sample(corpus, name, int(row), window) for row in used}
        for kind, inside in kinds.items():
            groups = _groups(samples, used[inside], owners[inside])
            if kind == "":
                for owner, moments in groups.items():
                    found.groups.setdefault(owner, {})[name] = moments
            if len(groups) >= 2:
                found.population.setdefault(kind, {})[name] = population_of(list(groups.values()))
            elif kind == "":
                raise InputError(
                    f"Adaptation.fit: {len(groups)} groups of {column!r} have {name!r}; a population needs two."
                )
    return found


def values_of(corpus: Corpus, condition: str) -> NDArray[np.str_]:
    """The value of a column, or the class of a target, for each sample; empty where it is missing.

    Raises:
        InputError: no such column, and no such target with one class a sample.
    """
    if condition in corpus.groups:
        return corpus.groups[condition]
    if condition in corpus.single_classes:
        names = [*corpus.classes[condition], ""]  # the label −1 is missing
        return np.asarray([names[label] for label in corpus.targets[condition].tolist()], dtype=np.str_)
    known = [*corpus.single_classes, *corpus.groups]
    raise InputError(f"Adaptation.fit: no target or column {condition!r} to take conditions from; there are {known}.")


def _groups(
    samples: dict[int, SampleMoments | None], rows: NDArray[np.int64], owners: NDArray[np.str_]
) -> dict[str, Moments]:
    members: dict[str, list[SampleMoments]] = {}
    for row, owner in zip(rows.tolist(), owners.tolist(), strict=True):
        sample = samples[row]
        if owner and sample is not None:
            members.setdefault(owner, []).append(sample)
    return {owner: joined(parts) for owner, parts in members.items()}


def _sample(corpus: Corpus, modality: str, row: int, window: Slicing | None) -> SampleMoments | None:
    length = int(corpus.modalities[modality].lengths[row])
    if not length:
        return None
    chosen = None if window is None else window.draw(length, np.random.default_rng(0))
    return sample_moments(corpus.read(modality, row, chosen))

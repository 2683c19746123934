"""Statistics of a population and of groups, and the normalisation that they give."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.adaptation.enrolment import Enrolment, measured
from mrpnkit.data.adaptation.fitting import fitted
from mrpnkit.data.adaptation.moments import Moments, Population, Vector
from mrpnkit.data.adaptation.storage import Archive, pack, read_archive, unpack, write_archive
from mrpnkit.data.arrays import Modality
from mrpnkit.data.augment import Slicing
from mrpnkit.data.corpus import Corpus
from mrpnkit.errors import InputError
from mrpnkit.wording import nearest

Steps = NDArray[np.float32]
LEAST = 1e-12
"""No variance is taken for less."""


class Adaptation:
    """Statistics of a population and of groups, and the normalisation that they give.

    A step x of group g becomes (x − m_g) / s_g. From n samples of the group with mean x̄ and variance v,

    - m_g = w x̄ + (1 − w) m, where m is the population's mean and w = n / (n + within / between), number by number:
      the best linear estimate of the group's mean where groups scatter around m (empirical Bayes);
    - s_g² = ((n − 1) v + k v̄) / (n − 1 + k), where v̄ is the population's variance within a group and k the strength.

    So a group without samples is normalised as the population is, and one with many by its own values. Made by
    :meth:`fit`; groups are added by :meth:`enrol` and :meth:`with_enrolled`; :meth:`apply` normalises a corpus.

    What is the group's own is gone from such steps, also where it would tell something. With ``with_population`` a
    normalised step is [(x − m_g) / s_g; (x − m) / s], twice as wide along its first axis, and a network sees both.

    Args:
        population: by condition, ``""`` for all samples, and then by modality.
        groups: by name, then by modality.
        strength: k, in samples.
        with_population: whether the step as the population normalises it stands beside.
    """

    def __init__(
        self,
        population: Mapping[str, Mapping[str, Population]],
        groups: Mapping[str, Mapping[str, Moments]] | None = None,
        *,
        strength: float = 10.0,
        with_population: bool = False,
    ) -> None:
        if "" not in population or not strength >= 0:
            raise InputError("Adaptation needs the population of all samples, named '', and a strength of 0 or more.")
        self.population = {condition: dict(found) for condition, found in population.items()}
        self.groups = {name: dict(found) for name, found in (groups or {}).items()}
        self.strength, self.with_population = strength, with_population

    @classmethod
    def fit(
        cls,
        corpus: Corpus,
        column: str,
        rows: NDArray[np.int64] | None = None,
        *,
        modalities: Sequence[str] | None = None,
        condition: str | None = None,
        window: Slicing | None = None,
        strength: float = 10.0,
        with_population: bool = False,
    ) -> "Adaptation":
        """Statistics of the groups of a training part, and of the population that they are drawn from.

        Args:
            corpus: where samples are read from.
            column: whose values are the groups, such as the actor; a sample whose value is empty is of no group.
            rows: of the training part; by default all.
            modalities: which are normalised; by default all.
            condition: a target with classes, or a column; the population is also described for each of its values,
                so that a group may be enrolled from samples of one condition, such as neutral speech.
            window: which steps of a sample count, where it draws nothing at random; by default all.
            strength: k of the variance, in samples.
            with_population: whether the step as the population normalises it stands beside.

        Raises:
            InputError: no such column, modality or condition; fewer than two groups.
        """
        found = fitted(corpus, column, rows, modalities=modalities, condition=condition, window=window)
        return cls(found.population, found.groups, strength=strength, with_population=with_population)

    @property
    def modalities(self) -> list[str]:
        """Those that are normalised."""
        return list(self.population[""])

    def enrol(
        self, group: str, samples: Mapping[str, Sequence[NDArray[np.generic]]], *, condition: str = ""
    ) -> "Adaptation":
        """The same adaptation with a group measured from unlabelled samples, in place of what was known of it.

        Args:
            group: its name.
            samples: of each modality that there is, sequences (T, ...); those without steps do not count.
            condition: which all samples are of, as ``fit`` knows it; the group is then taken to differ from its
                usual self by as much as the population does under that condition.

        Raises:
            InputError: no such condition or modality, steps of another width.
        """
        return self._with(group, measured(samples), condition)

    def with_enrolled(self, enrolment: Enrolment) -> "Adaptation":
        """The same adaptation with groups that were measured before, in place of what was known of them.

        Raises:
            InputError: a condition or modality that is not known here, or another width.
        """
        found = self
        for name, group in enrolment.groups.items():
            found = found._with(name, group.moments, group.condition)
        return found

    def of_population(self) -> "Adaptation":
        """The same adaptation without any group: everybody is normalised as the population."""
        return self._of({})

    def step_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a normalised step, from that of a step as it is."""
        return step_shape(shape, with_population=self.with_population)

    def statistics(self, group: str, modality: str) -> tuple[Vector, Vector]:
        """m_g and s_g (D,); those of the population for a group that is not known."""
        general = self._population(modality, "")
        own = self.groups.get(group, {}).get(modality)
        scale = np.sqrt(np.maximum(general.variance, LEAST))
        if own is None:
            return general.mean, scale
        weight = own.samples / (own.samples + general.within / np.maximum(general.between, LEAST))
        mean = weight * own.mean + (1 - weight) * general.mean
        freedom = own.samples - 1
        if freedom + self.strength > 0:
            blend = (freedom * own.variance + self.strength * general.variance) / (freedom + self.strength)
            scale = np.sqrt(np.maximum(blend, LEAST))
        return mean, scale

    def normalise(self, group: str, modality: str, steps: NDArray[np.generic]) -> Steps:
        """Steps (T, ...) of a group, normalised; float32, and with the population's beside (T, 2 ·, ...)."""
        return self._read(modality, steps, self.statistics(group, modality))

    def apply(self, corpus: Corpus, column: str) -> Corpus:
        """The corpus in memory with the adapted modalities normalised, each sample by its group; the rest as it is.

        Samples of groups that are not known are normalised as the population.

        Raises:
            InputError: no such column, or steps of another width.
        """
        if column not in corpus.groups:
            raise InputError(f"Adaptation.apply: the corpus has no column {column!r}; it has {list(corpus.groups)}.")
        made = self.apply_to(corpus, corpus.groups[column].tolist())
        made.about["adapted"]["column"] = column
        return made

    def apply_to(self, corpus: Corpus, owners: Sequence[str]) -> Corpus:
        """As :meth:`apply`, with the group of each sample said by ``owners`` in place of a column.

        The adapted modalities are held in memory, four bytes a number; what is not adapted stays memory-mapped.

        Raises:
            InputError: another number of owners than samples, or steps of another width.
        """
        if len(owners) != len(corpus):
            raise InputError(f"Adaptation.apply_to: {len(owners)} owners for {len(corpus)} samples; give one for each.")
        found: dict[str, Modality] = dict(corpus.modalities)
        for name in self.modalities:
            if name not in corpus.modalities:
                continue
            modality = corpus.modalities[name]
            steps = np.empty((len(modality.steps), *self.step_shape(modality.steps.shape[1:])), dtype=np.float32)
            known = {owner: self.statistics(owner, name) for owner in dict.fromkeys(owners)}
            ends = np.cumsum(modality.lengths)
            for row, owner in enumerate(owners):
                part = slice(int(ends[row] - modality.lengths[row]), int(ends[row]))
                steps[part] = self._read(name, modality.steps[part], known[owner])
            names = modality.feature_names if steps.shape[1:] == modality.steps.shape[1:] else None
            found[name] = modality._replace(steps=steps, feature_names=names)
        groups = {name: values.tolist() for name, values in corpus.groups.items()}
        settings = {"modalities": self.modalities, "strength": self.strength, "with_population": self.with_population}
        about = {**corpus.about, "adapted": settings}
        return Corpus(corpus.ids, found, corpus.targets, classes=corpus.classes, groups=groups, about=about)

    def save(self, path: str | Path) -> Path:
        """Writes everything as ``.npz`` of plain numbers, whole or not at all. Returns the path."""
        content = {"strength": np.array(self.strength), "modalities": np.asarray(self.modalities, dtype=np.str_)}
        content["with_population"] = np.array(self.with_population)
        content |= pack("conditions", self.population) | pack("groups", self.groups)
        return write_archive(path, Archive("adaptation", content))

    @classmethod
    def load(cls, path: str | Path) -> "Adaptation":
        """Reads what :meth:`save` wrote; nothing in it is executed.

        Raises:
            CorpusError: no such file, another one, or one that is damaged.
        """

        def make(content: Mapping[str, NDArray[np.generic]]) -> "Adaptation":
            names = [str(name) for name in content["modalities"].tolist()]
            population = unpack(content, "conditions", Population, names)
            groups = unpack(content, "groups", Moments, names)
            both = bool(content["with_population"])
            return cls(population, groups, strength=float(content["strength"]), with_population=both)

        return read_archive(path, "adaptation", make)

    def _with(self, group: str, moments: Mapping[str, Moments], condition: str) -> "Adaptation":
        if condition not in self.population:
            known = ", ".join(map(repr, self.population))
            raise InputError(f"Adaptation.enrol: no condition {condition!r} was fitted; there are {known}.")
        found = {}
        for name, own in moments.items():
            general, special = self._population(name, ""), self._population(name, condition)
            if own.mean.shape != general.mean.shape:
                raise InputError(
                    f"Adaptation.enrol: steps of {name!r} of the group {group!r} have another width than "
                    f"{len(general.mean)}: {len(own.mean)}. Measure the group on data that were prepared as those of "
                    "the training."
                )
            scale = general.variance / np.maximum(special.variance, LEAST)
            found[name] = own._replace(
                mean=own.mean - special.mean + general.mean, variance=own.variance * np.clip(scale, 0.01, 100.0)
            )
        return self._of({**self.groups, group: found})

    def _of(self, groups: Mapping[str, Mapping[str, Moments]]) -> "Adaptation":
        """The same population and settings with these groups."""
        return Adaptation(self.population, groups, strength=self.strength, with_population=self.with_population)

    def _read(self, modality: str, steps: NDArray[np.generic], of_group: tuple[Vector, Vector]) -> Steps:
        own = _normalised(modality, steps, *of_group)
        if not self.with_population:
            return own
        general = self._population(modality, "")
        scale = np.sqrt(np.maximum(general.variance, LEAST))
        both = np.stack([own, _normalised(modality, steps, general.mean, scale)], axis=1)
        return both.reshape(len(steps), *self.step_shape(steps.shape[1:]))

    def _population(self, modality: str, condition: str) -> Population:
        known = self.population[condition]
        if modality not in known:
            of = f" of the condition {condition!r}" if condition else ""
            raise InputError(
                f"The adaptation has no statistics of the modality {modality!r}{of}{nearest(modality, known)} It has "
                f"{', '.join(known)}."
            )
        return known[modality]


def step_shape(shape: Sequence[int], *, with_population: bool) -> tuple[int, ...]:
    """The shape of a normalised step: twice as many numbers along the first axis where the population stands beside.

    >>> step_shape((3, 8), with_population=True), step_shape((), with_population=True)
    ((6, 8), (2,))
    """
    if not with_population:
        return tuple(shape)
    return (2 * shape[0], *shape[1:]) if shape else (2,)


def _normalised(modality: str, steps: NDArray[np.generic], mean: Vector, scale: Vector) -> Steps:
    flat = np.asarray(steps, dtype=np.float64).reshape(len(steps), math.prod(steps.shape[1:]))
    if flat.shape[1] != len(mean):
        raise InputError(f"Steps of {modality!r} have {flat.shape[1]} numbers; the statistics have {len(mean)}.")
    return np.asarray((flat - mean) / scale, dtype=np.float32).reshape(steps.shape)

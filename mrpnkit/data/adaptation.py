"""Adaptation to a speaker: steps of a modality normalised with statistics of the group that a sample belongs to.

A voice is high or low and a mouth wide or narrow whatever its owner feels. Where some unlabelled samples of a person
are at hand, what is the person's own can be measured and taken away: every number of a step then tells how it differs
from the same person's usual value. Statistics of a new person are *enrolled* from those samples, shrunk towards the
population where they are few, stored, and applied to whatever is predicted for that person. The use of a test person's
unlabelled samples is a protocol of its own: its results are not comparable with those of networks that meet a person
for the first time, and stand apart.

Letters: D numbers of a flattened step, n samples of a group.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from mrpnkit.data.arrays import Modality
from mrpnkit.data.augment import Slicing
from mrpnkit.data.corpus import Corpus
from mrpnkit.errors import CorpusError, InputError

Vector = Float64[NDArray[np.float64], "features"]
Steps = NDArray[np.float32]


class Moments(NamedTuple):
    """Of a group in one modality, every sample with the same weight.

    ``mean`` and ``variance`` (D,) are over steps; ``spread`` (D,) is the variance of the means of samples (n − 1), 0
    where there is one sample.
    """

    samples: int
    mean: Vector
    variance: Vector
    spread: Vector


class Population(NamedTuple):
    """What groups are like on average, (D,) each.

    The mean over groups; the variance of steps within a group; the variance of the means of samples within a group;
    and the variance of the true means of groups, which is what there is to adapt to.
    """

    mean: Vector
    variance: Vector
    within: Vector
    between: Vector


class Adaptation:
    """Statistics of a population and of groups, and the normalisation that they give.

    A step x of group g becomes (x − m_g) / s_g. From n samples of the group with mean x̄ and variance v,

    - m_g = w x̄ + (1 − w) m, where m is the population's mean and w = n / (n + within / between), number by number:
      the best linear estimate of the group's mean where groups scatter around m (empirical Bayes);
    - s_g² = ((n − 1) v + k v̄) / (n − 1 + k), where v̄ is the population's variance within a group and k the strength.

    So a group without samples is normalised as the population is, and one with many by its own values. Made by
    :meth:`fit`; groups are added by :meth:`enrol`; :meth:`apply` normalises a corpus.

    Args:
        population: by condition, ``""`` for all samples, and then by modality.
        groups: by name, then by modality.
        strength: k, in samples.
    """

    def __init__(
        self,
        population: Mapping[str, Mapping[str, Population]],
        groups: Mapping[str, Mapping[str, Moments]] | None = None,
        *,
        strength: float = 10.0,
    ) -> None:
        if "" not in population or not strength >= 0:
            raise InputError("Adaptation needs the population of all samples, named '', and a strength of 0 or more.")
        self.population = {condition: dict(found) for condition, found in population.items()}
        self.groups = {name: dict(found) for name, found in (groups or {}).items()}
        self.strength = strength

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
    ) -> "Adaptation":
        """Statistics of the groups of a training part, and of the population that they are drawn from.

        Args:
            corpus: where samples are read from.
            column: whose values are the groups, such as the actor.
            rows: of the training part; by default all.
            modalities: which are normalised; by default all.
            condition: a target with classes, or a column; the population is also described for each of its values,
                so that a group may be enrolled from samples of one condition, such as neutral speech.
            window: which steps of a sample count, where it draws nothing at random; by default all.
            strength: k of the variance, in samples.

        Raises:
            InputError: no such column, modality or condition; fewer than two groups.
        """
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
            values = _texts(corpus, condition)[used]
            kinds |= {value: values == value for value in sorted(set(values.tolist()) - {""})}
        groups: dict[str, dict[str, Moments]] = {}
        population: dict[str, dict[str, Population]] = {}
        for name in names:
            means = {int(row): _sample(corpus, name, int(row), window) for row in used}
            for kind, inside in kinds.items():
                found = {}
                for owner in dict.fromkeys(owners.tolist()):
                    members = [means[int(row)] for row in used[inside & (owners == owner)]]
                    known = [one for one in members if one is not None]
                    if known:
                        found[owner] = _joined(known)
                if kind == "":
                    for owner, moments in found.items():
                        groups.setdefault(owner, {})[name] = moments
                if len(found) >= 2:
                    population.setdefault(kind, {})[name] = _population(list(found.values()))
                elif kind == "":
                    raise InputError(
                        f"Adaptation.fit: {len(found)} groups of {column!r} have {name!r}; a population needs two."
                    )
        return cls(population, groups, strength=strength)

    def enrol(self, group: str, samples: Mapping[str, Sequence[Steps]], *, condition: str = "") -> "Adaptation":
        """The same adaptation with a group measured from unlabelled samples, in place of what was known of it.

        Args:
            group: its name.
            samples: of each modality that there is, sequences (T, ...); those without steps do not count.
            condition: which all samples are of, as ``fit`` knows it; the group is then taken to differ from its
                usual self by as much as the population does under that condition.

        Raises:
            InputError: no such condition or modality, steps of another width.
        """
        if condition not in self.population:
            known = ", ".join(map(repr, self.population))
            raise InputError(f"Adaptation.enrol: no condition {condition!r} was fitted; there are {known}.")
        found = {}
        for name, sequences in samples.items():
            general = self._population(name, "")
            special = self._population(name, condition)
            parts = [_moments(np.asarray(steps)) for steps in sequences if len(steps)]
            if any(part[0].shape != general.mean.shape for part in parts):
                raise InputError(f"Adaptation.enrol: steps of {name!r} have another width than {len(general.mean)}.")
            if parts:
                own = _joined(parts)
                scale = general.variance / np.maximum(special.variance, 1e-12)
                found[name] = own._replace(
                    mean=own.mean - special.mean + general.mean, variance=own.variance * np.clip(scale, 0.01, 100.0)
                )
        return Adaptation(self.population, {**self.groups, group: found}, strength=self.strength)

    def statistics(self, group: str, modality: str) -> tuple[Vector, Vector]:
        """m_g and s_g (D,); those of the population for a group that is not known."""
        general = self._population(modality, "")
        own = self.groups.get(group, {}).get(modality)
        scale = np.sqrt(np.maximum(general.variance, 1e-12))
        if own is None:
            return general.mean, scale
        weight = own.samples / (own.samples + general.within / np.maximum(general.between, 1e-12))
        mean = weight * own.mean + (1 - weight) * general.mean
        freedom = own.samples - 1
        if freedom + self.strength > 0:
            blend = (freedom * own.variance + self.strength * general.variance) / (freedom + self.strength)
            scale = np.sqrt(np.maximum(blend, 1e-12))
        return mean, scale

    def normalise(self, group: str, modality: str, steps: NDArray[np.generic]) -> Steps:
        """Steps (T, ...) of a group, normalised; float32."""
        mean, scale = self.statistics(group, modality)
        flat = np.asarray(steps, dtype=np.float64).reshape(len(steps), math.prod(steps.shape[1:]))
        if flat.shape[1] != len(mean):
            raise InputError(f"Steps of {modality!r} have {flat.shape[1]} numbers; the statistics have {len(mean)}.")
        return np.asarray((flat - mean) / scale, dtype=np.float32).reshape(steps.shape)

    def apply(self, corpus: Corpus, column: str) -> Corpus:
        """The corpus in memory with the adapted modalities normalised, each sample by its group; the rest as it is.

        Samples of groups that are not known are normalised as the population.

        Raises:
            InputError: no such column.
        """
        if column not in corpus.groups:
            raise InputError(f"Adaptation.apply: the corpus has no column {column!r}; it has {list(corpus.groups)}.")
        found: dict[str, Modality] = dict(corpus.modalities)
        owners = corpus.groups[column].tolist()
        for name in self.population[""]:
            if name not in corpus.modalities:
                continue
            modality = corpus.modalities[name]
            parts = [self.normalise(owners[row], name, corpus.read(name, row)) for row in range(len(corpus))]
            found[name] = Modality(np.concatenate(parts), modality.lengths, modality.rate)
        groups = {name: values.tolist() for name, values in corpus.groups.items()}
        about = {**corpus.about, "adapted": {"column": column, "strength": self.strength}}
        return Corpus(corpus.ids, found, corpus.targets, classes=corpus.classes, groups=groups, about=about)

    def save(self, path: str | Path) -> Path:
        """Writes everything as ``.npz`` of plain numbers. Returns the path."""
        arrays: dict[str, NDArray[np.generic]] = {"strength": np.array(self.strength)}
        names = {"conditions": list(self.population), "groups": list(self.groups)}
        arrays |= {key: np.asarray(values, dtype=np.str_) for key, values in names.items()}
        arrays["modalities"] = np.asarray(list(self.population[""]), dtype=np.str_)
        for kind, tables in (("condition", self.population), ("group", self.groups)):
            for place, table in enumerate(tables.values()):
                for name, values in table.items():  # type: ignore[attr-defined]
                    for field, value in values._asdict().items():
                        arrays[f"{kind}/{place}/{name}/{field}"] = np.asarray(value)
        path = Path(path)
        partial = path.with_name(path.name + ".partial.npz")
        np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(path)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Adaptation":
        """Reads what :meth:`save` wrote; nothing in it is executed.

        Raises:
            CorpusError: no such file, or another one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = arrays["modalities"].tolist()
            population = {
                str(kind): {
                    name: Population(*(arrays[f"condition/{place}/{name}/{field}"] for field in Population._fields))
                    for name in names
                    if f"condition/{place}/{name}/mean" in arrays
                }
                for place, kind in enumerate(arrays["conditions"].tolist())
            }
            groups = {
                str(group): {
                    name: Moments(
                        int(arrays[f"group/{place}/{name}/samples"]),
                        *(arrays[f"group/{place}/{name}/{field}"] for field in Moments._fields[1:]),
                    )
                    for name in names
                    if f"group/{place}/{name}/mean" in arrays
                }
                for place, group in enumerate(arrays["groups"].tolist())
            }
            return cls(population, groups, strength=float(arrays["strength"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise CorpusError(f"{path} holds no adaptation: {type(error).__name__}: {error}.") from error

    def _population(self, modality: str, condition: str) -> Population:
        if modality not in self.population[condition]:
            known = ", ".join(self.population[condition])
            raise InputError(f"The adaptation has no statistics of the modality {modality!r}; it has {known}.")
        return self.population[condition][modality]


_Sample = tuple[Vector, Vector]


def _sample(corpus: Corpus, modality: str, row: int, window: Slicing | None) -> _Sample | None:
    length = int(corpus.modalities[modality].lengths[row])
    if not length:
        return None
    chosen = None if window is None else window.draw(length, np.random.default_rng(0))
    return _moments(corpus.read(modality, row, chosen))


def _moments(steps: NDArray[np.generic]) -> _Sample:
    """Mean and mean square (D,) of the steps of one sample."""
    flat = np.asarray(steps, dtype=np.float64).reshape(len(steps), -1)
    return flat.mean(axis=0), (flat**2).mean(axis=0)


def _joined(samples: Sequence[_Sample]) -> Moments:
    means = np.stack([mean for mean, _ in samples])
    squares = np.stack([square for _, square in samples])
    count, mean = len(samples), means.mean(axis=0)
    spread = means.var(axis=0, ddof=1) if count > 1 else np.zeros_like(mean)
    variance = np.maximum(squares.mean(axis=0) - mean**2, 0.0)
    return Moments(count, mean, variance * (count / (count - 1) if count > 1 else 1.0), spread)


def _population(groups: Sequence[Moments]) -> Population:
    """Unweighted over groups; ``between`` is the variance of their means less what chance adds to it."""
    means = np.stack([one.mean for one in groups])
    several = [one for one in groups if one.samples > 1] or groups
    within = np.mean([one.spread for one in several], axis=0)
    chance = within * float(np.mean([1 / one.samples for one in groups]))
    between = np.maximum(means.var(axis=0, ddof=1) - chance, 0.0)
    return Population(means.mean(axis=0), np.mean([one.variance for one in groups], axis=0), within, between)


def _texts(corpus: Corpus, condition: str) -> NDArray[np.str_]:
    if condition in corpus.groups:
        return corpus.groups[condition]
    if condition in corpus.classes and corpus.targets[condition].ndim == 1:
        names = [*corpus.classes[condition], ""]  # the label −1 is missing
        return np.asarray([names[label] for label in corpus.targets[condition].tolist()], dtype=np.str_)
    known = [*corpus.classes, *corpus.groups]
    raise InputError(f"Adaptation.fit: no target or column {condition!r} to take conditions from; there are {known}.")

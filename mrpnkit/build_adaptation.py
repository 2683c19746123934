"""From what a configuration says of adaptation, and a fold of a corpus, to statistics; and what the figures then mean.

The statistics are fitted on the training part. Its groups are normalised with all of their own samples; groups of the
other parts with what is enrolled of them: all of their samples, some that are drawn with the run's seed, or none.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.config import AdaptationConfig, Config
from mrpnkit.data import Corpus, Fold, Modality
from mrpnkit.data.adaptation import Adaptation, step_shape, values_of
from mrpnkit.data.audit import Finding
from mrpnkit.errors import InputError, Problem
from mrpnkit.wording import nearest


class FoldAdaptation(NamedTuple):
    """Statistics of a fold, and how many samples were enrolled of each group that is validated or tested."""

    adaptation: Adaptation
    enrolled: dict[str, int]


def adapted_modalities(config: Config) -> list[str]:
    """The branches whose steps are normalised, in their order; none where nothing is adapted."""
    if config.adaptation is None:
        return []
    chosen = config.adaptation.modalities
    return [name for name in config.branches if chosen is None or name in chosen]


def adaptation_problems(config: Config, corpus: Corpus) -> list[Problem]:
    """What a corpus lacks for the adaptation that a configuration asks for; modalities are checked as branches."""
    chosen = config.adaptation
    if chosen is None:
        return []
    if chosen.column not in corpus.groups:
        known = list(corpus.groups)
        text = f"the data set has no column {chosen.column!r}{nearest(chosen.column, known)} "
        return [Problem("adaptation.column", f"{text}It has {', '.join(known) or 'none'}.")]
    problems = []
    groups = set(corpus.groups[chosen.column].tolist()) - {""}
    if len(groups) < 3:
        text = f"the column {chosen.column!r} has {len(groups)} groups; three are needed, two of them to train on."
        problems.append(Problem("adaptation.column", text))
    if chosen.condition_of is not None:
        known = [*corpus.single_classes, *corpus.groups]
        if chosen.condition_of not in known:
            text = f"the data set has no target with classes and no column {chosen.condition_of!r}"
            text += f"{nearest(chosen.condition_of, known)} It has {', '.join(known)}."
            return [*problems, Problem("adaptation.condition", text)]
        values = sorted(set(values_of(corpus, chosen.condition_of).tolist()) - {""})
        if chosen.condition_value not in values:
            text = f"{chosen.condition_of!r} has no value {chosen.condition_value!r}"
            text += f"{nearest(chosen.condition_value, values)} It has {', '.join(values)}."
            problems.append(Problem("adaptation.condition", text))
    return problems


def as_networks_read(config: Config, corpus: Corpus) -> Corpus:
    """The same samples without steps, of the type and width of those that are adapted: to build a network from."""
    chosen = config.adaptation
    if chosen is None:
        return corpus
    modalities = dict(corpus.modalities)
    for name in adapted_modalities(config):
        if name in modalities:
            old = modalities[name]
            shape = step_shape(old.steps.shape[1:], with_population=chosen.with_population)
            modalities[name] = Modality(np.empty((0, *shape), np.float32), np.zeros_like(old.lengths), old.rate)
    return Corpus(corpus.ids, modalities, corpus.targets, classes=corpus.classes)


def build_adaptation(config: Config, corpus: Corpus, fold: Fold) -> FoldAdaptation | None:
    """The statistics of a fold; None where the configuration adapts nothing. The same input gives the same bits.

    Raises:
        InputError: a training part with fewer than two groups, or without the condition.
    """
    chosen = config.adaptation
    if chosen is None:
        return None
    names = adapted_modalities(config)
    adaptation = Adaptation.fit(
        corpus,
        chosen.column,
        fold.train,
        modalities=names,
        condition=chosen.condition_of,
        strength=chosen.strength,
        with_population=chosen.with_population,
    )
    lacking = [name for name in names if name not in adaptation.population.get(chosen.condition_value, {})]
    if lacking:
        raise InputError(
            f"Fewer than two training groups have {lacking[0]!r} with {chosen.condition}; nothing can be enrolled from "
            "such samples. Choose another adaptation.condition, or none."
        )
    rows = enrolled_rows(config, corpus, fold)
    for group, some in rows.items():
        samples = {name: [corpus.read(name, int(row)) for row in some] for name in names}
        adaptation = adaptation.enrol(group, samples, condition=chosen.condition_value)
    return FoldAdaptation(adaptation, {group: len(some) for group, some in rows.items()})


def enrolled_rows(config: Config, corpus: Corpus, fold: Fold) -> dict[str, NDArray[np.int64]]:
    """Rows of the samples that each group of the validation and the test part is enrolled from, by group.

    What is drawn of a group depends on the seed, the group's name and its samples alone, and five samples hold the two
    that would have been drawn. A group that also trains is known already and is not enrolled.
    """
    chosen = config.adaptation
    if chosen is None:
        return {}
    owners = corpus.groups[chosen.column]
    held_out = np.union1d(fold.validation, fold.test)
    values = None if chosen.condition_of is None else values_of(corpus, chosen.condition_of)
    found = {}
    for group in sorted(set(owners[held_out].tolist()) - set(owners[fold.train].tolist()) - {""}):
        rows = held_out[owners[held_out] == group]
        if values is not None:
            rows = rows[values[rows] == chosen.condition_value]
        number = 0 if chosen.enrol == "none" else len(rows) if chosen.enrol == "all" else chosen.enrol
        order = np.random.default_rng([config.training.seed, *group.encode()]).permutation(len(rows))
        found[group] = np.sort(rows[order[:number]])
    return found


def protocol_of(chosen: AdaptationConfig | None) -> str | None:
    """What is to be said beside figures of a run that adapts: which samples of those who are tested were used."""
    if chosen is None:
        return None
    of = f"groups of {chosen.column!r}"
    if chosen.enrol == "none":
        return (
            f"Adapted in training alone: training {of} are normalised with their own samples, those that are validated "
            "or tested as the population; none of their samples is used beforehand."
        )
    known = "unlabelled samples" if chosen.condition is None else f"samples known to be {chosen.condition}"
    many = (
        f"all of its own {known}" if chosen.enrol == "all" else f"{chosen.enrol} of its own {known}, drawn by the seed"
    )
    return (
        f"Adapted to those who are tested: each of the validated and tested {of} is normalised with statistics of "
        f"{many}; they are among those that are judged. The figures are not comparable with those of networks that "
        "meet a group for the first time."
    )


def adaptation_findings(config: Config) -> list[Finding]:
    """What the audit notes of the adaptation."""
    protocol = protocol_of(config.adaptation)
    return [] if protocol is None else [Finding("note", protocol)]

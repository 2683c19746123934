"""From a run's folder to answers: the fusion's and every branch's, for samples that may lack modalities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.adapted import DataGroups, adapted, column_of, fold_adaptation, groups_in, owners_of
from mrpnkit.build import build_loader, build_model, build_objective
from mrpnkit.build_adaptation import adapted_modalities, as_networks_read
from mrpnkit.build_targets import Scale
from mrpnkit.config import Config
from mrpnkit.data import Corpus, Modality
from mrpnkit.data.adaptation import Adaptation, Enrolment
from mrpnkit.data.arrays import as_known
from mrpnkit.errors import InputError, RunError, TrainingError
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.objective import Objective
from mrpnkit.prediction import Prediction
from mrpnkit.runs import Run
from mrpnkit.train import Evaluation, evaluate, load_weights
from mrpnkit.train.state import BEST, LAST

Samples = Mapping[str, NDArray[Any] | Tensor | Sequence[NDArray[Any] | Tensor]]


class Predictor:
    """The trained networks of a run, ready to judge samples that it has not seen.

    Probabilities and values are the mean over the networks of the folds that are used.

    Args:
        config: of the run.
        like: a corpus whose widths and classes are those of the training.
        models: one network or more, one for each fold.
        scales: for each network the mean and the standard deviation of the values that a regression was trained on.
        adaptations: for each network of a run with adaptation the statistics of its population.
        enrolment: groups that were enrolled; samples of others are normalised as the population.

    Raises:
        InputError: no model, another number of scales or adaptations, an enrolment that does not fit them.
    """

    def __init__(
        self,
        config: Config,
        like: Corpus,
        models: Sequence[MRPN],
        *,
        scales: Sequence[Mapping[str, Scale]] | None = None,
        adaptations: Sequence[Adaptation] | None = None,
        enrolment: Enrolment | None = None,
    ) -> None:
        if not models:
            raise InputError("Predictor was given no model; expected one or more.")
        if scales is not None and len(scales) != len(models):
            raise InputError(f"Predictor was given {len(models)} models and {len(scales)} scales; one for each.")
        expected = len(models) if config.adaptation is not None else 0
        if len(adaptations or ()) != expected or (enrolment is not None and not expected):
            raise InputError(
                f"Predictor was given {len(models)} models {'with' if expected else 'without'} adaptation, "
                f"{len(adaptations or ())} adaptations and {'an' if enrolment is not None else 'no'} enrolment; "
                "a run with adaptation has one for each model."
            )
        self.enrolment = enrolment or Enrolment()
        self.adaptations = [one.of_population().with_enrolled(self.enrolment) for one in adaptations or ()]
        self.config, self.like, self.models = config, like, [model.eval() for model in models]
        self.objectives = [build_objective(config, like, scales=one) for one in scales or [{} for _ in models]]

    @classmethod
    def open(
        cls, run: str | Path, *, folds: Sequence[int] | None = None, enrolment: Enrolment | None = None
    ) -> "Predictor":
        """Loads the kept weights of a run's finished folds, or of some of them by number from 1.

        The data that the run was trained on are not needed. Of a run with adaptation, ``enrolment`` says which groups
        are known; groups of its training are not, since new data may use their names for somebody else.

        Raises:
            RunError: no run, no finished fold, or not those that were asked for; an enrolment for a run that adapts
                nothing.
        """
        opened = Run.open(run)
        finished = opened.finished()
        if not finished:
            raise RunError(f"{opened.folder} has no finished fold yet; `mrpnkit train` goes on with it.")
        lacking = [number for number in folds or () if number not in finished]
        if lacking:
            raise RunError(f"{opened.folder} has no finished fold {lacking}; it has {sorted(finished)}.")
        like = opened.corpus_like()
        chosen = list(folds) if folds is not None else sorted(finished)
        models = [trained_model(opened, number, like) for number in chosen]
        if enrolment is not None:
            column_of(opened)
        adapts = opened.config.adaptation is not None
        return cls(
            opened.config,
            like,
            models,
            scales=[scales_of(opened, number) for number in chosen],
            adaptations=[fold_adaptation(opened, number) for number in chosen] if adapts else None,
            enrolment=enrolment,
        )

    @property
    def objective(self) -> Objective:
        """That of the first network."""
        return self.objectives[0]

    @property
    def classes(self) -> dict[str, list[str]]:
        """Names of the classes, or labels, of each target that has some, in the order of the probabilities."""
        return {name: self.like.classes[name] for name in self.objective.targets if name in self.like.classes}

    @property
    def branches(self) -> list[str]:
        """The modalities that are read, in order."""
        return list(self.models[0].branches)

    def __call__(self, corpus: Corpus, *, group: str | None = None) -> Prediction:
        """Judges every sample of a corpus; its targets are not read, and it may lack modalities.

        Of a run with adaptation, a sample is of the enrolled group that its column names, or all are of ``group``.
        Samples of other groups are normalised as the population, and so is a modality that was not measured of a group;
        the log says both.

        Raises:
            InputError: none of the modalities, steps of another shape than in training, a group that is not enrolled.
        """
        fitted = fit_corpus(corpus, self.like, self.branches, labels="none")
        owners = self._owners(corpus, group)
        total: dict[str, dict[str, NDArray[np.float32]]] = {}
        for place, (model, objective) in enumerate(zip(self.models, self.objectives, strict=True)):
            read = fitted if owners is None else self.adaptations[place].apply_to(fitted, owners)
            for head, scores in self._evaluate(model, objective, read).scores.items():
                for target, values in scores.items():
                    answers = objective.targets[target].answers(values)
                    share: NDArray[np.float32] = (answers.float() / len(self.models)).numpy()
                    kept = total.setdefault(head, {})
                    kept[target] = kept[target] + share if target in kept else share
        lengths = {name: fitted.modalities[name].lengths for name in self.branches}
        lengths[FUSED] = np.sum(list(lengths.values()), axis=0)
        for head, answered in total.items():
            for found in answered.values():
                found[lengths[head] == 0] = np.nan
        kinds, classes = {name: target.kind for name, target in self.objective.targets.items()}, self.classes
        return Prediction(
            list(corpus.ids),
            kinds,
            classes,
            {head: {t: v for t, v in found.items() if t in classes} for head, found in total.items()}
            if classes
            else {},
            {head: {t: v[:, 0] for t, v in found.items() if t not in classes} for head, found in total.items()}
            if len(classes) < len(kinds)
            else {},
        )

    def arrays(self, modalities: Samples, *, ids: Sequence[str] | None = None, group: str | None = None) -> Prediction:
        """Judges arrays: for each modality (n, ...) vectors or n sequences (T_i, ...), T_i = 0 where it is missing.

        ``group`` is the enrolled group that all samples are of.
        """
        nothing = [name for name, values in modalities.items() if values is None]
        if nothing:
            raise InputError(
                f"Predictor.arrays was given None for {nothing[0]!r}; leave out a modality that no sample has, "
                "and give a sample that lacks one an array of length 0."
            )
        count = len(next(iter(modalities.values()), ()))
        if not count:
            raise InputError("Predictor.arrays was given no samples; expected an array or a list for each modality.")
        corpus = Corpus.from_arrays(modalities, {"none": np.full(count, -1)}, ids=ids, classes={"none": ["none"]})
        return self(corpus, group=group)

    def _owners(self, corpus: Corpus, group: str | None) -> list[str] | None:
        if self.config.adaptation is not None:
            column, names = self.config.adaptation.column, adapted_modalities(self.config)
            return owners_of(corpus, column, enrolment=self.enrolment, modalities=names, group=group)
        if group is not None:
            raise InputError(f"The run was trained without adaptation; it knows no group, and so not {group!r}.")
        return None

    def _evaluate(self, model: MRPN, objective: Objective, corpus: Corpus) -> Evaluation:
        batches = build_loader(self.config, corpus, np.arange(len(corpus)), "evaluate")
        return evaluate(model, batches, objective, bfloat16=self.config.training.precision == "bfloat16")


def trained_model(run: Run, number: int, like: Corpus | None = None) -> MRPN:
    """The network of a finished fold with its kept weights.

    Raises:
        RunError: the fold is not finished, or its weights are missing or damaged, or belong to another model.
    """
    if number not in run.finished():
        raise RunError(f"{run.folder} has no finished fold {number}; it has {sorted(run.finished())}.")
    model: MRPN = build_model(run.config, as_networks_read(run.config, like if like is not None else run.corpus_like()))
    folder, fold = run.fold_folder(number), run.finished()[number]
    selected = fold["selected_epoch"] < fold["epochs"]  # else the last weights are the best, or none was found better
    best = run.config.training.keep == "best" and (selected or (folder / BEST).is_file())
    try:
        load_weights(folder / (BEST if best else LAST), model)
    except TrainingError as error:  # nothing is trained here
        raise RunError(str(error)) from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def scales_of(run: Run, number: int) -> dict[str, Scale]:
    """Mean and standard deviation of the values that a finished fold's regressions were trained on."""
    stored = run.finished().get(number, {}).get("scales", {})
    return {name: (float(mean), float(sd)) for name, (mean, sd) in stored.items()}


def evaluate_corpus(
    run: Run, number: int, corpus: Corpus, rows: NDArray[np.int64], *, groups: DataGroups | None = None
) -> Evaluation:
    """Evaluates a finished fold's network on rows of a corpus that has its targets.

    Of a run with adaptation, ``groups`` says whose the samples are (:func:`mrpnkit.adapted.groups_in`, which is asked
    by default: the run's own data are as in training, in others nobody is enrolled).

    Raises:
        InputError: other modalities, shapes or classes than in training.
    """
    like = run.corpus_like()
    model = trained_model(run, number, like)
    fitted = fit_corpus(corpus, like, list(model.branches), labels="needed")
    whose = groups if groups is not None else groups_in(run, corpus)
    batches = build_loader(run.config, adapted(run, number, fitted, whose), rows, "evaluate")
    objective = build_objective(run.config, like, scales=scales_of(run, number))
    return evaluate(model, batches, objective, bfloat16=run.config.training.precision == "bfloat16")


def fit_corpus(
    corpus: Corpus, like: Corpus, modalities: Sequence[str], *, labels: Literal["needed", "none", "as they are"]
) -> Corpus:
    """A corpus as the network of another one reads it.

    Modalities that it lacks are there with no steps. Features that have names on both sides are put in order by them;
    those that the network does not know are left out.

    Args:
        corpus: what is to be judged.
        like: what the network was trained on, or its outline.
        modalities: which are needed.
        labels: counted in the other's classes, all missing, or left as they are.

    Raises:
        InputError: none of the modalities, steps of another shape, a feature that is lacking, a target or class that
            the network does not know.
    """
    if not set(modalities) & set(corpus.modalities):
        raise InputError(
            f"The data have none of the modalities that the network reads: {', '.join(modalities)}. They have "
            f"{', '.join(corpus.modalities)}."
        )
    count, found = len(corpus), {}
    for name in modalities:
        known = like.modalities[name]
        given = corpus.modalities.get(name)
        if given is None:
            given = Modality(known.steps[:0], np.zeros(count, dtype=np.int64), known.rate)
        given = as_known(name, given, known)
        if given.steps.shape[1:] != known.steps.shape[1:]:
            raise InputError(
                f"Steps of {name!r} have shape {tuple(given.steps.shape[1:])}; the network was trained on "
                f"{tuple(known.steps.shape[1:])}. Prepare the data as those of the training were."
            )
        found[name] = given
    if labels == "as they are":
        return Corpus(
            corpus.ids, found, corpus.targets, classes=corpus.classes, groups=_texts(corpus), about=corpus.about
        )
    targets = {
        name: _labels_of(corpus, like, name)
        if labels == "needed"
        else np.full((count, *values.shape[1:]), -1 if name in like.classes else np.nan, dtype=values.dtype)
        for name, values in like.targets.items()
    }
    return Corpus(corpus.ids, found, targets, classes=like.classes, groups=_texts(corpus), about=corpus.about)


def _labels_of(corpus: Corpus, like: Corpus, target: str) -> NDArray[Any]:
    if target not in corpus.targets:
        raise InputError(
            f"The data have no target {target!r}, which the network predicts; they have {list(corpus.targets)}."
        )
    values: NDArray[Any] = corpus.targets[target]
    if values.ndim != like.targets[target].ndim or (target in corpus.classes) != (target in like.classes):
        raise InputError(
            f"Target {target!r}: the data have it in another form (classes, several labels, numbers) than in training."
        )
    if target not in like.classes:
        return values
    ours, theirs = like.classes[target], corpus.classes.get(target, [])
    if values.ndim == 2:
        lacking = sorted(set(ours) - set(theirs))
        if lacking:
            raise InputError(f"Target {target!r}: the data have no labels {lacking}; the network knows {ours}.")
        columns: NDArray[Any] = values[:, [theirs.index(name) for name in ours]]
        return columns
    present = {theirs[label] for label in set(values.tolist()) if label >= 0} if theirs else set()
    unknown = sorted(present - set(ours))
    if unknown:
        raise InputError(f"Target {target!r}: the data have the classes {unknown}; the network knows {ours}.")
    place = np.array([ours.index(name) if name in ours else -1 for name in theirs] + [-1], dtype=np.int64)
    labels: NDArray[Any] = place[values]
    return labels


def _texts(corpus: Corpus) -> dict[str, list[str]]:
    return {name: values.tolist() for name, values in corpus.groups.items()}

"""The N+1 losses and their sum: L = L_fused + Σ L_m (5, 8, 9), for each target."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.names import FUSED
from mrpnkit.outputs import MRPNOutput
from mrpnkit.processes import processes, sum_over_processes
from mrpnkit.targets import Classification, Counted, Target


class Loss(NamedTuple):
    """``total`` is the weighted sum that is differentiated; ``terms`` has each term unweighted, by ``target/head``.

    ``counts`` tells of each term over how many samples it is the mean: a scalar, and under several processes what a
    process has of them on average. Where it is 0, the term is 0 and says nothing. The parts of a fusion are heads of
    their own, named ``fused.NAME``.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Tensor]
    counts: dict[str, Tensor]


class _Valid(NamedTuple):
    """1 for the samples that count and 0 for the others, (B,), how many count, and what the sum is divided by."""

    weights: Tensor
    number: Tensor
    divisor: Tensor


class Criterion(Protocol):
    """The loss of what a fusion scores, itself and its parts, in place of the target's own; side heads keep theirs.

    The weights of a classification's classes multiply it, as they do cross-entropy. Label smoothing is a part of
    cross-entropy, and so is left out.
    """

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, C) scores and labels → (B,) losses; 0 where the label is missing."""

    def begin_epoch(self, epoch: int) -> None:
        """Told before each epoch, counted from 0, for a loss that changes while a model learns."""


class Objective:
    """Weighted sum of the terms of every head of every target: ``fused`` and one per branch; the paper's weights are 1.

    A term is the mean loss over the samples that have a label and, for a branch, its modality; for the fusion, any
    modality. Its weight is its target's times its head's. Under several processes it is the sum over this process's
    samples divided by the mean count of a process, so that the averaging of gradients over processes gives the mean
    over all samples.

    Args:
        targets: what is predicted, by name.
        weights: of the heads by name (``fused`` or a branch), where they are not 1.
        target_weights: of the targets by name, where they are not 1.
        balancer: another way to join the weighted terms, given by ``target/head``, than to sum them up.
        criterion: of the fusion, where it has one: ``model.fusion.criterion``. It knows no label smoothing.

    >>> from mrpnkit.targets import Classification
    >>> objective = Objective({"emotion": Classification(8)}, weights={"video": 0.5})
    >>> objective.outputs
    {'emotion': 8}
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        weights: Mapping[str, float] | None = None,
        target_weights: Mapping[str, float] | None = None,
        balancer: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
        criterion: Criterion | None = None,
    ) -> None:
        if not targets:
            raise InputError(
                "Objective was given no target; expected a mapping such as {'emotion': Classification(8)}."
            )
        for name in targets:
            if "/" in name or "." in name:
                raise InputError(
                    f"Objective: {name!r} cannot be the name of a target: a slash separates target, head and metric, a "
                    f"dot the parts of a head. Rename it, for instance to {re.sub('[./]', '_', name)!r}."
                )
        self.targets = dict(targets)
        self.weights = dict(weights or {})
        self.target_weights = dict(target_weights or {})
        self.balancer = balancer
        self.criterion = criterion
        for name, weight in [*self.weights.items(), *self.target_weights.items()]:
            if not weight >= 0:
                raise InputError(f"Objective: the weight of {name!r} is {weight}; expected 0 or more.")
        unknown = sorted(set(self.target_weights) - set(self.targets))
        if unknown:
            raise InputError(
                f"Objective: weights are given for the targets {unknown}; the targets are {list(self.targets)}."
            )

    @property
    def outputs(self) -> dict[str, int]:
        """How many numbers a head gives for each target, as ``MRPN(branches, targets)`` takes them."""
        return {name: target.outputs for name, target in self.targets.items()}

    def weight(self, target: str, head: str) -> float:
        """Of a term in the sum: its target's times its head's."""
        return self.target_weights.get(target, 1.0) * self.weights.get(head, 1.0)

    def weight_of(self, term: str) -> float:
        """Of a term by its name, ``target/head``; a part of the fusion has the weight of the fusion."""
        target, _, head = term.rpartition("/")
        return self.weight(target, head.partition(".")[0])  # no branch has a dot in its name

    def begin_epoch(self, epoch: int) -> None:
        """Told by the trainer before each epoch, counted from 0."""
        if self.criterion is not None:
            self.criterion.begin_epoch(epoch)

    def minimises(self, metric: str) -> bool:
        """Whether a metric, ``target/head/name`` or ``loss``, is better when it is less.

        >>> from mrpnkit.targets import Regression
        >>> Objective({"valence": Regression()}).minimises("valence/fused/rmse")
        True
        """
        target, name = metric.partition("/")[0], metric.rpartition("/")[2]
        return metric == "loss" or (target in self.targets and name in self.targets[target].minimised)

    def __call__(self, output: MRPNOutput, labels: Mapping[str, Tensor]) -> Loss:
        """Scores of all heads and labels (B,) by target → the sum, its terms and how many samples count in each.

        Raises:
            InputError: labels of a target are missing or no such labels, or a weight names a head that the model does
                not have.
        """
        terms: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        if self.weights:
            self._check_heads(output)
        judged = output.judged
        for name, target in self.targets.items():
            if name not in labels or name not in output.fused:
                raise InputError(
                    f"Objective: no {'labels' if name not in labels else 'scores'} for the target {name!r}; there are "
                    f"labels for {list(labels)} and scores for {list(output.fused)}."
                )
            try:
                for head, (term, count) in self._heads(name, output, labels[name], judged).items():
                    terms[f"{name}/{head}"], counts[f"{name}/{head}"] = term, count
            except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
                _check_batch(labels[name], output.fused[name], name)
                target.check(labels[name], name)
                raise
        weighted = self.weighted(terms)
        if self.balancer is not None:
            return Loss(self.balancer(weighted), terms, counts)
        return Loss(torch.stack(list(weighted.values())).sum(), terms, counts)

    def _heads(
        self, name: str, output: MRPNOutput, labels: Tensor, judged: Present
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """The term of each head of a target, and how many samples count in it."""
        known = self.targets[name].known(labels)
        everybody = None if processes() > 1 else _valid(known)  # processes must count the same heads, all of them
        heads = {
            FUSED: (output.fused[name], judged),
            **{b: (scores[name], output.present.get(b)) for b, scores in output.branches.items()},
            **{p: (part.scores[name], part.present) for p, part in output.parts.items()},
        }
        found = {}
        for head, (scores, present) in heads.items():
            counted = None if present is None else known & present
            valid = (everybody or _valid(known)) if counted is None else _valid(counted)
            losses = self.losses(name, scores, labels, counted, of_fusion=head not in output.branches)
            found[head] = torch.dot(losses, valid.weights.to(losses.dtype)) / valid.divisor, valid.number
        return found

    def losses(
        self, name: str, scores: Tensor, labels: Tensor, counted: Counted = None, *, of_fusion: bool
    ) -> Float[Tensor, "batch"]:
        """The loss of each sample that a head is trained with, 0 where the label is missing.

        The target's own, as of :meth:`mrpnkit.targets.Target.losses`; for scores of the fusion its :class:`Criterion`,
        where it has one.
        """
        target = self.targets[name]
        if self.criterion is None or not of_fusion:
            return target.losses(scores, labels, counted)
        losses = self.criterion(scores, labels)
        if not isinstance(target, Classification) or target.class_weights is None:
            return losses
        return losses * losses.new_tensor(target.class_weights)[labels.clamp(min=0)]

    def weighted(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each term times its weight; a part of the fusion has the weight of the fusion."""
        weights = {name: self.weight_of(name) for name in terms}
        return {name: term if weights[name] == 1.0 else weights[name] * term for name, term in terms.items()}

    def _check_heads(self, output: MRPNOutput) -> None:
        unknown = set(self.weights) - {FUSED} - set(output.present)
        if unknown:
            raise InputError(
                f"Objective: weights are given for {sorted(unknown)}, which the model does not have; its heads are "
                f"{[FUSED, *output.present]}."
            )


def _check_batch(labels: object, scores: Tensor, name: str) -> None:
    if not isinstance(labels, Tensor):
        raise InputError(f"Objective: labels of {name!r} are given as {type(labels).__name__}; expected a tensor.")
    if labels.shape[:1] != scores.shape[:1]:
        raise InputError(
            f"Objective: labels of {name!r} have shape {tuple(labels.shape)}; the batch has {len(scores)} samples."
        )


def _valid(valid: Tensor) -> _Valid:
    """Of samples that count, (B,); how many is what a process has on average."""
    weights = valid.to(torch.float32)
    count = weights.sum()
    if processes() > 1:
        count = sum_over_processes(count) / processes()
    return _Valid(weights, count, count.clamp(min=torch.finfo(count.dtype).tiny))

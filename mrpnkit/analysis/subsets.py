"""What the network says with some of its modalities only: every subset, from one pass through the branches.

From it follow the curve of accuracy over missing modalities, and how much each modality adds to what is known of the
class: Shapley's share of the mutual information.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpnkit.analysis.significance import Interval, bootstrap
from mrpnkit.data import Batch
from mrpnkit.errors import InputError
from mrpnkit.mrpn import MRPN
from mrpnkit.outputs import MRPNFeatures
from mrpnkit.sequences import Sequences

Subset = tuple[str, ...]
Probabilities = Mapping[Subset, NDArray[np.float64]]
LARGEST = 10
"""Of so many modalities all subsets are judged; there are 2^N − 1."""


def subsets_of(names: Iterable[str]) -> list[Subset]:
    """All non-empty subsets, in order of size and then of the names as given.

    >>> subsets_of(["audio", "video"])
    [('audio',), ('video',), ('audio', 'video')]
    """
    known = list(names)
    return [chosen for size in range(1, len(known) + 1) for chosen in itertools.combinations(known, size)]


@torch.no_grad()
def judge_subsets(model: MRPN, batches: Iterable[Batch], target: str) -> dict[Subset, NDArray[np.float64]]:
    """The fusion's probabilities (n, C) with each subset of the modalities present, the others absent.

    Branches are computed once; what is absent is zero behind its FeatureNorm, exactly as for samples that lack it. A
    row is NaN where the sample has none of the subset's modalities. The model is left in the mode that it was in.

    Raises:
        InputError: more than ten modalities.
    """
    names = list(model.branches)
    if len(names) > LARGEST:
        raise InputError(
            f"judge_subsets: {len(names)} modalities have {2 ** len(names) - 1} subsets; at most {LARGEST}."
        )
    chosen = subsets_of(names)
    found: dict[Subset, list[NDArray[np.float64]]] = {subset: [] for subset in chosen}
    training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        for batch in batches:
            inputs = {
                name: Sequences(value.steps.to(device), value.lengths.to(device))
                for name, value in batch.inputs.items()
            }
            features = model.features(inputs)
            for subset in chosen:
                kept, some = _only(features, subset)
                scores = model.score(kept, sides=False).fused[target]
                p = torch.softmax(scores.double(), dim=-1).cpu().numpy()
                p[~some.cpu().numpy()] = np.nan
                found[subset].append(p)
    finally:
        model.train(training)
    return {subset: np.concatenate(parts) for subset, parts in found.items()}


def _only(features: MRPNFeatures, subset: Subset) -> tuple[MRPNFeatures, Tensor]:
    normalised, corrected, present = dict(features.normalised), dict(features.corrected), dict(features.present)
    sequences = dict(features.sequences)
    some = None
    for name, values in features.normalised.items():
        mask = features.present[name]
        if name in subset:
            here = torch.ones(len(values), dtype=torch.bool, device=values.device) if mask is None else mask
            some = here if some is None else some | here
        else:
            normalised[name] = torch.zeros_like(values)
            corrected[name] = torch.zeros_like(features.corrected[name])
            present[name] = torch.zeros(len(values), dtype=torch.bool, device=values.device)
            sequences[name] = Sequences.absent(len(values), sequences[name])
    if some is None:
        raise InputError(f"The model has none of the modalities {', '.join(subset)}.")
    return MRPNFeatures(normalised, corrected, present, sequences), some


class Worth(NamedTuple):
    """What each subset and each modality is worth.

    Attributes:
        entropy: of the classes, in bits: what there is to know.
        information: of each subset, in bits: what its probabilities tell of the class.
        accuracy: of each subset, as a fraction.
        shares: of each modality, in bits; they add up to the information of all modalities together.
        intervals: of each share, 95 % (:func:`~mrpnkit.analysis.bootstrap`); frequencies of classes are taken as known.
        together: the information of all modalities with its interval.
    """

    entropy: float
    information: dict[Subset, float]
    accuracy: dict[Subset, float]
    shares: dict[str, float]
    intervals: dict[str, Interval]
    together: Interval

    def curve(self) -> list[tuple[int, float, float, float]]:
        """Present modalities, and mean, least and largest accuracy over the subsets of that size."""
        sizes = sorted({len(subset) for subset in self.accuracy})
        by_size = {size: [a for subset, a in self.accuracy.items() if len(subset) == size] for size in sizes}
        return [(size, float(np.mean(found)), min(found), max(found)) for size, found in by_size.items()]

    def plain(self) -> list[dict[str, Any]]:
        """A row a subset, for a table."""
        return [
            {"modalities": " + ".join(subset), "accuracy": self.accuracy[subset], "information": value}
            for subset, value in self.information.items()
        ]


def worth(
    probabilities: Probabilities,
    labels: NDArray[np.int64],
    *,
    clusters: NDArray[Any] | None = None,
    draws: int = 2000,
) -> Worth:
    """Information and accuracy of every subset, and Shapley's share of every modality.

    What a subset tells of the class is measured as H(Y) − E[−log₂ p(y | x)]: the entropy of the labels less the
    network's log loss. It is a lower bound of the mutual information, and it can be negative, where the network is
    surer than it should be, or where it has learned nothing: equal probabilities for classes of unequal frequency tell
    less than their frequencies do. A modality's share is Shapley's: the mean, over all orders in which modalities can
    be added one by one, of what it adds when its turn comes. Rows that a subset cannot judge count with the frequencies
    of the classes, that is with no information; those without a label (−1) are left out.

    Args:
        probabilities: (n, C) of every non-empty subset of the modalities.
        labels: (n,).
        clusters: (n,) whose samples belong together, such as the actor; five or more are what intervals are over.
        draws: of the bootstrap.

    Raises:
        InputError: a subset is missing, or there is no label.

    >>> one, both = np.full((4, 2), 0.5), np.eye(2)[[0, 0, 1, 1]]
    >>> found = worth({("a",): one, ("b",): both, ("a", "b"): both}, np.array([0, 0, 1, 1]))
    >>> found.shares["a"], found.shares["b"]
    (0.0, 1.0)
    """
    names = list(dict.fromkeys(name for subset in probabilities for name in subset))
    wanted = subsets_of(names)
    given = {tuple(sorted(subset)): values for subset, values in probabilities.items()}
    lacking = [subset for subset in wanted if tuple(sorted(subset)) not in given]
    if lacking:
        raise InputError(f"worth: no probabilities of the modalities {' + '.join(lacking[0])}; expected all subsets.")
    known = labels >= 0
    truth = labels[known]
    if not len(truth):
        raise InputError("worth was given no labels; expected one or more that are not −1.")
    frequency = np.bincount(truth, minlength=next(iter(given.values())).shape[1]) / len(truth)
    entropy = float(-(frequency[frequency > 0] * np.log2(frequency[frequency > 0])).sum())
    information: dict[Subset, float] = {}
    accuracy: dict[Subset, float] = {}
    bits: dict[Subset, NDArray[np.float64]] = {}
    for subset in wanted:
        p = given[tuple(sorted(subset))][known]
        blind = np.asarray(np.isnan(p).any(axis=1))
        told = np.where(blind, frequency[truth], np.where(blind[:, None], 0.5, p)[np.arange(len(truth)), truth])
        logs = np.log2(np.maximum(told, 1e-12))
        value, bits[subset] = entropy + float(logs.mean()), logs - np.log2(frequency[truth])
        information[subset] = value if abs(value) > 1e-12 else 0.0
        judged = np.logical_not(blind)
        accuracy[subset] = float((p[judged].argmax(axis=1) == truth[judged]).mean()) if judged.any() else float("nan")
    belongs = None if clusters is None else clusters[known]
    parts = {name: np.zeros(len(truth)) for name in names}
    for name, weight, after, before in _turns(names):
        parts[name] += weight * (bits[after] - bits[before] if before else bits[after])
    return Worth(
        entropy,
        information,
        accuracy,
        shapley(names, information),
        {name: bootstrap(part, belongs, draws=draws) for name, part in parts.items()},
        bootstrap(bits[tuple(names)], belongs, draws=draws),
    )


def shapley(names: list[str], value: Mapping[Subset, float]) -> dict[str, float]:
    """Each player's mean contribution over all orders; the empty coalition is worth 0, subsets are in given order."""
    found = dict.fromkeys(names, 0.0)
    for name, weight, after, before in _turns(names):
        found[name] += weight * (value[after] - (value[before] if before else 0.0))
    return found


def _turns(names: Sequence[str]) -> Iterator[tuple[str, float, Subset, Subset]]:
    """A name's turn in some order: the share of orders in which it is so, who is there then, and who was before."""
    count = len(names)
    for name in names:
        others = [other for other in names if other != name]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for before in itertools.combinations(others, size):
                yield name, weight, tuple(n for n in names if n in before or n == name), before

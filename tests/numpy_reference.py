"""The equations of section 3.1 of the paper in NumPy, float64, one sample and one feature at a time.

Written from the paper, arXiv:2107.10742, and from nothing else, so that the torch modules have something independent
to agree with. Numbers in brackets are the paper's equations. Weights come as a dictionary of arrays with the names of
the torch state dictionary. Missing samples follow one rule: they are left out wherever samples are counted, and their
features are zero.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass
class Scores:
    """Everything a network yields: f̂ and g by branch, s by target, side s by branch and target."""

    normalised: dict[str, Array]
    corrected: dict[str, Array]
    fused: dict[str, Array]
    sides: dict[str, dict[str, Array]]


@dataclass
class Reference:
    """The networks N0, N1 and N2; ``running`` gets the statistics as they stand after a training step."""

    weights: Mapping[str, Array]
    training: bool
    momentum: float = 0.1
    eps: float = 1e-5
    running: dict[str, Array] = field(default_factory=dict)

    def dense(self, name: str, x: Array) -> Array:
        """DenseUnit: an affine map of each row."""
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def feature_norm(self, name: str, x: Array, there: Flags) -> Array:
        """FeatureNorm, batch normalisation of each feature over the samples that are there; ``there`` is (B, D)."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        mean, var = self.weights[f"{name}.running_mean"], self.weights[f"{name}.running_var"]
        new_mean, new_var = mean.copy(), var.copy()
        y = np.zeros_like(x)
        for d in range(x.shape[1]):
            rows = np.flatnonzero(there[:, d])
            centre, spread = mean[d], var[d]
            if self.training and len(rows) > 1:
                centre, spread = x[rows, d].mean(), x[rows, d].var()
                new_mean[d] = (1 - self.momentum) * mean[d] + self.momentum * centre
                new_var[d] = (1 - self.momentum) * var[d] + self.momentum * x[rows, d].var(ddof=1)
            y[rows, d] = weight[d] * (x[rows, d] - centre) / np.sqrt(spread + self.eps) + bias[d]
        self.running[f"{name}.running_mean"], self.running[f"{name}.running_var"] = new_mean, new_var
        return y

    def scoring(self, name: str, x: Array, there: Flags) -> Array:
        """Scoring (2): DenseUnit, ReLU, FeatureNorm, DenseUnit; ``there`` is (B,)."""
        hidden = np.maximum(self.dense(f"{name}.dense", x), 0.0)
        return self.dense(f"{name}.output", self.feature_norm(f"{name}.norm", hidden, _columns(there, hidden)))

    def res_perceptron(self, name: str, x: Array, there: Flags) -> Array:
        """ResPerceptron, second line of (6): x + FeatureNorm(Sigmoid(DenseUnit(x)))."""
        bounded = 1.0 / (1.0 + np.exp(-self.dense(f"{name}.dense", x)))
        return x + self.feature_norm(f"{name}.norm", bounded, _columns(there, bounded))

    def fusion_component(self, name: str, g: Sequence[Array], there: Sequence[Flags], target: str) -> Array:
        """FusionComponent: the second line of (3), FeatureNorm after Concatenate, and Scoring (4).

        A sample without any modality is not there for Scoring.
        """
        columns = np.concatenate([_columns(flags, part) for flags, part in zip(there, g, strict=True)], axis=1)
        joint = self.feature_norm(f"{name}.norm", np.concatenate(list(g), axis=1), columns)
        return self.scoring(f"{name}.scoring.{target}", joint, np.any(there, axis=0))

    def network(
        self, kind: str, f: Mapping[str, Array], there: Mapping[str, Flags], targets: Sequence[str], side: str
    ) -> Scores:
        """N0 (7), N1 (8) or N2 (9) from the branch features f_m, in the order in which ``f`` has them."""
        normalised = {m: self.feature_norm(f"norms.{m}", f[m], _columns(there[m], f[m])) for m in f}
        corrected = dict(normalised)
        if kind == "n2":
            corrected = {m: self.res_perceptron(f"perceptrons.{m}", normalised[m], there[m]) for m in f}
        sides: dict[str, dict[str, Array]] = {}
        for m in f if kind != "n0" else ():
            if side == "dense":
                sides[m] = {t: self.dense(f"sides.{m}.{t}", normalised[m]) for t in targets}
            else:
                sides[m] = {t: self.scoring(f"sides.{m}.{t}", normalised[m], there[m]) for t in targets}
        g, flags = [corrected[m] for m in f], [there[m] for m in f]
        fused = {t: self.fusion_component("fusion", g, flags, t) for t in targets}
        return Scores(normalised, corrected, fused, sides)


def softmax(s: Array) -> Array:
    """Scores of one sample to probabilities."""
    e = np.exp(s - s.max())
    return np.asarray(e / e.sum())


def cross_entropy(scores: Array, labels: npt.NDArray[np.int64], there: Flags) -> float:
    """Mean of −log p[label] (5) over the samples that are there and have a label (not −1); 0 where there are none."""
    terms = [-np.log(softmax(s)[k]) for s, k, flag in zip(scores, labels, there, strict=True) if flag and k >= 0]
    return float(np.mean(terms)) if terms else 0.0


def losses(
    scores: Scores, labels: Mapping[str, npt.NDArray[np.int64]], there: Mapping[str, Flags]
) -> dict[tuple[str, str], float]:
    """The N+1 terms of each target by (target, head); their sum is L of (5), (8) and (9)."""
    anything = np.any(list(there.values()), axis=0)
    terms = {(t, "fused"): cross_entropy(s, labels[t], anything) for t, s in scores.fused.items()}
    for m, side in scores.sides.items():
        terms |= {(t, m): cross_entropy(s, labels[t], there[m]) for t, s in side.items()}
    return terms


def central_differences(function: Callable[[], float], at: Array, step: float = 1e-6) -> Array:
    """d function / d at, element by element; ``function`` reads ``at``, which is changed and put back."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        value = at[place]
        at[place] = value + step
        above = function()
        at[place] = value - step
        gradient[place] = (above - function()) / (2 * step)
        at[place] = value
    return gradient


def _columns(there: Flags, x: Array) -> Flags:
    return np.repeat(there[:, None], x.shape[1], axis=1)

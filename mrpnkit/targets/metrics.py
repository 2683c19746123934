"""Figures that several kinds of target report, over a whole data set, in float64."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

NAN = float("nan")


def mean_squared_error(x: Float[Tensor, "samples"], y: Float[Tensor, "samples"]) -> float:
    """(1 / n) Σ (x − y)²."""
    return float((x - y).square().mean()) if len(x) else NAN


def mean_absolute_error(x: Float[Tensor, "samples"], y: Float[Tensor, "samples"]) -> float:
    """(1 / n) Σ |x − y|."""
    return float((x - y).abs().mean()) if len(x) else NAN


def pearson(x: Float[Tensor, "samples"], y: Float[Tensor, "samples"]) -> float:
    """Pearson's correlation; NaN where one of the two is constant."""
    if not len(x):
        return NAN
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt()
    return float((x * y).sum() / scale) if scale > 0 else NAN


def concordance(x: Float[Tensor, "samples"], y: Float[Tensor, "samples"]) -> float:
    """Lin's concordance correlation: 2 s_xy / (s_xx + s_yy + (x̄ − ȳ)²), with variances over n.

    It is Pearson's correlation, less what a difference in mean and spread costs (Lin, Biometrics 45, 1989). NaN where
    both are one and the same constant.
    """
    if not len(x):
        return NAN
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    scale = x.var(correction=0) + y.var(correction=0) + (x.mean() - y.mean()).square()
    return float(2 * covariance / scale) if scale > 0 else NAN


def quadratic_kappa(confusion: Int64[Tensor, "classes classes"]) -> float:
    """Cohen's kappa with weights (i − j)² (Cohen, Psychological Bulletin 70, 1968); NaN where chance cannot be wrong.

    1 is agreement, 0 what independent guesses of the same frequencies reach.
    """
    observed = confusion.double()
    total = observed.sum()
    if not total:
        return NAN
    place = torch.arange(len(observed), dtype=torch.float64)
    weights = (place[:, None] - place).square()
    chance = observed.sum(1)[:, None] * observed.sum(0) / total
    expected = (weights * chance).sum()
    return float(1 - (weights * observed).sum() / expected) if expected > 0 else NAN


def area_under_roc(scores: Float[Tensor, "samples"], truth: Bool[Tensor, "samples"]) -> float:
    """Area under the ROC curve: how often a positive sample has the higher score of a pair, ties counting half.

    Computed from mean ranks (Mann and Whitney); NaN without both kinds.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return NAN
    _, place, count = torch.unique(scores, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks = (last - (count.double() - 1) / 2)[place]
    over = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(over / (positives * negatives))


def f1(hits: Tensor, claimed: Tensor, true: Tensor) -> Tensor:
    """2 · hits / (claimed + true), the harmonic mean of precision and recall; NaN where there is nothing to find."""
    both = (claimed + true).double()
    return torch.where(both > 0, 2 * hits.double() / both.clamp(min=1), NAN)


def mean_of_known(values: Float[Tensor, "classes"]) -> float:
    """The mean of those that are numbers, NaN where none is."""
    known = values[~values.isnan()]
    return float(known.mean()) if len(known) else NAN

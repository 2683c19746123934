"""Statistics over time: what a sample's steps are like, whatever their order, and how fast they change.

Letters: B batch, S steps of all samples, T steps of a sample, D features, K statistics.
"""

from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.aggregators.pooling import mean_step
from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.arguments import check_choice, check_counts, check_rate, checked_steps
from mrpnkit.errors import InputError
from mrpnkit.feature_norm import FeatureNorm
from mrpnkit.sequences import Sequences

Statistic = Literal["mean", "spread", "low", "median", "high", "change"]
QUANTILES: dict[str, float] = {"low": 0.1, "median": 0.5, "high": 0.9}


@AGGREGATORS.register("statistics")
class Statistics(nn.Module):
    """Statistics of each feature over the steps of a sample, normalised and projected.

    ========== ======================================================================================================
    ``mean``   μ = (1 / T) Σ_t x_t
    ``spread`` log of the standard deviation: ½ log(σ² + floor²), σ² = (1 / T) Σ_t (x_t − μ)²
    ``low``    10 % quantile, less μ; quantiles interpolate linearly between the sorted steps
    ``median`` 50 % quantile, less μ
    ``high``   90 % quantile, less μ
    ``change`` log of the mean absolute change over ``lag`` steps: ``log(mean |x_t − x_{t−lag}| + floor)``
    ========== ======================================================================================================

    With a projection the result is Dense(Dropout(FeatureNorm(statistics))). Pooling by statistics is that of
    x-vectors (Snyder et al., 2018, "X-vectors: robust DNN embeddings for speaker recognition"); quantiles and rates
    of change are the functionals long used on speech, as in openSMILE (Eyben et al., 2010). On small data sets it
    learns what recurrent networks overfit.

    Args:
        in_features: D, width of a step.
        features: width of the result; None leaves the projection out, and the result has K · D features.
        statistics: which, in order.
        lag: steps between the two that ``change`` compares.
        floor: softens the logarithms; in the unit of the steps.
        dropout: rate before the projection.

    >>> tuple(Statistics(5, features=4)(Sequences.of([torch.rand(9, 5), torch.rand(2, 5)])).shape)
    (2, 4)
    >>> pool = Statistics(1, features=None, statistics=["mean", "high"])
    >>> pool(Sequences.of([torch.arange(11.0)[:, None]]))
    tensor([[5., 4.]])
    """

    def __init__(
        self,
        in_features: int,
        *,
        features: int | None = 128,
        statistics: Sequence[Statistic] = ("mean", "spread", "low", "median", "high", "change"),
        lag: int = 1,
        floor: float = 1e-3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "lag": lag, **({"features": features} if features else {})})
        check_rate(self, "dropout", dropout)
        for statistic in statistics:
            check_choice(self, "statistics", statistic, get_args(Statistic))
        if not statistics or len(set(statistics)) != len(statistics) or not floor > 0:
            raise InputError(
                f"Statistics: statistics {list(statistics)} and floor {floor}; expected one or more statistics, each "
                "once, and a floor above 0."
            )
        width = len(statistics) * in_features
        self.in_features, self.out_features = in_features, features or width
        self.statistics, self.lag, self.floor = tuple(statistics), lag, floor
        self.norm = FeatureNorm(width) if features else None
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, features) if features else None

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Steps (S, D) → (B, features), or (B, K · D) without a projection; rows of samples without steps are 0."""
        pooled = self.pooled(inputs.with_steps(checked_steps(self, inputs, self.in_features)))
        if self.norm is None or self.dense is None:
            return pooled
        normalised = self.norm(pooled, None if bool(inputs.present.all()) else inputs.present)
        return cast(Tensor, self.dense(self.dropout(normalised)).masked_fill(~inputs.present[:, None], 0.0))

    def pooled(self, inputs: Sequences) -> Float[Tensor, "batch statistics"]:
        """The statistics themselves, (B, K · D), computed in float32 at least."""
        exact = inputs.with_steps(inputs.steps if inputs.steps.dtype == torch.float64 else inputs.steps.float())
        mean = mean_step(exact)
        columns = {"mean": mean}
        if "spread" in self.statistics:
            deviations = exact.steps - mean.index_select(0, exact.sample_of_step())
            columns["spread"] = 0.5 * torch.log(mean_step(exact.with_steps(deviations.square())) + self.floor**2)
        if "change" in self.statistics:
            columns["change"] = torch.log(_mean_change(exact, self.lag) + self.floor)
        wanted = [name for name in QUANTILES if name in self.statistics]
        for name, value in zip(wanted, quantiles(exact, [QUANTILES[name] for name in wanted]), strict=True):
            columns[name] = value - mean
        joined = torch.cat([columns[name] for name in self.statistics], dim=1)
        return joined.masked_fill(~inputs.present[:, None], 0.0).to(inputs.steps.dtype)


def quantiles(inputs: Sequences, shares: Sequence[float]) -> list[Float[Tensor, "batch features"]]:
    """Quantiles of each feature over the steps of each sample, linear between neighbours; 0 for no steps.

    >>> quantiles(Sequences.of([torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[7.0]])]), [0.75])
    [tensor([[2.5000],
            [7.0000]])]
    """
    if not shares:
        return []
    grid = inputs.padded(torch.inf).values.transpose(1, 2).contiguous()  # (B, D, T); padding is sorted to the end
    ordered = _sorted(grid)
    results = []
    for share in shares:
        place = share * (inputs.lengths - 1).clamp(min=0).to(ordered.dtype)
        below = place.floor()
        lower, upper = (_at(ordered, index.long()) for index in (below, place.ceil()))
        value = torch.lerp(lower, upper, (place - below)[:, None].expand_as(lower))
        results.append(value.masked_fill(~inputs.present[:, None], 0.0))
    return results


def _sorted(grid: Tensor) -> Tensor:
    # Measured on a CPU with AVX2, (32, 276, 110) float32: torch.sort 49 ms, numpy.sort 5 ms.
    if grid.device.type == "cpu" and not (grid.requires_grad and torch.is_grad_enabled()):
        return torch.from_numpy(np.sort(grid.detach().numpy(), axis=-1))
    return grid.sort(dim=-1).values


def _at(ordered: Tensor, index: Tensor) -> Tensor:
    return ordered.gather(2, index[:, None, None].expand(-1, ordered.shape[1], 1)).squeeze(2)


def _mean_change(inputs: Sequences, lag: int) -> Tensor:
    """(B, D): mean |x_t − x_{t−lag}| over the steps that have one ``lag`` before; 0 where there is none."""
    steps, sample = inputs.steps, inputs.sample_of_step()
    if steps.shape[0] <= lag:
        return steps.sum() * steps.new_zeros(inputs.batch_size, steps.shape[1])
    within = (sample[lag:] == sample[:-lag])[:, None]
    change = (steps[lag:] - steps[:-lag]).abs() * within
    sums = steps.new_zeros(inputs.batch_size, steps.shape[1]).index_add(0, sample[lag:], change)
    return sums / (inputs.lengths - lag).clamp(min=1)[:, None]

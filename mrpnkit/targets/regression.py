"""A number: its squared, absolute or Huber error, or its concordance."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.processes import sum_over_processes
from mrpnkit.targets.metrics import NAN, concordance, mean_absolute_error, mean_squared_error, pearson
from mrpnkit.targets.target import Counted, Kind, Metrics

LossName = Literal["mse", "mae", "huber", "ccc"]
LOSSES: tuple[LossName, ...] = ("mse", "mae", "huber", "ccc")
_LEAST = 1e-8


class Regression:
    """One number, by one score. NaN is a missing value.

    The score is the value in units of the training data: value = ``mean`` + ``sd`` · score. So scores are of order 1
    whatever the value's units are, and the losses of several targets can be added. The loss is of the scores, with
    z = (value − mean) / sd and x the score:

    ========= =================================================================================
    ``mse``   (x − z)²
    ``mae``   abs(x − z)
    ``huber`` (x − z)² / 2 where abs(x − z) is below ``delta``, beyond it the straight line that goes on from there
    ``ccc``   1 − CCC over the samples of a batch that count (of all processes together)
    ========= =================================================================================

    CCC is no mean over samples, but 1 − CCC is: with D = s_xx + s_zz + (x̄ − z̄)², Lin's definition gives
    1 − CCC = (1/n) Σ (x_i − z_i)² / D. Sample i's loss is its term, so that weights and missing values work as for any
    other loss. A batch of few samples estimates D poorly; give it 32 or more.

    Args:
        loss: ``"mse"``, ``"mae"``, ``"huber"`` or ``"ccc"``.
        delta: of Huber's loss, in units of ``sd``.
        mean: of the values to learn from.
        sd: their standard deviation.

    >>> Regression(mean=40.0, sd=10.0).answers(torch.tensor([[1.5]]))
    tensor([[55.]])
    """

    kind: ClassVar[Kind] = "regression"
    metric_names: ClassVar[tuple[str, ...]] = ("mae", "rmse", "ccc", "pearson", "loss")
    minimised: ClassVar[frozenset[str]] = frozenset({"mae", "rmse", "loss"})
    outputs = 1

    def __init__(self, loss: LossName = "mse", *, delta: float = 1.0, mean: float = 0.0, sd: float = 1.0) -> None:
        if loss not in LOSSES:
            raise InputError(f"Regression: there is no loss {loss!r}; expected {', '.join(map(repr, LOSSES))}.")
        if not delta > 0:
            raise InputError(f"Regression: delta must be above 0, got {delta}.")
        if not (0 < sd < float("inf") and abs(mean) < float("inf")):
            raise InputError(f"Regression: expected a finite mean and an sd above 0, got {mean} and {sd}.")
        self.loss, self.delta, self.mean, self.sd = loss, delta, mean, sd

    def check(self, labels: Float[Tensor, "samples"], name: str) -> None:
        """Raises InputError for values that are not floats (n,), finite or NaN."""
        if not labels.dtype.is_floating_point or labels.ndim != 1:
            raise InputError(
                f"Values of {name!r} have type {labels.dtype} and shape {tuple(labels.shape)}; expected floats (n,)."
            )
        wrong = labels.isinf().nonzero().flatten()
        if len(wrong):
            raise InputError(f"The value of {name!r} of sample {int(wrong[0])} is infinite; NaN means missing.")

    def known(self, labels: Float[Tensor, "batch"]) -> Bool[Tensor, "batch"]:
        """(B,): True where the value is not NaN."""
        return ~labels.isnan()

    def losses(
        self, scores: Float[Tensor, "batch 1"], labels: Float[Tensor, "batch"], counted: Counted = None
    ) -> Float[Tensor, "batch"]:
        """The loss of each sample; 0 where the value is missing."""
        known = self.known(labels)
        x = (scores if scores.dtype == torch.float64 else scores.float()).squeeze(1)
        z = ((labels.to(x.dtype) - self.mean) / self.sd).masked_fill(~known, 0.0)
        match self.loss:
            case "mse":
                losses = (x - z).square()
            case "mae":
                losses = (x - z).abs()
            case "huber":
                losses = F.huber_loss(x, z, reduction="none", delta=self.delta)
            case "ccc":
                losses = (x - z).square() / _concordance_scale(x, z, known if counted is None else counted & known)
        return losses.masked_fill(~known, 0.0)

    def answers(self, scores: Float[Tensor, "samples 1"]) -> Float[Tensor, "samples 1"]:
        """The value in its own units."""
        return scores.float() * self.sd + self.mean

    def metrics(self, scores: Float[Tensor, "samples 1"], labels: Float[Tensor, "samples"]) -> Metrics:
        """``mae`` and ``rmse`` in the value's units, ``ccc`` and ``pearson``, and ``loss`` as it is trained."""
        known = self.known(labels)
        y = labels[known].double()
        if not len(y):
            return dict.fromkeys(self.metric_names, NAN)
        score = scores[known].double()
        x = score.squeeze(1) * self.sd + self.mean
        agreement = concordance(x, y)
        return {
            "mae": mean_absolute_error(x, y),
            "rmse": mean_squared_error(x, y) ** 0.5,
            "ccc": agreement,
            "pearson": pearson(x, y),
            "loss": 1 - agreement if self.loss == "ccc" else float(self.losses(score, y).mean()),
        }

    def example(self, samples: int) -> Float[Tensor, "samples"]:
        """Values from one standard deviation below the mean to one above."""
        return self.mean + self.sd * torch.linspace(-1, 1, samples)


def _concordance_scale(x: Tensor, z: Tensor, counted: Bool[Tensor, "batch"]) -> Tensor:
    """D = s_xx + s_zz + (x̄ − z̄)² over the samples that count, of all processes."""
    weights = counted.to(x.dtype)
    count = sum_over_processes(weights.sum()).clamp(min=1)
    mean_x, mean_z = sum_over_processes((x * weights).sum()) / count, sum_over_processes((z * weights).sum()) / count
    spread = ((x - mean_x).square() + (z - mean_z).square()) * weights
    return sum_over_processes(spread.sum()) / count + (mean_x - mean_z).square() + _LEAST

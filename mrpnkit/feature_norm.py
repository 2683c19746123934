"""Batch normalisation of feature vectors that knows absent samples, small batches and several processes."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrpnkit.processes import processes, sum_over_processes

Present = Bool[Tensor, "batch"] | None
"""True for the samples that have a modality; None where all have it."""


class FeatureNorm(nn.Module):
    """Batch normalisation of feature vectors: the paper's FeatureNorm (section 3.1, item 3).

    y = weight · (x − mean) / sqrt(var + eps) + bias, per feature. In training, mean and variance are those of the
    batch's present samples, taken over all processes; in evaluation the running ones. Where fewer than two present
    samples are left for a feature (a batch of one, a modality that one sample has) there is no variance: that
    feature is then normalised with its running statistics, and they are not updated. Rows and columns that
    ``present`` marks as absent come out as zero. With everything present it equals ``torch.nn.BatchNorm1d``.

    Args:
        features: width of the vectors.
        eps: added to the variance.
        momentum: share of the new batch in the running statistics (the running variance is the unbiased one).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.features, self.eps, self.momentum = features, eps, momentum
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(
        self, x: Float[Tensor, "batch features"], present: Bool[Tensor, "batch #features"] | Present = None
    ) -> Float[Tensor, "batch features"]:
        """(B, D) → (B, D); ``present`` is (B,) for whole samples, or (B, D) for columns of several modalities."""
        if present is not None and present.ndim == 1 and self._can_gather():
            here = present.nonzero()[:, 0]
            if len(here) >= 2:  # the same as below, by the kernel that is made for it
                return torch.zeros_like(x).index_copy(0, here, self._of_all(x[here]).to(x.dtype))
        mask = present if present is None or present.ndim == 2 else present[:, None]
        if mask is not None:
            x = x.masked_fill(~mask, 0.0)  # whatever stands in an absent row, NaN too, reaches nothing
        if self.training and (mask is not None or x.shape[0] < 2 or processes() > 1):
            mean, var = self._batch_statistics(x, mask)
            y = ((x - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias).to(x.dtype)
        else:
            y = self._of_all(x)
        return y if mask is None else y.masked_fill(~mask, 0.0)

    def _can_gather(self) -> bool:
        """Present rows can be taken out in training, where neither shapes must be known nor a GPU is waited for."""
        on_cpu = self.weight.device.type == "cpu"
        return self.training and on_cpu and processes() == 1 and not torch.compiler.is_compiling()

    def _of_all(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)

    def _batch_statistics(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (D,) over the present samples of all processes; updates the running ones."""
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        valid = torch.ones_like(values) if mask is None else mask.expand_as(values).to(values.dtype)
        count = sum_over_processes(valid.sum(0))
        mean = sum_over_processes((values * valid).sum(0)) / count.clamp(min=1)
        var = sum_over_processes(((values - mean).square() * valid).sum(0)) / count.clamp(min=1)
        enough = count >= 2
        with torch.no_grad():
            unbiased = var * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(
                torch.where(enough, mean, self.running_mean).to(self.running_mean.dtype), self.momentum
            )
            self.running_var.lerp_(
                torch.where(enough, unbiased, self.running_var).to(self.running_var.dtype), self.momentum
            )
        return torch.where(enough, mean, self.running_mean), torch.where(enough, var, self.running_var)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.features}, eps={self.eps}, momentum={self.momentum}"

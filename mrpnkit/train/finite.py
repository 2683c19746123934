"""Losses and gradients that are not finite: told before they reach a weight."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mrpnkit.data import Batch
from mrpnkit.errors import TrainingError
from mrpnkit.objective import Loss

NAMED = 3
"""So many parameters are named at most."""


def check_loss(loss: Loss, batch: Batch, step: int, epoch: int) -> None:
    """Raises TrainingError unless the whole loss of a step is finite; steps and epochs are counted from 1."""
    if math.isfinite(loss.total.item()):
        return
    terms = [f"{name} = {float(value.detach())}" for name, value in loss.terms.items() if not torch.isfinite(value)]
    raise TrainingError(
        f"The loss is not finite at step {step} (epoch {epoch}): "
        f"{', '.join(terms) or 'the weighted sum'}; corpus rows {batch.rows.tolist()[:8]}…. No weight was updated "
        "by this step. A lower learning rate, clip_norm, or features without extreme values mend it."
    )


def clip_gradients(
    model: nn.Module, parameters: Sequence[nn.Parameter], norm: float, batch: Batch, step: int, epoch: int
) -> None:
    """Scales the gradients of ``parameters``, all together, down to a norm.

    Raises:
        TrainingError: that norm is not finite although the loss was. Scaling would make all of the gradients NaN.
    """
    gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = nn.utils.get_total_norm(gradients)
    if torch.isfinite(total):
        nn.utils.clip_grads_with_norm_(parameters, norm, total)
        return
    of = [name for name, parameter in model.named_parameters()
          if parameter.grad is not None and not torch.isfinite(parameter.grad).all()]  # fmt: skip
    named = ", ".join(of[:NAMED]) + (f" and {len(of) - NAMED} more" if len(of) > NAMED else "")
    raise TrainingError(
        f"The loss is finite, its gradient is not, at step {step} (epoch {epoch}): of {named or 'all together'}; "
        f"corpus rows {batch.rows.tolist()[:8]}…. No weight was updated by this step. Computing in float32, a lower "
        "learning rate, or features without extreme or all equal values mend it."
    )

"""Where a step stands in its sequence, as features that attention can read."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sinusoids(positions: Tensor, features: int) -> Float[Tensor, "steps features"]:
    """Sinusoidal positions, float32 (section 3.5 of arXiv:1706.03762): p_2i = sin(t · ω_i), p_2i+1 = cos(t · ω_i).

    ω_i = 10000^(−2i / features), t the place of a step within its sample, from 0.

    >>> sinusoids(torch.tensor([0, 1]), 2)
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """
    pairs = torch.arange((features + 1) // 2, device=positions.device, dtype=torch.float32)
    frequencies = torch.exp(pairs * (-2 * math.log(10_000.0) / features))
    angles = positions[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :features]

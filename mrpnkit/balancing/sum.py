"""The paper's way to join the losses."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mrpnkit.registry import BALANCERS


@BALANCERS.register("sum", paper="arXiv:2107.10742")
class Sum:
    """The sum of all losses: L = L_fused + Σ L_m (8, 9), over all targets.

    >>> Sum()({"emotion/fused": torch.tensor(1.0), "emotion/audio": torch.tensor(0.5)})
    tensor(1.5000)
    """

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their sum."""
        return torch.stack(list(losses.values())).sum()

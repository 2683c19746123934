"""Cepstra of log-mel energies, computed by the model, so that augmented bands are transformed too."""

import math

import torch
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.arguments import checked_steps
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS


@EXTRACTORS.register("append_cepstra")
class AppendCepstra(nn.Module):
    """Each step with its first mel cepstra behind it: [x, DCT(x_1 … x_M)].

    c_k = 1 / √M · Σ_b x_b cos(π k (b + ½) / M) for k = 0 … coefficients − 1, a scaled DCT-II (Davis and Mermelstein,
    1980). It has no parameters.

    Args:
        in_features: width of a step.
        bands: M; the first columns of a step are the log-mel energies.
        coefficients: how many cepstra.

    >>> AppendCepstra(3, bands=2, coefficients=1)(Sequences.vectors(torch.tensor([[1.0, 3.0, 9.0]]))).steps
    tensor([[1.0000, 3.0000, 9.0000, 2.8284]])
    """

    dct: Tensor

    def __init__(self, in_features: int, *, bands: int = 64, coefficients: int = 20) -> None:
        super().__init__()
        if not 1 <= coefficients <= bands <= in_features:
            raise InputError(
                f"AppendCepstra: {coefficients} coefficients of {bands} bands in steps of width {in_features}; "
                "expected 1 ≤ coefficients ≤ bands ≤ width."
            )
        self.in_features, self.bands = in_features, bands
        self.out_features = in_features + coefficients
        band, order = torch.arange(bands) + 0.5, torch.arange(coefficients)[:, None]
        self.register_buffer("dct", torch.cos(math.pi * order * band / bands) / math.sqrt(bands), persistent=False)

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, D) → (S, D + coefficients)."""
        steps = checked_steps(self, inputs, self.in_features)
        cepstra = steps[:, : self.bands] @ self.dct.T.to(steps.dtype)
        return inputs.with_steps(torch.cat([steps, cepstra], dim=1))

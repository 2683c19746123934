"""A Transformer encoder over time.

Letters: B batch, S steps of all samples, T steps of the longest sample, F features.
"""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.aggregators.pooling import mean_step
from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.arguments import check_choice, check_counts, check_rate, checked_steps
from mrpnkit.errors import InputError
from mrpnkit.positions import sinusoids
from mrpnkit.sequences import Sequences

Positions = Literal["sinusoidal", "none"]


@AGGREGATORS.register("transformer")
class Transformer(nn.Module):
    """Self-attention among the steps of each sample, and the average of the outputs over its steps.

    z = P · x + position, then ``layers`` encoder layers, then A(x) = (1 / T) · Σ_t LayerNorm(z_t). The paper takes
    the average of the outputs in place of a class token, after Vision Transformer. Its layers are not described
    further: here they are those of Vaswani et al. (2017), arXiv:1706.03762, with the normalisation before each block
    (which trains without a warm-up) and GELU.

    Padding is masked and influences nothing.

    Args:
        in_features: width of a step.
        features: F, width of the encoder and of the result; a multiple of ``heads``.
        layers: number of encoder layers.
        heads: of the attention in each layer.
        feedforward: width inside each layer's perceptron.
        dropout: rate on the input of the first layer, and where the encoder layer of torch has it.
        positions: ``"sinusoidal"`` adds :func:`sinusoids`, for sequences of any length; ``"none"`` adds nothing, and
            the result does not depend on the order of the steps.

    >>> import torch
    >>> tuple(Transformer(5, features=8, heads=2)(Sequences.of([torch.ones(3, 5), torch.ones(0, 5)])).shape)
    (2, 8)
    """

    def __init__(
        self,
        in_features: int,
        *,
        features: int = 128,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 256,
        dropout: float = 0.1,
        positions: Positions = "sinusoidal",
    ) -> None:
        super().__init__()
        counts = {"in_features": in_features, "features": features, "layers": layers}
        check_counts(self, {**counts, "heads": heads, "feedforward": feedforward})
        check_rate(self, "dropout", dropout)
        check_choice(self, "positions", positions, get_args(Positions))
        if features % heads:
            raise InputError(f"Transformer: features must be a multiple of heads, got {features} and {heads}.")
        self.in_features, self.out_features, self.positions = in_features, features, positions
        self.projection = nn.Linear(in_features, features)
        self.dropout = nn.Dropout(dropout)
        blocks = [
            nn.TransformerEncoderLayer(
                features, heads, feedforward, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        ]
        self.encoder = nn.TransformerEncoder(blocks[0], layers, norm=nn.LayerNorm(features), enable_nested_tensor=False)
        self.encoder.layers = nn.ModuleList(blocks)  # torch's are copies of one layer, all with the same weights

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Steps (S, in_features) → (B, F)."""
        steps = self.projection(checked_steps(self, inputs, self.in_features))
        if self.positions == "sinusoidal":
            steps = steps + sinusoids(inputs.position_of_step(), self.out_features).to(steps.dtype)
        hidden = inputs.with_steps(self.dropout(steps))
        grid, valid = hidden.padded()
        if hidden.steps.shape[0] == valid.numel():
            outputs = self.encoder(grid)
        else:
            padding = ~valid
            padding[:, 0] = False  # a sample of no steps attends to one step of zeros: no softmax over nothing
            outputs = self.encoder(grid, src_key_padding_mask=padding)
        return mean_step(hidden.of_padded(outputs))

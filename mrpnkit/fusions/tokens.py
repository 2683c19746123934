"""A branch as tokens for attention: its aggregated vector first, then the steps of its extractor.

Letters: B batch, N branches, S steps of all samples, T steps of the longest sample, D features of g_m, E features of a
step, W width of a token.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrpnkit.arguments import checked_steps
from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import kept
from mrpnkit.positions import sinusoids
from mrpnkit.sequences import Sequences


class Grid(NamedTuple):
    """Tokens (B, 1 + T, W), zero where there is none, and which are there (B, 1 + T)."""

    values: Float[Tensor, "batch tokens width"]
    valid: Bool[Tensor, "batch tokens"]


class Tokens(nn.Module):
    """[Dense(g_m); Dense(x_1) + p_1; … ; Dense(x_T) + p_T], with sinusoidal positions p_t of the steps.

    The aggregated vector takes the place that a class token has in a Transformer: it stands first, whatever attention
    gathers about the branch is read from it, and a residual perceptron before the fusion acts on it. A branch that a
    sample lacks has no token.

    Args:
        features: D.
        steps: E.
        width: W.
    """

    def __init__(self, features: int, steps: int, width: int) -> None:
        super().__init__()
        self.in_features, self.width = steps, width
        self.vector = nn.Linear(features, width)
        self.step = nn.Linear(steps, width)

    def forward(self, g: Float[Tensor, "batch features"], present: Present, sequences: Sequences) -> Grid:
        """g_m (B, D), its mask (B,) or None, and the extractor's steps (S, E) → tokens."""
        first = kept(self.vector(g), present)
        steps = self.step(checked_steps(self, sequences, self.in_features))
        steps = steps + sinusoids(sequences.position_of_step(), self.width).to(steps.dtype)
        values, valid = sequences.with_steps(steps).padded()
        there = valid.new_ones(valid.shape[0]) if present is None else present
        return Grid(
            torch.cat([first[:, None], values.to(first.dtype)], dim=1),
            torch.cat([there[:, None], valid & there[:, None]], dim=1),
        )


def tokens_of_branches(features: Sequence[int], steps: Sequence[int], width: int) -> nn.ModuleList:
    """:class:`Tokens` of one width for every branch, from the widths of g_m and those of the extractors' steps."""
    return nn.ModuleList(Tokens(d, e, width) for d, e in zip(features, steps, strict=True))


def grids_of_branches(
    tokens: Iterable[nn.Module],
    features: Sequence[Tensor],
    present: Sequence[Present],
    sequences: Sequence[Sequences],
) -> list[Grid]:
    """The tokens of all N branches, each by its own :class:`Tokens`."""
    return [part(g, mask, steps) for part, g, mask, steps in zip(tokens, features, present, sequences, strict=True)]


def check_heads(fusion: nn.Module, width: int, heads: int) -> None:
    """Raises InputError unless every head of the attention gets as many features of a token."""
    if width % heads:
        raise InputError(f"{type(fusion).__name__}: width must be a multiple of heads, got {width} and {heads}.")


def attendable(valid: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
    """True where attention must not look; a sample without tokens looks at its first, which is zero, not at nothing."""
    hidden = ~valid
    hidden[:, 0] = False
    return hidden


def encoded(
    layer: nn.Module, tokens: Float[Tensor, "batch tokens width"], hidden: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens width"]:
    """What an :func:`encoder_layer` makes of tokens; ``hidden`` is True where attention must not look.

    A batch of no samples has nothing to hide, and torch's attention does not know how to.
    """
    found: Tensor = layer(tokens, src_key_padding_mask=hidden if len(tokens) else None)
    return found


def encoder_layer(width: int, heads: int, feedforward: int, dropout: float) -> nn.TransformerEncoderLayer:
    """Self-attention and a perceptron, each behind a normalisation, with GELU (arXiv:1706.03762)."""
    return nn.TransformerEncoderLayer(
        width, heads, feedforward, dropout, activation="gelu", batch_first=True, norm_first=True
    )

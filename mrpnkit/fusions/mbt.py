"""Attention through a bottleneck, on sequences.

Letters: B batch, N branches, T steps of the longest sample, K tokens of the bottleneck, W width of a token, C scores.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.presence import check_branches, check_dropout, presence, scored, scorings
from mrpnkit.fusions.registry import FUSIONS
from mrpnkit.fusions.tokens import check_heads, encoded, encoder_layer, grids_of_branches, tokens_of_branches
from mrpnkit.sequences import Sequences


@FUSIONS.register("mbt", paper="arXiv:2107.00135")
class MBT(nn.Module):
    """Branches exchange what they know through a few shared tokens only.

    Multimodal bottleneck Transformer of Nagrani et al. (2021), arXiv:2107.00135. In each layer, the tokens of a branch
    (see :class:`mrpnkit.fusions.tokens.Tokens`) and the K tokens of the bottleneck attend to each other in an encoder
    layer of the branch's own; the bottleneck of the next layer is the average of what the branches that a sample has
    made of it. A Scoring for each target reads the average of the branches' first tokens, as the paper averages the
    logits of its class tokens. Cost grows linearly with N.

    Args:
        features: widths of g_1 … g_N; one branch or more.
        targets: number of scores of each target.
        sequences: widths of the extractors' steps.
        width: W, a multiple of ``heads``.
        bottleneck: K; the paper's is 4.
        layers: how often information passes; at least 2 for one branch to learn of another.
        heads: of every attention.
        hidden: width inside Scoring; by default W.
        dropout: in attention and perceptrons, and before each Dense of Scoring.

    >>> fusion = MBT([3, 2], {"y": 4}, sequences=[5, 6], width=8, heads=2).eval()
    >>> steps = [Sequences.of([torch.ones(7, 5)]), Sequences.of([torch.ones(2, 6)])]
    >>> tuple(fusion([torch.ones(1, 3), torch.ones(1, 2)], [None, None], steps)["y"].shape)
    (1, 4)
    """

    reads = ("sequences",)

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        sequences: Sequence[int],
        width: int = 64,
        bottleneck: int = 4,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features)
        check_counts(self, {"width": width, "bottleneck": bottleneck, "layers": layers, "heads": heads})
        check_dropout(self, dropout)
        check_heads(self, width, heads)
        self.tokens = tokens_of_branches(features, sequences, width)
        self.bottleneck = nn.Parameter(torch.randn(bottleneck, width) * 0.02)  # the paper's initialisation
        self.layers = nn.ModuleList(
            nn.ModuleList(encoder_layer(width, heads, 4 * width, dropout) for _ in features) for _ in range(layers)
        )
        self.scoring = scorings(width, targets, hidden=hidden, dropout=dropout)

    def forward(
        self, features: Sequence[Tensor], present: Sequence[Present], sequences: Sequence[Sequences]
    ) -> dict[str, Tensor]:
        """N tensors (B, D_m), N masks (B,) or None, N ragged batches → for each target its scores (B, C)."""
        there = presence(present, features)
        weights = there / there.sum(1, keepdim=True).clamp(min=1)  # (B, N)
        grids = grids_of_branches(self.tokens, features, present, sequences)
        size = self.bottleneck.shape[0]
        hidden = [torch.cat([grid.valid.new_zeros(len(there), size), ~grid.valid], dim=1) for grid in grids]
        tokens = [grid.values for grid in grids]
        shared = self.bottleneck.to(tokens[0].dtype).expand(len(there), -1, -1)
        for layer in self.layers:
            made = []
            for place, encoder in enumerate(cast(nn.ModuleList, layer)):
                both = encoded(encoder, torch.cat([shared, tokens[place]], dim=1), hidden[place])
                made.append(both[:, :size])
                tokens[place] = both[:, size:]
            shares = weights[:, :, None, None].to(made[0].dtype)
            shared = (torch.stack(made, dim=1) * shares).sum(1)
        firsts = torch.stack([grid[:, 0] for grid in tokens], dim=1)
        joint = (firsts * weights[:, :, None].to(firsts.dtype)).sum(1)
        # The last layer's bottleneck is read by nobody; times zero, so that its parameters get a gradient all the same.
        joint = joint + 0.0 * shared.sum(dim=(1, 2))[:, None]
        return scored(self.scoring, joint, present)

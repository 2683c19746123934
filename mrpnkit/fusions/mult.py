"""Cross-modal attention on sequences.

Letters: B batch, N branches, T steps of the longest sample, W width of a token, C scores of a target.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.feature_norm import Present
from mrpnkit.fusions.cross_modal import CrossModal
from mrpnkit.fusions.presence import check_branches, check_dropout, kept, scored, scorings
from mrpnkit.fusions.registry import FUSIONS
from mrpnkit.fusions.tokens import (
    attendable,
    check_heads,
    encoded,
    encoder_layer,
    grids_of_branches,
    tokens_of_branches,
)
from mrpnkit.sequences import Sequences


@FUSIONS.register("mult", paper="arXiv:1906.00295")
class MulT(nn.Module):
    """Every branch looks at every other with cross-modal attention, step by step and without alignment.

    Multimodal Transformer of Tsai et al. (2019), arXiv:1906.00295. For each branch m: its tokens (see
    :class:`mrpnkit.fusions.tokens.Tokens`) pass a stack of cross-modal layers for each other branch; the results stand
    side by side, (N − 1) · W wide, pass a self-attention layer, and the first token is read. The N first tokens are
    concatenated, and a Scoring for each target reads them. The paper reads the last step and has a convolution where
    :class:`Tokens` has a Dense: here that is the extractor's business. Cost grows with N².

    Args:
        features: widths of g_1 … g_N; two branches or more.
        targets: number of scores of each target.
        sequences: widths of the extractors' steps.
        width: W, a multiple of ``heads``.
        layers: of each cross-modal stack.
        heads: of every attention.
        hidden: width inside Scoring; by default that of what it reads.
        dropout: in attention and perceptrons, and before each Dense of Scoring.

    >>> fusion = MulT([3, 2], {"y": 4}, sequences=[5, 6], width=8, heads=2).eval()
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
        width: int = 32,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_branches(self, features, least=2, why=": one looks at the others")
        check_counts(self, {"width": width, "layers": layers, "heads": heads})
        check_dropout(self, dropout)
        check_heads(self, width, heads)
        places = range(len(features))
        self.tokens = tokens_of_branches(features, sequences, width)
        self.crossings = nn.ModuleList(
            CrossModal(
                width, sources=len(features) - 1, layers=layers, heads=heads, feedforward=4 * width, dropout=dropout
            )
            for _ in places
        )
        joint = (len(features) - 1) * width
        self.memories = nn.ModuleList(encoder_layer(joint, heads, 4 * joint, dropout) for _ in places)
        self.scoring = scorings(len(features) * joint, targets, hidden=hidden, dropout=dropout)

    def forward(
        self, features: Sequence[Tensor], present: Sequence[Present], sequences: Sequence[Sequences]
    ) -> dict[str, Tensor]:
        """N tensors (B, D_m), N masks (B,) or None, N ragged batches → for each target its scores (B, C)."""
        grids = grids_of_branches(self.tokens, features, present, sequences)
        firsts = []
        for place, grid in enumerate(grids):
            seen = torch.cat(self.crossings[place](grid.values, grids[:place] + grids[place + 1 :]), dim=2)
            memory = encoded(self.memories[place], seen, attendable(grid.valid))
            firsts.append(kept(memory[:, 0], present[place]))
        joint = torch.cat(firsts, dim=1)
        return scored(self.scoring, joint, present)

"""Cross-modal attention from one branch to several, computed side by side.

Letters: S sources, B batch, T tokens, W width of a token, H heads, F width inside the perceptron.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.fusions.presence import kept
from mrpnkit.fusions.tokens import Grid, attendable


class _Stacked(nn.Module):
    """Parameters of S modules of one kind, each as one tensor (S, …), drawn as the modules draw theirs."""

    def __init__(self, sources: int, build: Callable[[], nn.Module]) -> None:
        super().__init__()
        parts = [dict(build().named_parameters()) for _ in range(sources)]
        for name in parts[0]:
            stacked = torch.stack([part[name].detach() for part in parts])
            self.register_parameter(name.replace(".", "_"), nn.Parameter(stacked))

    def of(self, chosen: Tensor | None) -> dict[str, Tensor]:
        """By name, of the chosen ones or of all."""
        return {name: p if chosen is None else p[chosen] for name, p in self.named_parameters()}


class CrossLayer(nn.Module):
    """z ← z + Attention(LayerNorm(z), LayerNorm(x), LayerNorm(x)), z ← z + MLP(LayerNorm(z)), for each of S sources x.

    Every source has parameters of its own.
    """

    def __init__(self, width: int, *, sources: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.of_target, self.of_source, self.of_sum = (_Stacked(sources, lambda: nn.LayerNorm(width)) for _ in range(3))
        self.attention = _Stacked(sources, lambda: nn.MultiheadAttention(width, heads))
        self.inner = _Stacked(sources, lambda: nn.Linear(width, feedforward))
        self.outer = _Stacked(sources, lambda: nn.Linear(feedforward, width))

    def forward(self, z: Tensor, x: Tensor, valid: Tensor, chosen: Tensor | None) -> Float[Tensor, "s batch t width"]:
        """z (S, B, T, W) looks at x (S, B, T', W), valid (S, B, T'); ``chosen`` sources, of equally many tokens."""
        seen = self._attend(_normed(z, self.of_target.of(chosen)), _normed(x, self.of_source.of(chosen)), valid, chosen)
        there = valid.any(dim=2).flatten()  # a branch that a sample lacks tells nothing
        z = z + kept(self._dropped(seen).flatten(0, 1), there).view_as(seen)
        inner = F.gelu(_dense(_normed(z, self.of_sum.of(chosen)), **self.inner.of(chosen)))
        return z + self._dropped(_dense(self._dropped(inner), **self.outer.of(chosen)))

    def _attend(self, z: Tensor, x: Tensor, valid: Tensor, chosen: Tensor | None) -> Tensor:
        weights = self.attention.of(chosen)
        width = z.shape[-1]
        query, both = weights["in_proj_weight"].split([width, 2 * width], dim=1)
        of_query, of_both = weights["in_proj_bias"].split([width, 2 * width], dim=1)
        q = self._by_head(_dense(z, query, of_query))
        k, v = (self._by_head(part) for part in _dense(x, both, of_both).chunk(2, dim=-1))
        looks = ~attendable(valid.flatten(0, 1))[:, None, None]
        rate = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=looks, dropout_p=rate)
        seen = seen.transpose(1, 2).reshape(z.shape)
        return _dense(seen, weights["out_proj_weight"], weights["out_proj_bias"])

    def _by_head(self, x: Tensor) -> Float[Tensor, "sources_batch heads t head_width"]:
        return x.reshape(-1, x.shape[2], self.heads, x.shape[3] // self.heads).transpose(1, 2)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class CrossModal(nn.Module):
    """Layers in which the tokens of one branch look at those of S others, for each of them apart.

    What is looked at are always the other branch's tokens as they came, as MulT has it. Sources of equally many tokens
    are computed at once, so that S small ones cost hardly more than one.

    Args:
        width: W.
        sources: S.
        layers: how many :class:`CrossLayer`.
        heads: of the attention.
        feedforward: F.
        dropout: in attention and perceptrons.
    """

    def __init__(self, width: int, *, sources: int, layers: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CrossLayer(width, sources=sources, heads=heads, feedforward=feedforward, dropout=dropout)
            for _ in range(layers)
        )

    def forward(self, target: Float[Tensor, "batch t width"], sources: Sequence[Grid]) -> list[Tensor]:
        """Tokens (B, T, W) that look, and those that are looked at, in order → for each source (B, T, W)."""
        alike: defaultdict[int, list[int]] = defaultdict(list)
        for place, source in enumerate(sources):
            alike[source.values.shape[1]].append(place)
        found: dict[int, Tensor] = {}
        for places in alike.values():
            chosen = None if len(alike) == 1 else torch.tensor(places, device=target.device)
            x = torch.stack([sources[place].values for place in places])
            valid = torch.stack([sources[place].valid for place in places])
            z = target.expand(len(places), *target.shape)
            for layer in self.layers:
                z = layer(z, x, valid, chosen)
            found.update(zip(places, z.unbind(), strict=True))
        return [found[place] for place in range(len(sources))]


def _dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(S, B, T, W) by weights (S, V, W) and biases (S, V) → (S, B, T, V)."""
    y = torch.baddbmm(bias[:, None], x.flatten(1, 2), weight.transpose(1, 2))
    return y.view(*x.shape[:3], weight.shape[1])


def _normed(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """LayerNorm of each token, with weights (S, W) of each source."""
    return F.layer_norm(x, x.shape[-1:]) * weights["weight"][:, None, None] + weights["bias"][:, None, None]

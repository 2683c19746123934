"""Recurrent networks over time: LSTM, BiLSTM and GRU.

They run on a grid that is padded at the end. What a step returns depends on earlier steps only, so the valid steps
equal those of packed sequences, in about half the time on a CPU. The backward direction reads every sample reversed
within its own length, padded at the end likewise.

Letters: B batch, S steps of all samples, T steps of the longest sample, H hidden features.
"""

from typing import cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.aggregators.pooling import Pool, first_step, pool_steps
from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.arguments import check_choice, check_counts, check_rate, checked_steps
from mrpnkit.sequences import Sequences

Cell = nn.LSTM | nn.GRU


@AGGREGATORS.register("lstm")
class LSTM(nn.Module):
    """Long short-term memory, read from the past to the future (Hochreiter and Schmidhuber, 1997).

    Gates and initial weights are those of ``torch.nn.LSTM``: A(x) = pool over t of h_t of the last layer.

    Args:
        in_features: width of a step.
        hidden_features: H, width of the state and of the result.
        layers: how many, each reading the outputs of the one before.
        dropout: rate between layers.
        pool: ``"last"`` (h_T), ``"mean"`` or ``"max"`` over the sample's steps.

    >>> tuple(LSTM(5, hidden_features=4)(Sequences.of([torch.ones(3, 5), torch.ones(1, 5)])).shape)
    (2, 4)
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden_features: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        pool: Pool = "last",
    ) -> None:
        super().__init__()
        _check(self, in_features, hidden_features, layers, dropout, pool)
        self.in_features, self.out_features, self.pool = in_features, hidden_features, pool
        self.layers = nn.ModuleList(
            nn.LSTM(width, hidden_features, batch_first=True) for width in _widths(in_features, hidden_features, layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch hidden"]:
        """Steps (S, in_features) → (B, H)."""
        hidden = inputs.with_steps(checked_steps(self, inputs, self.in_features))
        return pool_steps(_forwards(self.layers, self.dropout, hidden), self.pool)


@AGGREGATORS.register("gru")
class GRU(nn.Module):
    """Gated recurrent unit, read from the past to the future (Cho et al., 2014, arXiv:1406.1078).

    Gates and initial weights are those of ``torch.nn.GRU``: A(x) = pool over t of h_t of the last layer.

    Args:
        in_features: width of a step.
        hidden_features: H, width of the state and of the result.
        layers: how many, each reading the outputs of the one before.
        dropout: rate between layers.
        pool: ``"last"`` (h_T), ``"mean"`` or ``"max"`` over the sample's steps.

    >>> tuple(GRU(5, hidden_features=4)(Sequences.of([torch.ones(3, 5), torch.ones(1, 5)])).shape)
    (2, 4)
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden_features: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        pool: Pool = "last",
    ) -> None:
        super().__init__()
        _check(self, in_features, hidden_features, layers, dropout, pool)
        self.in_features, self.out_features, self.pool = in_features, hidden_features, pool
        self.layers = nn.ModuleList(
            nn.GRU(width, hidden_features, batch_first=True) for width in _widths(in_features, hidden_features, layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch hidden"]:
        """Steps (S, in_features) → (B, H)."""
        hidden = inputs.with_steps(checked_steps(self, inputs, self.in_features))
        return pool_steps(_forwards(self.layers, self.dropout, hidden), self.pool)


@AGGREGATORS.register("bilstm")
class BiLSTM(nn.Module):
    """Two LSTMs, one reading from the past to the future, one from the future to the past.

    With →h_t and ←h_t the states of the last layer: for ``pool="last"`` A(x) = [→h_T, ←h_1], the states that have
    read the whole sample; otherwise A(x) = pool over t of [→h_t, ←h_t]. Each layer but the first reads both
    directions of the one before. Gates and initial weights are those of ``torch.nn.LSTM``.

    Args:
        in_features: width of a step.
        hidden_features: H, width of the state of one direction; the result has 2 · H features.
        layers: how many, each reading the outputs of the one before.
        dropout: rate between layers.
        pool: ``"last"``, ``"mean"`` or ``"max"`` over the sample's steps.

    >>> tuple(BiLSTM(5, hidden_features=4)(Sequences.of([torch.ones(3, 5), torch.ones(1, 5)])).shape)
    (2, 8)
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden_features: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        pool: Pool = "last",
    ) -> None:
        super().__init__()
        _check(self, in_features, hidden_features, layers, dropout, pool)
        self.in_features, self.out_features, self.pool = in_features, 2 * hidden_features, pool
        widths = _widths(in_features, 2 * hidden_features, layers)
        self.forwards = nn.ModuleList(nn.LSTM(width, hidden_features, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, hidden_features, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch two_hidden"]:
        """Steps (S, in_features) → (B, 2 · H)."""
        hidden = inputs.with_steps(checked_steps(self, inputs, self.in_features))
        for layer, (onwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if layer:
                hidden = hidden.with_steps(self.dropout(hidden.steps))
            past = _run(cast(Cell, onwards), hidden)
            future = _run(cast(Cell, backwards), hidden.reversed()).reversed()
            hidden = hidden.with_steps(torch.cat([past.steps, future.steps], dim=1))
        if self.pool == "last":
            return torch.cat([pool_steps(past, "last"), first_step(future)], dim=1)
        return pool_steps(hidden, self.pool)


def _check(part: nn.Module, in_features: int, hidden_features: int, layers: int, dropout: float, pool: Pool) -> None:
    check_counts(part, {"in_features": in_features, "hidden_features": hidden_features, "layers": layers})
    check_rate(part, "dropout", dropout)
    check_choice(part, "pool", pool, get_args(Pool))


def _widths(in_features: int, hidden: int, layers: int) -> list[int]:
    """What each layer reads."""
    return [in_features, *[hidden] * (layers - 1)]


def _forwards(cells: nn.ModuleList, dropout: nn.Module, hidden: Sequences) -> Sequences:
    """All layers of one direction, with dropout between them."""
    for layer, cell in enumerate(cells):
        if layer:
            hidden = hidden.with_steps(dropout(hidden.steps))
        hidden = _run(cast(Cell, cell), hidden)
    return hidden


def _run(cell: Cell, inputs: Sequences) -> Sequences:
    """One layer of one direction: h_t of every valid step, (S, in) → (S, H).

    Under autocast on a CPU the layer runs in the type of its weights: torch there either refuses to train an LSTM in
    bfloat16 or needs several times as long.
    """
    grid = inputs.padded().values
    if grid.device.type != "cpu":
        return inputs.of_padded(cell(grid)[0])
    with torch.autocast("cpu", enabled=False):
        return inputs.of_padded(cell(grid.to(next(cell.parameters()).dtype))[0])

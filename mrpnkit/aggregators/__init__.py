"""Aggregators A_m: what makes one vector of a sample out of its steps.

An aggregator is a module from :class:`~mrpnkit.Sequences` to (B, D). Its constructor takes the width of a step, then
its configuration; its attribute ``out_features`` is D. A sample of no steps gives a row of zeros.
:func:`mrpnkit.testing.check_aggregator` checks all that is asked of one.
"""

from mrpnkit.aggregators.attention import Attention
from mrpnkit.aggregators.pooling import Last, Max, Mean
from mrpnkit.aggregators.recurrent import GRU, LSTM, BiLSTM
from mrpnkit.aggregators.registry import AGGREGATORS
from mrpnkit.aggregators.statistics import Statistics
from mrpnkit.aggregators.transformer import Transformer

__all__ = ["AGGREGATORS", "GRU", "LSTM", "Attention", "BiLSTM", "Last", "Max", "Mean", "Statistics", "Transformer"]

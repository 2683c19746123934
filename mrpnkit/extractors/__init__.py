"""Extractors F_m: what is computed from the steps of a modality, before anything is summed up over time.

An extractor is a module from :class:`~mrpnkit.Sequences` to :class:`~mrpnkit.Sequences`. Its constructor takes the
width of a step, then its configuration; its attribute ``out_features`` is the width of the steps that it returns.
It may change the lengths. :func:`mrpnkit.testing.check_extractor` checks all that is asked of one.
"""

from mrpnkit.extractors.conv1d import Conv1d, RaggedConv1d
from mrpnkit.extractors.identity import Identity
from mrpnkit.extractors.linear import Linear
from mrpnkit.extractors.mlp import MLP
from mrpnkit.extractors.registry import EXTRACTORS

__all__ = ["EXTRACTORS", "MLP", "Conv1d", "Identity", "Linear", "RaggedConv1d"]

"""Fusions: what joins the branches and gives the fused scores.

A fusion is built as ``fusion(features, targets, **configuration)``: the widths of g_1 … g_N in the declared order of
the branches, and the number of scores of each target. It is called with N tensors (B, D_m) and N masks (B,) or None,
and gives the fused scores (B, C) of each target. Where its constructor has ``hidden`` or ``dropout``, it gets those of
the network unless its configuration gives others.
"""

from mrpnkit.mrpn import FusionComponent
from mrpnkit.registry import FUSIONS

FUSIONS.register("concat", paper="arXiv:2107.10742")(FusionComponent)

__all__ = ["FUSIONS", "FusionComponent"]

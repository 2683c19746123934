"""Fusions: what joins the branches and gives the fused scores.

A fusion is built as ``fusion(features, targets, **configuration)``: the widths of g_1 … g_N in the declared order of
the branches, and the number of scores of each target. It is called with N tensors (B, D_m) and N masks (B,) or None,
and gives the fused scores (B, C) of each target. Where its constructor has ``hidden`` or ``dropout``, it gets those of
the network unless its configuration gives others.

Some ask for more, or give more:

- An attribute ``reads`` names what else it is called with, as further lists over the branches: ``"sequences"``, the
  steps of the extractors (its constructor then takes their widths as ``sequences``), or ``"sides"``, the side scores by
  target, which N0 does not have.
- It may return a :class:`mrpnkit.outputs.Fused`: its scores, and parts that are trained beside them.
- An attribute ``criterion`` is the loss of its scores and parts in place of the target's own (see
  :class:`mrpnkit.objective.Criterion`).

:func:`mrpnkit.testing.check_fusion` checks all that is asked of one.
"""

from mrpnkit.fusions.film import FiLM
from mrpnkit.fusions.gmu import GMU
from mrpnkit.fusions.late import Late
from mrpnkit.fusions.low_rank import LMF
from mrpnkit.fusions.mbt import MBT
from mrpnkit.fusions.mult import MulT
from mrpnkit.fusions.multiplicative import Multiplicative
from mrpnkit.fusions.tensor import TFN
from mrpnkit.fusions.tmc import TMC
from mrpnkit.fusions.weighted_sum import Sum, Weighted
from mrpnkit.fusions.witnesses import Witnesses
from mrpnkit.mrpn import FusionComponent
from mrpnkit.registry import FUSIONS

FUSIONS.register("concat", paper="arXiv:2107.10742")(FusionComponent)

__all__ = [
    "FUSIONS",
    "GMU",
    "LMF",
    "MBT",
    "TFN",
    "TMC",
    "FiLM",
    "FusionComponent",
    "Late",
    "MulT",
    "Multiplicative",
    "Sum",
    "Weighted",
    "Witnesses",
]

"""Balancing: how the N+1 weighted losses become the one that is differentiated.

A balancer is built from its configuration alone and called with the weighted losses, scalars by ``target/head``; it
gives a scalar. The paper's is the sum. :class:`mrpnkit.Objective` takes one as ``balancer``.
"""

from mrpnkit.balancing.sum import Sum
from mrpnkit.registry import BALANCERS

__all__ = ["BALANCERS", "Sum"]

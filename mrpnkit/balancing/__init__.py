"""Balancing: how the N+1 weighted losses become the one that is differentiated.

A balancer is built from its configuration alone and called with the weighted losses, scalars by ``target/head``; it
gives a scalar. The paper's is the sum. :class:`mrpnkit.Objective` takes one as ``balancer``. What it may do beyond
that, to gradients or over epochs, stands in :mod:`mrpnkit.balancing.steering`.
"""

from mrpnkit.balancing.fixed import Fixed
from mrpnkit.balancing.gradient_blending import GradientBlending
from mrpnkit.balancing.mmpareto import MMPareto
from mrpnkit.balancing.ogm_ge import OGMGE
from mrpnkit.balancing.pmr import PMR
from mrpnkit.balancing.steering import Step
from mrpnkit.balancing.sum import Sum
from mrpnkit.balancing.uncertainty import Uncertainty
from mrpnkit.registry import BALANCERS

__all__ = [
    "BALANCERS",
    "OGMGE",
    "PMR",
    "Fixed",
    "GradientBlending",
    "MMPareto",
    "Step",
    "Sum",
    "Uncertainty",
]

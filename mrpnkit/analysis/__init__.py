"""Analysis: what follows from the figures of several runs."""

from mrpnkit.analysis.differences import Difference, paired_difference, t_quantile

__all__ = ["Difference", "paired_difference", "t_quantile"]

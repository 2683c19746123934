"""The registry of aggregators, where they find it."""

from mrpnkit.registry import AGGREGATORS

__all__ = ["AGGREGATORS"]

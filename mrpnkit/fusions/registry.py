"""The registry of fusions, where they find it."""

from mrpnkit.registry import FUSIONS

__all__ = ["FUSIONS"]

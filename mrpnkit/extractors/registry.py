"""The registry of extractors, where they find it."""

from mrpnkit.registry import EXTRACTORS

__all__ = ["EXTRACTORS"]

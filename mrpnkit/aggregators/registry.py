"""The registry of aggregators."""

from torch import nn

from mrpnkit.registry import Registry

AGGREGATORS: Registry[type[nn.Module]] = Registry("aggregator", "mrpnkit.aggregators")
"""Aggregators by name: modules from Sequences to (B, D), built from the width of a step and their configuration."""

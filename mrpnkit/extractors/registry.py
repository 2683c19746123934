"""The registry of extractors."""

from torch import nn

from mrpnkit.registry import Registry

EXTRACTORS: Registry[type[nn.Module]] = Registry("extractor", "mrpnkit.extractors")
"""Extractors by name: modules from Sequences to Sequences, built from the width of a step and their configuration."""

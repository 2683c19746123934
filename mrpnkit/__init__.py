"""mrpnkit: multi-modal fusion with the Residual Perceptron Network, and a look at what fusion does."""

from mrpnkit.errors import MrpnkitError
from mrpnkit.feature_norm import FeatureNorm
from mrpnkit.mrpn import (
    MRPN,
    Branch,
    FusionComponent,
    MRPNFeatures,
    MRPNOutput,
    ResPerceptron,
    Scoring,
)
from mrpnkit.objective import Loss, Objective
from mrpnkit.sequences import Padded, Sequences
from mrpnkit.targets import Classification

__version__ = "0.1.0"

__all__ = [
    "MRPN",
    "Branch",
    "Classification",
    "FeatureNorm",
    "FusionComponent",
    "Loss",
    "MRPNFeatures",
    "MRPNOutput",
    "MrpnkitError",
    "Objective",
    "Padded",
    "ResPerceptron",
    "Scoring",
    "Sequences",
]

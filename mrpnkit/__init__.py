"""mrpnkit: multi-modal fusion with the Residual Perceptron Network, and a look at what fusion does.

Names are loaded when they are first used, so that ``import mrpnkit`` and the command line start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrpnkit.errors import MrpnkitError
    from mrpnkit.feature_norm import FeatureNorm
    from mrpnkit.mrpn import (
        MRPN,
        Branch,
        FusionComponent,
        ResPerceptron,
        Scoring,
    )
    from mrpnkit.objective import Loss, Objective
    from mrpnkit.outputs import MRPNFeatures, MRPNOutput
    from mrpnkit.sequences import Padded, Sequences
    from mrpnkit.targets import Classification, MultiLabel, Ordinal, Regression

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
    "MultiLabel",
    "Objective",
    "Ordinal",
    "Padded",
    "Regression",
    "ResPerceptron",
    "Scoring",
    "Sequences",
]

_HOME = {
    "errors": ("MrpnkitError",),
    "feature_norm": ("FeatureNorm",),
    "mrpn": ("MRPN", "Branch", "FusionComponent", "ResPerceptron", "Scoring"),
    "outputs": ("MRPNFeatures", "MRPNOutput"),
    "objective": ("Loss", "Objective"),
    "sequences": ("Padded", "Sequences"),
    "targets": ("Classification", "MultiLabel", "Ordinal", "Regression"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> object:
    """Loads a public name, or one of the modules that they stand in, when it is first used (PEP 562)."""
    if name in _HOME:
        return import_module(f"mrpnkit.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mrpnkit' has no attribute {name!r}")
    value: object = getattr(import_module(f"mrpnkit.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

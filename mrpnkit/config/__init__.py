"""Configuration: TOML in, frozen models out, everything that is wrong said at once.

:func:`load_config` reads a file, :func:`parse_config` text or plain data, :func:`json_schema` serves editors. Nothing
here imports torch until a part that a configuration names is validated, and then that part alone is loaded.
"""

from mrpnkit.config.adaptation import AdaptationConfig
from mrpnkit.config.models import (
    AdamConfig,
    AdamWConfig,
    BranchConfig,
    Config,
    ConstantConfig,
    FoldsConfig,
    ModelConfig,
    ObjectiveConfig,
    OneCycleConfig,
    PartConfig,
    PlateauConfig,
    SGDConfig,
    TrainingConfig,
)
from mrpnkit.config.reading import load_config, parse_config
from mrpnkit.config.schema import json_schema
from mrpnkit.config.targets import (
    ClassificationConfig,
    MultiLabelConfig,
    OrdinalConfig,
    RegressionConfig,
    TargetConfig,
)

__all__ = [
    "AdamConfig",
    "AdamWConfig",
    "AdaptationConfig",
    "BranchConfig",
    "ClassificationConfig",
    "Config",
    "ConstantConfig",
    "FoldsConfig",
    "ModelConfig",
    "MultiLabelConfig",
    "ObjectiveConfig",
    "OneCycleConfig",
    "OrdinalConfig",
    "PartConfig",
    "PlateauConfig",
    "RegressionConfig",
    "SGDConfig",
    "TargetConfig",
    "TrainingConfig",
    "json_schema",
    "load_config",
    "parse_config",
]

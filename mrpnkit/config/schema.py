"""JSON schema of a configuration, by which editors complete and check a TOML file while it is written."""

from typing import Any

from mrpnkit.config.models import BranchConfig, Config, ModelConfig, ObjectiveConfig
from mrpnkit.config.parts import KINDS, signature_of
from mrpnkit.errors import RegistryError
from mrpnkit.registry import OURS

FIELDS = {
    (Config.__name__, "dataset"): "data set",
    (BranchConfig.__name__, "extractor"): "extractor",
    (BranchConfig.__name__, "aggregator"): "aggregator",
    (ModelConfig.__name__, "fusion"): "fusion",
    (ObjectiveConfig.__name__, "balancer"): "balancer",
}
"""By model and field, the kind of part that stands there."""

NAMED = {
    "AdamConfig": "name",
    "SGDConfig": "name",
    "OneCycleConfig": "name",
    "ConstantConfig": "name",
    "MultiLabelConfig": "kind",
    "RegressionConfig": "kind",
    "OrdinalConfig": "kind",
}
"""Members of unions that a table does not mean without the key that tells them apart."""


def json_schema(*, plugins: bool = False) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a configuration: every key, every registered name, the options of every part.

    Args:
        plugins: also import the parts of installed plugins, to know their options; otherwise their names are
            completed and their options left open.

    >>> schema = json_schema()
    >>> "conv1d" in schema["$defs"]["extractor"]["properties"]["name"]["enum"]
    True
    """
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    for (model, field), kind in FIELDS.items():
        table = schema if model == Config.__name__ else definitions[model]
        key = kind.replace(" ", "_")
        table["properties"][field] = {
            "$ref": f"#/$defs/{key}",
            "description": table["properties"][field].get("description", ""),
        }
        definitions[key] = _part(kind, plugins)
    for model, key in NAMED.items():
        definitions[model]["required"] = [key, *definitions[model].get("required", [])]
    definitions.pop("PartConfig", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Configuration of a run of mrpnkit",
    }


def _part(kind: str, plugins: bool) -> dict[str, Any]:
    """A table that names a part of a kind: one alternative for each part whose options are known, one for others."""
    registry, _, default = KINDS[kind]
    registry.load_home()
    names = list(registry.names())
    known, open_names = [], []
    for name in names:
        found = _alternative(kind, name, default) if plugins or registry.owner(name) == OURS else None
        if found is None:
            open_names.append(name)
        else:
            known.append(found)
    others = [{"properties": {"name": {"enum": open_names}}, "required": ["name"]}] if open_names else []
    return {"type": "object", "properties": {"name": {"type": "string", "enum": names}}, "oneOf": [*known, *others]}


def _alternative(kind: str, name: str, default: str | None) -> dict[str, Any] | None:
    try:
        signature = signature_of(kind, name)
    except RegistryError:
        return None  # broken, or no part for configurations: whoever names it is told so
    needed = [option.name for option in signature.options.values() if option.required]
    return {
        "title": name,
        "description": signature.summary,
        "properties": {"name": {"const": name}, **signature.json_schema()},
        "required": needed if name == default else ["name", *needed],
        "additionalProperties": False,
    }

"""What is wrong in the closed part of a configuration, in the words of its file instead of pydantic's."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from mrpnkit.config import adaptation, models, targets
from mrpnkit.config.parts import places, wrong_table
from mrpnkit.errors import Problem
from mrpnkit.wording import nearest, shown, worded

TABLES: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): models.Config,
    ("branches", "*"): models.BranchConfig,
    ("targets", "*", "classification"): targets.ClassificationConfig,
    ("targets", "*", "multilabel"): targets.MultiLabelConfig,
    ("targets", "*", "regression"): targets.RegressionConfig,
    ("targets", "*", "ordinal"): targets.OrdinalConfig,
    ("model",): models.ModelConfig,
    ("objective",): models.ObjectiveConfig,
    ("training",): models.TrainingConfig,
    ("training", "optimizer", "adamw"): models.AdamWConfig,
    ("training", "optimizer", "adam"): models.AdamConfig,
    ("training", "optimizer", "sgd"): models.SGDConfig,
    ("training", "schedule", "plateau"): models.PlateauConfig,
    ("training", "schedule", "one_cycle"): models.OneCycleConfig,
    ("training", "schedule", "constant"): models.ConstantConfig,
    ("folds",): models.FoldsConfig,
    ("adaptation",): adaptation.AdaptationConfig,
}
"""The model of each table; ``*`` is a name that the user chose, and the last word of a union is its member."""

UNIONS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("training", "optimizer"): ("optimizer", "name"),
    ("training", "schedule"): ("schedule", "name"),
    ("targets", "*"): ("kind of target", "kind"),
    ("adaptation", "enrol"): ("way to enrol", ""),
}
"""What the members of a union are, and the key that tells them apart."""
TABLE_ERRORS = ("model_type", "model_attributes_type", "dict_type", "mapping_type", "model_class_type")


def model_problems(table: Mapping[str, Any]) -> list[Problem]:
    """What the models refuse in a configuration's table."""
    try:
        models.Config.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        kinds = {place.keys: place.kind for place in places(table)}
        return [_problem(one, kinds) for one in error.errors(include_url=False)]
    return []


def _problem(error: Any, kinds: Mapping[tuple[str, ...], str]) -> Problem:
    loc, kind, given = tuple(map(str, error["loc"])), error["type"], error.get("input")
    union = next((names for place, names in UNIONS.items() if _matches(loc[:2], place)), None)
    keys = loc[:2] + loc[3:] if union else loc  # the member of a union is no key of the user
    path = "".join(f"[{key}]" if key.isdecimal() and place else f".{key}" for place, key in enumerate(keys))
    path = path.removeprefix(".")
    if kind == "union_tag_invalid" and union:
        known = [word.strip(" '") for word in error["ctx"]["expected_tags"].split(",")]
        name = error["ctx"]["tag"]
        text = f"there is no {union[0]} {name!r}{nearest(name, known)} Known: {', '.join(known)}."
        return Problem(f"{path}.{union[1]}", text)
    if kind == "extra_forbidden":
        known = _fields(loc[:-1])
        return Problem(path, f"there is no such key{nearest(loc[-1], known)} Known: {', '.join(known)}.")
    if kind == "missing" and loc[-1].isdecimal():
        return Problem(path.rpartition("[")[0], f"expected at least {int(loc[-1]) + 1} values, got {shown(given)}.")
    if kind == "missing":
        return Problem(path, f"is missing: {_described(loc)}")
    if kind in TABLE_ERRORS and keys in kinds:
        return Problem(path, wrong_table(kinds[keys], given))
    if kind in TABLE_ERRORS:
        return Problem(path, f"expected a table, got {shown(given)}.")
    if keys == ("branches",) and kind == "too_short":
        return Problem(path, "there is none; give at least one, such as [branches.audio].")
    if kind == "too_long":
        return Problem(path, f"expected at most {error['ctx']['max_length']}, got {len(given)}.")
    return Problem(path, worded(error, given))


def _table(loc: tuple[str, ...]) -> type[BaseModel] | None:
    return next((model for place, model in TABLES.items() if _matches(loc, place)), None)


def _matches(loc: tuple[str, ...], place: tuple[str, ...]) -> bool:
    """Whether keys lead to a place, in which ``*`` is any name."""
    return len(loc) == len(place) and all(one in ("*", key) for key, one in zip(loc, place, strict=True))


def _fields(loc: tuple[str, ...]) -> list[str]:
    """The keys that a table may have."""
    model = _table(loc)
    return list(model.model_fields) if model is not None else []


def _described(loc: tuple[str, ...]) -> str:
    if loc[-1] == "name":
        return "the name of the part."
    model = _table(loc[:-1])
    field = model.model_fields.get(loc[-1]) if model is not None else None
    return (field.description if field is not None else None) or "it has no default."

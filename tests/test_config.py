"""Configurations that are right: what is read, what defaults there are, overrides, and the schema for editors."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from mrpnkit.config import (
    AdamWConfig,
    PartConfig,
    RegressionConfig,
    SGDConfig,
    json_schema,
    load_config,
    parse_config,
)
from mrpnkit.config.targets import ClassificationConfig
from mrpnkit.errors import ConfigError
from tests.test_hostile_config import WRONG, configuration

WHOLE = """
[dataset]
name = "npz"
path = "features.npz"

[branches.video]
[branches.audio]
extractor = { name = "conv1d", channels = [16, 8] }
aggregator = { name = "bilstm", hidden_features = 64 }
slice_seconds = 1

[targets.emotion]
kind = "classification"
label_smoothing = 0.1

[model]
network = "n1"
hidden = 32
dropout = 0.3
side = "scoring"
fusion = { name = "concat", dropout = 0.5 }

[objective]
weights = { fused = 1.0, audio = 0.5 }
balancer = { name = "sum" }

[training]
epochs = 3
batch_size = 8
seed = 4
precision = "bfloat16"
clip_norm = 5.0
patience = 10
monitor = "emotion/fused/uar"
keep = "last"
workers = 2
optimizer = { name = "sgd", learning_rate = 0.1 }
schedule = { name = "one_cycle", warm_up = 0.2 }

[folds]
group = "actor"
stratum = "sex"
count = 4
only = [1, 3]
seed = 1
"""


def test_everything_is_read() -> None:
    config = parse_config(WHOLE)
    assert list(config.branches) == ["video", "audio"]  # declared order, not sorted
    audio = config.branches["audio"]
    assert audio.extractor.name == "conv1d"
    assert audio.extractor.options["channels"] == [16, 8]
    assert audio.extractor.options["kernel_size"] == 5
    assert audio.aggregator.options == {"hidden_features": 64, "layers": 1, "dropout": 0.0, "pool": "last"}
    assert audio.slice_seconds == 1.0
    emotion = config.targets["emotion"]
    assert isinstance(emotion, ClassificationConfig)
    assert emotion.label_smoothing == 0.1
    assert (config.model.network, config.model.hidden, config.model.side) == ("n1", 32, "scoring")
    assert dict(config.objective.weights) == {"fused": 1.0, "audio": 0.5}
    assert config.training.optimizer == SGDConfig(learning_rate=0.1)
    assert config.training.schedule.name == "one_cycle"
    assert (config.training.precision, config.training.keep, config.training.workers) == ("bfloat16", "last", 2)
    assert config.folds.only == (1, 3)
    assert (config.folds.group, config.folds.stratum, config.folds.count, config.folds.seed) == ("actor", "sex", 4, 1)


def test_only_the_data_set_and_a_branch_are_needed() -> None:
    config = parse_config('dataset = { name = "npz", path = "x" }\n[branches.audio]')
    assert config.branches["audio"].extractor.name == "identity"
    assert config.branches["audio"].aggregator.name == "mean"
    assert (config.model.network, config.model.fusion.name, config.objective.balancer.name) == ("n2", "concat", "sum")
    assert config.training.optimizer == AdamWConfig(learning_rate=1e-3, weight_decay=1e-2)
    assert config.training.schedule.model_dump() == {"name": "plateau", "factor": 0.5, "patience": 10}  # the paper's
    assert (config.folds.count, config.folds.group, config.targets) == (5, None, {})


def test_the_fusion_has_the_hidden_and_dropout_of_the_network_unless_told() -> None:
    table = configuration("model", "hidden = 7\ndropout = 0.3")
    assert parse_config(table).model.fusion.options == {"hidden": 7, "dropout": 0.3, "absent": "zero"}
    assert parse_config(WHOLE).model.fusion.options == {"hidden": 32, "dropout": 0.5, "absent": "zero"}
    config = parse_config(table, ["model.fusion.dropout=0.1"])
    assert config.model.fusion.options == {"hidden": 7, "dropout": 0.1, "absent": "zero"}
    assert config.model.dropout == 0.3
    learned = parse_config(table, ["model.absent='learned'"])
    assert learned.model.fusion.options["absent"] == "learned"


def test_targets_of_every_kind_and_what_stands_for_what_is_missing() -> None:
    table = {
        "emotion": {"label_smoothing": 0.1, "class_weights": {"sad": 2}, "balance": "inverse_frequency"},
        "mood": {"kind": "multilabel", "positive_weights": {"laughs": 3}},
        "age": {"kind": "regression", "loss": "huber", "delta": 0.5, "weight": 0.25},
        "pain": {"kind": "ordinal"},
    }
    config = parse_config({**tomllib.loads(configuration()), "targets": table})
    assert [chosen.kind for chosen in config.targets.values()] == [
        "classification",
        "multilabel",
        "regression",
        "ordinal",
    ]
    assert isinstance(config.targets["age"], RegressionConfig)
    assert (config.targets["age"].delta, config.targets["age"].weight, config.targets["age"].scale) == (
        0.5,
        0.25,
        "training",
    )
    assert parse_config(config.resolved()) == config


@pytest.mark.parametrize(
    ("monitor", "says"),
    [
        ("age/fused/mae", None),
        ("age/fused/accuracy", "there is no metric 'accuracy'. Known: mae, rmse, ccc, pearson, loss"),
        ("emotion/fused/mae", "there is no metric 'mae'. Known: accuracy, uar, macro_f1, loss"),
    ],
)
def test_a_monitored_metric_is_one_of_its_target(monitor: str, says: str | None) -> None:
    table = {**tomllib.loads(configuration()), "targets": {"emotion": {}, "age": {"kind": "regression"}}}
    if says is None:
        assert parse_config(table, [f"training.monitor='{monitor}'"]).training.monitor == monitor
        return
    with pytest.raises(ConfigError, match=says):
        parse_config(table, [f"training.monitor='{monitor}'"])


def test_n0_has_nothing_to_fall_back_to() -> None:
    with pytest.raises(ConfigError, match=r"model.fallback: n0 has no side scores to fall back to; expected \"never\""):
        parse_config(configuration(), ["model.network='n0'", "model.fallback='single'"])


def test_a_table_without_a_name_is_of_the_default() -> None:
    config = parse_config(configuration(), ["training.optimizer.learning_rate=1", "training.schedule.patience=3"])
    assert config.training.optimizer == AdamWConfig(learning_rate=1.0)
    assert config.training.schedule.name == "plateau"


@pytest.mark.parametrize("text", [WHOLE, configuration()])
def test_what_is_resolved_is_plain_and_reads_back(text: str) -> None:
    config = parse_config(text)
    resolved = json.loads(json.dumps(config.resolved()))
    assert parse_config(resolved) == config
    assert parse_config(resolved).resolved() == resolved
    assert list(resolved["branches"]) == list(config.branches)


def test_reading_changes_nothing_that_was_given() -> None:
    table = tomllib.loads(WHOLE)
    before = json.dumps(table)
    parse_config(table, ["training.epochs=9", "branches.audio.extractor.kernel_size=3"])
    assert json.dumps(table) == before


def test_configurations_are_frozen() -> None:
    config = parse_config(configuration())
    with pytest.raises(ValidationError, match="frozen"):
        config.training.epochs = 3
    with pytest.raises(ValidationError, match="frozen"):
        config.branches["audio"].extractor.name = "x"
    options = config.branches["audio"].extractor.options
    options["x"] = 1
    assert config.branches["audio"].extractor.options == {}
    assert PartConfig(name="a", b=1).options == {"b": 1}  # type: ignore[call-arg]


def test_overrides_are_toml_and_come_in_order() -> None:
    config = parse_config(
        WHOLE,
        [
            "training.epochs=7",
            "training.epochs = 8",
            'model.network="n0"',
            "branches.audio.extractor.channels=[4]",
            "branches.video.extractor={name='mlp', hidden=[3]}",
            "branches.'text'.aggregator.name='max'",
            "objective.weights.video=0",
            "folds.only=[2]",
            "training.monitor='loss'",
        ],
    )
    assert config.training.epochs == 8
    assert config.model.network == "n0"
    assert config.branches["audio"].extractor.options["channels"] == [4]
    assert config.branches["audio"].aggregator.options["hidden_features"] == 64
    assert config.branches["video"].extractor.options["hidden"] == [3]
    assert list(config.branches) == ["video", "audio", "text"]
    assert config.branches["text"].aggregator.name == "max"
    assert config.objective.weights == {"fused": 1.0, "audio": 0.5, "video": 0.0}
    assert config.folds.only == (2,)


def test_an_override_can_mend_what_the_file_has_wrong(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(configuration("training", "epochs = 0"))
    assert load_config(tmp_path / "run.toml", ["training.epochs=2"]).training.epochs == 2
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "run.toml")
    assert caught.value.source == str(tmp_path / "run.toml")


def test_reading_loads_torch_only_for_the_parts_and_no_plugin_that_is_not_named(tmp_path: Path) -> None:
    for plugin in ("wanted", "unwanted"):
        folder = tmp_path / f"{plugin}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[mrpnkit.extractors]\n{plugin}_part = {plugin}:Part\n")
        source = "class Part:\n    def __init__(self, in_features: int, *, size: int = 3) -> None: ...\n"
        (tmp_path / f"{plugin}.py").write_text(source)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import mrpnkit.config\n"
        "assert 'torch' not in sys.modules\n"
        "config = mrpnkit.config.parse_config({'dataset': {'name': 'npz', 'path': 'x'},"
        " 'branches': {'a': {'extractor': {'name': 'wanted_part'}}}})\n"
        "assert config.branches['a'].extractor.options == {'size': 3}\n"
        "assert 'wanted' in sys.modules and 'unwanted' not in sys.modules\n"
        "schema = mrpnkit.config.json_schema()\n"
        "assert 'unwanted' not in sys.modules\n"
        "schema = mrpnkit.config.json_schema(plugins=True)\n"
        "assert 'unwanted' in sys.modules\n"
        "assert any(one.get('title') == 'unwanted_part' for one in schema['$defs']['extractor']['oneOf'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def test_the_schema_is_one_and_takes_what_is_right(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (WHOLE, configuration()):
        validator.validate(tomllib.loads(text))
        validator.validate(parse_config(text).resolved())


def test_the_schema_refuses_what_is_wrong(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    refused = 0
    for wrong in WRONG:
        table = tomllib.loads(configuration(wrong.section, wrong.text))
        apart = ("objective.weights", "folds.only", "folds.test", "folds.validation", "training.monitor")
        knowable = not wrong.path.startswith(apart)
        knowable &= not (wrong.section.startswith(("branches.", "targets.")) and not wrong.text)
        knowable &= not any(word in wrong.text for word in ("nan", "inf", "1979-05-27"))
        if knowable:
            assert not validator.is_valid(table), wrong
            refused += 1
    assert refused > 40


def test_the_schema_completes_names_and_options(schema: dict[str, Any]) -> None:
    extractor = schema["$defs"]["extractor"]
    assert {"conv1d", "identity", "linear", "mlp"} <= set(extractor["properties"]["name"]["enum"])
    conv1d = next(one for one in extractor["oneOf"] if one["title"] == "conv1d")
    assert conv1d["properties"]["channels"] == {"type": "array", "items": {"type": "integer"}, "default": [128, 128]}
    assert conv1d["required"] == ["name"]
    assert conv1d["description"].startswith("A stack of convolutions")
    npz = next(one for one in schema["$defs"]["data_set"]["oneOf"] if one["title"] == "npz")
    assert npz["required"] == ["name", "path"]
    assert schema["$defs"]["TrainingConfig"]["properties"]["epochs"]["description"] == "How many, at most."

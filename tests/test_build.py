"""From configurations to objects: equal to those made by hand, refused in the user's words where data do not fit."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from mrpnkit.aggregators import BiLSTM, Mean
from mrpnkit.balancing import BALANCERS
from mrpnkit.build import (
    build_corpus,
    build_folds,
    build_loader,
    build_model,
    build_objective,
    build_optimizer,
    build_scheduler,
    warn_of_random_folds,
)
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus, group_folds
from mrpnkit.data.datasets import DATASETS
from mrpnkit.errors import ConfigError, CorpusError, SplitError
from mrpnkit.extractors import EXTRACTORS, Conv1d, Identity
from mrpnkit.fusions import FUSIONS, FusionComponent
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.objective import Objective
from mrpnkit.targets import Classification
from tests.test_hostile_config import configuration

SAMPLES = 24
CONFIG: dict[str, Any] = {
    "dataset": {"name": "npz", "path": "features.npz"},
    "branches": {
        "audio": {
            "extractor": {"name": "conv1d", "channels": [4]},
            "aggregator": {"name": "bilstm", "hidden_features": 3},
        },
        "face": {},
    },
    "targets": {"emotion": {"label_smoothing": 0.1}},
    "model": {"dropout": 0.25, "hidden": 6},
}


@pytest.fixture
def corpus() -> Corpus:
    draw = np.random.default_rng(0)
    return Corpus.from_arrays(
        {
            "audio": [draw.normal(size=(length, 5)).astype(np.float32) for length in draw.integers(4, 9, SAMPLES)],
            "face": draw.normal(size=(SAMPLES, 7)).astype(np.float32),
        },
        {"emotion": ["calm", "happy", "sad"] * 8, "age": draw.normal(size=SAMPLES)},
        groups={
            "actor": [str(row // 3) for row in range(SAMPLES)],
            "sex": [str(row // 3 % 2) for row in range(SAMPLES)],
        },
        rates={"audio": 2.0},
    )


def problems_of(error: pytest.ExceptionInfo[ConfigError]) -> dict[str, str]:
    return dict(error.value.problems)


def test_the_data_set_is_read_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", audio=np.ones((6, 2)), face=np.ones((6, 3)), label=np.arange(6) % 2)
    corpus = build_corpus(parse_config({**CONFIG, "targets": {}}), tmp_path)
    assert (len(corpus), corpus.features("audio"), list(corpus.targets)) == (6, 2, ["label"])
    with pytest.raises(ConfigError, match=r"targets.emotion: the data set has no target 'emotion'\. It has label"):
        build_corpus(parse_config(CONFIG), tmp_path)
    outside = parse_config(CONFIG, ["dataset.path='../../etc/passwd'"])
    with pytest.raises(CorpusError, match=r"'\.\./\.\./etc/passwd'"):
        build_corpus(outside, tmp_path)


def test_a_pickle_in_a_data_set_is_never_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "evil",))

    array = np.empty(2, dtype=object)
    array[:] = [Evil(), Evil()]
    np.savez(tmp_path / "features.npz", audio=array, face=array, label=np.arange(2))
    with pytest.raises(CorpusError, match="never loaded, since a pickle can run any program"):
        build_corpus(parse_config({**CONFIG, "targets": {}}), tmp_path)
    assert not (tmp_path / "evil").exists()


def test_the_model_is_the_one_that_is_made_by_hand(corpus: Corpus) -> None:
    torch.manual_seed(3)
    built = build_model(parse_config(CONFIG), corpus).eval()
    torch.manual_seed(3)
    branches = {
        "audio": Branch(Conv1d(5, channels=[4]), BiLSTM(4, hidden_features=3)),
        "face": Branch(Identity(7), Mean(7)),
    }
    widths = [branch.out_features for branch in branches.values()]
    fusion = FusionComponent(widths, {"emotion": 3}, hidden=6, dropout=0.25)
    by_hand = MRPN(branches, {"emotion": 3}, network="n2", hidden=6, dropout=0.25, fusion=fusion).eval()
    inputs = {name: corpus.batch(name, np.arange(5)) for name in branches}
    torch.testing.assert_close(built(inputs).fused, by_hand(inputs).fused, rtol=0, atol=0)
    torch.testing.assert_close(built(inputs, sides=True).branches, by_hand(inputs, sides=True).branches, rtol=0, atol=0)
    assert {unit.p for unit in built.fusion.modules() if isinstance(unit, nn.Dropout)} == {0.25}


@pytest.mark.parametrize("network", ["n0", "n1", "n2"])
def test_networks(network: str, corpus: Corpus) -> None:
    model = build_model(parse_config(CONFIG, [f"model.network='{network}'", "model.side='scoring'"]), corpus)
    assert model.network == network
    assert len(model.sides) == (0 if network == "n0" else 2)


def test_another_fusion_balancer_and_extractor_that_asks_for_facts(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Any] = {}

    class Asks(Identity):
        def __init__(self, in_features: int, *, step_shape: tuple[int, ...], rate: float | None) -> None:
            super().__init__(in_features)
            facts.update(step_shape=step_shape, rate=rate)

    class First(nn.Module):
        """The first branch alone."""

        def __init__(self, features: list[int], targets: dict[str, int], *, scale: float = 1.0) -> None:
            super().__init__()
            self.scale = scale
            self.heads = nn.ModuleDict({name: nn.Linear(features[0], count) for name, count in targets.items()})

        def forward(self, features: list[Tensor], present: object) -> dict[str, Tensor]:
            return {name: self.scale * head(features[0]) for name, head in self.heads.items()}

    def largest(losses: dict[str, Tensor]) -> Tensor:
        return torch.stack(list(losses.values())).max()

    monkeypatch.setitem(FUSIONS._own, "first", First)
    monkeypatch.setitem(BALANCERS._own, "largest", lambda: largest)
    monkeypatch.setitem(EXTRACTORS._own, "asks", Asks)
    config = parse_config(
        CONFIG,
        [
            "model.fusion={name='first', scale=2}",
            "objective.balancer.name='largest'",
            "branches.audio.extractor={name='asks'}",
        ],
    )
    model, objective = build_model(config, corpus), build_objective(config, corpus)
    assert facts == {"step_shape": (5,), "rate": 2.0}
    assert isinstance(model.fusion, First)
    assert model.fusion.scale == 2.0
    batch = next(iter(build_loader(config, corpus, np.arange(8), "train")))
    loss = objective(model(batch.inputs), batch.labels)
    assert loss.total == max(loss.terms.values())
    assert len(loss.terms) == 3


def test_the_objective_is_the_one_that_is_made_by_hand(corpus: Corpus) -> None:
    config = parse_config(CONFIG, ["objective.weights={audio=0.5, fused=2}"])
    by_hand = Objective(
        {"emotion": Classification(corpus.classes["emotion"], label_smoothing=0.1)}, weights={"audio": 0.5, "fused": 2}
    )
    model = build_model(config, corpus)
    batch = next(iter(build_loader(config, corpus, np.arange(8), "train")))
    output = model(batch.inputs)
    given, expected = build_objective(config, corpus)(output, batch.labels), by_hand(output, batch.labels)
    assert given.total == expected.total
    assert given.terms == expected.terms


def test_what_a_part_refuses_has_the_path_of_the_part(corpus: Corpus) -> None:
    config = parse_config(
        CONFIG,
        [
            "branches.audio.extractor={name='conv1d', channels=[4, 4], strides=[1]}",
            "branches.face.aggregator={name='transformer', features=5, heads=4}",
        ],
    )
    with pytest.raises(ConfigError) as caught:
        build_model(config, corpus)
    problems = problems_of(caught)
    assert list(problems) == ["branches.audio.extractor", "branches.face.aggregator"]
    assert problems["branches.audio.extractor"].startswith("Conv1d: 1 strides were given for 2 layers")
    assert problems["branches.face.aggregator"].startswith("Transformer: features must be a multiple of heads")
    huge = parse_config(CONFIG, ["branches.audio.aggregator.hidden_features=4000000000000"])
    with pytest.raises(ConfigError, match=r"branches.audio.aggregator: cannot be built: \w+Error: "):
        build_model(huge, corpus)


def test_a_part_without_a_width_is_refused(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    class Widthless(nn.Module):
        def __init__(self, in_features: int) -> None:
            super().__init__()

    monkeypatch.setitem(EXTRACTORS._own, "widthless", Widthless)
    with pytest.raises(ConfigError, match=r"branches.face.extractor: Widthless has no integer attribute out_features"):
        build_model(parse_config(CONFIG, ["branches.face.extractor.name='widthless'"]), corpus)


def test_a_data_set_that_loads_no_corpus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loose:
        def load(self, folder: Path) -> dict[str, int]:
            return {"a": 1}

    monkeypatch.setitem(DATASETS._own, "loose", Loose)
    with pytest.raises(ConfigError, match=r"dataset: Loose\.load\(\) must return a Corpus, returned dict\."):
        build_corpus(parse_config({**CONFIG, "dataset": {"name": "loose"}}), ".")


def test_what_the_data_set_does_not_have_comes_at_once(corpus: Corpus) -> None:
    config = parse_config(
        {**CONFIG, "branches": {"audoi": {}, "face": {"slice_seconds": 1.0}}, "targets": {"emotoin": {}, "age": {}}},
        ["folds.group='actr'", "folds.stratum='sexe'", "training.monitor='emotoin/fused/uar'"],
    )
    with pytest.raises(ConfigError) as caught:
        build_folds(config, corpus)
    problems = problems_of(caught)
    assert problems == {
        "branches.audoi": "the data set has no modality 'audoi'; did you mean 'audio'? It has audio, face.",
        "targets.emotoin": "the data set has no target 'emotoin'; did you mean 'emotion'? It has emotion, age.",
        "targets.age.kind": "classification needs one class a sample; the data set has numbers for 'age'. Write kind = "
        '"regression", or give the data set the labels in another form.',
        "branches.face.slice_seconds": "the data set does not say how many steps a second the modality has; remove it, "
        "or give the rate.",
        "folds.group": "the data set has no column 'actr'; did you mean 'actor'? It has actor, sex.",
        "folds.stratum": "the data set has no column 'sexe'; did you mean 'sex'? It has actor, sex, emotion.",
        "training.monitor": "the data set has no target 'emotoin'; did you mean 'emotion'? It has emotion, age.",
    }


def test_every_target_is_trained_by_default_as_what_its_labels_are(corpus: Corpus) -> None:
    config = parse_config({**CONFIG, "targets": {}})
    assert build_model(config, corpus).targets == {"emotion": 3, "age": 1}
    objective = build_objective(config, corpus)
    assert [target.kind for target in objective.targets.values()] == ["classification", "regression"]


def test_folds_by_group_are_those_of_group_folds(corpus: Corpus) -> None:
    config = parse_config(CONFIG, ["folds.group='actor'", "folds.stratum='sex'", "folds.count=4"])
    expected = group_folds(corpus.groups["actor"], 4, strata=corpus.groups["sex"], labels=corpus.targets["emotion"])
    given = build_folds(config, corpus)
    assert [fold.name for fold in given] == [fold.name for fold in expected]
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_array_equal(one.train, other.train)
    with pytest.raises(SplitError, match="8 groups cannot fill 9 folds"):
        build_folds(parse_config(CONFIG, ["folds.group='actor'", "folds.count=9"]), corpus)


def test_a_fixed_split_with_named_groups(corpus: Corpus) -> None:
    text = ["folds.group='actor'", "folds.test=['7', '2']", "folds.validation=['3']"]
    (fold,) = build_folds(parse_config(CONFIG, text), corpus)
    actors = corpus.groups["actor"]
    assert fold.name == "2,7"
    assert fold.test.tolist() == np.flatnonzero(np.isin(actors, ["2", "7"])).tolist()
    assert fold.validation.tolist() == np.flatnonzero(actors == "3").tolist()
    assert sorted(np.concatenate(fold[:3]).tolist()) == list(range(SAMPLES))


def test_a_fixed_split_with_drawn_validation(corpus: Corpus) -> None:
    text = ["folds.group='sex'", "folds.test=['1']", "folds.validation_share=0.34", "folds.seed=3"]
    (fold,) = build_folds(parse_config(CONFIG, text), corpus)
    assert set(corpus.groups["sex"][fold.test]) == {"1"}
    assert set(corpus.groups["sex"][np.concatenate([fold.train, fold.validation])]) == {"0"}
    emotions = corpus.targets["emotion"]
    rest = np.bincount(emotions[corpus.groups["sex"] == "0"])
    assert np.bincount(emotions[fold.validation]).tolist() == [max(1, round(0.34 * count)) for count in rest.tolist()]
    (again,) = build_folds(parse_config(CONFIG, text), corpus)
    assert again.validation.tolist() == fold.validation.tolist()


def test_a_fixed_split_of_groups_that_nobody_has(corpus: Corpus) -> None:
    config = parse_config(CONFIG, ["folds.group='actor'", "folds.test=['actor7']", "folds.validation=['77']"])
    with pytest.raises(ConfigError) as caught:
        build_folds(config, corpus)
    assert [(problem.path, problem.text) for problem in caught.value.problems] == [
        ("folds.test", "the data set has no actor 'actor7'. It has 0, 1, 2, 3, 4, 5, 6, 7."),
        ("folds.validation", "the data set has no actor '77'; did you mean '7'? It has 0, 1, 2, 3, 4, 5, 6, 7."),
    ]


def test_folds_without_a_group_are_random_balanced_and_said_so(
    corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    config = parse_config(CONFIG, ["folds.count=4"])
    with caplog.at_level(logging.WARNING, logger="mrpnkit.build"):
        folds = build_folds(config, corpus)
        warn_of_random_folds(parse_config(CONFIG, ["folds.group='actor'"]), corpus)
        assert caplog.text == "", "folds are made again wherever they are read"
        warn_of_random_folds(config, corpus)
    assert "random over samples, balanced by 'emotion'" in caplog.text
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(SAMPLES))
    for fold in folds:
        assert np.bincount(corpus.targets["emotion"][fold.test]).tolist() == [2, 2, 2]
    assert any(np.diff(fold.test).max() > 1 for fold in folds)
    other = build_folds(parse_config(CONFIG, ["folds.count=4", "folds.seed=5"]), corpus)
    assert [fold.test.tolist() for fold in other] != [fold.test.tolist() for fold in folds]


def test_loaders_slice_and_shuffle_to_train_only(corpus: Corpus) -> None:
    config = parse_config(CONFIG, ["training.batch_size=5", "branches.audio.slice_seconds=1.5", "training.seed=2"])
    rows = np.arange(12)
    train, evaluate = (build_loader(config, corpus, rows, purpose) for purpose in ("train", "evaluate"))
    trained, evaluated = list(train), list(evaluate)
    assert [len(batch.rows) for batch in trained] == [5, 5, 2]
    assert torch.cat([batch.rows for batch in evaluated]).tolist() == rows.tolist()
    assert torch.cat([batch.rows for batch in trained]).tolist() != rows.tolist()
    whole = corpus.modalities["audio"].lengths
    for batch in evaluated:
        assert batch.inputs["audio"].lengths.tolist() == whole[batch.rows.numpy()].tolist()
    shorter = [batch.inputs["audio"].lengths.numpy() < whole[batch.rows.numpy()] for batch in trained]
    assert np.concatenate(shorter).any()
    assert min(int(batch.inputs["audio"].lengths.min()) for batch in trained) >= 3  # 1.5 s at 2 steps a second
    assert list(trained[0].inputs) == ["audio", "face"]


def test_optimizers_and_schedules(corpus: Corpus) -> None:
    model = build_model(parse_config(CONFIG), corpus)
    chosen = {
        "{name='adamw', learning_rate=0.1, weight_decay=0.2}": (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.2}),
        "{name='adam', learning_rate=0.1}": (torch.optim.Adam, {"lr": 0.1, "weight_decay": 0}),
        "{name='sgd', momentum=0.5}": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.5}),
    }
    for text, (kind, settings) in chosen.items():
        optimizer = build_optimizer(parse_config(CONFIG, [f"training.optimizer={text}"]), model)
        assert type(optimizer) is kind
        assert {key: optimizer.defaults[key] for key in settings} == settings
    plateau = build_scheduler(parse_config(CONFIG), optimizer, 10)
    assert isinstance(plateau, ReduceLROnPlateau)
    assert (plateau.factor, plateau.patience) == (0.5, 10)
    cycle = build_scheduler(parse_config(CONFIG, ["training.schedule={name='one_cycle'}"]), optimizer, 10)
    assert isinstance(cycle, OneCycleLR)
    assert cycle.total_steps == 10
    assert build_scheduler(parse_config(CONFIG, ["training.schedule={name='constant'}"]), optimizer, 10) is None


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("{name='sgd', momentum=0.0}", "momentum", 0.0),
        ("{name='sgd', momentum=0.5}", "momentum", 0.5),
        ("{name='adam', betas=[0.5, 0.9]}", "betas", (0.5, 0.9)),
        ("{name='adamw', betas=[0.5, 0.9]}", "betas", (0.5, 0.9)),
    ],
)
def test_one_cycle_leaves_momentum_alone(text: str, key: str, value: Any, corpus: Corpus) -> None:
    config = parse_config(CONFIG, [f"training.optimizer={text}", "training.schedule={name='one_cycle'}"])
    optimizer = build_optimizer(config, build_model(config, corpus))
    cycle = build_scheduler(config, optimizer, 10)
    assert isinstance(cycle, OneCycleLR)
    rates = []
    for _ in range(10):
        assert optimizer.param_groups[0][key] == value
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < 10:
            cycle.step()
    peak = config.training.optimizer.learning_rate
    assert max(rates) == pytest.approx(peak)
    assert rates[0] == pytest.approx(peak / 25)


def test_parameters_that_are_frozen_are_not_optimised(corpus: Corpus) -> None:
    model = build_model(parse_config(CONFIG), corpus)
    for parameter in model.branches.parameters():
        parameter.requires_grad_(False)
    optimizer = build_optimizer(parse_config(CONFIG), model)
    assert len(optimizer.param_groups[0]["params"]) == sum(p.requires_grad for p in model.parameters())


def test_a_configuration_of_its_own_works_from_text(corpus: Corpus) -> None:
    text = configuration("branches.audio", "aggregator = { name = 'max' }").replace("branches.video", "branches.face")
    model = build_model(parse_config(text + "[targets.emotion]"), corpus)
    assert model.branches["audio"].out_features == 5

"""A configuration over its folds, and the ablation: the same as by hand, resumed, and never mixed."""

import hashlib
import json
import math
import statistics
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils import set_seed
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mrpnkit import MRPN, Branch, Classification, FusionComponent, Objective
from mrpnkit.ablation import Ablation, run_ablation
from mrpnkit.aggregators import Last, Mean
from mrpnkit.analysis import t_quantile
from mrpnkit.config import parse_config
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, RandomSlice, group_folds, loader
from mrpnkit.errors import ConfigError, InputError, RunError, SplitError
from mrpnkit.experiment import Experiment, finite, kept_at_the_end, run_experiment, summarise
from mrpnkit.extractors import Conv1d, Linear
from mrpnkit.records import read_json
from mrpnkit.train import Trainer, evaluate
from mrpnkit.train.state import STATE
from mrpnkit.variants import changed, variants
from tests.small_runs import CLASSES, CONFIG, small_corpus


def groups_of(corpus: Corpus) -> dict[str, list[str]]:
    return {name: values.tolist() for name, values in corpus.groups.items()}


def run(folder: Path, *changes: str) -> tuple[Experiment, list[str]]:
    told: list[str] = []
    config = parse_config(CONFIG, changes)
    experiment = run_experiment(config, folder, base=folder.parent, corpus=small_corpus(), say=told.append, cpu=True)
    return experiment, told


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return run(tmp_path_factory.mktemp("experiment") / "run")[0]


def by_hand() -> dict[str, float]:
    """Fold 2 of the configuration, written with the library's objects alone."""
    corpus = small_corpus()
    fold = group_folds(corpus.groups["actor"], 3, strata=corpus.groups["sex"])[1]
    set_seed(0)
    audio = Conv1d(5, channels=[4])
    branches = {"audio": Branch(audio, Mean(audio.out_features)), "face": Branch(Linear(4, 5), Last(5))}
    fusion = FusionComponent([audio.out_features, 5], {"emotion": 3})  # drawn before the rest of the network
    model = MRPN(branches, {"emotion": 3}, network="n2", fusion=fusion)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, weight_decay=0.01, fused=True)
    trainer = Trainer(
        model,
        objective := Objective({"emotion": Classification(corpus.classes["emotion"])}),
        loader(
            CorpusDataset(corpus, fold.train, augmentation=Augmentation({"audio": RandomSlice(0.3, 10.0)})),
            8,
            shuffle_seed=0,
        ),
        loader(CorpusDataset(corpus, fold.validation), 8),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=10),
        epochs=2,
        cpu=True,
    )
    trainer.fit()
    return evaluate(trainer.plain_model, loader(CorpusDataset(corpus, fold.test), 8), objective).metrics


def test_a_fold_is_what_the_objects_give_by_hand(done: Experiment) -> None:
    assert done.folds[2]["metrics"] == pytest.approx(by_hand(), abs=1e-6)


def test_the_folder_tells_everything(done: Experiment) -> None:
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "audit.json", "fold-01", "fold-02", "fold-03", "results.json", "run.json",
    ]  # fmt: skip
    fold = read_json(done.folder / "fold-01" / "fold.json")
    assert fold["test_groups"] == ["1", "2"]
    assert fold["validation_groups"] == ["3", "4"]
    assert fold["samples"] == {"train": 12, "validation": 12, "test": 12}
    labels = json.dumps([CLASSES[row % 3] for row in sorted(range(12), key=str)])
    assert fold["tested"]["labels/emotion"] == hashlib.sha256(labels.encode()).hexdigest()
    assert set(fold["tested"]) == {"groups/actor", "groups/sex", "labels/emotion"}
    assert np.sum(fold["confusion"]["emotion"]["fused"]) == 12
    scores = np.load(done.folder / "fold-01" / "test.npz")
    predicted = scores["scores/fused/emotion"].argmax(1)
    assert fold["metrics"]["emotion/fused/accuracy"] == pytest.approx((predicted == scores["labels/emotion"]).mean())


def test_summary_is_over_folds(done: Experiment) -> None:
    values = [fold["metrics"]["emotion/audio/uar"] for fold in done.folds.values()]
    found = done.summary()["emotion/audio/uar"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["sd"] == pytest.approx(np.std(values, ddof=1))
    assert read_json(done.folder / "results.json")["summary"]["emotion/audio/uar"] == found
    with pytest.raises(RunError, match="has no metric 'emotion/audio/f1'; there are: loss, emotion/fused/accuracy"):
        done.values("emotion/audio/f1")


def test_numbers_that_are_none_are_left_out() -> None:
    assert summarise({"a": [1.0, math.nan, 3.0], "b": [math.nan], "c": [2.0]}) == {
        "a": {"mean": 2.0, "sd": pytest.approx(2**0.5), "n": 2},
        "b": {"mean": None, "sd": None, "n": 0},
        "c": {"mean": 2.0, "sd": None, "n": 1},
    }
    assert finite({"a": [math.inf, 1], "b": (math.nan,)}) == {"a": [None, 1], "b": [None]}


def test_it_is_said_where_most_folds_keep_their_last_epoch(tmp_path: Path) -> None:
    def told(*kept: int, epochs: int = 5, validated: bool = True) -> str | None:
        measured = {"loss": 1.0} if validated else None
        folds = {
            n: {"selected_epoch": k, "epochs": epochs, "validation": measured} for n, k in enumerate(kept, start=1)
        }
        return kept_at_the_end(Experiment(tmp_path, folds))

    assert told(5, 3, 5) == (
        "The kept epoch is the last one in 2 of 3 folds: training longer (training.epochs) or a higher learning rate "
        "may help."
    )
    assert told(5, 3) is told(5, 3, 2) is told(5) is None, "half, fewer, and a single fold"
    assert told(1, 1, 1, epochs=1) is told(5, 5, 5, validated=False) is None, "nothing was selected"


def test_what_is_finished_is_not_trained_again(done: Experiment) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.folder.glob("fold-*/*")}
    again, told = run(done.folder)
    assert told == ["fold 1 is finished already", "fold 2 is finished already", "fold 3 is finished already"]
    assert {path: path.stat().st_mtime_ns for path in done.folder.glob("fold-*/*")} == before
    assert again.folds == {number: finite(fold) for number, fold in done.folds.items()}


def test_an_interrupted_fold_goes_on_bitwise(done: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the first epoch of the second fold; what comes out equals the run that nobody stopped."""
    epochs = Trainer._epoch

    def stop_at_third(trainer: Trainer) -> object:
        if trainer.progress.epoch == 1 and trainer.folder is not None and trainer.folder.name == "fold-02":
            raise KeyboardInterrupt
        return epochs(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run")
    assert (tmp_path / "run" / "fold-02" / STATE).is_file()
    assert not (tmp_path / "run" / "fold-02" / "fold.json").exists()
    again, told = run(tmp_path / "run")
    assert told[0] == "fold 1 is finished already"
    assert told[1].startswith("fold 2 of 3 goes on: tests 3, 4")
    assert {n: fold["metrics"] for n, fold in again.folds.items()} == {
        n: fold["metrics"] for n, fold in done.folds.items()
    }


def test_some_folds_only(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "run", "folds.only=[2]")
    assert list(first.folds) == [2]
    both, told = run(tmp_path / "run", "folds.only=[2, 1]")
    assert list(both.folds) == [2, 1]
    assert told[0] == "fold 2 is finished already"
    assert list(read_json(tmp_path / "run" / "results.json")["folds"]) == ["1", "2"]


def test_other_settings_do_not_mix(done: Experiment) -> None:
    with pytest.raises(RunError, match=r"training\.seed: 0 there, 1 here"):
        run(done.folder, "training.seed=1")


def test_a_network_that_cannot_be_built_blocks_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="out_features"):
        run(tmp_path / "run", "folds.only=[1]", "branches.face.extractor.out_features=-1")
    mended, _ = run(tmp_path / "run", "folds.only=[1]")
    assert list(mended.folds) == [1]


def test_a_class_that_training_lacks_is_the_audit_s(tmp_path: Path) -> None:
    """The third class is actor 1's alone: refused, or reported where that is asked for."""
    corpus = small_corpus()
    labels = np.where(corpus.groups["actor"] == "1", 2, corpus.targets["emotion"] % 2)
    rare = Corpus(corpus.ids, corpus.modalities, {"emotion": labels}, classes=corpus.classes, groups=groups_of(corpus))
    for audit in ("refuse", "report"):
        config = parse_config(CONFIG, [f'folds.audit="{audit}"', "training.epochs=1"])
        start = partial(run_experiment, config, tmp_path / audit, base=tmp_path, corpus=rare, cpu=True)
        if audit == "refuse":
            with pytest.raises(SplitError, match="train part of fold 1 has no sample of"):
                start()
        else:
            assert len(start().folds) == 3


# The ablation


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    folder = tmp_path_factory.mktemp("ablation")
    config = parse_config(CONFIG, ["training.epochs=1", "objective.weights={audio=0.5}"])
    return run_ablation(config, folder / "runs", base=folder, seeds=2, corpus=small_corpus(), cpu=True)


def test_variants_differ_in_the_network_alone() -> None:
    config = parse_config(CONFIG, ["objective.weights={audio=0.5}"])
    found = variants(config)
    assert {name: label for name, (label, _) in found.items()} == {
        "only_audio": "audio alone", "only_face": "face alone", "n0": "N0", "n1": "N1", "n2": "N2 (MRPN)",
    }  # fmt: skip
    for _, variant in found.values():
        assert (variant.training, variant.folds, variant.dataset) == (config.training, config.folds, config.dataset)
    assert list(found["only_audio"][1].branches) == ["audio"]
    assert found["only_audio"][1].model.network == "n0"
    assert (dict(found["n0"][1].objective.weights), dict(found["n1"][1].objective.weights)) == ({}, {"audio": 0.5})
    assert found["n2"][1] == config
    assert changed(config, branches=("audio", "face"), network="n2", seed=4).training.seed == 4


def test_every_variant_has_the_same_folds_and_seeds(ablation: Ablation) -> None:
    assert ablation.folds == [1, 2, 3]
    for name, experiments in ablation.experiments.items():
        assert [experiment.folder.name for experiment in experiments] == ["seed-0", "seed-1"], name
        for experiment in experiments:
            assert [fold["test_groups"] for fold in experiment.folds.values()] == [["1", "2"], ["3", "4"], ["5", "6"]]
    first, second = ([f["metrics"] for f in e.folds.values()] for e in ablation.experiments["n2"])
    assert first != second, "two seeds"


def test_values_are_means_over_seeds(ablation: Ablation) -> None:
    metric = "emotion/fused/uar"
    series = [experiment.values(metric) for experiment in ablation.experiments["n1"]]
    assert ablation.values("n1", metric) == pytest.approx(np.mean(series, axis=0))
    assert ablation.metrics("uar") == [metric]
    with pytest.raises(InputError, match="no metric 'f1'; there are accuracy, loss, macro_f1, uar"):
        ablation.metrics("f1")


def test_the_best_single_modality_is_compared(ablation: Ablation) -> None:
    means = {name: statistics.fmean(ablation.values(name, "emotion/fused/accuracy")) for name in ablation.singles}
    losses = {name: statistics.fmean(ablation.values(name, "emotion/fused/loss")) for name in ablation.singles}
    best = ablation.best_single("emotion/fused/accuracy")
    assert means[best] == max(means.values())
    assert losses[ablation.best_single("emotion/fused/loss")] == min(losses.values())
    pairs = [(pair.first, pair.second) for pair in ablation.differences("emotion/fused/accuracy")]
    assert pairs == [("n1", "n0"), ("n2", "n0"), ("n2", "n1"), ("n0", best), ("n1", best), ("n2", best)]


def test_results_hold_scipy_s_intervals(ablation: Ablation) -> None:
    content = json.loads((ablation.folder / "results.json").read_text(encoding="utf-8"))
    assert content["seeds"] == 2
    assert list(content["variants"]) == list(ablation.labels)
    metric = "emotion/fused/loss"
    pairs = [entry for entry in content["differences"] if entry["metric"] == metric]
    assert len(pairs) == 6
    for entry in pairs:
        first, second = (content["variants"][entry[key]]["folds"][metric] for key in ("first", "second"))
        if np.ptp(np.subtract(first, second)) > 1e-9:
            interval = stats.ttest_rel(first, second).confidence_interval(0.95)
            assert entry["difference"]["low"] == pytest.approx(interval.low, rel=1e-6)
            assert entry["difference"]["high"] == pytest.approx(interval.high, rel=1e-6)


def test_a_finished_ablation_is_only_read(ablation: Ablation) -> None:
    told: list[str] = []
    config = parse_config(CONFIG, ["training.epochs=1", "objective.weights={audio=0.5}"])
    run_ablation(
        config, ablation.folder, base=ablation.folder.parent, seeds=2, corpus=small_corpus(), say=told.append, cpu=True
    )
    assert len([text for text in told if text.endswith("is finished already")]) == 5 * 2 * 3
    assert not [text for text in told if "tests" in text]


def test_ablations_that_cannot_be(tmp_path: Path) -> None:
    single = {**CONFIG, "branches": {"audio": CONFIG["branches"]["audio"]}}
    with pytest.raises(InputError, match=r"has only the branch 'audio'\. Give it two or more"):
        variants(parse_config(single))
    with pytest.raises(InputError, match="monitor loss or emotion/fused/uar"):
        variants(parse_config(CONFIG, ['training.monitor="emotion/audio/uar"']))
    with pytest.raises(InputError, match="needs one seed or more, got 0"):
        run_ablation(parse_config(CONFIG), tmp_path, base=tmp_path, seeds=0, corpus=small_corpus())


# Student's t


@given(st.floats(0.5, 0.9999), st.integers(1, 400))
def test_quantile_is_scipy_s(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("probability", "freedom"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_quantile_out_of_range(probability: float, freedom: int) -> None:
    with pytest.raises(InputError, match="must lie in"):
        t_quantile(probability, freedom)

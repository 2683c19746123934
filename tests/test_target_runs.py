"""Every kind of target through the whole library: configuration, corpus on disk, training, prediction, comparison."""

import csv
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error
from sklearn.utils.class_weight import compute_class_weight

from mrpnkit.ablation import run_ablation
from mrpnkit.build import build_folds, build_loader, build_model, build_objective
from mrpnkit.build_targets import build_targets, scale_of
from mrpnkit.cli.application import main
from mrpnkit.config import Config, parse_config
from mrpnkit.cost import step_cost
from mrpnkit.data import Corpus
from mrpnkit.data.audit import audit
from mrpnkit.errors import ConfigError, InputError
from mrpnkit.experiment import make_trainer, run_experiment
from mrpnkit.predict import Predictor, evaluate_corpus
from mrpnkit.report import find, write_report
from mrpnkit.report.reading import read_outcomes
from mrpnkit.report.words import sentences
from mrpnkit.runs import Run, corpus_of, outline_of
from mrpnkit.targets import Classification, MultiLabel, Regression
from tests.small_targets import LEVELS, MOODS, TOML, every_target

HEADS = ("fused", "voice", "face")


def config(*changes: str) -> Config:
    return parse_config(TOML, ["training.epochs=3", *changes])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    run_experiment(config(), folder / "run", base=folder, corpus=every_target(), cpu=True)
    return folder / "run"


def test_every_head_of_every_target_is_measured(run: Path) -> None:
    metrics = json.loads((run / "fold-01" / "fold.json").read_text())["metrics"]
    names = {
        "emotion": ("accuracy", "uar", "macro_f1", "loss"),
        "mood": ("macro_f1", "micro_f1", "subset_accuracy", "auroc", "loss"),
        "age": ("mae", "rmse", "ccc", "pearson", "loss"),
        "level": ("qwk", "mae", "accuracy", "loss"),
    }
    expected = [f"{target}/{head}/{name}" for target, known in names.items() for head in HEADS for name in known]
    assert list(metrics) == ["loss", *expected]
    weights = {"age": 0.5}
    total = sum(weights.get(t, 1.0) * metrics[f"{t}/{head}/loss"] for t in names for head in HEADS)
    assert metrics["loss"] == pytest.approx(total)
    confusion = json.loads((run / "fold-01" / "fold.json").read_text())["confusion"]
    assert list(confusion) == ["emotion", "level"]
    assert np.array(confusion["level"]["fused"]).shape == (3, 3)


def test_the_best_epoch_is_that_of_least_error(run: Path) -> None:
    for fold in (1, 2, 3):
        lines = (run / f"fold-0{fold}" / "metrics.jsonl").read_text().splitlines()
        errors = [json.loads(line)["validation"]["age/fused/mae"] for line in lines]
        kept = json.loads((run / f"fold-0{fold}" / "fold.json").read_text())
        assert kept["selected_epoch"] == int(np.argmin(errors)) + 1
        assert kept["validation"]["age/fused/mae"] == pytest.approx(min(errors))


@pytest.mark.parametrize(("monitor", "choose"), [("level/fused/qwk", np.argmax), ("mood/face/loss", np.argmin)])
def test_what_is_monitored_is_maximised_or_minimised(monitor: str, choose: Any) -> None:
    chosen = config(f"training.monitor='{monitor}'", "training.epochs=5")
    corpus = every_target()
    trainer, _ = make_trainer(chosen, corpus, build_folds(chosen, corpus)[0], None, cpu=True)
    reports = trainer.fit()
    series = [report.validation[monitor] for report in reports if report.validation]
    assert trainer.progress.best_epoch == int(choose(series))


def test_values_are_scaled_by_the_training_part_and_the_run_remembers(run: Path) -> None:
    corpus, chosen = every_target(), config()
    for number, fold in enumerate(build_folds(chosen, corpus), start=1):
        values = corpus.targets["age"][fold.train]
        stored = json.loads((run / f"fold-0{number}" / "fold.json").read_text())
        assert stored["scales"]["age"] == pytest.approx([np.nanmean(values), np.nanstd(values)], rel=1e-6)
        again = evaluate_corpus(Run.open(run), number, corpus, fold.test)
        assert again.metrics == pytest.approx(stored["metrics"], nan_ok=True)


def test_answers_of_several_folds_are_means_in_the_values_own_units(run: Path) -> None:
    corpus = every_target(seed=4)
    together = Predictor.open(run)(corpus)
    single = [Predictor.open(run, folds=[number])(corpus) for number in (1, 2, 3)]
    for head in HEADS:
        np.testing.assert_allclose(
            together.values[head]["age"], np.mean([one.values[head]["age"] for one in single], axis=0), rtol=1e-5
        )
        for target in ("emotion", "mood", "level"):
            mean = np.mean([one.probabilities[head][target] for one in single], axis=0)
            np.testing.assert_allclose(together.probabilities[head][target], mean, atol=1e-6)
    known = ~np.isnan(corpus.targets["age"])
    found = root_mean_squared_error(corpus.targets["age"][known], single[0].values["fused"]["age"][known])
    measured = evaluate_corpus(Run.open(run), 1, corpus, np.arange(len(corpus))).metrics["age/fused/rmse"]
    assert found == pytest.approx(measured, rel=1e-5)
    assert 20 < np.nanmean(together.values["fused"]["age"]) < 60


def test_what_is_answered_and_left_empty(run: Path) -> None:
    corpus = every_target()  # clip 3 lacks its voice, clip 7 its face
    found = Predictor.open(run, folds=[1])(corpus)
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    records = json.loads(found.json())
    assert list(rows[0])[:5] == ["id", "emotion", "mood", "age", "level"]
    assert rows[3]["age/voice"] == "" != rows[3]["age/face"]
    assert rows[3]["mood/voice/cries"] == ""
    assert records[3]["values"]["voice"]["age"] is None
    assert records[3]["probabilities"]["voice"]["mood"] is None
    for row, record in zip(rows, records, strict=True):
        p = record["probabilities"]["fused"]
        assert row["mood"] == ";".join(record["answer"]["mood"])
        assert record["answer"]["mood"] == [name for name in MOODS if p["mood"][name] > 0.5]
        assert float(row["age"]) == pytest.approx(record["answer"]["age"], rel=1e-5)
        above = np.array([p["level"]["mild"] + p["level"]["strong"], p["level"]["strong"]])
        assert record["answer"]["level"] == LEVELS[(above > 0.5).sum()]
        assert row["emotion"] == record["answer"]["emotion"] == max(p["emotion"], key=p["emotion"].get)


def test_a_report_has_a_figure_for_every_target(run: Path) -> None:
    names = {path.name for path in write_report(run)}
    assert {"emotion_accuracy.png", "mood_macro_f1.png", "age_mae.png", "level_qwk.png"} <= names


def test_a_report_decides_for_ordered_classes_as_the_metrics_do(run: Path) -> None:
    outcomes = read_outcomes(Run.open(run), "level")
    for number in (1, 2, 3):
        stored = json.loads((run / f"fold-0{number}" / "fold.json").read_text())
        here = outcomes.only(outcomes.folds == number)
        assert here.accuracy("fused") == pytest.approx(stored["metrics"]["level/fused/accuracy"])
        assert here.confusion("fused").tolist() == stored["confusion"]["level"]["fused"]


def test_a_report_says_in_words_how_numbers_and_labels_fare(run: Path) -> None:
    said = sentences(find(run, draws=20))
    folds = [json.loads((run / f"fold-0{n}" / "fold.json").read_text())["metrics"] for n in (1, 2, 3)]
    for target, name in (("age", "mae"), ("mood", "macro_f1")):
        mean = np.mean([fold[f"{target}/fused/{name}"] for fold in folds])
        assert any(
            text.startswith(f"{target}: {name} of the fusion is {mean:.3f}, a mean over 3 folds.") for text in said
        )
    assert any(text.endswith("and not for mood and age.") for text in said)


def test_the_page_of_a_target_of_numbers_has_words(tmp_path: Path) -> None:
    chosen = config("targets={age={kind='regression'}}", "folds.only=[1]", "training.epochs=1")
    run_experiment(chosen, tmp_path / "run", base=tmp_path, corpus=every_target(), cpu=True)
    pages = [path for path in write_report(tmp_path / "run") if path.name == "index.html"]
    words = pages[0].read_text(encoding="utf-8").partition("In plain words</h2>")[2].partition("</section>")[0]
    assert "age: mae of the fusion is " in words
    assert "are looked for where answers are classes, and not for age." in words


def test_an_ablation_knows_that_less_error_is_better(tmp_path: Path) -> None:
    chosen = config("targets={age={kind='regression'}}", "training.epochs=1", "folds.only=[1, 2]")
    found = run_ablation(chosen, tmp_path / "ablation", base=tmp_path, corpus=every_target(), cpu=True)
    means = {name: np.mean(found.values(name, "age/fused/mae")) for name in found.singles}
    assert found.best_single("age/fused/mae") == min(means, key=lambda name: means[name])
    assert found.metrics() == ["age/fused/mae"]
    assert found.metrics("ccc") == ["age/fused/ccc"]
    content = json.loads((tmp_path / "ablation" / "results.json").read_text())
    assert content["variants"]["n2"]["summary"]["age/fused/rmse"]["n"] == 2


def test_a_fallback_of_the_configuration_is_none_of_n0(tmp_path: Path) -> None:
    chosen = config("targets={age={kind='regression'}}", "folds.only=[1]", "training.epochs=1")
    assert chosen.model.fallback == "single"
    run_ablation(chosen, tmp_path / "ablation", base=tmp_path, corpus=every_target(), cpu=True)
    stored = [json.loads(path.read_text())["config"]["model"] for path in (tmp_path / "ablation").rglob("run.json")]
    assert {(one["network"], one["fallback"]) for one in stored} == {
        ("n0", "never"),
        ("n1", "single"),
        ("n2", "single"),
    }


def test_classes_are_balanced_as_scikit_learn_balances_them() -> None:
    corpus, chosen = every_target(), config()
    rows = np.arange(10, 70)
    target = build_targets(chosen, corpus, rows=rows)["emotion"]
    assert isinstance(target, Classification)
    labels = corpus.targets["emotion"][rows]
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert target.class_weights == pytest.approx(tuple(expected))
    twice = config("targets.emotion.class_weights={happy=2}")
    doubled = build_targets(twice, corpus, rows=rows)["emotion"]
    assert isinstance(doubled, Classification)
    assert doubled.class_weights == pytest.approx(tuple(expected * [1, 2]))
    mood = build_targets(config("targets.mood.balance='inverse_frequency'"), corpus, rows=rows)["mood"]
    assert isinstance(mood, MultiLabel)
    cells = corpus.targets["mood"][rows]
    factors = [(cells[:, c] == 0).sum() / (cells[:, c] == 1).sum() for c in range(3)]
    assert mood.positive_weights == pytest.approx(tuple(np.array(factors) * [1, 1.5, 1]))


def test_values_in_their_own_units_where_asked() -> None:
    target = build_targets(config("targets.age.scale='none'"), every_target())["age"]
    assert isinstance(target, Regression)
    assert (target.mean, target.sd, target.loss) == (0.0, 1.0, "huber")


@pytest.mark.parametrize("value", [0.1, -0.1, 1 / 3, 1e9 + 0.1, 1e-30, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_all_the_same_have_no_scale(value: float, dtype: Any) -> None:
    for count in (1, 3, 1001):
        mean, sd = scale_of(np.full(count, value, dtype))
        assert mean == pytest.approx(float(dtype(value)))
        assert sd == 1.0
    neighbour = np.nextafter(np.float32(value), np.float32(np.inf))
    mean, sd = scale_of(np.array([value, neighbour], np.float32))
    assert sd == pytest.approx((float(neighbour) - float(np.float32(value))) / 2, rel=1e-6)


def test_a_class_that_there_is_not_and_a_kind_that_does_not_fit() -> None:
    corpus = every_target()
    with pytest.raises(ConfigError) as caught:
        build_objective(config("targets.emotion.class_weights={hapy=2}", "targets.mood={kind='regression'}",
                               "targets.age={kind='ordinal'}"), corpus)  # fmt: skip
    problems = dict(caught.value.problems)
    assert problems["targets.emotion.class_weights.hapy"].startswith("there is no class 'hapy'; did you mean 'happy'?")
    assert problems["targets.mood.kind"].startswith(
        "regression needs numbers; the data set has several labels a sample"
    )
    assert problems["targets.age.kind"].startswith("ordinal needs one class a sample; the data set has numbers for")


def test_weights_of_targets_and_a_monitor_without_tables_of_targets() -> None:
    corpus = every_target()
    objective = build_objective(config("objective.weights={voice=0.5}"), corpus)
    assert objective.weight("age", "voice") == 0.25
    assert objective.weight("mood", "fused") == 1.0
    table = tomllib.loads(TOML)
    del table["targets"]
    plain = parse_config(table)
    kinds = {name: target.kind for name, target in build_objective(plain, corpus).targets.items()}
    assert kinds == {"emotion": "classification", "mood": "multilabel", "age": "regression", "level": "classification"}
    with pytest.raises(ConfigError, match=r"'age' has no metric 'uar'.* It has mae, rmse, ccc, pearson, loss"):
        build_folds(parse_config(table, ["training.monitor='age/fused/uar'"]), corpus)


def test_modality_dropout_of_a_configuration_is_for_training_only() -> None:
    corpus = every_target()
    chosen = config("training.modality_dropout=0.6", "branches.face.modality_dropout=0.0")
    rows = np.arange(60)
    lost = {purpose: np.zeros(2) for purpose in ("train", "evaluate")}
    for purpose, count in lost.items():
        for batch in build_loader(chosen, corpus, rows, purpose):  # type: ignore[arg-type]
            count += [(batch.inputs[name].lengths == 0).sum().item() for name in ("voice", "face")]
    whole = [(corpus.modalities[name].lengths[:60] == 0).sum() for name in ("voice", "face")]
    assert lost["evaluate"].tolist() == whole
    assert lost["train"][0] > 20
    assert lost["train"][1] == whole[1]


def test_costs_outline_and_audit_know_every_kind() -> None:
    corpus, chosen = every_target(), config()
    model, objective = build_model(chosen, corpus), build_objective(chosen, corpus)
    batch = next(iter(build_loader(chosen, corpus, np.arange(8), "evaluate")))
    assert step_cost(model, objective, batch.inputs, repeats=1).seconds > 0
    like = corpus_of(json.loads(json.dumps(outline_of(corpus))))
    assert like.classes == corpus.classes
    assert like.targets["mood"].tolist() == [[-1, -1, -1]]
    assert build_model(chosen, like).targets == model.targets
    folds = dict(enumerate(build_folds(chosen, corpus), start=1))
    names = list(corpus.targets)
    assert not [
        f for f in audit(corpus, folds, targets=names, modalities=["face"], group="person") if f.severity != "note"
    ]
    corpus.targets["mood"][folds[1].train, 2] = 0
    corpus.targets["age"][folds[2].test] = np.nan
    texts = [f.text for f in audit(corpus, folds, targets=names, modalities=["face"], group="person")]
    assert "The train part of fold 1 has no sample of 'shouts' of 'mood'." in texts
    assert "No sample of the test part of fold 2 has a label of 'age'." in texts


def test_other_data_must_have_the_labels_in_the_same_form(run: Path) -> None:
    corpus = every_target()
    targets = {**corpus.targets, "age": (corpus.targets["age"] > 40).astype(np.int64)}
    other = Corpus(corpus.ids, corpus.modalities, targets, classes={**corpus.classes, "age": ["young", "old"]})
    with pytest.raises(InputError, match="Target 'age': the data have it in another form"):
        evaluate_corpus(Run.open(run), 1, other, np.arange(10))
    swapped = Corpus(
        corpus.ids, corpus.modalities, {**corpus.targets, "mood": corpus.targets["mood"][:, ::-1].copy()},
        classes={**corpus.classes, "mood": MOODS[::-1]},
    )  # fmt: skip
    rows = np.arange(30)
    expected = evaluate_corpus(Run.open(run), 1, corpus, rows).metrics
    assert evaluate_corpus(Run.open(run), 1, swapped, rows).metrics == pytest.approx(expected, nan_ok=True)


def test_the_command_line_shows_each_targets_first_metric(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = every_target(seed=9).save(tmp_path / "corpus")
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(run), "--data", str(data), "--out", str(tmp_path / "x.json")])
    assert left.value.code in (0, None)
    out = "".join(capsys.readouterr().out.split())  # titles are wrapped
    for title in (":accuracy", ":macro_f1", ":mae", ":qwk"):
        assert title in out
    summary = json.loads((tmp_path / "x.json").read_text())["summary"]
    assert summary["age/fused/ccc"]["n"] == 3

"""The ranking and what an ablation asks for beyond the paper's networks, trained at once in several processes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel
from scipy.stats import t as student

from mrpnkit.ablation import run_ablation
from mrpnkit.analysis import Difference, holm, paired_difference, ranking, t_probability
from mrpnkit.config import parse_config
from mrpnkit.errors import ConfigError, InputError, RunError
from mrpnkit.records import write_json
from mrpnkit.report.comparison import Compared, compare, comparison_tables, is_ablation, page, write_comparison
from mrpnkit.runs import Run
from mrpnkit.variants import variants
from tests.small_runs import CONFIG, small_corpus


def test_t_probabilities_are_scipys() -> None:
    for freedom in (1, 2, 5, 9, 30):
        for value in (0.0, 0.5, 2.0, 6.0):
            assert t_probability(value, freedom) == pytest.approx(2 * student.sf(value, freedom), abs=1e-12)


def test_ranking_is_of_paired_t_tests_with_the_first() -> None:
    generator = np.random.default_rng(0)
    folds = generator.normal(0, 0.05, 10)
    values = {name: (m + folds + generator.normal(0, 0.01, 10)).tolist()
              for name, m in (("low", 0.5), ("high", 0.8), ("near", 0.797))}  # fmt: skip
    ranks = ranking(values)
    assert [rank.name for rank in ranks] == ["high", "near", "low"]
    expected = holm([ttest_rel(values["high"], values[name]).pvalue for name in ("near", "low")])
    assert [rank.adjusted for rank in ranks[1:]] == pytest.approx(expected)
    assert [rank.plain()["verdict"] for rank in ranks] == ["first", "not established", "behind"]
    assert [rank.name for rank in ranking(values, less_is_better=True)] == ["low", "near", "high"]
    assert ranking({"a": [0.5], "b": [0.4]})[1].adjusted == 1.0
    with pytest.raises(InputError, match="the same number of folds"):
        ranking({"a": [0.5], "b": [0.4, 0.3]})


def test_differences_without_spread_are_no_certainty() -> None:
    """Two folds that differ alike, but for rounding, show no more than two coins that fall on one side."""
    first, second = [0.5, 0.7], [0.25, 0.45]
    found = paired_difference(first, second)
    assert found.mean == pytest.approx(0.25)
    assert found[1:] == (-math.inf, math.inf)
    assert not found.established
    for folds in (2, 5, 6, 9):
        values = {"a": [0.25 + n / 10 for n in range(folds)], "b": [n / 10 for n in range(folds)]}
        behind = ranking(values)[1]
        expected = binomtest(folds, folds).pvalue
        assert behind.adjusted == pytest.approx(expected)
        assert behind.verdict == ("behind" if expected < 0.05 else "not established")
        assert paired_difference(values["a"], values["b"]).established == (expected < 0.05)
    assert paired_difference(values["a"], values["b"])[1:] == pytest.approx((0.25, 0.25))
    assert not paired_difference(values["a"][:6], values["b"][:6], confidence=0.99).established
    assert paired_difference([0.5] * 9, [0.5] * 9) == Difference(0.0, 0.0, 0.0)
    assert ranking({"a": [0.5] * 9, "b": [0.5] * 9})[1].adjusted == 1.0


def test_fusions_and_balancers_are_tried_in_every_combination() -> None:
    config = parse_config(CONFIG)
    found = variants(config, fusions=["gmu"], balancers=["uncertainty"])
    assert list(found) == ["only_audio", "only_face", "n0", "n1", "n2", "n2-concat-uncertainty", "n2-gmu-sum",
                           "n2-gmu-uncertainty"]  # fmt: skip
    label, asked = found["n2-gmu-uncertainty"]
    assert label == "N2 (MRPN) + gmu + uncertainty"
    assert (asked.model.fusion.name, asked.objective.balancer.name) == ("gmu", "uncertainty")
    assert asked.training == config.training
    with pytest.raises(ConfigError, match="gmoo"):
        variants(config, fusions=["gmoo"])
    with pytest.raises(ConfigError, match="make it the configuration's own") as caught:
        variants(config, fusions=["gmoo"], balancers=["fixed"])
    assert [problem.path for problem in caught.value.problems] == ["objective.balancer.weights", "model.fusion.name"]
    n0 = parse_config({**CONFIG, "model": {"network": "n0"}})
    with pytest.raises(InputError, match="nothing to balance"):
        variants(n0, balancers=["uncertainty"])


@pytest.fixture(scope="module")
def ablations(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same small ablation in one process and in two."""
    folder = tmp_path_factory.mktemp("ablations")
    small_corpus().save(folder / "corpus")
    content: dict[str, Any] = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1},
                               "folds": {**CONFIG["folds"], "only": [1, 3]}}  # fmt: skip
    config = parse_config(content)
    for workers in (1, 2):
        run_ablation(config, folder / str(workers), base=folder, fusions=["sum"], workers=workers, cpu=True)
    return {workers: folder / str(workers) for workers in (1, 2)}


def test_processes_change_no_figure(ablations: dict[int, Path]) -> None:
    one, two = (json.loads((ablations[workers] / "results.json").read_text()) for workers in (1, 2))
    assert one == two
    assert list(one["variants"]) == ["only_audio", "only_face", "n0", "n1", "n2", "n2-sum-sum"]
    assert one["folds"] == [1, 3]
    assert one["ranking"]["emotion/fused/accuracy"][0]["verdict"] == "first"


def test_a_further_fusion_is_compared_with_the_network_whose_own_it_stands_in_for(ablations: dict[int, Path]) -> None:
    content = json.loads((ablations[1] / "results.json").read_text())
    metric = "emotion/fused/accuracy"
    of_it = [one for one in content["differences"] if one["first"] == "n2-sum-sum" and one["metric"] == metric]
    single = max(("only_audio", "only_face"), key=lambda name: content["variants"][name]["summary"][metric]["mean"])
    assert [one["second"] for one in of_it] == [single, "n0", "n2"]
    first, second = (content["variants"][name]["folds"][metric] for name in ("n2-sum-sum", "n2"))
    assert of_it[-1]["difference"]["mean"] == pytest.approx(np.mean(np.subtract(first, second)))


def test_a_variant_s_folder_names_its_seeds(ablations: dict[int, Path]) -> None:
    with pytest.raises(RunError, match=r"n2 is no run: it has no run.json. There is \S*n2/seed-0 in it."):
        Run.open(ablations[1] / "n2")


def test_an_ablation_and_runs_are_compared(ablations: dict[int, Path], tmp_path: Path) -> None:
    assert is_ablation(ablations[1])
    assert not is_ablation(ablations[1] / "n0" / "seed-0")
    compared = compare([ablations[1]])
    assert len(compared.values) == 6
    written = write_comparison([ablations[1]], tmp_path / "page")
    assert written[0].name == "index.html"
    html = written[0].read_text(encoding="utf-8")
    assert "Behind it by more than chance" in html or "Not established" in html
    runs = [ablations[1] / name / "seed-0" for name in ("n1", "n2")]
    two = compare(runs)
    assert two.folds == [1, 3]
    assert list(two.values) == ["seed-0", str(runs[1])]
    content = json.loads((runs[0] / "fold-01" / "fold.json").read_text())
    (runs[0] / "fold-01" / "fold.json").write_text(json.dumps({**content, "split": "another"}))
    with pytest.raises(RunError, match="is of another split"):
        compare(runs)
    with pytest.raises(RunError, match="no finished fold in common"):
        compare([])


def test_an_ablation_tells_its_data_and_folds_and_is_paired_with_the_same_alone(
    ablations: dict[int, Path], tmp_path: Path
) -> None:
    run = ablations[2] / "n1" / "seed-0"
    content = json.loads((ablations[2] / "results.json").read_text())
    folds = {number: json.loads((run / f"fold-0{number}" / "fold.json").read_text()) for number in (1, 3)}
    assert content["corpus"] == json.loads((run / "run.json").read_text())["fingerprinted"]["corpus"]
    for key in ("split", "tested"):
        assert content[key] == {str(number): fold[key] for number, fold in folds.items()}

    def written(name: str, **changes: Any) -> Path:
        write_json(tmp_path / name / "results.json", content | changes)
        return tmp_path / name

    assert compare([written("same"), run]).notes == []
    with pytest.raises(RunError, match=r"Fold 1 of \S+seed-0 is of another split than that of \S+moved"):
        compare([written("moved", split={**content["split"], "1": "another"}), run])
    other = {**content["tested"], "3": {**content["tested"]["3"], "labels/emotion": "another"}}
    with pytest.raises(RunError, match=r"Fold 3 of \S+seed-0 and that of \S+relabelled .*the labels of 'emotion' diff"):
        compare([written("relabelled", tested=other), run])
    older = written("older", corpus="", split={}, tested={})
    (note,) = compare([older, run]).notes
    assert note.startswith(f"{older}: written by an older version without fingerprints of the split.")
    assert compare([older]).notes == []
    page = write_comparison([older, run], tmp_path / "page")[0].read_text(encoding="utf-8")
    assert "whether they test the same samples was not checked" in page


def test_what_is_finished_is_not_built_again(ablations: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that networks began with may be gone by then."""
    from mrpnkit import ablation

    checked: list[list[str]] = []
    monkeypatch.setattr(ablation, "check_variants", lambda todo, corpus, rows: checked.append(list(todo)))
    folder = ablations[1]
    content = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1}, "folds": {**CONFIG["folds"], "only": [1, 3]}}
    before = (folder / "results.json").read_bytes()
    run_ablation(parse_config(content), folder, base=folder.parent, fusions=["sum"], cpu=True)
    assert checked == [[]]
    assert (folder / "results.json").read_bytes() == before


def test_all_that_cannot_be_trained_is_said_before_anything_is(tmp_path: Path) -> None:
    config = parse_config({**CONFIG, "targets": {"emotion": {"kind": "ordinal"}}})
    told: list[str] = []
    with pytest.raises(ConfigError) as caught:
        run_ablation(
            config,
            tmp_path / "runs",
            base=tmp_path,
            fusions=["tmc"],
            balancers=["ogm_ge"],
            corpus=small_corpus(),
            say=told.append,
            cpu=True,
        )
    problems = dict(caught.value.problems)
    assert list(problems) == ["objective.balancer", "model.fusion"]
    assert problems["model.fusion"].startswith("TMC is defined for classes, one a sample; the target 'emotion' is of")
    assert problems["model.fusion"].endswith("(N2 (MRPN) + tmc + sum, N2 (MRPN) + tmc + ogm_ge)")
    assert "no target is a classification: 'emotion' is of the kind 'ordinal'" in problems["objective.balancer"]
    assert problems["objective.balancer"].endswith("(N2 (MRPN) + concat + ogm_ge)")
    assert told == []
    assert not (tmp_path / "runs").exists()


def test_a_page_tells_of_every_target_and_what_its_stars_are() -> None:
    """Of eleven, one pair is starred by its own interval and not established among all comparisons with the first."""
    generator = np.random.default_rng(3)
    mood = {f"n{k}": (0.5 + generator.normal(0, 0.001, 5)).tolist() for k in range(9)}
    best, near = [0.84, 0.80, 0.83, 0.79, 0.82], [0.80, 0.79, 0.79, 0.78, 0.79]
    mood |= {"best": best, "near": near}
    test = ttest_rel(best, near)
    assert test.confidence_interval(0.95).low > 0
    values = {name: {"mood/fused/accuracy": one, "mood/fused/uar": one, "age/fused/mae": one[::-1]}
              for name, one in mood.items()}  # fmt: skip
    compared = Compared(values, [1, 2, 3, 4, 5], {}, [])
    tables = comparison_tables(compared)
    (stars,) = (table for table in tables if table.name == "mood_fused_accuracy_differences")
    cells = {row[0]: dict(zip(stars.columns, row, strict=True)) for row in stars.rows}
    assert cells["best"]["near"] == f"+{np.mean(np.subtract(best, near)):.3f} *"
    assert "* where the 95 % interval of that pair alone excludes zero, not adjusted" in stars.caption
    ranks = {rank.name: rank for rank in compared.ranked("mood/fused/accuracy")}
    assert ranks["near"].adjusted == pytest.approx(holm([ttest_rel(best, mood[name]).pvalue
                                                         for name in mood if name != "best"])[-1])  # fmt: skip
    text = page(compared, tables)
    words = text[: text.index('id="metric-0"')]
    assert "mood/fused/accuracy: best is first" in words
    assert "age/fused/mae: n" in words
    assert "mood/fused/uar: best is first" not in words
    assert "intervals and stars are not" in words


@pytest.mark.parametrize(("folds", "hint"), [(3, True), (4, True), (5, False)])
def test_a_page_says_that_few_folds_establish_little(folds: int, hint: bool) -> None:
    one, two = [0.9, 0.91, 0.92, 0.9, 0.91][:folds], [0.1, 0.12, 0.11, 0.12, 0.1][:folds]
    values = {"n1": {"mood/fused/accuracy": one}, "n0": {"mood/fused/accuracy": two}}
    compared = Compared(values, list(range(1, folds + 1)), {}, [])
    text = page(compared, comparison_tables(compared))
    assert "Behind it by more than chance: n0." in text
    assert ("much too narrow at times: what is established is a hint." in text) == hint

"""Taking modalities away: against samples that never had them, for one network and for a run by the command line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpnkit import Classification, Objective, Sequences
from mrpnkit.cli.application import main
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.errors import InputError
from mrpnkit.robustness import Robustness, judge_rates, judge_subsets, taken_away, write_robustness
from mrpnkit.train import evaluate
from tests.small_models import vector_model
from tests.small_targets import workplace

WIDTHS = {"a": 3, "b": 2, "c": 2}


def corpus(without: set[str] = frozenset(), lost: dict[str, list[int]] | None = None) -> Corpus:  # type: ignore[assignment]
    draw = np.random.default_rng(0)
    steps = {name: [draw.normal(size=(1 + row % 2, width)) for row in range(30)] for name, width in WIDTHS.items()}
    for name, rows in {**{name: list(range(30)) for name in without}, **(lost or {})}.items():
        for row in rows:
            steps[name][row] = steps[name][row][:0]
    return Corpus.from_arrays(steps, {"y": np.arange(30) % 2})


def batches(data: Corpus, size: int = 8):  # type: ignore[no-untyped-def]
    return loader(CorpusDataset(data), size)


MODEL, OBJECTIVE = vector_model(WIDTHS, {"y": 2}), Objective({"y": Classification(2)})


def test_a_subset_is_judged_as_samples_that_never_had_the_others() -> None:
    found = judge_subsets(MODEL, OBJECTIVE, batches(corpus()))
    assert len(found) == 7
    assert list(found)[-1] == ("a", "b", "c")
    for subset, (metrics, judged) in found.items():
        expected = evaluate(MODEL, batches(corpus(without=set(WIDTHS) - set(subset))), OBJECTIVE)
        assert metrics == pytest.approx(expected.metrics, nan_ok=True)
        assert judged == 30
        assert np.isnan(metrics["y/a/accuracy"]) == ("a" not in subset)


def test_all_modalities_left_is_the_plain_evaluation() -> None:
    plain = evaluate(MODEL, batches(corpus()), OBJECTIVE).metrics
    assert judge_subsets(MODEL, OBJECTIVE, batches(corpus()))["a", "b", "c"][0] == plain
    assert judge_rates(MODEL, OBJECTIVE, batches(corpus()), rates=[0.0])[0.0] == plain


def test_samples_that_have_nothing_of_a_subset_are_not_judged() -> None:
    data = corpus(lost={"a": [0, 1, 2, 3]})
    found = judge_subsets(MODEL, OBJECTIVE, batches(data))
    assert [found[subset][1] for subset in (("a",), ("b",), ("a", "b"))] == [26, 30, 30]
    rows = np.arange(4, 30)
    alone = evaluate(MODEL, loader(CorpusDataset(corpus(without={"b", "c"}), rows), 8), OBJECTIVE)
    assert found["a",][0]["y/fused/accuracy"] == alone.metrics["y/fused/accuracy"]


def test_rates_are_met_never_all_is_missing_and_a_higher_rate_takes_more() -> None:
    counts: dict[float, list[list[int]]] = {}

    class Counting(torch.nn.Module):
        """The model, which notes what it is given."""

        def __init__(self) -> None:
            super().__init__()
            self.model, self.branches = MODEL, MODEL.branches
            self.seen: list[list[int]] = []

        def forward(self, inputs: dict[str, Sequences], *, sides: bool | None = None) -> object:
            self.seen += torch.stack([value.present for value in inputs.values()], 1).long().tolist()
            return self.model(inputs, sides=sides)

    for rate in (0.0, 0.4, 0.8):
        counting = Counting()
        judge_rates(counting, OBJECTIVE, batches(corpus()), rates=[rate], repeats=20)  # type: ignore[arg-type]
        counts[rate] = counting.seen
    assert min(map(sum, counts[0.0])) == 3
    for rate in (0.4, 0.8):
        here = np.array(counts[rate])
        assert here.sum(1).min() == 1
        assert 1 - here.mean() == pytest.approx(rate - rate**3 / 3, abs=0.03)
    more, less = np.array(counts[0.4]), np.array(counts[0.8])
    assert (more >= less)[less.sum(1) > 1].all()


def test_what_is_taken_away_is_whole() -> None:
    batch = next(iter(batches(corpus())))
    left = taken_away(batch, lambda rows, present: {name: (rows % 2 == 1) & (name == "a") for name in present})
    for name, value in left.items():
        value.check(name)
        expected = [
            piece[:0] if name == "a" and row % 2 else piece
            for row, piece in zip(batch.rows.tolist(), batch.inputs[name].unbind(), strict=True)
        ]
        torch.testing.assert_close(value.unbind(), expected, rtol=0, atol=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a target of every kind, made by the command line."""
    folder = tmp_path_factory.mktemp("robustness")
    given = ["train", workplace(folder), "--out", folder / "run", "--set", "training.epochs=2", "--cpu"]
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in given])
    assert left.value.code in (0, None)
    return folder / "run"


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0), *capsys.readouterr()


def test_one_command_writes_table_json_and_figures(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = call(capsys, "robustness", run, "--rates", "0,0.5", "--repeats", "2", "--out", tmp_path / "x")
    assert code == 0, err
    assert "voice + face" in out
    assert "age/fused/mae with these modalities alone" in " ".join(out.split())
    content = json.loads((tmp_path / "x" / "robustness.json").read_text())
    assert [entry["modalities"] for entry in content["subsets"]] == [["voice"], ["face"], ["voice", "face"]]
    assert [entry["rate"] for entry in content["rates"]] == [0.0, 0.5]
    for number in ("1", "2", "3"):
        stored = json.loads((run / f"fold-0{number}" / "fold.json").read_text())["metrics"]
        assert content["subsets"][-1]["folds"][number] == pytest.approx(stored, nan_ok=True)
        assert content["rates"][0]["folds"][number] == pytest.approx(stored, nan_ok=True)
    assert content["subsets"][0]["judged"] == {"1": 27, "2": 27, "3": 27}
    rows = list(csv.DictReader((tmp_path / "x" / "robustness.csv").read_text().splitlines()))
    assert {row["what"] for row in rows} == {"voice", "face", "voice + face", "rate 0", "rate 0.5"}
    assert {row["target"] for row in rows} == {"emotion", "mood", "age", "level"}
    names = sorted(path.name for path in (tmp_path / "x").glob("*.png"))
    assert names == [
        "age_fused_mae.png",
        "emotion_fused_accuracy.png",
        "level_fused_qwk.png",
        "mood_fused_macro_f1.png",
    ]


def test_other_data_and_another_metric(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, out = run.parent / "corpus", tmp_path / "x"
    code, shown, err = call(
        capsys, "robustness", run, "--data", data, "--fold", "2", "--rates", "0", "--metric", "rmse", "--out", out
    )
    assert code == 0, err
    assert "age/fused/rmse" in shown
    assert "accuracy" not in shown
    assert list(json.loads((out / "robustness.json").read_text())["subsets"][0]["folds"]) == ["2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rates", "0,x"], "expected numbers with commas between"),
        (["--rates", "0,1"], "Rates must lie in 0 to below 1"),
        (["--metric", "f2"], "There is no metric 'f2'"),
        (["--fold", "9"], "has no finished fold 9"),
    ],
)
def test_mistakes_are_told_in_words(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str, tmp_path: Path
) -> None:
    given = ["--rates", "0", "--repeats", "1", "--out", tmp_path / "x", *arguments]
    code, _, err = call(capsys, "robustness", run, *given)
    assert code == 2
    assert words in err


def test_nan_is_none_in_json_and_has_no_mean(tmp_path: Path) -> None:
    folds = {
        1: {"y/fused/accuracy": 0.5, "y/a/accuracy": float("nan")},
        2: {"y/fused/accuracy": 0.7, "y/a/accuracy": 0.6},
    }
    found = Robustness({("a",): folds}, {0.0: folds}, {("a",): {1: 3, 2: 4}}, 1)
    summary = found.plain()["subsets"][0]["summary"]
    assert summary["y/fused/accuracy"]["mean"] == pytest.approx(0.6)
    assert summary["y/a/accuracy"] == {"mean": 0.6, "sd": None, "n": 1}
    assert found.plain()["subsets"][0]["folds"]["1"]["y/a/accuracy"] is None
    assert write_robustness(found, tmp_path / "x")[0].is_file()
    with pytest.raises(InputError, match="There is no metric 'y/fused/uar'"):
        found.summary(found.subsets, "y/fused/uar")

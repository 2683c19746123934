"""What was not measured in a fold is said plainly on the screen, in the tables and on the page."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mrpnkit.ablation import Ablation
from mrpnkit.aggregators import Last
from mrpnkit.cli.tables import ablation_tables
from mrpnkit.cost import example_batch, parts_of
from mrpnkit.data import Corpus
from mrpnkit.experiment import Experiment
from mrpnkit.extractors import Identity
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.report.comparison import compare, comparison_tables, in_words, write_comparison

METRIC = "y/fused/accuracy"
VALUES: dict[str, list[float | None]] = {
    "only_a": [0.5, 0.6, 0.7],
    "only_b": [0.4, None, 0.5],
    "only_c": [None, None, None],
    "n0": [0.6, 0.7, 0.8],
    "n1": [0.7, 0.8, 0.85],
    "n2": [0.8, 0.9, 0.97],
}


@pytest.fixture
def ablation(tmp_path: Path) -> Ablation:
    found = {}
    for name, values in VALUES.items():
        folds = {n: {"metrics": {METRIC: value}} for n, value in enumerate(values, start=1)}
        found[name] = [Experiment(tmp_path / name, folds)]
    return Ablation(tmp_path, {name: name for name in VALUES}, found)


def test_tables_on_the_screen(ablation: Ablation) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    for table in ablation_tables(ablation, METRIC):
        console.print(table)
    text = console.export_text()
    assert "nan" not in text
    assert "0.450 ± 0.071 (2 of 3 folds)" in text
    assert text.count("not measured") == 2  # the means, and the ranking
    assert "yes, of 3 folds only" in text
    assert "unknown: all equal" in text  # N0 − a: three times 0.1


def test_comparison_of_an_ablation(tmp_path: Path) -> None:
    variants = {name: {"label": name, "folds": {METRIC: values}} for name, values in VALUES.items()}
    (tmp_path / "results.json").write_text(json.dumps({"folds": [1, 2, 3], "variants": variants}))
    compared = compare([tmp_path])
    assert compared.folds == [1, 2, 3]
    assert math.isnan(compared.values["only_b"][METRIC][1])
    told = " ".join(in_words(compared, METRIC))
    assert "n2 is first, 0.890 on average over 3 folds" in told
    assert "Measured in fewer than 3 folds: only_b (2)" in told
    assert "could not be measured in any fold of only_c" in told
    for table in comparison_tables(compared):
        assert "nan" not in table.csv()
        assert "nan" not in table.latex()
    for path in write_comparison([tmp_path], tmp_path / "page"):
        assert "nan" not in path.read_text(encoding="utf-8")


def test_what_a_step_on_half_features_costs() -> None:
    corpus = Corpus.from_arrays({"a": np.zeros((3, 4), np.float16)}, {"y": [0, 1, 0]})
    model = MRPN({"a": Branch(Identity(4), Last(4))}, {"y": 2})
    assert parts_of(model, example_batch(corpus, {"a": 1}, 3))

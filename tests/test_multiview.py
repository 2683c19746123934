"""The multi-view benchmark: its splits, its conflicts, what it decides by, and its steps on views drawn by code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import _multiview_methods, multiview
from benchmarks._multiview_data import SETS, Part, conflicting, split
from benchmarks._multiview_figure import LEAST, markdown, promises
from benchmarks._multiview_methods import METHODS, decided, trained
from mrpnkit.report import Figure


def drawn(size: int = 90, classes: int = 3, seed: int = 0) -> Part:
    generator = np.random.default_rng(seed)
    labels = np.arange(size) % classes
    views = {
        f"view{m}": (generator.standard_normal((size, 4 + m)) + 3 * labels[:, None]).astype(np.float32)
        for m in range(3)
    }
    return Part(views, labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    part = drawn()
    np.savez(tmp_path / "scene15.npz", labels=part.labels, **part.views)  # type: ignore[arg-type]
    fixed: dict[str, Any] = {}
    for name, size in (("train", 60), ("test", 30)):
        one = drawn(size, 2)
        fixed |= {f"{view}_{name}": values for view, values in one.views.items()} | {f"labels_{name}": one.labels}
    np.savez(tmp_path / "rosmap.npz", **fixed)
    split.cache_clear()
    return tmp_path


def test_splits_are_disjoint_complete_and_scaled_by_the_training_part(folder: Path) -> None:
    parts = split(folder, "scene15", 3, validation=False)
    every = drawn()
    assert (len(parts.train.labels), len(parts.normal.labels), parts.classes) == (72, 18, 3)
    for view, values in every.views.items():
        low, high = parts.train.views[view].min(0), parts.train.views[view].max(0)
        np.testing.assert_allclose(low, 0, atol=1e-6)
        np.testing.assert_allclose(high, 1, atol=1e-6)
        together = np.concatenate([parts.train.views[view], parts.normal.views[view]])
        order = np.argsort(together[:, 0])
        scale = np.ptp(values[:, 0]) / np.ptp(together[:, 0])
        np.testing.assert_allclose(np.diff(together[order, 0]) * scale, np.diff(np.sort(values[:, 0])), atol=1e-4)


def test_validation_reads_no_test_sample(folder: Path) -> None:
    whole, chosen = (split(folder, "scene15", 3, validation=v) for v in (False, True))
    assert (len(chosen.train.labels), len(chosen.normal.labels)) == (58, 14)
    assert len(whole.train.labels) == len(chosen.train.labels) + len(chosen.normal.labels)
    fixed = split(folder, "rosmap", 3, validation=True)
    assert len(fixed.train.labels) + len(fixed.normal.labels) == 60
    assert len(split(folder, "rosmap", 3, validation=False).normal.labels) == 30


def test_conflicts_follow_the_recipe() -> None:
    part = drawn(1000, 5)
    changed = conflicting(part, np.random.default_rng(0))
    assert (changed.labels == part.labels).all()
    differs = np.stack([(changed.views[v] != part.views[v]).any(1) for v in part.views], 1)
    noise, foreign = np.zeros(1000, bool), np.zeros(1000, bool)
    for m, view in enumerate(part.views):
        for row in np.flatnonzero(differs[:, m]):
            source = np.flatnonzero((part.views[view] == changed.views[view][row]).all(1))
            if len(source):
                foreign[row] = True
                assert part.labels[source[0]] != part.labels[row]
            else:
                noise[row] = True
                deviation = changed.views[view][row] - part.views[view][row]
                assert np.abs(deviation).max() < 0.5 * 6
    assert foreign.sum() == 400
    assert 80 <= noise.sum() <= 100  # where both fall on one view, the foreign one is left
    assert differs.sum(1).max() <= 2
    assert differs[foreign & ~noise].sum(1).max() == 1


def test_one_training_serves_three_decisions(folder: Path) -> None:
    parts = split(folder, "scene15", 0, validation=False)
    model = trained(parts, list(parts.train.views), METHODS["n2"], 0, epochs=2)
    views = list(parts.train.views)
    found = decided(model, parts.normal, views, METHODS["n2"].decisions)
    assert list(found) == ["n2", "n2_sum_of_softmax", "n2_witnesses"]
    plain = METHODS["n2"]._replace(fusion="concat", options={}, decisions=("n2",))
    same = decided(trained(parts, views, plain, 0, epochs=2), parts.normal, views, ("n2",))["n2"]
    torch.testing.assert_close(torch.softmax(same, 1), found["n2"])
    assert not torch.equal(found["n2"], torch.softmax(found["n2_witnesses"], 1))


def test_all_steps_and_what_is_finished_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {name: METHODS[name] for name in ("n0", "n1", "n2", "gradient_blending", "tmc", "all_views")}
    monkeypatch.setattr(_multiview_methods, "METHODS", chosen)

    def measured() -> dict[str, Any]:
        sets = ("scene15", "rosmap")
        return multiview.measure(
            folder, tmp_path / "out", sets, (0, 1), 1, methods=list(chosen), validation=False, small=True
        )

    first = measured()
    assert "n2 on rosmap, seed 1: " in capsys.readouterr().out
    again = measured()
    assert "n2 on rosmap, seed 1: finished already" in capsys.readouterr().out
    assert first["figures"] == again["figures"]
    figures = first["figures"]
    values = first["accuracy"]["scene15"]["conflicting"]["tmc"]
    assert figures["scene15/conflicting/tmc"] == Figure.mean(values, "accuracy")
    assert len(values) == 2
    singles = [figures[f"scene15/normal/only_view{m}"].value for m in range(3)]
    assert figures["scene15/normal/best_view"].value == max(singles)
    assert figures["cpu_minutes"].value > 0
    assert 0 <= figures["rosmap/f1/n2"].value <= 1
    assert 0 <= figures["rosmap/auc/n2"].value <= 1
    assert "scene15/auc/n2" not in figures
    monkeypatch.setattr(multiview, "RECIPE", {**_multiview_methods.RECIPE, "epochs": 1})
    measured()
    assert "finished already" not in capsys.readouterr().out


def test_methods_that_are_measured_again_stand_beside_the_others() -> None:
    def seen(value: float) -> dict[str, dict[str, list[float]]]:
        return {condition: {"gmu": [value, value]} for condition in ("normal", "conflicting")}

    config = json.loads(json.dumps(multiview.described(["gmu", "sum"], 2, validation=False)))
    old = {name: {c: {"sum": [0.5, 0.7], **rows} for c, rows in seen(0.1).items()} for name in SETS}
    stored = {"config": config, "accuracy": old, "command": "all", "date": "then", "versions": {}, "machine": {},
              "figures": {name: Figure(40.0, "min")._asdict() for name in ("minutes", "cpu_minutes")}}  # fmt: skip
    new = {name: seen(0.9) for name in SETS}
    again = multiview.beside_others(stored, ["gmu"], new, {"minutes": Figure(3.0, "min")}, config)
    assert again.rows["accuracy"]["scene15"] == {c: {"sum": [0.5, 0.7], "gmu": [0.9, 0.9]} for c in seen(0)}
    assert again.figures["scene15/normal/gmu"] == Figure.mean([0.9, 0.9], "accuracy")
    assert again.figures["rosmap/conflicting/sum"] == Figure.mean([0.5, 0.7], "accuracy")
    assert again.figures["minutes"].value == 40.0
    assert again.config["made"]["again"] == {"gmu": 3.0}
    assert again.config["made"]["others"]["command"] == "all"
    options = {name: {**method, "options": {"hidden": 1}} for name, method in config["methods"].items()}
    stored["config"] = {**config, "methods": {**config["methods"], "gmu": options["gmu"]}}
    changed = multiview.beside_others(stored, ["gmu"], new, {"minutes": Figure(3.0, "min")}, config)
    assert changed.config["methods"]["gmu"]["options"] == {}
    stored["config"] = {**config, "methods": {**config["methods"], "sum": options["sum"]}}
    with pytest.raises(SystemExit, match="The result file has other options of sum; measure everything"):
        multiview.beside_others(stored, ["gmu"], new, {"minutes": Figure(3.0, "min")}, config)
    stored["config"] = {**config, "seeds": [0]}
    with pytest.raises(SystemExit, match="The result file has other seeds; measure everything"):
        multiview.beside_others(stored, ["gmu"], new, {"minutes": Figure(3.0, "min")}, config)


def figures(value: float) -> dict[str, Figure]:
    methods = ("best_view", "n2", "n2_witnesses")
    return {
        f"{s}/{c}/{m}": Figure(value, "accuracy", 0.01, 10)
        for s in SETS
        for c in ("normal", "conflicting")
        for m in methods
    }


@pytest.mark.parametrize(("value", "word"), [(1.0, "kept"), (0.5, "not kept")])
def test_the_page_says_what_is_kept_and_what_is_not(value: float, word: str) -> None:
    found = promises(figures(value))
    assert len(found) == 7 + 4 + 7
    assert sum(text.endswith(": N2") for text, _, _ in found) == sum(2 - (b is None) for _, b in LEAST.values())
    page = markdown(figures(value), ["n2", "n2_witnesses"])
    assert page.count("| kept |" if word == "kept" else "| not kept |") >= 10
    assert f"| `n2` | {100 * value:.1f} ±1.0 → {100 * value:.1f} |" in page
    assert "| FUML | 99.2 → 98.8 | 79.4 → 72.7 | 76.7 → 69.1 |" in page


@pytest.mark.data
def test_the_real_sets_have_the_sizes_that_are_documented(shared_data: Path) -> None:
    sizes = {
        "handwritten": (1600, 400, 10),
        "scene15": (3588, 897, 15),
        "landuse21": (1680, 420, 21),
        "rosmap": (245, 106, 2),
    }
    for name, (train, test, classes) in sizes.items():
        parts = split(shared_data / "multiview", name, 0, validation=False)
        assert (len(parts.train.labels), len(parts.normal.labels), parts.classes) == (train, test, classes)

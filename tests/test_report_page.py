"""The report of a run: its tables against the run's own scores, and the page in a browser where there is one."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mrpnkit.analysis import Outcomes, interference
from mrpnkit.config import parse_config
from mrpnkit.errors import InputError, RunError
from mrpnkit.experiment import run_experiment
from mrpnkit.report import Findings, find, write_report
from mrpnkit.report.drawing import Line, legend, lines, points, reliability, ticks
from mrpnkit.report.embedding import embed
from mrpnkit.report.found_tables import misleading_table
from mrpnkit.report.page import page
from mrpnkit.report.reading import read_outcomes
from mrpnkit.report.rendering import data_block
from mrpnkit.report.tables import Table, write_tables
from mrpnkit.report.words import sentences
from mrpnkit.runs import Run
from tests.chromium import Chromium, browser, find_chromium
from tests.small_runs import CONFIG, small_corpus

CHROMIUM = find_chromium()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three folds, with gradients recorded, beside its corpus."""
    folder = tmp_path_factory.mktemp("report")
    corpus = small_corpus(samples=72)
    corpus.save(folder / "corpus")
    content = {**CONFIG, "training": {**CONFIG["training"], "gradients": 2}}
    run_experiment(parse_config(content), folder / "run", base=folder, corpus=corpus, cpu=True)
    return folder / "run"


@pytest.fixture(scope="module")
def written(run: Path) -> dict[str, Path]:
    return {path.name: path for path in write_report(run)}


@pytest.fixture(scope="module")
def findings(run: Path) -> Findings:
    return find(run, draws=50)


def test_every_sample_is_there_once_with_what_the_heads_said(run: Path, findings: Findings) -> None:
    outcomes = findings.targets[0].outcomes
    corpus = small_corpus(samples=72)
    assert sorted(outcomes.ids.tolist()) == sorted(corpus.ids)
    for number in (1, 2, 3):
        with np.load(run / f"fold-0{number}" / "test.npz") as scores:
            rows, fused = scores["rows"], scores["scores/fused/emotion"]
            here = outcomes.folds == number
            assert outcomes.ids[here].tolist() == [corpus.ids[row] for row in rows]
            assert (outcomes.decided("fused")[here] == fused.argmax(1)).all()
            assert (outcomes.judged("audio")[here] == scores["present/audio"]).all()
            assert outcomes.groups["actor"][here].tolist() == corpus.groups["actor"][rows].tolist()
    metrics = [fold["metrics"]["emotion/fused/accuracy"] for fold in findings.summary.folds.values()]
    assert outcomes.accuracy("fused") == pytest.approx(np.mean(metrics))


def test_all_kinds_of_findings_are_there(findings: Findings) -> None:
    found = findings.targets[0]
    assert found.interference.axes == ["all", "class", "fold", "actor", "sex"]
    assert found.worth is not None
    assert set(found.worth.information) == {("audio",), ("face",), ("audio", "face")}
    assert found.worth.accuracy["audio", "face"] == pytest.approx(found.outcomes.accuracy("fused"))
    assert found.residuals is not None
    assert found.residuals.accuracy("none") == pytest.approx(found.outcomes.accuracy("fused"))
    assert set(found.embeddings) == {"fused", "audio", "face"}
    assert set(findings.gradients) == {1, 2, 3}
    assert set(findings.audit["split"]) == {"1", "2", "3"}


def test_what_is_written(written: dict[str, Path]) -> None:
    assert {"summary.md", "summary.json", "index.html", "emotion_interference.csv", "emotion_misleading.csv",
            "emotion_samples.csv", "emotion_subsets.tex", "gradient_conflicts.csv"} <= set(written)  # fmt: skip
    html = written["index.html"].read_text(encoding="utf-8")
    assert len(html.encode()) < 3e6
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)""", html)
    assert "@import" not in html
    assert "url(" not in html
    rows = list(csv.DictReader(io.StringIO(written["emotion_samples.csv"].read_text(encoding="utf-8"))))
    assert len(rows) == 72
    right = sum(row["true"] == row["fused"] for row in rows) / 72
    cell = next(csv.DictReader(io.StringIO(written["emotion_interference.csv"].read_text(encoding="utf-8"))))
    assert cell["axis"] == "all"
    assert cell["test"] == "McNemar, and t over clusters"  # six actors
    assert right == pytest.approx(float(cell["fused"]), abs=0.1)  # the audio lacks some samples


def test_without_the_data_what_can_be_said_is_said(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "moved")
    findings = find(tmp_path / "moved", draws=20)
    assert not findings.data_found
    found = findings.targets[0]
    assert found.worth is None
    assert found.residuals is None
    assert found.outcomes.groups == {}
    assert any("data of the run are not where they were" in text for text in sentences(findings))
    assert "<section" in page(findings)


def test_another_run_stands_beside(run: Path, tmp_path: Path) -> None:
    config = parse_config({**CONFIG, "branches": {"face": CONFIG["branches"]["face"]}, "model": {"network": "n0"}})
    run_experiment(config, tmp_path / "face", base=run.parent, cpu=True)
    findings = find(run, beside={"face alone": tmp_path / "face"}, draws=20)
    assert findings.targets[0].outcomes.heads == ["fused", "audio", "face", "face alone"]
    assert any(cell.branch == "face alone" for cell in findings.targets[0].interference.cells)
    alone = find(tmp_path / "face", draws=20)
    assert any("no side scores" in text for text in sentences(alone))
    assert "no side scores to compare" in page(alone)
    opened = Run.open(run)
    with pytest.raises(InputError, match="no target 'mood' with classes; it has emotion"):
        read_outcomes(opened, "mood")


def test_a_run_on_other_data_does_not_stand_beside(run: Path, tmp_path: Path) -> None:
    """As many samples, in the same folds, under other names: a pairing row by row would not notice."""
    other = small_corpus(samples=72)
    other.ids = [f"film{row}" for row in range(72)]
    other.save(tmp_path / "corpus")
    config = parse_config({**CONFIG, "training": {**CONFIG["training"], "epochs": 1}})
    run_experiment(config, tmp_path / "other", base=tmp_path, corpus=other, cpu=True)
    with pytest.raises(InputError, match="72 of ours not among them"):
        find(run, beside={"other": tmp_path / "other"}, draws=20)
    shutil.rmtree(tmp_path / "corpus")
    with pytest.raises(InputError, match=r"was trained on other data than .* samples cannot be paired"):
        find(run, beside={"other": tmp_path / "other"}, draws=20)


def test_the_column_of_groups_is_one_that_there_is(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no column 'speaker' .* have actor, sex"):
        find(run, cluster="speaker", draws=20)
    by_default, by_actor, by_sex = (find(run, cluster=one, draws=20).targets[0] for one in (None, "actor", "sex"))
    assert by_default.interference.cells == by_actor.interference.cells
    for found, test in ((by_actor, "McNemar, and t over clusters"), (by_sex, "McNemar")):
        assert {cell.test for cell in found.interference.on("all")} == {test}
    assert by_actor.worth is not None
    assert by_sex.worth is not None
    assert by_actor.worth.shares == by_sex.worth.shares
    assert by_actor.worth.intervals != by_sex.worth.intervals
    shutil.copytree(run, tmp_path / "moved")
    with pytest.raises(InputError, match=r"'actor' stands in the data of .*moved, which are not where they were"):
        find(tmp_path / "moved", cluster="actor", draws=20)


def test_a_report_is_written_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    written = write_report(run, out=tmp_path / "elsewhere")
    assert all(path.is_relative_to(tmp_path / "elsewhere") for path in written)
    assert {path.name for path in written} >= {"index.html", "summary.md", "emotion_shares.csv"}
    with pytest.raises(InputError, match="no column"):
        write_report(run, cluster="speaker", out=tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_run_without_a_finished_fold_has_no_findings(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "begun")
    for path in (tmp_path / "begun").glob("fold-*/fold.json"):
        path.unlink()
    with pytest.raises(RunError, match="has no finished fold yet"):
        find(tmp_path / "begun")
    assert "index.html" not in {path.name for path in write_report(tmp_path / "begun")}


def test_words_name_the_place_and_the_branch(findings: Findings) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    video = np.eye(3)[np.where(generator.random(300) < 0.9, labels, (labels + 1) % 3)]
    fused = np.eye(3)[np.where((labels == 1) & (generator.random(300) < 0.6), 0, labels)]
    outcomes = Outcomes.of({"fused": fused, "video": video}, labels, classes=["calm", "happy", "sad"])
    target = findings.targets[0]._replace(outcomes=outcomes, interference=interference(outcomes, draws=50))
    said = " ".join(sentences(findings._replace(targets=[target])))
    assert "No modality misleads by more than chance in any of 4 places looked at" in said
    assert "A single head beats the fusion by more than chance in 1 place." in said
    assert "class happy: video" in said
    assert "In class happy no modality is found to mislead" in said
    assert "class calm" not in said


def test_words_and_table_name_the_modality_that_misleads(findings: Findings) -> None:
    """The audio of one class shows the two others; the fusion follows it, or does not."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    shown = np.where(labels == 1, 2 * generator.integers(0, 2, 300), labels)
    audio, video = (np.eye(3)[np.where(generator.random(300) < 0.9, seen, (seen + 1) % 3)] for seen in (shown, labels))
    for fused, expected in (
        (audio, "There is interference: the fusion follows what misleads, and loses. class happy:"),
        (video, "to the best other branch is not established: class happy."),
    ):
        outcomes = Outcomes.of(
            {"fused": fused, "video": video, "audio": audio}, labels, classes=["calm", "happy", "sad"]
        )
        target = findings.targets[0]._replace(outcomes=outcomes, interference=interference(outcomes, draws=50))
        said = " ".join(sentences(findings._replace(targets=[target])))
        assert "audio misleads, so that it is worse than nothing: in class happy (" in said
        assert expected in said
        table = misleading_table(target)
        assert [row[:3] for row in table.rows if row[table.columns.index("misleads")] == "yes"] == [
            ["class", "happy", "audio"]
        ]
        assert len(misleading_table(target, most=2).rows) == 2


def test_texts_cannot_leave_their_place(findings: Findings) -> None:
    found = findings.targets[0]
    evil = "</script><script>alert(1)</script>"
    ids = found.outcomes.ids.astype("<U60")
    ids[0] = evil
    groups = {name: values.astype("<U60") for name, values in found.outcomes.groups.items()}
    groups["actor"][0] = evil
    outcomes = found.outcomes._replace(ids=ids, groups=groups)
    html = page(findings._replace(targets=[found._replace(outcomes=outcomes)]))
    assert "<script>alert" not in html
    assert json.loads(str(data_block({"a": "</script>"}))) == {"a": "</script>"}


def test_tables_as_csv_and_latex(tmp_path: Path) -> None:
    table = Table.of("t", "50 % of a_b", [{"head": "a_b", "value": 0.5, "n": 3}, {"head": "c", "value": float("nan")}])
    assert list(csv.reader(io.StringIO(table.csv()))) == [["head", "value", "n"], ["a_b", "0.5", "3"], ["c", "", ""]]
    assert r"a\_b & 0.500 & 3 \\" in table.latex()
    assert r"\caption{50 \% of a\_b}" in table.latex()
    ages = Table.of("ages", "", [{"age": "<30|>60"}])  # which LaTeX's usual fonts print as other signs
    assert r"\textless{}30\textbar{}\textgreater{}60 \\" in ages.latex()
    assert r"\begin{tabular}{lrr}" in table.latex()
    assert [path.name for path in write_tables([table], tmp_path)] == ["t.csv", "t.tex"]
    with pytest.raises(InputError, match="Two tables have one name"):
        write_tables([table, table], tmp_path)


def test_figures_place_points_where_they_belong() -> None:
    assert ticks(0.0, 30.0) == [0.0, 10.0, 20.0, 30.0]
    svg = lines([Line("a", [0, 10], [0.0, 1.0])], x_label="x", y_label="y", title="t")
    places = re.findall(r'<circle class="f0" cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert places == [("46.0", "226.0"), ("450.0", "10.0")]
    assert lines([Line("a", [0], [float("nan")])], x_label="x", y_label="y", title="t") == ""
    assert reliability([], title="t") == ""
    drawn = points(np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.array([0, 0, 1]), title="t")
    assert drawn.count("<path") == 2


def test_no_two_lines_of_twenty_look_alike() -> None:
    """There are eight colours; a comparison of six modalities already has nine lines."""
    names = [f"n{place}" for place in range(20)]
    series = [Line(name, [0, 1], [0, place], colour=place) for place, name in enumerate(names)]
    svg = lines(series, x_label="x", y_label="y", title="t")
    looks = re.findall(r'<path class="line (s\d)"( stroke-dasharray="[\d ]+")?', svg)
    assert len(set(looks)) == 20
    keys = re.findall(r'<span class="key ([^"]+)"></span>(n\d+)', legend(names))
    assert len({look for look, _ in keys}) == 20
    assert [name for _, name in keys] == names


def test_principal_components_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    features = np.random.default_rng(0).normal(size=(50, 6)) * [5, 3, 1, 1, 1, 1]
    found = embed(features, np.zeros(50, dtype=np.int64))
    theirs = PCA(2).fit(features)
    np.testing.assert_allclose(np.abs(found.pca), np.abs(theirs.transform(features)), atol=1e-8)
    assert found.explained == pytest.approx(theirs.explained_variance_ratio_.sum())
    assert found.tsne is not None
    assert found.tsne.shape == (50, 2)


@pytest.fixture(scope="module")
def tab(written: dict[str, Path]) -> Iterator[Chromium]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian's package is chromium)")
    with browser(CHROMIUM) as opened:
        opened.open(written["index.html"])
        yield opened


ROWS = "[...document.querySelectorAll('.samples tbody tr')].map(r => [...r.cells].map(c => c.textContent))"


def test_the_page_loads_itself_alone_and_without_complaint(tab: Chromium, written: dict[str, Path]) -> None:
    assert tab.complaints == []
    assert set(tab.requests) == {written["index.html"].resolve().as_uri()}
    assert tab.run("document.querySelectorAll('section').length") >= 10
    assert tab.run("document.title") == "run"


def test_headings_sort_and_say_so(tab: Chromium) -> None:
    column = (
        "[...document.querySelectorAll('#interference table.sorted tbody tr')].map(r => Number(r.cells[3].textContent))"
    )
    button = "document.querySelectorAll('#interference table.sorted thead button')[3]"
    tab.run(f"{button}.click()")
    up = tab.run(column)
    assert up == sorted(up)
    assert tab.run(f"{button}.closest('th').getAttribute('aria-sort')") == "ascending"
    tab.run(f"{button}.click()")
    assert tab.run(column) == sorted(up, reverse=True)


def test_a_number_opens_its_samples(tab: Chromium, findings: Findings) -> None:
    cell = next(
        c for c in findings.targets[0].interference.cells if c.axis == "class" and c.lost and c.branch == "face"
    )
    tab.run(
        f"document.querySelector('tr[data-axis=class][data-value={cell.value}][data-branch=face] "
        "button[data-what^=lost]').click()"
    )
    rows = tab.run(ROWS)
    expected = set(findings.targets[0].outcomes.ids[findings.targets[0].interference.samples(cell)[0]].tolist())
    assert {row[0] for row in rows} == expected
    assert tab.run("document.activeElement.textContent") == "Samples"
    tab.run("document.querySelector('.samples .clear').click()")
    assert len(tab.run(ROWS)) == 72


def test_filters_work_by_keyboard(tab: Chromium) -> None:
    tab.run("document.querySelector('.samples input[type=search]').focus()")
    for sign in "clip1":
        tab.call("Input.insertText", text=sign)
    names = [row[0] for row in tab.run(ROWS)]
    assert names
    assert all("clip1" in name for name in names)
    tab.run("document.querySelector('.samples .clear').focus()")
    tab.press("Enter", code=13, text="\r")
    assert len(tab.run(ROWS)) == 72


def test_only_what_is_beyond_chance_can_be_shown(tab: Chromium, findings: Findings) -> None:
    tab.run("(() => { const b = document.querySelector('.interference input'); b.checked = true;"
            "b.dispatchEvent(new Event('input')); })()")  # fmt: skip
    shown = tab.run("[...document.querySelectorAll('.interference tbody tr')].filter(r => !r.hidden).length")
    assert shown <= len(findings.targets[0].interference.cells)
    assert tab.run("document.querySelector('.interference [aria-live]').textContent") == f"{shown} comparisons shown"


def test_it_fits_a_phone_and_has_two_modes(tab: Chromium, written: dict[str, Path]) -> None:
    tab.open(written["index.html"], width=390, height=844)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    light = tab.run("getComputedStyle(document.body).backgroundColor")
    tab.run("document.getElementById('mode').click()")
    dark = tab.run("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    tab.open(written["index.html"], dark=True)
    assert tab.run("getComputedStyle(document.body).backgroundColor") == dark
    assert tab.complaints == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _without_rows(path: Path) -> None:
    with np.load(path) as file:
        np.savez(path, **{name: file[name] for name in file.files if name != "rows"})


def _a_row_short(path: Path) -> None:
    with np.load(path) as file:
        np.savez(path, **{name: file[name][1:] if name == "rows" else file[name] for name in file.files})


def _one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("test.npz", _cut, "be read: File is not a zip file. Train the fold anew"),
        ("test.npz", _one_array, "no 'rows' and no 'labels/emotion'"),
        ("test.npz", _without_rows, "no 'rows'; it is no file of scores. Train the fold anew"),
        ("test.npz", _a_row_short, r"damaged: \d+ rows, but of 'labels/emotion' \d+"),
        ("test.npz", lambda path: path.write_bytes(b""), "be read"),
        ("metrics.jsonl", _cut, r"damaged: .* Train the fold anew"),
        ("metrics.jsonl", lambda path: path.write_text("[1]\n"), "line 1 is no report of an epoch"),
        ("metrics.jsonl", lambda path: path.write_text('{"seconds": 1}\n'), "line 1 is no report of an epoch"),
        (
            "metrics.jsonl",
            lambda path: path.write_text('{"seconds": 1, "train": {}, "validation": {}}\n'),
            "line 1 is no",
        ),
        ("metrics.jsonl", lambda path: path.write_bytes(b"\xff"), "damaged"),
    ],
)
def test_a_damaged_file_of_a_fold_is_named_and_nothing_is_written(
    run: Path, tmp_path: Path, name: str, damage: Callable[[Path], object], told: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report"))
    damage(copy / "fold-02" / name)
    with pytest.raises(RunError, match=rf"fold-02/{re.escape(name)} .*{told}"):
        write_report(copy)
    assert not (copy / "report").exists()

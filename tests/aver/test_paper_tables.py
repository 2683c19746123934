"""Tables 1 to 4: which runs make a row, what stands beside it, and how a table is made, skipped and resumed."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")

from examples.aver.__main__ import app
from examples.aver.paper import commands, making, published
from examples.aver.paper.job import PaperJob, run_paper_job
from examples.aver.paper.making import folds_of, make_table
from examples.aver.paper.options import Options, Schedule, System
from examples.aver.paper.tables import Made, Row, data_set_of, jobs_of, table_spec
from mrpnkit.data import Corpus
from mrpnkit.errors import InputError
from tests.aver.paper_corpora import SCHEDULE, SYSTEM, noise

EIGHT = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
SIX = ["angry", "disgust", "fearful", "happy", "neutral", "sad"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise(tmp_path_factory.mktemp("tables") / "corpus", dataset="ravdess")


def jobs(number: int, **changes: Any) -> list[tuple[Row, PaperJob]]:
    settings: dict[str, Any] = {
        "folds": 12, "only_folds": 1, "seeds": [0], "protocol": "honest", "options": Options(), "system": System(),
        "schedule": Schedule(), **changes,
    }  # fmt: skip
    frozen = settings["system"].frozen
    return jobs_of(table_spec(number, "ravdess", frozen=frozen), Path("corpus"), Path("out"), **settings)


@pytest.mark.parametrize(
    ("number", "rows"),
    [
        (1, {"AM(NT)": "am-lstm-VA-AO-NT", "AM(T)": "am-lstm-VA-AO-T", "VM(NT)": "vm-lstm-VA-AO-NT",
             "VM(T)": "vm-lstm-VA-AO-T", "JM(NT)": "n0-lstm-VA-AO-NT", "JM(T)": "n0-lstm-VA-AO-T"}),
        (2, {"N0": "n0-lstm-VA-AO-T", "N1": "n1-lstm-VA-AO-T", "N2 (MRPN)": "n2-lstm-VA-AO-T"}),
        (3, {"N0": "n0-lstm-VA-AO-T", "N1": "n1-lstm-VA-AO-T", "N2 (MRPN)": "n2-lstm-VA-AO-T"}),
        (4, {"N0 (ResNet-18 + LSTM), IA": "n0-lstm-IA-AO-T", "N0 (ResNet-18 + LSTM), WO": "n0-lstm-VA-WO-T",
             "N0 (ResNet-18 + LSTM), VA + AO": "n0-lstm-VA-AO-T", "N2 (ResNet-18 + LSTM), VA + AO": "n2-lstm-VA-AO-T",
             "N2 (ResNet-18 + Transformer), VA + AO": "n2-transformer-VA-AO-T"}),
    ],
)  # fmt: skip
def test_what_makes_each_row(number: int, rows: dict[str, str]) -> None:
    assert {row.label: job.folder.parts[2] for row, job in jobs(number)} == rows


def test_chosen_options_stay_where_a_row_does_not_speak_of_them() -> None:
    chosen = jobs(1, options=Options(image="IA", aggregator="bilstm", pairing=0.5, time="NT"))
    assert {job.folder.parts[2] for _, job in chosen} == {
        f"{network}-bilstm-IA-AO-{time}-P0.5" for network in ("am", "vm", "n0") for time in ("T", "NT")
    }


def test_tables_share_their_runs() -> None:
    assert {job for _, job in jobs(2)} & {job for _, job in jobs(1)} & {job for _, job in jobs(4)}


def test_frozen_cnns_see_no_augmentation_of_images() -> None:
    found = jobs(4, system=System(frozen=True))
    assert {job.options.image for _, job in found} == {"none"}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("classes", "about", "expected"),
    [
        (EIGHT, {}, "ravdess"),
        (SIX, {}, "cremad"),
        (EIGHT, {"source": "synthetic faces + voices, pixels"}, "synthetic"),
        (SIX, {"dataset": "CREMA-D"}, "cremad"),
        (["a", "b"], {}, "other"),
    ],
)
def test_which_data_set_it_is(classes: list[str], about: dict[str, Any], expected: str) -> None:
    assert data_set_of(classes, about) == expected


def result(fold: str, accuracy: float) -> dict[str, Any]:
    return {"fold": fold, "metrics": {"emotion/fused/accuracy": accuracy}}


def test_the_papers_folds_stand_under_the_same_actors() -> None:
    spec = table_spec(2, "ravdess")
    results = [(row, result(fold, 0.5 + n / 10)) for n, fold in enumerate(("3,4", "1,2")) for row in spec.rows]
    header, *body = Made.of(spec, "honest", results).cells()
    assert header == ["", "by", "A3,4", "A1,2", "mean", "sd"]
    assert body[0] == ["N0", "ours, honest", "50.0", "60.0", "55.0", "7.1"]
    assert body[1] == ["", "paper", "90.3", "97.5", "87.6", f"{np.std(published.TABLE_2['N0'], ddof=1):.1f}"]
    assert body[5][:4] == ["", "paper", "92.1", "97.5"]
    assert "over all of its 12 folds, ours over 2" in Made.of(spec, "honest", results).markdown()
    assert not any("frozen" in note for note in Made.of(spec, "honest", results).notes())
    assert "no images were augmented" in Made.of(spec, "honest", results, frozen=True).markdown()


def test_crema_d_has_its_folds_by_number_and_says_who_they_are() -> None:
    spec = table_spec(3, "cremad")
    actors = ["1001,1002,1003", "1004,1005,1006"]
    results = [(row, result(fold, 0.5)) for fold in actors for row in spec.rows]
    made = Made.of(spec, "paper", results)
    header, *body = made.cells()
    assert header == ["", "by", "S1", "S2", "mean", "sd"]
    assert body[1] == ["", "paper", "77.3", "81.3", "78.4", f"{np.std(published.TABLE_3['N0'], ddof=1):.1f}"]
    assert made.notes()[0].startswith("OPTIMISTIC.")
    assert any("S1: actors 1001,1002,1003; S2:" in note for note in made.notes())
    assert "does not hold the same actors" in made.markdown()


def test_table_4_has_means_alone_for_both_data_sets() -> None:
    for name, expected in (("ravdess", "91.4"), ("cremad", "83.2")):
        spec = table_spec(4, name)
        made = Made.of(spec, "honest", [(row, result("1,2", 0.5)) for row in spec.rows])
        assert made.cells()[-1] == ["", "paper", expected, ""]
        assert len(made.cells()) == 1 + 2 * 5
    with pytest.raises(InputError, match="no table 5"):
        table_spec(5, "ravdess")


def test_the_other_data_set_has_nothing_of_the_paper_beside_it() -> None:
    for number, name in ((1, "cremad"), (2, "cremad"), (3, "ravdess"), (2, "synthetic")):
        spec = table_spec(number, name)
        made = Made.of(spec, "honest", [(row, result("1,2", 0.5)) for row in spec.rows])
        assert not any(cells[1] == "paper" for cells in made.cells())
        assert not any(published.SOURCE in note for note in made.notes())


def serial(jobs: list[PaperJob], console: Console, **settings: Any) -> list[dict[str, Any]]:
    """As :func:`examples.aver.table.run_jobs`, in this process."""
    return [run_paper_job(job) for job in jobs]


def test_a_table_from_end_to_end(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "run_jobs", serial)
    console = Console(record=True, width=150)

    def make(**changes: Any) -> Made | None:
        return make_table(2, corpus, tmp_path, console, system=SYSTEM, schedule=SCHEDULE, folds=3, only_folds=1,
                          workers=1, **changes)  # fmt: skip

    assert make(estimate_only=True) is None
    assert not (tmp_path / "honest").exists()
    assert "s a step, about" in console.export_text()
    monkeypatch.setattr(making, "total", lambda jobs, **settings: (100.0 * len(jobs), {}))
    made = make(result=tmp_path / "result.json")
    assert made is not None
    assert made.folds == ("1,2",)
    assert "About 5 min in all, 1 at once" in console.export_text()
    written = json.loads((tmp_path / "result.json").read_text())
    assert set(written["figures"]) == {"table2/N0", "table2/N1", "table2/N2 (MRPN)"}
    for label, values in made.accuracy.items():
        assert written["figures"][f"table2/{label}"]["value"] == pytest.approx(float(np.mean(values)))
    page = (tmp_path / "tables" / "table-2-ravdess-honest.md").read_text()
    assert "| N2 (MRPN) | ours, honest |" in page
    assert "97.5" in page
    monkeypatch.setattr(making, "total", lambda *arguments, **settings: pytest.fail("measured again"))
    again = make(options=Options(time="NT"))
    assert again is not None
    assert again.accuracy == made.accuracy
    said = console.export_text()
    assert "Everything is trained already." in said
    assert "time NT was asked for, and no row takes it" in said


def test_folds_as_the_paper_has_them() -> None:
    def people(count: int) -> Corpus:
        labels = ["a", *["b"] * (count - 1)]
        return Corpus.from_arrays(
            {"video": np.zeros((count, 2))}, {"emotion": labels}, groups={"actor": np.arange(count).tolist()}
        )

    assert folds_of(people(24), "ravdess") == 12
    assert folds_of(people(91), "cremad") == 9
    assert folds_of(people(6), "cremad") == 3


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_the_command_makes_a_table(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(making, "make_table", lambda *arguments, **settings: seen.update(settings, given=arguments[:3]))
    arguments = ["table", "3", "--corpus", str(corpus), "--out", str(tmp_path), "--protocol", "paper", "--options",
                 "IA+WO", "--pairing", "0.25", "--only-folds", "2", "--frozen-epochs", "3",
                 "--readers", "5"]  # fmt: skip
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert seen["given"] == (3, corpus, tmp_path)
    assert seen["protocol"] == "paper"
    assert seen["options"] == Options(image="IA", overlap="WO", pairing=0.25)
    assert seen["schedule"] == replace(Schedule(), frozen_epochs=3, workers=5)
    assert (seen["only_folds"], list(seen["seeds"])) == (2, [0])


def test_the_command_system_trains_and_goes_on(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "chosen", lambda **settings: (Options(), SYSTEM, SCHEDULE))
    arguments = ["system", "--network", "vm", "--corpus", str(corpus), "--out", str(tmp_path), "--folds", "3"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    assert "s a step; about" in plain(first.output)
    assert "vm-lstm-VA-AO-T" in plain(first.output)
    second = CliRunner().invoke(app, arguments)
    assert "s a step" not in plain(second.output)


def test_movies_are_prepared_before_a_numbered_table(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["table", "1", "--data", str(tmp_path)])
    assert isinstance(shown.exception, InputError)
    assert "then give --corpus" in str(shown.exception)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--protocol", "paper"], "--protocol is an option of the paper's tables, on pixels and sound; `table` without "
         "a number compares networks on landmarks + speech, and does not know it. Name a table, such as `table 2`, "
         "or leave it out."),
        (["--estimate", "--corpus", "c", "--options", "WO", "--spectrogram-hop", "80", "--frozen"],
         "--corpus, --estimate, --options, --spectrogram-hop, --frozen are options of the paper's tables"),
        (["--small"], "or leave it out; the comparison's own short run is `demo --small`."),
    ],
)  # fmt: skip
def test_options_of_the_papers_tables_need_a_number(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "_compare", lambda *given: pytest.fail("it would train everything"))
    shown = CliRunner().invoke(app, ["table", *arguments])
    assert isinstance(shown.exception, InputError), shown.output
    assert text in str(shown.exception)
    assert list(tmp_path.iterdir()) == []


def test_options_of_the_comparison_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(commands, "_compare", lambda console, *given: seen.extend(given))
    arguments = ["--data", "d", "--folds", "5", "--only-folds", "2", "--seeds", "3", "--workers", "4", "--epochs", "6",
                 "--result", "r", "--protocol", "honest"]  # fmt: skip
    shown = CliRunner().invoke(app, ["table", *arguments])
    assert shown.exit_code == 0, shown.output
    assert seen == [Path("d"), Path("runs/aver"), 5, 2, 3, 4, 6, Path("r")]


def test_small_trainings_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained small and what is trained whole would else refuse each other's folders."""
    seen: list[Path] = []
    monkeypatch.setattr(commands, "corpus_folder", lambda given, out, *rest, **small: out)
    monkeypatch.setattr(making, "make_table", lambda number, folder, out, *rest, **settings: seen.append(out))
    for arguments in (["2", "--small"], ["2"], ["2", "--small", "--out", "x"]):
        shown = CliRunner().invoke(app, ["table", *arguments])
        assert shown.exit_code == 0, shown.output
    assert seen == [Path("runs/aver-pixels-small"), Path("runs/aver-pixels"), Path("x")]
    shown = CliRunner().invoke(app, ["system", "--small", "--estimate"])
    assert "runs/aver-pixels-small is no corpus" in str(shown.exception)

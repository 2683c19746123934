"""The command line: what each command prints and writes, its exit codes, and what a mistake is told as."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.cli import main
from mrpnkit.cli.application import COMMANDS
from mrpnkit.cli.looking import KINDS
from mrpnkit.data import Corpus
from mrpnkit.data.audit import audit
from mrpnkit.data.folds import Fold, group_folds
from mrpnkit.registry import _is_ours
from tests.small_runs import CLASSES, TOML, small_corpus, workplace

NAMES = (
    "train", "evaluate", "predict", "enrol", "ablate", "extract", "list", "describe", "check", "report", "robustness",
)  # fmt: skip


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error stream of a command."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(left.value.code or 0), out, err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, run.toml and its finished run."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.raises(SystemExit) as left:
        main(["train", str(workplace(folder)), "--out", str(folder / "run"), "--cpu"])
    assert left.value.code in (0, None)
    return folder


# Help, list, describe


def test_all_commands_are_there() -> None:
    assert tuple(command.__name__.rstrip("_") for command in COMMANDS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, name, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"mrpnkit {name}" in out.partition("Examples:")[2]


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0
    text = " ".join(out.split())
    assert "0 fine, 1 a check found problems, 2 a mistake in what was given, 3 a training stopped" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"mrpnkit \d+\.\d+\.\d+\n", call(capsys, "--version")[1])


def test_list_shows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list")
    rows = [line.split() for line in out.splitlines()[1:]]
    assert code == 0
    assert {row[0] for row in rows} == set(KINDS)
    assert ["aggregators", "bilstm", "mrpnkit"] in rows
    names = {kind: {row[1] for row in rows if row[0] == kind} for kind in KINDS}
    own = {kind: {n for n, part in registry._own.items() if _is_ours(part)} for kind, registry in KINDS.items()}
    assert all(names[kind] >= own[kind] for kind in KINDS), "announced as registered"
    _, fusions, _ = call(capsys, "list", "fusion")
    assert {line.split()[0] for line in fusions.splitlines()[1:]} == {"fusions"}


def test_describe_tells_file_parameters_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "describe", "aggregator", "bilstm")
    assert code == 0
    assert re.search(r"defined in \S*recurrent\.py:\d+", out)
    assert re.search(r"hidden_features\W+int\W+128", out)
    _, out, _ = call(capsys, "describe", "datasets", "npz")
    assert re.search(r"path\W+str\W+required", out)


def test_describe_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(call(capsys, "describe", "--schema")[1])
    assert {"dataset", "branches", "training"} <= set(schema["properties"])


# Train, evaluate, predict, report, extract


def test_train_again_trains_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "train", place / "run.toml", "--out", place / "run", "--cpu")
    assert code == 0
    assert err.count("is finished already") == 3
    assert "mean ± sd" in out
    folds = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((place / "run").glob("fold-*/fold.json"))]
    late = sum(fold["selected_epoch"] == fold["epochs"] == 2 for fold in folds)
    assert err.count(f"The kept epoch is the last one in {late} of 3 folds") == (late > 1)
    results = json.loads((place / "run" / "results.json").read_text(encoding="utf-8"))
    for head in ("fused", "audio", "face"):
        assert f"{results['summary'][f'emotion/{head}/accuracy']['mean']:.3f} ±" in out


def test_train_goes_beside_the_caller_by_default(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = ("--set", "training.epochs=1", "--set", "folds.only=[1]")
    assert call(capsys, "train", place / "run.toml", *changes, "--cpu")[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs" / "run").iterdir()) == [
        "audit.json",
        "fold-01",
        "results.json",
        "run.json",
    ]


def test_other_settings_in_the_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "train", place / "run.toml", "--set", "training.epochs=5", "--out", place / "run")
    assert code == 2
    assert "holds a run with other settings: training.epochs: 2 there, 5 here. Give another --out" in err


def test_a_training_that_stops(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    changes = ("--set", 'training.optimizer={name="sgd", learning_rate=1e6}', "--set", "training.epochs=40")
    code, _, err = call(capsys, "train", place / "run.toml", *changes, "--out", tmp_path / "run", "--cpu")
    assert code == 3
    assert "Training stopped: The loss is not finite at step" in err


def test_control_c_says_how_to_go_on(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mrpnkit.experiment.run_fold", interrupt)
    code, _, err = call(capsys, "train", place / "run.toml", "--out", tmp_path / "run", "--cpu")
    assert code == 3
    assert "Stopped. The same command goes on with" in err


def test_evaluate_repeats_the_figures(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "evaluate", place / "run", "--out", tmp_path / "e.json")
    assert code == 0
    assert "emotion on test parts" in out
    found = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    stored = json.loads((place / "run" / "results.json").read_text(encoding="utf-8"))
    for number, fold in stored["folds"].items():
        assert found["folds"][number]["metrics"] == pytest.approx(fold["metrics"], abs=1e-5)
    code, out, _ = call(capsys, "evaluate", place / "run", "--data", place / "corpus", "--fold", 2)
    assert code == 0
    assert "all of it" in out


def test_predict_writes_csv_and_json(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "predict", place / "run", place / "corpus")
    assert code == 0
    assert len(out.splitlines()) == 37
    assert out.startswith("id,emotion,emotion/fused/calm,")
    code, _, err = call(capsys, "predict", place / "run", place / "run.toml", "--out", tmp_path / "a.json")
    assert code == 0
    assert "36 samples written" in err
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))[0]["answer"]["emotion"] in CLASSES
    np.savez(tmp_path / "faces.npz", face=small_corpus().modalities["face"].steps, label=np.arange(36) % 3)
    code, out, _ = call(capsys, "predict", place / "run", tmp_path / "faces.npz", "--fold", 1)
    assert code == 0
    assert len(out.splitlines()) == 37


def test_report_is_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "report", place / "run")
    assert code == 0
    written = {Path(line).name for line in out.splitlines()}
    assert written >= {"summary.md", "summary.json", "loss.png", "emotion_accuracy.png"}
    assert written == {path.name for path in (place / "run" / "report").rglob("*") if path.is_file()}
    text = (place / "run" / "report" / "summary.md").read_text(encoding="utf-8")
    assert "| branch audio | conv1d → mean |" in text
    assert "3 finished of 3, groups of 'actor'" in text
    assert len(json.loads((place / "run" / "report" / "summary.json").read_text(encoding="utf-8"))["curves"]["1"]) == 2


def test_a_fixed_split_is_reported_as_one(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And not as one of the folds that it stands in place of."""
    content = (
        (place / "run.toml")
        .read_text(encoding="utf-8")
        .replace('stratum = "sex"\ncount = 3', 'test = ["1", "2"]\nvalidation = ["3"]')
    )
    (place / "fixed.toml").write_text(content, encoding="utf-8")
    call(capsys, "train", place / "fixed.toml", "--set", "training.epochs=1", "--out", tmp_path / "run", "--cpu")
    code, _, _ = call(capsys, "report", tmp_path / "run")
    assert code == 0
    text = (tmp_path / "run" / "report" / "summary.md").read_text(encoding="utf-8")
    assert "| folds | one fixed split, groups of 'actor' |" in text


def test_report_is_written_where_asked(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "report", place / "run", "--cluster", "sex", "--out", tmp_path / "there")
    assert code == 0
    assert {Path(line) for line in out.splitlines()} == {p for p in (tmp_path / "there").rglob("*") if p.is_file()}


def test_extract_writes_a_corpus(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "extract", place / "run", "--out", tmp_path / "features", "--fold", 2, "--cpu")
    assert code == 0
    assert "36 samples written" in err
    made = Corpus.open(tmp_path / "features")
    assert made.features("face") == 5
    assert made.about["fold"] == 2
    assert made.about["extracted_by"]["face"] == {"name": "linear", "out_features": 5}
    code, _, err = call(capsys, "extract", place / "run.toml", place / "corpus", "--out", tmp_path / "more", "--cpu")
    assert code == 0
    assert "Extractors that are not frozen: audio, face. They stay as built" in err


def test_random_folds_are_warned_of_once_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    toml, run = workplace(tmp_path), tmp_path / "run"
    text = TOML.replace('group = "actor"\n', 'audit = "report"\n').replace("epochs = 2", "epochs = 1")
    toml.write_text(text, encoding="utf-8")
    commands = {
        "check": ("check", toml),
        "train": ("train", toml, "--set", "folds.only=[1, 3]", "--out", run, "--cpu"),
        "evaluate": ("evaluate", run),
        "report": ("report", run),
    }
    warned = {}
    for name, command in commands.items():
        caplog.clear()
        assert call(capsys, *command)[0] == 0
        warned[name] = caplog.text.count("random over samples")
    assert warned == {"check": 1, "train": 1, "evaluate": 0, "report": 0}


def test_ablate_prints_one_table(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    changes = ("--set", "training.epochs=1", "--set", "folds.only=[1, 3]", "--metric", "uar")
    code, out, _ = call(capsys, "ablate", place / "run.toml", *changes, "--out", tmp_path / "a", "--cpu")
    assert code == 0
    for label in ("audio alone", "face alone", "N0", "N1", "N2 (MRPN)", "N2 (MRPN) − N1", "95 % interval", "fold 3"):
        assert label in out
    results = json.loads((tmp_path / "a" / "results.json").read_text(encoding="utf-8"))
    values = results["variants"]["n2"]["folds"]["emotion/fused/uar"]
    assert len(values) == 2
    assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in out


# Check


def test_check_shows_parts_and_cost(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.rglob("*"))
    code, out, _ = call(capsys, "check", place / "run.toml", "--length", "audio=20", "--batch-size", 4)
    assert code == 0
    # Conv1d 5 → 4 with 5 taps: 5·5·4 weights, and scale and shift of its norm; the last layer halves 20 steps.
    assert re.search(r"branches.audio.extractor\W+Conv1d\W+10 steps × 4\W+108\W+108", out)
    assert re.search(r"branches.face.extractor\W+Linear\W+1 steps × 5\W+25\W+25", out)
    assert re.search(r"perceptrons.audio\W+ResPerceptron\W+4\W+28", out), "4·4 + 4, and 8 of the norm"
    assert "A step of 4 samples, of so many steps each: audio 20, face 1" in out
    assert re.search(r"forward and backward +\d+\.\d ms", out)
    assert "kept for the backward" in out
    assert sorted(place.rglob("*")) == before, "nothing is written"


def test_check_finds_a_sound_split(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "check", place / "run.toml", "--data")
    assert code == 0
    assert "The split is sound" in err


def test_check_finds_what_makes_a_result_worthless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A clip that stands twice, under two actors; and folds over samples although there are actors."""
    corpus = small_corpus()
    audio = [corpus.read("audio", row) for row in range(36)]
    face = np.array(corpus.modalities["face"].steps)
    audio[30], face[30] = audio[0], face[0]
    groups = {name: values.tolist() for name, values in corpus.groups.items()}
    copied = Corpus.from_arrays(
        {"audio": audio, "face": face},
        {"emotion": corpus.targets["emotion"]},
        groups=groups,
        classes={"emotion": CLASSES},
        rates={"audio": 10.0},
    )
    copied.save(tmp_path / "corpus")
    (tmp_path / "run.toml").write_text(TOML, encoding="utf-8")
    code, out, _ = call(capsys, "check", tmp_path / "run.toml", "--data")
    assert code == 1
    assert "problem: 1 set of samples with the same steps in every modality stands in several parts" in out
    assert "such as '0' and '30'" in out
    (tmp_path / "random.toml").write_text(TOML.replace('group = "actor"\n', ""), encoding="utf-8")
    code, out, _ = call(capsys, "check", tmp_path / "random.toml", "--data")
    assert code == 1
    assert re.search(
        r"problem: .* of 'actor' are in training and in another part of fold 1.*Set group = \"actor\"", out
    )


def test_audit_by_hand() -> None:
    """A fold made so that every finding is known."""
    corpus = Corpus.from_arrays(
        {"x": [np.full((2, 1), n) for n in (0, 1, 2, 3, 2, 5)], "y": np.arange(6.0)[:, None]},
        {"emotion": ["a", "a", "b", "b", "c", "c"]},
        groups={"actor": list("ppqqrr"), "room": list("uuuvvv")},
        classes={"emotion": ["a", "b", "c", "d"]},
    )
    rows = np.array
    fold = Fold(rows([0, 1, 2]), rows([3]), rows([4, 5]), (), ())
    arguments: dict[str, Any] = {"targets": ["emotion"], "modalities": ["x", "y"]}
    found = {(f.severity, f.text) for f in audit(corpus, {1: fold}, group="actor", **arguments)}
    assert found == {
        ("problem", "'q' of 'actor' is in training and in another part of fold 1, although 'actor' is the group that "
                    "is never split."),
        ("note", "No sample at all has 'd' of 'emotion'."),
        ("problem", "The train part of fold 1 has no sample of 'c' of 'emotion'."),
        ("note", "The validation part of fold 1 has no sample of 'a', 'c' of 'emotion'."),
        ("note", "The test part of fold 1 has no sample of 'a', 'b' of 'emotion'."),
        ("note", "1 set of samples with the same steps of 'x' stands in several parts of fold 1, such as '2' and '4'."),
    }  # fmt: skip
    sound = dict(enumerate(group_folds(small_corpus().groups["actor"], 3), start=1))
    arguments["modalities"] = ["audio", "face"]
    assert audit(small_corpus(), sound, group="actor", stratum="sex", **arguments) == []


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nothing.toml"], "nothing.toml: one problem.\n  cannot be read"),
        (["train", "{toml}", "--set", "training.epoch=3"], "training.epoch: there is no such key"),
        (["train", "{toml}", "--set", "training.epochs=0", "--set", "folds.count=1"], "2 problems"),
        (["train", "{toml}", "--out", "{corpus}"], "is not empty and holds no run"),
        (["evaluate", "{corpus}"], "is no run: it has no run.json"),
        (["evaluate", "{run}", "--fold", "7"], "has no finished fold 7; it has 1, 2, 3"),
        (["evaluate", "{run}", "--part", "all"], "Invalid value for '--part'"),
        (["predict", "{run}", "nothing"], "nothing does not exist; expected a corpus folder"),
        (["predict", "{run}", "{run}/run.json"], "is no TOML"),
        (["predict", "{run}", "{corpus}", "--out", "answers.xlsx"], "a name that ends in .csv or .json"),
        (["predict", "{run}", "{corpus}", "--out", "/nowhere/answers.csv"], "No such file or directory"),
        (["ablate", "{toml}", "--metric", "f2"], "classification has accuracy, uar, macro_f1, loss"),
        (["ablate", "{toml}", "--out", "{run}"], "holds a run, not an ablation"),
        (["extract", "{toml}"], "extract needs --out FOLDER"),
        (["extract", "{toml}", "--out", "{corpus}"], "exists already"),
        (["extract", "{toml}", "--out", "x", "--fold", "1"], "a configuration has none yet"),
        (["extract", "{run}", "--out", "x", "--set", "training.seed=1"], "a run's is settled"),
        (["list", "optimizers"], "no kind of part 'optimizers'; there are extractors, aggregators"),
        (["describe", "aggregator"], "describe needs a kind and a name"),
        (["describe", "aggregator", "bilstn"], "Did you mean 'bilstm'?"),
        (["check", "{toml}", "--length", "audio"], "expected MODALITY=STEPS, such as audio=300"),
        (["check", "{toml}", "--length", "voice=3"], "Lengths are given for ['voice']; the branches are"),
        (["check", "{toml}", "--length", "audio=0"], "The length of 'audio' is 0"),
        (["report", "{corpus}"], "is no run"),
        (["report", "{run}", "--cluster", "speaker", "--out", "x"], "There is no column 'speaker'"),
        (["report", "{run}", "{run}", "--cluster", "sex", "--out", "x"], "--cluster goes with one run"),
        (["report", "{run}", "{run}", "--beside", "a={run}", "--out", "x"], "--beside goes with one run"),
        (["tain"], "No such command 'tain'"),
    ],
)
def test_mistakes_are_told_in_words(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"toml": place / "run.toml", "corpus": place / "corpus", "run": place / "run"}
    code, out, err = call(capsys, *(argument.format(**places) for argument in arguments))
    assert code == 2, out + err
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_names_no_data_set(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "data.toml").write_text('path = "corpus"')
    code, _, err = call(capsys, "predict", place / "run", tmp_path / "data.toml")
    assert code == 2
    assert "dataset.name: is missing" in err
    (tmp_path / "data.toml").write_text('name = "corpus"\npaht = "corpus"')
    code, _, err = call(capsys, "predict", place / "run", tmp_path / "data.toml")
    assert code == 2
    assert "did you mean 'path'?" in err


def test_data_that_changed_since(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    small_corpus(30).save(tmp_path / "corpus")
    code, _, err = call(capsys, "evaluate", tmp_path / "run")
    assert code == 2
    assert "has changed since the training" in err

"""The audit of a split: what is planted is found, what is sound is not complained about, and what refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.config import parse_config
from mrpnkit.data import Corpus, Fold
from mrpnkit.data.audit import audit, fingerprint_of, hashes_of, refuse
from mrpnkit.data.near_duplicates import near_pairs, scale_of, shared_pairs
from mrpnkit.errors import SplitError
from mrpnkit.experiment import audit_of, run_experiment
from mrpnkit.train import marks_of
from tests.small_runs import CONFIG, small_corpus

LOOKED_AT: dict[str, Any] = {"targets": ["emotion"], "modalities": ["audio"]}


def recordings(change: dict[int, np.ndarray] | None = None, samples: int = 12) -> Corpus:
    """Recordings of 8 to 12 steps of 6 numbers, all different; ``change`` replaces some."""
    generator = np.random.default_rng(0)
    steps = [generator.standard_normal((8 + row % 5, 6)) * [1, 10, 100, 1, 1, 1] for row in range(samples)]
    for row, values in (change or {}).items():
        steps[row] = values
    return Corpus.from_arrays({"audio": steps}, {"emotion": np.arange(samples) % 2}, classes={"emotion": ["a", "b"]})


def fold(train: list[int], validation: list[int], test: list[int]) -> Fold:
    return Fold(np.array(train), np.array(validation), np.array(test), (), ())


SOUND = fold([0, 1, 2, 3, 4, 5, 6, 7], [8, 9], [10, 11])


def steps_of(row: int) -> np.ndarray:
    return np.array(recordings().read("audio", row))


def test_nothing_is_nearly_the_same_by_chance() -> None:
    corpus = recordings(samples=60)
    assert near_pairs(corpus, "audio") == shared_pairs(corpus, "audio") == set()
    assert [finding.severity for finding in audit(recordings(), {1: SOUND}, **LOOKED_AT)] == []


def test_a_noisy_copy_is_found_at_the_tolerance_it_has() -> None:
    """Noise of 1 % of each number's spread is found at a tolerance of 2 %, and noise of 5 % is not."""
    generator = np.random.default_rng(1)
    spread = scale_of(recordings(), "audio", np.arange(12)).spread
    for share, found in ((0.01, True), (0.05, False)):
        noisy = steps_of(3) + share * spread * generator.standard_normal(steps_of(3).shape)
        assert (near_pairs(recordings({10: noisy}), "audio") == {(3, 10)}) is found


def test_a_piece_cut_out_of_a_recording_is_found() -> None:
    corpus = recordings({11: steps_of(4)[2:8]})
    assert shared_pairs(corpus, "audio") == {(4, 11)}
    few = recordings({11: np.concatenate([steps_of(4)[:2], steps_of(11)[2:]])})
    assert shared_pairs(few, "audio") == set()


def test_silence_in_every_recording_is_no_copy() -> None:
    silent = {row: np.concatenate([np.zeros((6, 6)), steps_of(row)]) for row in range(12)}
    assert shared_pairs(recordings(silent), "audio") == set()


@pytest.mark.parametrize("how", ["noise", "piece"])
def test_near_duplicates_across_a_split_are_a_problem(how: str) -> None:
    copy = steps_of(4) + 1e-4 if how == "noise" else steps_of(4)[1:]
    findings = audit(recordings({11: copy}), {1: SOUND}, **LOOKED_AT)
    assert [f.severity for f in findings] == ["problem"]
    assert findings[0].text == (
        "1 set of samples with nearly the same or shared steps in every modality stands in several parts of fold 1, "
        "such as '4' and '11'."
    )
    within = audit(recordings({7: steps_of(4)[1:]}), {1: SOUND}, **LOOKED_AT)
    assert [f.severity for f in within] == ["note"]


def test_rows_of_a_table_that_are_close_are_only_noted() -> None:
    rows = np.random.default_rng(0).standard_normal((12, 5))
    rows[11] = rows[2] + 1e-3
    corpus = Corpus.from_arrays({"audio": rows}, {"emotion": np.arange(12) % 2}, classes={"emotion": ["a", "b"]})
    findings = audit(corpus, {1: SOUND}, **LOOKED_AT)
    assert [(f.severity, "nearly the same numbers" in f.text) for f in findings] == [("note", True)]


def test_what_is_alike_in_one_modality_only_is_noted() -> None:
    plain = recordings({11: steps_of(4) + 1e-4})
    other = np.random.default_rng(3).standard_normal((12, 4))
    corpus = Corpus.from_arrays(
        {"audio": [plain.read("audio", row) for row in range(12)], "face": other},
        {"emotion": np.arange(12) % 2}, classes={"emotion": ["a", "b"]},
    )  # fmt: skip
    findings = audit(corpus, {1: SOUND}, targets=["emotion"], modalities=["audio", "face"])
    assert [(f.severity, "of 'audio'" in f.text) for f in findings] == [("note", True)]


def test_selection_on_what_is_reported_is_a_problem() -> None:
    findings = audit(recordings(), {2: fold([0, 1, 2, 3], [8, 9, 10], [10, 11])}, **LOOKED_AT)
    assert [f.severity for f in findings] == ["problem"]
    assert findings[0].text == (
        "1 samples of fold 2 stand in validation and in test, such as '10'. The epoch is selected on what is reported."
    )
    trained = audit(recordings(), {1: fold([0, 1, 10, 11], [8, 9], [10, 11])}, **LOOKED_AT)
    assert trained[0].text == "2 samples of fold 1 stand in train and in test, such as '10'."


def test_the_table_alone_reads_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = recordings({11: steps_of(4)})
    assert [f.severity for f in audit(corpus, {1: SOUND}, **LOOKED_AT)] == ["problem"]
    monkeypatch.setattr(Corpus, "read", lambda *_: pytest.fail("steps were read"))
    assert audit(corpus, {1: SOUND}, depth="table", **LOOKED_AT) == []


def test_copies_are_found_in_any_corpus_and_what_was_not_looked_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    copied, noisy = recordings({11: steps_of(4)}), recordings({11: steps_of(4) + 1e-4})
    texts = [audit(corpus, {1: SOUND}, depth="copies", **LOOKED_AT) for corpus in (copied, noisy)]
    assert [[f.severity for f in found] for found in texts] == [["problem", "note"], ["note"]]
    assert "nearly equal ones were not" in texts[1][0].text
    monkeypatch.setattr("mrpnkit.experiment.AUDITED_BYTES", 0)
    config = parse_config(CONFIG)
    found = audit_of(config, small_corpus(), {1: fold([0, 1], [2], [3])})
    assert any("nearly equal ones were not" in finding.text for finding in found)
    monkeypatch.setattr("mrpnkit.data.audit.LARGEST", 11)
    found = audit(recordings(), {1: SOUND}, **LOOKED_AT)
    assert [f.text for f in found] == ["More than 11 samples have 'audio': of it only shared steps were looked for."]


def test_keys_tell_samples_apart_that_differ_in_one_step() -> None:
    """Against the bytes of whole samples; some share their first, middle and last steps, and some are copies."""
    near, longer = steps_of(4).copy(), np.concatenate([steps_of(4), steps_of(4)])
    near[1] += 1
    corpus = recordings({5: near, 6: steps_of(4), 7: longer, 8: np.zeros((0, 6))})
    keys = hashes_of(corpus, "audio")
    whole = [corpus.read("audio", row).tobytes() for row in range(12)]
    assert [[one == two for one in keys] for two in keys] == [[one == two for one in whole] for two in whole]
    assert keys[8] is None


def test_a_fingerprint_is_of_who_is_where() -> None:
    corpus = recordings()
    same = fold([7, 6, 5, 4, 3, 2, 1, 0], [9, 8], [11, 10])
    assert fingerprint_of(corpus, SOUND) == fingerprint_of(corpus, same)
    moved = fold([0, 1, 2, 3, 4, 5, 6, 8], [7, 9], [10, 11])
    assert fingerprint_of(corpus, SOUND) != fingerprint_of(corpus, moved)


def test_problems_are_refused_with_the_way_out() -> None:
    findings = audit(recordings({11: steps_of(4)}), {1: SOUND}, **LOOKED_AT)
    with pytest.raises(SplitError) as raised:
        refuse(findings)
    assert str(raised.value).splitlines()[0] == "The split makes the result worthless (1 of the audit's findings):"
    assert 'set audit = "report" under [folds]' in str(raised.value)
    refuse([finding for finding in findings if finding.severity == "note"])


def test_a_training_on_a_worthless_split_is_refused_unless_it_is_to_be_reported(tmp_path: Path) -> None:
    content = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1, "gradients": 2},
               "folds": {"count": 3, "only": [1]}}  # fmt: skip
    with pytest.raises(SplitError, match=r"'actor' .* in training and in another part"):
        run_experiment(parse_config(content), tmp_path / "run", base=tmp_path, corpus=small_corpus(), cpu=True)
    assert not (tmp_path / "run").exists()
    content["folds"]["audit"] = "report"
    run_experiment(parse_config(content), tmp_path / "run", base=tmp_path, corpus=small_corpus(), cpu=True)
    stored = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert any(finding["severity"] == "problem" for finding in stored["findings"])
    figures = json.loads((tmp_path / "run" / "fold-01" / "fold.json").read_text())
    assert figures["split"] == stored["split"]["1"] == marks_of(tmp_path / "run/fold-01/best.safetensors")["split"]
    assert len((tmp_path / "run/fold-01/gradients.jsonl").read_text().splitlines()) >= 1

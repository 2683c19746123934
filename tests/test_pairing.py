"""Folds of several runs are paired only where they test the same: not by number, and not by ids alone."""

from pathlib import Path

import numpy as np
import pytest

from mrpnkit.build import build_folds
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus, Fold
from mrpnkit.data.audit import fingerprint_of, sample_digests
from mrpnkit.errors import RunError
from mrpnkit.experiment import name_of
from mrpnkit.records import write_json
from mrpnkit.report.comparison import compare, write_comparison
from mrpnkit.runs import FOLD, claim, fold_folder
from tests.small_runs import CLASSES, CONFIG

SAMPLES = 36
ACTORS = [str(1 + row // 6) for row in range(SAMPLES)]
EMOTIONS = [CLASSES[row % 3] for row in range(SAMPLES)]


def numbered(emotions: list[str], actors: list[str], *, seed: int = 0) -> Corpus:
    """Samples without ids of their own, so that they are numbers."""
    generator = np.random.default_rng(seed)
    return Corpus.from_arrays(
        {"audio": generator.normal(size=(SAMPLES, 5)), "face": generator.normal(size=(SAMPLES, 4))},
        {"emotion": emotions},
        groups={"actor": actors, "sex": ["fm"[row // 6 % 2] for row in range(SAMPLES)]},
        classes={"emotion": sorted(set(emotions))},
        rates={"audio": 10.0},
    )


def made(folder: Path, corpus: Corpus, *changes: str, older: bool = False) -> Path:
    """A run's folder as a training leaves it, with figures that nobody measured."""
    config = parse_config(CONFIG, changes)
    claim(folder, config, corpus, base=folder.parent)
    for number, fold in enumerate(build_folds(config, corpus), start=1):
        content = {
            "fold": number,
            "name": name_of(fold),
            "selected_epoch": 1,
            "metrics": {"emotion/fused/accuracy": 0.5 + number * len(folder.name) / 50},
            "split": fingerprint_of(corpus, fold),
            **({} if older else {"tested": sample_digests(corpus, fold)}),
        }
        write_json(fold_folder(folder, number) / FOLD, content)
    return folder


def test_runs_on_other_features_of_the_same_samples_are_compared(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(seed), numbered(EMOTIONS, ACTORS, seed=seed)) for seed in (0, 1)]
    found = compare(runs)
    assert (found.folds, found.notes) == ([1, 2, 3], [])


@pytest.mark.parametrize(
    ("emotions", "actors", "words"),
    [
        (EMOTIONS[::-1], ACTORS, "the labels of 'emotion' differ"),
        (EMOTIONS, [chr(ord("a") + int(actor)) for actor in ACTORS], "the column 'actor' differ"),
        ([text.upper() for text in EMOTIONS], [f"0{a}" for a in ACTORS], "the column 'actor', the labels of 'emotion'"),
    ],
)
def test_runs_on_other_samples_of_the_same_ids_are_refused(
    emotions: list[str], actors: list[str], words: str, tmp_path: Path
) -> None:
    corpora = [numbered(EMOTIONS, ACTORS), numbered(emotions, actors)]
    prints = [[fingerprint_of(c, fold) for fold in build_folds(parse_config(CONFIG), c)] for c in corpora]
    assert prints[0] == prints[1], "by ids alone they are the same"
    runs = [made(tmp_path / name, corpus) for name, corpus in zip(("one", "two"), corpora, strict=True)]
    with pytest.raises(RunError, match=rf"Fold 1 of \S+two and that of \S+one test samples of the same ids, .*{words}"):
        compare(runs)


def test_another_split_is_refused_and_both_runs_are_named(tmp_path: Path) -> None:
    corpus = numbered(EMOTIONS, ACTORS)
    runs = [made(tmp_path / "one", corpus), made(tmp_path / "two", corpus, "folds.seed=3")]
    with pytest.raises(RunError, match=r"Fold \d of \S+two is of another split than that of \S+one;"):
        compare(runs)


def test_what_an_older_version_did_not_write_is_said_where_it_matters(tmp_path: Path) -> None:
    old = made(tmp_path / "old", numbered(EMOTIONS, ACTORS), older=True)
    same = made(tmp_path / "same", numbered(EMOTIONS, ACTORS))
    assert compare([old]).notes == compare([old, same]).notes == [], "the corpus itself is the same"
    other = made(tmp_path / "other", numbered(EMOTIONS[::-1], ACTORS))
    (note,) = compare([old, other]).notes
    assert note.startswith(f"{old}: written by an older version")
    assert note.endswith("whether they are of the same data was not checked.")
    page = write_comparison([old, other], tmp_path / "page")[0].read_text(encoding="utf-8")
    assert "whether they are of the same data was not checked." in page


def test_hashes_are_of_groups_and_labels_by_id_whatever_the_order_of_rows_and_classes() -> None:
    corpus = numbered(EMOTIONS, ACTORS)
    order = np.random.default_rng(2).permutation(SAMPLES)
    place = {int(row): position for position, row in enumerate(order)}
    shuffled = Corpus.from_arrays(
        {"audio": np.zeros((SAMPLES, 5))},
        {"emotion": [EMOTIONS[row] for row in order], "age": order.astype(np.float32)},
        ids=[str(row) for row in order],
        groups={"actor": [ACTORS[row] for row in order]},
        classes={"emotion": CLASSES[::-1]},
    )
    tested = [3, 8, 20]
    nobody = np.array([], dtype=np.int64)
    first = sample_digests(corpus, Fold(nobody, nobody, np.array(tested), (), ()))
    second = sample_digests(shuffled, Fold(nobody, nobody, np.array([place[row] for row in tested]), (), ()))
    assert set(first) == {"groups/actor", "groups/sex", "labels/emotion"}
    assert set(second) == {"groups/actor", "labels/emotion", "labels/age"}
    assert all(first[name] == second[name] for name in ("groups/actor", "labels/emotion"))
    other = sample_digests(corpus, Fold(nobody, nobody, np.array([3, 8, 21]), (), ()))
    assert other["labels/emotion"] != first["labels/emotion"]
    assert other["groups/actor"] == first["groups/actor"], "20 and 21 are of one actor"

"""The two data sets: what is drawn is repeatable, what is written is read again, what is wrong is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.data import Corpus
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.testing import check_configuration
from mrpnkit_inertial import CsvRecordings, SyntheticActivities, write_recordings
from mrpnkit_inertial.motion import ACTIVITIES, GRAVITY, draw_person, draw_recording

HEADER = "seconds,ax,ay,az,gx,gy,gz\n"


def test_the_schemas() -> None:
    check_configuration(SyntheticActivities, kind="data set")
    check_configuration(CsvRecordings, {"path": "walks"}, kind="data set")


def test_the_drawn_corpus() -> None:
    corpus = SyntheticActivities(people=3, recordings=2, missing=0.5, seed=1).load()
    assert len(corpus) == 3 * 5 * 2
    assert corpus.classes == {"activity": ["cycling", "running", "sitting", "stairs", "walking"]}
    assert np.unique(corpus.targets["activity"], return_counts=True)[1].tolist() == [6] * 5
    assert sorted(set(corpus.groups["person"])) == ["p01", "p02", "p03"]
    wrist, ankle = (corpus.modalities[name] for name in ("wrist", "ankle"))
    assert wrist.steps.shape[1:] == ankle.steps.shape[1:] == (6,)
    assert (wrist.rate, ankle.rate) == (50.0, 50.0)
    both = (wrist.lengths > 0) & (ankle.lengths > 0)
    assert 0 < both.sum() < 30
    assert ((wrist.lengths > 0) | (ankle.lengths > 0)).all()
    assert (wrist.lengths[both] != ankle.lengths[both]).any()
    for lengths in (wrist.lengths, ankle.lengths):
        assert lengths.max() <= 300
        assert lengths[lengths > 0].min() >= 150


def test_a_seed_repeats_the_corpus_and_another_does_not() -> None:
    first, again, other = (SyntheticActivities(people=2, recordings=1, seed=seed).load() for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.modalities["wrist"].steps, again.modalities["wrist"].steps)
    assert not np.array_equal(first.read("wrist", 0)[:100], other.read("wrist", 0)[:100])


def test_more_people_leave_the_first_as_they_were() -> None:
    few, many = (SyntheticActivities(people=people, recordings=1).load() for people in (1, 3))
    np.testing.assert_array_equal(few.read("ankle", 4), many.read("ankle", 4))


def test_the_motion_is_that_of_the_activity() -> None:
    generator = np.random.default_rng(0)
    person = draw_person(generator)
    for name, activity in ACTIVITIES.items():
        felt = draw_recording(name, person, "ankle", seconds=20.0, generator=generator)
        assert felt.shape == (1000, 6)
        assert np.linalg.norm(felt[:, :3].mean(axis=0)) == pytest.approx(GRAVITY, rel=0.25)
        if activity.ankle.turn > 1.0:  # the fastest turning repeats with the cadence
            turning = felt[:, 3:] - felt[:, 3:].mean(axis=0)
            spectrum = (np.abs(np.fft.rfft(turning, axis=0)) ** 2).sum(axis=1)
            strongest = np.fft.rfftfreq(1000, 1 / 50.0)[spectrum.argmax()]
            assert strongest == pytest.approx(activity.cadence * person.pace, rel=0.3)


def test_recordings_are_read_as_they_were_written(tmp_path: Path) -> None:
    corpus = SyntheticActivities(people=2, recordings=1, shortest=1.0, longest=2.0, missing=0.6).load()
    corpus.targets["activity"][3] = -1
    write_recordings(corpus, tmp_path / "walks")
    read = CsvRecordings(path="walks").load(tmp_path)
    assert read.ids == corpus.ids
    assert read.classes == corpus.classes
    np.testing.assert_array_equal(read.targets["activity"], corpus.targets["activity"])
    np.testing.assert_array_equal(read.groups["person"], corpus.groups["person"])
    for name, modality in corpus.modalities.items():
        np.testing.assert_array_equal(read.modalities[name].lengths, modality.lengths)
        np.testing.assert_allclose(read.modalities[name].steps, modality.steps, rtol=1e-4, atol=1e-4)


def folder_with(tmp_path: Path, wrist: str, table: str = "recording,person,activity\na,p1,walking\n") -> Path:
    (tmp_path / "recordings.csv").write_text(table)
    (tmp_path / "a.wrist.csv").write_text(wrist)
    return tmp_path


def read(folder: Path) -> Corpus:
    return CsvRecordings(path=".", sensors=["wrist", "ankle"]).load(folder)


def test_uneven_times_become_even(tmp_path: Path) -> None:
    rows = [(1.00, 0.0), (1.01, 1.0), (1.05, 5.0), (1.06, 6.0)]  # ax rises by 100 a second
    text = "note,seconds,ax,ay,az,gx,gy,gz\n" + "".join(f"x,{s},{ax},0,0,0,0,{ax}\n" for s, ax in rows)
    steps = read(folder_with(tmp_path, text)).read("wrist", 0)
    np.testing.assert_allclose(steps[:, 0], [0.0, 2.0, 4.0, 6.0], atol=1e-4)
    np.testing.assert_allclose(steps[:, 5], steps[:, 0])
    assert not steps[:, 1:5].any()


def test_no_file_and_no_rows_are_a_missing_sensor(tmp_path: Path) -> None:
    corpus = read(folder_with(tmp_path, HEADER))
    assert [corpus.modalities[name].lengths.tolist() for name in ("wrist", "ankle")] == [[0], [0]]


@pytest.mark.parametrize(
    ("wrist", "table", "text"),
    [
        (HEADER, "recording,person\na,p1\n", r"recordings.csv lacks the columns \['activity'\]; it has"),
        (HEADER, "recording,person,activity\n", "has no recordings; give a row for each"),
        (HEADER, "recording,person,activity\n../a,p1,walking\n", r"'../a' is no name for a recording"),
        ("seconds,ax\n0,1\n", None, r"a.wrist.csv lacks the columns \['ay', 'az', 'gx', 'gy', 'gz'\]"),
        (HEADER + "0,1,1,1,1,1,1\n0.02,1,?,1,1,1,1\n", None, r"a.wrist.csv, line 3: expected a number .*'\?'"),
        (HEADER + "0,1,1,1,1,1\n", None, r"a.wrist.csv, line 2: expected a number"),
        (
            HEADER + "1,1,1,1,1,1,1\n2,1,1,1,1,1,1\n2,1,1,1,1,1,1\n",
            None,
            "line 4: the time 2 s does not come after 2 s",
        ),
        (HEADER + "0,1,1,1,nan,1,1\n", None, "'wrist' of sample 'a' has NaN or infinity at step 0"),
    ],
)
def test_what_is_wrong_is_said(wrist: str, table: str | None, text: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, wrist) if table is None else folder_with(tmp_path, wrist, table)
    with pytest.raises((CorpusError, InputError), match=text):
        read(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"There is no .*walks.recordings.csv; expected a table with the columns"):
        CsvRecordings(path="walks").load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"people": 0}, "people=0 and recordings=6 must be 1 or more"),
        ({"shortest": 5.0, "longest": 4.0}, r"shortest=5\.0 and longest=4\.0 must be in order"),
        ({"missing": 1.5}, r"missing must be a share from 0 to 1, got 1\.5"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        SyntheticActivities(**arguments)

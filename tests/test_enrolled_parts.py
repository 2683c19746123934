"""Enrolment where samples overlap, or lack a modality that comes later."""

import logging
from pathlib import Path

import numpy as np
import pytest

from mrpnkit.adapted import groups_in
from mrpnkit.config import load_config
from mrpnkit.data import Corpus
from mrpnkit.data.adaptation import Enrolment
from mrpnkit.enrolment import enrol
from mrpnkit.experiment import run_experiment
from mrpnkit.predict import Predictor
from mrpnkit.runs import Run
from tests.small_people import people, workplace


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    config = load_config(workplace(folder), ["training.epochs=1", "folds.only=[1]"])
    run_experiment(config, folder / "run", base=folder, cpu=True)
    return folder / "run"


def part(rows: list[int], *, names: list[str], shift: float = 0.0) -> Corpus:
    """Samples of actors without their column, under names of their own."""
    whole = people()
    return Corpus.from_arrays(
        {name: [whole.read(name, row) + np.float32(shift) for row in rows] for name in ("audio", "face")},
        {"emotion": np.zeros(len(rows), dtype=np.int64)},
        ids=names,
        classes={"emotion": whole.classes["emotion"]},
    )


def test_a_sample_that_is_given_twice_counts_once(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = part([0, 1, 2], names=["a", "b", "c"]), part([2, 3], names=["c", "d"])
    with caplog.at_level(logging.WARNING):
        found = enrol(run, [first, second], group="anna").groups["anna"].moments
    assert "1 of the 5 samples of 'anna' stand there again, with the same id and steps; each counts once" in caplog.text
    for name, moments in found.items():
        means = [people().read(name, row).astype(np.float64).mean(axis=0) for row in range(4)]
        assert moments.samples == 4
        np.testing.assert_allclose(moments.mean, np.mean(means, axis=0))
        np.testing.assert_allclose(moments.spread, np.var(means, axis=0, ddof=1))


def test_other_samples_of_the_same_id_count(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    several = [part([0, 1], names=["0", "1"]), part([0, 1], names=["0", "1"], shift=1.0)]
    with caplog.at_level(logging.WARNING):
        found = enrol(run, several, group="anna").groups["anna"].moments
    assert {moments.samples for moments in found.values()} == {4}
    assert not caplog.text


def test_a_modality_that_was_not_measured_is_told(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Actor 1 was enrolled by the face alone and speaks in the new data; actor 2 was measured whole."""
    corpus, everybody = people(), list("123456")
    whole = {name: [corpus.read(name, 1)] for name in corpus.modalities}
    enrolment = Enrolment().enrol("1", {"face": whole["face"]})
    for actor in everybody[1:]:
        enrolment = enrolment.enrol(actor, whole)
    spoken = int((corpus.modalities["audio"].lengths[corpus.groups["actor"] == "1"] > 0).sum())
    said = f"{spoken} of 54 samples have 'audio', which was not measured of their groups ('1'); it is normalised as"
    with caplog.at_level(logging.WARNING):
        Predictor.open(run, enrolment=enrolment)(corpus)
    assert said in caplog.text
    caplog.clear()
    other = part([0, 1], names=["0", "1"])
    with caplog.at_level(logging.WARNING):
        groups_in(Run.open(run), other, enrolment=enrolment, group="1")
    assert "2 of 2 samples have 'audio'" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        groups_in(Run.open(run), other, enrolment=enrolment, group="2")
        Predictor.open(run, enrolment=enrolment).arrays({"face": np.zeros((2, 4), np.float32)}, group="1")
    assert not caplog.text

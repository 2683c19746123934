"""What the installed distribution announces leads to its parts, and the examples in their docstrings run."""

import doctest
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import pytest

import mrpnkit_inertial
from mrpnkit.build import build_corpus, build_model
from mrpnkit.config import load_config, parse_config


def test_what_is_announced_can_be_loaded() -> None:
    announced = [entry for entry in distribution("mrpnkit-inertial").entry_points if entry.group.startswith("mrpnkit.")]
    parts = {(entry.group, entry.name): entry.load() for entry in announced}
    assert parts == {
        ("mrpnkit.extractors", "band_energies"): mrpnkit_inertial.BandEnergies,
        ("mrpnkit.datasets", "inertial_csv"): mrpnkit_inertial.CsvRecordings,
        ("mrpnkit.datasets", "inertial_synthetic"): mrpnkit_inertial.SyntheticActivities,
    }


def test_the_configuration_builds_from_drawn_and_from_written_recordings(tmp_path: Path) -> None:
    """The same model, whether the data set draws the recordings or reads them."""
    run = load_config(Path(__file__).parents[1] / "inertial.toml", ["dataset.people=4", "dataset.recordings=1"])
    corpus = build_corpus(run, tmp_path)
    mrpnkit_inertial.write_recordings(corpus, tmp_path / "walks")
    written = run.resolved() | {"dataset": {"name": "inertial_csv", "path": "walks"}}
    read = build_corpus(parse_config(written), tmp_path)
    assert build_model(run, corpus).branches["wrist"].out_features == 24
    assert repr(build_model(run, corpus)) == repr(build_model(run, read))


@pytest.mark.parametrize("module", ["bands", "synthetic"])
def test_the_examples_of_docstrings(module: str) -> None:
    failed, tried = doctest.testmod(import_module(f"mrpnkit_inertial.{module}"))
    assert tried
    assert not failed

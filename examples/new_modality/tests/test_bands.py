"""The extractor: mrpnkit's own contract checks, and its equation against NumPy."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.testing import check_configuration, check_extractor
from mrpnkit_inertial import BandEnergies

Vectors = NDArray[np.float64]


@pytest.mark.parametrize(
    "factory",
    [
        BandEnergies,
        partial(BandEnergies, features=5, bands=1, rate=10.0, window_seconds=0.4, hop_seconds=0.1),
        partial(BandEnergies, features=5, bands=2, rate=10.0, window_seconds=0.4, hop_seconds=0.4),
    ],
    ids=["defaults", "overlapping windows", "windows side by side"],
)
def test_the_contract(factory: type[BandEnergies]) -> None:
    check_extractor(factory, 6)


def test_the_schema() -> None:
    check_configuration(BandEnergies, {"window_seconds": 0.5}, kind="extractor")


def windows_in_numpy(extractor: BandEnergies, sample: Vectors) -> Vectors:
    """The docstring's equation, a window and a channel at a time."""
    filters, weight, bias = (p.detach().double().numpy() for p in (extractor.filters, *extractor.dense.parameters()))
    found: list[Vectors] = []
    start = 0
    while not found or start - extractor.hop + extractor.window < len(sample):
        window = sample[start : start + extractor.window]
        levels = window.mean(axis=0)
        energies = [
            np.log(extractor.floor**2 + sum((pair[:, : len(window)] @ (channel - level)) ** 2))
            for channel, level in zip(window.T, levels, strict=True)
            for pair in filters
        ]
        found.append(weight @ np.concatenate([levels, energies]) + bias)
        start += extractor.hop
    return np.stack(found)


@pytest.mark.parametrize(("window", "hop"), [(8, 4), (8, 3), (8, 8), (5, 1)])
def test_the_equation(window: int, hop: int) -> None:
    torch.manual_seed(0)
    extractor = BandEnergies(3, features=4, bands=2, rate=1.0, window_seconds=window, hop_seconds=hop).eval()
    samples = [torch.randn(length, 3) for length in (1, 7, 8, 9, 12, 20, 31)]
    for given, sample in zip(extractor(Sequences.of(samples)).unbind(), samples, strict=True):
        expected = windows_in_numpy(extractor, sample.double().numpy())
        np.testing.assert_allclose(given.detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("length", "windows"), [(0, 0), (1, 1), (50, 1), (51, 2), (75, 2), (76, 3), (200, 7)])
def test_lengths_counted_by_hand(length: int, windows: int) -> None:
    extractor = BandEnergies(6)  # windows of 50 steps, every 25
    assert extractor(Sequences.of([torch.randn(length, 6)])).lengths.tolist() == [windows]


def test_a_band_answers_to_its_frequency_and_not_to_the_phase() -> None:
    extractor = BandEnergies(1, bands=3, rate=50.0, window_seconds=2.0, hop_seconds=2.0)
    with torch.no_grad():
        extractor.dense.weight.copy_(torch.eye(32, 4))
        extractor.dense.bias.zero_()
    time = torch.arange(100) / 50.0
    periods = [1.0, 40.0**0.5, 40.0]
    for band, per_window in enumerate(periods):
        waves = [torch.sin(2 * torch.pi * (per_window / 2.0 * time + phase))[:, None] for phase in (0.0, 0.1, 0.35)]
        energies = extractor(Sequences.of(waves)).steps[:, 1:4].detach()
        assert energies.argmax(dim=1).tolist() == [band] * 3
        if band:  # a single period under a taper is not free of its mirror image
            torch.testing.assert_close(energies[:, band], torch.full((3,), 0.01).log1p(), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bands": 0}, "bands must be an integer of at least 1, got 0"),
        ({"floor": 0.0}, r"floor must be above 0, got 0\.0"),
        ({"rate": None}, "the data set does not say how many steps a second the modality has"),
        ({"rate": -1.0}, r"rate must be above 0 steps a second, got -1\.0"),
        (
            {"window_seconds": 0.05},
            r"window_seconds=0\.05 at 50\.0 steps a second is 2 steps; at least 4 .* 0\.08 seconds",
        ),
        ({"hop_seconds": 0.0}, r"hop_seconds=0\.0 at 50\.0 steps a second is 0 steps; at least 1 .* 0\.02 seconds"),
        ({"hop_seconds": 1.5}, r"hop_seconds=1\.5 is longer than window_seconds=1\.0; steps between .* would be lost"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        BandEnergies(6, **arguments)

"""The parts that only the recipe has: cepstra in the model, and networks of the comparison."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from examples.aver.cepstra import AppendCepstra
from examples.aver.recipe import AUDIO, NETWORKS, TARGET, VIDEO, Recipe, augmentation, build_model, modalities_of
from mrpnkit import Sequences
from mrpnkit.data import Corpus, CorpusDataset, Fold
from mrpnkit.errors import InputError
from mrpnkit.testing import check_extractor


def corpus(clips: int = 12) -> Corpus:
    generator = np.random.default_rng(0)
    return Corpus.from_arrays(
        {
            "video": [generator.normal(size=(40, VIDEO.width)) for _ in range(clips)],
            "audio": [generator.normal(size=(150, AUDIO.width)) for _ in range(clips)],
        },
        {TARGET: [("calm", "happy")[row % 2] for row in range(clips)]},
        rates={"video": 30.0, "audio": 100.0},
    )


def test_cepstra_are_scipys_dct() -> None:
    steps = np.random.default_rng(0).normal(size=(5, 12))
    found = AppendCepstra(12, bands=10, coefficients=4)(Sequences.vectors(torch.from_numpy(steps))).steps.numpy()
    np.testing.assert_allclose(found[:, :12], steps)
    np.testing.assert_allclose(found[:, 12:], dct(steps[:, :10], type=2, axis=1)[:, :4] / 2 / np.sqrt(10), atol=1e-6)


def test_cepstra_keep_the_contract() -> None:
    check_extractor(lambda width: AppendCepstra(width, bands=3, coefficients=2), 5)


def test_cepstra_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="20 coefficients of 64 bands in steps of width 12"):
        AppendCepstra(12)


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_have_the_heads_of_the_paper(network: str) -> None:
    data = corpus()
    names = modalities_of(network)
    batch = CorpusDataset(data, modalities=names).__getitems__([0, 1, 2])
    output = build_model(network, data, Recipe()).train()(batch.inputs)
    assert tuple(output.fused[TARGET].shape) == (3, 2)
    assert list(output.branches) == (["video", "audio"] if network in ("n1", "n2") else [])


def test_networks_of_one_comparison_differ_in_nothing_else() -> None:
    """N0, N1 and N2 start from the same kind of branches and fusion: N1 adds side scores, N2 residual perceptrons."""
    names = {
        network: {n for n, _ in build_model(network, corpus(), Recipe()).named_parameters()} for network in NETWORKS
    }
    assert {name.partition(".")[0] for name in names["n1"] - names["n0"]} == {"sides"}
    assert {name.partition(".")[0] for name in names["n2"] - names["n1"]} == {"perceptrons"}
    assert names["n0"] < names["n1"] < names["n2"]


def test_augmentation_changes_training_clips_and_can_be_switched_off() -> None:
    data, rows = corpus(), np.arange(12)
    fold = Fold(rows, rows[:0], rows[:0], (), ())
    none = Recipe(slices=0, mirror=0, voice_reach=0, voice_decibels=0)
    plain = CorpusDataset(data).__getitems__([0])
    for recipe, same in ((none, True), (Recipe(slices=1, mirror=1), False)):
        drawn = CorpusDataset(data, augmentation=augmentation(data, fold, recipe, ["video", "audio"])).__getitems__([0])
        for name in ("video", "audio"):
            equal = torch.equal(drawn.inputs[name].steps, plain.inputs[name].steps)
            assert equal is same


def test_unknown_network() -> None:
    with pytest.raises(InputError, match="no network 'n3'; the comparison has am, vm, n0, n1, n2"):
        modalities_of("n3")

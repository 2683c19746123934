"""The parts that only the recipe has: cepstra in the model, and networks of the comparison."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from examples.aver.cepstra import AppendCepstra
from examples.aver.recipe import NETWORKS, TARGET, Recipe, build_model, evaluation_draws, modalities_of, training_draws
from mrpnkit import Sequences
from mrpnkit.data import Corpus, CorpusDataset, Fold
from mrpnkit.errors import InputError
from mrpnkit.testing import check_extractor


def corpus(clips: int = 12, versions: int = 3) -> Corpus:
    """Clips of three versions each; the last has no voice."""
    generator = np.random.default_rng(0)
    return Corpus.from_arrays(
        {
            "video": [generator.normal(size=(versions, 7)) for _ in range(clips)],
            "audio": [generator.normal(size=(versions if clip < clips - 1 else 0, 5)) for clip in range(clips)],
        },
        {TARGET: [("calm", "happy")[row % 2] for row in range(clips)]},
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


def test_training_draws_versions_and_evaluation_reads_the_first() -> None:
    data, rows, names = corpus(), np.arange(12), ["video", "audio"]
    fold = Fold(rows, rows[:0], rows[:0], (), ())
    training = CorpusDataset(data, augmentation=training_draws(data, fold, Recipe(), names))
    seen: list[set[int]] = [set(), set()]
    for epoch in range(30):
        training.set_epoch(epoch)
        batch = training.__getitems__([0, 11])
        for modality, name in enumerate(names):
            versions = torch.from_numpy(np.asarray(data.read(name, 0)))
            (place,) = (versions == batch.inputs[name].steps[0]).all(dim=1).nonzero().flatten().tolist()
            seen[modality].add(place)
        assert batch.inputs["video"].lengths.tolist() == [1, 1]
        assert batch.inputs["audio"].lengths.tolist() == [1, 0]
    assert seen == [{0, 1, 2}, {0, 1, 2}]
    whole = CorpusDataset(data, augmentation=evaluation_draws(names)).__getitems__([0])
    assert all(torch.equal(whole.inputs[n].steps, torch.from_numpy(np.array(data.read(n, 0)[:1]))) for n in names)


def test_pairing_takes_the_voice_of_a_clip_of_the_same_class() -> None:
    data, rows = corpus(), np.arange(12)
    fold = Fold(rows[:6], rows[6:], rows[:0], (), ())
    draws = training_draws(data, fold, Recipe(pairing=1.0), ["video", "audio"])
    training = CorpusDataset(data, fold.train, augmentation=draws)
    partners = set()
    for epoch in range(30):
        training.set_epoch(epoch)
        voice = training.__getitems__([0]).inputs["audio"].steps[0].numpy()
        partners |= {row for row in range(11) if (data.read("audio", row) == voice).all(axis=1).any()}
    assert partners == {0, 2, 4}


def test_unknown_network() -> None:
    with pytest.raises(InputError, match="no network 'n3'; the comparison has am, vm, n0, n1, n2"):
        modalities_of("n3")

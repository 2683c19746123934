"""Subsets of modalities and the residual inspector, against whole forward passes."""

from typing import cast

import numpy as np
import pytest
import torch

from mrpnkit.analysis import inspect_residuals, judge_subsets
from mrpnkit.data import Batch, Corpus, CorpusDataset, Loader, loader
from mrpnkit.errors import InputError
from mrpnkit.mrpn import ResPerceptron
from mrpnkit.sequences import Sequences
from tests.small_models import vector_model


def batches(samples: int = 23, names: tuple[str, ...] = ("a", "b", "c")) -> Loader:
    """Vectors of width 5 for each modality, the first of which lacks every fifth sample; batches of 6."""
    generator = np.random.default_rng(0)
    arrays = {
        name: [generator.normal(size=(0 if name == "a" and row % 5 == 0 else 1, 5)).astype(np.float32)
               for row in range(samples)]
        for name in names
    }  # fmt: skip
    labels = generator.integers(0, 3, samples)
    return loader(
        CorpusDataset(Corpus.from_arrays(arrays, {"emotion": labels}, classes={"emotion": ["x", "y", "z"]})), 6
    )


@pytest.mark.parametrize("network", ["n0", "n1", "n2"])
def test_a_subset_is_what_the_network_says_without_the_others(network: str) -> None:
    model = vector_model(dict.fromkeys("abc", 5), {"emotion": 3}, network=network).train()  # type: ignore[arg-type]
    found = judge_subsets(model, batches(), "emotion")
    assert model.training
    assert len(found) == 7
    model.eval()
    for subset, p in found.items():
        expected = []
        for batch in batches():
            whole: Batch = batch
            inputs = {
                name: value if name in subset else Sequences.absent(value.batch_size, value)
                for name, value in whole.inputs.items()
            }
            expected.append(torch.softmax(model(inputs).fused["emotion"].double(), dim=-1).detach().numpy())
        joined = np.concatenate(expected)
        if subset == ("a",):
            joined[::5] = np.nan
        np.testing.assert_allclose(p, joined, atol=1e-6)


def test_residuals_by_hand() -> None:
    model = vector_model(dict.fromkeys("ab", 5), {"emotion": 3}).eval()
    found = inspect_residuals(model, batches(names=("a", "b")), "emotion")
    rows = []
    for batch in batches(names=("a", "b")):
        features = model.features(batch.inputs)
        for name in ("a", "b"):
            gone = features.corrected[name] - features.normalised[name]
            perceptron = cast(ResPerceptron, model.perceptrons[name])
            expected = perceptron.residual(features.normalised[name], features.present[name])
            torch.testing.assert_close(gone, expected, atol=1e-5, rtol=1e-4)
        plain = features._replace(corrected={**features.corrected, "a": features.normalised["a"]})
        rows.append(torch.softmax(model.score(plain, sides=False).fused["emotion"].double(), -1).detach().numpy())
    np.testing.assert_allclose(found.switched["a"], np.concatenate(rows), atol=1e-6)
    assert np.isnan(found.ratio["a"][::5]).all()
    assert not np.isnan(found.ratio["b"]).any()
    assert found.accuracy("a") == pytest.approx((np.concatenate(rows).argmax(1) == found.labels).mean())
    by_class = [found.size("b", label) for label in range(3)]
    counts = [(found.labels == label).sum() for label in range(3)]
    assert np.average(by_class, weights=counts) == pytest.approx(found.size("b"))


def test_a_residual_of_nothing_has_size_zero_and_changes_nothing() -> None:
    model = vector_model(dict.fromkeys("ab", 5), {"emotion": 3}).eval()
    with torch.no_grad():
        for perceptron in model.perceptrons.values():
            perceptron.norm.weight.zero_()  # type: ignore[union-attr, operator]
            perceptron.norm.bias.zero_()  # type: ignore[union-attr, operator]
    found = inspect_residuals(model, batches(names=("a", "b")), "emotion")
    assert found.size("a") == found.size("b") == 0
    np.testing.assert_array_equal(found.switched["none"], found.switched["all"])
    assert found.plain(["x", "y", "z"])[-1] == {"branch": "all", "accuracy off": found.accuracy("none"), "change": 0.0}


def test_only_n2_has_residuals() -> None:
    model = vector_model(dict.fromkeys("ab", 5), {"emotion": 3}, network="n1")
    with pytest.raises(InputError, match="a network 'n1' has no residual perceptron; N2 has"):
        inspect_residuals(model, batches(names=("a", "b")), "emotion")

"""Features of types that are stored but not computed with: float16, bfloat16, double; tensors with a gradient."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mrpnkit import MRPN, Branch, Classification, Objective, Sequences
from mrpnkit.aggregators import Last
from mrpnkit.arguments import checked_steps
from mrpnkit.config import parse_config
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, loader
from mrpnkit.data.augment import ModalityDropout
from mrpnkit.experiment import run_experiment
from mrpnkit.extractors import Identity, Linear
from mrpnkit.predict import Predictor
from mrpnkit.train import Trainer
from tests.small_runs import CONFIG, small_corpus

VALUES = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float16)
LABELS = np.arange(12) % 3


def small(values: Any) -> Corpus:
    ragged = [values[row : row + row % 3] for row in range(len(values))]
    return Corpus.from_arrays({"a": values, "b": ragged}, {"y": LABELS})


def trained(corpus: Corpus, *, with_weights: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    branches = {name: Branch(Linear(4, 4) if with_weights else Identity(4), Last(4)) for name in "ab"}
    model = MRPN(branches, {"y": 3})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = loader(CorpusDataset(corpus), 6)
    Trainer(model, Objective({"y": Classification(3)}), batches, optimizer=optimizer, epochs=2, cpu=True).fit()
    return model.state_dict()


@pytest.mark.parametrize("with_weights", [True, False])
def test_half_features_train_as_the_same_numbers_in_float32(with_weights: bool, tmp_path: Path) -> None:
    half = Corpus.open(small(VALUES).save(tmp_path / "half"))
    assert {name: one.steps.dtype for name, one in half.modalities.items()} == {"a": np.float16, "b": np.float16}
    found = trained(half, with_weights=with_weights)
    for name, expected in trained(small(VALUES.astype(np.float32)), with_weights=with_weights).items():
        torch.testing.assert_close(found[name], expected, rtol=0, atol=0)


class Doubled:
    """A change of the steps that notes their type."""

    def __init__(self) -> None:
        self.types: set[torch.dtype] = set()

    def __call__(self, steps: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        self.types.add(steps.dtype)
        return 2 * steps


def test_batches_of_half_features_are_float32_however_they_are_read() -> None:
    corpus, change = small(VALUES), Doubled()
    for augmentation in (
        Augmentation(),
        Augmentation(changes={"a": [change]}),
        Augmentation(dropout=ModalityDropout({"b": 0.5})),
    ):
        batch = CorpusDataset(corpus, augmentation=augmentation).__getitems__([0, 1, 2])
        factor = 2 if augmentation.changes else 1
        for inputs in batch.inputs.values():
            assert inputs.steps.dtype == torch.float32
        np.testing.assert_array_equal(batch.inputs["a"].steps.numpy(), factor * VALUES[:3].astype(np.float32))
    assert change.types == {torch.float32}
    assert corpus.batch("b", np.array([0, 3])).steps.dtype == torch.float32  # no steps at all


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_every_type_also_with_a_gradient(kind: torch.dtype) -> None:
    tensor = torch.from_numpy(VALUES.astype(np.float32)).to(kind).requires_grad_()
    stored = np.float16 if kind == torch.float16 else np.float32
    for given in (tensor, list(tensor[:, None].unbind())):
        corpus = Corpus.from_arrays({"a": given}, {"y": torch.from_numpy(LABELS), "z": tensor[:, 0]})
        assert corpus.modalities["a"].steps.dtype == stored
        np.testing.assert_array_equal(corpus.modalities["a"].steps, tensor.detach().float().numpy())
        np.testing.assert_array_equal(corpus.targets["z"], tensor[:, 0].detach().float().numpy())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("weights", [torch.float32, torch.float64, torch.bfloat16])
def test_steps_become_what_the_weights_are(kind: torch.dtype, weights: torch.dtype) -> None:
    part = Linear(4, 2).to(weights)
    inputs = Sequences.vectors(torch.from_numpy(VALUES.astype(np.float32)).to(kind))
    assert checked_steps(part, inputs, 4).dtype == weights
    assert part(inputs).steps.dtype == weights
    assert checked_steps(nn.Identity(), inputs, 4).dtype == kind


def test_autocast_keeps_its_own_type() -> None:
    steps = torch.from_numpy(VALUES.astype(np.float32))
    with torch.autocast("cpu", torch.bfloat16):
        assert checked_steps(Linear(4, 2), Sequences.vectors(steps.bfloat16()), 4).dtype == torch.bfloat16
        assert checked_steps(Linear(4, 2), Sequences.vectors(steps.half()), 4).dtype == torch.float32
        assert Linear(4, 2)(Sequences.vectors(steps.half())).steps.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "gradient"])
def test_a_predictor_reads_arrays_of_these_types(kind: str, tmp_path: Path) -> None:
    content = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1}, "folds": {**CONFIG["folds"], "only": [1]}}
    run_experiment(parse_config(content), tmp_path / "run", base=tmp_path, corpus=small_corpus(), cpu=True)
    audio = [torch.randn(length, 5, generator=torch.Generator().manual_seed(length)) for length in (4, 0, 3)]
    face = torch.randn(3, 4, generator=torch.Generator().manual_seed(9))

    def given(steps: torch.Tensor) -> Any:
        if kind == "gradient":
            return steps.clone().requires_grad_()
        return steps.half().numpy() if kind == "float16" else steps.bfloat16()

    def rounded(steps: torch.Tensor) -> Any:
        return {"float16": steps.half(), "bfloat16": steps.bfloat16(), "gradient": steps}[kind].float().numpy()

    predictor = Predictor.open(tmp_path / "run")
    found = predictor.arrays({"audio": [given(one) for one in audio], "face": given(face)})
    expected = predictor.arrays({"audio": [rounded(one) for one in audio], "face": rounded(face)})
    for head, answers in expected.probabilities.items():
        np.testing.assert_array_equal(found.probabilities[head]["emotion"], answers["emotion"])

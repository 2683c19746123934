"""The variants of N1 and N2 that the studies compare, and how the study on multi-view sets counts them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks._variants import VARIANTS, Study, Variant, varied, without_some
from benchmarks.interference_multiview import figures_of
from mrpnkit import MRPN, Branch, Sequences
from mrpnkit.aggregators import Last
from mrpnkit.extractors import Linear

VIEWS = ("a", "b")


def study(variant: Variant) -> Study:
    torch.manual_seed(0)
    branches = {name: Branch(Linear(3, 4), Last(4)) for name in VIEWS}
    network: Any = variant.network
    return varied(MRPN(branches, {"label": 2}, network=network), variant)


def inputs(count: int = 6) -> dict[str, Sequences]:
    generator = torch.Generator().manual_seed(1)
    return {name: Sequences.vectors(torch.randn(count, 3, generator=generator)) for name in VIEWS}


def of_extractors(model: Study, score: Tensor) -> list[Tensor]:
    parameters = [p for name in VIEWS for p in model.model.branches[name].parameters()]
    return list(torch.autograd.grad(score, parameters, retain_graph=True))


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("network", ["n1", "n2"])
def test_share_of_the_fusions_gradient_reaches_the_extractors(network: str, share: float) -> None:
    whole, held = study(Variant(network)), study(Variant(network, gradient=share))
    held.load_state_dict({name.replace(".perceptrons.a.", ".perceptrons.a.inner.").replace(
        ".perceptrons.b.", ".perceptrons.b.inner."): value for name, value in whole.state_dict().items()})  # fmt: skip
    outputs = [model(inputs()) for model in (whole, held)]
    torch.testing.assert_close(outputs[0].fused["label"], outputs[1].fused["label"])
    fused = [of_extractors(m, out.fused["label"].square().sum()) for m, out in zip((whole, held), outputs, strict=True)]
    for one, other in zip(*fused, strict=True):
        torch.testing.assert_close(share * one, other)
    sides = [out.branches["a"]["label"].square().sum() + out.branches["b"]["label"].square().sum() for out in outputs]
    for one, other in zip(of_extractors(whole, sides[0]), of_extractors(held, sides[1]), strict=True):
        torch.testing.assert_close(one, other)


def test_residual_that_begins_at_zero_is_n1() -> None:
    n2 = study(Variant("n2", residual="zero"))
    n1 = study(Variant("n1"))
    n1.load_state_dict({name: value for name, value in n2.state_dict().items() if ".perceptrons." not in name})
    torch.testing.assert_close(n1(inputs()).fused["label"], n2(inputs()).fused["label"])


def test_side_scores_may_read_behind_the_perceptron() -> None:
    model = study(Variant("n2", sides="corrected"))
    output = model(inputs(), sides=True)
    corrected = model.model.features(inputs()).corrected["a"]
    head: Any = model.model.sides["a"]
    torch.testing.assert_close(output.branches["a"]["label"], head["label"](corrected))


def test_a_sample_loses_one_modality_at_most() -> None:
    torch.manual_seed(2)
    found = without_some(inputs(4000), 0.3)
    lengths = torch.stack([found[name].lengths for name in VIEWS])
    assert lengths.sum(0).min() == 1
    lost = (lengths == 0).double().mean(1)
    assert all(abs(share - 0.15) < 4 * math.sqrt(0.15 * 0.85 / 4000) for share in lost.tolist())
    kept = lengths[0].bool()
    assert torch.equal(found["a"].steps, inputs(4000)["a"].steps[kept])


def test_every_variant_trains() -> None:
    for name, variant in VARIANTS.items():
        output = study(variant).train()(inputs())
        assert bool(output.branches) is (variant.network != "n0"), name
        torch.stack(
            [output.fused["label"].sum(), *(s["label"].sum() for s in output.branches.values())]
        ).sum().backward()


def test_study_counts_sets_on_which_a_variant_is_better_for_sure() -> None:
    def of(*values: float) -> list[float]:
        return list(values)

    condition = {
        "n1/fused": of(0.5, 0.6, 0.7),
        "n2/fused": of(0.5, 0.6, 0.7),
        "surely/fused": of(0.6, 0.7, 0.801),  # by 0.1 on every seed, and a little more on one
        "perhaps/fused": of(0.4, 0.9, 0.8),
    }
    found = {name: {"normal": condition, "conflicting": condition} for name in ("one", "two")}
    figures, differences = figures_of(found)
    assert figures["better_than_both/normal/surely/fused"].value == 2
    assert figures["better_than_both/normal/perhaps/fused"].value == 0
    assert figures["better_than_both/normal/n1/fused"].value == 0
    difference = differences["one/normal/perhaps/fused"]["minus_n1"]
    spread = math.sqrt(((-0.1 - 0.1) ** 2 + (0.3 - 0.1) ** 2 + 0) / 2)
    assert difference["mean"] == pytest.approx(0.1)
    assert difference["high"] - difference["mean"] == pytest.approx(4.302653 * spread / math.sqrt(3))  # t, 2 df, 97.5 %

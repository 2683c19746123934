"""Every registered fusion keeps the contract, and the check finds those that do not."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mrpnkit import MRPN, Sequences
from mrpnkit.errors import InputError
from mrpnkit.fusions import FUSIONS
from mrpnkit.testing import check_fusion
from tests.small_models import affine_branch

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mult": {"width": 8, "layers": 1, "heads": 2},
    "mbt": {"width": 8, "layers": 2, "heads": 2, "bottleneck": 2},
}


@pytest.mark.parametrize("name", sorted(FUSIONS.names()))
def test_registered_fusions(name: str) -> None:
    before = torch.get_rng_state()
    check_fusion(FUSIONS[name], OPTIONS.get(name))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", sorted(FUSIONS.names()))
def test_a_batch_of_no_samples_has_no_scores(name: str, training: bool) -> None:
    """As of every part of torch; every parameter gets its gradient of zero."""
    steps = {"sequences": [3, 3]} if name in OPTIONS else {}
    fusion = FUSIONS[name]([3, 3], {"y": 4}, **OPTIONS.get(name, {}), **steps)
    branches = {f"b{m}": affine_branch(2, 3) for m in range(2)}
    model = MRPN(branches, {"y": 4}, network="n1", fusion=fusion).train(training)
    output = model({b: Sequences.absent(0, torch.zeros(0, 2)) for b in branches}, sides=True)
    assert output.fused["y"].shape == (0, 4)
    (output.fused["y"].sum() + sum(side["y"].sum() for side in output.branches.values())).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


@pytest.mark.parametrize("rule", ["product", "weighted"])
def test_other_rules_of_late_fusion(rule: str) -> None:
    check_fusion(FUSIONS["late"], {"rule": rule}, branches=(1, 3))


def test_witnesses_with_a_learned_stand_in() -> None:
    check_fusion(FUSIONS["witnesses"], {"absent": "learned"}, branches=(1, 3))


def test_tied_gates() -> None:
    check_fusion(FUSIONS["gmu"], {"gate": "softmax"}, branches=(2, 3))


class Sound(nn.Module):
    """A fusion that keeps the contract; each of the others below breaks one demand."""

    def __init__(self, features: Sequence[int], targets: Mapping[str, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({target: nn.Linear(sum(features), n) for target, n in targets.items()})

    def forward(self, features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return self.result({t: head(torch.cat(list(features), 1)) for t, head in self.heads.items()}, features, present)

    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return scores


class ForgetsTarget(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return {"y": scores["y"]}


class ReturnsTensor(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return scores["y"]


class WrongShape(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return {target: values[:, :1] for target, values in scores.items()}


class DividesByPresent(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        number: Any = sum(1 if mask is None else mask.float()[:, None] for mask in present)
        return {target: values / number for target, values in scores.items()}


class MasksChange(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return {target: values + (present[0] is None) for target, values in scores.items()}


class MixesSamples(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        return {target: values - values.sum(0) for target, values in scores.items()}


class Unused(Sound):
    def __init__(self, features: Sequence[int], targets: Mapping[str, int]) -> None:
        super().__init__(features, targets)
        self.spare = nn.Parameter(torch.zeros(1))


class ChangesInput(Sound):
    def result(self, scores: dict[str, Tensor], features: Sequence[Tensor], present: Sequence[Tensor | None]) -> Any:
        features[0].data.mul_(2)
        return scores


class RefusesSilently(Sound):
    def __init__(self, features: Sequence[int], targets: Mapping[str, int]) -> None:
        raise InputError("no")


class RefusesAll(Sound):
    def __init__(self, features: Sequence[int], targets: Mapping[str, int]) -> None:
        raise InputError(f"RefusesAll was given {len(features)}")


def test_a_sound_fusion_passes() -> None:
    check_fusion(Sound)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (ForgetsTarget, r"must give scores by target, \['y', 'z'\]"),
        (ReturnsTensor, "must give scores by target"),
        (WrongShape, r"must give \(B, C\) = \(6, 3\) scores of 'y', gave \(6, 1\)"),
        (DividesByPresent, "must give finite"),
        (MasksChange, "masks that say that everybody is there must change nothing"),
        (MixesSamples, "in evaluation sample 0 must not depend on the others"),
        (Unused, "Unused: spare got no gradient"),
        (ChangesInput, "ChangesInput changed the features"),
        (RefusesSilently, "RefusesSilently refuses 1 branches; the text must name it and the number: no"),
        (RefusesAll, r"RefusesAll accepts none of \[1, 2, 3, 4\] branches"),
    ],
)
def test_a_broken_fusion_is_found(part: type[Sound], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_fusion(part)

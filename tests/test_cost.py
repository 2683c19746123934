"""What ``check`` says of parts of other packages that break their promises: path, name and package, no traceback."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.build import build_model, build_objective
from mrpnkit.config import parse_config
from mrpnkit.cost import example_batch, parts_of, step_cost
from mrpnkit.errors import ConfigError
from mrpnkit.registry import AGGREGATORS, BALANCERS, EXTRACTORS, FUSIONS, Registry
from mrpnkit.watching import owners_of
from tests.small_runs import CONFIG, small_corpus, workplace
from tests.test_cli import call


class Gsr(nn.Module):
    """An extractor that keeps its promises; each of the others below breaks one."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Sequences) -> Any:
        return inputs.with_steps(self.scale * inputs.steps)


class Wider(Gsr):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features)
        self.out_features = in_features + 1


class NoSequences(Gsr):
    def forward(self, inputs: Sequences) -> Any:
        return inputs.steps


class HalfTheSamples(Gsr):
    def forward(self, inputs: Sequences) -> Any:
        return Sequences(inputs.steps, inputs.lengths.reshape(-1, 2).sum(1))


class FailsInTraining(Gsr):
    def forward(self, inputs: Sequences) -> Any:
        given: Any = inputs.steps if self.training else inputs
        return super().forward(given)


class Total(nn.Module):
    """An aggregator of one feature too many."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features + 1

    def forward(self, inputs: Sequences) -> Tensor:
        return inputs.padded().values.sum(1)


class TwoScores(nn.Module):
    """A fusion of two scores, whatever is asked for."""

    def __init__(self, features: list[int], targets: dict[str, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(features[0], 2) for name in targets})

    def forward(self, features: list[Tensor], present: object) -> dict[str, Tensor]:
        return {name: head(features[0]) for name, head in self.heads.items()}


class OtherTarget(TwoScores):
    def forward(self, features: list[Tensor], present: object) -> dict[str, Tensor]:
        return {"another": features[0]}


def missing(losses: Mapping[str, Tensor]) -> Tensor:
    """A balancer that looks for a loss of its author's."""
    return losses["valence/fused"]


def balancer_that_looks() -> Any:
    return missing


def each(losses: Mapping[str, Tensor]) -> Tensor:
    """A balancer that forgets to add up."""
    return torch.stack(list(losses.values()))


def balancer_of_many() -> Any:
    return each


EXTRACTOR, AGGREGATOR = "branches.face.extractor", "branches.face.aggregator"
OWNER = r"\('odd' of 'tests.test_cost'\)"


@pytest.mark.parametrize(
    ("registry", "part", "path", "words"),
    [
        (EXTRACTORS, Wider, EXTRACTOR, rf"Wider {OWNER} has out_features=5 but returned steps of shape \(4,\)\."),
        (EXTRACTORS, NoSequences, EXTRACTOR, rf"NoSequences {OWNER} must return Sequences, returned a tensor of shape"),
        (EXTRACTORS, HalfTheSamples, EXTRACTOR, rf"HalfTheSamples {OWNER} turned 6 samples into 3; their number must"),
        (EXTRACTORS, FailsInTraining, EXTRACTOR, rf"FailsInTraining {OWNER} fails in training: AttributeError: "),
        (AGGREGATORS, Total, AGGREGATOR, rf"Total {OWNER} must return \(B, out_features\) = \(6, 6\), returned "),
        (FUSIONS, TwoScores, "model.fusion", rf"TwoScores {OWNER} must return scores \(B, 3\) = \(6, 3\) of the target "
                                             r"'emotion', returned a tensor of shape \(6, 2\)\."),
        (FUSIONS, OtherTarget, "model.fusion", rf"OtherTarget {OWNER} must return .* 'emotion', returned NoneType"),
        (BALANCERS, balancer_that_looks, "objective.balancer", rf"missing {OWNER} fails: KeyError: 'valence/fused'"),
        (BALANCERS, balancer_of_many, "objective.balancer", rf"each {OWNER} must return one number, a scalar, returned "
                                                            r"a tensor of shape \(\d,\)\."),
    ],
)  # fmt: skip
def test_a_part_that_breaks_its_promise_is_named(
    registry: Registry[Any], part: Any, path: str, words: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(registry._own, "odd", part)
    config = parse_config(CONFIG, [f"{path}={{name='odd'}}"])
    model, objective = build_model(config, small_corpus()), build_objective(config, small_corpus())
    inputs, owners = example_batch(small_corpus(), {"audio": 5, "face": 1}, 6), owners_of(config)
    assert list(owners) == [path]

    def tried() -> None:
        parts_of(model, inputs, owners=owners)
        step_cost(model, objective, inputs, owners=owners)

    with pytest.raises(ConfigError, match=words) as caught:
        tried()
    assert [problem.path for problem in caught.value.problems] == [path]
    toml = workplace(tmp_path)
    code, out, err = call(capsys, "check", toml, "--set", f"{path}={{name='odd'}}", "--batch-size", 6)
    assert code == 2
    assert f"\n  {path}: " in err
    assert "is valid" not in out + err


def test_a_network_that_works_is_valid_in_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRACTORS._own, "odd", Gsr)
    toml = workplace(tmp_path)
    code, out, _ = call(capsys, "check", toml, "--set", f"{EXTRACTOR}={{name='odd'}}")
    assert code == 0
    assert out.splitlines()[-1] == f"{toml} is valid."


def test_a_balancer_that_cannot_steer_the_network_is_no_valid_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = workplace(tmp_path)
    changes = ("--set", "objective.balancer.name='ogm_ge'", "--set", "model.network='n0'")
    code, out, err = call(capsys, "check", toml, *changes)
    assert code == 2
    assert "objective.balancer: OGMGE compares branches by their side scores" in err
    assert "is valid" not in out + err


def test_what_is_not_of_a_part_stays_as_it_was_and_hooks_are_taken_away() -> None:
    config = parse_config(CONFIG)
    model, objective = build_model(config, small_corpus()), build_objective(config, small_corpus())
    inputs = example_batch(small_corpus(), {"audio": 5, "face": 1}, 6)
    assert owners_of(config) == {}
    objective.balancer = missing
    with pytest.raises(KeyError, match="valence/fused"):
        step_cost(model, objective, inputs)
    parts_of(model, inputs)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())

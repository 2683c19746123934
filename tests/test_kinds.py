"""Which parts take which kinds of targets: what reads scores as those of classes refuses others, or leaves them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mrpnkit import MRPN, Classification, Objective, Ordinal, Regression
from mrpnkit.balancing import OGMGE, PMR
from mrpnkit.balancing.heads import confidence
from mrpnkit.balancing.steering import Step
from mrpnkit.build import build_model
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.errors import ConfigError, InputError
from mrpnkit.experiment import run_experiment
from mrpnkit.fusions import FUSIONS, TMC, Late, Witnesses
from mrpnkit.outputs import MRPNOutput
from mrpnkit.train import Trainer
from tests.small_models import affine_branch
from tests.small_targets import TOML, every_target

KINDS = {"mood": "multilabel", "age": "regression", "level": "ordinal"}
FOR_CLASSES = {"tmc": TMC, "witnesses": Witnesses, "late": Late}


def only(*targets: str) -> str:
    """The configuration with these targets alone."""
    head, *tables = TOML.split("\n[")
    kept = [t for t in tables if not t.startswith("targets.") or t.split(".")[1].split("]")[0] in targets]
    text = "\n[".join([head, *kept]).replace('fallback = "single"\n', "")
    return text.replace('monitor = "age/fused/mae"\n', "").replace('absent = "learned"\n', "")


@pytest.mark.parametrize("other", list(KINDS))
@pytest.mark.parametrize("fusion", ["tmc", "witnesses", "late"])
def test_fusions_of_classes_refuse_other_kinds(fusion: str, other: str) -> None:
    option = ', rule = "product"' if fusion == "late" else ""
    change = f'model.fusion={{name="{fusion}"{option}}}'
    network = ['model.network="n0"'] if fusion == "tmc" else []
    config = parse_config(only("emotion", other), [change, *network])
    with pytest.raises(ConfigError, match=rf"defined for classes.*{other!r}"):
        build_model(config, every_target())
    build_model(parse_config(only("emotion"), [change, *network]), every_target())


@pytest.mark.parametrize("rule", ["mean", "weighted"])
def test_other_rules_of_late_take_every_kind(rule: str) -> None:
    config = parse_config(only("emotion", *KINDS), [f'model.fusion={{name="late", rule="{rule}"}}'])
    assert set(build_model(config, every_target()).targets) == {"emotion", *KINDS}


def trainer(corpus: Corpus, fusion: torch.nn.Module | None, objective: Objective) -> Trainer:
    torch.manual_seed(0)
    branches = {name: affine_branch(corpus.features(name), 4) for name in corpus.modalities}
    model = MRPN(branches, objective.outputs, network="n1", fusion=fusion)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    return Trainer(model, objective, loader(CorpusDataset(corpus), 30), optimizer=optimizer, epochs=1, cpu=True)


def test_a_trainer_refuses_as_a_configuration_does() -> None:
    objective = Objective({"level": Ordinal(3)})
    with pytest.raises(InputError, match=r"Witnesses is defined for classes.*'level' is of the kind 'ordinal'"):
        trainer(every_target(), Witnesses([4, 4], objective.outputs), objective)


def test_a_fusion_of_ones_own_says_what_it_is_for() -> None:
    class Own(Late):
        classes_only = True

        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.classes_only = True

    objective = Objective({"age": Regression()})
    with pytest.raises(InputError, match=r"Own is defined for classes.*'regression'"):
        trainer(every_target(), Own([4, 4], objective.outputs), objective)


def test_every_fusion_that_is_for_classes_says_so() -> None:
    """Those whose scores are logarithms of probabilities; others give plain scores."""
    facts: dict[str, Any] = {"features": [3, 2], "targets": {"y": 4}}
    said = {name for name in FUSIONS.names() if getattr(FUSIONS[name], "classes_only", False)}
    assert said == {"tmc", "witnesses"}
    assert Late(**facts, rule="product").classes_only
    assert not Late(**facts, rule="mean").classes_only


# Balancers


@pytest.mark.parametrize("balancer", ["ogm_ge", "pmr"])
def test_balancers_leave_other_kinds_aside(balancer: str, tmp_path: Path) -> None:
    """The ordinal target comes first and has a class more than scores."""
    config = parse_config(only("level", "emotion", "age"), [f'objective.balancer={{name="{balancer}"}}'])
    config = parse_config({**config.resolved(), "targets": dict(reversed(config.resolved()["targets"].items()))})
    done = run_experiment(config, tmp_path / "run", base=tmp_path, corpus=every_target(), cpu=True)
    assert len(done.folds) == 3


@pytest.mark.parametrize("balancer", [OGMGE, PMR])
def test_balancers_refuse_an_objective_without_classes(balancer: Any) -> None:
    objective = Objective({"level": Ordinal(3), "age": Regression()}, balancer=balancer())
    with pytest.raises(InputError, match=r"no target is a classification: 'level' is of the kind 'ordinal', 'age'"):
        trainer(every_target(), None, objective)


def test_prototypes_are_of_a_classification() -> None:
    objective = Objective({"level": Ordinal(3), "emotion": Classification(2)}, balancer=PMR(target="level"))
    with pytest.raises(InputError, match=r"PMR has prototypes of classes; the target 'level' is of the kind 'ordinal'"):
        trainer(every_target(), None, objective)
    chosen = PMR()
    trainer(every_target(), None, Objective({"level": Ordinal(3), "emotion": Classification(2)}, balancer=chosen))
    assert chosen.target == "emotion"


def test_confidence_reads_classifications_alone() -> None:
    """The mean probability of the right class, by hand; scores of an ordinal target are no probabilities."""
    scores = {"emotion": torch.tensor([[0.0, 0.0], [2.0, 0.0]]), "level": torch.tensor([[9.0, 9.0], [9.0, 9.0]])}
    output = MRPNOutput(scores, {"voice": scores}, {"voice": None})
    labels = {"emotion": torch.tensor([1, 0]), "level": torch.tensor([2, 2])}
    step = Step(output, labels, {}, torch.tensor(0.0))
    expected = (0.5 + 1 / (1 + torch.e**-2)) / 2
    assert float(confidence(step, "voice", ["emotion"])) == pytest.approx(expected)

"""The networks' behaviour: missing modalities, side scores, order, names, precision, odd batches, error texts."""

import pytest
import torch
from torch import Tensor, nn

from mrpnkit import MRPN, Branch, Classification, MRPNOutput, Objective, Sequences
from mrpnkit.errors import InputError
from mrpnkit.mrpn import Network
from mrpnkit.names import FUSED
from tests.small_models import Unchanged, affine_branch, ragged, randomise, vector_branch, vector_model

NETWORKS: tuple[Network, ...] = ("n0", "n1", "n2")
WIDTHS = {"audio": 3, "video": 2, "text": 4}
LENGTHS = {"audio": [2, 1, 4, 1, 3], "video": [1, 5, 2, 2, 1], "text": [1, 1, 1, 1, 1]}


def affine_model(network: Network = "n2", *, seed: int = 0) -> MRPN:
    """Three branches from 5 input features each to their widths; two targets."""
    branches = {name: affine_branch(5, width) for name, width in WIDTHS.items()}
    model = MRPN(branches, {"emotion": 3, "actor": 2}, network=network)
    randomise(model, seed)
    return model


def batch(**lengths: list[int]) -> dict[str, Sequences]:
    """Ragged inputs of 5 features; a length of 0 is a missing sample."""
    return {name: ragged(ls, 5, seed=i) for i, (name, ls) in enumerate((LENGTHS | lengths).items())}


def labels(size: int = 5) -> dict[str, Tensor]:
    return {"emotion": torch.arange(size) % 3, "actor": torch.arange(size) % 2}


def loss(output: MRPNOutput) -> Tensor:
    return Objective({"emotion": Classification(3), "actor": Classification(2)})(
        output, labels(len(output.fused["actor"]))
    ).total


def every_score(output: MRPNOutput) -> list[Tensor]:
    return [*output.fused.values(), *(s for sides in output.branches.values() for s in sides.values())]


def without(name: str, *samples: int) -> dict[str, Sequences]:
    """The same batch, in which ``samples`` do not have modality ``name``."""
    inputs = batch()
    kept = [s if i not in samples else s[:0] for i, s in enumerate(inputs[name].unbind())]
    return inputs | {name: Sequences.of(kept)}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gone", [(1,), (0, 2, 3, 4), (0, 1, 2, 3, 4)])
def test_missing_samples_give_finite_scores_and_gradients(
    network: Network, training: bool, gone: tuple[int, ...]
) -> None:
    model = affine_model(network).train(training)
    output = model(without("video", *gone), sides=True)
    present = output.present["video"]
    assert present is not None
    assert present.tolist() == [i not in gone for i in range(5)]
    assert output.present["audio"] is None
    assert output.present["text"] is None
    assert all(scores.isfinite().all() for scores in every_score(output))
    loss(output).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(buffer.isfinite().all() for buffer in model.buffers())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_modality_that_nobody_has_gets_no_gradient(network: Network) -> None:
    """Neither its branch nor any of its own parts; the others do."""
    model = affine_model(network).train()
    loss(model(without("video", 0, 1, 2, 3, 4))).backward()
    own = {name: p.grad for name, p in model.named_parameters() if "video" in name}
    assert len(own) == {"n0": 4, "n1": 8, "n2": 12}[network]
    assert not any(g is None or g.any() for g in own.values())
    dense = model.branches["audio"].get_parameter("extractor.dense.weight").grad
    assert dense is not None
    assert dense.any()


@pytest.mark.parametrize("training", [True, False])
def test_a_missing_modality_leaves_the_other_side_scores_alone(training: bool) -> None:
    whole = affine_model().train(training)(batch(), sides=True)
    partial = affine_model().train(training)(without("video", 1, 3), sides=True)
    for target in ("emotion", "actor"):
        for name in ("audio", "text"):
            torch.testing.assert_close(partial.branches[name][target], whole.branches[name][target], rtol=0, atol=0)
        changed = (partial.fused[target] - whole.fused[target]).abs().amax(1) > 1e-4
        assert changed[[1, 3]].all()
        if not training:  # without batch statistics samples do not meet: the others keep every score
            torch.testing.assert_close(partial.fused[target][[0, 2, 4]], whole.fused[target][[0, 2, 4]])
            torch.testing.assert_close(
                partial.branches["video"][target][[0, 2, 4]], whole.branches["video"][target][[0, 2, 4]]
            )


def test_absent_features_are_zero_at_every_place() -> None:
    model = affine_model().train()
    features = model.features(without("video", 1, 3))
    for stage in (features.normalised, features.corrected):
        assert not stage["video"][[1, 3]].any()
        assert stage["video"][[0, 2, 4]].all()
        assert stage["audio"].all()


def test_a_sample_without_any_modality_is_scored() -> None:
    inputs = {
        name: Sequences.of([s[:0] if i == 2 else s for i, s in enumerate(v.unbind())]) for name, v in batch().items()
    }
    for training in (True, False):
        output = affine_model().train(training)(inputs, sides=True)
        assert all(scores.isfinite().all() for scores in every_score(output))


def test_side_scores_are_computed_in_training_and_on_request() -> None:
    model = affine_model()
    assert list(model.train()(batch()).branches) == list(WIDTHS)
    assert model.train()(batch(), sides=False).branches == {}
    assert model.eval()(batch()).branches == {}
    assert list(model.eval()(batch(), sides=True).branches["text"]) == ["emotion", "actor"]
    n0 = affine_model("n0").train()
    assert n0(batch(), sides=True).branches == {}
    assert len(n0.sides) == 0


def test_asking_for_side_scores_changes_no_fused_score() -> None:
    model = affine_model().eval()
    torch.testing.assert_close(model(batch()).fused, model(batch(), sides=True).fused, rtol=0, atol=0)


def test_side_scores_read_what_the_residual_perceptron_reads_not_what_it_gives() -> None:
    """Equation (9): s_m = Dense(f̂_m). Other weights of the perceptrons move the fused scores only."""
    model = affine_model().train()
    before = model(batch())
    randomise(model.perceptrons, seed=99)
    after = model(batch())
    torch.testing.assert_close(after.branches, before.branches, rtol=0, atol=0)
    assert not torch.isclose(after.fused["emotion"], before.fused["emotion"]).any()


def test_perceptrons_learn_from_the_fused_term_only() -> None:
    model = affine_model().train()
    output = model(batch())
    sides = torch.stack([s.square().sum() for heads in output.branches.values() for s in heads.values()]).sum()
    found = torch.autograd.grad(sides, list(model.perceptrons.parameters()), allow_unused=True, retain_graph=True)
    assert all(g is None for g in found)
    fused = torch.autograd.grad(output.fused["emotion"].square().sum(), list(model.perceptrons.parameters()))
    assert all(g is not None for g in fused)


@pytest.mark.parametrize("network", NETWORKS)
def test_names_do_not_change_what_is_computed(network: Network) -> None:
    """The declared order counts, so that renaming a modality permutes no trained layer."""
    outputs = []
    for names in (("a", "b", "c"), ("c", "b", "a"), ("m", "z", "a")):
        torch.manual_seed(0)
        widths = (3, 3, 3)
        branches = {name: vector_branch(width) for name, width in zip(names, widths, strict=True)}
        model = MRPN(branches, {"emotion": 3}, network=network).train()
        steps = [ragged([1] * 4, width, seed=i) for i, width in enumerate(widths)]
        given = dict(zip(names, steps, strict=True))
        assert list(model.branches) == list(names)
        outputs.append([every_score(model(order)) for order in (given, dict(reversed(given.items())))])
    for renamed, turned in outputs:
        torch.testing.assert_close(renamed, outputs[0][0], rtol=0, atol=0)
        torch.testing.assert_close(turned, renamed)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("count", range(1, 9))
def test_one_to_eight_branches(network: Network, count: int) -> None:
    widths = {f"m{i}": 1 + i % 3 for i in range(count)}
    model = vector_model(widths, {"emotion": 3, "actor": 2}, network=network).train()
    inputs = {name: ragged([1, 1, 1, 1], width, seed=i) for i, (name, width) in enumerate(widths.items())}
    output = model(inputs)
    assert {target: tuple(s.shape) for target, s in output.fused.items()} == {"emotion": (4, 3), "actor": (4, 2)}
    assert len(every_score(output)) == 2 * (1 + (count if network != "n0" else 0))
    loss(output).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one_is_scored_as_in_evaluation(network: Network, training: bool) -> None:
    one = {name: Sequences.of(inputs.unbind()[:1]) for name, inputs in batch().items()}
    model = affine_model(network)
    alone = model.train(training)(one, sides=True)
    among = affine_model(network).eval()(batch(), sides=True)
    for mine, theirs in zip(every_score(alone), every_score(among), strict=True):
        torch.testing.assert_close(mine, theirs[:1])
    torch.testing.assert_close(model.state_dict(), affine_model(network).state_dict(), rtol=0, atol=0)
    loss(alone).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast_agrees_with_float32(training: bool, missing: bool) -> None:
    inputs = without("video", 1, 3) if missing else batch()
    exact = affine_model().train(training)(inputs, sides=True)
    model = affine_model().train(training)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(inputs, sides=True)
        total = loss(output)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, loss(exact), rtol=0.05, atol=0.05)
    assert output.fused["emotion"].dtype == torch.bfloat16
    if not training:  # without batch statistics rounding is not blown up: score by score
        for mine, theirs in zip(every_score(output), every_score(exact), strict=True):
            torch.testing.assert_close(mine.float(), theirs, rtol=0.05, atol=0.1)
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all(), name


def test_another_fusion_component_is_used_in_place_of_the_papers() -> None:
    class Product(nn.Module):
        def forward(self, features: list[Tensor], present: list[Tensor | None]) -> dict[str, Tensor]:
            assert [p is None for p in present] == [True, False]
            return {"emotion": features[0] * features[1]}

    branches = {"a": vector_branch(3), "b": vector_branch(3)}
    model = MRPN(branches, {"emotion": 3}, network="n1", fusion=Product()).train()
    inputs = {"a": ragged([1, 1, 1], 3), "b": ragged([1, 0, 1], 3, seed=1)}
    features = model.features(inputs)
    expected = features.normalised["a"] * features.normalised["b"]
    torch.testing.assert_close(model.score(features, sides=False).fused["emotion"], expected)


def test_the_state_dictionary_makes_the_same_network_again() -> None:
    trained = affine_model(seed=1).train()
    trained(batch())
    again = affine_model(seed=2)
    again.load_state_dict(trained.state_dict())
    torch.testing.assert_close(again.eval()(batch(), sides=True), trained.eval()(batch(), sides=True), rtol=0, atol=0)


# ---- error texts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keys", r"'keys' cannot be the name of a branch: torch.nn.ModuleDict has an attribute of that name.*'keys_1'"),
        ("training", r"'training' cannot be the name of a branch.*'training_1'"),
        ("a.b", r"'a\.b' cannot be the name of a branch: a dot separates modules.*'a_b'"),
        ("a/b", r"'a/b' cannot be the name of a branch: a slash separates target, head and metric.*'a_b'"),
        ("", r"'' cannot be the name of a branch: it is empty.*'branch_1'"),
        (FUSED, r"'fused' cannot be the name of a branch: it names the fused score itself.*'fused_1'"),
    ],
)
def test_names_that_torch_or_the_objective_cannot_have(name: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        MRPN({name: vector_branch(2)}, {"emotion": 2})
    with pytest.raises(InputError, match=text.replace("branch", "target")):
        MRPN({"audio": vector_branch(2)}, {name: 2})


def test_nothing_to_build() -> None:
    with pytest.raises(InputError, match="was given no branch; expected a mapping of at least one name"):
        MRPN({}, {"emotion": 2})
    with pytest.raises(InputError, match="was given no target; expected a mapping of at least one name"):
        MRPN({"audio": vector_branch(2)}, {})
    for scores in (0, ["calm", "happy"]):
        with pytest.raises(InputError, match=r"target 'emotion' is given as .*; expected its number of scores"):
            MRPN({"audio": vector_branch(2)}, {"emotion": scores})  # type: ignore[dict-item]


def test_unknown_choices() -> None:
    branches = {"audio": vector_branch(2)}
    with pytest.raises(InputError, match="no network 'n3'; expected 'n0', 'n1' or 'n2'"):
        MRPN(branches, {"emotion": 2}, network="n3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="computed by 'lstm'; expected 'dense' or 'scoring'"):
        MRPN(branches, {"emotion": 2}, side="lstm")  # type: ignore[arg-type]


def test_an_aggregator_that_does_not_tell_its_width() -> None:
    with pytest.raises(InputError, match="aggregator Unchanged has no integer attribute out_features"):
        Branch(Unchanged(), Unchanged())


def test_wrong_modalities() -> None:
    model = affine_model()
    two = {name: inputs for name, inputs in batch().items() if name != "video"}
    with pytest.raises(
        InputError, match=r"Missing: video \(for a modality that no sample has, give Sequences.absent\)"
    ):
        model(two)
    with pytest.raises(InputError, match=r"Unknown: smell\. The model has: audio, video, text\."):
        model(batch() | {"smell": ragged([1] * 5, 5)})
    with pytest.raises(InputError, match=r"Missing: video .*Unknown: vidoe\."):
        model(two | {"vidoe": ragged([1] * 5, 5)})
    with pytest.raises(InputError, match=r"'video' is given as Tensor; expected Sequences\. A vector a sample is Sequ"):
        model(two | {"video": torch.zeros(5, 5)})
    with pytest.raises(InputError, match=r"the batch is a list; expected Sequences by modality"):
        model(list(batch().values()))


def test_batches_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"different sizes: \{'audio': 5, 'video': 4, 'text': 5\}"):
        affine_model()(batch(video=[1, 1, 1, 1]))
    wrong = batch() | {"video": Sequences(torch.zeros(7, 5), torch.tensor([1, 1, 1, 1, 1]))}
    with pytest.raises(InputError, match="video: the lengths add up to 5, but there are 7 steps"):
        affine_model()(wrong)

"""Samples that lack modalities: what stands for them, who answers, what is counted, and what is left out on purpose."""

import copy
import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import BatchSampler

from mrpnkit import MRPN, Classification, FeatureNorm, FusionComponent, Objective, Sequences
from mrpnkit.data import Augmentation, Corpus, CorpusDataset, ModalityDropout, RandomSlice, even_batch_size, loader
from mrpnkit.errors import InputError
from mrpnkit.mrpn import Network
from mrpnkit.presence import anything
from mrpnkit.train import evaluate
from tests.small_models import ragged, randomise, vector_branch, vector_model

WIDTHS = {"audio": 3, "video": 2, "text": 4}
HERE = {"audio": [1, 1, 0, 1, 0], "video": [1, 0, 1, 1, 0], "text": [1, 0, 1, 0, 0]}


def inputs(here: dict[str, list[int]]) -> dict[str, Sequences]:
    """The complete batch without what is not here."""
    found = {}
    for name, value in complete().items():
        kept = torch.tensor(here[name])
        found[name] = Sequences(value.steps[kept.bool()], kept)
    return found


def complete() -> dict[str, Sequences]:
    return {name: ragged([1] * 5, width, seed=place) for place, (name, width) in enumerate(WIDTHS.items())}


def model(
    network: Network = "n2",
    *,
    absent: Literal["zero", "learned"] = "zero",
    fallback: Literal["never", "single", "incomplete"] = "never",
) -> MRPN:
    branches = {name: vector_branch(width) for name, width in WIDTHS.items()}
    made = MRPN(branches, {"emotion": 3}, network=network, absent=absent, fallback=fallback)
    randomise(made, 7)
    return made


# --- agreement with the full model


@pytest.mark.parametrize("network", ["n0", "n1", "n2"])
@pytest.mark.parametrize("training", [True, False])
def test_with_everything_present_the_masks_change_nothing(network: Network, training: bool) -> None:
    """The masked code, forced by masks that are True everywhere, and torch's batch norm agree."""
    torch.manual_seed(0)
    plain = model(network).train(training)
    masked = copy.deepcopy(plain)
    batch = complete()
    features = masked.features(batch)
    assert set(features.present.values()) == {None}
    forced: dict[str, Tensor | None] = dict.fromkeys(WIDTHS, torch.ones(5, dtype=torch.bool))
    output = masked.score(features._replace(present=forced), sides=network != "n0")
    expected = copy.deepcopy(plain)(batch, sides=network != "n0")
    torch.testing.assert_close(output.fused, expected.fused)
    torch.testing.assert_close(output.branches, expected.branches)


@pytest.mark.parametrize("rule", ["single", "incomplete"])
@pytest.mark.parametrize("absent", ["zero", "learned"])
def test_no_option_for_missing_modalities_changes_a_complete_batch(
    rule: Literal["single", "incomplete"], absent: Literal["zero", "learned"]
) -> None:
    plain, other = model(), model(absent=absent, fallback=rule)
    other.load_state_dict(plain.state_dict(), strict=False)
    for training in (False, True):
        for one in (plain, other):
            one.train(training)
        expected, given = plain(complete(), sides=True), other(complete(), sides=True)
        torch.testing.assert_close(given.fused, expected.fused, rtol=0, atol=0)
        torch.testing.assert_close(given.branches, expected.branches, rtol=0, atol=0)


def test_in_evaluation_a_complete_sample_does_not_see_what_others_lack() -> None:
    some = model(absent="learned", fallback="incomplete").eval()
    whole = some(complete(), sides=True)
    partly = some(inputs({name: [1, *here[1:]] for name, here in HERE.items()}), sides=True)
    torch.testing.assert_close(partly.fused["emotion"][0], whole.fused["emotion"][0])


# --- statistics


def test_statistics_are_those_of_the_samples_that_are_present() -> None:
    """A branch's FeatureNorm after a batch equals torch's batch norm of the present rows alone, running ones too."""
    some = model().train()
    batch = inputs(HERE)
    before = copy.deepcopy(some)
    some(batch)
    for name in ("audio", "video"):
        rows = batch[name].steps
        norm = torch.nn.BatchNorm1d(WIDTHS[name])
        trained = before.norms[name]
        assert isinstance(trained, FeatureNorm)
        norm.load_state_dict({**trained.state_dict(), "num_batches_tracked": torch.tensor(0)})
        norm.train()(rows)
        found = some.norms[name]
        assert isinstance(found, FeatureNorm)
        torch.testing.assert_close(found.running_mean, norm.running_mean)
        torch.testing.assert_close(found.running_var, norm.running_var)


def test_what_stands_in_an_absent_row_reaches_nothing() -> None:
    norm = FeatureNorm(2).train()
    present = torch.tensor([True, True, False, True])
    values = torch.randn(4, 2)
    rubbish = values.clone()
    rubbish[2] = float("nan")
    torch.testing.assert_close(norm(values, present), FeatureNorm(2).train()(rubbish, present))


def test_the_joint_norm_knows_each_column_by_its_own_modality() -> None:
    fusion = FusionComponent([2, 1], {"x": 2}).train()
    g = [torch.randn(4, 2), torch.randn(4, 1)]
    first, second = torch.tensor([True, True, True, False]), torch.tensor([True, True, False, True])
    joint = fusion.joint(g, [first, second])
    for columns, mask in ((slice(0, 2), first), (slice(2, 3), second)):
        part = torch.cat(g, 1)[mask][:, columns]
        expected = (part - part.mean(0)) / (part.var(0, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(joint[mask][:, columns], expected, rtol=1e-4, atol=1e-5)
        assert not joint[~mask][:, columns].any()


def test_who_has_anything() -> None:
    first, second = torch.tensor([True, False, True]), torch.tensor([False, False, True])
    found = anything([first, second])
    assert found is not None
    assert found.tolist() == [True, False, True]
    assert anything([first, None]) is None
    assert anything([first, ~first]) is None
    assert anything([]) is None


def test_masks_without_a_sample_of_nothing_change_no_bit_behind_the_fusion() -> None:
    fusion = FusionComponent([2, 1], {"x": 2}).train()
    other = copy.deepcopy(fusion)
    g = [torch.randn(4, 2), torch.randn(4, 1)]
    masks = [torch.tensor([True, True, True, False]), torch.tensor([True, True, False, True])]
    assert torch.equal(fusion(g, masks)["x"], other.scoring["x"](other.joint(g, masks)))


# --- stand-ins


def test_a_learned_stand_in_takes_the_place_of_what_is_absent_and_learns() -> None:
    fusion = FusionComponent([2, 1], {"x": 2}, absent="learned").train()
    assert fusion.stand_in is not None
    assert not fusion.stand_in.any()
    with torch.no_grad():
        fusion.stand_in.copy_(torch.tensor([5.0, 6.0, 7.0]))
    g = [torch.randn(4, 2), torch.randn(4, 1)]
    mask = torch.tensor([True, False, True, True])
    joint, zero = fusion.joint(g, [mask, None]), FusionComponent([2, 1], {"x": 2}).train().joint(g, [mask, None])
    assert joint[1, :2].tolist() == [5.0, 6.0]
    torch.testing.assert_close(joint[mask], zero[mask], rtol=0, atol=0)
    torch.testing.assert_close(joint[:, 2], zero[:, 2], rtol=0, atol=0)
    fusion(g, [mask, None])["x"].sum().backward()
    gradient = fusion.stand_in.grad
    assert gradient is not None
    assert gradient[:2].any()
    assert gradient[2] == 0


def test_a_stand_in_has_a_gradient_from_a_complete_batch_too() -> None:
    fusion = FusionComponent([2], {"x": 2}, absent="learned").train()
    fusion([torch.randn(4, 2)], [None])["x"].sum().backward()
    assert fusion.stand_in is not None
    assert fusion.stand_in.grad is not None
    assert not fusion.stand_in.grad.any()


def test_stand_ins_run_in_bfloat16() -> None:
    some = model(absent="learned").train()
    with torch.autocast("cpu", torch.bfloat16):
        assert some(inputs(HERE)).fused["emotion"].isfinite().all()


# --- who answers


def test_the_fallback_is_the_mean_score_of_the_branches_that_are_left() -> None:
    never = model().eval()
    output = never(inputs(HERE), sides=True)
    scores = {name: output.branches[name]["emotion"] for name in WIDTHS}
    fused = output.fused["emotion"]
    by_hand = {
        "single": [fused[0], scores["audio"][1], fused[2], fused[3], fused[4]],
        "incomplete": [
            fused[0],
            scores["audio"][1],
            (scores["video"][2] + scores["text"][2]) / 2,
            (scores["audio"][3] + scores["video"][3]) / 2,
            fused[4],
        ],
    }
    for rule, expected in by_hand.items():
        other = model(fallback=rule).eval()  # type: ignore[arg-type]
        other.load_state_dict(never.state_dict())
        for sides in (True, False):
            given = other(inputs(HERE), sides=sides)
            torch.testing.assert_close(given.fused["emotion"], torch.stack(expected))
            assert bool(given.branches) == sides
        other.train()
        trained = copy.deepcopy(never).train()
        torch.testing.assert_close(other(inputs(HERE)).fused, trained(inputs(HERE)).fused, rtol=0, atol=0)


def test_options_that_there_are_not() -> None:
    with pytest.raises(InputError, match="n0 has no side scores, so that it cannot fall back to them"):
        model("n0", fallback="single")
    with pytest.raises(InputError, match="fallback is 'always'; expected 'never', 'single' or 'incomplete'"):
        model(fallback="always")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="absent is 'mean'; expected 'zero' or 'learned'"):
        model(absent="mean")  # type: ignore[arg-type]


# --- a sample without any modality


def test_a_sample_of_nothing_counts_in_no_loss() -> None:
    some = model().train()
    output = some(inputs(HERE))
    assert output.judged is not None
    assert output.judged.tolist() == [True, True, True, True, False]
    objective = Objective({"emotion": Classification(3)})
    labels = torch.tensor([0, 1, 2, 0, 1])
    terms = objective(output, {"emotion": labels}).terms
    expected = torch.nn.functional.cross_entropy(output.fused["emotion"][:4], labels[:4])
    torch.testing.assert_close(terms["emotion/fused"], expected)
    other = labels.clone()
    other[4] = 2
    torch.testing.assert_close(
        objective(output, {"emotion": other}).total, objective(output, {"emotion": labels}).total
    )


def test_a_sample_of_nothing_counts_in_no_metric() -> None:
    corpus = Corpus.from_arrays(
        {name: list(value.unbind()) for name, value in inputs(HERE).items()}, {"emotion": [0, 1, 2, 0, 1]},
        classes={"emotion": ["a", "b", "c"]},
    )  # fmt: skip
    found = evaluate(model(), loader(CorpusDataset(corpus), 2), Objective({"emotion": Classification(3)}))
    assert found.seen("fused").tolist() == [True] * 4 + [False]
    right = (found.scores["fused"]["emotion"][:4].argmax(1) == found.labels["emotion"][:4]).float().mean()
    assert found.metrics["emotion/fused/accuracy"] == pytest.approx(right.item())


# --- left out on purpose


def drawn(rates: dict[str, float], present: list[str], count: int = 4000) -> list[set[str]]:
    drop = ModalityDropout(rates)
    here = {name: np.ones(count, dtype=bool) for name in present}
    out = drop.draw(here, chances=drop.chances(0, samples=count, modalities=len(present)))
    return [{name for name in present if out[name][row]} for row in range(count)]


def test_modalities_are_left_out_as_often_as_asked_and_never_all() -> None:
    out = drawn({"a": 0.3, "b": 0.6}, ["a", "b", "c"])
    assert np.mean(["a" in one for one in out]) == pytest.approx(0.3, abs=0.025)
    assert np.mean(["b" in one for one in out]) == pytest.approx(0.6, abs=0.025)
    assert not any("c" in one for one in out)
    high = drawn(dict.fromkeys("abc", 0.9), ["a", "b", "c"])
    assert max(map(len, high)) == 2
    kept = [({"a", "b", "c"} - one).pop() for one in high if len(one) == 2]
    assert np.bincount([ord(name) - 97 for name in kept]) / len(kept) == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.mean(["a" in one for one in high]) == pytest.approx(0.9 - 0.9**3 / 3, abs=0.02)
    assert set(map(len, drawn({"a": 0.99}, ["a"], 100))) == {0}


@given(st.data())
def test_the_draw_is_that_of_one_sample_after_another(data: st.DataObject) -> None:
    names = ["a", "b", "c", "d"][: data.draw(st.integers(1, 4))]
    rates = {name: data.draw(st.sampled_from([0.0, 0.2, 0.9])) for name in names}
    rows = data.draw(st.integers(1, 9))
    here = {name: np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))) for name in names}
    drop = ModalityDropout(rates)
    chances = drop.chances((3, 1), samples=rows, modalities=len(names))
    np.testing.assert_array_equal(chances[:1], drop.chances((3, 1), samples=1, modalities=len(names)))
    out = drop.draw(here, chances=chances)
    for row in range(rows):
        present = [name for name in names if here[name][row]]
        lost = [name for name in present if chances[row, names.index(name)] < rates[name]]
        if lost and lost == present:
            lost.remove(present[math.floor(chances[row, -1] * len(present))])
        assert [name for name in names if out[name][row]] == lost


def test_rates_out_of_range() -> None:
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"the rate of 'a' is .*; expected 0 or more and below 1"):
            ModalityDropout({"a": rate})


def clips() -> Corpus:
    draw = np.random.default_rng(0)
    return Corpus.from_arrays(
        {
            "audio": [draw.normal(size=(0 if row == 2 else 20, 3)) for row in range(40)],
            "video": [draw.normal(size=(10, 2)) for _ in range(40)],
        },
        {"y": np.arange(40) % 2},
        rates={"audio": 10.0},
    )


def read(
    dropout: ModalityDropout | None, *, epoch: int = 0, workers: int = 0, size: int = 7
) -> dict[str, list[Tensor]]:
    slices = {"audio": RandomSlice(0.5, 10.0)}
    data = CorpusDataset(clips(), augmentation=Augmentation(slices=slices, dropout=dropout), seed=3)
    data.set_epoch(epoch)
    found: dict[str, list[Tensor]] = {"audio": [], "video": []}
    for batch in loader(data, size, workers=workers):
        for name, value in batch.inputs.items():
            found[name] += value.unbind()
    return found


def test_the_loader_leaves_modalities_out_and_draws_all_else_alike() -> None:
    plain, dropped = read(None), read(ModalityDropout({"audio": 0.5, "video": 0.3}))
    lost = {name: [not len(piece) for piece in pieces] for name, pieces in dropped.items()}
    assert 8 < sum(lost["audio"]) < 32
    assert 3 < sum(lost["video"]) < 24
    assert not any(a and v for a, v in zip(lost["audio"], lost["video"], strict=True))
    assert lost["audio"][2]
    assert not lost["video"][2]
    for name, pieces in dropped.items():
        for row, piece in enumerate(pieces):
            if len(piece):
                torch.testing.assert_close(piece, plain[name][row], rtol=0, atol=0)


def test_what_is_left_out_depends_on_seed_epoch_and_sample_alone() -> None:
    drop = ModalityDropout({"audio": 0.5, "video": 0.5})
    first = [len(piece) for piece in read(drop)["audio"]]
    assert first == [len(piece) for piece in read(drop, size=40)["audio"]]
    assert first == [len(piece) for piece in read(drop, workers=2)["audio"]]
    assert first != [len(piece) for piece in read(drop, epoch=1)["audio"]]


@pytest.mark.parametrize("size", [7, 40])
def test_dropout_alone_reads_what_it_reads_beside_other_draws(size: int) -> None:
    drop = ModalityDropout({"audio": 0.5, "video": 0.3})
    whole = {"audio": RandomSlice(0.5, 10.0, share=0.0)}
    alone, beside = (
        CorpusDataset(clips(), augmentation=Augmentation(slices=slices, dropout=drop), seed=3) for slices in ({}, whole)
    )
    for one, other in zip(loader(alone, size), loader(beside, size), strict=True):
        for name, value in one.inputs.items():
            assert value.lengths.tolist() == other.inputs[name].lengths.tolist()
            torch.testing.assert_close(value.steps, other.inputs[name].steps, rtol=0, atol=0)


def test_even_batches_differ_by_one_and_leave_no_rest() -> None:
    for samples in range(1, 300):
        size = even_batch_size(samples, 32)
        sizes = [len(block) for block in BatchSampler(range(samples), size, drop_last=False)]
        assert size <= 32
        assert len(sizes) == -(-samples // 32)
        assert sizes[-1] >= size - len(sizes)
    with pytest.raises(InputError, match="0 samples"):
        even_batch_size(0, 32)


def test_a_modality_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="no modality 'voice'"):
        CorpusDataset(clips(), augmentation=Augmentation(dropout=ModalityDropout({"voice": 0.5})))


def test_a_model_trains_where_samples_lack_modalities() -> None:
    some = vector_model({"audio": 3, "video": 2}, {"y": 2}).train()
    objective = Objective({"y": Classification(2)})
    data = CorpusDataset(clips(), augmentation=Augmentation(dropout=ModalityDropout({"audio": 0.5, "video": 0.5})))
    optimizer = torch.optim.SGD(some.parameters(), lr=0.05)
    costs = []
    for epoch in range(6):
        data.set_epoch(epoch)
        for batch in loader(data, 8):
            loss = objective(some(batch.inputs), batch.labels).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            costs.append(loss.item())
    assert np.mean(costs[-5:]) < np.mean(costs[:5])

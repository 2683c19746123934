"""Each fusion against its formula, written again in NumPy: one sample and one branch at a time, float64."""

import copy
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from mrpnkit import MRPN, Classification, Objective, Sequences
from mrpnkit.errors import InputError
from mrpnkit.fusions import FUSIONS, GMU, LMF, MBT, TFN, TMC, FiLM, Late, MulT, Multiplicative, Sum, Weighted, Witnesses
from mrpnkit.fusions.cross_modal import CrossLayer
from mrpnkit.fusions.witnesses import judged
from mrpnkit.outputs import Fused
from tests.numpy_reference import Reference
from tests.small_models import ragged, randomise, vector_branch

Array = npt.NDArray[np.float64]
WIDTHS, TARGETS, SIZE = [3, 2, 4], {"y": 5, "z": 2}, 6


def built(part: Any, widths: Sequence[int] = WIDTHS, **options: Any) -> Any:
    fusion = part(widths, TARGETS, **options)
    randomise(fusion, 1)
    return fusion.double().eval()


def data(widths: Sequence[int] = WIDTHS, *, complete: bool = False) -> tuple[list[Tensor], list[Tensor | None]]:
    """Features, zero where absent; sample 1 lacks branch 0, sample 2 branches 0 and 1 (where there are others)."""
    generator = torch.Generator().manual_seed(0)
    features, masks = [], []
    for place, width in enumerate(widths):
        there = torch.ones(SIZE, dtype=torch.bool)
        if not complete and place < len(widths) - 1:
            there[1:] = torch.tensor([place != 0, False, True, place != 1, True])
        features.append(torch.randn(SIZE, width, generator=generator).double() * there[:, None])
        masks.append(there)
    return features, [None] * len(widths) if complete else list(masks)


def weights(fusion: nn.Module) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in fusion.state_dict().items()}


def dense(w: dict[str, Array], name: str, x: Array) -> Array:
    return np.asarray(w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0.0))


def there(masks: Sequence[Tensor | None], place: int, row: int) -> bool:
    mask = masks[place]
    return mask is None or bool(mask[row])


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def compare(fusion: nn.Module, joint: Any, *, complete: bool = False, widths: Sequence[int] = WIDTHS) -> None:
    """``joint(w, g, i)`` is h of sample i; a Scoring for each target reads it."""
    features, masks = data(widths, complete=complete)
    w = weights(fusion)
    g = [x.numpy() for x in features]
    h = np.stack([joint(w, [x[i] for x in g], [there(masks, m, i) for m in range(len(g))]) for i in range(SIZE)])
    reference = Reference(w, training=False)
    for target, scores in fusion(features, masks).items():
        expected = reference.scoring(f"scoring.{target}", h, np.ones(SIZE, dtype=bool))
        np.testing.assert_allclose(scores.detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("complete", [True, False])
class TestJointVectors:
    def test_sum(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            return sum((dense(w, f"dense.{m}", x) for m, x in enumerate(g) if has[m]), np.zeros(7))

        compare(built(Sum, width=7), joint, complete=complete)

    def test_weighted(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            e = np.exp(w["logits"]) * has
            return sum((e[m] / e.sum() * dense(w, f"dense.{m}", x) for m, x in enumerate(g)), np.zeros(7))

        compare(built(Weighted, width=7), joint, complete=complete)

    def test_gmu(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            gates = 1 / (1 + np.exp(-dense(w, "gates", np.concatenate(g)))).reshape(3, 7)
            return sum((gates[m] * np.tanh(dense(w, f"dense.{m}", g[m])) for m in range(3) if has[m]), np.zeros(7))

        compare(built(GMU, width=7), joint, complete=complete)

    def test_film(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            both = dense(w, "condition", np.concatenate([g[0], g[2]]))
            content = dense(w, "dense", g[1]) if has[1] else np.zeros(7)
            return (1 + both[:7]) * content + both[7:]

        compare(built(FiLM, width=7, content=1), joint, complete=complete)

    def test_tfn_by_loops_over_all_products(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            z = [np.concatenate([[1.0], np.maximum(dense(w, f"dense.{m}", g[m]), 0) * has[m]]) for m in range(3)]
            return np.array([z[0][a] * z[1][b] * z[2][c] for a, b, c in product(range(3), repeat=3)])

        compare(built(TFN, width=2), joint, complete=complete)

    def test_lmf_equals_a_full_tensor_of_that_rank(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            z = [np.concatenate([[1.0], g[m] * has[m]]) for m in range(3)]
            factors = [w[f"factors.{m}"].reshape(-1, 2, 7) for m in range(3)]
            tensor = np.einsum("r,arw,brw,crw->abcw", w["mixture"], *factors)
            return np.asarray(np.einsum("abcw,a,b,c->w", tensor, *z) + w["bias"])

        compare(built(LMF, rank=2, width=7), joint, complete=complete)

    def test_multiplicative(self, complete: bool) -> None:
        def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
            x, z = (dense(w, f"dense.{m}", g[m]) * has[m] for m in range(2))
            tensor = w["interaction.weight"].reshape(7, 3, 3)  # (W, of z, of x)
            form = np.array([sum(tensor[k, j, i] * x[i] * z[j] for i in range(3) for j in range(3)) for k in range(7)])
            return form + dense(w, "linear", np.concatenate([x, z]))

        compare(built(Multiplicative, [3, 2], inner=3, width=7), joint, complete=complete, widths=[3, 2])


def test_tied_gates_are_those_of_the_two_branch_form() -> None:
    fusion = built(GMU, [3, 2], width=7, gate="softmax")

    def joint(w: dict[str, Array], g: list[Array], has: list[bool]) -> Array:
        logits = dense(w, "gates", np.concatenate(g))
        z = 1 / (1 + np.exp(-(logits[:7] - logits[7:])))
        first, second = (np.tanh(dense(w, f"dense.{m}", g[m])) for m in range(2))
        return np.asarray(z * first + (1 - z) * second)

    compare(fusion, joint, complete=True, widths=[3, 2])


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("rule", ["mean", "product", "weighted"])
def test_late(rule: str, complete: bool) -> None:
    fusion = built(Late, rule=rule)
    features, masks = data(complete=complete)
    w, reference = weights(fusion), Reference(weights(fusion), training=False)
    for target, scores in fusion(features, masks).items():
        for i in range(SIZE):
            total, share = np.zeros(TARGETS[target]), 0.0
            for m, x in enumerate(features):
                if not there(masks, m, i):
                    continue
                s = reference.scoring(f"scoring.{m}.{target}", x.numpy(), np.ones(SIZE, dtype=bool))[i]
                weight = float(np.exp(w[f"logits.{target}"][m])) if rule == "weighted" else 1.0
                total, share = total + weight * (np.log(softmax(s)) if rule == "product" else s), share + weight
            expected = total if rule == "product" else total / share
            np.testing.assert_allclose(scores[i].detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_the_product_of_experts_multiplies_probabilities() -> None:
    fusion = built(Late, rule="product")
    features, masks = data(complete=True)
    whole = torch.softmax(fusion(features, masks)["y"], 1)
    alone = [torch.softmax(fusion.scoring[m]["y"](features[m]), 1) for m in range(3)]
    expected = alone[0] * alone[1] * alone[2]
    torch.testing.assert_close(whole, expected / expected.sum(1, keepdim=True))


def dempster(evidence: list[Array]) -> Array:
    """Dempster's rule over all subsets that singletons and the whole frame can form, by enumeration; gives α."""
    classes = len(evidence[0])
    whole = frozenset(range(classes))
    mass: dict[frozenset[int], float] = {whole: 1.0}
    for e in evidence:
        strength = e.sum() + classes
        own = {frozenset([c]): e[c] / strength for c in range(classes)} | {whole: classes / strength}
        joined: dict[frozenset[int], float] = {}
        for (a, p), (b, q) in product(mass.items(), own.items()):
            if a & b:
                joined[a & b] = joined.get(a & b, 0.0) + p * q
        total = sum(joined.values())
        mass = {a: p / total for a, p in joined.items()}
    strength = classes / mass[whole]
    return np.array([mass.get(frozenset([c]), 0.0) * strength + 1 for c in range(classes)])


@pytest.mark.parametrize("complete", [True, False])
def test_tmc_is_dempsters_rule(complete: bool) -> None:
    fusion = built(TMC)
    features, masks = data(complete=complete)
    found = fusion(features, masks)
    assert isinstance(found, Fused)
    assert list(found.parts) == ["fused.0", "fused.1", "fused.2"]
    reference = Reference(weights(fusion), training=False)
    for target, scores in found.scores.items():
        for i in range(SIZE):
            evidence = []
            for m, x in enumerate(features):
                s = reference.scoring(f"scoring.{m}.{target}", x.numpy(), np.ones(SIZE, dtype=bool))[i]
                e = np.log1p(np.exp(s))
                if there(masks, m, i):
                    evidence.append(e)
                    np.testing.assert_allclose(found.parts[f"fused.{m}"].scores[target][i].detach(), np.log(e + 1))
            np.testing.assert_allclose(np.exp(scores[i].detach().numpy()), dempster(evidence), rtol=1e-7)


def test_the_evidential_loss_by_numerical_integrals() -> None:
    """E[−log p_y] under the Dirichlet distribution, by sampling it; and its divergence from the uniform one by hand."""
    criterion = TMC([2], {"y": 3}, annealing=4).criterion
    alpha = np.array([[3.0, 1.5, 1.2]])
    scores = torch.log(torch.tensor(alpha))
    criterion.begin_epoch(0)
    drawn = np.random.default_rng(0).dirichlet(alpha[0], 400_000)
    assert criterion(scores, torch.tensor([1])).item() == pytest.approx(-np.log(drawn[:, 1]).mean(), rel=1e-2)
    criterion.begin_epoch(2)
    without = alpha[0].copy()
    without[1] = 1.0
    points = np.random.default_rng(1).dirichlet(without, 400_000)
    density = scipy_log_density(points, without) - np.log(2.0)  # the uniform density over three classes is 2! = 2
    added = criterion(scores, torch.tensor([1])).item() + np.log(drawn[:, 1]).mean()
    assert added == pytest.approx(0.5 * density.mean(), rel=3e-2)
    assert criterion(scores, torch.tensor([-1])).item() == 0.0
    criterion.begin_epoch(40)
    assert criterion.share == 1.0


def scipy_log_density(points: Array, alpha: Array) -> Array:
    from scipy.stats import dirichlet

    return np.asarray(dirichlet.logpdf(np.clip(points, 1e-300, 1).T / np.clip(points, 1e-300, 1).sum(1), alpha))


def test_an_objective_trains_a_fusion_with_its_own_loss_and_its_parts() -> None:
    fusion = TMC([3, 2], {"y": 4}, annealing=2)
    branches = {"a": vector_branch(3), "b": vector_branch(2)}
    model = MRPN(branches, {"y": 4}, network="n1", fusion=fusion).train()
    objective = Objective({"y": Classification(4)}, criterion=fusion.criterion, weights={"fused": 2.0})
    objective.begin_epoch(1)
    labels = torch.tensor([0, 3, -1, 1, 2])
    output = model({"a": ragged([1] * 5, 3), "b": ragged([1, 0, 1, 1, 0], 2)})
    total, terms, _ = objective(output, {"y": labels})
    assert list(terms) == ["y/fused", "y/a", "y/b", "y/fused.0", "y/fused.1"]
    own = fusion.criterion(output.parts["fused.1"].scores["y"], labels)
    assert terms["y/fused.1"].item() == pytest.approx(own[[0, 3]].mean().item())
    side = Classification(4).losses(output.branches["b"]["y"], labels)
    assert terms["y/b"].item() == pytest.approx(side[[0, 3]].mean().item())
    weight = {"y/a": 1.0, "y/b": 1.0}
    assert total.item() == pytest.approx(sum(weight.get(k, 2.0) * t.item() for k, t in terms.items()), rel=1e-5)


def test_class_weights_count_in_a_loss_of_the_fusions_own_and_smoothing_does_not() -> None:
    fusion = TMC([3, 2], {"y": 4})
    model = MRPN({"a": vector_branch(3), "b": vector_branch(2)}, {"y": 4}, network="n1", fusion=fusion).train()
    output = model({"a": ragged([1] * 5, 3), "b": ragged([1] * 5, 2)})
    labels = torch.tensor([0, 3, -1, 1, 2])

    def terms(target: Classification) -> dict[str, Tensor]:
        return Objective({"y": target}, criterion=fusion.criterion)(output, {"y": labels}).terms

    plain = terms(Classification(4))
    weighted = terms(Classification(4, class_weights=[1.0, 2.0, 0.5, 3.0]))
    for head, scores in (("fused", output.fused), ("fused.1", output.parts["fused.1"].scores)):
        own = [fusion.criterion(scores["y"][i : i + 1], labels[i : i + 1]).item() for i in range(5)]
        assert plain[f"y/{head}"].item() == pytest.approx(sum(own) / 4)
        assert weighted[f"y/{head}"].item() == pytest.approx((own[0] + 3 * own[1] + 2 * own[3] + 0.5 * own[4]) / 4)
    smoothed = terms(Classification(4, label_smoothing=0.1))
    assert torch.equal(smoothed["y/fused"], plain["y/fused"])
    assert smoothed["y/a"] != plain["y/a"]


class TestWitnesses:
    """Bayes' rule written out sample by sample."""

    def sides(self, complete: bool) -> list[dict[str, Tensor]]:
        _, masks = data(complete=complete)
        generator = torch.Generator().manual_seed(5)
        scale = 3.0
        return [
            {
                t: scale * torch.randn(SIZE, n, generator=generator).double() * (1 if mask is None else mask[:, None])
                for t, n in TARGETS.items()
            }
            for mask in masks
        ]

    @pytest.mark.parametrize("complete", [True, False])
    def test_is_bayes_rule(self, complete: bool) -> None:
        fusion = built(Witnesses, doubt=0.25)
        assert isinstance(fusion, Witnesses)
        features, masks = data(complete=complete)
        sides = self.sides(complete)
        reference = Reference(weights(fusion), training=False)
        verdicts = fusion.verdicts(features, masks, sides)
        for target, scores in fusion(features, masks, sides).items():
            for i in range(SIZE):
                has = [m for m in range(3) if there(masks, m, i)]

                def opinion(members: list[int], i: int = i, target: str = target) -> Array:
                    g = [x.numpy()[i : i + 1] * (m in members) for m, x in enumerate(features)]
                    flags = [np.array([m in members]) for m in range(3)]
                    fused = softmax(reference.fusion_component("concat", g, flags, target)[0])
                    alone = [softmax(sides[m][target][i].numpy()) for m in members]
                    return np.asarray((fused + np.mean(alone, axis=0)) / 2)

                likelihood: dict[int | None, float] = {None: 0.75}
                verdict: dict[int | None, Array] = {None: opinion(has)}
                for m in has if len(has) > 1 else []:
                    verdict[m] = opinion([k for k in has if k != m])
                    agreement = TARGETS[target] * float(softmax(sides[m][target][i].numpy()) @ verdict[m])
                    likelihood[m] = 0.25 / len(has) / agreement
                total = sum(likelihood.values())
                p = sum((likelihood[k] / total * verdict[k] for k in likelihood), np.zeros(TARGETS[target]))
                np.testing.assert_allclose(np.exp(scores[i].detach().numpy()), p, atol=1e-7)
                trusted = verdicts[target].trusted[i].item()
                assert trusted == pytest.approx(likelihood[None] / total, abs=1e-6)
                assert verdicts[target].misleading[i].sum().item() == pytest.approx(1 - trusted)

    def test_the_one_that_contradicts_is_found(self) -> None:
        say = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0])
        sides = torch.stack([say, say.roll(2), say])[None]
        verdict = judged(torch.zeros(1, 4, 5), sides, torch.ones(1, 3, dtype=torch.bool), doubt=0.3)
        assert verdict.misleading[0].argmax() == 1
        agreeing = judged(torch.zeros(1, 4, 5), say.expand(1, 3, 5), torch.ones(1, 3, dtype=torch.bool), doubt=0.3)
        assert agreeing.trusted.item() > 0.8 > verdict.trusted.item()
        assert verdict.probabilities.argmax() == 0

    def test_without_doubt_everybody_is_trusted(self) -> None:
        sides = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
        verdict = judged(torch.zeros(4, 4, 5), sides, torch.ones(4, 3, dtype=torch.bool), doubt=0.0)
        assert (verdict.trusted == 1).all()

    def test_training_is_the_papers_to_the_last_bit(self) -> None:
        models = {}
        for name in ("concat", "witnesses"):
            torch.manual_seed(0)
            fusion = FUSIONS[name]([3, 2], {"y": 4})
            models[name] = MRPN(
                {"a": vector_branch(3), "b": vector_branch(2)}, {"y": 4}, network="n2", fusion=fusion
            ).train()
        inputs = {"a": ragged([1] * 6, 3), "b": ragged([1, 0, 1, 1, 1, 0], 2)}
        labels = {"y": torch.tensor([0, 1, 2, 3, 0, 1])}
        gradients = []
        for model in models.values():
            Objective({"y": Classification(4)})(model(inputs), labels).total.backward()
            gradients.append([p.grad for p in model.parameters()])
        for first, second in zip(*gradients, strict=True):
            assert first is not None
            assert second is not None
            assert torch.equal(first, second)

    def test_one_branch_is_its_own_verdict(self) -> None:
        fusion = built(Witnesses, [3])
        features, _ = data([3], complete=True)
        sides = [{t: torch.randn(SIZE, n).double() for t, n in TARGETS.items()}]
        verdict = fusion.verdicts(features, [None], sides)["y"]
        assert (verdict.trusted == 1).all()

    def test_n0_is_refused(self) -> None:
        with pytest.raises(InputError, match="Witnesses reads the branches' side scores, and N0 has none"):
            MRPN({"a": vector_branch(3)}, {"y": 4}, network="n0", fusion=Witnesses([3], {"y": 4}))


def test_bottleneck_attention_by_its_definition() -> None:
    """One head, written with softmax and sums, sample by sample, with absent branches left out."""
    widths, steps = [3, 2], [4, 5]
    fusion = built(MBT, widths, sequences=steps, width=4, heads=1, layers=2, bottleneck=2)
    features, _ = data(widths, complete=True)
    masks: list[Tensor | None] = [torch.tensor([True, True, False, True, True, True]), None]
    features[0][2] = 0
    lengths = [[2, 0, 0, 1, 3, 1], [1, 2, 2, 0, 1, 1]]
    sequences = [ragged(n, e, seed=m) for m, (n, e) in enumerate(zip(lengths, steps, strict=True))]
    sequences = [Sequences(s.steps.double(), s.lengths) for s in sequences]
    w = weights(fusion)

    def norm(name: str, x: Array) -> Array:
        return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"])

    def encoder(name: str, tokens: Array) -> Array:
        x = np.stack([norm(f"{name}.norm1", t) for t in tokens])
        q, k, v = np.split(x @ w[f"{name}.self_attn.in_proj_weight"].T + w[f"{name}.self_attn.in_proj_bias"], 3, axis=1)
        seen = np.stack([softmax(row @ k.T / 2.0) @ v for row in q])
        tokens = tokens + np.stack([dense(w, f"{name}.self_attn.out_proj", s) for s in seen])
        out = []
        for t in tokens:
            inner = torch.tensor(dense(w, f"{name}.linear1", norm(f"{name}.norm2", t)))
            out.append(t + dense(w, f"{name}.linear2", nn.functional.gelu(inner).numpy()))
        return np.stack(out)

    h = []
    for i in range(SIZE):
        tokens = {}
        for m in range(2):
            if there(masks, m, i):
                rows = [dense(w, f"tokens.{m}.vector", features[m][i].numpy())]
                for t, x in enumerate(sequences[m].unbind()[i].numpy()):
                    wave = [np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)]
                    rows.append(dense(w, f"tokens.{m}.step", x) + np.array(wave))
                tokens[m] = np.stack(rows)
        shared = w["bottleneck"]
        for layer in range(2):
            made = {m: encoder(f"layers.{layer}.{m}", np.concatenate([shared, rows])) for m, rows in tokens.items()}
            shared = np.mean([both[:2] for both in made.values()], axis=0)
            tokens = {m: both[2:] for m, both in made.items()}
        h.append(np.mean([rows[0] for rows in tokens.values()], axis=0))
    reference = Reference(w, training=False)
    for target, scores in fusion(features, masks, sequences).items():
        expected = reference.scoring(f"scoring.{target}", np.stack(h), np.ones(SIZE, dtype=bool))
        np.testing.assert_allclose(scores.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def crossing(layer: CrossLayer, place: int, width: int, heads: int) -> nn.ModuleDict:
    """The parameters of one of a layer's sources in the modules of torch."""
    parts = nn.ModuleDict(
        {
            "of_target": nn.LayerNorm(width),
            "of_source": nn.LayerNorm(width),
            "of_sum": nn.LayerNorm(width),
            "attention": nn.MultiheadAttention(width, heads, batch_first=True),
            "inner": nn.Linear(width, 4 * width),
            "outer": nn.Linear(4 * width, width),
        }
    ).double()
    with torch.no_grad():
        for name, part in parts.items():
            stacked = dict(getattr(layer, name).named_parameters())
            for key, parameter in part.named_parameters():
                parameter.copy_(stacked[key.replace(".", "_")][place])
    return parts


@pytest.mark.parametrize("alike", [True, False])
def test_cross_modal_attention_reads_the_other_branches_step_by_step(alike: bool) -> None:
    """Two sources of each branch: torch's attention over the valid tokens alone, without padding or masks."""
    widths, steps, heads = [3, 2, 3], [4, 5, 2], 2
    fusion = built(MulT, widths, sequences=steps, width=4, heads=heads, layers=2)
    features, _ = data(widths, complete=True)
    lengths = [[2, 0, 3, 1, 3, 1], [1, 2, 3 if alike else 2, 0, 1, 1], [0, 3, 1, 1, 2, 2]]
    sequences = [ragged(n, e, seed=m) for m, (n, e) in enumerate(zip(lengths, steps, strict=True))]
    sequences = [Sequences(s.steps.double(), s.lengths) for s in sequences]
    masks: list[Tensor | None] = [None, torch.tensor([True, True, True, True, False, True]), None]
    features[1][4] = 0
    sequences[1] = Sequences.of([s if i != 4 else s[:0] for i, s in enumerate(sequences[1].unbind())])
    whole = fusion(features, masks, sequences)["y"]
    firsts = []
    for i in range(SIZE):
        own = []
        grids = []
        for m in range(3):
            alone = Sequences.of([sequences[m].unbind()[i]])
            tokens = fusion.tokens[m](features[m][i : i + 1], None, alone)
            grids.append(tokens.values[:, tokens.valid[0]])
        for m in range(3):
            if not there(masks, m, i):
                own.append(torch.zeros(1, 8).double())
                continue
            seen = []
            for place, source in enumerate(n for n in range(3) if n != m):
                z = grids[m]
                for layer in fusion.crossings[m].layers:
                    cross = crossing(layer, place, 4, heads)
                    if there(masks, source, i):
                        x = cross["of_source"](grids[source])
                        z = z + cross["attention"](cross["of_target"](z), x, x, need_weights=False)[0]
                    z = z + cross["outer"](nn.functional.gelu(cross["inner"](cross["of_sum"](z))))
                seen.append(z)
            own.append(fusion.memories[m](torch.cat(seen, dim=2))[:, 0])
        firsts.append(torch.cat(own, dim=1))
    expected = fusion.scoring["y"](torch.cat(firsts))
    torch.testing.assert_close(whole, expected)


def test_sources_are_drawn_as_torch_draws_theirs() -> None:
    torch.manual_seed(0)
    layer = CrossLayer(64, sources=50, heads=4, feedforward=256, dropout=0.0)
    attention, dense = nn.MultiheadAttention(64, 4), nn.Linear(64, 256)
    for stacked, one in (
        (layer.attention.in_proj_weight, attention.in_proj_weight),
        (layer.attention.out_proj_weight, attention.out_proj.weight),
        (layer.inner.weight, dense.weight),
    ):
        values = torch.as_tensor(stacked).detach()
        assert values.abs().max() == pytest.approx(float(one.detach().abs().max()), rel=0.01)
        assert values.std() == pytest.approx(float(one.detach().std()), rel=0.03)
        assert not torch.equal(values[0], values[1])
    assert not torch.as_tensor(layer.attention.in_proj_bias).detach().any()


@pytest.mark.parametrize("network", ["n0", "n1", "n2"])
@pytest.mark.parametrize("name", sorted(set(FUSIONS.names()) - {"witnesses"}))
def test_in_every_network_with_absent_modalities(name: str, network: Any) -> None:
    facts: dict[str, Any] = {"sequences": [3, 2]} if name in ("mult", "mbt") else {}
    fusion = FUSIONS[name]([3, 2], TARGETS, **facts)
    model = MRPN({"a": vector_branch(3), "b": vector_branch(2)}, TARGETS, network=network, fusion=fusion)
    inputs = {"a": ragged([1, 0, 1, 1, 0], 3), "b": ragged([1, 1, 0, 1, 0], 2)}
    labels = {"y": torch.tensor([0, 1, 2, 3, 4]), "z": torch.tensor([0, 1, -1, 0, 1])}
    objective = Objective(
        {t: Classification(n) for t, n in TARGETS.items()}, criterion=getattr(fusion, "criterion", None)
    )
    objective(model.train()(inputs), labels).total.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert model.eval()(inputs).fused["y"].isfinite().all()


@pytest.mark.parametrize("name", sorted(FUSIONS.names()))
def test_samples_of_nothing_shift_no_score_and_no_statistic_of_the_others(name: str) -> None:
    """Four samples beside three that have nothing are scored, and leave the network, as the four alone."""
    facts: dict[str, Any] = {"sequences": [3, 2]} if name in ("mult", "mbt") else {}
    fusion = FUSIONS[name]([3, 2], TARGETS, **facts)
    alone = MRPN({"a": vector_branch(3), "b": vector_branch(2)}, TARGETS, network="n1", fusion=fusion)
    randomise(alone, 2)
    beside = copy.deepcopy(alone.double().train())
    steps = {branch: ragged([1] * 4, width, seed=width).steps.double() for branch, width in (("a", 3), ("b", 2))}
    here = torch.tensor([1, 0, 1, 1, 0, 0, 1])
    expected = alone({branch: Sequences.vectors(rows) for branch, rows in steps.items()})
    found = beside({branch: Sequences(rows, here) for branch, rows in steps.items()})
    assert found.judged is not None
    assert torch.equal(found.judged, here.bool())
    for target, scores in expected.fused.items():
        torch.testing.assert_close(found.fused[target][here.bool()], scores)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(beside.state_dict()[key], value, msg=key)


@pytest.mark.parametrize(
    ("name", "widths", "options", "text"),
    [
        ("multiplicative", [3, 2, 4], {}, "Multiplicative is defined for 2 branches and was given 3; for more, lmf"),
        ("film", [3], {}, "FiLM is defined for 2 or more branches and was given 1"),
        ("film", [3, 2], {"content": 2}, "content is 2; expected the place of a branch, 0 to 1"),
        ("mult", [3], {"sequences": [3]}, "MulT is defined for 2 or more branches and was given 1"),
        ("mult", [3, 2], {"sequences": [3, 2], "width": 6}, "width must be a multiple of heads, got 6 and 4"),
        ("mbt", [3, 2], {"sequences": [3, 2], "width": 6}, "width must be a multiple of heads, got 6 and 4"),
        ("tfn", [3] * 13, {}, "TFN is defined for 1 to 12 branches and was given 13"),
        ("tfn", [3] * 5, {"width": 16}, "an outer product of 1419857 entries, more than 131072"),
        ("late", [3], {"rule": "vote"}, "rule must be one of 'mean', 'product', 'weighted', got 'vote'"),
        ("gmu", [3], {"dropout": 1.5}, r"dropout must lie in \[0, 1\)"),
        ("witnesses", [3], {"doubt": 1.0}, "doubt is a probability below 1, got 1.0"),
        ("tmc", [3], {"annealing": 0}, "annealing must be 1 epoch or more, got 0"),
    ],
)
def test_what_is_refused(name: str, widths: list[int], options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        FUSIONS[name](widths, {"y": 3}, **options)


@pytest.mark.parametrize("name", ["tmc", "witnesses"])
def test_a_target_that_is_no_classification_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is defined for classes; the target 'age' has 1 score"):
        FUSIONS[name]([3, 2], {"age": 1})

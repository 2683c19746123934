"""What misleads: the tests against enumeration and scipy; nothing found in nature, and just what was placed."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binom, norm, permutation_test, ttest_1samp

from mrpnkit.analysis import (
    Outcomes,
    below_zero,
    fuzziness,
    holm_of_candidates,
    interference,
    sign_flip,
    temperature,
)
from mrpnkit.analysis.fuzziness import gain, information, reference
from mrpnkit.errors import InputError

ACTORS, CLASSES, TAKES = 12, 8, 10


def natural(seed: int, *, sure: float = 1.0, actors: int = ACTORS, spoilt: str = "nothing") -> Outcomes:
    """Two modalities of Gaussian evidence, with classes that are hard for one, or say nothing, and actors who differ.

    Heads know the evidence's distribution over the population, and exaggerate by ``sure``; the fusion adds both. Where
    spoilt, the audio is that of another class: of classes 2 and 5, or all of actor 3.
    """
    generator = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(CLASSES), TAKES), actors)
    actor = np.repeat(np.arange(actors), CLASSES * TAKES)
    other = (labels + generator.integers(1, CLASSES, len(labels))) % CLASSES
    hit = {"nothing": labels < 0, "class": np.isin(labels, (2, 5)), "actor": actor == 3}[spoilt]
    said: dict[str, NDArray[np.float64]] = {}
    for name in ("audio", "video"):
        shows = np.where(hit & (name == "audio"), other, labels)
        strength = generator.uniform(0, 3, CLASSES) if spoilt == "nothing" else generator.uniform(2, 3, CLASSES)
        centres = generator.normal(size=(CLASSES, 10)) * 0.4 * strength[:, None]
        own = (
            0.4 * generator.normal(size=(actors, 10))[actor]
            + 0.3 * generator.normal(size=(actors, CLASSES, 10))[actor, shows]
        )
        evidence = centres[shows] + own + generator.normal(size=(len(labels), 10))
        said[name] = -((evidence[:, None] - centres) ** 2).sum(axis=2) / 2 / (1 + 0.4**2 + 0.3**2)
    said = {"fused": said["audio"] + said["video"], **said}
    probabilities = {head: np.exp(log_softmax(sure * scores, axis=1)) for head, scores in said.items()}
    groups = {"actor": [str(one) for one in actor], "sex": ["fm"[one % 2] for one in actor]}
    return Outcomes.of(probabilities, labels, groups=groups)


def misleading(outcomes: Outcomes) -> list[tuple[str, str, str]]:
    cells = fuzziness(outcomes, cluster="actor", draws=2)
    return [(cell.axis, cell.value, cell.branch) for cell in cells if cell.misleads()]


@pytest.mark.parametrize("sure", [1.0, 3.0])
@pytest.mark.parametrize("actors", [4, 12])
def test_where_nothing_is_placed_nothing_misleads(actors: int, sure: float) -> None:
    """Ten seeds; classes from hopeless to easy, actors who differ, and heads three times as sure as they should be."""
    found = [misleading(natural(seed, actors=actors, sure=sure)) for seed in range(10)]
    assert found == [[]] * 10


@pytest.mark.parametrize("sure", [1.0, 3.0])
@pytest.mark.parametrize(
    ("spoilt", "wanted"),
    [("class", [("class", "2", "audio"), ("class", "5", "audio")]), ("actor", [("actor", "3", "audio")])],
)
def test_what_is_placed_is_named_and_nothing_else(spoilt: str, wanted: list[tuple[str, str, str]], sure: float) -> None:
    for seed in range(5):
        assert misleading(natural(seed, spoilt=spoilt, sure=sure)) == wanted


def test_findings_of_interference_hold_what_misleads_the_worst_first() -> None:
    found = interference(natural(0, spoilt="class"), cluster="actor", draws=2).misleading
    assert {(cell.axis, cell.value, cell.branch) for cell in found} == {
        ("class", "2", "audio"),
        ("class", "5", "audio"),
    }
    assert all(cell.other == "video" for cell in found)
    assert found[0].information.value < found[1].information.value


def test_the_fusion_follows_or_does_not() -> None:
    outcomes = natural(0, spoilt="class")
    stubborn = {**outcomes.probabilities, "fused": outcomes.probabilities["video"]}
    trusting = {**outcomes.probabilities, "fused": outcomes.probabilities["audio"]}
    for heads, expected in ((stubborn, [False, False]), (trusting, [True, True])):
        cells = fuzziness(outcomes._replace(probabilities=heads), cluster="actor", draws=2)
        assert [cell.followed() for cell in cells if cell.misleads()] == expected


def test_numbers_of_a_cell() -> None:
    outcomes = natural(1, spoilt="actor")
    cell = next(one for one in fuzziness(outcomes, cluster="actor", draws=50) if one.misleads())
    here = outcomes.groups["actor"] == "3"
    right = outcomes.probabilities["audio"].argmax(1) == outcomes.labels
    assert cell.samples == 80
    assert cell.accuracy == pytest.approx(right[here].mean())
    assert cell.elsewhere == pytest.approx(right[~here].mean())
    for head, value in (("fused", cell.fused), ("video", cell.better)):
        assert value == pytest.approx((outcomes.probabilities[head].argmax(1) == outcomes.labels)[here].mean())
    logits = np.log(outcomes.probabilities["audio"])
    soft = np.exp(log_softmax(logits / temperature(logits[~here], outcomes.labels[~here]), axis=1))
    told = np.log2(0.1 + 0.9 * 8 * soft[np.arange(len(soft)), outcomes.labels])
    assert cell.information.value == pytest.approx(told[here].mean())
    assert cell.information.low < cell.information.value < cell.information.high < 0
    row = cell.plain()
    assert (row["information"], row["misleads"]) == (cell.information.value, True)


def test_what_misleads_in_one_place_does_not_excuse_another() -> None:
    """With both classes left out of the temperature each says less, and that is what stands in the findings."""
    outcomes = natural(0, spoilt="class", sure=3.0)
    rest = np.isin(outcomes.labels, (2, 5))
    together, apart = information(outcomes, "audio"), information(outcomes, "audio", rest)
    for label in (2, 5):
        assert apart[outcomes.labels == label].mean() < together[outcomes.labels == label].mean() - 0.2
    cells = fuzziness(outcomes, cluster="actor", draws=2)
    found = [cell for cell in cells if cell.axis == "class" and cell.branch == "audio" and cell.value in ("2", "5")]
    assert [cell.information.value for cell in found] == pytest.approx(
        [apart[outcomes.labels == label].mean() for label in (2, 5)]
    )


def test_a_branch_that_says_nothing_anywhere_misleads_in_no_place() -> None:
    """It is sure, and always of another class than the true one: the whole is named, and no class or actor."""
    outcomes = natural(0)
    wrong = 0.93 * np.eye(CLASSES)[(outcomes.labels + np.arange(len(outcomes.labels)) % 7 + 1) % 8] + 0.07 / 8
    outcomes = outcomes._replace(probabilities={**outcomes.probabilities, "audio": wrong})
    assert {(axis, branch) for axis, _, branch in misleading(outcomes)} <= {("all", "audio")}


def test_a_branch_that_never_decides_for_a_class_may_know_it() -> None:
    """Recall 0 in a class of few samples, with probabilities that are what they should be: no fault."""
    labels = np.repeat([0, 1], [900, 100])
    p = np.where(np.random.default_rng(0).random(1000) < np.where(labels == 1, 0.3, 0.0778), 0.3, 0.0796)
    outcomes = Outcomes.of({"fused": np.stack([1 - p, p], 1), "audio": np.stack([1 - p, p], 1)}, labels)
    assert outcomes.right("audio")[labels == 1].sum() == 0
    assert misleading(outcomes) == []


def test_people_are_what_is_drawn_in_folds_too() -> None:
    """Folds of six actors each: the interval is Student's over the six means, and so is the test."""
    outcomes = natural(0)
    outcomes = outcomes._replace(folds=1 + outcomes.groups["actor"].astype(np.int64) // 6)
    cells = [cell for cell in fuzziness(outcomes, cluster="actor", draws=2) if cell.axis == "fold"]
    assert len(cells) == 4
    for cell in cells:
        said = information(outcomes, cell.branch)
        actors = sorted(set(outcomes.groups["actor"][outcomes.folds == int(cell.value)]))
        means = [said[outcomes.groups["actor"] == one].mean() for one in actors]
        test = ttest_1samp(means, 0.0, alternative="less")
        assert cell.p >= test.pvalue - 1e-9
        expected = ttest_1samp(means, 0.0).confidence_interval(0.95)
        assert cell.information[1:] == pytest.approx((expected.low, expected.high))


def test_samples_that_lack_the_modality_are_not_counted() -> None:
    outcomes = natural(2, spoilt="class")
    outcomes.probabilities["audio"][::3] = np.nan
    cells = fuzziness(outcomes, cluster="actor", draws=2)
    kept = np.arange(len(outcomes.labels)) % 3 > 0
    counts = [(str(label), int((kept & (outcomes.labels == label)).sum())) for label in (2, 5)]
    assert [(cell.value, cell.samples) for cell in cells if cell.misleads()] == counts
    outcomes.probabilities["audio"][:] = np.nan
    assert all(cell.branch == "video" for cell in fuzziness(outcomes, draws=2))


def test_a_true_posterior_never_says_less_than_nothing_of_a_class() -> None:
    """Exactly, from tables of joint distributions: the mean over each class, of the gain that is tested."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        joint = generator.dirichlet(np.full(24, 0.3)).reshape(4, 6) + 1e-9  # classes × evidence
        ratio = joint / joint.sum(axis=0) / joint.sum(axis=1, keepdims=True)
        assert ((joint * gain(ratio)).sum(axis=1) / joint.sum(axis=1)).min() >= -1e-9


def test_reference_of_frequent_and_rare_classes() -> None:
    outcomes = Outcomes.of({"fused": np.full((10, 3), 1 / 3)}, [0] * 7 + [1] * 2 + [2])
    assert reference(outcomes, "fused") == pytest.approx([1 / 3, 0.2, 0.1])


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_test_by_betting_is_exact_for_any_number_of_samples(share: float) -> None:
    """Values of mean 0 that are far above it with probability ``share``: all outcomes of 30, weighed exactly."""
    low = -share / (1 - share)
    p = [below_zero(np.r_[np.full(hits, 1.0), np.full(30 - hits, low)], most=1.0) for hits in range(31)]
    weight = binom.pmf(np.arange(31), 30, share)
    assert all(weight[np.array(p) <= level].sum() <= level for level in (0.001, 0.01, 0.05, 0.2, 0.5))
    assert p[0] == min(p)


def test_the_fortune_by_a_loop() -> None:
    values = np.random.default_rng(0).uniform(-1, 0.8, 20)
    total = 0.0
    for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99):
        fortune = 1.0
        for value in values:
            fortune *= 1 - share * value / 0.8
        total += fortune / 10
    assert below_zero(values, most=0.8) == pytest.approx(min(1.0, 1 / total))


def test_a_branch_that_helps_on_many_samples_has_a_p_of_one() -> None:
    """One over its fortune, up to e to the 9983rd, is more than a float can say."""
    for samples in (7_000, 8_000, 100_000):
        assert below_zero(np.full(samples, 0.95), most=1.0) == 1.0
        assert below_zero(np.full(samples, -0.95), most=1.0) < 1e-300


def test_sign_flips_are_those_of_scipy_and_of_enumeration() -> None:
    values = np.random.default_rng(1).normal(-0.4, 1.0, 11)
    sums = [np.dot(signs, values) for signs in itertools.product((-1, 1), repeat=11)]
    exact = float(np.mean(np.array(sums) <= values.sum() + 1e-12))
    theirs = permutation_test((values,), np.sum, permutation_type="samples", alternative="less", n_resamples=5000)
    assert theirs.pvalue == pytest.approx(exact)
    assert sign_flip(values) == pytest.approx(exact, abs=0.01)


def test_five_clusters_are_tested_by_their_means() -> None:
    generator = np.random.default_rng(2)
    clusters = np.repeat(list("abcdef"), [5, 8, 3, 9, 7, 4])
    values = generator.uniform(-0.9, 0.8, 36)
    expected = ttest_1samp([values[clusters == one].mean() for one in "abcdef"], 0.0, alternative="less").pvalue
    assert below_zero(values, clusters, most=1.0) == pytest.approx(max(expected, below_zero(values, most=1.0)))
    assert sign_flip(values, clusters) == pytest.approx(expected)
    few = np.where(np.isin(clusters, ["e", "f"]), "d", clusters)
    assert below_zero(values, few, most=1.0) == below_zero(values, most=1.0)
    for value in (-1.0, -0.1):  # means of -0.1 differ by rounding
        said = np.full(36, value)
        assert sign_flip(said, clusters) == 0.5**6
        assert below_zero(said, clusters, most=1.0) == max(0.5**6, below_zero(said, most=1.0))
    assert below_zero(np.full(36, 1.0), clusters, most=1.0) == 1.0


def test_candidates_are_adjusted_without_more_false_findings_than_the_level_says() -> None:
    """40 tests without an effect, among 0, 40 or 200 that are far from having one: one finding or more in 5 %."""
    generator = np.random.default_rng(4)
    for far in (0, 40, 200):
        chance = norm.sf(generator.normal(size=(2000, 40)))
        plain = norm.sf(generator.normal(-3.0, 1.0, size=(2000, far)))
        found = [min(holm_of_candidates(p.tolist())) < 0.05 for p in np.concatenate([chance, plain], axis=1)]
        assert 0.02 < np.mean(found) < 0.065
    assert holm_of_candidates([0.01] + [0.9] * 500) == [0.02] + [1.0] * 500


def test_temperature_is_the_minimum_that_scipy_finds() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 5, 300)
    for scale in (0.5, 3.0, 20.0):
        logits = scale * (generator.normal(size=(300, 5)) + 1.5 * np.eye(5)[labels])

        def loss(log_t: float, logits: NDArray[np.float64] = logits) -> float:
            return float(-log_softmax(logits / math.exp(log_t), axis=1)[np.arange(300), labels].sum())

        expected = math.exp(minimize_scalar(loss, bounds=(0, math.log(100)), method="bounded").x)
        assert temperature(logits, labels) == pytest.approx(expected, rel=1e-3)


def test_errors() -> None:
    with pytest.raises(InputError, match="below_zero: 0 values; expected one or more, none above most = 1"):
        below_zero(np.zeros(0), most=1.0)
    with pytest.raises(InputError, match=r"3 values; expected one or more, none above most = 1\.0"):
        below_zero(np.array([0.0, 1.1, -1.0]), most=1.0)
    with pytest.raises(InputError, match="sign_flip was given no values"):
        sign_flip(np.zeros(0))

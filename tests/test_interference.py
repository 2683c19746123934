"""Outcomes, significance and interference, against scipy, scikit-learn and cases worked out by hand."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score, confusion_matrix, log_loss

from mrpnkit.analysis import (
    Outcomes,
    agreement,
    bootstrap,
    calibration,
    cluster_t_test,
    holm,
    interference,
    mcnemar,
    shapley,
    subsets_of,
    worth,
)
from mrpnkit.errors import InputError
from mrpnkit.targets import Ordinal


def drawn(samples: int = 200, classes: int = 4, *, seed: int = 0) -> Outcomes:
    """Three heads of different quality, one of which lacks some samples; groups and folds."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    probabilities = {}
    for head, strength in (("fused", 2.0), ("audio", 1.0), ("video", 1.5)):
        logits = generator.normal(size=(samples, classes))
        logits[np.arange(samples), labels] += strength
        exponent = np.exp(logits)
        probabilities[head] = exponent / exponent.sum(axis=1, keepdims=True)
    probabilities["audio"][::9] = np.nan
    actors = [str(1 + row * 10 // samples) for row in range(samples)]
    return Outcomes.of(probabilities, labels, classes=["a", "b", "c", "d"][:classes], groups={"actor": actors},
                       folds=[1 + row * 5 // samples for row in range(samples)])  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 9), (5, 5), (30, 12), (0, 7), (400, 350)])
def test_mcnemar_is_a_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(InputError, match="counts must be 0 or more"):
        mcnemar(-1, 3)


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    """At every level: adjusted p below it, exactly where Holm's own procedure rejects."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        p = generator.uniform(0, 0.2, size=6).tolist()
        adjusted = holm(p)
        for level in (0.01, 0.05, 0.1, 0.3):
            rejected = set()
            for rank, place in enumerate(sorted(range(6), key=lambda i: p[i])):
                if p[place] >= level / (6 - rank):
                    break
                rejected.add(place)
            assert {place for place in range(6) if adjusted[place] < level} == rejected


def test_bootstrap_of_samples_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap as theirs

    values = np.random.default_rng(0).normal(0.3, 1.0, 300)
    ours = bootstrap(values, draws=6000)
    other = theirs((values,), np.mean, method="percentile", n_resamples=6000, rng=np.random.default_rng(5))
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(other.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(other.confidence_interval.high, abs=0.01)


def test_bootstrap_of_clusters_is_wider_where_clusters_differ() -> None:
    """Of 25 persons of 50 equal values each, the interval is that of 25 values and not of 1250."""
    persons = np.repeat([f"p{i}" for i in range(25)], 50)
    means = np.random.default_rng(2).normal(size=25)
    values = np.repeat(means, 50)
    whole, clustered = bootstrap(values), bootstrap(values, persons)
    assert clustered.high - clustered.low > 4 * (whole.high - whole.low)
    alone = bootstrap(means, draws=2000)
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high), abs=0.12)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_bootstrap_of_few_clusters_is_students_interval_of_their_means(confidence: float) -> None:
    values = np.random.default_rng(3).normal(0.2, 1.0, 48)
    persons = np.tile(list("abcdef"), 8)
    means = [values[persons == one].mean() for one in "abcdef"]
    expected = ttest_1samp(means, 0.0).confidence_interval(confidence)
    found = bootstrap(values, persons, confidence=confidence)
    assert found == pytest.approx((values.mean(), expected.low, expected.high))
    same = np.tile(values[:8], 6)  # persons without spread: of the samples, as if nobody was named
    assert bootstrap(same, np.repeat(list("abcdef"), 8)) == bootstrap(same)
    many = np.tile(values[:8], 25)
    assert bootstrap(many, np.repeat(np.arange(25), 8)) == bootstrap(many)


def test_intervals_of_five_clusters_hold_the_truth() -> None:
    """Of persons of unequal numbers of clips who differ, in 95 % of data sets and not in 80 %."""
    generator = np.random.default_rng(8)
    persons = np.repeat(np.arange(5), [20, 25, 30, 25, 20])
    held = 0
    for _ in range(1000):
        values = 0.3 + generator.normal(size=5)[persons] + generator.normal(size=120)
        _, low, high = bootstrap(values, persons)
        held += low <= 0.3 <= high
    assert 0.93 < held / 1000 < 0.97


def test_the_test_over_clusters_is_that_of_a_regression_with_robust_errors() -> None:
    """On a constant alone, with cluster-robust errors (CR1) and G − 1 degrees of freedom, by its sandwich."""
    generator = np.random.default_rng(5)
    persons = np.repeat(np.arange(8), [3, 9, 5, 12, 4, 7, 7, 2])
    values = 0.4 + generator.normal(size=8)[persons] + generator.normal(size=len(persons))
    x = np.ones((len(values), 1))
    bread = np.linalg.inv(x.T @ x)
    coefficient = bread @ x.T @ values
    scores = [x[persons == one].T @ (values - x @ coefficient)[persons == one] for one in range(8)]
    variance = bread @ sum(np.outer(score, score) for score in scores) @ bread * 8 / 7
    expected = 2 * student.sf(abs(coefficient[0]) / variance[0, 0] ** 0.5, 7)
    assert cluster_t_test(values, persons) == pytest.approx(expected)
    equal, means = np.repeat(np.arange(6), 4), generator.normal(0.5, 1.0, 6)
    assert cluster_t_test(means[equal], equal) == pytest.approx(ttest_1samp(means, 0.0).pvalue)
    assert cluster_t_test(np.full(24, 0.1), equal) == pytest.approx(binomtest(6, 6).pvalue)
    assert cluster_t_test(np.zeros(24), equal) == 1.0
    with pytest.raises(InputError, match="fewer than two clusters"):
        cluster_t_test(values, np.zeros(len(values)))


def test_people_who_differ_are_no_finding_over_people() -> None:
    """20 people of 30 clips each, for whom one head or the other is better, and neither is over all people."""
    generator = np.random.default_rng(9)
    person = np.repeat(np.arange(20), 30)
    told, by_samples = 0, 0
    for _ in range(100):
        better = generator.normal(0.0, 0.1, 20)[person]
        labels = generator.integers(0, 2, 600)
        heads = {
            head: np.eye(2)[np.where(generator.random(600) < 0.7 + sign * better, labels, 1 - labels)]
            for head, sign in (("fused", 1), ("audio", -1))
        }
        outcomes = Outcomes.of(heads, labels, groups={"person": person.astype(str).tolist()})
        cell = interference(outcomes, cluster="person", axes=[], draws=2).on("all")[0]
        told += cell.established()
        by_samples += mcnemar(cell.lost, cell.won) < 0.05
    assert told <= 10
    assert by_samples >= 20


def test_a_fold_of_several_people_is_tested_over_people() -> None:
    outcomes = drawn()
    folds = np.where(outcomes.folds <= 3, 1, 2)  # six actors and four
    found = interference(outcomes._replace(folds=folds), cluster="actor", draws=50).on("fold")
    tests = {(cell.value, cell.test) for cell in found}
    assert tests == {("1", "McNemar, and t over clusters"), ("2", "McNemar")}
    cell = next(cell for cell in found if (cell.value, cell.branch) == ("1", "video"))
    here = folds == 1
    gains = outcomes.right("fused")[here].astype(float) - outcomes.right("video")[here]
    means = [gains[outcomes.groups["actor"][here] == one].mean() for one in map(str, range(1, 7))]
    expected = ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert cell.gain[1:] == pytest.approx((expected.low, expected.high))


def test_confusion_and_accuracy_are_scikit_learns() -> None:
    outcomes = drawn()
    for head in outcomes.heads:
        judged = outcomes.judged(head)
        expected = confusion_matrix(outcomes.labels[judged], outcomes.decided(head)[judged], labels=range(4))
        assert (outcomes.confusion(head) == expected).all()
        assert outcomes.accuracy(head) == pytest.approx(np.trace(expected) / expected.sum())


def test_cells_by_hand() -> None:
    outcomes = drawn()
    found = interference(outcomes, cluster="actor", draws=100)
    assert found.axes == ["all", "class", "fold", "actor"]
    assert len(found.on("class")) == 8
    for cell in found.cells:
        keep = {
            "all": np.ones(200, bool),
            "class": np.array([outcomes.classes[label] == cell.value for label in outcomes.labels]),
            "fold": outcomes.folds.astype(str) == cell.value,
            "actor": outcomes.groups["actor"] == cell.value,
        }[cell.axis] & outcomes.judged(cell.branch)
        ours = outcomes.probabilities["fused"][keep].argmax(1) == outcomes.labels[keep]
        theirs = outcomes.probabilities[cell.branch][keep].argmax(1) == outcomes.labels[keep]
        assert cell.samples == keep.sum()
        assert (cell.lost, cell.won) == ((theirs & ~ours).sum(), (ours & ~theirs).sum())
        p = binomtest(cell.lost, cell.lost + cell.won).pvalue if cell.lost + cell.won else 1
        over_people = cell.axis in ("all", "class")  # ten actors; two in a fold
        assert cell.test == ("McNemar, and t over clusters" if over_people else "McNemar")
        p = max(p, cluster_t_test(ours.astype(float) - theirs, outcomes.groups["actor"][keep])) if over_people else p
        assert cell.p == pytest.approx(p)
        assert cell.gain.value == pytest.approx(ours.mean() - theirs.mean())
        assert cell.gain.low <= cell.gain.value <= cell.gain.high
        lost, won = found.samples(cell)
        assert (len(lost), len(won)) == (cell.lost, cell.won)
        assert keep[lost].all()
        assert keep[won].all()


def test_an_inferior_case_placed_on_purpose_is_the_one_found() -> None:
    """The fusion of one actor follows a wrong audio; everywhere else it follows the video."""
    generator = np.random.default_rng(3)
    samples, classes = 600, 4
    labels = generator.integers(0, classes, samples)
    actors = np.array([str(1 + row // 60) for row in range(samples)])
    video = np.eye(classes)[np.where(generator.random(samples) < 0.9, labels, (labels + 1) % classes)]
    fused = np.eye(classes)[np.where(generator.random(samples) < 0.97, labels, (labels + 2) % classes)]
    fused[actors == "7"] = np.eye(classes)[(labels[actors == "7"] + generator.integers(0, 2, 60)) % classes]
    found = interference(Outcomes.of({"fused": fused, "video": video}, labels, groups={"actor": actors.tolist()}))
    assert [(cell.axis, cell.value, cell.branch) for cell in found.inferior_cases] == [("actor", "7", "video")]
    assert found.inferior_cases[0].gain.high < 0


def test_equal_heads_are_called_different_no_oftener_than_the_level_says() -> None:
    """Two heads that are right independently with the same probability: at most 5 % of data sets have a finding."""
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(60):
        labels = generator.integers(0, 4, 240)
        heads = {
            head: np.eye(4)[np.where(generator.random(240) < 0.7, labels, (labels + 1) % 4)]
            for head in ("fused", "audio")
        }
        actors = [str(row // 24) for row in range(240)]
        found = interference(Outcomes.of(heads, labels, groups={"actor": actors}), draws=10)
        hits += any(cell.established() for cell in found.on("actor"))
    assert hits <= 6


def test_expected_calibration_error_by_a_loop() -> None:
    outcomes = drawn()
    for head in outcomes.heads:
        judged = outcomes.judged(head)
        p, labels = outcomes.probabilities[head][judged], outcomes.labels[judged]
        total = 0.0
        for number in range(10):
            inside = [i for i in range(len(p)) if number / 10 < p[i].max() <= (number + 1) / 10]
            if inside:
                confidence = sum(p[i].max() for i in inside) / len(inside)
                accuracy = sum(p[i].argmax() == labels[i] for i in inside) / len(inside)
                total += len(inside) / len(p) * abs(confidence - accuracy)
        found = calibration(outcomes, head, bins=10)
        assert found.ece == pytest.approx(total)
        assert found.nll == pytest.approx(log_loss(labels, p, labels=range(4)))
        assert found.brier == pytest.approx(
            np.mean([((p[i] - np.eye(4)[labels[i]]) ** 2).sum() for i in range(len(p))])
        )
        assert sum(one.samples for one in found.bins) == len(p)


def test_who_always_says_one_class_is_right_there_out_of_habit() -> None:
    """Against scikit-learn's rates of true and false positives, one class against the others."""
    generator = np.random.default_rng(0)
    labels = generator.choice(3, 400, p=[0.6, 0.3, 0.1])
    seen = np.where(generator.random(400) < 0.8, labels, generator.integers(0, 3, 400))
    knows = np.where(labels == 0, 0, seen)  # the class 0 and no other
    audio, face = np.eye(3)[np.zeros(400, dtype=int)], np.eye(3)[knows]
    audio[::7] = np.nan
    found = interference(Outcomes.of({"fused": np.eye(3)[seen], "audio": audio, "face": face}, labels), draws=10)
    cells = {(cell.value, cell.branch): cell for cell in found.on("class")}
    for head, decided in (("audio", np.zeros(400, dtype=int)), ("face", knows)):
        judged = np.arange(400) % 7 != 0 if head == "audio" else np.ones(400, dtype=bool)
        shares = []
        for one in (seen, decided):
            (denied, claimed), _ = confusion_matrix(labels[judged] == 0, one[judged] == 0).tolist()
            shares.append(claimed / (claimed + denied))
        assert found.taken_elsewhere(cells["0", head]) == pytest.approx(tuple(shares))
    assert cells["0", "audio"].inferior
    assert found.habit(cells["0", "audio"])
    assert cells["0", "face"].inferior
    assert not found.habit(cells["0", "face"])
    assert not found.habit(cells["1", "audio"])
    whole = found.on("all")[0]
    assert np.isnan(found.taken_elsewhere(whole)).all()
    assert not found.habit(whole)


def test_of_one_class_alone_nobody_can_tell_a_habit() -> None:
    found = interference(Outcomes.of({"fused": np.eye(2)[[1] * 8], "audio": np.eye(2)[[0] * 8]}, [0] * 8), draws=10)
    cell = next(cell for cell in found.on("class") if cell.samples)
    assert cell.inferior
    assert np.isnan(found.taken_elsewhere(cell)).all()
    assert not found.habit(cell)


def test_agreement_is_cohens_kappa() -> None:
    outcomes = drawn()
    pairs = {(one.first, one.second): one for one in agreement(outcomes)}
    assert list(pairs) == [("fused", "audio"), ("fused", "video"), ("audio", "video")]
    for (first, second), one in pairs.items():
        both = outcomes.judged(first) & outcomes.judged(second)
        a, b = outcomes.decided(first)[both], outcomes.decided(second)[both]
        assert one.kappa == pytest.approx(cohen_kappa_score(a, b))
        assert one.agree == pytest.approx((a == b).mean())
        assert one.both_right + one.only_first + one.only_second + one.both_wrong == pytest.approx(1)


def test_shapley_is_the_mean_over_all_orders() -> None:
    names = ["a", "b", "c", "d"]
    generator = np.random.default_rng(0)
    value = {subset: float(generator.normal()) for subset in subsets_of(names)}
    expected = dict.fromkeys(names, 0.0)
    orders = list(itertools.permutations(names))
    for order in orders:
        before = 0.0
        for place in range(4):
            after = value[tuple(name for name in names if name in order[: place + 1])]
            expected[order[place]] += (after - before) / len(orders)
            before = after
    assert shapley(names, value) == pytest.approx(expected)
    assert sum(expected.values()) == pytest.approx(value[tuple(names)])


def posterior(joint: NDArray[np.float64], known: tuple[int, ...], x: NDArray[np.int64]) -> NDArray[np.float64]:
    """p(y | some of the x) of a joint distribution over (y, x0, x1), for each row of x."""
    rows = []
    for values in x:
        table = joint
        for axis in (1, 0):
            table = table.take(values[axis], axis=1 + axis) if axis in known else table.sum(axis=1 + axis)
        rows.append(table / table.sum())
    return np.array(rows)


def test_information_of_true_posteriors_is_the_mutual_information() -> None:
    """Data that hold a joint distribution exactly, judged by its own posteriors: I(Y; X) by its definition."""
    counts = np.random.default_rng(6).integers(1, 9, size=(3, 2, 4))
    joint = counts / counts.sum()
    cells = [cell for cell in np.ndindex(*counts.shape) for _ in range(counts[cell])]
    labels = np.array([cell[0] for cell in cells])
    x = np.array([cell[1:] for cell in cells])
    found = worth({("u",): posterior(joint, (0,), x), ("v",): posterior(joint, (1,), x),
                   ("u", "v"): posterior(joint, (0, 1), x)}, labels)  # fmt: skip

    def mutual(table: NDArray[np.float64]) -> float:
        product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
        return float((table * np.log2(table / product)).sum())

    u, v, both = mutual(joint.sum(2)), mutual(joint.sum(1)), mutual(joint.reshape(3, -1))
    assert [found.information[s] for s in (("u",), ("v",), ("u", "v"))] == pytest.approx([u, v, both])
    assert found.shares == pytest.approx({"u": (u + both - v) / 2, "v": (v + both - u) / 2})
    assert [size for size, *_ in found.curve()] == [1, 2]


def test_shares_have_intervals_over_people() -> None:
    """Worked from each sample's bits: half of what a modality tells alone, and half of what it adds to the other."""
    generator = np.random.default_rng(7)
    labels = np.repeat([0, 1], 30)
    people = np.tile(np.arange(6), 10)
    probabilities: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for subset, sure in ((("a",), 0.8), (("b",), 0.4), (("a", "b"), 0.7)):
        p = sure + 0.15 * generator.uniform(-1, 1, 60)
        probabilities[subset] = np.stack([np.where(labels == 0, p, 1 - p), np.where(labels == 1, p, 1 - p)], axis=1)
    found = worth(probabilities, labels, clusters=people.astype(str))
    a, b, both = (np.log2(2 * p[np.arange(60), labels]) for p in probabilities.values())
    for interval, bits, share in (
        (found.intervals["a"], (a + both - b) / 2, found.shares["a"]),
        (found.intervals["b"], (b + both - a) / 2, found.shares["b"]),
        (found.together, both, sum(found.shares.values())),
    ):
        means = [bits[people == one].mean() for one in range(6)]
        low, high = ttest_1samp(means, 0.0).confidence_interval(0.95)
        assert interval == pytest.approx((share, low, high))
    assert found.intervals["b"].high < 0 < found.intervals["a"].low
    unknown = np.where(np.arange(60) < 55, labels, -1)
    kept = {subset: p[:55] for subset, p in probabilities.items()}
    assert worth(probabilities, unknown, clusters=people) == worth(kept, labels[:55], clusters=people[:55])


def test_worth_needs_all_subsets() -> None:
    with pytest.raises(InputError, match=r"no probabilities of the modalities a \+ b"):
        worth({("a",): np.ones((1, 2)) / 2, ("b",): np.ones((1, 2)) / 2}, np.array([0]))


def test_heads_of_another_run_stand_beside() -> None:
    outcomes = drawn()
    order = np.random.default_rng(0).permutation(200)
    other = Outcomes.of(
        {"fused": outcomes.probabilities["video"][order]}, outcomes.labels[order], classes=outcomes.classes,
        ids=outcomes.ids[order].tolist(), folds=outcomes.folds[order],
    )  # fmt: skip
    joined = outcomes.beside("video alone", other)
    assert (joined.probabilities["video alone"] == outcomes.probabilities["video"]).all()
    with pytest.raises(InputError, match="cannot be compared sample by sample"):
        outcomes.beside("more", other.only(other.labels == 0))
    with pytest.raises(InputError, match="have a head 'audio' already"):
        outcomes.beside("audio", other)


def test_a_sample_that_stands_twice_is_not_paired() -> None:
    outcomes = drawn()
    ids = outcomes.ids.copy()
    ids[7] = ids[3]
    twice = outcomes._replace(ids=ids)
    with pytest.raises(InputError, match="'3' stands 2 times in fold 1 there"):
        outcomes.beside("other", twice)
    with pytest.raises(InputError, match="'3' stands 2 times in fold 1 here"):
        twice.beside("other", outcomes)


def test_samples_of_other_labels_are_not_paired() -> None:
    outcomes = drawn()
    labels = outcomes.labels.copy()
    labels[4] = (labels[4] + 1) % 4
    here, there = (outcomes.classes[one[4]] for one in (outcomes.labels, labels))
    with pytest.raises(InputError, match=f"'4' is '{here}' here and '{there}' there"):
        outcomes.beside("other", outcomes._replace(labels=labels))


@pytest.mark.parametrize("samples", [20, 106, 1000])
def test_the_ece_that_chance_makes_is_that_of_draws(samples: int) -> None:
    """The mean ECE over draws in which each sample is right as often as the head is sure."""
    generator, found, expected = np.random.default_rng(1), [], []
    for _ in range(300):
        sure = generator.uniform(0.5, 1, samples)
        p = np.stack([sure, 1 - sure], axis=1)
        one = calibration(Outcomes.of({"fused": p}, (generator.random(samples) > sure).astype(int)), "fused")
        expected.append(one.ece)
        found.append(one.by_chance())
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.1)
    nothing = Outcomes.of({"fused": p, "audio": np.full_like(p, np.nan)}, np.zeros(samples, dtype=int))
    assert np.isnan(calibration(nothing, "audio").by_chance())


def test_ordered_classes_are_decided_by_their_median() -> None:
    """Worked by hand, and for random scores as the target itself decides."""
    given = {"fused": np.array([[0.4, 0.25, 0.35]])}
    outcomes = Outcomes.of(given, [1], kind="ordinal")
    assert (outcomes.accuracy("fused"), Outcomes.of(given, [1]).accuracy("fused")) == (1.0, 0.0)
    assert outcomes.confidence("fused").tolist() == [0.25]
    assert calibration(outcomes, "fused").ece == pytest.approx(0.75)
    scores = torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(200) % 5
    target = Ordinal(5)
    outcomes = Outcomes.of({"fused": target.answers(scores).numpy()}, labels.numpy(), kind=target.kind)
    assert outcomes.decided("fused").tolist() == target.ranks(scores).tolist()
    assert (outcomes.decided("fused") != outcomes.probabilities["fused"].argmax(axis=1)).any()
    assert outcomes.accuracy("fused") == target.metrics(scores, labels)["accuracy"]
    assert outcomes.confusion("fused").tolist() == target.confusion(scores, labels).tolist()
    half = outcomes.only(outcomes.labels < 2)
    assert half.decided("fused").tolist() == outcomes.decided("fused")[outcomes.labels < 2].tolist()
    with pytest.raises(InputError, match=r"\(ordinal\) there"):
        Outcomes.of(outcomes.probabilities, outcomes.labels).beside("other", outcomes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"probabilities": {"audio": np.eye(2)}}, "need the head 'fused'"),
        ({"probabilities": {"fused": np.eye(3)}}, r"have shape \(3, 3\); expected \(2, 3\)"),
        ({"labels": [0, 5]}, "labels from 0 to 5 for 2 classes"),
        ({"folds": [1]}, "1 folds for 2 labels"),
        ({"kind": "regression"}, "kind 'regression'; expected 'classification' or 'ordinal'"),
    ],
)
def test_outcomes_say_what_does_not_fit(change: dict[str, object], text: str) -> None:
    given: dict[str, object] = {"probabilities": {"fused": np.eye(2)}, "labels": [0, 1], **change}
    with pytest.raises(InputError, match=text):
        Outcomes.of(**given)  # type: ignore[arg-type]


def test_samples_without_a_label_are_left_out() -> None:
    assert Outcomes.of({"fused": np.eye(3)}, [0, -1, 2]).ids.tolist() == ["0", "2"]

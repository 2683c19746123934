"""Adaptation to a group: the formulas again in plain NumPy, what it is for, and what is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpnkit.data import Corpus, FirstStep
from mrpnkit.data.adaptation import Adaptation, Enrolment, Population
from mrpnkit.data.adaptation.moments import moments_of
from mrpnkit.errors import CorpusError, InputError

WIDTH = 3


def people(samples: int = 12, persons: int = 8, *, seed: int = 0, steps: int = 4) -> Corpus:
    """Persons with means and spreads of their own; two emotions that move every number by the same amount."""
    generator = np.random.default_rng(seed)
    own = 5 * generator.standard_normal((persons, WIDTH))
    scale = np.exp(generator.normal(0, 0.3, (persons, WIDTH)))
    owner = np.repeat(np.arange(persons), samples)
    labels = np.tile(np.arange(samples) % 2, persons)
    voices = [
        own[o] + scale[o] * ((2 * label - 1) + 0.5 * generator.standard_normal((steps + row % 3, WIDTH)))
        for row, (o, label) in enumerate(zip(owner, labels, strict=True))
    ]
    return Corpus.from_arrays(
        {"audio": voices, "face": generator.standard_normal((samples * persons, 2))},
        {"emotion": [["calm", "happy"][label] for label in labels]},
        groups={"actor": [f"p{o}" for o in owner]},
    )


def rows_of(corpus: Corpus, *names: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(corpus.groups["actor"], names))


def test_statistics_by_the_formulas() -> None:
    """m_g and s_g of an enrolled group, from its samples and the population, number by number."""
    corpus = people()
    train = rows_of(corpus, *[f"p{number}" for number in range(6)])
    fitted = Adaptation.fit(corpus, "actor", train, modalities=["audio"], strength=4.0)

    def of_group(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        parts = [np.asarray(corpus.read("audio", int(row)), dtype=np.float64) for row in rows]
        means = np.array([part.mean(0) for part in parts])
        spread = means.var(0, ddof=1)
        return means.mean(0), np.mean([part.var(0) for part in parts], axis=0) + spread, spread

    groups = [of_group(rows_of(corpus, f"p{number}")) for number in range(6)]
    mean = np.mean([g[0] for g in groups], axis=0)
    variance, within = (np.mean([g[k] for g in groups], axis=0) for k in (1, 2))
    between = np.maximum(np.var([g[0] for g in groups], axis=0, ddof=1) - within / 12, 0)
    chosen = rows_of(corpus, "p7")[:5]
    enrolled = fitted.enrol("p7", {"audio": [corpus.read("audio", int(row)) for row in chosen]})
    own = of_group(chosen)
    weight = 5 / (5 + within / between)
    found, scale = enrolled.statistics("p7", "audio")
    np.testing.assert_allclose(found, weight * own[0] + (1 - weight) * mean)
    np.testing.assert_allclose(scale**2, (4 * own[1] + 4.0 * variance) / (4 + 4.0))
    nobody, everywhere = enrolled.statistics("p9", "audio")
    np.testing.assert_allclose(nobody, mean)
    np.testing.assert_allclose(everywhere**2, variance)


@pytest.mark.parametrize("steps", [1, 4, 2000])
@pytest.mark.parametrize("samples", [2, 3, 10])
def test_the_variance_of_few_samples_has_no_bias(samples: int, steps: int) -> None:
    """Of independent steps of variance 1, on average over many groups, however few and long the samples are."""
    generator = np.random.default_rng(0)
    draws = 20 if steps == 2000 else 400
    found = []
    for _ in range(draws):
        parts = generator.normal(3, 1, (samples, steps, 10))
        moments = moments_of(list(parts), modality="m")
        assert moments is not None
        found.append(moments.variance)
        if steps == 1:
            np.testing.assert_allclose(moments.variance, parts[:, 0].var(0, ddof=1), atol=1e-12)
    numbers = np.concatenate(found)
    assert abs(numbers.mean() - 1) < 4 * numbers.std() / len(numbers) ** 0.5


def test_the_variance_of_one_sample_is_that_of_its_steps() -> None:
    part = np.random.default_rng(0).normal(5, 2, (30, 3))
    moments = moments_of([part], modality="m")
    assert moments is not None
    np.testing.assert_allclose(moments.variance, part.var(0))
    np.testing.assert_array_equal(moments.spread, 0)


def test_what_is_a_persons_own_goes_away() -> None:
    corpus = people()
    train = rows_of(corpus, *[f"p{number}" for number in range(6)])
    fitted = Adaptation.fit(corpus, "actor", train)
    clips = [corpus.read("audio", int(row)) for row in rows_of(corpus, "p6")]
    adapted = fitted.enrol("p6", {"audio": clips}).apply(corpus, "actor")
    raw, found = ([np.mean([c.read("audio", int(r)).mean(0) for r in rows_of(corpus, n)], axis=0) for n in ("p0", "p6")]
                  for c in (corpus, adapted))  # fmt: skip
    assert np.abs(raw[0] - raw[1]).max() > 1
    assert np.abs(found[0] - found[1]).max() < 0.15
    assert adapted.modalities["audio"].steps.dtype == np.float32
    assert (adapted.modalities["audio"].lengths == corpus.modalities["audio"].lengths).all()
    assert adapted.about["adapted"]["column"] == "actor"
    calm, happy = (np.mean([adapted.read("audio", int(r)).mean() for r in rows_of(corpus, "p6")
                            if corpus.targets["emotion"][r] == label]) for label in (0, 1))  # fmt: skip
    assert happy - calm > 1


def test_few_samples_count_less() -> None:
    """One clip moves the mean a little way, many nearly all of it; numbers that differ less between people less."""
    population = Population(np.zeros(2), np.ones(2), np.array([1.0, 1.0]), np.array([9.0, 0.1]))
    fitted = Adaptation({"": {"audio": population}})
    clip = np.full((4, 2), 10.0)
    few, many = (fitted.enrol("x", {"audio": [clip] * n}).statistics("x", "audio")[0] for n in (1, 50))
    np.testing.assert_allclose(few, [10 * 1 / (1 + 1 / 9), 10 * 1 / (1 + 1 / 0.1)])
    assert few[1] < many[1] < 10
    assert few[0] < many[0] < 10


def test_one_condition_is_taken_for_what_it_is() -> None:
    """A person enrolled from happy clips alone is placed as one enrolled from all, since the population tells how much
    happy clips differ."""
    corpus = people(samples=40, persons=12)
    train = rows_of(corpus, *[f"p{number}" for number in range(10)])
    fitted = Adaptation.fit(corpus, "actor", train, modalities=["audio"], condition="emotion")
    assert set(fitted.population) == {"", "calm", "happy"}
    mine = rows_of(corpus, "p11")
    happy = [corpus.read("audio", int(row)) for row in mine if corpus.targets["emotion"][row] == 1]
    truth = fitted.enrol("p11", {"audio": [corpus.read("audio", int(r)) for r in mine]}).statistics("p11", "audio")
    told = fitted.enrol("p11", {"audio": happy}, condition="happy").statistics("p11", "audio")
    naive = fitted.enrol("p11", {"audio": happy}).statistics("p11", "audio")
    assert np.abs(told[0] - truth[0]).max() < 0.5 * np.abs(naive[0] - truth[0]).max()


def test_stored_and_read_back(tmp_path: Path) -> None:
    corpus = people()
    fitted = Adaptation.fit(corpus, "actor", condition="emotion", strength=3.0)
    read = Adaptation.load(fitted.save(tmp_path / "people.npz"))
    assert read.strength == 3.0
    for group in ("p0", "p5", "nobody"):
        for modality in ("audio", "face"):
            for ours, theirs in zip(fitted.statistics(group, modality), read.statistics(group, modality), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert set(read.population) == {"", "calm", "happy"}
    (tmp_path / "other.npz").write_bytes(b"no")
    with pytest.raises(CorpusError, match=r"other\.npz holds no adaptation"):
        Adaptation.load(tmp_path / "other.npz")


def test_the_population_stands_beside() -> None:
    """Twice as wide: first as without the option, then (x − m) / s of the population; stored and read back too."""
    corpus = people()
    plain = Adaptation.fit(corpus, "actor", strength=3.0)
    both = Adaptation.fit(corpus, "actor", strength=3.0, with_population=True)
    mean, scale = plain.statistics("nobody", "audio")
    row = int(rows_of(corpus, "p3")[0])
    x = np.asarray(corpus.read("audio", row), dtype=np.float64)
    expected = np.concatenate([plain.normalise("p3", "audio", x), (x - mean) / scale], axis=1)
    np.testing.assert_allclose(both.normalise("p3", "audio", x), expected, rtol=1e-5)
    np.testing.assert_array_equal(both.normalise("", "audio", x), np.tile(plain.normalise("", "audio", x), 2))
    for adapted in (
        both.apply(corpus, "actor"),
        both.of_population().with_enrolled(Enrolment()).apply(corpus, "actor"),
    ):
        assert adapted.features("audio") == 2 * corpus.features("audio")
    np.testing.assert_allclose(both.apply(corpus, "actor").read("audio", row), expected, rtol=1e-5)


def test_names_of_features_stay_where_the_features_do() -> None:
    """Beside the population every number stands twice, and the names are no longer those of a step's numbers."""
    corpus = people()
    corpus.modalities["audio"] = corpus.modalities["audio"]._replace(feature_names=("f0", "loudness", "rate"))
    train = np.arange(len(corpus))
    plain, both = (
        Adaptation.fit(corpus, "actor", train, modalities=["audio"], with_population=x) for x in (False, True)
    )
    assert plain.apply(corpus, "actor").modalities["audio"].feature_names == ("f0", "loudness", "rate")
    assert both.apply(corpus, "actor").modalities["audio"].feature_names is None
    assert plain.apply(corpus, "actor").modalities["audio"].rate == corpus.modalities["audio"].rate


def test_the_population_stands_beside_on_disk_and_in_pictures(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).normal(size=(12, 3, 4, 5)) + np.repeat(np.arange(4.0), 3)[:, None, None, None]
    corpus = Corpus.from_arrays(
        {"face": list(pictures[:, None])}, {"y": [0, 1] * 6}, groups={"who": list("aaabbbcccddd")}
    )
    fitted = Adaptation.fit(corpus, "who", with_population=True)
    read = Adaptation.load(fitted.save(tmp_path / "people.npz")).apply(corpus, "who")
    plain = Adaptation.fit(corpus, "who")
    assert read.modalities["face"].steps.shape == (12, 6, 4, 5)
    np.testing.assert_allclose(
        read.modalities["face"].steps[:, :3], plain.apply(corpus, "who").modalities["face"].steps
    )
    of_population = plain.of_population().apply(corpus, "who").modalities["face"].steps
    np.testing.assert_allclose(read.modalities["face"].steps[:, 3:], of_population, rtol=1e-6)


def test_a_window_chooses_which_steps_are_measured() -> None:
    corpus = people()
    first = Adaptation.fit(corpus, "actor", window=FirstStep()).groups["p0"]["audio"]
    expected = np.mean([corpus.read("audio", int(row))[0] for row in rows_of(corpus, "p0")], axis=0)
    np.testing.assert_allclose(first.mean, expected)


def test_absent_samples_are_left_out() -> None:
    corpus = Corpus.from_arrays(
        {"audio": [np.ones((2, 1)), np.zeros((0, 1)), np.full((1, 1), 3.0), np.full((1, 1), 5.0)]},
        {"y": [0, 1, 0, 1]}, groups={"actor": ["a", "a", "b", "b"]},
    )  # fmt: skip
    fitted = Adaptation.fit(corpus, "actor")
    assert fitted.groups["a"]["audio"].samples == 1
    assert len(fitted.apply(corpus, "actor").read("audio", 1)) == 0


def test_what_cannot_be_is_said() -> None:
    corpus = people()
    with pytest.raises(InputError, match="no column 'speaker'; it has actor"):
        Adaptation.fit(corpus, "speaker")
    with pytest.raises(InputError, match="no modality 'pulse'"):
        Adaptation.fit(corpus, "actor", modalities=["pulse"])
    with pytest.raises(InputError, match="no target or column 'mood'"):
        Adaptation.fit(corpus, "actor", condition="mood")
    with pytest.raises(InputError, match="1 groups of 'actor' have 'audio'; a population needs two"):
        Adaptation.fit(corpus, "actor", rows_of(corpus, "p0"))
    fitted = Adaptation.fit(corpus, "actor")
    with pytest.raises(InputError, match="no condition 'sad' was fitted"):
        fitted.enrol("x", {}, condition="sad")
    with pytest.raises(InputError, match="have another width than 3"):
        fitted.enrol("x", {"audio": [np.zeros((2, 5), dtype=np.float32)]})
    with pytest.raises(InputError, match="no statistics of the modality 'pulse'"):
        fitted.enrol("x", {"pulse": [np.zeros((2, 5), dtype=np.float32)]})
    with pytest.raises(InputError, match="the corpus has no column 'speaker'"):
        fitted.apply(corpus, "speaker")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("kind", np.array("adaptation"), "it is of kind 'adaptation'"),
        ("format", np.array(9), "it has format 9, and this version reads 1"),
        ("groups/0/face/mean", np.array([0.0, np.nan]), "values that it cannot have"),
        ("groups/0/face/variance", np.array([1.0, -1.0]), "values that it cannot have"),
        ("groups/0/face/spread", np.zeros(3), r"has shape \(3,\)"),
        ("groups/0/face/samples", np.array(0), "no number of samples"),
        ("groups/0/face/samples", np.array([1]), "no number of samples"),
        ("groups/0/face/mean", np.array([{}, {}], dtype=object), "Python objects, which are never loaded"),
        ("groups", np.array(["anna", "anna"]), "a name stands twice"),
        ("condition_of_group", np.array([], dtype=np.str_), "0 conditions of 1 groups"),
        ("modalities", np.array([], dtype=np.str_), "at least one sample"),
    ],
)
def test_a_file_is_distrusted(name: str, value: NDArray[Any], says: str, tmp_path: Path) -> None:
    file = Enrolment().enrol("anna", {"face": [np.zeros((1, 2)), np.ones((1, 2))]}).save(tmp_path / "people.npz")
    with np.load(file) as stored:
        arrays: dict[str, Any] = dict(stored)
    np.savez(file, **{**arrays, name: value})
    with pytest.raises(CorpusError, match=rf"people\.npz holds no enrolment.*{says}"):
        Enrolment.load(file)

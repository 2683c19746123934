"""The corpus in memory and on disk: what goes in comes out, what is wrong is named, what is broken is no corpus."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrpnkit.data import Corpus, CorpusWriter, Modality
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.extractors import Linear

DTYPES = ["float32", "float16", "uint8", "int16", "int64", "bool"]


def clips() -> Corpus:
    """Three samples: a ragged modality that the second one lacks, a vector modality, two targets, a group."""
    return Corpus.from_arrays(
        {
            "video": [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.array([[7.0, 8.0]])],
            "age": np.array([[20.0], [30.0], [40.0]]),
        },
        {"emotion": ["happy", "calm", "happy"], "valence": [0.25, float("nan"), -1.0]},
        ids=["a", "b", "c"],
        groups={"actor": [1, 2, 1]},
        rates={"video": 25.0},
    )


def test_from_arrays() -> None:
    corpus = clips()
    assert len(corpus) == 3
    assert corpus.modalities["video"].lengths.tolist() == [3, 0, 1]
    assert corpus.modalities["video"].steps.tolist() == [[0, 1], [2, 3], [4, 5], [7, 8]]
    assert corpus.modalities["video"].rate == 25.0
    assert corpus.modalities["age"].lengths.tolist() == [1, 1, 1]
    assert corpus.modalities["age"].rate is None
    assert corpus.modalities["age"].steps.dtype == np.float32
    assert corpus.targets["emotion"].tolist() == [1, 0, 1]
    assert corpus.classes == {"emotion": ["calm", "happy"]}
    np.testing.assert_array_equal(corpus.targets["valence"], np.array([0.25, np.nan, -1.0], np.float32))
    assert corpus.groups["actor"].tolist() == ["1", "2", "1"]
    assert corpus.features("video") == 2
    assert corpus.labels("emotion").dtype == torch.int64
    assert corpus.labels("valence").dtype == torch.float32
    assert repr(corpus) == (
        "Corpus(3 samples; video float32[2], age float32[1]; targets ['emotion', 'valence']; groups ['actor'])"
    )


def test_ids_are_numbered_unless_given() -> None:
    assert Corpus.from_arrays({"m": np.zeros((3, 1))}, {"y": [0, 1, 0]}).ids == ["0", "1", "2"]


def test_integer_labels_keep_their_numbers() -> None:
    corpus = Corpus.from_arrays({"m": np.zeros((3, 1))}, {"y": np.array([0, 3, -1], np.int32)})
    assert corpus.targets["y"].dtype == np.int64
    assert corpus.targets["y"].tolist() == [0, 3, -1]
    assert corpus.classes["y"] == ["0", "1", "2", "3"]


def test_declared_classes_give_the_order_of_labels() -> None:
    features = {"m": np.zeros((2, 1))}
    named = Corpus.from_arrays(features, {"y": ["a", "b"]}, classes={"y": ["c", "b", "a"]})
    assert named.targets["y"].tolist() == [2, 1]
    numbered = Corpus.from_arrays(features, {"y": torch.tensor([2, 0])}, classes={"y": ["c", "b", "a"]})
    assert numbered.targets["y"].tolist() == [2, 0]
    assert numbered.classes == {"y": ["c", "b", "a"]}


def test_a_class_name_may_be_missing() -> None:
    corpus = Corpus.from_arrays({"m": np.zeros((3, 1))}, {"y": ["b", None, "a"]})
    assert corpus.targets["y"].tolist() == [1, -1, 0]
    assert corpus.classes["y"] == ["a", "b"]


def test_numbers_without_an_axis_are_steps_of_one_number() -> None:
    corpus = Corpus.from_arrays({"age": np.array([20, 30])}, {"y": [0, 1]})
    assert corpus.modalities["age"].steps.tolist() == [[20], [30]]
    wave = Corpus.from_arrays({"wave": [np.zeros(5, np.int16), np.ones(2, np.int16)]}, {"y": [0, 1]})
    assert wave.modalities["wave"].steps.tolist() == [[0]] * 5 + [[1]] * 2
    assert wave.features("wave") == 1
    steps = Linear(1, 3)(wave.batch("wave", np.array([1, 0]))).steps  # a scalar step would be refused here
    assert steps.shape == (7, 3)


def test_batch_equals_samples_one_by_one() -> None:
    corpus = clips()
    rows = np.array([2, 1, 0, 2])
    for name in corpus.modalities:
        batch = corpus.batch(name, rows)
        assert [piece.tolist() for piece in batch.unbind()] == [corpus.read(name, int(row)).tolist() for row in rows]
        batch.steps.zero_()
    assert corpus.read("video", 0).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert corpus.read("age", 0).tolist() == [[20]]


@settings(max_examples=40)
@given(data=st.data())
def test_round_trip(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    count = data.draw(st.integers(1, 5))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    names = data.draw(st.lists(st.text(max_size=5), min_size=count, max_size=count, unique=True))
    groups = data.draw(st.lists(st.text(max_size=3), min_size=count, max_size=count))
    modalities: dict[str, Any] = {}
    for place in range(data.draw(st.integers(1, 3))):
        dtype = data.draw(st.sampled_from(DTYPES))
        step = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
        lengths = data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
        modalities[f"m{place}"] = [generator.integers(0, 200, (n, *step)).astype(dtype) for n in lengths]
    labels = generator.integers(-1, 3, count)
    values = np.where(generator.random(count) < 0.3, np.nan, generator.standard_normal(count))
    corpus = Corpus.from_arrays(
        modalities,
        {"label": labels, "value": values},
        ids=names,
        groups={"group": groups},
        classes={"label": ["x", "y, z", 'quoted "q"']},
        rates={"m0": 12.5},
    )
    folder = corpus.save(tmp_path_factory.mktemp("corpus") / "made" / "here")
    opened = Corpus.open(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["here"]
    assert opened.ids == names
    assert opened.classes == corpus.classes
    assert opened.groups["group"].tolist() == groups
    np.testing.assert_array_equal(opened.targets["label"], labels)
    np.testing.assert_array_equal(opened.targets["value"], values.astype(np.float32))
    assert list(opened.modalities) == list(modalities)
    assert opened.modalities["m0"].rate == 12.5
    for name, samples in modalities.items():
        assert isinstance(opened.modalities[name].steps, np.memmap)
        for row, sample in enumerate(samples):
            found = opened.read(name, row)
            assert found.dtype == sample.dtype
            np.testing.assert_array_equal(found, sample if sample.ndim > 1 else sample[:, None])


def test_texts_that_a_table_could_trip_over(tmp_path: Path) -> None:
    names = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", " a ", "ą → β", "'", "#"]
    features = {"m": np.zeros((len(names), 1))}
    path = Corpus.from_arrays(features, {"y": names}, ids=names, groups={"g": names}).save(tmp_path / "corpus")
    corpus = Corpus.open(path)
    assert corpus.ids == names
    assert corpus.groups["g"].tolist() == names
    assert [corpus.classes["y"][label] for label in corpus.targets["y"]] == names


@pytest.mark.parametrize("values", [np.arange(4, dtype=">f4"), np.arange(4, dtype=">i2")])
def test_foreign_byte_order_becomes_that_of_this_machine(values: np.ndarray) -> None:
    corpus = Corpus.from_arrays({"m": [values[:1], values[1:]]}, {"y": [0, 1]})
    assert corpus.batch("m", np.array([0, 1])).steps.tolist() == [[0], [1], [2], [3]]


def test_text_on_disk(tmp_path: Path) -> None:
    folder = clips().save(tmp_path / "corpus")
    assert (
        folder / "samples.csv"
    ).read_text() == "id,emotion,valence,actor\na,happy,0.25,1\nb,calm,,2\nc,happy,-1.0,1\n"
    about = json.loads((folder / "corpus.json").read_text())
    assert about["modalities"]["video"] == {"dtype": "float32", "step": [2], "rate": 25.0}
    assert about["targets"] == {"emotion": ["calm", "happy"], "valence": None}
    np.testing.assert_array_equal(np.load(folder / "video.steps.npy"), [[0, 1], [2, 3], [4, 5], [7, 8]])
    np.testing.assert_array_equal(np.load(folder / "video.lengths.npy"), [3, 0, 1])


def test_a_window_is_a_view_of_the_file_and_of_its_bytes_only(tmp_path: Path) -> None:
    movie = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
    path = Corpus.from_arrays({"movie": [movie[:1], movie]}, {"y": [0, 1]}).save(tmp_path / "corpus")
    corpus = Corpus.open(path)
    window = corpus.read("movie", 1, (2, 4))
    assert isinstance(window, np.memmap)
    np.testing.assert_array_equal(window, movie[2:])
    whole = corpus.modalities["movie"].steps
    assert np.shares_memory(window, whole)
    assert window.nbytes == 12
    assert window.ctypes.data - whole.ctypes.data == 3 * 6  # one step of the first sample, two before the window
    assert corpus.read("movie", 1, (2, 2)).shape == (0, 2, 3)


@pytest.mark.parametrize("window", [(0, 4), (2, 1), (-1, 1)])
def test_a_window_outside_the_sample_is_refused(window: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"'video' of sample 'a' has 3 steps; no window {window[0]}:{window[1]}"):
        clips().read("video", 0, window)


@pytest.mark.parametrize(
    ("modalities", "targets", "options", "text"),
    [
        ({"m": np.array([[0.0], [np.nan]])}, {"y": [0, 1]}, {"ids": ["p", "q"]}, r"'m' of sample 'q' has NaN or inf"),
        (
            {"m": [np.zeros((1, 2)), np.array([[0, 0], [np.inf, 0]])]},
            {"y": [0, 1]},
            {},
            r"'m' of sample '1' has NaN or infinity at step 1. Mend the feature, or give the sample no steps",
        ),
        ({"m": np.zeros((3, 1))}, {"y": [0, 1]}, {}, r"Modality 'm' has 3 samples.* 2"),
        ({"m": [np.zeros((1, 2)), np.zeros((1, 3))]}, {"y": [0, 1]}, {}, r"'m' has steps of different shapes \[\(2,\)"),
        ({"m": np.array(["a", "b"])}, {"y": [0, 1]}, {}, r"'m' of sample '0' has type <U1; expected numbers"),
        ({"m": np.zeros((2, 0))}, {"y": [0, 1]}, {}, r"'m' of sample '0' has steps of shape \(0,\), which hold no num"),
        ({"m": [1.0, 2.0]}, {"y": [0, 1]}, {}, r"'m' of sample '0' is a scalar; expected steps of shape"),
        (
            {"m": np.zeros((2, 1))},
            {"y": np.zeros((2, 2, 2))},
            {},
            r"Target 'y' has shape \(2, 2, 2\); expected one val",
        ),
        (
            {"m": np.zeros((2, 1))},
            {"y": np.full((2, 2), 0.5)},
            {},
            r"the label '0' of sample 0 is 0.5; expected 1 where",
        ),
        ({"m": np.zeros((2, 1))}, {"y": [0, -2]}, {}, r"label -2 of sample 1 is out of range; 1 classes"),
        (
            {"m": np.zeros((2, 1))},
            {"y": [0, 2]},
            {"classes": {"y": ["a", "b"]}},
            r"Target 'y': label 2 of sample 1 is out of range; 2 classes have labels 0 to 1, and −1 means missing",
        ),
        (
            {"m": np.zeros((2, 1))},
            {"y": ["a", "z"]},
            {"classes": {"y": ["a", "b"]}},
            r"Target 'y': classes \['z'\] are not among the declared \['a', 'b'\]",
        ),
        ({"m": np.zeros((2, 1))}, {}, {}, r"no targets; expected a mapping such as \{'emotion': labels\}"),
        (
            {"m": np.zeros((3, 1))},
            {"y": np.array([[0], [2], [1]])},
            {},
            r"Target 'y' has shape \(3, 1\), as one label has .* flatten it to shape \(3,\), such as by y.ravel\(\)",
        ),
        ({"m": np.zeros((2, 1))}, {"y": np.array([[0.5], [1.5]])}, {}, r"has shape \(2, 1\), .* flatten it"),
        ({"m": np.zeros((2, 1))}, {"y": np.array([["a"], ["b"]])}, {}, r"has shape \(2, 1\), .* flatten it"),
        (
            {"m": np.zeros((2, 1))},
            {"y": np.array([[0], [1]])},
            {"classes": {"y": ["calm", "happy"]}},
            r"has shape \(2, 1\), .* flatten it",
        ),
    ],
)
def test_from_arrays_says_what_is_wrong(modalities: Any, targets: Any, options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Corpus.from_arrays(modalities, targets, **options)


@pytest.mark.parametrize(
    ("modalities", "targets", "options", "text"),
    [
        ({"m": np.zeros((0, 1))}, {"y": []}, {}, r"The corpus is empty: it has no samples"),
        ({"m": []}, {"y": []}, {}, r"The corpus is empty: it has no samples"),
        ({}, {"y": [0, 1]}, {}, r"The corpus has no modality"),
        ({"m": np.zeros((2, 1))}, {"y": ["", "b"]}, {}, r"classes of 'y' must be distinct and have a name, got"),
        ({"m": np.zeros((2, 1))}, {"y": ["a", "b"]}, {"classes": {"y": "aba"}}, r"classes of 'y' must be distinct"),
        ({"m": np.zeros((2, 1))}, {"y": [0, 1]}, {"ids": ["a", "a"]}, r"The sample id 'a' stands more than once"),
        ({"m": np.zeros((2, 1))}, {"y": [0, 1], "z": [1]}, {}, r"The target 'z' has 1 values for 2 samples"),
        ({"m": np.zeros((2, 1))}, {"y": [0, 1]}, {"groups": {"g": "abc"}}, r"The group 'g' has 3 values for 2 samples"),
    ],
)
def test_a_corpus_that_does_not_fit(modalities: Any, targets: Any, options: Any, text: str) -> None:
    with pytest.raises(CorpusError, match=text):
        Corpus.from_arrays(modalities, targets, **options)


def test_lengths_that_do_not_add_up() -> None:
    steps = np.zeros((5, 2), np.float32)
    labels = {"y": np.zeros(2, np.int64)}
    with pytest.raises(CorpusError, match=r"'m': 2 lengths that add up to 4, for 2 samples and 5 steps"):
        Corpus(["a", "b"], {"m": Modality(steps, np.array([1, 3]))}, labels)
    with pytest.raises(CorpusError, match=r"'m': 3 lengths that add up to 5, for 2 samples and 5 steps"):
        Corpus(["a", "b"], {"m": Modality(steps, np.array([1, 3, 1]))}, labels)


def damaged(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps(about | changes))


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda f: damaged(f, format=99), r"corpus format 99; this version reads format 1. Prepare it anew"),
        (lambda f: damaged(f, modalities=["video"]), r"cannot be opened as a corpus: AttributeError"),
        (
            lambda f: damaged(f, targets={"emotion": ["calm"], "valence": None}),
            r"classes \['happy'\]; corpus.json knows",
        ),
        (lambda f: damaged(f, groups=["actor", "sex"]), r"samples.csv lacks the columns \['sex'\]"),
        (lambda f: (f / "corpus.json").write_text("[1]"), r"cannot be opened as a corpus: TypeError"),
        (lambda f: (f / "corpus.json").write_text('{"format": 1'), r"cannot be opened as a corpus: JSONDecodeError"),
        (
            lambda f: (f / "corpus.json").write_bytes(b"\xff\xfe\x00"),
            r"cannot be opened as a corpus: UnicodeDecodeError",
        ),
        (lambda f: (f / "corpus.json").unlink(), r"is no corpus: it has no corpus.json. A corpus is made by"),
        (lambda f: (f / "samples.csv").unlink(), r"cannot be opened as a corpus: FileNotFoundError"),
        (lambda f: (f / "samples.csv").write_text("id,emotion,valence,actor\n"), r"samples.csv has no samples"),
        (lambda f: (f / "video.steps.npy").unlink(), r"cannot be opened as a corpus: FileNotFoundError.*video.steps"),
        (lambda f: (f / "video.steps.npy").write_bytes(b""), r"cannot be opened as a corpus"),
        (lambda f: (f / "video.lengths.npy").write_bytes(b""), r"cannot be opened as a corpus: EOFError"),
        (lambda f: (f / "video.steps.npy").write_bytes(b"not numpy"), r"cannot be opened as a corpus"),
        (
            lambda f: np.save(f / "video.lengths.npy", np.array([3, 0, 2])),
            r"3 lengths that add up to 5, .* and 4 steps",
        ),
        (
            lambda f: (f / "samples.csv").write_text("id,emotion,valence,actor\na,calm,much,1\n"),
            r"cannot be opened as a corpus: ValueError: could not convert string to float: 'much'",
        ),
    ],
)
def test_a_damaged_folder_is_no_corpus(damage: Any, text: str, tmp_path: Path) -> None:
    folder = clips().save(tmp_path / "corpus")
    damage(folder)
    with pytest.raises(CorpusError, match=text):
        Corpus.open(folder)


def test_a_truncated_file_is_no_corpus(tmp_path: Path) -> None:
    folder = clips().save(tmp_path / "corpus")
    with (folder / "video.steps.npy").open("r+b") as file:
        file.truncate(140)
    with pytest.raises(CorpusError, match="cannot be opened as a corpus"):
        Corpus.open(folder)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere is no corpus: it has no corpus.json"):
        Corpus.open(tmp_path / "nowhere")


def test_writer_makes_files_that_numpy_reads(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    samples = [generator.standard_normal((length, 3, 2)).astype(np.float32) for length in (2, 0, 130, 1)]
    with CorpusWriter(tmp_path / "corpus", classes={"y": ["a", "b"]}, about={"source": "drawn"}) as writer:
        for number, sample in enumerate(samples):
            assert not (tmp_path / "corpus").exists()
            writer.add(str(number), {"m": sample, "t": torch.full((2,), number)}, {"y": "ab"[number % 2], "z": None})
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    np.testing.assert_array_equal(np.load(tmp_path / "corpus" / "m.steps.npy"), np.concatenate(samples))
    assert np.load(tmp_path / "corpus" / "t.steps.npy").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.about == {"source": "drawn"}
    assert corpus.targets["y"].tolist() == [0, 1, 0, 1]
    assert np.isnan(corpus.targets["z"]).all()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_nothing_is_left_after_an_error(error: type[BaseException], tmp_path: Path) -> None:
    def write() -> None:
        with CorpusWriter(tmp_path / "corpus") as writer:
            writer.add("a", {"m": np.zeros((1, 2))}, {"y": 1.0})
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_corpus_is_not_written(tmp_path: Path) -> None:
    with (
        pytest.raises(CorpusError, match="no sample was added; an empty corpus is not written"),
        CorpusWriter(tmp_path / "corpus"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    folder = clips().save(tmp_path / "corpus")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CorpusError, match="corpus exists already; remove it or choose another folder"):
        clips().save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_an_earlier_version_left_when_killed_is_no_corpus_and_in_nobodys_way(tmp_path: Path) -> None:
    partial = tmp_path / "corpus.partial"
    partial.mkdir()
    np.save(partial / "old.steps.npy", np.zeros(3))
    with pytest.raises(CorpusError, match="is no corpus"):
        Corpus.open(partial)
    clips().save(tmp_path / "corpus")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert Corpus.open(tmp_path / "corpus").ids == ["a", "b", "c"]
    assert not (tmp_path / "corpus" / "old.steps.npy").exists()


@pytest.mark.parametrize(
    ("name", "modalities", "targets", "text"),
    [
        (
            "b",
            {"m": np.zeros((1, 3))},
            {"y": "x"},
            r"'m' of sample 'b' has steps of float32 \(3,\); those of the first",
        ),
        ("b", {"m": np.zeros((1, 2), np.uint8)}, {"y": "x"}, r"'m' of sample 'b' has steps of uint8 \(2,\); those of"),
        ("b", {"m": np.full((1, 2), np.nan)}, {"y": "x"}, r"'m' of sample 'b' has NaN or infinity at step 0"),
        (
            "b",
            {"n": np.zeros((1, 2))},
            {"y": "x"},
            r"Sample 'b' has the columns .* modalities \['n'\]; the first sample",
        ),
        ("b", {"m": np.zeros((1, 2))}, {"z": "x"}, r"Sample 'b' has the columns \['id', 'z'\]"),
        ("b", {"m": np.zeros((1, 2))}, {"y": "w"}, r"Sample 'b': 'w' is no class of 'y'; its classes are \['x', 'v'\]"),
        ("a", {"m": np.zeros((1, 2))}, {"y": "x"}, r"The sample 'a' was added already; ids must be unique"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_and_the_rest_kept(
    name: str, modalities: Any, targets: Any, text: str, tmp_path: Path
) -> None:
    with CorpusWriter(tmp_path / "corpus", classes={"y": ["x", "v"]}) as writer:
        writer.add("a", {"m": np.ones((2, 2))}, {"y": "x"})
        with pytest.raises(InputError, match=text):
            writer.add(name, modalities, targets)
        writer.add("c", {"m": np.zeros((1, 2))}, {"y": None})
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.ids == ["a", "c"]
    assert corpus.modalities["m"].steps.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert corpus.targets["y"].tolist() == [0, -1]


def test_a_first_sample_that_is_refused_decides_nothing(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "corpus", classes={"y": ["x"]}) as writer:
        with pytest.raises(InputError, match="is no class"):
            writer.add("a", {"m": np.ones((2, 2)), "n": np.ones(3)}, {"y": "w"})
        with pytest.raises(InputError, match="NaN"):
            writer.add("a", {"m": np.ones((2, 2)), "n": np.full(3, np.nan)}, {"y": "x"})
        writer.add("b", {"n": np.ones((1, 4))}, {"y": "x"})
    corpus = Corpus.open(tmp_path / "corpus")
    assert list(corpus.modalities) == ["n"]
    assert corpus.modalities["n"].steps.tolist() == [[1, 1, 1, 1]]
    assert sorted(path.name for path in (tmp_path / "corpus").glob("*.npy")) == ["n.lengths.npy", "n.steps.npy"]


@pytest.mark.parametrize("name", ["", ".", "..", ".m", "a/x", "/m", "../../m", "a\\x", "a..b", "a\0"])
def test_a_modality_whose_name_no_file_can_have(name: str, tmp_path: Path) -> None:
    """Such a name would write and read outside the folder."""
    features = {name: np.zeros((1, 2), dtype=np.float32)}
    with pytest.raises(CorpusError, match=r"A modality cannot be called .* Give a name that is not empty"):
        Corpus.from_arrays(features, {"y": [0]})
    with CorpusWriter(tmp_path / "deep" / "corpus") as writer:
        with pytest.raises(CorpusError, match="A modality cannot be called"):
            writer.add("a", features, {"y": 0.0})
        writer.add("a", {"m": features[name]}, {"y": 0.0})
    folder = tmp_path / "deep" / "corpus"
    assert sorted(path.name for path in tmp_path.rglob("*.npy")) == ["m.lengths.npy", "m.steps.npy"]
    content = json.loads((folder / "corpus.json").read_text())
    content["modalities"] = {name: content["modalities"]["m"]}
    (folder / "corpus.json").write_text(json.dumps(content))
    with pytest.raises(CorpusError, match="A modality cannot be called"):
        Corpus.open(folder)


def test_names_with_a_dot_inside_stay(tmp_path: Path) -> None:
    corpus = Corpus.from_arrays({"wav2vec.2": np.zeros((1, 2))}, {"y": [0]})
    assert list(Corpus.open(corpus.save(tmp_path / "corpus")).modalities) == ["wav2vec.2"]


@pytest.mark.parametrize(("target", "group"), [("id", "actor"), ("y", "id"), ("actor", "actor")])
def test_columns_of_one_name_are_refused(target: str, group: str, tmp_path: Path) -> None:
    corpus = Corpus.from_arrays({"m": np.zeros((2, 1))}, {target: [0, 1]}, groups={group: ["p", "q"]})
    with pytest.raises(InputError, match=r"two columns would have one name: \['id', .*\]; rename"):
        corpus.save(tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []

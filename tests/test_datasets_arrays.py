"""Data sets of named arrays: npz and safetensors; and the prepared folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mrpnkit.data import Corpus
from mrpnkit.data.datasets import DATASETS
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.testing import check_configuration

Write = Callable[[Mapping[str, NDArray[Any]]], dict[str, str]]
RNG = np.random.default_rng(0)
FACE, VOICE = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=(6, 2)).astype(np.float32)
LABELS = np.array([1, 0, -1, 2])


@pytest.fixture(params=["npz", "safetensors"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes arrays to a file of that kind, and returns the name of the data set and its path."""

    def save(arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
        if request.param == "npz":
            np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
        else:
            from safetensors.numpy import save_file

            save_file(dict(arrays), tmp_path / "data.safetensors")
        return {"name": request.param, "path": f"data.{request.param}"}

    return save


def load(folder: Path, source: Mapping[str, str], **options: Any) -> Corpus:
    corpus: Corpus = DATASETS[source["name"]](path=source["path"], **options).load(folder)
    return corpus


def test_arrays_become_modalities(write: Write, tmp_path: Path) -> None:
    source = write({"voice": VOICE, "voice.lengths": np.array([2, 0, 1, 3]), "face": FACE, "labels": LABELS})
    corpus = load(tmp_path, source, modalities=["voice", "face"], rates={"voice": 50.0})
    assert list(corpus.modalities) == ["voice", "face"]
    assert corpus.ids == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(corpus.read("voice", 3), VOICE[3:])
    assert corpus.read("voice", 1).shape == (0, 2)
    np.testing.assert_array_equal(corpus.read("face", 2), FACE[2:3])
    assert corpus.targets["labels"].tolist() == [1, 0, -1, 2]
    assert corpus.classes == {"labels": ["0", "1", "2"]}
    assert (corpus.modalities["voice"].rate, corpus.modalities["face"].rate) == (50.0, None)


def test_a_sample_may_have_nothing(write: Write, tmp_path: Path) -> None:
    """As docs/concepts/missing.md says of arrays; an array is by place, so that no id can be spelt otherwise."""
    source = write({"voice": VOICE, "voice.lengths": np.array([2, 0, 1, 3]), "labels": LABELS})
    corpus = load(tmp_path, source)
    assert corpus.ids == ["0", "1", "2", "3"]
    assert corpus.modalities["voice"].lengths.tolist() == [2, 0, 1, 3]


def test_a_modality_that_nobody_has(write: Write, tmp_path: Path) -> None:
    source = write({"voice": VOICE[:0], "voice.lengths": np.zeros(4, np.int64), "face": FACE, "labels": LABELS})
    with pytest.raises(CorpusError, match="no sample has the modality 'voice'; leave it out"):
        load(tmp_path, source)
    assert list(load(tmp_path, source, modalities=["face"]).modalities) == ["face"]


def test_by_default_all_that_is_nothing_else_is_a_modality(write: Write, tmp_path: Path) -> None:
    source = write(
        {"face": FACE, "body": FACE + 1, "y": LABELS, "actor": np.array([7, 7, 8, 8]), "age": FACE[:, 0].copy()}
    )
    corpus = load(tmp_path, source, groups=["actor"], targets=["y", "age"], classes={"y": ["a", "b", "c"]})
    assert set(corpus.modalities) == {"face", "body"}
    assert corpus.groups["actor"].tolist() == ["7", "7", "8", "8"]
    assert corpus.classes == {"y": ["a", "b", "c"]}
    np.testing.assert_array_equal(corpus.targets["age"], FACE[:, 0])


def test_fixed_parts_are_joined(write: Write, tmp_path: Path) -> None:
    arrays = {"a_train": FACE[:3], "a_test": FACE[3:], "train_b": VOICE[:4], "test_b": VOICE[4:]}
    arrays |= {"train_b.lengths": np.array([2, 1, 1]), "test_b.lengths": np.array([2])}
    arrays |= {"labels_train": LABELS[:3], "labels_test": LABELS[3:], "remark": np.zeros(9, dtype=np.float32)}
    corpus = load(tmp_path, write(arrays), parts=["train", "test"])
    assert corpus.ids == ["train-0", "train-1", "train-2", "test-0"]
    assert corpus.groups["part"].tolist() == ["train", "train", "train", "test"]
    np.testing.assert_array_equal(corpus.modalities["a"].steps, FACE)
    np.testing.assert_array_equal(corpus.read("b", 3), VOICE[4:])
    del arrays["a_test"]
    with pytest.raises(CorpusError, match=r"has no array 'a_test', which the part 'test' of 'a' needs"):
        load(tmp_path, write(arrays), parts=["train", "test"])


def test_unlabelled_data_is_said_so(write: Write, tmp_path: Path) -> None:
    source = write({"face": FACE})
    told = r"which array is the target\? It has 'face'; name it in targets, or give targets = \[\] if nothing"
    with pytest.raises(CorpusError, match=told):
        load(tmp_path, source)
    with pytest.raises(CorpusError, match=r"name it, such as targets = \[\"labels\"\], or give"):
        load(tmp_path, write({"face": FACE, "y": LABELS, "labels": LABELS}))
    assert load(tmp_path, source, targets=[]).targets == {}
    with pytest.raises(CorpusError, match="no sample is labelled with 'y'"):
        load(tmp_path, write({"face": FACE, "y": np.full(4, -1)}))


@pytest.mark.parametrize(
    ("changes", "options", "text"),
    [
        ({}, {"modalities": ["fase"]}, r"has no array 'fase'\. Did you mean 'face'\? It has"),
        ({}, {"targets": ["lables"]}, r"has no array 'lables'\. Did you mean 'labels'"),
        ({}, {"modalities": []}, "modalities is empty"),
        ({}, {"rates": {"voice": 3.0}}, r"has no modality 'voice'"),
        ({"face": FACE[:3]}, {}, r"'face' has 3 rows for 4 samples.*needs an array 'face.lengths'"),
        ({"face.lengths": np.array([2, 2])}, {}, r"'face.lengths' has shape \(2,\).*each of the 4 samples"),
        ({"face.lengths": np.array([2, 2, 0, 1])}, {}, "'face.lengths' adds up to 5, but 'face' has 4 steps"),
        ({"face": np.where(FACE[2, 1] == FACE, np.nan, FACE)}, {}, "'face' of sample '2' has NaN or infinity"),
        (
            {"labels": np.array([0, 1, 5, 0])},
            {"classes": {"labels": ["a", "b"]}},
            "label 5 of sample 2 is out of",
        ),
        ({"who": np.array([1, 2, 2, 3])}, {"ids": "who"}, r"1 ids stand more than once, the first is '2' \(2 times\)"),
        ({}, {"parts": ["train"]}, "has no array of a part 'train'"),
    ],
)
def test_what_does_not_fit(
    write: Write, tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    source = write({"face": FACE, "labels": LABELS, **changes})
    with pytest.raises((CorpusError, InputError), match=text):
        load(tmp_path, source, **options)


def test_nan_in_a_sequence_names_its_sample(write: Write, tmp_path: Path) -> None:
    steps = VOICE.copy()
    steps[2, 1] = np.inf
    source = write({"voice": steps, "voice.lengths": np.array([2, 0, 1, 3]), "labels": LABELS})
    with pytest.raises(InputError, match="'voice' of sample '2' has NaN or infinity at step 0"):
        load(tmp_path, source)


@pytest.mark.parametrize("name", ["npz", "safetensors"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / f"features.{name}").write_bytes(b"nothing")
    with pytest.raises(CorpusError, match=rf"There is no .* 'feature.{name}'.*Did you mean 'features.{name}'\?"):
        DATASETS[name](path=f"feature.{name}").load(tmp_path)
    with pytest.raises(CorpusError, match=rf"features.{name} cannot be read as"):
        DATASETS[name](path=f"features.{name}").load(tmp_path)


def test_texts_in_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=FACE, label=["sad", "", "calm", "sad"], who=["a", "b", "c", "d"])
    corpus = DATASETS["npz"](path="d.npz", ids="who").load(tmp_path)
    assert corpus.ids == ["a", "b", "c", "d"]
    assert corpus.classes == {"label": ["calm", "sad"]}
    assert corpus.targets["label"].tolist() == [1, -1, 0, 1]


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([np.zeros(2), None], dtype=object), y=np.array([0, 1]))
    with pytest.raises(CorpusError, match="Arrays of Python objects are never loaded"):
        DATASETS["npz"](path="d.npz").load(tmp_path)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2, 3, dtype=torch.bfloat16), "y": torch.tensor([0, 1])}, tmp_path / "d.safetensors")
    corpus = DATASETS["safetensors"](path="d.safetensors").load(tmp_path)
    assert corpus.modalities["x"].steps.dtype == np.float32


def test_a_prepared_folder(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=FACE, y=LABELS)
    DATASETS["npz"](path="d.npz").load(tmp_path).save(tmp_path / "ready")
    corpus = DATASETS["corpus"](path="ready").load(tmp_path)
    np.testing.assert_array_equal(corpus.modalities["x"].steps, FACE)
    with pytest.raises(CorpusError, match=r"There is no corpus folder 'redy'.*Did you mean 'ready'"):
        DATASETS["corpus"](path="redy").load(tmp_path)


def test_real_multiview_files(shared_data: Path) -> None:
    corpus = DATASETS["npz"](path="multiview/rosmap.npz", parts=["train", "test"]).load(shared_data)
    assert (len(corpus), list(corpus.modalities)) == (351, ["mrna", "methylation", "mirna"])
    assert (corpus.groups["part"] == "test").sum() == 106


OPTIONS: dict[str, dict[str, Any]] = {
    "npz": {"path": "a"},
    "safetensors": {"path": "a", "classes": {"y": ["a"]}},
    "corpus": {"path": "a"},
    "csv": {"path": "a", "modalities": {"x": {"columns": ["x*"], "rate": 2.0}}},
    "parquet": {"path": "a", "modalities": {"x": {}}},
    "files": {"path": "a", "modalities": {"x": {"files": "{id}.jpg", "size": [4, 4]}}},
    "huggingface": {"path": "a", "modalities": {"x": {"column": "x"}}},
}


def test_every_data_set_can_be_configured() -> None:
    """Also by :func:`build_part`, which is how a configuration builds one."""
    from mrpnkit.config.parts import build_part

    assert set(OPTIONS) == {name for name in DATASETS.names() if DATASETS.owner(name) == "mrpnkit"}
    for name, options in OPTIONS.items():
        check_configuration(DATASETS[name], options, kind="data set")
        assert callable(build_part("data set", name, options).load)

"""Corpora on disk: what another process is sent of them, and that nothing holds a file that is to go."""

import copy
import gc
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mrpnkit import MRPN, Branch
from mrpnkit.aggregators import Last
from mrpnkit.data import Corpus, CorpusDataset, Modality, loader
from mrpnkit.extraction import extract_corpus
from mrpnkit.extractors import Linear
from tests.small_runs import small_corpus


def large() -> Corpus:
    """Four megabytes of steps."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(1000, 1000)).astype(np.float32)
    ragged = [values[row : row + row % 3] for row in range(100)]
    return Corpus.from_arrays(
        {"a": values[:100], "b": ragged, "c": values[None, :].repeat(100, 0)[:, :8]}, {"y": [0] * 100}
    )


def assert_same(first: Corpus, second: Corpus) -> None:
    assert list(first.modalities) == list(second.modalities)
    for name, modality in first.modalities.items():
        other = second.modalities[name]
        assert (modality.steps.dtype, modality.rate) == (other.steps.dtype, other.rate)
        np.testing.assert_array_equal(modality.steps, other.steps)
        np.testing.assert_array_equal(modality.lengths, other.lengths)
        np.testing.assert_array_equal(first.read(name, 7), second.read(name, 7))


def test_a_corpus_on_disk_is_pickled_as_where_it_lies(tmp_path: Path) -> None:
    opened = Corpus.open(large().save(tmp_path / "corpus"))
    sent = pickle.dumps(CorpusDataset(opened))
    assert len(sent) < 50_000
    found = pickle.loads(sent).corpus
    assert_same(found, opened)
    for twin in (found, copy.deepcopy(opened)):
        for name, modality in twin.modalities.items():
            assert isinstance(modality, Modality)
            assert isinstance(modality.steps, np.memmap)
            assert modality.steps.filename == opened.modalities[name].steps.filename  # type: ignore[attr-defined]
            assert not modality.steps.flags.writeable


def test_a_corpus_in_memory_is_pickled_whole() -> None:
    corpus = large()
    sent = pickle.dumps(corpus)
    assert len(sent) > 3_000_000
    assert_same(pickle.loads(sent), corpus)


def test_parts_of_a_mapped_file_and_changed_copies_are_pickled_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "steps.npy", np.arange(12.0).reshape(6, 2))
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.arange(12.0).reshape(6, 2)))
    lengths = np.ones(6, dtype=np.int64)
    for mode in ("r", "c"):
        for name in ("steps", "columns"):
            mapped: Any = np.load(tmp_path / f"{name}.npy", mmap_mode=mode)
            if mode == "c":
                mapped[2] = -1.0
            for part in (mapped, mapped[1:], mapped[::-2], mapped[:0], mapped.T):
                found = pickle.loads(pickle.dumps(Modality(part, lengths, 2.0)))
                np.testing.assert_array_equal(found.steps, part)
                assert found.rate == 2.0


def test_a_spawned_worker_reads_the_same_batches(tmp_path: Path) -> None:
    opened = Corpus.open(small_corpus().save(tmp_path / "corpus"))
    here, there = loader(CorpusDataset(opened), 16), loader(CorpusDataset(opened), 16, workers=1)
    there.multiprocessing_context = "spawn"
    for first, second in zip(here, there, strict=True):
        for name, inputs in first.inputs.items():
            assert torch.equal(inputs.steps, second.inputs[name].steps)
            assert torch.equal(inputs.lengths, second.inputs[name].lengths)


def test_no_shard_is_mapped_when_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, removed, real = small_corpus(), [], shutil.rmtree

    def rmtree(path: Any, *arguments: Any, **options: Any) -> None:
        alive = [
            o.filename for o in gc.get_objects() if issubclass(type(o), np.memmap) and str(path) in str(o.filename)
        ]
        if Path(path).exists():
            removed.append((Path(path).name, alive))
        real(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    model = MRPN({"face": Branch(Linear(4, 3), Last(3)), "audio": Branch(Linear(5, 3), Last(3))}, {"emotion": 3})
    extract_corpus(model, corpus, tmp_path / "out", cpu=True)
    assert removed == [("out.shard-1-of-1", [])]

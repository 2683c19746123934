"""Digests of steps: against hashes of the same bytes, and what is read where there are many."""

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpnkit.data import Corpus, Modality, digest
from mrpnkit.data.digest import digests_of

LENGTHS = np.array([5, 0, 1, 2, 8])
ROWS = [0, 2, 4, 5, 6, 7, 8, 12, 15]
"""First, middle and last step of the four samples that have some, by hand."""


def corpus_of(steps: NDArray[Any], lengths: NDArray[np.int64] = LENGTHS) -> Corpus:
    ids = [str(row) for row in range(len(lengths))]
    return Corpus(ids, {"m": Modality(steps, lengths)}, {"y": np.zeros(len(lengths), np.float32)})


def steps_of(dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 100, (16, 3)).astype(dtype)


def by_hand(steps: NDArray[Any], content: bytes) -> str:
    return hashlib.blake2b(f"{steps.dtype.str} {steps.shape}".encode() + content, digest_size=16).hexdigest()


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "bool"])
@pytest.mark.parametrize("piece", [1, 13, 2**24])
def test_all_bytes_count_where_they_are_few(dtype: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_PIECE", piece)
    steps = steps_of(dtype)
    assert digests_of(corpus_of(steps)) == {"m": by_hand(steps, steps.tobytes())}
    assert digests_of(corpus_of(np.asfortranarray(steps))) == {"m": by_hand(steps, steps.tobytes())}


def test_type_and_shape_count() -> None:
    steps = steps_of("int32")
    given = [steps, steps.view(np.float32), steps.reshape(16, 3, 1), np.zeros((0, 3), np.int32)]
    lengths = [LENGTHS, LENGTHS, LENGTHS, LENGTHS * 0]
    assert len({digests_of(corpus_of(one, some))["m"] for one, some in zip(given, lengths, strict=True)}) == 4


@pytest.mark.parametrize("piece", [1, 25, 2**24])
def test_of_many_three_steps_a_sample_count(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = steps_of()
    monkeypatch.setattr(digest, "LIMIT", steps.nbytes - 1)
    monkeypatch.setattr(digest, "_PIECE", piece)
    known = digests_of(corpus_of(steps))
    assert known == {"m": by_hand(steps, steps[ROWS].tobytes())}
    for row in range(16):
        other = steps.copy()
        other[row, 2] += 1
        assert (digests_of(corpus_of(other)) == known) == (row not in ROWS)


def test_of_very_many_one_in_so_many_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = steps_of()
    monkeypatch.setattr(digest, "LIMIT", 4 * steps[0].nbytes)
    assert digests_of(corpus_of(steps)) == {"m": by_hand(steps, steps[[0, 5, 8]].tobytes())}


def test_a_small_modality_beside_a_large_one_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = steps_of(), np.arange(5, dtype=np.float32)[:, None]
    modalities = {"large": Modality(large, LENGTHS), "small": Modality(small, np.ones(5, dtype=np.int64))}
    corpus = Corpus(list("abcde"), modalities, {"y": np.zeros(5, np.float32)})
    monkeypatch.setattr(digest, "LIMIT", large.nbytes)
    found = digests_of(corpus)
    assert found["small"] == by_hand(small, small.tobytes())
    assert found["large"] == by_hand(large, large[ROWS[::2]].tobytes()), "half of the limit, eight steps, is its share"

"""Random slices and pairs: within their bounds, over their whole range, and never across a label or a split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mrpnkit.data import ClassPairing, RandomSlice
from mrpnkit.errors import InputError


@given(
    length=st.integers(0, 60),
    seconds=st.floats(0.1, 5),
    rate=st.floats(0.5, 30),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_a_slice_lies_within_and_is_long_enough(
    length: int, seconds: float, rate: float, share: float, seed: int
) -> None:
    start, stop = RandomSlice(seconds, rate, share=share).draw(length, np.random.default_rng(seed))
    least = max(1, round(seconds * rate))
    assert 0 <= start <= stop <= length
    assert stop - start >= min(least, length)
    if length <= least:
        assert (start, stop) == (0, length)


def test_every_slice_can_come_and_lengths_come_evenly() -> None:
    generator, slices = np.random.default_rng(0), RandomSlice(1.0, 3.0)
    drawn = [slices.draw(6, generator) for _ in range(4000)]
    assert set(drawn) == {(start, stop) for start in range(7) for stop in range(start + 3, 7)}
    lengths = np.bincount([stop - start for start, stop in drawn], minlength=7)[3:]
    assert stats.chisquare(lengths).pvalue > 1e-3
    starts = np.bincount([start for start, stop in drawn if stop - start == 3], minlength=4)
    assert stats.chisquare(starts).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_slices(share: float) -> None:
    generator, slices = np.random.default_rng(1), RandomSlice(1.0, 999.0, share=share)
    shortened = sum(slices.draw(1000, generator) != (0, 1000) for _ in range(3000))
    # A slice of 1000 steps is of 999 or of all 1000, each as often as the other.
    assert stats.binomtest(shortened, 3000, share / 2).pvalue > 1e-3


def test_slices_repeat_with_their_generator() -> None:
    slices = RandomSlice(1.0, 5.0)
    assert slices.draw(50, np.random.default_rng(3)) == slices.draw(50, np.random.default_rng(3))


@pytest.mark.parametrize(
    ("seconds", "rate", "share"), [(0, 1, 1), (1, 0, 1), (1, 1, -0.1), (1, 1, 1.1), (np.nan, 1, 1)]
)
def test_impossible_slices(seconds: float, rate: float, share: float) -> None:
    text = rf"seconds {seconds} and rate {rate} must be above 0, share {share} within 0 to 1"
    with pytest.raises(InputError, match=text):
        RandomSlice(seconds, rate, share=share)


LABELS = np.array([0, 0, 1, 1, 1, 2, -1, -1])
ROWS = np.array([10, 11, 20, 21, 22, 30, 40, 41])


def test_pairs_are_all_candidates_of_the_same_label_evenly() -> None:
    pairing, generator = ClassPairing(LABELS, ROWS), np.random.default_rng(0)
    drawn = np.array([pairing.draw(21, generator) for _ in range(3000)])
    found, counts = np.unique(drawn, return_counts=True)
    assert found.tolist() == [20, 21, 22]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert {pairing.draw(30, generator) for _ in range(20)} == {30}


def test_a_sample_without_a_label_is_paired_with_nobody() -> None:
    pairing, generator = ClassPairing(LABELS, ROWS), np.random.default_rng(0)
    assert {pairing.draw(40, generator) for _ in range(20)} == {40}


def test_the_share_of_pairs() -> None:
    generator = np.random.default_rng(2)
    never, sometimes = ClassPairing(LABELS, ROWS, share=0.0), ClassPairing(LABELS, ROWS, share=0.4)
    assert {never.draw(20, generator) for _ in range(50)} == {20}
    away = sum(sometimes.draw(20, generator) != 20 for _ in range(3000))
    assert stats.binomtest(away, 3000, 0.4 * 2 / 3).pvalue > 1e-3


def test_a_row_outside_the_candidates_is_refused() -> None:
    with pytest.raises(InputError, match=r"row 12 is none of the candidates; pair within the training part only"):
        ClassPairing(LABELS, ROWS).draw(12, np.random.default_rng(0))


def test_impossible_pairing() -> None:
    with pytest.raises(InputError, match=r"2 labels for 3 rows, share 1.0"):
        ClassPairing(np.array([0, 1]), np.array([0, 1, 2]))
    with pytest.raises(InputError, match=r"share 1.5"):
        ClassPairing(LABELS, ROWS, share=1.5)

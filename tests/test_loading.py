"""Batches: the same whatever the workers, drawn anew by seed and epoch, each modality on its own."""

from collections.abc import Sequence
from multiprocessing import active_children
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

from mrpnkit.data import (
    Augmentation,
    Batch,
    ClassPairing,
    Corpus,
    CorpusDataset,
    RandomSlice,
    loader,
    set_epoch,
)
from mrpnkit.errors import InputError

LENGTHS = [9, 4, 0, 7, 5, 12, 3, 8, 6, 10]
LABELS = [0, 1, 0, 1, 2, 0, 1, 2, 2, 0]


def corpus() -> Corpus:
    """Steps tell where they come from: 100 · row + time, in both of two modalities."""
    video = [100.0 * row + np.arange(length)[:, None] for row, length in enumerate(LENGTHS)]
    audio = [100 * row + np.arange(length + 2, dtype=np.int16) for row, length in enumerate(LENGTHS)]
    return Corpus.from_arrays({"video": video, "audio": audio}, {"y": LABELS})


class Noise:
    """A change that draws from the generator it is given."""

    def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
        return steps + torch.from_numpy(generator.standard_normal(steps.shape).astype(np.float32))


def drawn(**options: Any) -> CorpusDataset:
    augmentation = Augmentation(
        {"video": RandomSlice(2, 1), "audio": RandomSlice(3, 1)},
        {"video": [Noise()]},
        ClassPairing(np.array(LABELS), np.arange(10)),
    )
    return CorpusDataset(corpus(), augmentation=augmentation, **options)


def contents(batches: Sequence[Batch]) -> list[Any]:
    return [
        (
            b.rows.tolist(),
            {n: (s.steps.tolist(), s.lengths.tolist()) for n, s in b.inputs.items()},
            b.labels["y"].tolist(),
        )
        for b in batches
    ]


def by_row(batches: Sequence[Batch], modality: str) -> dict[int, list[float]]:
    return {
        int(row): piece.flatten().tolist()
        for batch in batches
        for row, piece in zip(batch.rows, batch.inputs[modality].unbind(), strict=True)
    }


def test_plain_batches_are_the_samples_in_order() -> None:
    batches = list(loader(CorpusDataset(corpus(), np.array([3, 2, 0, 9])), 3))
    assert [batch.rows.tolist() for batch in batches] == [[3, 2, 0], [9]]
    assert [batch.labels["y"].tolist() for batch in batches] == [[1, 0, 0], [0]]
    assert batches[0].inputs["video"].lengths.tolist() == [7, 0, 9]
    assert batches[0].inputs["video"].steps.flatten().tolist() == [*range(300, 307), *range(9)]
    assert batches[0].inputs["audio"].steps.dtype == torch.int16
    assert batches[0].inputs["audio"].lengths.tolist() == [9, 2, 11]
    for batch in batches:
        for name, sequences in batch.inputs.items():
            sequences.check(name)


def test_a_batch_of_which_no_sample_has_a_modality() -> None:
    for data in (CorpusDataset(corpus(), np.array([2])), drawn(rows=np.array([2]))):
        video = data[0].inputs["video"]
        assert video.lengths.tolist() == [0] or data.augmentation.pairing is not None
    (batch,) = loader(CorpusDataset(corpus(), np.array([2, 2])), 2)
    assert batch.inputs["video"].steps.shape == (0, 1)
    assert batch.inputs["video"].steps.dtype == torch.float32
    assert not batch.inputs["video"].present.any()


def test_workers_change_nothing() -> None:
    found = []
    for workers in (0, 2):
        batches = loader(drawn(seed=5), 4, shuffle_seed=7, workers=workers)
        epochs = []
        for epoch in (0, 1):
            set_epoch(batches, epoch)
            epochs.append(contents(list(batches)))
        found.append(epochs)
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_workers_that_stay_follow_the_epoch_after_one_that_was_broken_off() -> None:
    batches, alone = (loader(drawn(seed=5), 2, shuffle_seed=7, workers=workers) for workers in (2, 0))
    before = {process.pid for process in active_children()}
    pids: set[frozenset[int | None]] = set()
    for epoch in (0, 1, 2):
        for one in (batches, alone):
            set_epoch(one, epoch)
        if epoch == 1:
            next(iter(batches))  # and no further
            continue
        assert contents(list(batches)) == contents(list(alone))
        pids.add(frozenset(process.pid for process in active_children()) - before)
    assert [len(found) for found in pids] == [2]  # the same two processes


def test_spawned_workers_follow_the_epoch() -> None:
    """As on macOS and Windows, where a worker is given a copy of the data set."""
    batches, alone = (loader(drawn(seed=5), 5, workers=workers) for workers in (1, 0))
    batches.multiprocessing_context = "spawn"
    for epoch in (0, 1):
        for one in (batches, alone):
            set_epoch(one, epoch)
        assert contents(list(batches)) == contents(list(alone))


def test_a_batch_is_pinned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch does where there is a CUDA device; it knows named tuples and dictionaries."""
    pinned: list[int] = []

    def noted(tensor: Tensor) -> Tensor:
        pinned.append(id(tensor))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", noted)
    batch = drawn()[3]
    again = pin_memory(batch)
    assert isinstance(again, Batch)
    assert contents([again]) == contents([batch])
    tensors = [batch.rows, batch.labels["y"], *(part for one in batch.inputs.values() for part in one)]
    assert set(pinned) == {id(tensor) for tensor in tensors}
    assert loader(drawn(), pin_memory=True).pin_memory
    assert not loader(drawn()).pin_memory


def order(seed: int | None, epoch: int) -> list[int]:
    batches = loader(CorpusDataset(corpus()), 4, shuffle_seed=seed)
    set_epoch(batches, epoch)
    return [row for batch in batches for row in batch.rows.tolist()]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)}
    assert all(sorted(rows) == list(range(10)) for rows in orders.values())
    assert len(set(map(tuple, orders.values()))) == 4
    torch.manual_seed(99)
    torch.rand(3)
    assert order(1, 1) == orders[1, 1]
    assert order(None, 0) == order(None, 1) == list(range(10))


def test_reading_draws_nothing_from_torch() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(loader(drawn(), 4, shuffle_seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_epoch_and_seed_change_what_is_drawn() -> None:
    data = drawn(seed=1)
    first = by_row([data[row] for row in range(10)], "video")
    assert by_row([data[row] for row in range(10)], "video") == first
    data.set_epoch(1)
    second = by_row([data[row] for row in range(10)], "video")
    other = by_row([drawn(seed=2)[row] for row in range(10)], "video")
    assert all(first[row] != second[row] != other[row] != first[row] for row in range(10) if LENGTHS[row])


def test_a_sample_is_drawn_alike_in_any_company() -> None:
    alone = [drawn()[row] for row in range(10)]
    together = [drawn().__getitems__([7, 0, 3, 9, 1, 2]), drawn().__getitems__([8, 6, 5, 4])]
    part = drawn(rows=np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))
    for modality in ("video", "audio"):
        expected = by_row(alone, modality)
        assert by_row(together, modality) == expected
        assert by_row(list(loader(part, 3)), modality) == expected


def test_slices_are_runs_of_their_sample_drawn_for_each_modality() -> None:
    data = CorpusDataset(corpus(), augmentation=Augmentation({"video": RandomSlice(2, 1), "audio": RandomSlice(2, 1)}))
    differing = 0
    for epoch in range(20):
        data.set_epoch(epoch)
        for row, length in enumerate(LENGTHS):
            batch = data[row]
            starts = {}
            for name, extra in (("video", 0), ("audio", 2)):
                times = (batch.inputs[name].steps.flatten() - 100 * row).tolist()
                assert len(times) >= min(2, length + extra)
                assert times == list(range(int(times[0]), int(times[0]) + len(times))) if times else not length
                assert all(0 <= time < length + extra for time in times)
                starts[name] = times[:1]
            differing += starts["video"] != starts["audio"]
    assert differing > 100


def test_only_the_named_modality_is_sliced() -> None:
    data = CorpusDataset(corpus(), augmentation=Augmentation({"audio": RandomSlice(1, 1)}))
    assert [data[row].inputs["video"].lengths.item() for row in range(10)] == LENGTHS
    assert [data[row].inputs["audio"].lengths.item() for row in range(10)] != [length + 2 for length in LENGTHS]


def test_pairing_keeps_the_first_modality_and_the_label() -> None:
    pairing = ClassPairing(np.array(LABELS), np.arange(10))
    data = CorpusDataset(corpus(), modalities=["audio", "video"], augmentation=Augmentation(pairing=pairing))
    sources = set()
    for epoch in range(30):
        data.set_epoch(epoch)
        for row in range(10):
            batch = data[row]
            assert batch.inputs["audio"].steps.flatten().tolist() == [100 * row + t for t in range(LENGTHS[row] + 2)]
            assert batch.labels["y"].tolist() == [LABELS[row]]
            if len(batch.inputs["video"].steps):
                source = int(batch.inputs["video"].steps[0, 0]) // 100
                assert LABELS[source] == LABELS[row]
                sources.add((row, source))
    assert sources == {(a, b) for a in range(10) for b in range(10) if LABELS[a] == LABELS[b] and LENGTHS[b]}


def test_a_change_leaves_the_corpus_alone() -> None:
    class Zero:
        def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
            return steps.zero_()

    data = CorpusDataset(corpus(), augmentation=Augmentation(changes={"video": [Zero()]}))
    assert not data[3].inputs["video"].steps.any()
    assert data.corpus.read("video", 3).flatten().tolist() == list(range(300, 307))


def test_modalities_in_the_order_asked_for() -> None:
    assert list(CorpusDataset(corpus(), modalities=["audio", "video"])[0].inputs) == ["audio", "video"]
    assert list(CorpusDataset(corpus(), modalities=["audio"])[0].inputs) == ["audio"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"modalities": ["video", "smell"]}, r"no modality 'smell'; it has \['video', 'audio'\]"),
        ({"modalities": []}, r"no modality chosen; it has \['video', 'audio'\]"),
        ({"augmentation": Augmentation({"smell": RandomSlice(1, 1)})}, r"no modality 'smell'"),
        ({"augmentation": Augmentation(changes={"smell": [Noise()]})}, r"no modality 'smell'"),
        ({"rows": np.array([0, 10])}, r"Rows must lie in 0 to 9; got 0 to 10"),
        ({"rows": np.array([-1, 3])}, r"Rows must lie in 0 to 9; got -1 to 3"),
    ],
)
def test_a_data_set_that_cannot_be(options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        CorpusDataset(corpus(), **options)


def test_a_loader_that_cannot_be() -> None:
    with pytest.raises(InputError, match="a data set without samples"):
        loader(CorpusDataset(corpus(), np.array([], dtype=np.int64)))
    with pytest.raises(InputError, match="batch_size must be 1 or more, got 0"):
        loader(CorpusDataset(corpus()), 0)

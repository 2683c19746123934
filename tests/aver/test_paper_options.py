"""The paper's options, its published figures, augmentation of frames (Figure 9), and gradual unfreezing."""

import os
import shutil
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.aver.paper import flags, published
from examples.aver.paper.flags import Flags, chosen
from examples.aver.paper.frames import ChangeFrames, EveryNth, face_transform
from examples.aver.paper.options import Options, Schedule, System, Weights
from examples.aver.paper.thawing import freeze_for, frozen_stages
from mrpnkit import MRPN, Branch
from mrpnkit.aggregators import Last
from mrpnkit.errors import InputError
from mrpnkit.extractors import FramesTimm, Linear

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
v2 = pytest.importorskip("torchvision.transforms.v2", reason="needs torchvision: pip install 'mrpnkit[av]'")


def clip(frames: int = 5, side: int = 24) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (frames, side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("text", "name", "hop"),
    [
        ("", "lstm-VA-AO-T", 0.2),
        ("IA", "lstm-IA-AO-T", 0.2),
        ("VA+WO", "lstm-VA-WO-T", 1.0),
        ("none,NT,Transformer", "transformer-AO-NT", 0.2),
        ("wo+bilstm+ia+nt", "bilstm-IA-WO-NT", 1.0),
    ],
)
def test_options_are_written_as_in_the_paper(text: str, name: str, hop: float) -> None:
    found = Options.parse(text)
    assert (found.name, found.hop_seconds) == (name, hop)


def test_one_option_at_a_time_is_switched() -> None:
    start = Options(pairing=0.5, aggregator="bilstm")
    assert Options.parse("NT", start) == Options(pairing=0.5, aggregator="bilstm", time="NT")
    assert Options(pairing=0.5).name == "lstm-VA-AO-T-P0.5"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("XY", "There is no option 'XY'; there are none, IA, VA, WO, AO, NT, T, lstm, bilstm, transformer"),
        ("IA+VA", "The options IA and VA exclude each other"),
    ],
)
def test_words_that_are_no_options(text: str, error: str) -> None:
    with pytest.raises(InputError, match=error.replace("+", r"\+")):
        Options.parse(text)


def test_values_that_cannot_be() -> None:
    with pytest.raises(InputError, match="image is 'XA'; expected one of none, IA, VA"):
        Options(image="XA")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pairing is 2"):
        Options(pairing=2.0)
    with pytest.raises(InputError, match="multiple of 4"):
        System(features=6)
    with pytest.raises(InputError, match="epochs 0"):
        Schedule(epochs=0)
    with pytest.raises(InputError, match=r"no weights 'nowhere\.safetensors'"):
        Weights(video="nowhere.safetensors").fingerprint()


def test_the_papers_figures_have_the_papers_means() -> None:
    """Abstract and Table 4 give means of Tables 1 and 2; those of Table 3 differ from Table 4, which is known."""
    means = {row: statistics.fmean(values) for row, values in published.TABLE_2.items()}
    assert means["N2 (MRPN)"] == pytest.approx(91.4, abs=0.05)
    assert means["N0"] == pytest.approx(87.55, abs=0.05)
    assert published.TABLE_1["JM(T)"] == published.TABLE_2["N0"]
    assert {len(row) for row in published.TABLE_1.values()} == {12} == {len(row) for row in published.TABLE_2.values()}
    third = {row: statistics.fmean(values) for row, values in published.TABLE_3.items()}
    assert third == pytest.approx({"N0": 78.37, "N1": 77.01, "N2 (MRPN)": 80.59}, abs=0.005)
    better = sum(a > b for a, b in zip(published.TABLE_1["JM(T)"], published.TABLE_1["VM(T)"], strict=True))
    assert better == 11  # the inferior case, A9,10


def test_one_draw_for_all_frames_of_a_clip_and_one_for_each() -> None:
    """Every frame is the same picture, so what differs between frames is the draw alone."""
    still = clip(1).expand(6, -1, -1, -1)
    together = ChangeFrames(face_transform(), same_for="clip")(still, np.random.default_rng(3))
    each = ChangeFrames(face_transform(), same_for="frame")(still, np.random.default_rng(3))
    assert all(torch.equal(frame, together[0]) for frame in together)
    assert not torch.equal(together[0], still[0])
    assert len({frame.numpy().tobytes() for frame in each}) == 6


def test_a_change_depends_on_the_passed_generator_alone() -> None:
    change, frames = ChangeFrames(face_transform()), clip()
    torch.manual_seed(1)
    first = change(frames, np.random.default_rng(5))
    torch.manual_seed(2)
    assert torch.equal(change(frames, np.random.default_rng(5)), first)
    torch.manual_seed(1)
    change(frames, np.random.default_rng(6))
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(1).get_state())
    assert not torch.equal(change(frames, np.random.default_rng(6)), first)


def test_a_change_seeds_no_other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """It draws what torch draws from that seed, and torch.manual_seed, which seeds every device, is not called."""
    frames, seed = clip(), int(np.random.default_rng(5).integers(2**62))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wanted = face_transform()(frames.movedim(-1, 1)).movedim(1, -1)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: pytest.fail("CUDA devices were seeded"))
    assert torch.equal(ChangeFrames(face_transform())(frames, np.random.default_rng(5)), wanted)


def test_any_transform_of_torchvision_is_applied_as_it_is() -> None:
    frames = clip()
    flipped = ChangeFrames(v2.RandomHorizontalFlip(1.0))(frames, np.random.default_rng(0))
    np.testing.assert_array_equal(flipped.numpy(), frames.numpy()[:, :, ::-1])
    turned = ChangeFrames(v2.RandomAffine((90, 90)))(frames, np.random.default_rng(0))
    np.testing.assert_array_equal(turned.numpy()[:, 1:-1, 1:-1], np.rot90(frames.numpy(), -1, (1, 2))[:, 1:-1, 1:-1])


def test_what_is_no_frame_and_what_changes_its_size() -> None:
    with pytest.raises(InputError, match=r"uint8 \(T, H, W, 3\); got torch.float32 \(3, 4\)"):
        ChangeFrames(face_transform())(torch.zeros(3, 4), np.random.default_rng(0))
    with pytest.raises(InputError, match="must keep type and size"):
        ChangeFrames(v2.Resize((8, 8)))(clip(), np.random.default_rng(0))
    with pytest.raises(InputError, match="same_for is 'movie'"):
        ChangeFrames(face_transform(), same_for="movie")  # type: ignore[arg-type]


def test_frames_are_thinned_to_about_a_rate() -> None:
    steps = torch.arange(10)
    assert EveryNth(30.0, 10.0)(steps).tolist() == [0, 3, 6, 9]
    assert EveryNth(25.0, 30.0).n == 1
    with pytest.raises(InputError, match="above 0"):
        EveryNth(25.0, 0.0)


def test_the_cnn_thaws_from_the_output_on() -> None:
    schedule = Schedule(frozen_epochs=1, epochs_per_stage=2)
    assert [frozen_stages(schedule, epoch, 4) for epoch in range(9)] == [4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert [frozen_stages(Schedule(frozen_epochs=3), epoch, 4) for epoch in (2, 3)] == [4, 0]
    extractor = FramesTimm(3 * 32 * 32, architecture="test_resnet")
    model = MRPN({"video": Branch(extractor, Last(extractor.out_features))}, {"emotion": 3}, network="n0")

    def trained() -> list[str]:
        return [name for name, p in extractor.network.named_parameters() if p.requires_grad]

    everything = [name for name, _ in extractor.network.named_parameters()]
    model.train()
    assert freeze_for(model, schedule, 0)["video"] > 0
    assert trained() == []
    norms = [m for m in extractor.network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    freeze_for(model, schedule, 1)
    last = trained()
    assert 0 < len(last) < len(everything)
    assert last == everything[-len(last) :]
    assert norms[-1].training
    assert not norms[0].training
    freeze_for(model, schedule, 99)
    assert trained() == everything
    assert all(norm.training for norm in norms)


def test_only_cnns_can_be_frozen() -> None:
    model = MRPN({"video": Branch(Linear(3, 4), Last(4))}, {"emotion": 3}, network="n0")
    with pytest.raises(InputError, match="Linear has no stages to freeze"):
        freeze_for(model, Schedule(), 0)
    with pytest.raises(InputError, match="Linear is no MRPN"):
        freeze_for(nn.Linear(2, 2), Schedule(), 0)


@pytest.mark.parametrize(
    ("given", "native", "expected"),
    [
        ("auto", True, "bfloat16"),
        ("auto", False, "float32"),
        ("bfloat16", False, "bfloat16"),
        ("float32", True, "float32"),
    ],
)
def test_precision_is_what_the_processor_computes_in(
    given: Literal["auto", "bfloat16", "float32"], native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    _, system, _ = chosen(flags=Flags(precision=given), epochs=None, small=False)
    assert system.precision == expected


@pytest.mark.parametrize(
    ("cuda", "given", "trainings", "free_gib", "expected"),
    [
        (False, None, 1, 99, 0),
        (False, 3, 1, 99, 3),
        (True, None, 1, 99, 12),
        (True, None, 4, 99, 4),
        (True, None, 40, 99, 1),
        (True, None, 1, 3, 6),
        (True, None, 2, 3, 3),
        (True, None, 1, 0.06, 0),  # as containers have it where nothing is said
        (True, 5, 1, 0.06, 5),
    ],
)
def test_readers_where_a_gpu_would_wait(
    cuda: bool, given: int | None, trainings: int, free_gib: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=int(free_gib * 2**30)))
    monkeypatch.setattr(flags, "SHARED", Path(__file__).parent)

    def workers(**changes: bool) -> int:
        chosen_flags = Flags(readers=given, precision="float32", **changes)  # type: ignore[arg-type]
        return chosen(flags=chosen_flags, epochs=None, small=False, trainings=trainings)[2].workers

    assert workers() == expected
    assert workers(frozen=True) == (given or 0)

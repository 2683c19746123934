"""Networks of timm on spectrogram segments as an extractor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS, SpectrogramSegments, SpectrogramTimm
from mrpnkit.testing import check_configuration, check_extractor

timm = pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
SMALL: dict[str, Any] = {"architecture": "test_resnet", "hop": 320, "bands": 32, "segment_seconds": 0.4}
WIDER: dict[str, Any] = {**SMALL, "hop": 160, "bands": 64}
"""Large enough that batch norm has more than one value where a single segment is trained on."""
STEP = 3200  # samples


def sound(count: int) -> Tensor:
    return torch.randn(count * 900, 1)


def small(**options: Any) -> SpectrogramTimm:
    torch.manual_seed(0)
    return SpectrogramTimm(**{**SMALL, **options})


def test_it_keeps_the_contract() -> None:
    check_extractor(lambda width: SpectrogramTimm(width, chunk=3, **WIDER), 1, make_steps=sound)


def test_it_keeps_the_contract_with_checkpointing_in_bfloat16() -> None:
    options: dict[str, Any] = {
        "gradient_checkpointing": True,
        "precision": "bfloat16",
        "memory_format": "channels_last",
    }
    check_extractor(lambda width: SpectrogramTimm(width, chunk=3, **options, **WIDER), 1, make_steps=sound)


def test_options_are_a_schema() -> None:
    check_configuration(EXTRACTORS["spectrogram_timm"], {"freeze": 2, "scale": "mel", "bands": 128, "hop": 128})
    assert EXTRACTORS.describe("spectrogram_timm").paper


def test_it_is_the_network_on_each_segment() -> None:
    """Against timm alone, clip by clip, segment by segment."""
    part = small(chunk=4).eval()
    cut = SpectrogramSegments(hop=320, bands=32, segment_seconds=0.4)
    network = timm.create_model("test_resnet", num_classes=0, in_chans=1).eval()
    network.load_state_dict(part.network.state_dict())
    waves = [torch.randn(30_000), torch.randn(0), torch.randn(700), torch.randn(6400)]
    with torch.no_grad():
        given = part(Sequences.of(waves))
        assert given.lengths.tolist() == [1 + -(-(30_000 - 6400) // STEP), 0, 1, 1]
        for wave, features in zip(waves, given.unbind(), strict=True):
            if len(wave):
                expected = torch.cat([network(segment[None, None]) for segment in cut(wave)])
                torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-3)


def test_chunks_and_checkpointing_change_nothing() -> None:
    """In evaluation, where batch norm has no statistics of its chunk; gradients as well."""
    inputs = Sequences.of([torch.randn(40_000), torch.randn(5000)])
    results, gradients = [], []
    for options in ({"chunk": 64}, {"chunk": 2}, {"chunk": 2, "gradient_checkpointing": True}):
        part = small(**options).eval()
        features = part(inputs).steps
        features.square().sum().backward()
        results.append(features.detach())
        gradients.append(torch.cat([weight.grad.flatten() for weight in part.parameters() if weight.grad is not None]))
    for features, gradient in zip(results[1:], gradients[1:], strict=True):
        torch.testing.assert_close(features, results[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gradient, gradients[0], atol=1e-3, rtol=1e-3)


class Means(nn.Module):
    """The mean of every band, beside a batch norm that it does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.counts: list[int] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.counts.append(len(pictures))
        return pictures.mean(3).flatten(1)


@pytest.mark.parametrize("chunk", [2, 3, 9, 64])
def test_segments_keep_their_order_in_training(chunk: int) -> None:
    """A chunk then has every so many-th segment: overlapping ones, touching ones, and ones that lie apart."""
    part, network = small(chunk=chunk), Means()
    part.network = network
    waves = [torch.randn(30_000), torch.randn(0), torch.randn(700), torch.randn(12_000), torch.randn(6400)]
    given = part.train()(Sequences.of(waves)).unbind()
    total = sum(map(len, given))
    assert len(network.counts) == -(-total // chunk)
    assert max(network.counts) <= chunk
    for wave, features in zip(waves, given, strict=True):
        torch.testing.assert_close(features, part.cut(wave).mean(2), atol=1e-5, rtol=1e-4)


def test_no_more_segments_than_a_chunk_are_ever_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory does not grow with the clip: neither spectrogram nor network sees more than a chunk."""
    part, frames, pictures = small(chunk=5).eval(), [], []
    spectrogram = part.cut.spectrogram

    def watched(samples: Tensor, start: int, stop: int) -> Tensor:
        frames.append(stop - start)
        return spectrogram(samples, start, stop)

    monkeypatch.setattr(part.cut, "spectrogram", watched)
    part.network.register_forward_pre_hook(lambda _, inputs: pictures.append(len(inputs[0])))
    with torch.no_grad():
        part(Sequences.of([torch.randn(16_000 * 20)]))
    assert max(pictures) <= 5
    assert max(frames) <= 4 * part.cut.step + part.cut.width
    assert sum(pictures) == part.cut.count(16_000 * 20)


def test_a_clip_in_one_chunk_is_transformed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    part, calls = small(chunk=64).eval(), []
    spectrogram = part.cut.spectrogram

    def watched(samples: Tensor, start: int, stop: int) -> Tensor:
        calls.append((start, stop))
        return spectrogram(samples, start, stop)

    monkeypatch.setattr(part.cut, "spectrogram", watched)
    with torch.no_grad():
        part(Sequences.of([torch.randn(40_000), torch.randn(9000)]))
    assert len(calls) == 2


def test_weights_of_a_classifier_are_loaded(tmp_path: Path) -> None:
    trained = timm.create_model("test_resnet", num_classes=7, in_chans=1)
    save_file(trained.state_dict(), tmp_path / "speakers.safetensors")
    part = small(weights=str(tmp_path / "speakers.safetensors"))
    for name, value in part.network.state_dict().items():
        torch.testing.assert_close(value, trained.state_dict()[name])
    colours = timm.create_model("test_resnet", num_classes=7)
    save_file(colours.state_dict(), tmp_path / "faces.safetensors")
    with pytest.raises(InputError, match=r"SpectrogramTimm: the weights of .*faces\.safetensors do not fit"):
        small(weights=str(tmp_path / "faces.safetensors"))


def test_it_is_unfrozen_gradually() -> None:
    part = small(freeze="all")

    def trained() -> set[str]:
        return {name for name, weight in part.network.named_parameters() if weight.requires_grad}

    assert trained() == set()
    sizes = []
    for freeze in (part.stages, part.stages - 1, 1, 0):
        part.refreeze(freeze)
        sizes.append(len(trained()))
        norms = [module for module in part.network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(norm.training == norm.weight.requires_grad for norm in norms)
    assert sizes == sorted(sizes)
    assert trained() == {name for name, _ in part.network.named_parameters()}
    with pytest.raises(InputError, match="SpectrogramTimm: freeze must be"):
        part.refreeze(part.stages + 1)


def test_a_network_for_one_size_is_built_for_segments() -> None:
    part = SpectrogramTimm(architecture="test_vit", hop=100, bands=64, scale="mel").eval()
    with torch.no_grad():
        given = part(Sequences.of([torch.randn(20_000)]))
    assert given.steps.shape == (3, part.out_features)
    refused = SpectrogramTimm(architecture="test_vit", hop=64, bands=64, scale="mel")
    with pytest.raises(InputError, match=r"refuses segments of \(64, 250\).*hop=100"):
        refused(Sequences.of([torch.randn(20_000)]))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: SpectrogramTimm(architecture="resnet_18"), "'resnet_18' is not known. Did you mean 'resnet"),
        (lambda: SpectrogramTimm(40), "reads sound of one channel, steps of width 1; got 40"),
        (lambda: SpectrogramTimm(1, step_shape=(2,)), r"reads sound of one channel, steps of width 1; got \(2,\)"),
        (lambda: SpectrogramTimm(rate=44100.0), "44100 samples a second; this network reads 16000. Resample"),
        (lambda: small(chunk=0), "chunk must be an integer of at least 1"),
        (lambda: small(pretrained=True, weights="x"), "give either pretrained or weights"),
        (lambda: small(weights="nowhere.safetensors"), "that is no file"),
        (lambda: small()(Sequences.of([torch.randn(50, 2)])), r"steps of shape \(2,\) and type torch.float32"),
        (lambda: small()(Sequences.of([torch.zeros(50, dtype=torch.int32)])), "floating-point or int16"),
    ],
)
def test_it_refuses(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(InputError, match=f"SpectrogramTimm.*{text}"):
        build()


def test_samples_may_be_integers() -> None:
    part = small().eval()
    wave = (torch.randn(9000) * 3000).to(torch.int16)
    with torch.no_grad():
        given = part(Sequences.of([wave])).steps
        torch.testing.assert_close(given, part(Sequences.of([wave.float() / 32768])).steps, atol=1e-4, rtol=1e-4)

"""Image and video networks of timm, torchvision and transformers as extractors."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS, FramesTimm, VideoTorchvision, VisionHF
from mrpnkit.testing import check_configuration, check_extractor

timm = pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
torchvision = pytest.importorskip("torchvision", reason="needs torchvision: pip install 'mrpnkit[av]'")
transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'mrpnkit[hub]'")
VIT, CONV = "test_vit", "test_resnet"  # timm's own smallest networks


def frames(count: int, side: int = 64) -> Tensor:
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8)


def colours(count: int, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side)


def batch(*lengths: int, make: Callable[[int], Tensor] = frames) -> Sequences:
    return Sequences.of([make(length) for length in lengths])


class Tiny(nn.Module):
    """A video network of a few weights, built as torchvision's are.

    It has no three-dimensional convolution: in bfloat16 on a CPU, torch's gradients of their weights are not finite at
    times.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(3, 4), nn.GELU())
        self.body = nn.Linear(4, 6)
        self.fc = nn.Linear(6, 10)

    def forward(self, video: Tensor) -> Tensor:
        pixels = video[..., ::2, ::2].movedim(1, -1)  # (N, T, H, W, 3)
        time = torch.linspace(1.0, 2.0, pixels.shape[1], dtype=pixels.dtype)[:, None, None, None]
        hidden: Tensor = self.body(self.stem(pixels * time))
        result: Tensor = self.fc(hidden.mean((1, 2, 3)))
        return result


@pytest.fixture
def tiny3d() -> Iterator[str]:
    """Registers :class:`Tiny` among torchvision's video networks."""
    from torchvision.models._api import BUILTIN_MODELS, register_model

    def make(*, weights: None = None) -> nn.Module:
        return Tiny()

    make.__module__ = "torchvision.models.video.tiny"
    register_model("tiny3d")(make)
    yield "tiny3d"
    del BUILTIN_MODELS["tiny3d"]


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny vision transformer and the settings of its preprocessor."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    transformers.ViTModel(config).save_pretrained(folder)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.mark.parametrize("make", [lambda n: frames(n, 32), lambda n: colours(n, 32)], ids=["bytes", "floats"])
def test_timm_keeps_the_contract(make: Callable[[int], Tensor]) -> None:
    check_extractor(
        lambda width: FramesTimm(width, architecture="test_convnext", size=(48, 48), chunk=4),
        3072,
        make_steps=make,
    )


def test_torchvision_keeps_the_contract(tiny3d: str) -> None:
    check_extractor(
        lambda width: VideoTorchvision(width, architecture=tiny3d, frames=3, hop=2, chunk=2),
        768,
        make_steps=lambda count: frames(count, 16),
    )


def test_transformers_keeps_the_contract(vit: str) -> None:
    check_extractor(lambda width: VisionHF(width, model=vit, chunk=4), 768, make_steps=lambda count: frames(count, 16))


@pytest.mark.parametrize("name", ["frames_timm", "video_torchvision", "vision_hf"])
def test_options_are_a_schema(name: str) -> None:
    options = {"model": "folder"} if name == "vision_hf" else {}
    check_configuration(EXTRACTORS[name], {**options, "freeze": 2, "size": [8, 8]})
    about = EXTRACTORS.describe(name)
    assert about.paper
    assert about.weights_licence


def test_timm_is_the_network_on_normalised_pixels() -> None:
    """Against NumPy and timm alone."""
    part = FramesTimm(1, architecture="test_efficientnet", chunk=2).eval()
    inputs = batch(3, 0, 2)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((inputs.steps.numpy() / 255 - mean) / std).transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = part.network(torch.tensor(pixels, dtype=torch.float32))
        given = part(inputs)
    torch.testing.assert_close(given.steps, expected, atol=1e-5, rtol=1e-4)
    assert given.lengths.tolist() == [3, 0, 2]
    assert part.out_features == expected.shape[1]


@pytest.mark.parametrize("architecture", [VIT, CONV, "test_efficientnet", "test_convnext", "test_byobnet"])
def test_the_width_is_the_networks_own(architecture: str) -> None:
    part = FramesTimm(1, architecture=architecture, size=(160, 160)).eval()
    with torch.no_grad():
        assert part(batch(1)).steps.shape == (1, part.out_features)


def test_grey_frames_are_the_same_in_three_colours() -> None:
    part = FramesTimm(1, architecture=CONV).eval()
    grey = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    floats = (grey.float() / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        one, two, three = (
            part(Sequences.of([steps])).steps for steps in (grey, grey[..., None].expand(-1, -1, -1, 3), floats)
        )
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(one, three)


def test_chunks_and_checkpoints_change_nothing() -> None:
    """Gradients are equal, and batch norm's statistics are moved once, not again in the backward pass."""
    results = []
    for chunk, checkpointing in ((2, False), (2, True)):
        torch.manual_seed(0)
        part = FramesTimm(1, architecture=CONV, chunk=chunk, gradient_checkpointing=checkpointing)
        torch.manual_seed(1)
        outputs = part(batch(3, 1)).steps
        outputs.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in part.named_parameters()}
        buffers = {name: buffer for name, buffer in part.named_buffers() if "running" in name}
        results.append((outputs.detach(), gradients, buffers))
    plain, again = results
    torch.testing.assert_close(plain[0], again[0])
    assert plain[2]
    for name, expected in {**plain[1], **plain[2]}.items():
        torch.testing.assert_close({**again[1], **again[2]}[name], expected)


@pytest.mark.parametrize("chunk", [2, 4])
def test_in_training_each_chunk_has_every_so_many_th_frame(chunk: int) -> None:
    """Against timm alone on those frames; so each chunk shows both clips."""
    torch.manual_seed(0)
    part = FramesTimm(1, architecture=CONV, chunk=chunk)
    network, inputs = copy.deepcopy(part.network), batch(5, 3)
    number = 8 // chunk
    given = part(inputs).steps
    for first in range(number):
        expected = network(part.pixels(inputs.steps[first::number]))
        torch.testing.assert_close(given[first::number], expected)
    for name, buffer in part.network.named_buffers():
        torch.testing.assert_close(buffer, network.get_buffer(name))


def test_one_chunk_equals_many_in_evaluation() -> None:
    torch.manual_seed(0)
    part = FramesTimm(1, architecture=CONV, chunk=64).eval()
    inputs = batch(5, 2)
    with torch.no_grad():
        whole = part(inputs).steps
        part.chunk = 1
        torch.testing.assert_close(part(inputs).steps, whole)


@pytest.mark.parametrize("freeze", ["all", 1, 3])
def test_frozen_stages_do_not_move(freeze: Any) -> None:
    part = FramesTimm(1, architecture=CONV, freeze=freeze).train()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
    outputs = part(batch(4))
    if trained:
        outputs.steps.sum().backward()
        torch.optim.SGD(trained, lr=0.1).step()
    moved = {name for name, value in part.state_dict().items() if not torch.equal(value, before[name])}
    stem = {name for name in before if name.startswith(("network.conv1", "network.bn1"))}
    assert stem
    assert not moved & stem
    assert bool(moved) == (freeze != "all")
    assert any(name.startswith("network.layer4") for name in moved) == (freeze != "all")


def test_timm_reads_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    whole = timm.create_model(CONV, num_classes=5).eval()
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    part = FramesTimm(1, architecture=CONV, weights=str(tmp_path / "w.safetensors")).eval()
    image = colours(2)
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features((image - 0.5) / 0.5), pre_logits=True)
        torch.testing.assert_close(part(Sequences.of([image])).steps, expected)
    del whole.layer1
    save_file(whole.state_dict(), tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=r"FramesTimm: the weights of .*part.safetensors do not fit.* are missing"):
        FramesTimm(1, architecture=CONV, weights=str(tmp_path / "part.safetensors"))
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"does not end in \.safetensors"):
        FramesTimm(1, architecture=CONV, weights=str(tmp_path / "w.pt"))


def test_low_precision_is_near_and_gives_float32() -> None:
    torch.manual_seed(0)
    exact = FramesTimm(1, architecture=CONV).eval()
    low = FramesTimm(1, architecture=CONV, precision="bfloat16", memory_format="channels_last").eval()
    low.load_state_dict(exact.state_dict())
    inputs = batch(2)
    with torch.no_grad():
        given, expected = low(inputs).steps, exact(inputs).steps
    assert given.dtype == torch.float32
    assert 0 < float((given - expected).abs().max()) < 0.1 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"architecture": "resnet81"}, r"architecture 'resnet81' is not known. Did you mean .*'resnet18'"),
        ({"architecture": "hf-hub:some/model"}, "'hf-hub:some/model' is not known"),
        ({"architecture": CONV, "freeze": 99}, "freeze must be 'none', 'all', or a number of stages from 0 to"),
        ({"architecture": CONV, "chunk": 0}, "chunk must be an integer of at least 1"),
        ({"architecture": CONV, "size": (0, 3)}, "size must be a height and a width"),
        ({"architecture": CONV, "step_shape": (136,)}, r"given steps of shape \(136,\); expected frames"),
        ({"architecture": CONV, "weights": "none.safetensors"}, "that is no file"),
        ({"architecture": CONV, "weights": "x", "pretrained": True}, "either pretrained or weights"),
    ],
)
def test_timm_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=f"FramesTimm.*{text}"):
        FramesTimm(1, **options)


def test_a_transformer_asks_for_its_size() -> None:
    with pytest.raises(InputError, match=r"the network refuses frames of \(64, 64\).*Give size"):
        FramesTimm(1, architecture="vit_tiny_patch16_224")(batch(1))


def clips_of(length: int, size: int, hop: int) -> list[list[int]]:
    """The definition, sample by sample."""
    starts = [0] if length else []
    while starts and starts[-1] + size < length:
        starts.append(starts[-1] + hop)
    return [[min(start + k, length - 1) for k in range(size)] for start in starts]


@pytest.mark.parametrize(("size", "hop"), [(4, 4), (4, 2), (3, 5), (1, 1)])
def test_clips_are_cut_as_defined(tiny3d: str, size: int, hop: int) -> None:
    torch.manual_seed(0)
    part = VideoTorchvision(1, architecture=tiny3d, frames=size, hop=hop, chunk=3).eval()
    lengths = [9, 0, 1, 4, 5, 8]
    inputs = batch(*lengths, make=lambda n: colours(n, 8))
    with torch.no_grad():
        given = part(inputs)
        for sample, length, result in zip(inputs.unbind(), lengths, given.unbind(), strict=True):
            clips = clips_of(length, size, hop)
            assert len(result) == len(clips)
            assert length <= size or len(clips) == 1 + -(-(length - size) // hop)
            for clip, row in zip(clips, result, strict=True):
                expected = part.network(part.pixels(sample[clip]).transpose(0, 1)[None])[0]
                torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("architecture", ["r3d_18", "s3d", "mvit_v2_s", "swin3d_t"])
def test_heads_of_torchvision_come_off(architecture: str) -> None:
    """On the meta device, where nothing is computed."""
    widths = {"r3d_18": 512, "s3d": 1024, "mvit_v2_s": 768, "swin3d_t": 768}
    with torch.device("meta"):
        part = VideoTorchvision(1, architecture=architecture).eval()
        outputs = part.network(torch.empty(1, 3, 16, 224, 224))
    assert part.out_features == widths[architecture]
    assert outputs.shape == (1, widths[architecture])


def test_torchvision_refuses(tiny3d: str) -> None:
    with pytest.raises(InputError, match=r"VideoTorchvision: architecture 'r3d_81' is not known. Did you.*'r3d_18'"):
        VideoTorchvision(1, architecture="r3d_81")
    with pytest.raises(InputError, match="hop must be an integer of at least 1"):
        VideoTorchvision(1, architecture=tiny3d, hop=0)
    with pytest.raises(InputError, match="torchvision has no weights for 'tiny3d'"):
        VideoTorchvision(1, architecture=tiny3d, pretrained=True)


def test_vision_is_the_mean_over_places(vit: str) -> None:
    """Against transformers alone, and the preprocessor's numbers in NumPy."""
    network = transformers.ViTModel.from_pretrained(vit).eval()
    inputs = batch(2, 1, make=lambda n: frames(n, 32))
    pixels = (inputs.steps.numpy() / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.4, 0.5, 0.6])
    with torch.no_grad():
        hidden = network(torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)).last_hidden_state
        mean = VisionHF(1, model=vit).eval()(inputs).steps
        first = VisionHF(1, model=vit, pool="first").eval()(inputs).steps
    torch.testing.assert_close(mean, hidden.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(first, hidden[:, 0], atol=1e-5, rtol=1e-4)


def test_vision_refuses(vit: str) -> None:
    with pytest.raises(InputError, match=r"VisionHF: the network refuses frames of \(48, 48\)"):
        VisionHF(1, model=vit, size=(48, 48))(batch(1))
    with pytest.raises(InputError, match=r"VisionHF was given integer steps of shape \(7,\); expected frames"):
        VisionHF(1, model=vit)(Sequences.vectors(torch.zeros(2, 7, dtype=torch.uint8)))

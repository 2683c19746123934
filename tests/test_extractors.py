"""Extractors: the contract of every one that is registered, and what each computes, against torch on single samples."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mrpnkit import FeatureNorm, Sequences
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS, MLP, Conv1d, Identity, Linear, RaggedConv1d, suited_precision
from mrpnkit.testing import check_extractor


def ragged(lengths: list[int], width: int, seed: int = 0) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    return Sequences.of([torch.randn(length, width, generator=generator) for length in lengths])


OTHER_STEPS = {
    "audio_hf": "test_ready_made_waves.py",
    "frames_timm": "test_ready_made_images.py",
    "spectrogram_timm": "test_spectrogram_timm.py",
    "speech_torchaudio": "test_ready_made_waves.py",
    "text_hf": "test_ready_made_text.py",
    "video_torchvision": "test_ready_made_images.py",
    "vision_hf": "test_ready_made_images.py",
}
"""Extractors whose steps are not plain vectors, and the tests that hold them to the contract with steps they know."""
OURS = [name for name in EXTRACTORS.names() if EXTRACTORS.owner(name) == "mrpnkit"]
ON_VECTORS = [name for name in OURS if name not in OTHER_STEPS]


@pytest.mark.parametrize("name", ON_VECTORS)
def test_every_extractor_of_vectors_keeps_the_contract(name: str) -> None:
    check_extractor(EXTRACTORS[name], 6)


@pytest.mark.parametrize("name", OTHER_STEPS)
def test_every_other_extractor_is_held_to_the_contract_elsewhere(name: str) -> None:
    kind = EXTRACTORS[name].__name__
    text = Path(__file__).with_name(OTHER_STEPS[name]).read_text(encoding="utf-8")
    assert re.search(rf"check_extractor\(\s*lambda width: {kind}\(", text)


@pytest.mark.parametrize(
    "factory",
    [
        lambda width: MLP(width, hidden=[5], activation="gelu", dropout=0.3, norm="layer"),
        lambda width: MLP(width, hidden=[7, 4], norm="none"),
        lambda width: Conv1d(width, channels=[7, 7, 4], strides=[1, 1, 3], kernel_size=4, norm="layer", residual=True),
        lambda width: Conv1d(width, channels=[4], strides=1, kernel_size=1, norm="none", activation="gelu"),
        lambda width: Conv1d(width, channels=[4, 4], strides=[3, 1], kernel_size=2, dropout=0.4, residual=True),
    ],
)
def test_configured_extractors_keep_the_contract(factory: Callable[[int], nn.Module]) -> None:
    check_extractor(factory, 5)


def test_the_registered_names() -> None:
    classes = {"identity": Identity, "linear": Linear, "mlp": MLP, "conv1d": Conv1d}
    assert {name: EXTRACTORS[name] for name in classes} == classes


def test_identity_keeps_floats_and_makes_integers_floats() -> None:
    floats = ragged([2, 1], 3)
    assert Identity(3)(floats).steps is floats.steps
    integers = Identity(2)(Sequences.vectors(torch.tensor([[1, 255]], dtype=torch.uint8)))
    assert integers.steps.dtype == torch.float32
    assert integers.steps.tolist() == [[1.0, 255.0]]


def test_linear_is_an_affine_map_of_every_step() -> None:
    part, inputs = Linear(3, 2), ragged([2, 0, 3], 3)
    weight, bias = part.dense.weight.detach().numpy(), part.dense.bias.detach().numpy()
    expected = inputs.steps.numpy() @ weight.T + bias
    torch.testing.assert_close(part(inputs).steps.detach(), torch.from_numpy(expected))


def test_mlp_equals_torch_layers_over_all_valid_steps() -> None:
    part, inputs = MLP(4, hidden=[6, 3], norm="batch"), ragged([5, 0, 1, 3], 4)
    twins, hidden = [nn.BatchNorm1d(6), nn.BatchNorm1d(3)], inputs.steps
    dense = [layer for layer in part.layers if isinstance(layer, nn.Linear)]
    for layer, twin in zip(dense, twins, strict=True):
        hidden = torch.relu(twin(F.linear(hidden, layer.weight)))
    torch.testing.assert_close(part(inputs).steps, hidden)
    norms = [layer for layer in part.layers if isinstance(layer, FeatureNorm)]
    for norm, twin in zip(norms, twins, strict=True):
        torch.testing.assert_close(norm.running_var, twin.running_var)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_step_wise_extractors_compute_no_padded_step(name: str) -> None:
    part, inputs, rows = EXTRACTORS[name](4), ragged([9, 0, 1, 2], 4), []
    for module in part.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _module, given, _result: rows.append(given[0].shape[0]))
    part(inputs)
    assert rows
    assert set(rows) == {12}


def test_conv1d_normalises_over_the_valid_steps_only() -> None:
    part, inputs, rows = Conv1d(4, channels=[5, 5], strides=2), ragged([9, 0, 1, 2], 4), []
    for norm in part.norms:
        norm.register_forward_hook(lambda _module, given, _result: rows.append(given[0].shape[0]))
    part(inputs)
    assert rows == [5 + 0 + 1 + 1, 3 + 0 + 1 + 1]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 4),
    bias=st.booleans(),
)
def test_convolution_equals_torch_on_each_sample_alone(
    lengths: list[int], kernel_size: int, stride: int, bias: bool
) -> None:
    torch.manual_seed(3)
    part = RaggedConv1d(3, 2, kernel_size=kernel_size, stride=stride, bias=bias).double()
    inputs = ragged(lengths, 3)
    inputs = inputs.with_steps(inputs.steps.double().requires_grad_())
    outputs = part(inputs).check()
    assert outputs.lengths.tolist() == [-(-length // stride) for length in lengths]
    expected = [torch_convolution(part, sample) for sample in inputs.unbind()]
    torch.testing.assert_close(outputs.steps, torch.cat(expected))
    variables = [inputs.steps, *part.parameters()]
    given_gradients = torch.autograd.grad(outputs.steps.square().sum(), variables)
    if any(lengths):
        wanted = torch.autograd.grad(torch.cat(expected).square().sum(), variables)
        for gradient, want in zip(given_gradients, wanted, strict=True):
            torch.testing.assert_close(gradient, want)


def torch_convolution(part: RaggedConv1d, sample: Tensor) -> Tensor:
    """torch's conv1d on one sample, zero-padded; none of it where there are no steps."""
    if not len(sample):
        return sample.new_zeros(0, part.out_features)
    before, after = (part.kernel_size - 1) // 2, part.kernel_size // 2
    padded = F.pad(sample.t(), (before, after))
    return F.conv1d(padded[None], part.weight, part.bias, stride=part.stride)[0].t()


def test_convolution_by_hand() -> None:
    part = RaggedConv1d(1, 1, kernel_size=3, stride=2, bias=False)
    with torch.no_grad():
        part.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
    outputs = part(Sequences.of([torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(0, 1), torch.tensor([[7.0]])]))
    assert outputs.steps.flatten().tolist() == [210.0, 32.0, 70.0]
    assert outputs.lengths.tolist() == [2, 0, 1]


def test_convolution_starts_like_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = RaggedConv1d(64, 128, kernel_size=5), nn.Conv1d(64, 128, 5)
    assert {name: p.shape for name, p in ours.named_parameters()} == {n: p.shape for n, p in theirs.named_parameters()}
    for name, value in ours.named_parameters():
        parameter, twin = value.detach(), theirs.get_parameter(name).detach()
        assert float(parameter.abs().max()) == pytest.approx(float(twin.abs().max()), rel=0.05)
        assert float(parameter.std()) == pytest.approx(float(twin.std()), rel=0.15)


@pytest.mark.parametrize("residual", [False, True])
def test_conv1d_stack_equals_torch_on_each_sample_alone(residual: bool) -> None:
    torch.manual_seed(0)
    part = Conv1d(4, channels=[6, 6, 3], strides=[2, 1, 1], kernel_size=3, residual=residual)
    part(ragged([20, 30], 4, seed=1))  # running statistics of some data
    part.eval()
    inputs = ragged([7, 0, 1, 12, 2], 4)
    expected = []
    for sample in inputs.unbind():
        hidden = sample
        for layer, (convolution, norm) in enumerate(zip(part.convolutions, part.norms, strict=True)):
            assert isinstance(convolution, RaggedConv1d)
            assert isinstance(norm, FeatureNorm)
            y = torch_convolution(convolution, hidden)
            y = (y - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            hidden = y.clamp(min=0) + (hidden if residual and layer == 1 else 0)
        expected.append(hidden)
    torch.testing.assert_close(part(inputs).steps, torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_gaps_between_samples_keep_them_apart_in_training_without_batch_norm() -> None:
    part = Conv1d(3, channels=[4, 4], kernel_size=7, strides=1, norm="layer")
    first, second = ragged([5, 4], 3).unbind()
    together = part(Sequences.of([first, second])).unbind()
    torch.testing.assert_close(together[0], part(Sequences.of([first])).steps)
    torch.testing.assert_close(together[1], part(Sequences.of([second])).steps)


def test_batch_norm_of_a_single_step_uses_running_statistics() -> None:
    for part in (MLP(3, hidden=[4]), Conv1d(3, channels=[4])):
        part.train()
        inputs = ragged([1], 3)
        torch.testing.assert_close(part(inputs).steps, part.eval()(inputs).steps)


def test_dropout_acts_in_training_only() -> None:
    inputs = ragged([40], 3)
    for part in (MLP(3, hidden=[50], norm="none", dropout=0.5), Conv1d(3, channels=[50], norm="none", dropout=0.5)):
        torch.manual_seed(0)
        trained = float((part(inputs).steps == 0).float().mean())
        evaluated = float((part.eval()(inputs).steps == 0).float().mean())
        assert trained == pytest.approx(0.5 + 0.5 * evaluated, abs=0.05)


def test_layers_chain_their_widths() -> None:
    part = MLP(3, hidden=[5, 7, 2])
    widths = [layer.in_features for layer in part.layers if isinstance(layer, nn.Linear)]
    assert list(pairwise([*widths, part.out_features])) == [(3, 5), (5, 7), (7, 2)]


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Identity(0), "Identity: in_features must be an integer of at least 1, got 0"),
        (lambda: Linear(3, 0), "Linear: out_features must be an integer of at least 1, got 0"),
        (lambda: Linear(True), "Linear: in_features must be an integer of at least 1, got True"),
        (lambda: MLP(3, hidden=[]), r"MLP: hidden must be one or more integers of at least 1, got \[\]"),
        (lambda: MLP(3, hidden=[4, -1]), r"MLP: hidden must be one or more integers of at least 1, got \[4, -1\]"),
        (lambda: MLP(3, dropout=1.0), r"MLP: dropout must lie in \[0, 1\), got 1.0"),
        (
            lambda: MLP(3, norm="group"),  # type: ignore[arg-type]
            "MLP: norm must be one of 'batch', 'layer', 'none', got 'group'",
        ),
        (
            lambda: MLP(3, activation="tanh"),  # type: ignore[arg-type]
            "MLP: activation must be one of 'relu', 'gelu', got 'tanh'",
        ),
        (lambda: Conv1d(3, kernel_size=0), "Conv1d: kernel_size must be an integer of at least 1, got 0"),
        (lambda: Conv1d(3, channels=[4, 4], strides=[2]), "1 strides were given for 2 layers"),
        (lambda: Conv1d(3, strides=0), "Conv1d: strides must be an integer of at least 1, got 0"),
        (lambda: Conv1d(3, dropout=-0.1), r"Conv1d: dropout must lie in \[0, 1\), got -0.1"),
    ],
)
def test_wrong_configuration_is_refused_when_built(build: Callable[[], nn.Module], text: str) -> None:
    with pytest.raises(InputError, match=text):
        build()


@pytest.mark.parametrize("name", ON_VECTORS)
def test_steps_of_a_wrong_shape_are_refused(name: str) -> None:
    part = EXTRACTORS[name](4)
    kind = type(part).__name__
    with pytest.raises(InputError, match=f"{kind} was given steps of width 3, but was built for steps of width 4"):
        part(ragged([2, 1], 3))
    with pytest.raises(InputError, match=rf"{kind} was given steps of shape \(4, 2\).*flatten"):
        part(Sequences.vectors(torch.zeros(3, 4, 2)))


@pytest.mark.parametrize(("major", "expected"), [(7, "float32"), (8, "bfloat16"), (9, "bfloat16")])
def test_bfloat16_is_not_chosen_where_a_gpu_imitates_it(
    major: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V100 (7.0) and T4 (7.5) hold tensors of that type, and torch by default counts that as support."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    for name, found in {
        "is_available": True,
        "current_device": 0,
        "get_device_properties": SimpleNamespace(major=major),
        "_check_bf16_tensor_supported": True,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, found=found: found)
    assert torch.cuda.is_bf16_supported()
    assert suited_precision() == suited_precision("cuda") == expected

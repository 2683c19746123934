"""Aggregators: the contract of every one that is registered, and what each computes, against independent results."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mrpnkit import Sequences
from mrpnkit.aggregators import AGGREGATORS, GRU, LSTM, Attention, BiLSTM, Last, Max, Mean, Transformer
from mrpnkit.errors import InputError
from mrpnkit.positions import sinusoids
from mrpnkit.testing import check_aggregator


def ragged(lengths: list[int], width: int, seed: int = 0) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    return Sequences.of([torch.randn(length, width, generator=generator) for length in lengths])


@pytest.mark.parametrize("name", AGGREGATORS.names())
def test_every_registered_aggregator_keeps_the_contract(name: str) -> None:
    check_aggregator(AGGREGATORS[name], 6)


@pytest.mark.parametrize(
    "factory",
    [
        lambda width: Attention(width, heads=3, hidden_features=4, dropout=0.2),
        lambda width: LSTM(width, hidden_features=4, layers=2, dropout=0.2, pool="mean"),
        lambda width: GRU(width, hidden_features=4, layers=3, pool="max"),
        lambda width: BiLSTM(width, hidden_features=4, layers=2, dropout=0.2, pool="max"),
        lambda width: BiLSTM(width, hidden_features=4, layers=2, pool="mean"),
        lambda width: Transformer(width, features=6, heads=3, feedforward=5, layers=1, positions="none"),
    ],
)
def test_configured_aggregators_keep_the_contract(factory: Callable[[int], nn.Module]) -> None:
    check_aggregator(factory, 5)


def test_the_registered_names() -> None:
    classes = {
        "last": Last,
        "mean": Mean,
        "max": Max,
        "attention": Attention,
        "lstm": LSTM,
        "bilstm": BiLSTM,
        "gru": GRU,
        "transformer": Transformer,
    }
    assert {name: AGGREGATORS[name] for name in classes} == classes


@pytest.mark.parametrize("lengths", [[4, 1, 0, 7], [0, 3], [1], [2, 2]])
@pytest.mark.parametrize(
    ("part", "reduce"), [(Last(3), lambda x: x[-1]), (Mean(3), lambda x: x.mean(0)), (Max(3), lambda x: x.max(0))]
)
def test_pooling_equals_numpy_on_each_sample(
    part: nn.Module, reduce: Callable[[np.ndarray], np.ndarray], lengths: list[int]
) -> None:
    inputs = ragged(lengths, 3)
    expected = [reduce(sample.numpy()) if len(sample) else np.zeros(3, np.float32) for sample in inputs.unbind()]
    np.testing.assert_allclose(part(inputs).numpy(), np.stack(expected), rtol=1e-6, atol=1e-6)


def test_pooling_gradients_by_hand() -> None:
    steps = torch.tensor([[1.0, 5.0], [3.0, 2.0], [9.0, 9.0]])
    wanted: dict[nn.Module, list[list[float]]] = {
        Last(2): [[0, 0], [1, 1], [1, 1]],
        Mean(2): [[0.5, 0.5], [0.5, 0.5], [1, 1]],
        Max(2): [[0, 1], [1, 0], [1, 1]],
    }
    for part, gradient in wanted.items():
        variable = steps.clone().requires_grad_()
        part(Sequences(variable, torch.tensor([2, 0, 1]))).sum().backward()
        assert variable.grad is not None
        assert variable.grad.tolist() == gradient


def test_mean_of_many_bfloat16_steps_does_not_lose_them() -> None:
    steps = torch.ones(2000, 1, dtype=torch.bfloat16)
    assert Mean(1)(Sequences.of([steps])).item() == 1.0


def test_max_of_negative_steps_is_negative() -> None:
    assert Max(1)(Sequences.of([torch.tensor([[-3.0], [-2.0]]), torch.zeros(0, 1)])).tolist() == [[-2.0], [0.0]]


def test_attention_equals_its_equation_in_numpy() -> None:
    part, inputs = Attention(3, heads=2, hidden_features=5), ragged([4, 1, 0, 6], 3)
    w, b, v = (p.detach().numpy() for p in (part.hidden.weight, part.hidden.bias, part.score.weight))
    expected = np.zeros((4, 6))
    for row, sample in enumerate(inputs.unbind()):
        x = sample.numpy()
        for head in range(2 if len(x) else 0):
            e = np.exp(np.tanh(x @ w.T + b) @ v[head])
            expected[row, 3 * head : 3 * head + 3] = (e / e.sum()) @ x
    np.testing.assert_allclose(part(inputs).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_attention_with_equal_scores_is_the_mean() -> None:
    part, inputs = Attention(3), ragged([4, 1, 6], 3)
    nn.init.zeros_(part.score.weight)
    torch.testing.assert_close(part(inputs), Mean(3)(inputs))


LENGTHS = [[5, 1, 0, 9, 3], [1, 1], [4], [0, 0, 2], [3, 3, 3], [17, 2, 0, 1, 11, 6]]


def pooled(outputs: list[Tensor], states: Tensor, lengths: list[int], pool: str) -> Tensor:
    """Rows from torch's own outputs and final states of the samples that have steps; zeros for the others."""
    rows, present = torch.zeros(len(lengths), states.shape[1]), [i for i, length in enumerate(lengths) if length]
    for row, output, state in zip(present, outputs, states, strict=True):
        rows[row] = {"last": state, "mean": output.mean(0), "max": output.amax(0)}[pool]
    return rows


def with_packing(twin: nn.LSTM | nn.GRU, inputs: Sequences, pool: str) -> Tensor:
    samples = [sample for sample in inputs.unbind() if len(sample)]
    lengths = [len(sample) for sample in samples]
    grid = nn.utils.rnn.pad_sequence(samples, batch_first=True)
    packed = nn.utils.rnn.pack_padded_sequence(grid, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    outputs, states = twin(packed)
    h = states[0] if isinstance(states, tuple) else states
    directions = 2 if twin.bidirectional else 1
    unpacked, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    valid = [row[:length] for row, length in zip(unpacked, lengths, strict=True)]
    return pooled(valid, torch.cat(list(h[-directions:]), dim=1), inputs.lengths.tolist(), pool)


def copy_into(twin: nn.LSTM | nn.GRU, stacks: dict[str, nn.ModuleList]) -> dict[str, Tensor]:
    """Copies our layers' weights into torch's stack; returns ours by torch's names."""
    ours: dict[str, Tensor] = {
        name.replace("_l0", f"_l{layer}{suffix}"): parameter
        for suffix, stack in stacks.items()
        for layer, cell in enumerate(stack)
        for name, parameter in cell.named_parameters()
    }
    assert ours.keys() == dict(twin.named_parameters()).keys()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(ours[name])
    return ours


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["lstm", "gru", "bilstm"])
def test_recurrent_networks_equal_packed_sequences(kind: str, layers: int, pool: str, lengths: list[int]) -> None:
    torch.manual_seed(0)
    part: LSTM | GRU | BiLSTM
    twin: nn.LSTM | nn.GRU
    if kind == "bilstm":
        part = BiLSTM(4, hidden_features=5, layers=layers, pool=pool)  # type: ignore[arg-type]
        twin = nn.LSTM(4, 5, layers, batch_first=True, bidirectional=True)
        ours = copy_into(twin, {"": part.forwards, "_reverse": part.backwards})
    elif kind == "lstm":
        part = LSTM(4, hidden_features=5, layers=layers, pool=pool)  # type: ignore[arg-type]
        twin = nn.LSTM(4, 5, layers, batch_first=True)
        ours = copy_into(twin, {"": part.layers})
    else:
        part = GRU(4, hidden_features=5, layers=layers, pool=pool)  # type: ignore[arg-type]
        twin = nn.GRU(4, 5, layers, batch_first=True)
        ours = copy_into(twin, {"": part.layers})
    inputs = ragged(lengths, 4)
    result, expected = part(inputs), with_packing(twin, inputs, pool)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)
    given = torch.autograd.grad(result.square().sum(), list(ours.values()))
    wanted = torch.autograd.grad(expected.square().sum(), [twin.get_parameter(name) for name in ours])
    for gradient, want in zip(given, wanted, strict=True):
        torch.testing.assert_close(gradient, want, atol=1e-5, rtol=1e-5)


def test_recurrent_dropout_stands_between_the_layers() -> None:
    inputs = ragged([6, 3], 4)
    for build in (LSTM, GRU, BiLSTM):
        one, two = build(4, layers=1, dropout=0.5), build(4, layers=2, dropout=0.5)
        torch.testing.assert_close(one(inputs), one(inputs))
        assert not torch.equal(two(inputs), two(inputs))
        two.eval()
        torch.testing.assert_close(two(inputs), two(inputs))


def test_sinusoids_equal_the_published_formula() -> None:
    table = sinusoids(torch.arange(50), 7)
    for t in (0, 1, 13, 49):
        for column in range(7):
            angle = t / 10_000 ** (2 * (column // 2) / 7)
            assert table[t, column].item() == pytest.approx((math.cos if column % 2 else math.sin)(angle), abs=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "none"])
@pytest.mark.parametrize("training", [True, False])
def test_transformer_equals_single_samples_written_out(positions: str, training: bool) -> None:
    torch.manual_seed(0)
    part = Transformer(5, features=8, heads=2, feedforward=6, dropout=0.0, positions=positions)  # type: ignore[arg-type]
    part.train(training)
    inputs = ragged([6, 1, 0, 3], 5)
    rows = []
    for sample in inputs.unbind():
        z = part.projection(sample)
        z = z + sinusoids(torch.arange(len(z)), 8) if positions == "sinusoidal" else z
        rows.append(encoded(part, z).mean(0) if len(z) else torch.zeros(8))
    with torch.set_grad_enabled(training):
        torch.testing.assert_close(part(inputs), torch.stack(rows), atol=1e-5, rtol=1e-5)


def encoded(part: Transformer, z: Tensor) -> Tensor:
    """Pre-norm encoder layers on one sample (T, F), from matrix products."""
    for layer in part.encoder.layers:
        assert isinstance(layer, nn.TransformerEncoderLayer)
        attention = layer.self_attn
        projected = layer.norm1(z) @ attention.in_proj_weight.t() + attention.in_proj_bias
        q, k, v = (x.unflatten(1, (attention.num_heads, -1)).transpose(0, 1) for x in projected.chunk(3, dim=1))
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]), dim=2)
        z = z + attention.out_proj((weights @ v).transpose(0, 1).flatten(1))
        z = z + layer.linear2(nn.functional.gelu(layer.linear1(layer.norm2(z))))
    assert isinstance(part.encoder.norm, nn.LayerNorm)
    return nn.functional.layer_norm(z, z.shape[1:], part.encoder.norm.weight, part.encoder.norm.bias)


def test_transformer_without_positions_ignores_the_order_and_with_them_does_not() -> None:
    torch.manual_seed(0)
    inputs = ragged([6, 3], 5)
    for positions, same in (("none", True), ("sinusoidal", False)):
        part = Transformer(5, features=8, positions=positions).eval()  # type: ignore[arg-type]
        difference = (part(inputs) - part(inputs.reversed())).abs().max().item()
        assert (difference < 1e-5) is same


def test_transformer_layers_start_from_different_weights() -> None:
    first, second = Transformer(5, layers=2).encoder.layers
    assert not torch.equal(first.get_parameter("linear1.weight"), second.get_parameter("linear1.weight"))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Last(0), "Last: in_features must be an integer of at least 1, got 0"),
        (lambda: Attention(3, heads=0), "Attention: heads must be an integer of at least 1, got 0"),
        (lambda: LSTM(3, layers=0), "LSTM: layers must be an integer of at least 1, got 0"),
        (
            lambda: BiLSTM(3, pool="first"),  # type: ignore[arg-type]
            "BiLSTM: pool must be one of 'last', 'mean', 'max', got 'first'",
        ),
        (lambda: GRU(3, dropout=1.5), r"GRU: dropout must lie in \[0, 1\), got 1.5"),
        (lambda: Transformer(3, features=10, heads=4), "features must be a multiple of heads, got 10 and 4"),
        (
            lambda: Transformer(3, positions="learned"),  # type: ignore[arg-type]
            "positions must be one of 'sinusoidal', 'none', got 'learned'",
        ),
    ],
)
def test_wrong_configuration_is_refused_when_built(build: Callable[[], nn.Module], text: str) -> None:
    with pytest.raises(InputError, match=text):
        build()


@pytest.mark.parametrize("name", AGGREGATORS.names())
def test_steps_of_a_wrong_shape_are_refused(name: str) -> None:
    part = AGGREGATORS[name](4)
    kind = type(part).__name__
    with pytest.raises(InputError, match=f"{kind} was given steps of width 3, but was built for steps of width 4"):
        part(ragged([2, 1], 3))
    with pytest.raises(InputError, match=rf"{kind} was given steps of shape \(4, 2\).*flatten"):
        part(Sequences.vectors(torch.zeros(3, 4, 2)))

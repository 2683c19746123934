"""Speech networks of torchaudio and transformers as extractors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS, AudioHF, SpeechTorchaudio
from mrpnkit.extractors.waves import frames_of, shortest
from mrpnkit.testing import check_configuration, check_extractor

torchaudio = pytest.importorskip("torchaudio", reason="needs torchaudio: pip install 'mrpnkit[av]'")
transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'mrpnkit[hub]'")

LAYERS = [(8, 10, 5), (8, 3, 2), (8, 2, 2)]
KERNELS = [(10, 5), (3, 2), (2, 2)]
SHORTEST = 30


def smaller(bundle: Any, **changes: Any) -> Any:
    """A pipeline of torchaudio with the sizes of a toy."""
    sizes = {
        "extractor_conv_layer_config": LAYERS,
        "encoder_embed_dim": 16,
        "encoder_pos_conv_kernel": 4,
        "encoder_pos_conv_groups": 2,
        "encoder_num_layers": 3,
        "encoder_num_heads": 2,
        "encoder_ff_interm_features": 24,
    }
    return dataclasses.replace(bundle, _params={**bundle._params, **sizes}, **changes)


@pytest.fixture(params=["WAV2VEC2_BASE", "HUBERT_LARGE", "WAVLM_BASE"])
def toy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    bundle = getattr(torchaudio.pipelines, request.param)
    monkeypatch.setattr(torchaudio.pipelines, "TOY", smaller(bundle), raising=False)
    return "TOY"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("wav2vec2")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8, 8, 8),
        conv_kernel=(10, 3, 2),
        conv_stride=(5, 2, 2),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(place)
    return str(place)


def sound(count: int) -> Tensor:
    return torch.randn(count * 40, 1)


def test_torchaudio_keeps_the_contract(toy: str) -> None:
    check_extractor(lambda width: SpeechTorchaudio(width, pipeline=toy, chunk=2), 1, make_steps=sound)


def test_transformers_keeps_the_contract(folder: str) -> None:
    check_extractor(lambda width: AudioHF(width, model=folder, chunk=2), 1, make_steps=sound)


@pytest.mark.parametrize("name", ["speech_torchaudio", "audio_hf"])
def test_options_are_a_schema(name: str) -> None:
    check_configuration(EXTRACTORS[name], {"freeze": "all", **({"model": "folder"} if name == "audio_hf" else {})})
    assert EXTRACTORS.describe(name).paper
    assert EXTRACTORS.describe(name).weights_licence


@pytest.mark.parametrize("samples", [0, 1, 29, 30, 31, 49, 50, 51, 69, 70, 400, 401, 16000])
def test_lengths_are_those_of_the_convolutions(toy: str, samples: int) -> None:
    """Counted by running convolutions of these sizes."""
    part = SpeechTorchaudio(pipeline=toy).eval()
    with torch.no_grad():
        given = part(Sequences.of([torch.randn(samples)])).lengths.tolist()
        wave = torch.zeros(1, 1, max(samples, SHORTEST))
        for kernel, stride in KERNELS:
            wave = torch.nn.functional.conv1d(wave, torch.ones(1, 1, kernel), stride=stride)
    expected = wave.shape[2] if samples else 0
    assert given == [expected] == [part.frames(samples)]


def test_the_shortest_wave_makes_one_frame() -> None:
    assert shortest(KERNELS) == SHORTEST
    assert (frames_of(SHORTEST - 1, KERNELS), frames_of(SHORTEST, KERNELS)) == (0, 1)


@pytest.mark.parametrize("layers", [None, 2])
def test_it_is_the_network_on_each_wave(toy: str, layers: int | None) -> None:
    """Against torchaudio alone, wave by wave, with the normalisation that the pipeline asks for."""
    torch.manual_seed(0)
    part = SpeechTorchaudio(pipeline=toy, layers=layers).eval()
    bundle = torchaudio.pipelines.TOY
    make = torchaudio.models.wavlm_model if bundle._model_type == "WavLM" else torchaudio.models.wav2vec2_model
    network = make(**{**bundle._params, "encoder_num_layers": layers or 3}).eval()
    network.load_state_dict(part.network.state_dict())
    waves = [torch.randn(200) * 3 + 1, torch.randn(0), torch.randn(90), torch.randn(200)]
    with torch.no_grad():
        for wave, given in zip(waves, part(Sequences.of(waves)).unbind(), strict=True):
            if len(wave):
                scaled = (wave - wave.mean()) / wave.std(correction=0) if bundle._normalize_waveform else wave
                torch.testing.assert_close(given, network(scaled[None])[0][0], atol=1e-4, rtol=1e-3)


def test_transformers_is_the_network_on_each_wave(folder: str) -> None:
    network = transformers.Wav2Vec2Model.from_pretrained(folder).eval()
    waves = [torch.randn(200) * 3 + 1, torch.randn(0), torch.randn(90)]
    with torch.no_grad():
        plain = AudioHF(model=folder, normalise="none").eval()(Sequences.of(waves)).unbind()
        scaled = AudioHF(model=folder).eval()(Sequences.of(waves)).unbind()
        assert [len(result) for result in plain] == [frames_of(200, KERNELS), 0, frames_of(90, KERNELS)]
        for wave, one, two in zip(waves, plain, scaled, strict=True):
            if len(wave):
                torch.testing.assert_close(one, network(wave[None]).last_hidden_state[0], atol=1e-5, rtol=1e-4)
                normal = (wave - wave.mean()) / wave.std(correction=0)
                torch.testing.assert_close(two, network(normal[None]).last_hidden_state[0], atol=1e-4, rtol=1e-3)


def test_frozen_convolutions_do_not_move(toy: str) -> None:
    part = SpeechTorchaudio(pipeline=toy, freeze=2)
    free = {name.split(".")[1] for name, parameter in part.named_parameters() if parameter.requires_grad}
    held = [name for name, parameter in part.named_parameters() if not parameter.requires_grad]
    assert free == {"encoder"}
    assert any("feature_extractor" in name for name in held)
    assert any("pos_conv_embed" in name for name in held)
    assert not any("transformer.layers" in name for name in held)
    assert not part.network.feature_extractor.training
    with pytest.raises(InputError, match="number of stages from 0 to 5, got 6"):
        SpeechTorchaudio(pipeline=toy, freeze=6)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: SpeechTorchaudio(pipeline="WAV2VEC_BASE"),
            "'WAV2VEC_BASE' is not known. Did you.* 'WAV2VEC2_BASE'",
        ),
        (lambda: SpeechTorchaudio(40), "reads sound of one channel, steps of width 1; got 40"),
        (lambda: SpeechTorchaudio(rate=44100.0), "44100 samples a second; this network reads 16000. Resample"),
        (lambda: SpeechTorchaudio(pipeline="WAV2VEC2_BASE", chunk=0), "chunk must be an integer of at least 1"),
    ],
)
def test_torchaudio_refuses(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(InputError, match=f"SpeechTorchaudio.*{text}"):
        build()


def test_sound_has_one_channel(toy: str) -> None:
    part = SpeechTorchaudio(pipeline=toy)
    with pytest.raises(InputError, match=r"steps of shape \(2,\) and type torch.float32; expected floating-point"):
        part(Sequences.of([torch.randn(50, 2)]))
    with pytest.raises(InputError, match=r"type torch.int16; expected floating-point samples"):
        part(Sequences.of([torch.zeros(50, dtype=torch.int16)]))
    with pytest.raises(InputError, match="TOY has 3 layers; got layers=4"):
        SpeechTorchaudio(pipeline=toy, layers=4)


def test_weights_of_the_whole_network_fit(toy: str, tmp_path: Any) -> None:
    from safetensors.torch import save_file

    whole = SpeechTorchaudio(pipeline=toy)
    save_file({**whole.network.state_dict(), "aux.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    part = SpeechTorchaudio(pipeline=toy, weights=str(tmp_path / "w.safetensors"))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(part.state_dict()[name], value)

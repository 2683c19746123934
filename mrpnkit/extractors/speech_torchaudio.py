"""wav2vec 2.0, HuBERT and WavLM, as torchaudio has them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import (
    Freeze,
    Frozen,
    Precision,
    check_listed,
    check_source,
    frozen_modules,
    insert_weights,
    load_weights,
    missing_package,
    precise,
    restored,
    type_of,
)
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.waves import by_length, check_rate_of_sound, frames_of, shortest, waves_of
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("speech_torchaudio")
class SpeechTorchaudio(nn.Module):
    """A speech network of torchaudio: samples of sound → frames, for most networks one every 20 ms.

    A wave of T samples becomes exactly as many frames as the network's convolutions make of it: see :meth:`frames`.
    Waves run with those of their own length only, never padded, since these networks normalise over time and the
    result for a wave must not depend on the others; so equal lengths are faster. A wave too short for one frame is
    filled with zeros. The package torchaudio is needed: ``pip install 'mrpnkit[av]'``.

    Args:
        in_features: width of a step, 1.
        step_shape: shape of a step, where it is known; checked.
        rate: samples a second, where it is known; it must be that of the network, 16000.
        pipeline: name in ``torchaudio.pipelines``: ``"WAV2VEC2_BASE"``, ``"HUBERT_BASE"``, ``"WAVLM_BASE"``, ….
        layers: how many of the transformer's layers are computed; by default all.
        pretrained: whether torchaudio fetches the network's weights.
        weights: a safetensors file of the network's weights.
        freeze: ``"none"``, ``"all"``, or how many stages from the input on: 1 the convolutions, 2 also what follows up
            to the transformer, and one for each of its layers.
        chunk: waves at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.

    Raises:
        DependencyError: torchaudio is not installed.
        InputError: an unknown pipeline, weights that do not fit, sound of another rate or of several channels.
    """

    paper: ClassVar[str] = "wav2vec 2.0, arXiv:2006.11477; HuBERT, arXiv:2106.07447; WavLM, arXiv:2110.13900"
    weights_licence: ClassVar[str] = "wav2vec 2.0, XLS-R, HuBERT, WavLM: MIT; VoxPopuli, MMS: CC BY-NC 4.0"

    def __init__(
        self,
        in_features: int = 1,
        *,
        step_shape: Sequence[int] | None = None,
        rate: float | None = None,
        pipeline: str = "WAV2VEC2_BASE",
        layers: int | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Freeze = "none",
        chunk: int = 8,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        try:
            from torchaudio import models, pipelines
        except ImportError as error:
            raise missing_package(self, "torchaudio", "av") from error
        check_counts(self, {"in_features": in_features, "chunk": chunk})
        if in_features != 1 or (step_shape is not None and tuple(step_shape) not in ((), (1,))):
            raise InputError(f"SpeechTorchaudio reads sound of one channel, steps of width 1; got {in_features}.")
        known = [name for name in dir(pipelines) if isinstance(getattr(pipelines, name), pipelines.Wav2Vec2Bundle)]
        check_listed(self, "pipeline", pipeline, known)
        bundle: Any = getattr(pipelines, pipeline)
        check_rate_of_sound(self, rate, bundle.sample_rate)
        check_source(self, pretrained=pretrained, weights=weights)
        make = models.wavlm_model if bundle._model_type == "WavLM" else models.wav2vec2_model
        sizes = {**bundle._params, "aux_num_out": None}
        self.network: Any = make(**sizes)
        if pretrained:
            tensors = bundle._get_state_dict({"weights_only": True, "progress": False})
            insert_weights(self, self.network, dict(tensors), where=pipeline, spare=("aux.",))
        if weights is not None:
            load_weights(self, self.network, weights, spare=("aux.",))
        every = self.network.encoder.transformer.layers
        if layers is not None and not 1 <= layers <= len(every):
            raise InputError(f"SpeechTorchaudio: {pipeline} has {len(every)} layers; got layers={layers}.")
        self.network.encoder.transformer.layers = every[:layers]
        self.out_features = int(sizes["encoder_embed_dim"])
        convolutions = sizes["extractor_conv_layer_config"] or _CONVOLUTIONS
        self._convolutions = [(kernel, stride) for _, kernel, stride in convolutions]
        self._normalised = bool(bundle._normalize_waveform)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, _stages(self.network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def frames(self, samples: int) -> int:
        """Frames that a wave of so many samples becomes."""
        return frames_of(max(samples, shortest(self._convolutions)), self._convolutions) if samples else 0

    def forward(self, inputs: Sequences) -> Sequences:
        """Samples of sound (S,) or (S, 1) → frames (S', out_features)."""
        return by_length(
            self.network,
            inputs,
            waves_of(self, inputs),
            self._features,
            width=self.out_features,
            least=shortest(self._convolutions),
            chunk=self.chunk,
            checkpointing=self.gradient_checkpointing,
        )

    def _features(self, waves: Tensor) -> Tensor:
        waves = waves.to(type_of(self.network))
        if self._normalised:
            waves = F.layer_norm(waves, waves.shape[1:])
        with precise(self.precision, waves.device):
            features: Tensor = self.network(waves)[0]
        return restored(self.network, features, self.precision)


_CONVOLUTIONS = [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
"""Of torchaudio, where a pipeline names none."""


def _stages(network: Any) -> list[list[nn.Module]]:
    transformer = network.encoder.transformer
    before = [network.encoder.feature_projection, transformer.pos_conv_embed]
    return [[network.feature_extractor], before, *([layer] for layer in transformer.layers)]

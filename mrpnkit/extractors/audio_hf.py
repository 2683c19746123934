"""Sound networks of transformers, on samples of sound."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import Freeze, Frozen, Precision, frozen_modules, precise, restored, stages_of, type_of
from mrpnkit.extractors.hugging_face import Weights, load_network, width_of
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.waves import by_length, check_rate_of_sound, shortest, waves_of
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("audio_hf")
class AudioHF(nn.Module):
    """A sound network by ``AutoModel`` that reads waves, such as wav2vec 2.0, HuBERT, WavLM: samples → frames.

    A wave becomes exactly as many frames as the network's convolutions make of it. Waves run with those of their own
    length only, never padded; one too short for a frame is filled with zeros. Networks that read spectrograms, such as
    Whisper, are refused. The package transformers is needed: ``pip install 'mrpnkit[hub]'``.

    Args:
        in_features: width of a step, 1.
        step_shape: shape of a step, where it is known; checked.
        rate: samples a second, where it is known; it must be that of the network's preprocessor, where that says one.
        model: a folder with ``config.json`` and ``model.safetensors``, which is read without any network access, or the
            name of a repository on the hub. Code that a model brings is never run, and pickles are never read.
        revision: commit, tag or branch of the repository.
        weights: ``"random"`` builds the network from its configuration alone.
        normalise: ``"wave"`` gives each wave mean 0 and variance 1, ``"none"`` leaves it, ``"model"`` does what the
            preprocessor says (``do_normalize``), and normalises where there is none.
        freeze: ``"none"``, ``"all"``, or how many stages from the input on: 1 the convolutions, and so on.
        chunk: waves at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.

    Raises:
        DependencyError: transformers is not installed.
        InputError: a model that cannot be loaded or does not read waves, sound of another rate or of several channels.
    """

    paper: ClassVar[str] = "Wolf et al. 2020, doi:10.18653/v1/2020.emnlp-demos.6; each network has its own"
    weights_licence: ClassVar[str] = "as the model's card says"

    def __init__(
        self,
        in_features: int = 1,
        *,
        model: str,
        step_shape: Sequence[int] | None = None,
        rate: float | None = None,
        revision: str | None = None,
        weights: Weights = "pretrained",
        normalise: Literal["model", "wave", "none"] = "model",
        freeze: Freeze = "none",
        chunk: int = 8,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "chunk": chunk})
        if in_features != 1 or (step_shape is not None and tuple(step_shape) not in ((), (1,))):
            raise InputError(f"AudioHF reads sound of one channel, steps of width 1; got {in_features}.")
        loaded = load_network(self, model, revision=revision, weights=weights)
        kernels = getattr(loaded.config, "conv_kernel", None)
        if kernels is None or loaded.network.main_input_name != "input_values":
            raise InputError(
                f"AudioHF: {type(loaded.network).__name__} does not read waves (input_values) by convolutions. Compute "
                "its features beforehand, and read those."
            )
        if "sampling_rate" in loaded.preprocessor:
            check_rate_of_sound(self, rate, float(loaded.preprocessor["sampling_rate"]))
        for module in loaded.network.modules():
            if hasattr(module, "_requires_grad"):  # transformers would demand that the waves are leaves of the graph
                module._requires_grad = False
        self.network: nn.Module = loaded.network
        self.out_features = int(getattr(loaded.config, "output_hidden_size", None) or width_of(self, loaded.config))
        if not getattr(loaded.config, "add_adapter", False):
            self.out_features = width_of(self, loaded.config)
        self._least = shortest(list(zip(kernels, loaded.config.conv_stride, strict=True)))
        self._normalised = normalise == "wave" or (
            normalise == "model" and bool(loaded.preprocessor.get("do_normalize", True))
        )
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of(self.network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def forward(self, inputs: Sequences) -> Sequences:
        """Samples of sound (S,) or (S, 1) → frames (S', out_features)."""
        return by_length(
            self.network,
            inputs,
            waves_of(self, inputs),
            self._features,
            width=self.out_features,
            least=self._least,
            chunk=self.chunk,
            checkpointing=self.gradient_checkpointing,
        )

    def _features(self, waves: Tensor) -> Tensor:
        waves = waves.to(type_of(self.network))
        if self._normalised:
            mean, variance = waves.mean(1, keepdim=True), waves.var(1, keepdim=True, correction=0)
            waves = (waves - mean) / torch.sqrt(variance + 1e-7)
        with precise(self.precision, waves.device):
            features: Tensor = self.network(waves).last_hidden_state
        return restored(self.network, features, self.precision)

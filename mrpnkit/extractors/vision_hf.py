"""Image networks of transformers, on every frame."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from mrpnkit.arguments import check_choice, check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import (
    Freeze,
    Frozen,
    Precision,
    computed,
    frozen_modules,
    precise,
    restored,
    stages_of,
)
from mrpnkit.extractors.hugging_face import Weights, load_network, width_of
from mrpnkit.extractors.pixels import Pixels, check_frame_shape, check_frames, check_size
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("vision_hf")
class VisionHF(nn.Module):
    """An image network by ``AutoModel``, such as ViT, DINOv2, ResNet, on every frame; the lengths stay.

    Frames are uint8 (S, H, W, 3) or grey (S, H, W), or floating-point (S, 3, H, W) from 0 to 1. They are normalised
    with the mean and deviation of the model's preprocessor, or 0.5 where it has none. The package transformers is
    needed: ``pip install 'mrpnkit[hub]'``.

    Args:
        in_features: width of a flattened frame; it is not needed.
        step_shape: shape of a frame, where it is known; checked.
        model: a folder with ``config.json`` and ``model.safetensors``, which is read without any network access, or the
            name of a repository on the hub. Code that a model brings is never run, and pickles are never read.
        revision: commit, tag or branch of the repository.
        weights: ``"random"`` builds the network from its configuration alone.
        pool: ``"mean"`` over all places of the last hidden state, or its ``"first"`` token.
        freeze: ``"none"``, ``"all"``, or how many stages from the input on: 1 the embeddings, and so on.
        size: height and width to which frames are resized; by default the ``image_size`` of the configuration, or as
            they are where it has none.
        chunk: frames at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.

    Raises:
        DependencyError: transformers is not installed.
        InputError: a model that cannot be loaded or does not read images, frames of another form.
    """

    paper: ClassVar[str] = "Wolf et al. 2020, doi:10.18653/v1/2020.emnlp-demos.6; each network has its own"
    weights_licence: ClassVar[str] = "as the model's card says"

    def __init__(
        self,
        in_features: int,
        *,
        model: str,
        step_shape: Sequence[int] | None = None,
        revision: str | None = None,
        weights: Weights = "pretrained",
        pool: Literal["mean", "first"] = "mean",
        freeze: Freeze = "none",
        size: tuple[int, int] | None = None,
        chunk: int = 64,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "chunk": chunk})
        check_choice(self, "pool", pool, ("mean", "first"))
        check_size(self, size)
        if step_shape is not None:
            check_frame_shape(self, step_shape)
        loaded = load_network(self, model, revision=revision, weights=weights)
        if loaded.network.main_input_name != "pixel_values":
            raise InputError(f"VisionHF: {type(loaded.network).__name__} does not read images (pixel_values).")
        self.network: nn.Module = loaded.network
        self.out_features = width_of(self, loaded.config)
        half = [0.5, 0.5, 0.5]
        self.pixels = Pixels(
            mean=loaded.preprocessor.get("image_mean", half),
            std=loaded.preprocessor.get("image_std", half),
            size=size if size is not None else _size(loaded.config),
        )
        self.pool = pool
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of(self.network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def forward(self, inputs: Sequences) -> Sequences:
        """Frames (S, ...) → (S, out_features)."""
        check_frames(self, inputs)
        count = inputs.steps.shape[0]
        steps = computed(
            self.network,
            inputs,
            lambda part: self._features(inputs.steps[part]),
            count,
            width=self.out_features,
            chunk=self.chunk,
            checkpointing=self.gradient_checkpointing,
        )
        return inputs.with_steps(steps)

    def _features(self, frames: Tensor) -> Tensor:
        pixels = self.pixels(frames)
        try:
            with precise(self.precision, frames.device):
                hidden: Tensor = self.network(pixel_values=pixels).last_hidden_state
        except ValueError as error:  # what a transformer says of frames that it was not made for
            raise InputError(f"VisionHF: the network refuses frames of {tuple(pixels.shape[-2:])}: {error}") from error
        places = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
        features = places.mean(1) if self.pool == "mean" else places[:, 0]
        return restored(self.network, features, self.precision)


def _size(config: Any) -> tuple[int, int] | None:
    size = getattr(config, "image_size", None)
    if isinstance(size, int):
        return (size, size)
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None

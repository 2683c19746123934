"""Any image network of timm, on every frame."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import Freeze, Frozen, Precision, computed, frozen_modules, precise, restored
from mrpnkit.extractors.pixels import Pixels, check_frame_shape, check_frames, check_size
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.timm_networks import MemoryFormat, built, stages_of_timm
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("frames_timm")
class FramesTimm(nn.Module):
    """An image network of timm without its classifier, on every frame; the lengths stay.

    Frames are uint8 (S, H, W, 3) or grey (S, H, W), or floating-point (S, 3, H, W) from 0 to 1. They are normalised
    with the network's own mean and deviation. No padded frame is computed, and frames run in chunks, so that memory in
    evaluation, and with ``gradient_checkpointing`` in training too, hardly grows with the clip. Batch norm, where it
    is trained, takes its statistics over a chunk; each of n chunks then has every n-th frame of the batch, so that it
    shows all clips. The package timm is needed: ``pip install 'mrpnkit[av]'``.

    Args:
        in_features: width of a flattened frame; it is not needed, since networks of timm take frames of many sizes.
        step_shape: shape of a frame, where it is known; checked.
        architecture: name of a network, ``"resnet18"``, ``"vit_small_patch16_224"``, …: see ``timm.list_models()``.
        pretrained: whether timm fetches the network's weights, from the hub or its cache.
        weights: a safetensors file of the network's weights; a classifier in it is left out.
        freeze: ``"none"``, ``"all"``, or how many stages, as timm groups them, from the input on. What is frozen is not
            trained, and its batch norm stays in evaluation.
        size: height and width to which frames are resized; by default they stay as they are.
        chunk: frames at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.
        memory_format: ``"channels_last"`` is often faster for convolutions.

    Raises:
        DependencyError: timm is not installed.
        InputError: an unknown architecture, weights that do not fit, frames of another form.
    """

    paper: ClassVar[str] = "PyTorch Image Models (Wightman 2019), doi:10.5281/zenodo.4414861; each network has its own"
    weights_licence: ClassVar[str] = "as the network's card on the hub says: often Apache-2.0, at times not commercial"

    def __init__(
        self,
        in_features: int,
        *,
        step_shape: Sequence[int] | None = None,
        architecture: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Freeze = "none",
        size: tuple[int, int] | None = None,
        chunk: int = 64,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
        memory_format: MemoryFormat = "contiguous",
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "chunk": chunk})
        check_size(self, size)
        if step_shape is not None:
            check_frame_shape(self, step_shape)
        network, self.out_features, self.memory_format = built(
            self, architecture, pretrained=pretrained, weights=weights, memory_format=memory_format
        )
        self.network: nn.Module = network
        normal = network.default_cfg
        self.pixels = Pixels(mean=normal["mean"], std=normal["std"], size=size)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of_timm(network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def refreeze(self, freeze: Freeze) -> None:
        """Freezes just that much from now on, in the meaning of ``freeze``; what was frozen before is trained again."""
        self.network.requires_grad_(True)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of_timm(self.network)))
        self.train(self.training)

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
        pixels = self.pixels(frames).to(memory_format=self.memory_format)
        try:
            with precise(self.precision, frames.device):
                features: Tensor = self.network(pixels)
        except AssertionError as error:  # what a transformer says of frames that it was not made for
            raise InputError(
                f"FramesTimm: the network refuses frames of {tuple(pixels.shape[-2:])}: {error} Give size."
            ) from error
        return restored(self.network, features, self.precision)

"""Video networks of torchvision, on clips of a few frames."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import (
    Freeze,
    Frozen,
    Precision,
    check_listed,
    check_source,
    computed,
    frozen_modules,
    insert_weights,
    load_weights,
    missing_package,
    precise,
    restored,
    stages_of,
)
from mrpnkit.extractors.pixels import Pixels, check_frame_shape, check_frames, check_size
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.sequences import Sequences

_HEADS = ("fc", "classifier", "head")
_KINETICS = ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989])


@EXTRACTORS.register("video_torchvision")
class VideoTorchvision(nn.Module):
    """A video network of torchvision without its classifier: every clip of K frames becomes a step.

    Clips begin every ``hop`` frames. A sample of T frames has 1 + ⌈(T − K) / hop⌉ of them, one if T ≤ K, and none if it
    has no frames; where the last reaches beyond the end, the last frame is repeated. Frames are uint8 (S, H, W, 3) or
    grey (S, H, W), or floating-point (S, 3, H, W) from 0 to 1, and are normalised with the network's own mean and
    deviation. Some networks need a least size and length: s3d 224 × 224 and 14 frames. The package torchvision is
    needed: ``pip install 'mrpnkit[av]'``.

    Args:
        in_features: width of a flattened frame; it is not needed.
        step_shape: shape of a frame, where it is known; checked.
        architecture: ``"r3d_18"``, ``"mc3_18"``, ``"r2plus1d_18"``, ``"s3d"``, ``"mvit_v2_s"``, ``"swin3d_t"``, ….
        frames: K.
        hop: frames from the start of a clip to the next; by default K.
        pretrained: whether torchvision fetches the network's weights (Kinetics-400).
        weights: a safetensors file of the network's weights; a classifier in it is left out.
        freeze: ``"none"``, ``"all"``, or how many stages from the input on: children of the network that have
            parameters, the blocks of a list counted one by one.
        size: height and width to which frames are resized; by default they stay as they are.
        chunk: clips at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.

    Raises:
        DependencyError: torchvision is not installed.
        InputError: an unknown architecture, weights that do not fit, frames of another form.
    """

    paper: ClassVar[str] = "Tran et al. 2018, arXiv:1711.11248 (r3d, mc3, r2plus1d); the other networks have their own"
    weights_licence: ClassVar[str] = (
        "torchvision's, BSD-3-Clause; trained on Kinetics-400, whose videos have their own terms"
    )

    def __init__(
        self,
        in_features: int,
        *,
        step_shape: Sequence[int] | None = None,
        architecture: str = "r3d_18",
        frames: int = 16,
        hop: int | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Freeze = "none",
        size: tuple[int, int] | None = None,
        chunk: int = 8,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        try:
            from torchvision import models
        except ImportError as error:
            raise missing_package(self, "torchvision", "av") from error
        self.frames, self.hop = frames, frames if hop is None else hop
        check_counts(self, {"in_features": in_features, "frames": frames, "hop": self.hop, "chunk": chunk})
        check_size(self, size)
        check_listed(self, "architecture", architecture, models.list_models(module=models.video))
        if step_shape is not None:
            check_frame_shape(self, step_shape)
        check_source(self, pretrained=pretrained, weights=weights)
        self.network: nn.Module = models.get_model(architecture, weights=None)
        self.out_features = _take_head_off(self.network)
        mean, std = _KINETICS
        try:
            known = models.get_model_weights(architecture).DEFAULT
            mean, std = known.transforms().mean, known.transforms().std
        except (ValueError, AttributeError):  # a network that has none
            known = None
        spare = [f"{head}." for head in _HEADS]
        if pretrained:
            if known is None:
                raise InputError(f"VideoTorchvision: torchvision has no weights for {architecture!r}.")
            tensors = known.get_state_dict(progress=False, check_hash=True, weights_only=True)
            insert_weights(self, self.network, dict(tensors), where=str(known), spare=spare)
        if weights is not None:
            load_weights(self, self.network, weights, spare=spare)
        self.pixels = Pixels(mean=mean, std=std, size=size)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of(self.network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def forward(self, inputs: Sequences) -> Sequences:
        """Frames (S, ...) → clips (S', out_features)."""
        check_frames(self, inputs)
        clips, lengths = self._clips(inputs)
        steps = computed(
            self.network,
            inputs,
            lambda part: self._features(inputs.steps, clips[part]),
            len(clips),
            width=self.out_features,
            chunk=self.chunk,
            checkpointing=self.gradient_checkpointing,
        )
        return Sequences(steps, lengths)

    def _clips(self, inputs: Sequences) -> tuple[Int64[Tensor, "clips frames"], Int64[Tensor, "batch"]]:
        """Which of the S frames each clip has, and how many clips each sample."""
        further = (inputs.lengths - self.frames).clamp(min=0)
        lengths = torch.where(inputs.lengths > 0, 1 + (further + self.hop - 1) // self.hop, 0)
        samples = torch.arange(inputs.batch_size, device=lengths.device)
        sample = torch.repeat_interleave(samples, lengths)
        first = (torch.arange(len(sample), device=lengths.device) - (lengths.cumsum(0) - lengths)[sample]) * self.hop
        places = first[:, None] + torch.arange(self.frames, device=lengths.device)
        places = torch.minimum(places, inputs.lengths[sample][:, None] - 1)
        return places + inputs.starts()[sample][:, None], lengths

    def _features(self, frames: Tensor, clips: Tensor) -> Tensor:
        pixels = self.pixels(frames[clips.flatten()])
        video = pixels.unflatten(0, (-1, self.frames)).transpose(1, 2)
        with precise(self.precision, frames.device):
            features: Tensor = self.network(video)
        return restored(self.network, features, self.precision)


def _take_head_off(network: nn.Module) -> int:
    """Replaces the classifier by nothing, and returns the width of what it read."""
    for name in _HEADS:
        head = getattr(network, name, None)
        if isinstance(head, nn.Module):
            for module in head.modules():
                width = getattr(module, "in_features", None) or getattr(module, "in_channels", None)
                if isinstance(width, int):
                    setattr(network, name, nn.Identity())
                    return width
    raise InputError(f"VideoTorchvision: no classifier to take off was found in {type(network).__name__}.")

"""Frames as networks read them: from bytes to normalised colours. Letters: S steps, H height, W width."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.sequences import Sequences

FRAMES = "uint8 (H, W, 3) or grey (H, W), or floating-point (3, H, W) from 0 to 1"


def check_frame_shape(part: nn.Module, shape: Sequence[int], *, floating: bool | None = None) -> None:
    """Raises InputError unless steps of that shape are frames; ``floating`` is None where the type is not known."""
    colours_last = len(shape) == 3 and shape[-1] == 3
    colours_first = len(shape) == 3 and shape[0] == 3
    bytes_fit, floats_fit = colours_last or len(shape) == 2, colours_first
    if not {True: floats_fit, False: bytes_fit, None: floats_fit or bytes_fit}[floating]:
        kind = {True: "floating-point ", False: "integer ", None: ""}[floating]
        raise InputError(
            f"{type(part).__name__} was given {kind}steps of shape {tuple(shape)}; expected frames: {FRAMES}."
        )


def check_frames(part: nn.Module, inputs: Sequences) -> None:
    """Raises InputError unless the steps are frames."""
    check_frame_shape(part, inputs.steps.shape[1:], floating=inputs.steps.is_floating_point())


def check_size(part: nn.Module, size: Sequence[int] | None) -> None:
    """Raises InputError unless a size is a height and a width, or None."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"{type(part).__name__}: size must be a height and a width of at least 1, got {size!r}.")


class Pixels(nn.Module):
    """Bytes (S, H, W, 3) or (S, H, W), or floats (S, 3, H, W) → colours (S, 3, H, W), resized and normalised.

    Args:
        mean: of red, green and blue, on a scale from 0 to 1.
        std: their deviation.
        size: height and width to which frames are resized; None leaves them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float], size: Sequence[int] | None) -> None:
        super().__init__()
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class; the result has the type of the buffers."""
        if frames.is_floating_point():
            pixels = frames
        else:
            pixels = frames.unsqueeze(-1).expand(*frames.shape, 3) if frames.ndim == 3 else frames
            pixels = pixels.movedim(-1, 1).float() / 255
        if self.size is not None and tuple(pixels.shape[-2:]) != self.size:
            # In float32, since torch resizes nothing of less precision on a CPU.
            pixels = F.interpolate(pixels.float(), self.size, mode="bilinear", antialias=True)
        return (pixels.to(self.mean.dtype) - self.mean) / self.std

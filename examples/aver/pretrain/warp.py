"""Augmentation of grey faces, drawn for a whole batch at once. Letters: B batch, H height, W width.

One affine map a picture holds mirror, turn, scale and shift together with the change of size, so that pixels are
interpolated once; then come light, contrast and an erased rectangle.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Warp:
    """How far pictures are changed; every value is drawn evenly between its two bounds.

    Args:
        degrees: largest turn to either side.
        scale: largest change of size, as a fraction: 0.12 makes faces 0.89 to 1.12 as large.
        shift: largest shift to each side, as a fraction of the picture.
        light: largest change of brightness, as a fraction of white.
        contrast: largest change of contrast, as a fraction.
        erase: share of the pictures in which a rectangle becomes grey noise.
        erased: smallest and largest side of that rectangle, as fractions of the picture's.
    """

    degrees: float = 12.0
    scale: float = 0.12
    shift: float = 0.08
    light: float = 0.06
    contrast: float = 0.2
    erase: float = 0.3
    erased: tuple[float, float] = (0.15, 0.45)


def mild() -> Warp:
    """Smaller changes, and nothing erased: a short training learns more from these."""
    return Warp(degrees=8.0, scale=0.08, shift=0.06, erase=0.0)


def warped(
    pictures: UInt8[Tensor, "batch height width"], size: int, warp: Warp, generator: torch.Generator
) -> Float[Tensor, "batch 3 size size"]:
    """Augmented pictures, square, of three equal colours from 0 to 1, as extractors of frames take them.

    The generator is of the device on which the pictures are.
    """
    count, device = len(pictures), pictures.device

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator, device=device)

    angle = between(-warp.degrees, warp.degrees) * torch.pi / 180
    zoom = (1 + warp.scale) ** between(-1, 1)
    mirror = torch.where(between(0, 1) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    shift = between(-2 * warp.shift, 2 * warp.shift, 2)
    maps = torch.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(maps, [count, 1, size, size], align_corners=False)
    grey = F.grid_sample(pictures.unsqueeze(1).float() / 255, grid, padding_mode="border", align_corners=False)
    centre = grey.mean(dim=(1, 2, 3), keepdim=True)
    contrast = (1 + warp.contrast) ** between(-1, 1, 1, 1, 1)
    grey = ((grey - centre) * contrast + centre + between(-warp.light, warp.light, 1, 1, 1)).clamp(0, 1)
    hole = _rectangles(count, size, warp, generator)
    grey = torch.where(hole.unsqueeze(1), torch.rand(grey.shape, generator=generator, device=device), grey)
    return grey.expand(-1, 3, -1, -1)


def _rectangles(count: int, size: int, warp: Warp, generator: torch.Generator) -> Tensor:
    """(B, H, W), True inside the rectangle that is erased."""
    device = generator.device
    chosen = torch.rand(count, generator=generator, device=device) < warp.erase
    low, high = warp.erased
    sides = (low + (high - low) * torch.rand(2, count, generator=generator, device=device)) * size
    starts = torch.rand(2, count, generator=generator, device=device) * (size - sides)
    place = torch.arange(size, device=device)
    rows, columns = (
        (place >= start.unsqueeze(1)) & (place < (start + side).unsqueeze(1))
        for start, side in zip(starts, sides, strict=True)
    )
    holes: Tensor = rows.unsqueeze(2) & columns.unsqueeze(1) & chosen.view(-1, 1, 1)
    return holes

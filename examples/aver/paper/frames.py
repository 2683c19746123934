"""Augmentation of frames by torchvision, one draw for all frames of a clip or one for each frame (Figure 9).

Both classes are changes of one sample's steps as :class:`mrpnkit.data.augment.Change` has them. Letters: T frames, H
height, W width.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mrpnkit.errors import DependencyError, InputError

Together = Literal["clip", "frame"]


class ChangeFrames:
    """A random transform of torchvision on the frames of a clip: uint8 (T, H, W, 3) → uint8 (T, H, W, 3).

    What torchvision draws is seeded by the passed generator, so a clip's change depends on that alone, and torch's own
    generators, of the CPU and of other devices, are left as they were.

    Args:
        transform: anything of ``torchvision.transforms.v2`` that keeps the size of pictures (…, 3, H, W), uint8.
        same_for: ``"clip"``: one draw for all frames, the paper's VA; ``"frame"``: one for each, its IA.

    >>> shift = ChangeFrames(lambda pictures: pictures + torch.randint(9, ()).to(torch.uint8), same_for="clip")
    >>> frames = shift(torch.zeros(4, 2, 2, 3, dtype=torch.uint8), np.random.default_rng(1))
    >>> len(frames.unique())
    1
    """

    def __init__(self, transform: Callable[[Tensor], Tensor], *, same_for: Together = "clip") -> None:
        if same_for not in ("clip", "frame"):
            raise InputError(f"ChangeFrames: same_for is {same_for!r}; expected 'clip' or 'frame'.")
        self.transform, self.same_for = transform, same_for

    def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
        """(T, H, W, 3) → (T, H, W, 3)."""
        check_frames(steps)
        seed = int(generator.integers(2**62))
        pictures = steps.movedim(-1, 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # the CPU's alone; torch.manual_seed seeds all devices
            if self.same_for == "clip":
                changed = self.transform(pictures)
            else:
                changed = torch.stack([self.transform(picture) for picture in pictures])
        if changed.shape != pictures.shape or changed.dtype != steps.dtype:
            raise InputError(
                f"ChangeFrames: the transform made {changed.dtype} {tuple(changed.shape)} of {steps.dtype} "
                f"{tuple(pictures.shape)}; it must keep type and size."
            )
        return changed.movedim(1, -1).contiguous()


class EveryNth:
    """Every n-th frame from the first on, so that frames come at about the wanted rate; draws nothing.

    Args:
        rate: frames a second that there are.
        wanted: frames a second that are wanted; the nearest whole n is taken, at least 1.
    """

    def __init__(self, rate: float, wanted: float) -> None:
        if not (rate > 0 and wanted > 0):
            raise InputError(f"EveryNth: rates must be above 0, got {rate} and {wanted}.")
        self.n = max(1, round(rate / wanted))

    def __call__(self, steps: Tensor, generator: np.random.Generator | None = None) -> Tensor:
        """(T, …) → (⌈T / n⌉, …)."""
        return steps[:: self.n]


def face_transform() -> Any:
    """The system's random change of a face: mirrored, turned, scaled, shifted, other light and contrast, a little.

    The paper names no parameters. These keep the face whole and the expression readable: half of the clips are
    mirrored; up to 12°, ±10 % of scale, ±6 % of place; ±25 % of brightness and contrast.

    Raises:
        DependencyError: torchvision is not installed.
    """
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise DependencyError(
            "Augmentation of frames needs the package 'torchvision'. Install it: pip install 'mrpnkit[av]'"
        ) from error
    bilinear = partial(v2.RandomAffine, interpolation=v2.InterpolationMode.BILINEAR)
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            bilinear(degrees=12, translate=(0.06, 0.06), scale=(0.9, 1.1)),
            v2.ColorJitter(brightness=0.25, contrast=0.25),
        ]
    )


def check_frames(steps: Tensor) -> None:
    """Raises InputError unless the steps are frames of colour."""
    if steps.ndim != 4 or steps.shape[-1] != 3 or steps.dtype != torch.uint8:
        raise InputError(
            f"Frames of this system are uint8 (T, H, W, 3); got {steps.dtype} {tuple(steps.shape)}. Prepare the corpus "
            "from movies."
        )

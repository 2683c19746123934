"""Convolutions over small maps, with a quicker gradient of their kernels on a processor.

The last stages of a ResNet see maps of a few pixels and hundreds of channels. There the kernel's gradient in oneDNN
takes several times as long as the same sum as one product of matrices, which this is. Letters: B batch, C channels,
D output channels, H and W of the output, K side of the kernel.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

LARGEST_MAP = 25
"""Pixels of an output map up to which a product of matrices is quicker."""
FEWEST_CHANNELS = 128
"""Of the input, from which it is."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution whose kernel gradient is one product of matrices where that is quicker; else as ever.

    It is quicker on a processor, in float32, for maps of at most :data:`LARGEST_MAP` pixels. Values, gradients (but for
    rounding) and names of weights are those of :class:`torch.nn.Conv2d`.
    """

    def forward(self, input: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch out height width"]:
        """Scores of every place; see :class:`torch.nn.Conv2d`."""
        if self._is_quicker(input):
            found: Tensor = _Convolution.apply(input, self.weight, *self.stride, *self.padding)
            return found
        return super().forward(input)

    def _is_quicker(self, maps: Tensor) -> bool:
        if not (torch.is_grad_enabled() and self.weight.requires_grad) or torch.is_autocast_enabled("cpu"):
            return False
        padding = cast("tuple[int, int]", self.padding)
        height, width = (
            (length + 2 * wide - side) // step + 1
            for length, wide, side, step in zip(maps.shape[-2:], padding, self.kernel_size, self.stride, strict=True)
        )
        return maps.device.type == "cpu" and maps.dtype == torch.float32 and 0 < height * width <= LARGEST_MAP


def with_small_maps(network: nn.Module) -> nn.Module:
    """The network, with :class:`SmallMapConv2d` in place of each convolution that may profit; weights are kept."""
    for name, layer in list(network.named_modules()):
        if type(layer) is nn.Conv2d and _may_profit(layer):
            quick = SmallMapConv2d(
                layer.in_channels,
                layer.out_channels,
                cast("tuple[int, int]", layer.kernel_size),
                cast("tuple[int, int]", layer.stride),
                cast("tuple[int, int]", layer.padding),
                bias=False,
                device="meta",
            )
            quick.weight = layer.weight
            network.set_submodule(name, quick)
    return network


def _may_profit(layer: nn.Conv2d) -> bool:
    plain = layer.bias is None and layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    wide = layer.in_channels >= FEWEST_CHANNELS and min(layer.kernel_size) > 1
    return plain and wide and not isinstance(layer.padding, str)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: Tensor, down: int, right: int, above: int, left: int) -> Tensor:
        ctx.save_for_backward(maps, kernel)
        ctx.stride, ctx.padding = (down, right), (above, left)
        return F.conv2d(maps, kernel, None, (down, right), (above, left))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        maps, kernel = ctx.saved_tensors
        for_maps = for_kernel = None
        if ctx.needs_input_grad[0]:
            for_maps = conv2d_input(maps.shape, kernel, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            for_kernel = kernel_gradient(maps, gradient, kernel.shape, ctx.stride, ctx.padding)
        return for_maps, for_kernel, None, None, None, None


def kernel_gradient(
    maps: Float[Tensor, "batch channels rows columns"],
    gradient: Float[Tensor, "batch out height width"],
    shape: torch.Size,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Float[Tensor, "out channels side side"]:
    """The gradient of a kernel (D, C, K, K): (D, BHW) times the windows (BHW, KKC), as they lie with channels last.

    Args:
        maps: the convolution's input.
        gradient: of its output.
        shape: of the kernel.
        stride: down and to the right.
        padding: above and below, left and right; of zeros.
    """
    out, channels, *sides = shape
    height, width = gradient.shape[-2:]
    padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    windows = padded.unfold(1, sides[0], stride[0]).unfold(2, sides[1], stride[1])[:, :height, :width]
    rows = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, sides[0] * sides[1] * channels)
    summed = gradient.permute(0, 2, 3, 1).reshape(-1, out).T @ rows
    return summed.view(out, *sides, channels).permute(0, 3, 1, 2)

"""Convolutions over small maps: values and gradients are those of ``torch.nn.Conv2d``, in double precision too."""

import pytest
import torch
from torch import nn

from examples.aver.pretrain.convolution import LARGEST_MAP, SmallMapConv2d, with_small_maps


def gradients(layer: nn.Conv2d, maps: torch.Tensor) -> list[torch.Tensor]:
    """Of the sum of squares, by the input and by the kernel; before them the output."""
    layer.weight.grad = None
    inputs = maps.detach().clone().requires_grad_()
    output = layer(inputs)
    output.square().sum().backward()
    assert inputs.grad is not None
    assert layer.weight.grad is not None
    return [output.detach(), inputs.grad, layer.weight.grad]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("side", "kernel", "padding"), [(2, 3, 1), (5, 3, 1), (4, 3, 0), (5, 5, 2), (7, 3, 1)])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_gradients_are_those_of_torch(
    stride: int, side: int, kernel: int, padding: int, form: torch.memory_format
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 4, kernel, stride=stride, padding=padding, bias=False).double()
    quick = SmallMapConv2d(6, 4, kernel, stride=stride, padding=padding, bias=False)
    quick.weight.data.copy_(plain.weight.data)
    maps = torch.randn(3, 6, side, side)
    for found, expected in zip(
        gradients(quick, maps.contiguous(memory_format=form)), gradients(plain, maps.double()), strict=True
    ):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_the_product_is_used_where_it_is_quicker() -> None:
    layer = SmallMapConv2d(4, 4, 3, padding=1, bias=False)
    side = round(LARGEST_MAP**0.5)
    small, large = torch.randn(1, 4, side, side), torch.randn(1, 4, side + 1, side + 1)

    def used(maps: torch.Tensor) -> bool:
        return "_Convolution" in type(layer(maps).grad_fn).__name__

    assert used(small)
    assert not used(large)
    with torch.autocast("cpu", torch.bfloat16):
        assert not used(small)
    layer.double()
    assert not used(small.double())
    with torch.no_grad():
        assert layer.float()(small).grad_fn is None


def test_a_network_keeps_its_weights_and_learns_the_same() -> None:
    import timm

    torch.manual_seed(0)
    plain = timm.create_model("resnet18", num_classes=3)
    quick = timm.create_model("resnet18", num_classes=3)
    quick.load_state_dict(plain.state_dict())
    weights = {name: id(parameter) for name, parameter in quick.named_parameters()}
    quick = with_small_maps(quick)
    assert weights == {name: id(parameter) for name, parameter in quick.named_parameters()}
    assert sum(isinstance(layer, SmallMapConv2d) for layer in quick.modules()) == 3 + 4 + 4
    plain, quick = plain.double(), quick.train()
    maps, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    nn.functional.cross_entropy(plain(maps.double()), labels).backward()
    nn.functional.cross_entropy(quick(maps), labels).backward()
    for (name, one), two in zip(plain.named_parameters(), quick.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        error = (two.grad.double() - one.grad).norm()  # some gradients are 0: last norms of blocks begin at 0
        assert error <= 1e-3 * one.grad.norm(), name


def test_other_convolutions_are_left() -> None:
    layers = nn.Sequential(
        nn.Conv2d(128, 8, 3),
        nn.Conv2d(128, 8, 3, bias=False, groups=2),
        nn.Conv2d(128, 8, 3, bias=False, dilation=2),
        nn.Conv2d(128, 8, 3, bias=False, padding="same"),
        nn.Conv2d(128, 8, 3, bias=False, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 8, 1, bias=False),
        nn.Conv2d(64, 8, 3, bias=False),
        nn.Conv2d(128, 8, 3, bias=False),
    )
    found = with_small_maps(layers)
    assert [type(layer).__name__ for layer in found.children()] == ["Conv2d"] * 7 + ["SmallMapConv2d"]

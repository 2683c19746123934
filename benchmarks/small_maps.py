"""What a kernel's gradient as one product of matrices saves in the training of a face network on a processor.

Claim: a training step of ResNet-18 on batches of 128 faces of 48 or 64 pixels, in float32, takes at most 0.9 times as
long with :mod:`examples.aver.pretrain.convolution` as with torch's own convolutions. Steps of the two networks
alternate; the figure is the median of the ratios of neighbouring steps. Beside it: torch's gradient of the kernel of a
convolution of 512 channels over maps of 2×2 pixels, in times of its forward pass, and the product's.

    python -m benchmarks.small_maps [--small]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_weight

from examples.aver.pretrain.convolution import kernel_gradient, with_small_maps
from mrpnkit.report import Figure, print_figures, write_result

RESULT = Path(__file__).parent / "results" / "small_maps.json"
SIZES, BATCH, CLASSES = (48, 64, 80), 128, 7
CHANNELS, SIDE = 512, 2


def seconds(function: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def step_of(size: int, batch: int, *, quick: bool) -> Callable[[], None]:
    """A training step on drawn pictures, with the same first weights for both kinds."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("resnet18", num_classes=CLASSES)
    if quick:
        with_small_maps(network)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    pictures = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(pictures), labels).backward()
        optimizer.step()

    return step


def ratios_of(first: Callable[[], object], second: Callable[[], object], pairs: int) -> list[float]:
    """Seconds of the first over those of the second, in turns, after two of each."""
    for function in (first, second, first, second):
        function()
    return [seconds(first) / seconds(second) for _ in range(pairs)]


def layer(batch: int, pairs: int) -> dict[str, list[float]]:
    """The two gradients of a kernel, each over the forward pass."""
    last = torch.channels_last
    maps = torch.randn(batch, CHANNELS, SIDE, SIDE).contiguous(memory_format=last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3).contiguous(memory_format=last)
    output = F.conv2d(maps, kernel, padding=1)
    gradient = torch.randn_like(output)
    ways: dict[str, Callable[[], Any]] = {
        "torch": lambda: conv2d_weight(maps, kernel.shape, gradient, padding=1),
        "product": lambda: kernel_gradient(maps, gradient, kernel.shape, (1, 1), (1, 1)),
    }
    return {name: ratios_of(way, lambda: F.conv2d(maps, kernel, padding=1), pairs) for name, way in ways.items()}


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    small = parser.parse_args().small
    batch, pairs, sizes = (8, 2, SIZES[:1]) if small else (BATCH, 11, SIZES)
    rows = {f"step/{size}": ratios_of(step_of(size, batch, quick=True), step_of(size, batch, quick=False), pairs)
            for size in sizes}  # fmt: skip
    rows |= {f"kernel_gradient/{name}": found for name, found in layer(batch, pairs).items()}
    figures = {
        name: Figure(statistics.median(found), "times", statistics.stdev(found), pairs) for name, found in rows.items()
    }
    if not small:
        write_result(
            RESULT,
            claim="Steps of ResNet-18 on faces of 48 and 64 pixels take at most 0.9 times as long as with torch's own.",
            config={
                "batch": batch,
                "pairs": pairs,
                "precision": "float32",
                "threads": torch.get_num_threads(),
                "capability": torch.backends.cpu.get_cpu_capability(),
                "step": "seconds with small maps over seconds without, median of neighbouring steps",
                "kernel_gradient": f"over the forward pass; {CHANNELS} channels, maps of {SIDE}x{SIDE}, kernels of 3x3",
                "seed": 0,
            },
            figures=figures,
            rows={"ratios": rows},
        )
    print_figures(figures)


if __name__ == "__main__":
    main()

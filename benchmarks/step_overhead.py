"""What a training step of the library costs beside the same model in a plain PyTorch loop.

Claim: at most 1.15 times, for feature vectors of 128 and 512, 8 classes, batches of 32, one thread. Both sides read
the same arrays through a DataLoader, compute the same N+1 losses and take the same AdamW step; the plain side is
written with ``torch.nn`` alone. Runs alternate, and the figure is the median of the ratios of neighbouring runs.

    python benchmarks/step_overhead.py [--small]
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mrpnkit import MRPN, Branch, Classification, Objective
from mrpnkit.aggregators import Last
from mrpnkit.data import Corpus, CorpusDataset, loader
from mrpnkit.extractors import Linear
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.train import Trainer

WIDTHS, CLASSES, BATCH, FEATURES = (128, 512), 8, 32, 128
RESULT = Path(__file__).parent / "results" / "step_overhead.json"


class PlainN2(nn.Module):
    """The MRPN (9) of two vector modalities, written with torch.nn alone."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.ModuleList(nn.Linear(width, FEATURES) for width in WIDTHS)
        self.norms = nn.ModuleList(nn.BatchNorm1d(FEATURES) for _ in WIDTHS)
        self.residual = nn.ModuleList(nn.Linear(FEATURES, FEATURES) for _ in WIDTHS)
        self.residual_norms = nn.ModuleList(nn.BatchNorm1d(FEATURES) for _ in WIDTHS)
        self.sides = nn.ModuleList(nn.Linear(FEATURES, CLASSES) for _ in WIDTHS)
        joint = FEATURES * len(WIDTHS)
        self.fusion = nn.Sequential(
            nn.BatchNorm1d(joint), nn.Linear(joint, joint), nn.ReLU(), nn.BatchNorm1d(joint), nn.Linear(joint, CLASSES)
        )

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """Two tensors (B, D_m) to three tensors of scores (B, 8)."""
        scores, fused = [], []
        for x, dense, norm, residual, residual_norm, side in zip(
            inputs, self.dense, self.norms, self.residual, self.residual_norms, self.sides, strict=True
        ):
            f = norm(dense(x))
            scores.append(side(f))
            fused.append(f + residual_norm(torch.sigmoid(residual(f))))
        return [self.fusion(torch.cat(fused, dim=1)), *scores]


def plain_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, batches: DataLoader[tuple[Tensor, ...]]) -> float:
    """Seconds a step of a plain loop."""
    cross_entropy = nn.CrossEntropyLoss()
    start, steps, total = time.perf_counter(), 0, torch.zeros(3)
    for *inputs, labels in batches:
        losses = torch.stack([cross_entropy(scores, labels) for scores in model(inputs)])
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        total += losses.detach()
        steps += 1
    return (time.perf_counter() - start) / steps


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    torch.manual_seed(0)
    samples, pairs = (640, 3) if small else (3200, 21)
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal((samples, width), dtype=np.float32) for width in WIDTHS]
    labels = generator.integers(0, CLASSES, samples)

    plain = PlainN2()
    plain_optimizer = torch.optim.AdamW(plain.parameters(), 1e-4)
    plain_batches = DataLoader(
        TensorDataset(*map(torch.from_numpy, arrays), torch.from_numpy(labels)), BATCH, shuffle=True
    )
    corpus = Corpus.from_arrays(
        {f"m{i}": array for i, array in enumerate(arrays)},
        {"label": labels},
        classes={"label": list(map(str, range(CLASSES)))},
    )
    model = MRPN(
        {f"m{i}": Branch(Linear(width, FEATURES), Last(FEATURES)) for i, width in enumerate(WIDTHS)}, {"label": CLASSES}
    )
    trainer = Trainer(
        model,
        Objective({"label": Classification(CLASSES)}),
        loader(CorpusDataset(corpus), BATCH, shuffle_seed=0),
        optimizer=torch.optim.AdamW(model.parameters(), 1e-4),
        epochs=pairs + 1,
        cpu=True,
    )
    epochs, steps = trainer.epochs(), samples // BATCH
    plain_epoch(plain, plain_optimizer, plain_batches)
    next(epochs)
    ours, theirs = [], []
    for _ in range(pairs):
        theirs.append(plain_epoch(plain, plain_optimizer, plain_batches))
        ours.append(next(epochs).seconds / steps)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    figures = {
        "overhead": Figure(statistics.median(ratios), "times", statistics.stdev(ratios), len(ratios)),
        "step": Figure(1e3 * statistics.median(ours), "ms", 1e3 * statistics.stdev(ours), len(ours)),
        "plain_step": Figure(1e3 * statistics.median(theirs), "ms", 1e3 * statistics.stdev(theirs), len(theirs)),
    }
    print(f"{'loop':<12}{'ms a step':>10}\nmrpnkit     {figures['step'].value:>10.3f}")
    print(f"plain torch {figures['plain_step'].value:>10.3f}\n")
    if not small:
        write_result(
            RESULT,
            claim="A training step costs at most 1.15 times the same model in a plain PyTorch loop.",
            config={"widths": WIDTHS, "classes": CLASSES, "batch": BATCH, "features": FEATURES, "samples": samples,
                    "pairs": pairs, "threads": 1, "seed": 0, "figure": "median of the ratios of neighbouring runs"},
            figures=figures,
            rows={"ms_a_step": {"mrpnkit": [1e3 * s for s in ours], "plain": [1e3 * s for s in theirs]}},
        )  # fmt: skip
    print_figures(figures)


if __name__ == "__main__":
    main()

"""How the time of a training step grows with the number of branches.

Claim: linearly. The median time of a step (forward, N+1 losses, backward, AdamW) for 1, 2, 4 and 8 equal branches lies
within 10 % of the straight line through them, for two kinds of branches; N2, 8 classes, one thread:

vectors
    256 features through an MLP of 512 to 128, batches of 256. The fusion has a fixed hidden width: the paper's own
    default, as wide as the concatenation, has N² weights, and beside branches that are as cheap as these it can be
    told: its figure stands beside (``square_fusion``), and the claim is not about it.
sequences
    50 steps of 64 features through a Dense and an LSTM of 128, batches of 64, with the default fusion.

The times of a round are measured one after another, so that a slow moment of the machine meets all of them; the figure
is the median over rounds. Times are those of the processor, not of the clock on the wall.

    python -m benchmarks.step_scaling [--small]
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mrpnkit import MRPN, Branch, Classification, Objective, Sequences
from mrpnkit.aggregators import LSTM, Last
from mrpnkit.extractors import MLP, Linear
from mrpnkit.report import Figure, print_figures, write_result

ROOT = Path(__file__).parent
RESULT = ROOT / "results" / "step_scaling.json"
FIGURE = ROOT.parent / "docs" / "figures" / "step_scaling.png"
BRANCHES = (1, 2, 4, 8)
WIDTH, INSIDE, FEATURES, HIDDEN, CLASSES, BATCH = 256, 512, 128, 128, 8, 256
STEPS, STEP_WIDTH, SEQUENCES = 50, 64, 64


class Kind(NamedTuple):
    """What the branches are, and how wide the fusion is inside; None is as wide as the concatenation."""

    reads: str
    hidden: int | None
    label: str
    dot: str


KINDS = {
    "": Kind("vectors", HIDDEN, f"vectors, fusion {HIDDEN} wide", "oC0"),
    "square_fusion/": Kind("vectors", None, "vectors, fusion as wide as the concatenation", "xC1"),
    "sequences/": Kind("sequences", None, "sequences through LSTM, fusion as wide as the concatenation", "sC2"),
}
"""By what their figures' names begin with."""


class Model:
    """A model of N branches with its optimizer and one batch, and what a step of it costs."""

    def __init__(self, kind: Kind, branches: int) -> None:
        torch.manual_seed(0)
        names = [f"m{place}" for place in range(branches)]
        vectors = kind.reads == "vectors"
        self.model = MRPN({name: branch(kind.reads) for name in names}, {"label": CLASSES}, hidden=kind.hidden).train()
        self.objective = Objective({"label": Classification(CLASSES)})
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.inputs = {
            name: Sequences.vectors(torch.randn(BATCH, WIDTH))
            if vectors
            else Sequences.of(list(torch.randn(SEQUENCES, STEPS, STEP_WIDTH)))
            for name in names
        }
        self.labels = {"label": torch.arange(BATCH if vectors else SEQUENCES) % CLASSES}

    def seconds(self, steps: int) -> float:
        """Processor time a step, a mean over some."""
        start = time.process_time()
        for _ in range(steps):
            loss = self.objective(self.model(self.inputs), self.labels).total
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return (time.process_time() - start) / steps


def main() -> None:
    """Measures, prints, and writes result file and figure unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    rounds, steps = (3, 1) if small else (21, 2)
    models = {prefix: {n: Model(kind, n) for n in BRANCHES} for prefix, kind in KINDS.items()}
    times: dict[str, dict[int, list[float]]] = {prefix: {n: [] for n in BRANCHES} for prefix in KINDS}
    for number in range(rounds + 1):
        for prefix, of_kind in models.items():
            for n, model in of_kind.items():
                seconds = model.seconds(steps)
                if number:  # the first round warms up
                    times[prefix][n].append(seconds)
    medians = {
        prefix: [statistics.median(found) for found in by_number.values()] for prefix, by_number in times.items()
    }
    figures = {}
    for prefix, by_number in times.items():
        for n, found in by_number.items():
            figures[f"{prefix}step/{n}"] = Figure(
                1e3 * statistics.median(found), "ms", 1e3 * statistics.stdev(found), len(found)
            )
        (a, b), deviation = line(medians[prefix])
        figures[f"{prefix}deviation_from_line"] = Figure(deviation, "fraction")
        figures[f"{prefix}a_branch"] = Figure(1e3 * b, "ms")
        print(f"{KINDS[prefix].label}\n{'branches':<10}{'ms a step':>10}{'on the line':>13}")
        for n, seconds in zip(BRANCHES, medians[prefix], strict=True):
            print(f"{n:<10}{1e3 * seconds:>10.2f}{1e3 * (a + b * n):>13.2f}")
    if not small:
        write_result(
            RESULT,
            claim="The time of a training step grows linearly with the number of branches, within 10 % of a line.",
            config={
                "branches": BRANCHES, "classes": CLASSES, "network": "n2", "threads": 1, "seed": 0, "rounds": rounds,
                "vectors": {"width": WIDTH, "mlp": [INSIDE, FEATURES], "batch": BATCH, "hidden": HIDDEN},
                "sequences": {"steps": STEPS, "width": STEP_WIDTH, "dense": FEATURES, "lstm": FEATURES,
                              "batch": SEQUENCES, "hidden": "that of the concatenation"},
                "steps_a_round": steps, "time": "of the processor",
                "deviation": "largest |t − line| / line; the line has the least squared relative error",
            },
            figures=figures,
            rows={"ms_a_step": {KINDS[prefix].label: {str(n): [1e3 * s for s in found] for n, found in series.items()}
                                for prefix, series in times.items()}},
        )  # fmt: skip
        draw(medians)
    print_figures(figures)


def branch(reads: str) -> Branch:
    """A branch for vectors or sequences."""
    if reads == "vectors":
        return Branch(MLP(WIDTH, hidden=[INSIDE, FEATURES], dropout=0.0), Last(FEATURES))
    return Branch(Linear(STEP_WIDTH, FEATURES), LSTM(FEATURES, hidden_features=FEATURES))


def line(seconds: list[float]) -> tuple[tuple[float, float], float]:
    """The line a + b·N of least squared relative error, and the largest relative distance from it."""
    n, t = np.array(BRANCHES, dtype=np.float64), np.array(seconds)
    design = np.stack([1 / t, n / t], axis=1)
    a, b = np.linalg.lstsq(design, np.ones(len(t)), rcond=None)[0].tolist()
    fitted = a + b * n
    return (a, b), float(np.abs(t / fitted - 1).max())


def draw(medians: dict[str, list[float]]) -> None:
    """Times and line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 4.4), layout="constrained")
    axes = canvas.subplots()
    ends = np.array([0.5, 8.5])
    for prefix, kind in KINDS.items():
        (a, b), deviation = line(medians[prefix])
        axes.plot(ends, 1e3 * (a + b * ends), color="C7", linewidth=1.0)
        label = f"{kind.label}; {deviation:.1%} off its line at most"
        axes.plot(BRANCHES, [1e3 * s for s in medians[prefix]], kind.dot, label=label)
    axes.set_xticks(BRANCHES)
    axes.set_ylim(0, 1.35e3 * max(map(max, medians.values())))
    axes.set_xlabel("branches")
    axes.set_ylabel("ms a training step")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(FIGURE, dpi=150)


if __name__ == "__main__":
    main()

"""How the time of a training step grows with the number of branches.

Claim: linearly. The median time of a step (forward, N+1 losses, backward, AdamW) for 1, 2, 4 and 8 equal branches lies
within 10 % of the straight line through them. Each branch is a vector of 256 features through an MLP of 512 to 128
features; batches of 256, 8 classes, N2, one thread. The fusion has a fixed hidden width: the paper's own default, as
wide as the concatenation, has N² weights, and its figure stands beside (``square_fusion``).

The times of a round are measured one after another, so that a slow moment of the machine meets all of them; the figure
is the median over rounds. Times are those of the processor, not of the clock on the wall.

    python -m benchmarks.step_scaling [--small]
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from mrpnkit import MRPN, Branch, Classification, Objective, Sequences
from mrpnkit.aggregators import Last
from mrpnkit.extractors import MLP
from mrpnkit.report import Figure, print_figures, write_result

ROOT = Path(__file__).parent
RESULT = ROOT / "results" / "step_scaling.json"
FIGURE = ROOT.parent / "docs" / "figures" / "step_scaling.png"
BRANCHES = (1, 2, 4, 8)
WIDTH, INSIDE, FEATURES, HIDDEN, CLASSES, BATCH = 256, 512, 128, 128, 8, 256


class Step:
    """A model of N branches with its optimizer and one batch, and what a step of it costs."""

    def __init__(self, branches: int, *, hidden: int | None) -> None:
        torch.manual_seed(0)
        names = [f"m{place}" for place in range(branches)]
        self.model = MRPN(
            {
                name: Branch(MLP(WIDTH, hidden=[INSIDE, FEATURES], dropout=0.0), Last(FEATURES))
                for name in names
            },
            {"label": CLASSES},
            hidden=hidden,
        ).train()  # fmt: skip
        self.objective = Objective({"label": Classification(CLASSES)})
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.inputs = {name: Sequences.vectors(torch.randn(BATCH, WIDTH)) for name in names}
        self.labels = {"label": torch.arange(BATCH) % CLASSES}

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
    kinds: dict[str, int | None] = {"fixed": HIDDEN, "square": None}
    series = {kind: {n: Step(n, hidden=hidden) for n in BRANCHES} for kind, hidden in kinds.items()}
    times: dict[str, dict[int, list[float]]] = {kind: {n: [] for n in BRANCHES} for kind in kinds}
    for number in range(rounds + 1):
        for kind, models in series.items():
            for n, step in models.items():
                seconds = step.seconds(steps)
                if number:  # the first round warms up
                    times[kind][n].append(seconds)
    medians = {kind: [statistics.median(found) for found in by_number.values()] for kind, by_number in times.items()}
    figures = {}
    for kind, prefix in (("fixed", ""), ("square", "square_fusion/")):
        for n, found in times[kind].items():
            median, spread = statistics.median(found), statistics.stdev(found)
            figures[f"{prefix}step/{n}"] = Figure(1e3 * median, "ms", 1e3 * spread, len(found))
    (a, b), deviation = line(medians["fixed"])
    figures["deviation_from_line"] = Figure(deviation, "fraction")
    figures["square_fusion/deviation_from_line"] = Figure(line(medians["square"])[1], "fraction")
    figures["a_branch"] = Figure(1e3 * b, "ms")
    print(f"{'branches':<10}{'ms a step':>10}{'on the line':>13}")
    for n, seconds in zip(BRANCHES, medians["fixed"], strict=True):
        print(f"{n:<10}{1e3 * seconds:>10.2f}{1e3 * (a + b * n):>13.2f}")
    if not small:
        write_result(
            RESULT,
            claim="The time of a training step grows linearly with the number of branches, within 10 % of a line.",
            config={"branches": BRANCHES, "width": WIDTH, "mlp": [INSIDE, FEATURES], "hidden": HIDDEN,
                    "classes": CLASSES, "batch": BATCH, "network": "n2", "threads": 1, "seed": 0, "rounds": rounds,
                    "steps_a_round": steps, "time": "of the processor",
                    "deviation": "largest |t − line| / line; the line has the least squared relative error"},
            figures=figures,
            rows={"ms_a_step": {kind: {str(n): [1e3 * s for s in found] for n, found in by_number.items()}
                                for kind, by_number in times.items()}},
        )  # fmt: skip
        draw(medians)
    print_figures(figures)


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

    canvas = Canvas(figsize=(5.6, 3.8), layout="constrained")
    axes = canvas.subplots()
    (a, b), deviation = line(medians["fixed"])
    ends = np.array([0.5, 8.5])
    axes.plot(ends, 1e3 * (a + b * ends), color="C7", linewidth=1.0, label=f"line; largest deviation {deviation:.1%}")
    axes.plot(BRANCHES, [1e3 * s for s in medians["fixed"]], "o", color="C0", label=f"fusion {HIDDEN} wide")
    axes.plot(
        BRANCHES, [1e3 * s for s in medians["square"]], "x", color="C1", label="fusion as wide as the concatenation"
    )
    axes.set_xticks(BRANCHES)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("branches")
    axes.set_ylabel("ms a training step")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(FIGURE, dpi=150)


if __name__ == "__main__":
    main()

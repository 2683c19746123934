"""How long the command line takes to answer where nothing is computed.

Claim: ``mrpnkit --help`` and ``mrpnkit list`` answer within 0.5 s beyond Python's own start. Each is a fresh process,
as it is for the person who types it; the runs alternate, and the figures are medians.

    python benchmarks/start.py [--small]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mrpnkit.report import Figure, print_figures, write_result

COMMANDS = {
    "python": ["-c", "pass"],
    "help": ["-m", "mrpnkit", "--help"],
    "list": ["-m", "mrpnkit", "list"],
}
RESULT = Path(__file__).parent / "results" / "start.json"


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of a fresh interpreter; its answer is thrown away."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    return time.perf_counter() - start


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    small = parser.parse_args().small
    rounds = 2 if small else 15
    for arguments in COMMANDS.values():  # compiles what is not compiled yet, and fills the file cache
        seconds(arguments)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    beyond = {
        f"{name}_beyond_python": [a - b for a, b in zip(taken[name], taken["python"], strict=True)]
        for name in COMMANDS
        if name != "python"
    }
    figures = {
        name: Figure(statistics.median(values), "s", statistics.stdev(values), rounds)
        for name, values in {**taken, **beyond}.items()
    }
    if not small:
        write_result(
            RESULT,
            claim="mrpnkit --help and mrpnkit list answer within 0.5 s beyond Python's own start.",
            config={"rounds": rounds, "target_seconds": 0.5, "figure": "median of alternating fresh processes"},
            figures=figures,
            rows={"seconds": taken},
        )
    print_figures(figures)


if __name__ == "__main__":
    main()

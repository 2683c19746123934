"""How fast a report page opens, and how large it is.

Claim: the page of a run with 1,440 samples, each tested once in 12 folds, two modalities and gradients recorded, opens
in less than a second in headless Chromium and is smaller than 3 MB; so is one of 12 tests of 1,440 samples each. The
time is from the start of the navigation to the end of the page's load event, its script included; the median of
several. The run is a real one, of random vectors with a signal.

    python -m benchmarks.report_page [--small]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from examples.aver.clips import EMOTIONS
from mrpnkit.analysis import Outcomes
from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.experiment import run_experiment
from mrpnkit.report import Figure, find, print_figures, write_result
from mrpnkit.report.findings import Findings
from mrpnkit.report.page import write_page
from tests.chromium import browser, find_chromium

RESULT = Path(__file__).parent / "results" / "report_page.json"


def corpus_of(samples: int, actors: int) -> Corpus:
    """Two modalities of vectors, in which classes, actors and takes are mixed as in a data set of emotions."""
    generator = np.random.default_rng(0)
    labels = np.arange(samples) % len(EMOTIONS)
    actor = np.arange(samples) * actors // samples
    arrays = {}
    for name, width, noise in (("video", 40, 2.2), ("audio", 30, 3.0)):
        centres = np.random.default_rng(width).standard_normal((len(EMOTIONS), width))
        arrays[name] = centres[labels] + noise * generator.standard_normal((samples, width))
    return Corpus.from_arrays(
        arrays,
        {"emotion": [EMOTIONS[label] for label in labels]},
        ids=[f"{a + 1:02d}-{EMOTIONS[label]}-{row}" for row, (a, label) in enumerate(zip(actor, labels, strict=True))],
        groups={
            "actor": [str(a + 1) for a in actor],
            "sex": ["mf"[a % 2] for a in actor],
            "take": [str(1 + row % 3) for row in range(samples)],
        },
        classes={"emotion": EMOTIONS},
    )


def made_run(folder: Path, *, samples: int, folds: int, epochs: int) -> Findings:
    """Trains an N2 on each fold and finds out everything about it."""
    branch = {"extractor": {"name": "linear", "out_features": 16}, "aggregator": {"name": "last"}}
    config = parse_config(
        {
            "dataset": {"name": "corpus", "path": "corpus"},
            "branches": {"video": branch, "audio": branch},
            "training": {"epochs": epochs, "gradients": 5, "optimizer": {"name": "adamw", "learning_rate": 0.01}},
            "folds": {"group": "actor", "stratum": "sex", "count": folds},
        }
    )
    corpus = corpus_of(samples, 2 * folds)
    corpus.save(folder / "corpus")
    run_experiment(config, folder / "run", base=folder, corpus=corpus, cpu=True)
    return find(folder / "run", corpus=corpus)


def repeated(findings: Findings, times: int) -> Findings:
    """The same findings as if every fold had tested all samples: so many rows of samples."""
    targets = []
    for found in findings.targets:
        one = found.outcomes
        many = Outcomes(
            np.tile(one.ids, times),
            np.repeat(np.arange(1, times + 1), len(one.ids)),
            np.tile(one.labels, times),
            one.classes,
            {head: np.tile(values, (times, 1)) for head, values in one.probabilities.items()},
            {name: np.tile(values, times) for name, values in one.groups.items()},
        )
        targets.append(found._replace(outcomes=many))
    return findings._replace(targets=targets)


def opened(path: Path, binary: str, times: int) -> list[float]:
    """Seconds from the start of the navigation to the end of the load event, in one browser."""
    with browser(binary) as tab:
        found = []
        for _ in range(times + 1):  # the first also starts the renderer
            tab.open(path)
            script = "(() => { const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd; })()"
            found.append(float(tab.run(script)) / 1000)
        if tab.complaints:
            raise SystemExit(f"The page complains: {tab.complaints}")
        return found[1:]


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    parser.add_argument("--keep", type=Path, default=None, help="also keep the page in this folder")
    given = parser.parse_args()
    torch.set_num_threads(1)
    samples, folds, epochs, times = (96, 3, 1, 2) if given.small else (1440, 12, 8, 9)
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        findings = made_run(folder, samples=samples, folds=folds, epochs=epochs)
        start = time.perf_counter()
        pages = {
            "once": write_page(findings, folder / "once.html"),
            "every_fold": write_page(repeated(findings, folds), folder / "every_fold.html"),
        }
        figures["seconds_to_write_both"] = Figure(time.perf_counter() - start, "s")
        binary = find_chromium()
        for what, path in pages.items():
            figures[f"{what}/size"] = Figure(path.stat().st_size / 1e6, "MB")
            if binary is not None:
                seconds = opened(path, binary, times)
                figures[f"{what}/open"] = Figure(statistics.median(seconds), "s", statistics.pstdev(seconds), times)
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            for path in pages.values():
                (given.keep / path.name).write_bytes(path.read_bytes())
    if binary is None:
        print("There is no Chromium here: only sizes were measured.")
    if not given.small and binary is not None:
        write_result(
            RESULT,
            claim="A report page of 1,440 samples and 12 folds opens in less than a second and is smaller than 3 MB.",
            command="python -m benchmarks.report_page",  # --keep names a folder of one machine and changes no figure
            config={"samples": samples, "folds": folds, "epochs": epochs, "openings": times, "seed": 0,
                    "once": "each sample is tested once", "every_fold": "each fold tests all samples",
                    "time": "navigation start to the end of the load event, median"},
            figures=figures,
        )  # fmt: skip
    print_figures(figures)


if __name__ == "__main__":
    main()

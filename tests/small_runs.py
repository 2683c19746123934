"""A tiny corpus, a configuration for it, and both on disk: for the tests of experiments and of the command line."""

from pathlib import Path
from typing import Any

import numpy as np

from mrpnkit.data import Corpus

CLASSES = ["calm", "happy", "sad"]
CONFIG: dict[str, Any] = {
    "dataset": {"name": "corpus", "path": "corpus"},
    "branches": {
        "audio": {"extractor": {"name": "conv1d", "channels": [4]}, "slice_seconds": 0.3},
        "face": {"extractor": {"name": "linear", "out_features": 5}, "aggregator": {"name": "last"}},
    },
    "training": {"epochs": 2, "batch_size": 8, "optimizer": {"name": "adamw", "learning_rate": 0.01}},
    "folds": {"group": "actor", "stratum": "sex", "count": 3},
}
TOML = """
[dataset]
name = "corpus"
path = "corpus"

[branches.audio]
extractor = { name = "conv1d", channels = [4] }
slice_seconds = 0.3

[branches.face]
extractor = { name = "linear", out_features = 5 }
aggregator = { name = "last" }

[training]
epochs = 2
batch_size = 8
optimizer = { name = "adamw", learning_rate = 0.01 }

[folds]
group = "actor"
stratum = "sex"
count = 3
"""


def small_corpus(samples: int = 36, *, seed: int = 0, actors: int = 6) -> Corpus:
    """Ragged audio (one sample of eleven lacks it) and face vectors; three classes, actors of two sexes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    lengths = [0 if row % 11 == 5 else 4 + row % 5 for row in range(samples)]
    actor = [row * actors // samples for row in range(samples)]
    return Corpus.from_arrays(
        {
            "audio": [
                generator.standard_normal((length, 5)) + label for length, label in zip(lengths, labels, strict=True)
            ],
            "face": generator.standard_normal((samples, 4)) - labels[:, None],
        },
        {"emotion": [CLASSES[label] for label in labels]},
        ids=[f"clip{row}" for row in range(samples)],
        groups={"actor": [str(1 + a) for a in actor], "sex": ["fm"[a % 2] for a in actor]},
        classes={"emotion": CLASSES},
        rates={"audio": 10.0},
    )


def workplace(folder: Path) -> Path:
    """A folder with ``corpus`` and ``run.toml``; returns the latter."""
    small_corpus().save(folder / "corpus")
    (folder / "run.toml").write_text(TOML, encoding="utf-8")
    return folder / "run.toml"

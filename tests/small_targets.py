"""A small corpus with a target of every kind, two modalities that some samples lack, and a run on it."""

from pathlib import Path

import numpy as np

from mrpnkit.data import Corpus

MOODS = ["cries", "laughs", "shouts"]
LEVELS = ["none", "mild", "strong"]
TOML = """
[dataset]
name = "corpus"
path = "corpus"

[branches.voice]
extractor = { name = "linear", out_features = 8 }

[branches.face]
extractor = { name = "linear", out_features = 8 }
modality_dropout = 0.3

[targets.emotion]
balance = "inverse_frequency"

[targets.mood]
kind = "multilabel"
positive_weights = { laughs = 1.5 }

[targets.age]
kind = "regression"
loss = "huber"
weight = 0.5

[targets.level]
kind = "ordinal"

[model]
absent = "learned"
fallback = "single"

[training]
epochs = 15
batch_size = 16
monitor = "age/fused/mae"
modality_dropout = 0.1
optimizer = { name = "adamw", learning_rate = 0.01 }

[folds]
group = "person"
count = 3
"""


def every_target(samples: int = 90, *, seed: int = 0) -> Corpus:
    """Features that tell the hidden numbers from which all targets are made; some labels and modalities missing."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(samples, 3))
    voice = [
        np.concatenate([row, draw.normal(size=2)])[None].repeat(1 + place % 3, axis=0)[: 0 if place % 10 == 3 else None]
        for place, row in enumerate(hidden)
    ]
    face = [row[None] + 0.3 * draw.normal(size=(1, 3)) for row in hidden]
    face[7] = face[7][:0]
    mood = (hidden > 0.2).astype(np.int64)
    mood[::9, 1] = -1
    mood[4] = -1
    age = 40 + 12 * hidden[:, 0]
    age[::11] = np.nan
    emotion = [["calm", "happy"][int(value > 0.3)] for value in hidden[:, 1]]
    level = np.digitize(hidden[:, 2], [-0.5, 0.5])
    level[::13] = -1
    return Corpus.from_arrays(
        {"voice": voice, "face": face},
        {"emotion": emotion, "mood": mood, "age": age, "level": level},
        ids=[f"clip{row}" for row in range(samples)],
        groups={"person": [str(row // 10) for row in range(samples)]},
        classes={"mood": MOODS, "level": LEVELS},
    )


def workplace(folder: Path) -> Path:
    """A folder with ``corpus`` and ``run.toml``; returns the latter."""
    every_target().save(folder / "corpus")
    (folder / "run.toml").write_text(TOML, encoding="utf-8")
    return folder / "run.toml"

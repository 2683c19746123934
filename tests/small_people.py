"""Actors who differ, a configuration that adapts to them, and both on disk."""

from pathlib import Path

import numpy as np

from mrpnkit.data import Corpus
from tests.small_runs import TOML, small_corpus

ADAPTED = f'{TOML}\n[adaptation]\ncolumn = "actor"\nenrol = "all"\n'


def people() -> Corpus:
    """Six actors of nine samples; each moves every number by what is the actor's own."""
    plain = small_corpus(54)
    generator = np.random.default_rng(1)
    own = {actor: 3 * generator.standard_normal(9) for actor in "123456"}
    actors = plain.groups["actor"].tolist()
    return Corpus.from_arrays(
        {
            "audio": [plain.read("audio", row) + own[actor][:5] for row, actor in enumerate(actors)],
            "face": [plain.read("face", row) + own[actor][5:] for row, actor in enumerate(actors)],
        },
        {"emotion": [plain.classes["emotion"][label] for label in plain.targets["emotion"]]},
        ids=plain.ids,
        groups={"actor": actors, "sex": plain.groups["sex"].tolist()},
        classes=plain.classes,
        rates={"audio": 10.0},
    )


def workplace(folder: Path, text: str = ADAPTED) -> Path:
    """A folder with the corpus and ``run.toml``; returns the latter."""
    people().save(folder / "corpus")
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return folder / "run.toml"

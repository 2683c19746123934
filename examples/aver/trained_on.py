"""What a run was trained on, as its ``run.json`` tells it, and whether a corpus is still that one.

A corpus folder can be made anew in the same place. So a run is known by what its corpus held and how it was made, and
not by where it lay; and by the actors of its fold, since folds are derived from the corpus each time.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrpnkit.data import Corpus, Fold
from mrpnkit.errors import TrainingError
from mrpnkit.runs import identity_of

DATA = "data"
"""Key of ``run.json``."""

REMEDY = "Give another --out, or prepare the run's own data again, or remove the run."


def prints_of(corpus: Corpus) -> dict[str, str]:
    """Hashes of what a corpus holds and of how it was made; no steps are read.

    Returns:
        ``samples``: of ids, targets with their classes, groups and lengths. ``preparation``: of ``Corpus.about``.
    """
    classes = json.dumps(corpus.classes, sort_keys=True)
    about = json.dumps(corpus.about, sort_keys=True)
    return {
        "samples": hashlib.sha256((identity_of(corpus) + classes).encode()).hexdigest(),
        "preparation": hashlib.sha256(about.encode()).hexdigest(),
    }


def data_of(corpus: Corpus, fold: Fold) -> dict[str, Any]:
    """What stands in ``run.json`` of the data: hashes of the corpus, some words about it, and the fold's actors."""
    return {
        **prints_of(corpus),
        "source": str(corpus.about.get("source", "")),
        "clips": len(corpus),
        "actors": list(dict.fromkeys(corpus.groups["actor"].tolist())),
        "test_actors": list(fold.test_groups),
        "validation_actors": list(fold.validation_groups),
    }


def check_trained_on(run: Path, stored: Mapping[str, Any], place: Path, split: Callable[[Corpus], Fold]) -> None:
    """Checks that the corpus in a folder is the one that a run was trained on, and divides as it did.

    Args:
        run: its folder, for the text.
        stored: what its ``run.json`` holds.
        place: folder of the corpus.
        split: the run's fold of a corpus; only asked for where the corpus is the same.

    Raises:
        TrainingError: another corpus, other actors in the fold, or a run that does not say what it was trained on.
    """
    known = stored.get(DATA)
    if not isinstance(known, dict):
        raise TrainingError(
            f"{run} does not say what it was trained on: an earlier version made it, and whether {place} is the same "
            "corpus cannot be told. Give another --out, or remove the run and train again."
        )
    corpus = Corpus.open(place)
    found = prints_of(corpus)
    if known.get("samples") != found["samples"]:
        here = _spoken(corpus.about.get("source", ""), len(corpus), dict.fromkeys(corpus.groups["actor"].tolist()))
        there = _spoken(known.get("source", ""), known.get("clips"), known.get("actors", ()))
        raise TrainingError(
            f"{run} holds a run on another corpus than is in {place} now: it was trained on {there}; here are {here}. "
            f"{REMEDY}"
        )
    if known.get("preparation") != found["preparation"]:
        raise TrainingError(
            f"{run} holds a run on the clips of {place}, but prepared in another way: settings, features or files "
            f"differ. {REMEDY}"
        )
    fold = split(corpus)
    for key, names in (("test_actors", fold.test_groups), ("validation_actors", fold.validation_groups)):
        if known.get(key) != list(names):
            raise TrainingError(
                f"{run} holds a run with other {key.replace('_', ' ')}: {_listed(known.get(key) or ())} there, "
                f"{_listed(names)} here. Give another --out, or remove the run."
            )


def _spoken(source: Any, clips: Any, actors: Mapping[str, Any] | Sequence[str]) -> str:
    """``60 clips of X, actors 1, 2``."""
    return f"{clips} clips{f' of {source}' if source else ''}, actors {_listed(list(actors))}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def check_without_runs(out: Path) -> None:
    """Checks that no run was trained on the corpus of a folder, so that data to evaluate may take its place.

    Raises:
        TrainingError: the folder holds a run.
    """
    run = next(iter(sorted(out.glob("*/*/seed-*/run.json"))), None)
    if run is not None:
        raise TrainingError(
            f"{out} holds runs, such as {run.parent}; the data to evaluate would take the place of those that they "
            "were trained on. Give another --out."
        )

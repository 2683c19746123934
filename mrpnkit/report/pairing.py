"""Whether the folds of several runs may be paired: the same split, and tested samples of the same groups and labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrpnkit.errors import RunError
from mrpnkit.runs import Run

SPLIT = "split"
WORDS = {"groups": "the column", "labels": "the labels of"}


class Origin(NamedTuple):
    """Where a run or an ablation lies, the identity of its corpus, and by number what is known of each of its folds.

    Of a fold, ``split`` is its :func:`mrpnkit.data.audit.fingerprint_of`, and ``groups/NAME`` and ``labels/NAME`` are
    those of :func:`mrpnkit.data.audit.sample_digests`. What an older version did not write is not there.
    """

    folder: Path
    identity: str
    folds: dict[int, dict[str, str]]


def origin_of_run(run: Run, folds: Mapping[int, Mapping[str, Any]]) -> Origin:
    """Of a run and the figures of its finished folds by number."""
    known = {
        number: {**({SPLIT: fold[SPLIT]} if SPLIT in fold else {}), **fold.get("tested", {})}
        for number, fold in folds.items()
    }
    return Origin(run.folder, run.identity, known)


def origin_of_ablation(folder: Path, content: Mapping[str, Any]) -> Origin:
    """Of an ablation, by the content of its ``results.json``."""
    splits, tested = content.get(SPLIT, {}), content.get("tested", {})
    known = {
        number: {**({SPLIT: splits[str(number)]} if str(number) in splits else {}), **tested.get(str(number), {})}
        for number in content.get("folds", [])
    }
    return Origin(folder, content.get("corpus", ""), known)


def check_pairs(origins: Sequence[Origin]) -> list[str]:
    """What could not be checked, in words; features may differ, so that they are not looked at.

    Raises:
        RunError: folds of one number that are of another split, or that test samples of other groups or labels.
    """
    known: dict[tuple[int, str], tuple[str, Path]] = {}
    for origin in origins:
        for number, fold in origin.folds.items():
            others = {what: known.setdefault((number, what), (text, origin.folder)) for what, text in fold.items()}
            differing = [what for what, (text, _) in others.items() if text != fold[what]]
            if SPLIT in differing:
                raise RunError(
                    f"Fold {number} of {origin.folder} is of another split than that of {others[SPLIT][1]}; runs are "
                    "compared on the same folds."
                )
            if differing:
                names = (what.partition("/") for what in differing)
                raise RunError(
                    f"Fold {number} of {origin.folder} and that of {others[differing[0]][1]} test samples of the same "
                    f"ids, but {', '.join(f'{WORDS[kind]} {name!r}' for kind, _, name in names)} differ: the data are "
                    "others. Compare runs on the same samples, and give other samples other ids."
                )
    return _unchecked(origins)


def _unchecked(origins: Sequence[Origin]) -> list[str]:
    """A sentence for each kind of what older versions did not write, where it leaves something open."""
    identities = {origin.identity for origin in origins}
    if len(origins) < 2 or (len(identities) == 1 and "" not in identities):
        return []
    without = [origin for origin in origins if any(SPLIT not in fold for fold in origin.folds.values())]
    bare = [one for one in origins if one not in without and any(set(fold) == {SPLIT} for fold in one.folds.values())]
    told = []
    if without:
        told.append(
            f"{_listed(without)}: written by an older version without fingerprints of the split. The folds are paired "
            "by number; whether they test the same samples was not checked."
        )
    if bare:
        told.append(
            f"{_listed(bare)}: written by an older version that did not store whose the tested samples are and how "
            "they are labelled. The folds have the same ids; whether they are of the same data was not checked."
        )
    return told


def _listed(origins: Sequence[Origin]) -> str:
    return ", ".join(str(origin.folder) for origin in origins)

"""The audit of a split: what would make a result worthless, found before anything is trained."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.folds import Fold
from mrpnkit.data.labels import plain_value
from mrpnkit.data.near_duplicates import LARGEST, Pair, near_pairs, shared_pairs
from mrpnkit.errors import SplitError

PARTS = ("train", "validation", "test")
Depth = Literal["table", "copies", "steps"]


class Finding(NamedTuple):
    """What was found: ``severity`` is ``"problem"`` where it makes a result worthless, else ``"note"``."""

    severity: Literal["problem", "note"]
    text: str


def audit(
    corpus: Corpus,
    folds: Mapping[int, Fold],
    *,
    targets: Sequence[str],
    modalities: Sequence[str],
    group: str | None = None,
    stratum: str | None = None,
    depth: Depth = "steps",
) -> list[Finding]:
    """Looks at folds, by number from 1, for groups and samples on both sides, and for classes that a part lacks.

    A *problem* is: a group, or a whole sample of equal steps, in training and in another part of a fold; samples of
    several steps that are nearly equal in every modality, or cut out of one another, on two sides; a sample that stands
    in two parts, above all one that is tested and selects the epoch; a column that could have been the group and was
    not, split over the parts; a class, or every label, that training lacks; a part to test on without labels. A *note*
    is: another column on both sides; equal or nearly equal steps of a single modality; a class that validation or test
    lacks; a sample that stands twice within one part.

    Args:
        corpus: what is split.
        folds: the folds to look at.
        targets: which targets are learned.
        modalities: which modalities are read.
        group: the column whose groups are not to be split, if there is one.
        stratum: the column that is balanced and therefore stands on both sides.
        depth: ``"table"`` reads no steps and looks for no duplicates; ``"copies"`` looks for equal steps, of which it
            reads a few a sample, and says in a note that it looks no further; ``"steps"`` looks for nearly equal ones
            too, and reads all of them, some three times.
    """
    found = [*_overlaps(corpus, folds), *_groups(corpus, folds, group, stratum), *_empty_classes(corpus, targets)]
    for number, fold in folds.items():
        for target in targets:
            found += _classes(corpus, number, fold, target)
    return found if depth == "table" else found + _duplicates(corpus, folds, modalities, near=depth == "steps")


def fingerprint_of(corpus: Corpus, fold: Fold) -> str:
    """A hash of who trains, who selects and who is tested, by the samples' ids; the order within a part is nothing."""
    found = hashlib.sha256()
    for part in PARTS:
        rows: NDArray[np.int64] = getattr(fold, part)
        found.update("\0".join([part, *sorted(corpus.ids[row] for row in rows.tolist())]).encode() + b"\1")
    return found.hexdigest()


def sample_digests(corpus: Corpus, fold: Fold) -> dict[str, str]:
    """Hashes of what is known of the tested samples: ``groups/NAME`` of each column, ``labels/NAME`` of each target.

    Samples are taken in the order of their ids and classes by their names. Ids may be no more than numbers: where they
    are the same and these hashes are not, the samples are others. Features do not count.
    """
    rows = sorted(fold.test.tolist(), key=lambda row: corpus.ids[row])
    found: dict[str, list[Any]] = {f"groups/{name}": values[rows].tolist() for name, values in corpus.groups.items()}
    for name, labels in corpus.targets.items():
        found[f"labels/{name}"] = [plain_value(labels, corpus.classes.get(name), row) for row in rows]
    return {
        name: hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest() for name, values in found.items()
    }


def refuse(findings: Sequence[Finding]) -> None:
    """Raises SplitError where a finding makes the result worthless; its text lists them all."""
    problems = [finding.text for finding in findings if finding.severity == "problem"]
    if problems:
        raise SplitError(
            f"The split makes the result worthless ({len(problems)} of the audit's findings):\n"
            + "\n".join(f"  {text}" for text in problems)
            + '\nMend it, or set audit = "report" under [folds] to go on; the findings then stand in the report.'
        )


def hashes_of(corpus: Corpus, modality: str) -> list[bytes | None]:
    """A key for each sample, the same where all steps are equal and only there; None where it has no steps.

    Three steps of every sample are read, and all of those whose three steps and number of steps another sample shares.
    """
    keys = [_key(corpus, modality, row, whole=False) for row in range(len(corpus))]
    often = Counter(keys)
    return [
        _key(corpus, modality, row, whole=True) if key is not None and often[key] > 1 else key
        for row, key in enumerate(keys)
    ]


def _key(corpus: Corpus, modality: str, row: int, *, whole: bool) -> bytes | None:
    """A hash of all steps, or of the first, the middle and the last and of how many there are."""
    steps = corpus.read(modality, row)
    if not len(steps):
        return None
    chosen = steps if whole else steps[[0, len(steps) // 2, -1]]
    found = hashlib.blake2b(b"whole" if whole else len(steps).to_bytes(8, "little"), digest_size=16)
    found.update(np.ascontiguousarray(chosen).tobytes())
    return found.digest()


def _overlaps(corpus: Corpus, folds: Mapping[int, Fold]) -> list[Finding]:
    found = []
    for number, fold in folds.items():
        for first, second in (("validation", "test"), ("train", "test"), ("train", "validation")):
            both = np.intersect1d(getattr(fold, first), getattr(fold, second))
            if len(both):
                what = f"{len(both)} samples of fold {number} stand in {first} and in {second}, such as "
                why = " The epoch is selected on what is reported." if (first, second) == ("validation", "test") else ""
                found.append(Finding("problem", f"{what}{corpus.ids[int(both[0])]!r}.{why}"))
    return found


def _groups(corpus: Corpus, folds: Mapping[int, Fold], group: str | None, stratum: str | None) -> list[Finding]:
    found = []
    for column, values in corpus.groups.items():
        if column == stratum:
            continue
        split: dict[int, list[str]] = {}
        for number, fold in folds.items():
            train = set(values[fold.train].tolist())
            other = set(values[np.concatenate([fold.validation, fold.test])].tolist())
            if train & other:
                split[number] = sorted(train & other)
        if not split:
            continue
        number, shared = next(iter(split.items()))
        where = f"{_some(shared)} of {column!r} {'is' if len(shared) == 1 else 'are'} in training and in another part"
        text = f"{where} of fold {number}" + (f", and so in {len(split)} folds" if len(split) > 1 else "")
        could_be = group is None and len(set(values.tolist())) >= max(3, len(folds))
        if column == group:
            found.append(Finding("problem", f"{text}, although {column!r} is the group that is never split."))
        elif could_be:
            hint = f'Set group = "{column}" under [folds], or drop the column if it tells nothing about the sample.'
            found.append(Finding("problem", f"{text}. {hint}"))
        else:
            found.append(Finding("note", f"{text}."))
    return found


def _classes(corpus: Corpus, number: int, fold: Fold, target: str) -> list[Finding]:
    names, labels, found = corpus.classes.get(target, []), corpus.targets[target], []
    everywhere = _occurring(labels)
    for part in PARTS:
        rows: NDArray[np.int64] = getattr(fold, part)
        lacking = [names[label] for label in sorted(everywhere - _occurring(labels[rows]))]
        if len(rows) and not _labelled(labels[rows]):
            severity: Literal["problem", "note"] = "note" if part == "validation" else "problem"
            found.append(Finding(severity, f"No sample of the {part} part of fold {number} has a label of {target!r}."))
        elif lacking and len(rows):
            severity = "problem" if part == "train" else "note"
            text = f"The {part} part of fold {number} has no sample of {_some(lacking)} of {target!r}."
            found.append(Finding(severity, text))
    return found


def _empty_classes(corpus: Corpus, targets: Sequence[str]) -> list[Finding]:
    found = []
    for target in targets:
        names, occurring = corpus.classes.get(target, []), _occurring(corpus.targets[target])
        never = [name for label, name in enumerate(names) if label not in occurring]
        if never:
            found.append(Finding("note", f"No sample at all has {_some(never)} of {target!r}."))
    return found


def _occurring(labels: NDArray[Any]) -> set[int]:
    """The classes that samples have, or the labels that hold for one; of values, none."""
    if labels.dtype.kind == "f":
        return set()
    if labels.ndim == 2:
        return set(np.flatnonzero((labels == 1).any(axis=0)).tolist())
    return {label for label in labels.tolist() if label >= 0}


def _labelled(labels: NDArray[Any]) -> bool:
    return bool((~np.isnan(labels)).any() if labels.dtype.kind == "f" else (labels >= 0).any())


def _duplicates(corpus: Corpus, folds: Mapping[int, Fold], modalities: Sequence[str], *, near: bool) -> list[Finding]:
    by_modality = {name: hashes_of(corpus, name) for name in modalities}
    whole = [tuple(by_modality[name][row] for name in modalities) for row in range(len(corpus))]
    empty = tuple(None for _ in modalities)
    alike = _alike([None if sample == empty else sample for sample in whole])
    found = _across(corpus, folds, alike, "problem", "the same steps in every modality")
    known = {tuple(rows) for rows in alike}
    for name in modalities if len(modalities) > 1 else ():
        # One step of few numbers may well be equal by chance: a table's row, an age.
        long = [h if corpus.modalities[name].lengths[row] > 1 else None for row, h in enumerate(by_modality[name])]
        single = [rows for rows in _alike(long) if tuple(rows) not in known]
        found += _across(corpus, folds, single, "note", f"the same steps of {name!r}")
    if not near:
        text = "The steps are many: equal samples were looked for, nearly equal ones were not."
        return [*found, Finding("note", f"{text} `mrpnkit check RUN.toml --data` looks for them.")]
    return found + _near_duplicates(corpus, folds, modalities, by_modality)


def _near_duplicates(
    corpus: Corpus, folds: Mapping[int, Fold], modalities: Sequence[str], hashes: Mapping[str, list[bytes | None]]
) -> list[Finding]:
    """Pairs that are nearly alike in every modality that both have, and in some only; equal ones are known already."""
    alike: dict[str, set[Pair]] = {}
    for name in modalities:
        pairs = near_pairs(corpus, name) | shared_pairs(corpus, name)
        alike[name] = {(a, b) for a, b in pairs if hashes[name][a] != hashes[name][b]}
    found = [
        Finding("note", f"More than {LARGEST:,} samples have {name!r}: of it only shared steps were looked for.")
        for name in modalities
        if (corpus.modalities[name].lengths > 0).sum() > LARGEST
    ]
    everywhere = {
        pair
        for pair in set().union(*alike.values())
        if all(
            pair in alike[name] or hashes[name][pair[0]] == hashes[name][pair[1]]
            for name in modalities
        )
    }  # fmt: skip
    several = {pair for pair in everywhere if any(corpus.modalities[m].lengths[pair[0]] > 1 for m in modalities)}
    found += _across(corpus, folds, _sets(several), "problem", "nearly the same or shared steps in every modality")
    found += _across(corpus, folds, _sets(everywhere - several), "note", "nearly the same numbers in every modality")
    for name in modalities if len(modalities) > 1 else ():
        long = {pair for pair in alike[name] - everywhere if corpus.modalities[name].lengths[pair[0]] > 1}
        found += _across(corpus, folds, _sets(long), "note", f"nearly the same or shared steps of {name!r}")
    return found


def _sets(pairs: set[Pair]) -> list[list[int]]:
    return [list(pair) for pair in sorted(pairs)]


def _alike(keys: Sequence[object]) -> list[list[int]]:
    rows_of: dict[object, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        if key is not None:
            rows_of[key].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def _across(
    corpus: Corpus, folds: Mapping[int, Fold], alike: list[list[int]], severity: Literal["problem", "note"], what: str
) -> list[Finding]:
    if not alike:
        return []
    found, crossing = [], {}
    for number, fold in folds.items():
        part_of = {int(row): part for part in PARTS for row in getattr(fold, part)}
        split = [rows for rows in alike if len({part_of[row] for row in rows if row in part_of}) > 1]
        if split:
            crossing[number] = split
    if crossing:
        number, split = next(iter(crossing.items()))
        pair = " and ".join(repr(corpus.ids[row]) for row in split[0][:2])
        stand = "stands" if len(split) == 1 else "stand"
        text = f"{_how_many(split)} of samples with {what} {stand} in several parts of fold {number}, such as {pair}"
        text += f"; so it is in {len(crossing)} folds." if len(crossing) > 1 else "."
        found.append(Finding(severity, text))
    else:
        pair = " and ".join(repr(corpus.ids[row]) for row in alike[0][:2])
        text = f"{_how_many(alike)} of samples with {what}, such as {pair}, each within one part."
        found.append(Finding("note", text))
    return found


def _how_many(found: Sequence[Sequence[int]]) -> str:
    return "1 set" if len(found) == 1 else f"{len(found)} sets"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:4]))
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")

"""What a run's folder holds, and that only one configuration ever writes to it.

::

    run.json                 the resolved configuration, versions, an outline of the corpus, the fingerprint
    fold-01/                 one folder for each fold:
        state.pt             from which an interrupted training goes on
        best.safetensors     weights of the best validated epoch
        last.safetensors     weights after the last epoch
        metrics.jsonl        a line for each epoch
        adaptation.npz       where asked for: statistics of the population and of the groups
        gradients.jsonl      where asked for: do the losses of branches and fusion conflict
        test.npz             scores of every head on the test part
        fold.json            the figures of the finished fold; it is written last
    audit.json               what the audit of the split found, and the fingerprint of each fold
    results.json             figures over the finished folds

Nothing in a run's folder is ever executed or imported: configuration and figures are JSON, weights are safetensors,
and a state is read as plain tensors and numbers.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.config import Config, parse_config
from mrpnkit.data import Corpus, Modality
from mrpnkit.data.arrays import names_in
from mrpnkit.data.digest import digests_of
from mrpnkit.data.table import LABELS
from mrpnkit.errors import RunError
from mrpnkit.holding import held
from mrpnkit.records import read_json, versions, write_json

RUN, RESULTS, FOLD, SCORES, AUDIT = "run.json", "results.json", "fold.json", "test.npz", "audit.json"
ADAPTATION = "adaptation.npz"
STEPS = "steps"
"""Beside the identity of the corpus: a digest of the steps of each modality. Runs of earlier versions have none."""
TRAINED = (FOLD, "state.pt", "last.safetensors", "best.safetensors")
"""Of these a training leaves at least one once an epoch is over."""
FORMAT = 1
FOLD_KEYS = {"fold", "name", "selected_epoch", "metrics"}
FREE = (("training", "workers"), ("training", "gradients"), ("folds", "only"), ("folds", "audit"))
"""Settings that may change between two calls on one folder: they change no fold's result."""


class Run(NamedTuple):
    """An opened run: where it is, its configuration, the folder that paths in it start from, and the corpus' outline.

    ``outline`` has the modalities' step shapes, types and rates, and the classes, without any sample.
    """

    folder: Path
    config: Config
    base: Path
    outline: dict[str, Any]
    versions: dict[str, str]
    identity: str
    digests: dict[str, str] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Reads ``run.json`` of a folder.

        Raises:
            RunError: no run there, another format, a damaged file.
        """
        folder = Path(folder)
        content = _read(folder)
        try:
            config = parse_config(content["config"])
            base, known = folder / content["base"], content["fingerprinted"]
            outline, made_with = content["outline"], content["versions"]
            return cls(folder, config, base, outline, made_with, known["corpus"], known.get(STEPS))
        except (KeyError, TypeError) as error:
            raise RunError(
                f"{folder / RUN} is damaged: {type(error).__name__}: {error}. Train into a new folder."
            ) from error

    def fold_folder(self, number: int) -> Path:
        """Where the fold of that number, from 1, lies."""
        return fold_folder(self.folder, number)

    def finished(self) -> dict[int, dict[str, Any]]:
        """The figures of the finished folds, by number from 1.

        Raises:
            RunError: a file of figures that is damaged.
        """
        found = {}
        for path in self.folder.glob(f"fold-*/{FOLD}"):
            content = read_json(path)
            if not content.keys() >= FOLD_KEYS or path.parent != self.fold_folder(int(content["fold"])):
                raise RunError(f"{path} holds no figures of its fold. Remove it, and the same command makes it again.")
            found[int(content["fold"])] = content
        return dict(sorted(found.items()))

    def trained_on(self, corpus: Corpus) -> bool:
        """Whether the corpus is the one that the run was trained on."""
        return not self._changes(corpus)

    def check_corpus(self, corpus: Corpus) -> None:
        """Raises RunError unless the corpus is the one that the run was trained on; the text says what differs."""
        changes = self._changes(corpus)
        if changes:
            raise RunError(
                f"The data set of {self.folder} has changed since the training: {'; '.join(changes)}. Its folds are "
                "those of the data as they were. Give the data as --data to evaluate all of them, or train anew."
            )

    def _changes(self, corpus: Corpus) -> list[str]:
        """What tells the corpus from that of the training; steps are read only where the samples are the same."""
        found = differences({"corpus": self.identity}, {"corpus": identity_of(corpus)})
        return found or (differences({STEPS: self.digests}, {STEPS: digests_of(corpus)}) if self.digests else [])

    def corpus_like(self) -> Corpus:
        """A corpus of one sample that has nothing, of the widths and classes that the run was trained on."""
        return corpus_of(self.outline)


def fold_folder(folder: Path, number: int) -> Path:
    """Where the fold of that number, from 1, lies in a run's folder."""
    return folder / f"fold-{number:02d}"


def claim(folder: Path, config: Config, corpus: Corpus, *, base: Path, write: bool = True) -> Run:
    """Makes a folder the run of this configuration on this corpus, or recognises it as that.

    A run that has not finished an epoch yet gives its folder away: its configuration may have been refused while the
    network was built.

    Args:
        folder: of the run; made if it does not exist.
        config: everything that decides the result.
        corpus: what it is trained on.
        base: the folder that paths in the configuration start from.
        write: whether this process is the one that writes.

    Raises:
        RunError: the folder holds a run of another configuration or on other data; the text says what differs.
    """
    outline = outline_of(corpus)
    wanted: dict[str, Any] = {"config": fingerprinted(config), "corpus": identity_of(corpus), STEPS: digests_of(corpus)}
    if (folder / RUN).is_file():
        stored = _read(folder)
        if STEPS not in stored["fingerprinted"] and _holds_weights(folder):
            del wanted[STEPS]  # nobody knows what they were, nor what their features were called
            outline = stored["outline"]
        differing = differences(stored["fingerprinted"], wanted)
        if differing and not _holds_weights(folder):
            if write:
                for started in folder.glob("fold-*"):
                    with held(started):
                        shutil.rmtree(started)
                (folder / RUN).unlink()
        elif differing:
            raise RunError(
                f"{folder} holds a run with other settings: {'; '.join(differing)}. Give another --out, or remove it."
            )
    elif write and folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no run; give a folder of its own with --out.")
    if write:
        content = {
            "format": FORMAT,
            "fingerprint": fingerprint(wanted),
            "config": config.resolved(),
            "base": _relative(base, folder),
            "outline": outline,
            "versions": versions(),
            "fingerprinted": wanted,
        }
        if (folder / RUN).is_file():
            content["versions"] = _read(folder)["versions"]
        write_json(folder / RUN, content)
    return Run(folder, config, base, outline, versions(), wanted["corpus"], wanted.get(STEPS))


def _holds_weights(folder: Path) -> bool:
    """Whether a training has come as far as to leave something that is worth keeping."""
    return any(path for name in TRAINED for path in folder.glob(f"fold-*/{name}"))


def fingerprinted(config: Config) -> dict[str, Any]:
    """The resolved configuration without what changes no fold's result."""
    content: dict[str, Any] = json.loads(json.dumps(config.resolved()))
    for section, key in FREE:
        content.get(section, {}).pop(key, None)
    return content


def fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def identity_of(corpus: Corpus) -> str:
    """A hash of ids, targets, groups and lengths: cheap, since it reads no steps (``mrpnkit.data.digest`` does)."""
    found = hashlib.sha256("\0".join(corpus.ids).encode())
    for name, values in corpus.targets.items():
        found.update(name.encode() + np.ascontiguousarray(values).tobytes())
    for name, texts in corpus.groups.items():
        found.update(name.encode() + "\0".join(texts.tolist()).encode())
    for name, modality in corpus.modalities.items():
        found.update(name.encode() + modality.lengths.tobytes())
    return found.hexdigest()


def differences(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """What differs between two resolved configurations, as ``training.epochs: 50 there, 20 here``."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        found = []
        for key in [*stored, *(key for key in wanted if key not in stored)]:
            inner = key if not path or path == "config" else f"{path}.{key}"
            found += differences(stored.get(key), wanted.get(key), inner)
        return found
    if stored == wanted:
        return []
    if path == "corpus":
        return ["the corpus is another one (samples, labels, groups or lengths)"]
    if path.startswith(f"{STEPS}."):
        return [f"the steps of {path.removeprefix(f'{STEPS}.')!r} are others"]
    return [f"{path}: {_short(stored)} there, {_short(wanted)} here"]


def outline_of(corpus: Corpus) -> dict[str, Any]:
    """What a model needs to know of a corpus, as plain data: step shapes, types, rates, feature names, and classes."""
    return {
        "modalities": {name: _outlined(modality) for name, modality in corpus.modalities.items()},
        "targets": {
            name: {LABELS: corpus.classes[name]} if name in corpus.label_names else corpus.classes.get(name)
            for name in corpus.targets
        },
        "groups": list(corpus.groups),
        "samples": len(corpus),
    }


def _outlined(modality: Modality) -> dict[str, Any]:
    steps, names = modality.steps, modality.feature_names
    plain = {"dtype": str(steps.dtype), "step": list(steps.shape[1:]), "rate": modality.rate}
    return plain if names is None else {**plain, "feature_names": list(names)}


def corpus_of(outline: Mapping[str, Any]) -> Corpus:
    """A corpus of one sample that has no steps, no labels and empty groups, of the shape that the outline says."""
    nothing = np.zeros(1, dtype=np.int64)
    modalities = {
        name: Modality(np.empty((0, *entry["step"]), np.dtype(entry["dtype"])), nothing, entry["rate"], names_in(entry))
        for name, entry in outline["modalities"].items()
    }
    targets: dict[str, NDArray[Any]] = {}
    classes: dict[str, list[str]] = {}
    for name, entry in outline["targets"].items():
        if entry is None:
            targets[name] = np.array([np.nan], dtype=np.float32)
            continue
        several = isinstance(entry, dict)
        classes[name] = list(entry[LABELS] if several else entry)
        targets[name] = np.full((1, len(classes[name])) if several else 1, -1, dtype=np.int64)
    return Corpus(["none"], modalities, targets, classes=classes, groups={name: [""] for name in outline["groups"]})


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _read(folder: Path) -> dict[str, Any]:
    if not (folder / RUN).is_file():
        what = "is no folder" if not folder.is_dir() else f"has no {RUN}"
        inside = sorted(str(file.parent) for file in folder.glob(f"*/{RUN}"))[:3]  # as a variant of an ablation has
        known = f" There is {', '.join(inside)} in it." if inside else ""
        raise RunError(f"{folder} is no run: it {what}.{known} A run is made by `mrpnkit train run.toml --out FOLDER`.")
    content = read_json(folder / RUN, mend="Put a copy of it back, or remove the folder and train anew.")
    if content.get("format") != FORMAT:
        raise RunError(f"{folder} has run format {content.get('format')!r}; this version reads format {FORMAT}.")
    return content


def _relative(base: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return base.resolve().as_posix()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

"""What a user gives to several commands: a configuration with changes, data by path, folds and lengths as texts."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mrpnkit.errors import ConfigError, CorpusError, InputError, Problem

if TYPE_CHECKING:
    from mrpnkit.config import Config
    from mrpnkit.data import Corpus
    from mrpnkit.data.adaptation import Enrolment
    from mrpnkit.runs import Run

ARRAYS = ("npz", "safetensors")
"""Data sets whose arrays a run can tell apart by what it knows of its own data."""
Labels = Literal["read", "none"]


def config_of(path: Path, changes: Sequence[str] | None) -> "tuple[Config, Path]":
    """The configuration in a file, with changes, and the folder that paths in it start from."""
    from mrpnkit.config import load_config

    return load_config(path, tuple(changes or ())), path.resolve().parent


def open_data(given: Path, run: "Run | None" = None, *, labels: Labels = "read") -> "Corpus":
    """A prepared corpus folder, a ``.npz`` or ``.safetensors`` file of arrays, or a TOML file with a data set's table.

    The TOML file holds ``[dataset]``, as a configuration does, or that table's keys alone. What is not said of the
    arrays of a file is as in the run: its modalities, targets, groups, ids, parts, classes and rates, as far as the
    file has them.

    Args:
        given: where the data are.
        run: that is to judge them.
        labels: whether the targets of the arrays of a file are needed.

    Raises:
        CorpusError: none of these.
        InputError: a file without any modality of the run.
        ConfigError: a table that names no data set, or options that it does not have.
    """
    from mrpnkit.data import Corpus

    if given.is_dir():
        return Corpus.open(given)
    if not given.is_file():
        raise CorpusError(
            f"{given} does not exist; expected a corpus folder, a .npz or .safetensors file, or a TOML file with a "
            "table [dataset]."
        )
    if given.suffix.removeprefix(".") in ARRAYS:
        return _load({"name": given.suffix[1:], "path": given.name}, given, run, labels)
    try:
        table = tomllib.loads(given.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{given} is no TOML: {error}. Expected a corpus folder, a .npz or .safetensors file, or a TOML file with "
            "a table [dataset]."
        ) from error
    return _load(table["dataset"] if isinstance(table.get("dataset"), dict) else table, given, run, labels)


def _load(table: dict[str, Any], source: Path, run: "Run | None", labels: Labels) -> "Corpus":
    from mrpnkit.config.parts import Place, build_part, check_part

    if not isinstance(table.get("name"), str):
        raise ConfigError(str(source), [Problem("dataset.name", "is missing: the name of a data set, such as npz.")])
    whole = {"dataset": dict(table)}
    problems = check_part(whole, Place(("dataset",), "data set"))
    if problems:
        raise ConfigError(str(source), problems)
    options = {key: value for key, value in whole["dataset"].items() if key != "name"}
    name, folder = table["name"], source.resolve().parent
    if run is not None and name in ARRAYS:
        names = build_part("data set", name, options).names(folder)
        options |= {key: value for key, value in _as_in_run(run, names, table, labels).items() if key not in table}
    corpus: Corpus = build_part("data set", name, options).load(folder)
    return corpus


def _as_in_run(run: "Run", names: Sequence[str], given: Mapping[str, Any], labels: Labels) -> dict[str, Any]:
    """Options for a file with arrays of these names, by what a run knows of its own data."""
    from mrpnkit.data.datasets.named_arrays import joined_names
    from mrpnkit.data.datasets.places import listed
    from mrpnkit.data.datasets.sample_table import PRESENT_TARGETS

    own = run.config.dataset.options if run.config.dataset.name in ARRAYS else {}
    there = any(name in names for name in run.config.branches)
    own_parts = [part for part in own.get("parts") or () if not there and joined_names(names, [part])]
    parts = given.get("parts", own_parts)
    known = joined_names(names, parts)
    if not given.get("modalities") and not set(run.config.branches) & set(known):
        raise InputError(
            f"{given['path']} has none of the modalities that the network reads: {', '.join(run.config.branches)}. It "
            f"has {listed(known)}."
        )
    found = [name for name in run.outline["targets"] if name in known] or [n for n in PRESENT_TARGETS if n in known][:1]
    targets = given.get("targets", found if labels == "read" else [])
    outlined = run.outline["modalities"]  # all of them, so that the run's own data are recognised
    own_modalities = [name for name in (outlined if labels == "read" else run.config.branches) if name in known]
    modalities = given.get("modalities") or own_modalities
    rates = {name: outlined[name]["rate"] for name in modalities if name in outlined and outlined[name]["rate"]}
    return {
        "modalities": modalities,
        "targets": targets,
        "groups": [name for name in run.outline["groups"] if name in known],
        "ids": own["ids"] if own.get("ids") in known else None,
        "parts": parts,
        "classes": {name: classes for name, classes in (own.get("classes") or {}).items() if name in targets},
        "rates": rates,
    }


def enrolment_in(path: Path | None) -> "Enrolment | None":
    """The groups in a file that ``enrol`` wrote, or None where none is given.

    Raises:
        CorpusError: no such file, another one, or one that is damaged.
    """
    from mrpnkit.data.adaptation import Enrolment

    return Enrolment.load(path) if path is not None else None


def lengths_of(given: Sequence[str] | None) -> dict[str, int]:
    """``audio=300`` as a number of steps of a modality.

    Raises:
        InputError: another form.
    """
    found = {}
    for text in given or ():
        name, equals, number = text.partition("=")
        if not (name and equals and number.isdecimal()):
            raise InputError(f"--length {text!r}: expected MODALITY=STEPS, such as audio=300.")
        found[name] = int(number)
    return found


def rates_of(given: str) -> list[float]:
    """Numbers with commas between.

    Raises:
        InputError: another form.
    """
    try:
        return [float(text) for text in given.split(",")]
    except ValueError:
        raise InputError(f"--rates {given!r}: expected numbers with commas between, such as 0,0.25,0.5.") from None


def numbers_of(given: Sequence[int] | None, known: Sequence[int], folder: Path) -> list[int]:
    """The folds that were asked for, or all known ones.

    Raises:
        InputError: one that is not known.
    """
    lacking = [number for number in given or () if number not in known]
    if lacking:
        raise InputError(f"{folder} has no finished fold {lacking[0]}; it has {', '.join(map(str, known)) or 'none'}.")
    return list(given) if given else list(known)


def named_runs(given: Sequence[str] | None) -> dict[str, Path]:
    """``face alone=runs/face`` as the folder of a run by the name that it gets.

    Raises:
        InputError: another form.
    """
    found = {}
    for text in given or ():
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--beside {text!r}: expected NAME=RUN, such as 'face alone=runs/only_face'.")
        found[name] = Path(folder)
    return found

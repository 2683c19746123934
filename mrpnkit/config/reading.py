"""From TOML to a :class:`~mrpnkit.config.Config`: read, override, check everything, say everything at once."""

import copy
import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrpnkit.config.models import Config
from mrpnkit.config.overrides import Override, apply_overrides, parse_override
from mrpnkit.config.parts import check_part, places
from mrpnkit.config.problems import model_problems
from mrpnkit.errors import ConfigError, InputError, Problem
from mrpnkit.wording import nearest, plain_problems, shown

LARGEST_FILE = 2**20
NAME = re.compile(r"\w[\w -]{0,99}")


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file. Relative paths in it are meant from the file's folder, which the caller passes on.

    Args:
        path: of the file.
        overrides: ``PATH=VALUE``, VALUE as in TOML, applied in order before anything is checked.

    Raises:
        ConfigError: no such file, no TOML, or a configuration that cannot be used; all problems at once.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(str(path), [Problem("", f"is larger than {LARGEST_FILE // 1024} KiB; no configuration.")])
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [Problem("", f"is no TOML, which is UTF-8 text: {error}.")]) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(str(path), [Problem("", f"cannot be read: {reason}.")]) from error
    return parse_config(text, overrides, source=str(path))


def parse_config(
    given: str | Mapping[str, Any], overrides: Sequence[str] = (), *, source: str = "configuration"
) -> Config:
    """A configuration from TOML text, or from plain data such as :meth:`Config.resolved` gives.

    Parts are looked up in their registries, loaded, and their options checked against their constructors; the result
    holds the defaults of all options.

    Args:
        given: TOML text, or nested dicts.
        overrides: as for :func:`load_config`.
        source: what the error's text calls it.

    Raises:
        ConfigError: everything that is wrong, each with the path that the user wrote.

    >>> config = parse_config('''
    ... [dataset]
    ... name = "npz"
    ... path = "features.npz"
    ... [branches.audio]
    ... aggregator = { name = "bilstm", hidden_features = 64 }
    ... ''', ["training.epochs=3"])
    >>> config.training.epochs, config.branches["audio"].aggregator.options["layers"]
    (3, 1)
    """
    table = _toml(given, source) if isinstance(given, str) else copy.deepcopy(dict(given))
    parsed = [parse_override(text) for text in overrides]
    done = [override for override in parsed if isinstance(override, Override)]
    problems = [problem for problem in parsed if isinstance(problem, Problem)]
    said = table if isinstance(given, str) else {}  # plain data may be resolved, so that defaults stand there too
    refused = apply_overrides(table, done)
    if said is not table:
        apply_overrides(said, done)
    done = [override for override in done if f"--set {override.path}" not in {problem.path for problem in refused}]
    problems += refused
    try:
        problems += plain_problems(table)
        for place in places(copy.deepcopy(table)):
            problems += check_part(table, place)
        problems += model_problems(table)
    except RecursionError as error:
        raise ConfigError(source, [Problem("", "its tables or lists are nested too deeply.")]) from error
    problems += _names(table)
    if not problems:
        config = Config.model_validate_json(json.dumps(table))
        problems += _together(config, said.get("folds", {}))
        if not problems:
            return config
    first = {problem.path: problem for problem in reversed(problems)}
    unique = [problem for problem in dict.fromkeys(problems) if first[problem.path] == problem]
    raise ConfigError(source, [_with_origin(problem, done) for problem in unique])


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        twice = "; a key or table stands there twice" if "overwrite" in str(error) or "twice" in str(error) else ""
        raise ConfigError(source, [Problem("", f"is no TOML: {error}{twice}.")]) from error
    except RecursionError as error:
        raise ConfigError(source, [Problem("", "its tables or lists are nested too deeply.")]) from error


def _names(table: Mapping[str, Any]) -> list[Problem]:
    """Names of branches and targets that cannot name a module or a file, and weights of heads that there are not."""
    from mrpnkit.names import FUSED, check_names

    problems = []
    for section, kind in (("branches", "branch"), ("targets", "target")):
        entries = table.get(section)
        for name in entries if isinstance(entries, Mapping) else ():
            try:
                check_names({name: None}, kind)
            except InputError as error:
                problems.append(Problem(f"{section}.{name}", str(error).removeprefix("MRPN: ")))
                continue
            if not NAME.fullmatch(name):
                problems.append(
                    Problem(f"{section}.{shown(name)}", f"is no name for a {kind}: use letters, digits, _ and -.")
                )
    objective, branches = table.get("objective"), table.get("branches")
    weights = objective.get("weights") if isinstance(objective, Mapping) else None
    if isinstance(weights, Mapping) and isinstance(branches, Mapping):
        heads = [FUSED, *branches]
        for name in weights:
            if name not in heads:
                text = f"there is no such head{nearest(name, heads)} The heads are {', '.join(heads)}."
                problems.append(Problem(f"objective.weights.{name}", text))
    return problems


def _together(config: Config, written: Collection[str]) -> list[Problem]:
    """What is wrong only in view of several keys, each of which is right by itself; ``written`` are those of folds."""
    problems = _fixed_split(config, written)
    only, count = config.folds.only, 1 if config.folds.test else config.folds.count
    if only is not None and (not only or max(only) > count or len(set(only)) != len(only)):
        of = "a fixed split is one fold" if config.folds.test else "folds.count"
        text = f"expected different numbers from 1 to {count} ({of}), one or more, got {shown(only)}."
        problems.append(Problem("folds.only", text))
    return [*problems, *_missing(config), *_adaptation(config), *_monitor(config)]


def _fixed_split(config: Config, written: Collection[str]) -> list[Problem]:
    """What does not fit in ``[folds]``; of keys that have a default, only those that somebody wrote."""
    folds = config.folds
    problems = []
    if folds.test is not None and folds.group is None:
        text = "a fixed split needs folds.group, the column whose groups are named here."
        problems.append(Problem("folds.test", text))
    if folds.test is not None and "count" in written:
        text = "a fixed split is one fold, so that this has no effect; remove it, or folds.test."
        problems.append(Problem("folds.count", text))
    if folds.validation is not None and folds.test is None:
        text = "groups can validate only in a fixed split; name the groups that are tested as folds.test."
        problems.append(Problem("folds.validation", text))
    if "validation_share" in written and folds.test is None:
        text = "samples are drawn to validate only in a fixed split; name the groups that are tested as folds.test."
        problems.append(Problem("folds.validation_share", text))
    elif "validation_share" in written and folds.validation is not None:
        text = "the groups of folds.validation validate, so that none are drawn; remove one of the two."
        problems.append(Problem("folds.validation_share", text))
    both = [name for name in folds.validation or () if name in (folds.test or ())]
    if both:
        problems.append(Problem("folds.validation", f"{', '.join(map(repr, both))} cannot validate and be tested."))
    return problems


def _missing(config: Config) -> list[Problem]:
    """What the network cannot do for samples that lack a modality."""
    problems, model = [], config.model
    if model.fallback != "never" and model.network == "n0":
        text = (
            f'n0 has no side scores to fall back to; expected "never", or another network, got {shown(model.fallback)}.'
        )
        problems.append(Problem("model.fallback", text))
    if model.absent != "zero" and "absent" not in model.fusion.options:
        text = f"the fusion {model.fusion.name!r} knows no learned stand-in; remove the key, or choose concat."
        problems.append(Problem("model.absent", text))
    return problems


def _adaptation(config: Config) -> list[Problem]:
    """Modalities that are to be adapted and no branch reads, and a condition of another form."""
    chosen, branches = config.adaptation, list(config.branches)
    if chosen is None:
        return []
    problems = []
    unread = next((name for name in chosen.modalities or () if name not in branches), None)
    if unread is not None:
        text = f"there is no branch {unread!r}{nearest(unread, branches)} The branches are {', '.join(branches)}."
        problems.append(Problem("adaptation.modalities", text))
    if chosen.condition is not None and not (chosen.condition_of and chosen.condition_value):
        text = f'expected TARGET=CLASS or COLUMN=VALUE, such as "emotion=neutral", got {shown(chosen.condition)}.'
        problems.append(Problem("adaptation.condition", text))
    if chosen.condition is not None and chosen.enrol == "none":
        problems.append(Problem("adaptation.condition", 'chooses among samples to enrol; with enrol = "none" drop it.'))
    return problems


def _monitor(config: Config) -> list[Problem]:
    from mrpnkit.names import FUSED
    from mrpnkit.targets import KINDS

    monitor, heads = config.training.monitor, [FUSED, *(config.branches if config.model.network != "n0" else ())]
    if monitor == "loss":
        return []
    parts = monitor.split("/")
    expected = f"expected loss or TARGET/HEAD/METRIC, such as emotion/fused/uar, got {shown(monitor)}"
    if len(parts) != 3:
        return [Problem("training.monitor", f"{expected}.")]
    target, head, metric = parts
    kinds = [config.targets[target].kind] if target in config.targets else list(KINDS)
    metrics = list(dict.fromkeys(name for kind in kinds for name in KINDS[kind].metric_names))
    choices = ((target, list(config.targets)), (head, heads), (metric, metrics))
    for kind, (name, known) in zip(("target", "head", "metric"), choices, strict=True):
        if known and name not in known:
            text = f"{expected}: there is no {kind} {name!r}{nearest(name, known)} Known: {', '.join(known)}."
            return [Problem("training.monitor", text)]
    return []


def _with_origin(problem: Problem, overrides: Sequence[Override]) -> Problem:
    """Says of a problem that the command line brought it, where it did."""
    for override in reversed(overrides):
        below = problem.path.startswith((f"{override.path}.", f"{override.path}["))
        if below or problem.path == override.path or override.path.startswith(f"{problem.path}."):
            return problem._replace(text=f"{problem.text} It comes from --set {override.text}")
    return problem

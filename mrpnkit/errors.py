"""What can go wrong, in the words of the person who gave the input.

Every error that mrpnkit raises on purpose is a :class:`MrpnkitError`. Its text says what was given, what was
expected and how to mend it. The kinds also derive from the built-in exception that a caller would expect, so
``except ValueError`` keeps working.
"""

from collections.abc import Sequence
from typing import NamedTuple


class MrpnkitError(Exception):
    """Base of every error that mrpnkit raises on purpose."""


class InputError(MrpnkitError, ValueError):
    """Tensors, labels or samples that do not fit: shapes, lengths, NaN, labels out of range, modality names."""


class CorpusError(MrpnkitError, ValueError):
    """A corpus folder that is missing, incomplete, of another format, or empty."""


class SplitError(MrpnkitError, ValueError):
    """Folds that cannot be made or that would make a result worthless."""


class RegistryError(MrpnkitError, LookupError):
    """A name that is not registered, registered twice, or registered by something that cannot be loaded."""


class Problem(NamedTuple):
    """One thing wrong in a configuration: the dotted path that the user wrote, and what is wrong there."""

    path: str
    text: str


class ConfigError(MrpnkitError, ValueError):
    """A configuration that cannot be used. The text lists everything that is wrong, each with its path.

    Args:
        source: what was read, such as the name of the file.
        problems: what is wrong, one or more.

    >>> print(ConfigError("run.toml", [Problem("folds.count", "expected 3 or more, got 2.")]))
    run.toml: one problem.
      folds.count: expected 3 or more, got 2.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, tuple(problems))
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = "one problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = [f"  {path}: {text}" if path else f"  {text}" for path, text in self.problems]
        return "\n".join([f"{self.source}: {count}.", *lines])


class TrainingError(MrpnkitError, RuntimeError):
    """Training that cannot start or go on: a loss that is not finite, a state that belongs to another run."""


class RunError(MrpnkitError, ValueError):
    """A run's folder that is missing, unfinished, or made by another configuration."""


class DependencyError(MrpnkitError, ImportError):
    """An optional package that a feature needs and that is not installed."""

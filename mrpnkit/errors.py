"""What can go wrong, in the words of the person who gave the input.

Every error that mrpnkit raises on purpose is a :class:`MrpnkitError`. Its text says what was given, what was
expected and how to mend it. The kinds also derive from the built-in exception that a caller would expect, so
``except ValueError`` keeps working.
"""


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


class TrainingError(MrpnkitError, RuntimeError):
    """Training that cannot start or go on: a loss that is not finite, a state that belongs to another run."""


class DependencyError(MrpnkitError, ImportError):
    """An optional package that a feature needs and that is not installed."""

"""The registry of data sets, and what is asked of one."""

from pathlib import Path
from typing import Protocol

from mrpnkit.data.corpus import Corpus
from mrpnkit.registry import DATASETS

__all__ = ["DATASETS", "Dataset"]


class Dataset(Protocol):
    """A source of samples, made from its options, which are keyword-only, typed and plain data.

    Making one reads nothing. :meth:`load` reads and gives a corpus; relative paths begin at ``folder``, which is that
    of the configuration file.
    """

    def load(self, folder: Path) -> Corpus:
        """The samples, as a corpus.

        Raises:
            MrpnkitError: a file or column that is not there, values that do not fit, a package that is missing.
        """
        ...

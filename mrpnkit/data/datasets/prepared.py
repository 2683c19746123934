"""A corpus folder that was prepared before."""

from pathlib import Path

from mrpnkit.data.corpus import Corpus
from mrpnkit.data.datasets.places import existing
from mrpnkit.data.datasets.registry import DATASETS


@DATASETS.register("corpus")
class Prepared:
    """A folder written by ``Corpus.save``, :class:`mrpnkit.data.CorpusWriter` or :func:`prepare`.

    Its arrays are memory-mapped, so it may be larger than memory.

    Args:
        path: the folder.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def load(self, folder: Path) -> Corpus:
        """Opens the corpus."""
        return Corpus.open(existing(folder, self.path, "corpus folder"))

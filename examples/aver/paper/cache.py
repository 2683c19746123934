"""Features of frozen CNNs, computed once over a corpus and kept beside the runs.

Time slices are then cut from the kept features: frames' features as frames, and sound as segments of a second.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from examples.aver.paper.frames import EveryNth
from examples.aver.paper.options import Options, System
from examples.aver.paper.system import Shape, build_extractor, thin, width_of
from mrpnkit import MRPN, Branch, Sequences
from mrpnkit.aggregators import Last
from mrpnkit.data import Corpus
from mrpnkit.errors import InputError
from mrpnkit.extraction import extract_corpus


class Kept(NamedTuple):
    """Where kept features lie, and what made them."""

    folder: Path
    about: dict[str, Any]


def place_of(out: Path, system: System, options: Options, modalities: list[str], source: Path) -> Kept:
    """The folder of the features that these CNNs make: its name is a hash of all that decides them.

    Raises:
        InputError: CNNs that are not frozen, that have no weights, or images that were to be augmented.
    """
    if not system.frozen:
        raise InputError("Features are kept of frozen CNNs only; this system trains its CNNs.")
    if options.image != "none":
        raise InputError(
            f"Frozen CNNs see each frame once, so {options.image} has no effect: give image='none' (on the command "
            "line --options none), or train the CNNs."
        )
    lacking = [name for name in modalities if getattr(system.weights, name) is None]
    if lacking:
        raise InputError(
            f"Frozen CNNs of random weights would tell little: give weights for {' and '.join(lacking)} "
            f"({', '.join(f'--{name}-weights' for name in lacking)}), as `pretrain` makes them."
        )
    about = {
        "source": source.name,
        "modalities": modalities,
        "cnn": system.cnn,
        "size": system.size,
        "frames_per_second": system.frames_per_second,
        "scale": system.scale,
        "bands": system.bands,
        "hop": system.hop,
        "precision": system.precision,
        "hop_seconds": options.hop_seconds,
        "weights": system.weights.fingerprint(),
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return Kept(out / "features" / digest[:12], about)


def keep_features(kept: Kept, source: Path, system: System, options: Options, *, cpu: bool = False) -> Path:
    """Computes the features unless they are there already; returns their folder."""
    if (kept.folder / "corpus.json").is_file():
        return kept.folder
    corpus = Corpus.open(source)
    shape = Shape.of(corpus)
    branches = {}
    for name in kept.about["modalities"]:
        extractor = build_extractor(name, system, options, shape)
        every = thin(system, shape.fps)
        part: nn.Module = nn.Sequential(_Thinned(every), extractor) if name == "video" and every.n > 1 else extractor
        branches[name] = Branch(part, Last(width_of(extractor)))
    kept.folder.parent.mkdir(parents=True, exist_ok=True)
    model = MRPN(branches, {"none": 2}, network="n0")
    return extract_corpus(model, corpus, kept.folder, batch_size=4, about=kept.about, cpu=cpu)


class _Thinned(nn.Module):
    """Every n-th step of each sample, as :class:`EveryNth` takes them of one."""

    def __init__(self, every: EveryNth) -> None:
        super().__init__()
        self.every = every

    def forward(self, inputs: Sequences) -> Sequences:
        return Sequences.of([self.every(sample) for sample in inputs.unbind()])

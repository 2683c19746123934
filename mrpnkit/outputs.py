"""What a network returns: features between branches and scores, scores of fusion and branches, parts of a fusion.

Letters: B batch, C scores of a target.
"""

from typing import NamedTuple

from torch import Tensor

from mrpnkit.feature_norm import Present
from mrpnkit.presence import anything
from mrpnkit.sequences import Sequences


class MRPNFeatures(NamedTuple):
    """What lies between branches and scores, by branch.

    f̂_m (3), g_m (4), which samples have the modality, and the extractor's steps, which some fusions read and most
    do not, so that features made by hand need none.
    """

    normalised: dict[str, Tensor]
    corrected: dict[str, Tensor]
    present: dict[str, Present]
    sequences: dict[str, Sequences] = {}  # noqa: RUF012  never changed


class Part(NamedTuple):
    """Scores (B, C) of something within a fusion, by target, and which samples (B,) it may be judged by."""

    scores: dict[str, Tensor]
    present: Present


class Fused(NamedTuple):
    """What a fusion returns that has parts to be trained beside its scores: both, the parts by name."""

    scores: dict[str, Tensor]
    parts: dict[str, Part]


class MRPNOutput(NamedTuple):
    """All N+1 scores of each target.

    ``fused[target]`` is (B, C); ``branches[branch][target]`` is (B, C), and empty where side scores were not asked
    for or the network has none (N0). ``present[branch]`` is (B,), True where the sample has the modality, or None
    when every sample of the batch has it. ``parts`` is empty for the paper's fusion (see :class:`Fused`).
    """

    fused: dict[str, Tensor]
    branches: dict[str, dict[str, Tensor]]
    present: dict[str, Present]
    parts: dict[str, Part] = {}  # noqa: RUF012  never changed

    @property
    def judged(self) -> Present:
        """(B,): True where the fusion has something to judge by, at least one modality; None where all samples do."""
        return anything(self.present.values())

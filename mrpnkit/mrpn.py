"""The multi-modal Residual Perceptron Network of Chang and Skarbek (2021), for any number of modalities.

Source: Xin Chang and Władysław Skarbek, "Multi-modal Residual Perceptron Network for Audio-Video Emotion
Recognition", arXiv:2107.10742. Numbers in brackets are the paper's equations. This file needs torch, the ragged batch
of :mod:`mrpnkit.sequences`, the FeatureNorm of :mod:`mrpnkit.feature_norm`, :mod:`mrpnkit.presence`, which says who has
which modality, ``names``, ``outputs`` and, for FeatureNorm, ``processes``: it can be read, or lifted out with them.

Where the paper leaves a choice open, the choice and its reason stand in the docstring of the part. One addition runs
through all parts: a sample may lack a modality. ``present`` tells which samples have it; absent rows are zero in every
feature, count in no batch statistic, and their side scores in no loss. With everything present nothing differs.

Letters: B batch, D features of a branch, N branches, C scores of a target.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import FeatureNorm, Present
from mrpnkit.names import check_names, check_targets
from mrpnkit.outputs import Fused, MRPNFeatures, MRPNOutput
from mrpnkit.presence import Fallback, anything, fallen_back, presence
from mrpnkit.sequences import Sequences

Network = Literal["n0", "n1", "n2"]
Absent = Literal["zero", "learned"]


class ResPerceptron(nn.Module):
    """The within-modality residual perceptron: x + FeatureNorm(Sigmoid(Dense(x))) (6).

    Its parts are named ``dense`` and ``norm``. The paper prefers the sigmoid to ReLU here because it bounds the
    residual (section 3.1, observation 6).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, features)
        self.norm = FeatureNorm(features)

    def residual(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch features"]:
        """The second term of (6) alone, zero for absent samples."""
        return cast(Tensor, self.norm(torch.sigmoid(self.dense(x)), present))

    def forward(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch features"]:
        """(B, D) → (B, D), equation (6)."""
        return x + self.residual(x, present)


class Scoring(nn.Module):
    """Features to scores: Dense → ReLU → FeatureNorm → Dense (2).

    The paper names Dropout among its units but gives neither place nor rate: here it stands before each Dense, with
    rate 0 unless told. The width between the two Dense units is not given either: by default it is ``features``.
    """

    def __init__(self, features: int, outputs: int, *, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = hidden or features
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(features, hidden)
        self.norm = FeatureNorm(hidden)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, x: Float[Tensor, "batch features"], present: Present = None) -> Float[Tensor, "batch scores"]:
        """(B, D) → (B, C), equation (2)."""
        hidden = self.norm(torch.relu(self.dense(self.dropout(x))), present)
        return cast(Tensor, self.output(self.dropout(hidden)))


class FusionComponent(nn.Module):
    """Concatenate(g_1 … g_N) → FeatureNorm → Scoring, one Scoring for each target (3, 4; Figure 8).

    Equation (3) and the text normalise after the concatenation, equation (4) omits it: we normalise. What stands for
    an absent modality is put there behind the normalisation, so that no statistic knows of it.

    Args:
        features: widths of g_1 … g_N in the declared order of the branches.
        targets: number of scores of each target.
        hidden: width inside Scoring; by default that of the concatenation.
        dropout: before each Dense of Scoring.
        absent: what stands for a modality that a sample lacks: ``"zero"``, a normalised feature's mean until its bias
            is trained, or ``"learned"``, a vector for each modality that is trained with the network, from zero.
    """

    def __init__(
        self,
        features: Sequence[int],
        targets: Mapping[str, int],
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        absent: Absent = "zero",
    ) -> None:
        super().__init__()
        if absent not in ("zero", "learned"):
            raise InputError(f"FusionComponent: absent is {absent!r}; expected 'zero' or 'learned'.")
        self.features = tuple(features)
        self.norm = FeatureNorm(sum(features))
        self.stand_in = nn.Parameter(torch.zeros(sum(features))) if absent == "learned" else None
        self.scoring = nn.ModuleDict(
            {target: Scoring(sum(features), n, hidden=hidden, dropout=dropout) for target, n in targets.items()}
        )

    def joint(self, features: Sequence[Tensor], present: Sequence[Present]) -> Float[Tensor, "batch joint"]:
        """g = FeatureNorm(Concatenate(g_1 … g_N)) of (3): (B, ΣD)."""
        g = torch.cat(list(features), dim=1)
        if all(mask is None for mask in present):
            whole = cast(Tensor, self.norm(g))
            # Adds nothing but a gradient of zero: processes that train together wait for one of every parameter.
            return whole if self.stand_in is None or not self.training else whole + 0 * self.stand_in.to(whole.dtype)
        everybody = torch.ones(g.shape[0], dtype=torch.bool, device=g.device)
        masks = [everybody if mask is None else mask for mask in present]
        columns = torch.cat(
            [mask[:, None].expand(-1, width) for mask, width in zip(masks, self.features, strict=True)], dim=1
        )
        y = cast(Tensor, self.norm(g, columns))
        return y if self.stand_in is None else torch.where(columns, y, self.stand_in.to(y.dtype))

    def forward(self, features: Sequence[Tensor], present: Sequence[Present]) -> dict[str, Tensor]:
        """N tensors (B, D_m) and N masks (B,) or None → for each target its fused scores (B, C)."""
        g, some = self.joint(features, present), anything(present)
        return {target: scoring(g, some) for target, scoring in self.scoring.items()}


class Branch(nn.Module):
    """One modality: f_m = A_m(F_m(x_m)) (1), an extractor per step and an aggregator over time.

    Args:
        extractor: module from :class:`Sequences` to :class:`Sequences`.
        aggregator: module from :class:`Sequences` to (B, D), with the attribute ``out_features`` = D.
    """

    def __init__(self, extractor: nn.Module, aggregator: nn.Module) -> None:
        super().__init__()
        width = getattr(aggregator, "out_features", None)
        if not isinstance(width, int):
            raise InputError(
                f"Branch: the aggregator {type(aggregator).__name__} has no integer attribute out_features, which "
                "tells how many features it returns for a sample."
            )
        self.extractor, self.aggregator = extractor, aggregator
        self.out_features = width

    def forward(self, inputs: Sequences) -> Float[Tensor, "batch features"]:
        """Ragged batch → f_m (B, D), equation (1)."""
        return cast(Tensor, self.aggregator(self.extractor(inputs)))


class MRPN(nn.Module):
    """The paper's networks N0 (7), N1 (8) and N2, the MRPN itself (9), for N branches and any number of targets.

    ======= ============================= ===================== ==========================
    network fusion reads g_m              side scores            the objective should use
    ======= ============================= ===================== ==========================
    n0      f̂_m                           none                  L_fused
    n1      f̂_m                           from f̂_m              L_fused + Σ L_m
    n2      ResPerceptron(f̂_m)            from f̂_m, not f'_m     L_fused + Σ L_m
    ======= ============================= ===================== ==========================

    The side scores are a single Dense, as equations (8) and (9) define the networks; equation (3) would give them a
    whole Scoring, which ``side="scoring"`` builds. At test time the paper runs the central branch only; here the
    side scores stay callable, since they tell what each modality alone would say. They are computed in training, and
    in evaluation when ``forward`` is asked for them.

    Args:
        branches: a :class:`Branch` for each modality, 1 or more; their order is the order of concatenation.
        targets: number of scores for each target, such as ``{"emotion": 8}``.
        network: ``"n0"``, ``"n1"`` or ``"n2"``.
        hidden: width inside the Scoring units; by default that of what they read.
        dropout: before each Dense of Scoring.
        side: what computes the side scores, ``"dense"`` or ``"scoring"``.
        absent: what stands for an absent modality in the paper's fusion: see :class:`FusionComponent`.
        fallback: whose scores are given as the fused ones, in evaluation, for a sample that lacks modalities:
            ``"never"`` anybody's but the fusion's; ``"single"``: the branch's, where only one modality is left;
            ``"incomplete"``: the mean of the scores of the branches that are left, wherever one is missing. N0 has no
            scores to fall back to.
        fusion: another fusion component in place of the paper's, built with a width, dropout and stand-ins of its own;
            called as :class:`FusionComponent` is. Where its ``reads`` names ``"sequences"`` or ``"sides"``, it
            is given these too, as a further list each: the extractors' steps, and the branches' side scores by target.

    Raises:
        InputError: no branches, targets or scores, a name that torch refuses for a module, an unknown network, a fusion
            that reads side scores in N0, which has none.

    >>> from mrpnkit import Sequences
    >>> from mrpnkit.aggregators import Last
    >>> from mrpnkit.extractors import Linear
    >>> branches = {name: Branch(Linear(5, 4), Last(4)) for name in ("audio", "video")}
    >>> model = MRPN(branches, {"emotion": 8}, network="n2").eval()
    >>> batch = {name: Sequences.vectors(torch.zeros(3, 5)) for name in branches}
    >>> tuple(model(batch).fused["emotion"].shape)
    (3, 8)
    """

    def __init__(
        self,
        branches: Mapping[str, Branch],
        targets: Mapping[str, int],
        *,
        network: Network = "n2",
        hidden: int | None = None,
        dropout: float = 0.0,
        side: Literal["dense", "scoring"] = "dense",
        absent: Absent = "zero",
        fallback: Fallback = "never",
        fusion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if network not in ("n0", "n1", "n2"):
            raise InputError(f"MRPN: there is no network {network!r}; expected 'n0', 'n1' or 'n2'.")
        if side not in ("dense", "scoring"):
            raise InputError(f"MRPN: side scores cannot be computed by {side!r}; expected 'dense' or 'scoring'.")
        if fallback not in ("never", "single", "incomplete"):
            raise InputError(f"MRPN: fallback is {fallback!r}; expected 'never', 'single' or 'incomplete'.")
        if fallback != "never" and network == "n0":
            raise InputError(f"MRPN: n0 has no side scores, so that it cannot fall back to them ({fallback!r}).")
        check_names(branches, "branch")
        check_targets(targets)
        self.network, self.fallback = network, fallback
        self.targets = dict(targets)
        self.branches = nn.ModuleDict(branches)
        widths = {name: branch.out_features for name, branch in branches.items()}
        self.norms = nn.ModuleDict({name: FeatureNorm(width) for name, width in widths.items()})
        self.perceptrons = nn.ModuleDict(
            {name: ResPerceptron(width) for name, width in widths.items()} if network == "n2" else {}
        )
        if fusion is None:
            fusion = FusionComponent(list(widths.values()), targets, hidden=hidden, dropout=dropout, absent=absent)
        self.fusion = fusion
        self.reads = tuple(getattr(fusion, "reads", ()))
        if network == "n0" and "sides" in self.reads:
            raise InputError(
                f"MRPN: {type(fusion).__name__} reads the branches' side scores, and N0 has none; choose 'n1' or 'n2'."
            )

        side_score: Callable[[int, int], nn.Module] = nn.Linear
        if side == "scoring":
            side_score = partial(Scoring, hidden=hidden, dropout=dropout)
        self.sides = nn.ModuleDict(
            {
                name: nn.ModuleDict({target: side_score(width, n) for target, n in targets.items()})
                for name, width in (widths if network != "n0" else {}).items()
            }
        )

    def features(self, inputs: Mapping[str, Sequences]) -> MRPNFeatures:
        """f̂_m and g_m of every branch, each (B, D_m).

        Raises:
            InputError: as :func:`mrpnkit.presence.presence` says of modalities, batches and lengths that do not fit.
        """
        present = presence(list(self.branches), inputs)
        normalised, corrected, sequences = {}, {}, {}
        for name, module in self.branches.items():
            branch = cast(Branch, module)
            try:
                sequences[name] = branch.extractor(inputs[name])  # F_m(x_m)
                f = branch.aggregator(sequences[name])  # (1)
            except InputError as error:
                raise InputError(f"Branch {name!r}: {error}") from error
            normalised[name] = self.norms[name](f, present[name])  # f̂_m of (3)
            if name in self.perceptrons:
                corrected[name] = self.perceptrons[name](normalised[name], present[name])  # g_m = f'_m (6, 9)
            else:
                corrected[name] = normalised[name]  # g_m = f̂_m (7, 8)
        return MRPNFeatures(normalised, corrected, present, sequences)

    def score(self, features: MRPNFeatures, *, sides: bool) -> MRPNOutput:
        """From features to the fused scores (7, 8, 9) and, where asked for, the side scores (8, 9)."""
        names = list(self.branches)
        read = [[features.corrected[name] for name in names], [features.present[name] for name in names]]
        asked = cast("Mapping[str, nn.ModuleDict]", self.sides) if sides or self._needs_sides else {}
        scores = {
            name: {t: _side(head, features.normalised[name], features.present[name]) for t, head in heads.items()}
            for name, heads in asked.items()
        }
        further: dict[str, Mapping[str, object]] = {"sequences": features.sequences, "sides": scores}
        result = self.fusion(*read, *([further[what][name] for name in names] for what in self.reads))
        fused, parts = result if isinstance(result, Fused) else (result, {})
        if self.fallback != "never" and not self.training:
            fused = fallen_back(fused, scores, features.present, self.fallback)
        return MRPNOutput(fused, scores if sides else {}, features.present, parts)

    def forward(self, inputs: Mapping[str, Sequences], *, sides: bool | None = None) -> MRPNOutput:
        """Ragged batches by modality → all scores. ``sides`` defaults to True in training, False in evaluation."""
        return self.score(self.features(inputs), sides=self.training if sides is None else sides)

    @property
    def _needs_sides(self) -> bool:
        return "sides" in self.reads or (self.fallback != "never" and not self.training)


def _side(head: nn.Module, normalised: Tensor, present: Present) -> Tensor:
    return cast(Tensor, head(normalised, present) if isinstance(head, Scoring) else head(normalised))

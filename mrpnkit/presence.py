"""Which samples of a batch have which modality, and who speaks for a sample that lacks some.

Letters: B batch, N branches, C scores of a target.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.sequences import Sequences

Fallback = Literal["never", "single", "incomplete"]
"""When the branches' scores stand in for the fused ones: see :func:`fallen_back`."""


def presence(branches: Sequence[str], inputs: Mapping[str, Sequences]) -> dict[str, Present]:
    """(B,) by branch, True where the sample has the modality; None where all samples of the batch have it.

    Raises:
        InputError: a modality that is missing, unknown or not given as Sequences, batches of different sizes, lengths
            that do not fit.
    """
    if not isinstance(inputs, Mapping):
        raise InputError(
            f"MRPN: the batch is a {type(inputs).__name__}; expected Sequences by modality, such as a dict."
        )
    if inputs.keys() != dict.fromkeys(branches).keys():
        raise InputError(_wrong_names(branches, list(inputs)))
    for name, sequences in inputs.items():
        if not isinstance(sequences, Sequences):
            raise InputError(
                f"MRPN: the modality {name!r} is given as {type(sequences).__name__}; expected Sequences. A vector a "
                "sample is Sequences.vectors(x), a list of sequences Sequences.of(list), a padded grid "
                "Sequences.from_padded(values, lengths)."
            )
    sizes = {name: sequences.lengths.shape[0] for name, sequences in inputs.items()}
    if len(set(sizes.values())) != 1:
        raise InputError(f"MRPN: the modalities have batches of different sizes: {sizes}.")
    for name, sequences in inputs.items():
        if sequences.lengths.device.type == "cpu":
            sequences.check(name)
    masks = {name: inputs[name].lengths > 0 for name in branches}
    complete = torch.stack(list(masks.values())).all(dim=1).tolist()
    return {name: None if full else masks[name] for name, full in zip(masks, complete, strict=True)}


def anything(present: Collection[Present]) -> Present:
    """(B,): True for the samples that have at least one of the modalities; None where all have."""
    masks = [mask for mask in present if mask is not None]
    if not masks or len(masks) < len(present):
        return None
    some = torch.stack(masks).any(dim=0)
    return None if bool(some.all()) else some


def fallen_back(
    fused: Mapping[str, Tensor],
    scores: Mapping[str, Mapping[str, Tensor]],
    present: Mapping[str, Present],
    rule: Fallback,
) -> dict[str, Tensor]:
    """Fused scores, in their place the mean score of the branches that are left where the rule says so.

    Args:
        fused: (B, C) by target.
        scores: (B, C) by branch and target.
        present: which samples have which modality.
        rule: ``"single"``: for a sample with a single modality of several; ``"incomplete"``: for one that lacks any;
            ``"never"``: for none.
    """
    masks = [mask for mask in present.values() if mask is not None]
    if not masks or rule == "never":
        return dict(fused)
    here = torch.stack([torch.ones_like(masks[0]) if mask is None else mask for mask in present.values()])
    left = here.sum(dim=0)
    falls = (left > 0) & (left < len(here))
    if rule == "single":
        falls &= left == 1
    share = (here / left.clamp(min=1))[:, :, None]
    return {
        target: torch.where(
            falls[:, None], (share * torch.stack([heads[target] for heads in scores.values()])).sum(dim=0), values
        ).to(values.dtype)
        for target, values in fused.items()
    }


def _wrong_names(expected: Sequence[str], given: Sequence[str]) -> str:
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    parts = ["MRPN: the batch does not have the modalities of the model."]
    if missing:
        parts.append(f"Missing: {', '.join(missing)} (for a modality that no sample has, give Sequences.absent).")
    if unknown:
        parts.append(f"Unknown: {', '.join(unknown)}.")
    return " ".join([*parts, f"The model has: {', '.join(expected)}."])

"""Which class each modality of a synthetic clip shows: its own, another's, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from examples.aver.clips import EMOTIONS
from mrpnkit.errors import InputError

MODALITIES = ("video", "audio")

Shares = Mapping[str, Mapping[int | str, float]]
"""For a modality, the share of the clips of a class (by name or label), 0 to 1; what is not named is 0."""


class Shown(NamedTuple):
    """What a modality of a clip shows: the class ``emotion`` with ``strength`` 1, or 0 where it shows nothing."""

    emotion: str
    strength: float

    @property
    def kind(self) -> str:
        """What to write in a table: the emotion, or ``"none"``."""
        return self.emotion if self.strength else "none"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How the modalities are spoilt on purpose.

    Args:
        misleading: share of the clips of a class whose modality shows another class, drawn evenly from all others.
        uninformative: share whose modality fades to the neutral look or sound, whatever the class.
        shared: for a modality, groups of classes that look or sound alike: all show the first of their group, so that
            only the other modality tells them apart.

    >>> evidence = Evidence(misleading={"audio": {"happy": 1.0}}, shared={"video": [("neutral", "calm")]})
    >>> rng = np.random.default_rng(0)
    >>> evidence.shown("calm", "video", rng).emotion, evidence.shown("calm", "audio", rng).emotion
    ('neutral', 'calm')
    >>> evidence.shown("happy", "audio", rng).emotion != "happy"
    True

    Raises:
        InputError: unknown modalities or classes, shares out of range, a class in two groups.
    """

    misleading: Shares = field(default_factory=dict)
    uninformative: Shares = field(default_factory=dict)
    shared: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, mapping in (
            ("misleading", self.misleading),
            ("uninformative", self.uninformative),
            ("shared", self.shared),
        ):
            unknown = [modality for modality in mapping if modality not in MODALITIES]
            if unknown:
                raise InputError(
                    f"Evidence: {name} names the modality {unknown[0]!r}; expected {' or '.join(MODALITIES)}."
                )
        for modality in MODALITIES:
            for emotion in EMOTIONS:
                shares = [_share(kind, modality, emotion) for kind in (self.misleading, self.uninformative)]
                if min(shares) < 0 or not sum(shares) <= 1:
                    raise InputError(
                        f"Evidence: of the {modality} of {emotion!r}, a share of {shares[0]} is misleading and "
                        f"{shares[1]} "
                        "uninformative; expected shares of 0 or more that add up to 1 at most."
                    )
            members = [emotion for group in self.shared.get(modality, ()) for emotion in group]
            twice = [emotion for emotion in members if members.count(emotion) > 1]
            strange = [emotion for emotion in members if emotion not in EMOTIONS]
            if twice or strange:
                raise InputError(
                    f"Evidence: the groups that share their {modality} name {(strange or twice)[0]!r}, which is "
                    f"{'no emotion' if strange else 'in two of them'}; expected disjoint groups of "
                    f"{', '.join(EMOTIONS)}."
                )
        for name, shares_of in (("misleading", self.misleading), ("uninformative", self.uninformative)):
            for classes in shares_of.values():
                for key in classes:
                    if key not in EMOTIONS and key not in range(len(EMOTIONS)):
                        raise InputError(
                            f"Evidence: {name} names the class {key!r}; expected a label from 0 to "
                            f"{len(EMOTIONS) - 1} or one "
                            f"of {', '.join(EMOTIONS)}."
                        )

    def shown(self, emotion: str, modality: str, rng: np.random.Generator) -> Shown:
        """What this modality of a clip of that class shows; always draws the same number of times."""
        chance, other = rng.random(), int(rng.integers(1, len(EMOTIONS)))
        misleading = _share(self.misleading, modality, emotion)
        if chance < misleading:
            shown = Shown(EMOTIONS[(EMOTIONS.index(emotion) + other) % len(EMOTIONS)], 1.0)
        elif chance < misleading + _share(self.uninformative, modality, emotion):
            return Shown("neutral", 0.0)
        else:
            shown = Shown(emotion, 1.0)
        for group in self.shared.get(modality, ()):
            if shown.emotion in group:
                return Shown(group[0], 1.0)
        return shown


def _share(shares: Shares, modality: str, emotion: str) -> float:
    classes = shares.get(modality, {})
    return float(classes.get(emotion, classes.get(EMOTIONS.index(emotion), 0.0)))

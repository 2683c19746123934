"""Groups measured from unlabelled samples, apart from any population, so that one file serves every network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data.adaptation.moments import Moments, moments_of
from mrpnkit.data.adaptation.storage import Archive, pack, read_archive, unpack, write_archive
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.wording import nearest


class EnrolledGroup(NamedTuple):
    """What was measured of a group: the condition that all samples were of (``""``: of every kind), and moments."""

    condition: str
    moments: dict[str, Moments]

    @property
    def samples(self) -> int:
        """How many were measured, in the modality of which there were most."""
        return max(one.samples for one in self.moments.values())


class Enrolment:
    """Groups that were measured from unlabelled samples; how far they are shrunk is up to the population that reads it.

    Moments are those of the samples as they are. Each network of a run has a population of its own, that of its
    training part, and :meth:`Adaptation.with_enrolled <mrpnkit.data.adaptation.Adaptation.with_enrolled>` brings the
    two together.

    Args:
        groups: by name.

    Raises:
        InputError: a group without a name, or of which nothing was measured.
    """

    def __init__(self, groups: Mapping[str, EnrolledGroup] | None = None) -> None:
        self.groups = dict(groups or {})
        for name, group in self.groups.items():
            if not name or not group.moments:
                raise InputError(f"Enrolment: the group {name!r} needs a name, and at least one sample with steps.")

    def __repr__(self) -> str:
        return f"Enrolment({', '.join(f'{name}: {one.samples} samples' for name, one in self.groups.items())})"

    def enrol(
        self, group: str, samples: Mapping[str, Sequence[NDArray[np.generic]]], *, condition: str = ""
    ) -> "Enrolment":
        """The same with a group measured from samples: of each modality sequences (T, ...), in place of an older one.

        >>> people = Enrolment().enrol("anna", {"voice": [np.full((4, 2), 3.0), np.full((2, 2), 5.0)]})
        >>> people, people.groups["anna"].moments["voice"].mean.tolist()
        (Enrolment(anna: 2 samples), [4.0, 4.0])
        """
        return Enrolment({**self.groups, group: EnrolledGroup(condition, measured(samples))})

    def joined(self, other: "Enrolment") -> "Enrolment":
        """The groups of both, those of the other in place of older ones."""
        return Enrolment({**self.groups, **other.groups})

    def check(self, group: str) -> str:
        """Returns the name of a group that was enrolled.

        Raises:
            InputError: it was not.
        """
        if group not in self.groups:
            known = ", ".join(self.groups) or "none"
            raise InputError(f"There is no enrolled group {group!r}{nearest(group, self.groups)} Enrolled: {known}.")
        return group

    def save(self, path: str | Path) -> Path:
        """Writes the groups as ``.npz`` of plain numbers and names, whole or not at all. Returns the path."""
        names = list(dict.fromkeys(name for group in self.groups.values() for name in group.moments))
        content = {"modalities": np.asarray(names, dtype=np.str_)}
        content["condition_of_group"] = np.asarray([one.condition for one in self.groups.values()], dtype=np.str_)
        content |= pack("groups", {name: one.moments for name, one in self.groups.items()})
        return write_archive(path, Archive("enrolment", content))

    @classmethod
    def load(cls, path: str | Path) -> "Enrolment":
        """Reads what :meth:`save` wrote; nothing in it is executed.

        Raises:
            CorpusError: no such file, another one, or one that is damaged.
        """

        def make(content: Mapping[str, NDArray[np.generic]]) -> "Enrolment":
            names = [str(name) for name in content["modalities"].tolist()]
            groups = unpack(content, "groups", Moments, names)
            conditions = [str(condition) for condition in content["condition_of_group"].tolist()]
            if len(conditions) != len(groups):
                raise CorpusError(f"{len(conditions)} conditions of {len(groups)} groups")
            pairs = zip(groups.items(), conditions, strict=True)
            return cls({name: EnrolledGroup(condition, moments) for (name, moments), condition in pairs})

        return read_archive(path, "enrolment", make)


def measured(samples: Mapping[str, Sequence[NDArray[np.generic]]]) -> dict[str, Moments]:
    """Moments of each modality of which there are steps."""
    found = {name: moments_of(sequences, modality=name) for name, sequences in samples.items()}
    return {name: moments for name, moments in found.items() if moments is not None}

"""A data set that is drawn, not read: several people in everyday activities, a sensor on wrist and ankle."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpnkit.data import Corpus
from mrpnkit.errors import InputError
from mrpnkit_inertial.motion import ACTIVITIES, CHANNELS, RATE, SENSORS, draw_person, draw_recording


class SyntheticActivities:
    """Recordings of walking, running, sitting, stairs and cycling, made by :mod:`mrpnkit_inertial.motion`.

    The corpus has the modalities ``wrist`` and ``ankle``, steps of six channels at 50 Hz, the target ``activity`` and
    the group ``person``. The two sensors start and stop on their own, so their lengths differ. The same arguments give
    the same corpus.

    Args:
        people: how many.
        recordings: of each activity by each person.
        shortest: seconds that a recording lasts at least.
        longest: seconds that it lasts at most.
        missing: share of recordings for which one of the two sensors, drawn by lot, recorded nothing.
        seed: of everything drawn.

    Raises:
        InputError: numbers below 1, seconds or a share that make no sense.

    >>> corpus = SyntheticActivities(people=2, recordings=1).load()
    >>> len(corpus), list(corpus.modalities), corpus.classes["activity"]
    (10, ['wrist', 'ankle'], ['cycling', 'running', 'sitting', 'stairs', 'walking'])
    """

    def __init__(
        self,
        *,
        people: int = 8,
        recordings: int = 6,
        shortest: float = 3.0,
        longest: float = 6.0,
        missing: float = 0.0,
        seed: int = 0,
    ) -> None:
        if people < 1 or recordings < 1:
            raise InputError(f"SyntheticActivities: people={people} and recordings={recordings} must be 1 or more.")
        if not 1.0 <= shortest <= longest:
            raise InputError(
                f"SyntheticActivities: shortest={shortest} and longest={longest} must be in order, 1 second or more."
            )
        if not 0.0 <= missing <= 1.0:
            raise InputError(f"SyntheticActivities: missing must be a share from 0 to 1, got {missing}.")
        self.people, self.recordings, self.missing, self.seed = people, recordings, missing, seed
        self.shortest, self.longest = shortest, longest

    def load(self, folder: Path | None = None) -> Corpus:
        """Draws the corpus; nothing is read from the folder of the configuration."""
        steps: dict[str, list[NDArray[np.float32]]] = {sensor: [] for sensor in SENSORS}
        ids, labels, persons = [], [], []
        for number in range(1, self.people + 1):
            person = draw_person(np.random.default_rng((self.seed, number)))
            for place, activity in enumerate(ACTIVITIES):
                for take in range(1, self.recordings + 1):
                    generator = np.random.default_rng((self.seed, number, place, take))
                    lacks = SENSORS[generator.integers(2)] if generator.random() < self.missing else None
                    for sensor in SENSORS:
                        seconds = generator.uniform(self.shortest, self.longest)
                        drawn = draw_recording(activity, person, sensor, seconds=seconds, generator=generator)
                        steps[sensor].append(drawn if sensor != lacks else np.empty((0, len(CHANNELS)), np.float32))
                    ids.append(f"p{number:02}_{activity}_{take}")
                    labels.append(activity)
                    persons.append(f"p{number:02}")
        return Corpus.from_arrays(
            dict(steps),
            {"activity": labels},
            ids=ids,
            groups={"person": persons},
            rates=dict.fromkeys(SENSORS, RATE),
        )

"""What is measured of a group and of the population: means and variances, every sample with the same weight.

Letters: D numbers of a flattened step, n samples of a group.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from mrpnkit.arrays import Floats
from mrpnkit.errors import InputError

Vector = Float64[Floats, "features"]
SampleMoments = tuple[Vector, Vector]
"""Mean and mean square (D,) of the steps of one sample."""


class Moments(NamedTuple):
    """Of a group in one modality, every sample with the same weight.

    ``mean`` and ``variance`` (D,) are over steps; ``spread`` (D,) is the variance of the means of samples (n − 1), 0
    where there is one sample. ``variance`` is the mean variance within a sample plus ``spread``: for independent steps
    that is their variance without bias, however few samples there are.
    """

    samples: int
    mean: Vector
    variance: Vector
    spread: Vector


class Population(NamedTuple):
    """What groups are like on average, (D,) each.

    The mean over groups; the variance of steps within a group; the variance of the means of samples within a group;
    and the variance of the true means of groups, which is what there is to adapt to.
    """

    mean: Vector
    variance: Vector
    within: Vector
    between: Vector


def moments_of(sequences: Iterable[NDArray[np.generic]], *, modality: str) -> Moments | None:
    """Moments of the sequences (T, ...) of one group; those without steps do not count. None where none is left.

    Args:
        sequences: read one after another; only their moments are kept.
        modality: what an error calls it.

    Raises:
        InputError: steps of several widths, NaN or infinity.
    """
    parts = [sample_moments(np.asarray(steps)) for steps in sequences if len(steps)]
    widths = sorted({len(mean) for mean, _ in parts})
    if len(widths) > 1:
        raise InputError(f"Steps of {modality!r} have different widths, {widths[0]} and {widths[1]}; give one width.")
    if not all(np.isfinite(square).all() for _, square in parts):
        raise InputError(f"Steps of {modality!r} have NaN or infinity; leave such samples out, or mend them.")
    return joined(parts) if parts else None


def sample_moments(steps: NDArray[np.generic]) -> SampleMoments:
    """Mean and mean square (D,) of the steps (T, ...) of one sample, T ≥ 1."""
    flat = np.asarray(steps, dtype=np.float64).reshape(len(steps), -1)
    return flat.mean(axis=0), (flat**2).mean(axis=0)


def joined(samples: Sequence[SampleMoments]) -> Moments:
    """Of a group, from the moments of its samples, one or more."""
    means = np.stack([mean for mean, _ in samples])
    squares = np.stack([square for _, square in samples])
    count, mean = len(samples), means.mean(axis=0)
    spread = means.var(axis=0, ddof=1) if count > 1 else np.zeros_like(mean)
    variance = np.maximum(squares.mean(axis=0) - mean**2, 0.0)  # within samples, and (n − 1) / n of their spread
    return Moments(count, mean, variance + spread / count, spread)


def population_of(groups: Sequence[Moments]) -> Population:
    """Unweighted over groups, two or more; ``between`` is the variance of their means less what chance adds to it."""
    means = np.stack([one.mean for one in groups])
    several = [one for one in groups if one.samples > 1] or groups
    within = np.mean([one.spread for one in several], axis=0)
    chance = within * float(np.mean([1 / one.samples for one in groups]))
    between = np.maximum(means.var(axis=0, ddof=1) - chance, 0.0)
    return Population(means.mean(axis=0), np.mean([one.variance for one in groups], axis=0), within, between)

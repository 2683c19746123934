"""Features laid out in the plane, so that one sees which classes a branch tells apart."""

import importlib.util
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from mrpnkit.arrays import Floats


class Embedding(NamedTuple):
    """Of n samples: their classes, two principal components, how much of the variance those have, and t-SNE.

    ``tsne`` is None where scikit-learn is not installed, or where there are too few samples for it.
    """

    labels: NDArray[np.int64]
    pca: Float64[Floats, "samples 2"]
    explained: float
    tsne: Float64[Floats, "samples 2"] | None


def embed(features: Float64[Floats, "samples features"], labels: NDArray[np.int64]) -> Embedding:
    """Principal components by singular values, and t-SNE (van der Maaten and Hinton 2008) that starts from them.

    Both are the same in every run. Distances between clusters of t-SNE mean little; that there are clusters does.
    """
    centred = features - features.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    places = left[:, :2] * values[:2]
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    total = float((values**2).sum())
    explained = float((values[:2] ** 2).sum() / total) if total else 1.0
    return Embedding(labels, places, explained, _tsne(centred, places))


def _tsne(features: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if len(features) < 30 or importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.manifold import TSNE

    spread = float(start[:, 0].std())
    begin = start / spread * 1e-4 if spread else start
    perplexity = min(30.0, (len(features) - 1) / 4)
    found: NDArray[np.float64] = TSNE(2, perplexity=perplexity, init=begin, random_state=0).fit_transform(features)
    return found

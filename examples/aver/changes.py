"""Augmentation of features at load time: a mirrored face, a longer or shorter vocal tract, a louder or softer voice.

Each is called with the steps of one sample, (T, D), and a generator, and returns steps of the same shape.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from examples.aver.landmarks import LandmarkFeatures
from examples.aver.speech import SpeechFeatures
from mrpnkit.errors import InputError


class MirrorFace:
    """Left and right exchanged in a share of the samples.

    Args:
        features: what the columns are.
        share: probability that a sample is mirrored.
    """

    def __init__(self, features: LandmarkFeatures, *, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"MirrorFace: share is {share}; expected a probability, 0 to 1.")
        self.share = share
        self._index = torch.from_numpy(features.mirror_index)
        self._sign = torch.from_numpy(features.mirror_sign)

    def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
        """(T, D) → (T, D)."""
        if generator.random() >= self.share:
            return steps
        return steps[:, self._index] * self._sign.to(steps.dtype)


class ChangeVoice:
    """Mel bands stretched along the frequency, as another vocal tract would, and another loudness.

    The value of band b is read at b · (1 + w) between its neighbours, w drawn evenly from ±``reach``: vocal tract
    length perturbation (Jaitly and Hinton, 2013) done on finished bands. Loudness adds a constant to the logarithms of
    energies, so it acts on ``log_mel`` and on the energy of ``prosody``, and on neither ``deviation`` nor ``delta``.

    Args:
        features: what the columns are; their log-mel energies must keep the level for a change of loudness to mean
            anything.
        reach: largest stretch, as a share of the frequency; 0 for none.
        decibels: standard deviation of the loudness; 0 for none.
    """

    def __init__(self, features: SpeechFeatures, *, reach: float = 0.08, decibels: float = 0.0) -> None:
        if not 0 <= reach < 1 or not decibels >= 0:
            raise InputError(
                f"ChangeVoice: reach is {reach} and decibels {decibels}; expected a share below 1 and 0 or more "
                "decibels."
            )
        if decibels and features.mel.level == "standardised":
            raise InputError(
                "ChangeVoice: the level of the log-mel energies is standardised, so a change of loudness would be none "
                "that a clip can have; prepare them with LogMel(level='kept'), or leave decibels at 0."
            )
        self.reach, self.decibels, self.bands = reach, decibels, features.mel.width
        bands: tuple[Literal["log_mel", "deviation", "delta"], ...] = ("log_mel", "deviation", "delta")
        self._warped = [features.columns(block) for block in bands if block in features.blocks]
        self._louder = [features.columns("log_mel")] if "log_mel" in features.blocks else []
        if "prosody" in features.blocks:
            energy = features.columns("prosody").start
            self._louder.append(slice(energy, energy + 1))

    def __call__(self, steps: Tensor, generator: np.random.Generator) -> Tensor:
        """(T, D) → (T, D)."""
        stretch = generator.uniform(-self.reach, self.reach) if self.reach else 0.0
        gain = generator.normal(0, self.decibels) * np.log(10) / 10 if self.decibels else 0.0
        changed = steps.clone()
        if stretch:
            place = (torch.arange(self.bands) * (1 + stretch)).clamp(0, self.bands - 1)
            below = place.floor().long()
            above = (below + 1).clamp(max=self.bands - 1)
            weight = (place - below).to(steps.dtype)
            for columns in self._warped:
                bands = steps[:, columns]
                changed[:, columns] = bands[:, below] * (1 - weight) + bands[:, above] * weight
        for columns in self._louder if gain else ():
            changed[:, columns] += gain
        return changed

"""Augmentation of finished features against doing the same to what they come from."""

import numpy as np
import pytest
import torch

from examples.aver.changes import ChangeVoice, MirrorFace
from examples.aver.landmarks import LandmarkFeatures, mirror_landmarks
from examples.aver.speech import LogMel, SpeechFeatures
from mrpnkit.errors import InputError
from tests.aver.test_landmarks import face

KEPT = SpeechFeatures(blocks=("prosody", "log_mel", "delta"), mel=LogMel(level="kept", floor=1e-12))


def test_mirrored_features_are_those_of_the_mirrored_picture() -> None:
    features = LandmarkFeatures(blocks=("head", "shape", "velocity"))
    steps = torch.from_numpy(features(face(1), 30.0))
    mirrored = MirrorFace(features, share=1.0)(steps, np.random.default_rng(0))
    np.testing.assert_allclose(mirrored, features(mirror_landmarks(face(1), width=1280), 30.0), atol=1e-4)
    assert MirrorFace(features, share=0.0)(steps, np.random.default_rng(0)) is steps
    half, rng = MirrorFace(features), np.random.default_rng(0)
    assert 60 < sum(not torch.equal(half(steps, rng), steps) for _ in range(200)) < 140


def test_louder_features_are_those_of_the_louder_wave() -> None:
    wave = np.random.default_rng(1).normal(size=16000) * 0.1
    steps = torch.from_numpy(KEPT(wave))
    gain = np.random.default_rng(2).normal(0, 6.0)
    got = ChangeVoice(KEPT, reach=0.0, decibels=6.0)(steps, np.random.default_rng(2))
    np.testing.assert_allclose(got, KEPT(wave * 10 ** (gain / 20)), atol=2e-3)
    assert not torch.equal(got, steps)


def test_bands_are_stretched_as_numpy_interpolates() -> None:
    steps = torch.from_numpy(KEPT(np.random.default_rng(3).normal(size=4000)))
    stretch = np.random.default_rng(4).uniform(-0.1, 0.1)
    got = ChangeVoice(KEPT, reach=0.1)(steps, np.random.default_rng(4))
    for start in (7, 71):
        bands = steps[:, start : start + 64].numpy()
        place = np.clip(np.arange(64) * (1 + stretch), 0, 63)
        expected = [np.interp(place, np.arange(64), frame) for frame in bands]
        np.testing.assert_allclose(got[:, start : start + 64], expected, rtol=1e-4, atol=1e-3)
    assert torch.equal(got[:, :7], steps[:, :7])


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"share is 2; expected a probability"):
        MirrorFace(LandmarkFeatures(), share=2)
    with pytest.raises(InputError, match=r"reach is 1.5 and decibels 0.0"):
        ChangeVoice(KEPT, reach=1.5)
    with pytest.raises(InputError, match=r"prepare them with LogMel\(level='kept'\), or leave decibels at 0"):
        ChangeVoice(SpeechFeatures(), decibels=3.0)
    with pytest.raises(InputError, match=r"no block 'deviation' among prosody, log_mel, delta"):
        KEPT.columns("deviation")

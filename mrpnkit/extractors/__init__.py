"""Extractors F_m: what is computed from the steps of a modality, before anything is summed up over time.

An extractor is a module from :class:`~mrpnkit.Sequences` to :class:`~mrpnkit.Sequences`. Its constructor takes the
width of a step, then its configuration; its attribute ``out_features`` is the width of the steps that it returns.
It may change the lengths. :func:`mrpnkit.testing.check_extractor` checks all that is asked of one.
"""

from mrpnkit.extractors.audio_hf import AudioHF
from mrpnkit.extractors.backbone import suited_precision
from mrpnkit.extractors.conv1d import Conv1d, RaggedConv1d
from mrpnkit.extractors.frames_timm import FramesTimm
from mrpnkit.extractors.identity import Identity
from mrpnkit.extractors.linear import Linear
from mrpnkit.extractors.mlp import MLP
from mrpnkit.extractors.normalise import Normalise
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.spectrogram import SpectrogramSegments
from mrpnkit.extractors.spectrogram_timm import SpectrogramTimm
from mrpnkit.extractors.speech_torchaudio import SpeechTorchaudio
from mrpnkit.extractors.text_hf import TextHF
from mrpnkit.extractors.video_torchvision import VideoTorchvision
from mrpnkit.extractors.vision_hf import VisionHF

__all__ = [
    "EXTRACTORS",
    "MLP",
    "AudioHF",
    "Conv1d",
    "FramesTimm",
    "Identity",
    "Linear",
    "Normalise",
    "RaggedConv1d",
    "SpectrogramSegments",
    "SpectrogramTimm",
    "SpeechTorchaudio",
    "TextHF",
    "VideoTorchvision",
    "VisionHF",
    "suited_precision",
]

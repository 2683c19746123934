"""Which features of faces and voices the system uses."""

from examples.aver.landmarks import LandmarkFeatures
from examples.aver.speech import LogMel, SpeechFeatures

VIDEO = LandmarkFeatures(blocks=("shape", "head", "tilt"))
AUDIO = SpeechFeatures(blocks=("log_mel", "prosody"), mel=LogMel(level="kept"), trim_decibels=30.0)

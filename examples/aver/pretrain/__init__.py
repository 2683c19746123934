"""Initial weights of the two networks: the visual one from FER-2013, the one for speech from speaker recognition."""

"""Audio-video emotion recognition: clips of faces and speech, their features, and the corpora they come from."""

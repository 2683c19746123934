"""A stretch of a recording, for which no more of the file is read than its codec asks for."""

from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import SPEECH_RATE
from examples.aver.movies.sound import read_sound
from examples.aver.pretrain.utterances import DECODED_BY_LIBSNDFILE, read_recording
from mrpnkit.errors import CorpusError

SOUGHT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""What libsndfile calls the codecs in which it finds a sample exactly; FLAC is PCM to it.

Others, such as Opus, decode a frame with the help of those before it; and in Ogg Vorbis it finds another sample.
"""
MARGIN = 0.05
"""Seconds on both sides that the resampler is given beyond a stretch; its filter is shorter."""


def read_stretch(path: Path, first: int, last: int, *, whole_only: bool = False) -> NDArray[np.float32]:
    """Samples ``first`` to ``last`` of those that :func:`read_recording` gives, up to rounding.

    WAVE and FLAC are sought; other codecs are decoded from the beginning to where the stretch ends.

    Args:
        path: of the recording.
        first: sample at 16 kHz, 0 or more.
        last: the sample after the stretch, at most their number.
        whole_only: something was odd when the whole was read, so that a part may be read differently, as where
            channels cancel each other: read the whole.

    Raises:
        CorpusError: a file that cannot be decoded, or ends before the stretch does.
    """
    if whole_only:
        found = read_recording(path).samples[first:last]
    elif path.suffix.lower() in DECODED_BY_LIBSNDFILE:
        found = _by_libsndfile(path, first, last)
    else:
        sound = read_sound(path, end=last / SPEECH_RATE)
        whole = read_recording(path) if sound.oddities else sound  # a silent beginning, for one
        found = whole.samples[first:last]
    if len(found) != last - first:
        raise CorpusError(
            f"The recording {path} has no samples {first} to {last}; it changed since it was first read. Give the "
            "command again, and what changed is read anew."
        )
    return found


def _by_libsndfile(path: Path, first: int, last: int) -> NDArray[np.float32]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            # As long as ``theirs`` samples of the file are ``ours`` at 16 kHz; the resampler begins with such a block.
            theirs, ours = rate // gcd(rate, SPEECH_RATE), SPEECH_RATE // gcd(rate, SPEECH_RATE)
            margin = 0 if rate == SPEECH_RATE else 1 + int(MARGIN * rate) // theirs
            block = max(0, first // ours - margin)
            begin, end = block * theirs, (-(-last // ours) + margin) * theirs
            sought = file.subtype.startswith(SOUGHT)
            if sought:
                file.seek(begin)
            wave = file.read(end - begin if sought else end, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorpusError(f"The audio file {path} cannot be decoded: {error} Fetch it again, or remove it.") from error
    mono = np.ascontiguousarray(wave[0 if sought else begin :].mean(axis=1, dtype=np.float32))
    if rate != SPEECH_RATE:
        import torch
        import torchaudio

        mono = np.asarray(torchaudio.functional.resample(torch.from_numpy(mono), rate, SPEECH_RATE).numpy())
    return mono[first - block * ours : last - block * ours]

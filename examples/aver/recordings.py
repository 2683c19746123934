"""Recordings of a data set: whether they hold all that the features of speech look at."""

import warnings
from collections.abc import Iterable
from pathlib import Path

from examples.aver.clips import SPEECH_RATE


def warn_of_low_rates(recordings: Iterable[Path]) -> None:
    """Warns of recordings with fewer samples a second than speech has here, such as those of a telephone.

    They are resampled as all are, but have nothing above half of their own rate, where others have the hiss of an s. A
    network that knows only others takes that for something else. Only headers are read; one that cannot be is left to
    the decoder, which names it.
    """
    import soundfile

    low: list[tuple[Path, int]] = []
    count = 0
    for path in recordings:
        count += 1
        try:
            rate = soundfile.info(path).samplerate
        except (soundfile.SoundFileError, RuntimeError):
            continue
        if rate < SPEECH_RATE:
            low.append((path, rate))
    if low:
        path, rate = low[0]
        warnings.warn(
            f"{len(low)} of {count} recordings have fewer than {SPEECH_RATE} samples a second, such as {path} with "
            f"{rate}: they have nothing above {rate / 2:g} Hz. A network that was trained on others misjudges their "
            "voices; train on recordings of the same rate, or record them at a higher one.",
            stacklevel=3,
        )

"""From clips to a corpus folder: features of every face and voice, computed once, in parallel."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from examples.aver.clips import EMOTIONS, SPEECH_RATE, Clip
from examples.aver.features import AUDIO, VIDEO
from examples.aver.files import file_print
from examples.aver.landmarks import LandmarkFeatures, at_rate, has_rate
from examples.aver.movies.sound import SILENCE, loudest_second
from examples.aver.recipe import TARGET
from examples.aver.replacement import check_replaceable, replacing
from examples.aver.speech import SpeechFeatures
from mrpnkit.data import Corpus, CorpusWriter
from mrpnkit.devices import join
from mrpnkit.errors import CorpusError, InputError


@dataclass(frozen=True)
class Features:
    """How the two modalities are described: ``video`` from facial landmarks, ``audio`` from speech.

    Landmarks of movies with another rate than ``fps`` frames a second are interpolated to it before.
    """

    video: LandmarkFeatures = field(default=VIDEO)
    audio: SpeechFeatures = field(default=AUDIO)
    fps: float = 29.97


class _Steps(NamedTuple):
    video: NDArray[np.float32]
    audio: NDArray[np.float32]
    silent: bool


def prepare(clips: Sequence[Clip], folder: Path, features: Features, console: Console, *, source: str) -> Corpus:
    """Makes the corpus folder, or opens it if it was made from the same clips and files with the same features.

    A modality that a clip lacks has no steps. A recording in which nothing is heard is no voice, as in movies
    (:data:`~examples.aver.movies.sound.SILENCE`), and a warning names such clips. An older corpus of the same data set,
    of other clips or features, is replaced when the new one is whole; for that time there must be room for both.

    Args:
        clips: of a reader, in order.
        folder: of the corpus.
        features: what is computed.
        console: where progress is shown.
        source: the data set's name, as it is stored with the corpus.

    Raises:
        CorpusError: no clips, a file that cannot be read (named in the text), or a folder that holds another data set.
    """
    if not clips:
        raise CorpusError("There are no clips to prepare.")
    about = json.loads(
        json.dumps(
            {
                "source": source,
                "clips": [clip.id for clip in clips],
                "features": asdict(features),
                "content": content_print(clips),
                **_interpolated(clips, features),
            }
        )
    )
    corpus = check_replaceable(folder, about)
    if corpus is not None:
        if corpus.about == about:
            return corpus
        console.print(f"{folder} was prepared from other clips, files, labels or features; it is made anew.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    rates = {
        "video": features.fps / features.video.pool,
        "audio": 1 / (features.audio.mel.hop_seconds),
    }
    with (
        replacing(folder) as place,
        CorpusWriter(place, classes={TARGET: EMOTIONS}, rates=rates, about=about) as writer,
        ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=join) as pool,
        _ended_early(pool),
    ):
        steps = pool.map(_describe, clips, [features] * len(clips), chunksize=8)
        shown = track(
            zip(clips, steps, strict=True), f"preparing {source}", len(clips), console=console, transient=True
        )
        silent = []
        for clip, (video, audio, nothing_heard) in shown:
            silent += [clip.id] if nothing_heard else []
            writer.add(
                clip.id,
                {"video": video, "audio": audio},
                {TARGET: clip.emotion},
                {"actor": clip.actor, "sex": clip.sex, **_attributes(clip)},
            )
    console.print(f"Prepared {len(clips)} clips of {source} in {folder}.")
    if silent:
        more = f" and {len(silent) - 5} more" if len(silent) > 5 else ""
        warnings.warn(
            f"{len(silent)} of {len(clips)} recordings are silent ({', '.join(silent[:5])}{more}); these clips have no "
            "voice and are judged by the face.",
            stacklevel=2,
        )
    return Corpus.open(folder)


def _interpolated(clips: Sequence[Clip], features: Features) -> dict[str, float]:
    """What a corpus of another rate says: the first face's frames a second. Earlier versions did not interpolate."""
    first = next((clip for clip in clips if clip.read_landmarks is not None), None)
    landmarks = None if first is None else first.landmarks()
    if landmarks is None or not len(landmarks.points) or has_rate(landmarks.fps, features.fps):
        return {}
    return {"interpolated_from_fps": landmarks.fps}


def content_print(clips: Sequence[Clip]) -> str:
    """A digest of whose the clips are, what they show, and the files that they are read from.

    Raises:
        CorpusError: a file that cannot be read.
    """
    digest = hashlib.sha256()
    for clip in clips:
        try:
            files = [file_print(path) for path in clip.files]
        except OSError as error:
            raise CorpusError(f"A file of clip {clip.id!r} cannot be read: {error}") from error
        content = [clip.id, clip.actor, clip.sex, clip.emotion, _attributes(clip), files]
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def _attributes(clip: Clip) -> dict[str, Any]:
    return {name: str(value) for name, value in clip.attributes.items()}


def _describe(clip: Clip, features: Features) -> _Steps:
    speech = clip.speech()
    silent = len(speech) > 0 and loudest_second(speech, SPEECH_RATE) < SILENCE
    try:
        landmarks = at_rate(clip.landmarks(), features.fps)
        video = features.video(landmarks.points, landmarks.fps)
    except InputError as error:
        raise CorpusError(
            f"The landmarks of clip {clip.id!r} cannot be used: {error} Track its movie again, or leave it out."
        ) from error
    return _Steps(video, features.audio(speech[:0] if silent else speech), silent)


@contextmanager
def _ended_early(pool: ProcessPoolExecutor) -> Iterator[None]:
    """Where the block fails or is interrupted, what the pool has not begun is not begun."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise

"""A corpus that code makes in seconds: actors who babble with a face and a voice that mean something.

What a clip is follows from the seed, the actor, the class and the take alone, so every clip can be made again on its
own, in any process, and a corpus with more actors or takes holds the smaller one. The class shows in the landmarks
through expressions (:mod:`~examples.aver.synthetic.face`), and in the sound through pitch, energy and tempo
(:mod:`~examples.aver.synthetic.voice`). Lengths, lip movements, blinks and the head's motion are the same for all
classes, and face and voice draw from generators of their own: neither modality knows what the other one shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from examples.aver.clips import EMOTIONS, SPEECH_RATE, Clip, Frames, Landmarks, Sex
from examples.aver.synthetic.drawing import Appearance, appearance, draw
from examples.aver.synthetic.evidence import MODALITIES, Evidence, Shown
from examples.aver.synthetic.face import FaceTrack, Geometry, act, geometry
from examples.aver.synthetic.voice import Speaker, speak, speaker
from mrpnkit.errors import InputError

_FACE, _VOICE, _PLAN, _NOISE = range(4)  # streams of chance that never meet


@dataclass(frozen=True, kw_only=True)
class SyntheticCorpus:
    """What to make.

    Args:
        seed: everything follows from it.
        n_actors: named 1, 2 …; odd ones are men, even ones women, as in RAVDESS.
        takes: of each emotion by each actor.
        evidence: which classes mislead, fade or share their look or sound; by default none.
        noise: beside what is always there; ``video``: standard deviation of the landmarks in inter-ocular distances,
            ``audio``: white noise over the root mean square of the speech.
        fps: frames a second.
        size: of the drawn pictures in pixels; landmarks are in its pixels.
        shortest, longest: of a clip in seconds.

    >>> corpus = SyntheticCorpus(n_actors=2, takes=1)
    >>> clips = corpus.clips()
    >>> len(clips), clips[0].id, clips[0].sex, clips[0].emotion
    (16, 'a01-neutral-1', 'male', 'neutral')

    Raises:
        InputError: counts below one, noise below zero, lengths that make no clip.
    """

    seed: int = 0
    n_actors: int = 12
    takes: int = 5
    evidence: Evidence = field(default_factory=Evidence)
    noise: Mapping[str, float] = field(default_factory=dict)
    fps: float = 25.0
    size: int = 160
    shortest: float = 1.2
    longest: float = 2.0

    def __post_init__(self) -> None:
        if self.n_actors < 1 or self.takes < 1 or self.seed < 0:
            raise InputError(
                f"SyntheticCorpus: {self.n_actors} actors, {self.takes} takes, seed {self.seed}; expected one actor "
                "and one "
                "take or more, and a seed of 0 or more."
            )
        if not 0.2 <= self.shortest <= self.longest or not self.fps > 0 or self.size < 32:
            raise InputError(
                f"SyntheticCorpus: clips of {self.shortest} to {self.longest} s at {self.fps} frames a second, "
                f"{self.size} pixels "
                "wide; expected 0.2 s or more, the shortest first, more than 0 frames a second and 32 pixels or more."
            )
        for modality, level in self.noise.items():
            if modality not in MODALITIES or not level >= 0:
                raise InputError(
                    f"SyntheticCorpus: noise of {level} for {modality!r}; expected 0 or more for "
                    f"{' or '.join(MODALITIES)}."
                )

    def clips(self) -> list[Clip]:
        """All clips, by actor, emotion and take; nothing is drawn or spoken before a clip is asked for it.

        The attributes ``take``, ``video_shows`` and ``audio_shows`` tell what was made: the class each modality shows,
        or ``"none"``.
        """
        return [
            self._clip(actor, emotion, take)
            for actor in range(1, self.n_actors + 1)
            for emotion in EMOTIONS
            for take in range(1, self.takes + 1)
        ]

    def _clip(self, actor: int, emotion: str, take: int) -> Clip:
        key = (self.seed, actor, EMOTIONS.index(emotion), take)
        plan = np.random.default_rng((_PLAN, *key))
        seconds = float(round(plan.uniform(self.shortest, self.longest) * self.fps) / self.fps)
        shown = {modality: self.evidence.shown(emotion, modality, plan) for modality in MODALITIES}
        video = _Video(
            key, shown["video"], round(seconds * self.fps), self.fps, self.size, self.noise.get("video", 0.0)
        )
        audio = _Audio(key, shown["audio"], seconds, self.noise.get("audio", 0.0))
        return Clip(
            id=f"a{actor:02d}-{emotion}-{take}",
            actor=str(actor),
            sex=_sex(actor),
            emotion=emotion,
            attributes={"take": str(take), **{f"{modality}_shows": one.kind for modality, one in shown.items()}},
            read_landmarks=partial(_landmarks, video),
            read_speech=partial(_speech, audio),
            read_frames=partial(_frames, video),
        )


def synthetic_clips(*, seed: int = 0) -> list[Clip]:
    """The 480 clips of the default corpus: 12 actors, 8 emotions, 5 takes, nothing spoilt on purpose."""
    return SyntheticCorpus(seed=seed).clips()


Key = tuple[int, int, int, int]
TRACKING_NOISE = 0.008
"""Standard deviation in inter-ocular distances of the landmarks of every synthetic clip, as of a good tracker."""


@dataclass(frozen=True)
class _Video:
    key: Key
    shown: Shown
    frames: int
    fps: float
    size: int
    noise: float

    def track(self) -> FaceTrack:
        face, _, _ = _actor(self.key[0], self.key[1])
        return act(
            np.random.default_rng((_FACE, *self.key)),
            face,
            emotion=self.shown.emotion,
            strength=self.shown.strength,
            frames=self.frames,
            fps=self.fps,
            size=self.size,
        )


@dataclass(frozen=True)
class _Audio:
    key: Key
    shown: Shown
    seconds: float
    noise: float


def _landmarks(video: _Video) -> Landmarks:
    track = video.track()
    rng = np.random.default_rng((_NOISE, _FACE, *video.key))
    scale = np.hypot(TRACKING_NOISE, video.noise) * track.pose.unit[:, None, None]
    return Landmarks((track.points + scale * rng.normal(size=track.points.shape)).astype(np.float32), video.fps)


def _frames(video: _Video) -> Frames:
    _, _, looks = _actor(video.key[0], video.key[1])
    return Frames(draw(video.track(), looks, size=video.size), video.fps)


def _speech(audio: _Audio) -> NDArray[np.float32]:
    _, voice, _ = _actor(audio.key[0], audio.key[1])
    rng = np.random.default_rng((_VOICE, *audio.key))
    wave = speak(rng, voice, emotion=audio.shown.emotion, strength=audio.shown.strength, seconds=audio.seconds)
    hiss = np.random.default_rng((_NOISE, _VOICE, *audio.key)).normal(size=round(audio.seconds * SPEECH_RATE))
    return np.asarray(wave + audio.noise * np.sqrt((wave**2).mean()) * hiss, dtype=np.float32)


def _sex(actor: int) -> Sex:
    return "male" if actor % 2 else "female"


@lru_cache(maxsize=256)
def _actor(seed: int, actor: int) -> tuple[Geometry, Speaker, Appearance]:
    """The face, the voice and the looks of an actor."""
    face, voice, looks = (np.random.default_rng((stream, seed, actor)) for stream in (_FACE, _VOICE, _PLAN))
    sex = _sex(actor)
    return geometry(face, sex=sex), speaker(voice, sex=sex), appearance(looks, sex=sex)

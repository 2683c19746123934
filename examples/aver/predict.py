"""Emotion of a movie by a trained run of the paper's system: of the whole, over time, and by each branch.

The CNNs look at every frame and every second of sound once; the whole movie and each sliding window are then judged
from the features that lie in them. A movie without sound or without a face is judged by the branch that is left.
"""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.aver.clips import SPEECH_RATE, Frames
from examples.aver.paper.frames import EveryNth, check_frames
from examples.aver.paper.job import PaperJob, open_job
from examples.aver.paper.options import Weights
from examples.aver.paper.system import Shape, build_extractor, build_system, build_tail, width_of
from examples.aver.recipe import TARGET
from mrpnkit import MRPN, Sequences
from mrpnkit.errors import InputError
from mrpnkit.names import FUSED
from mrpnkit.train import load_weights
from mrpnkit.train.state import BEST

Probabilities = NDArray[np.float32]


class Timeline(NamedTuple):
    """W windows: their ``seconds`` (W, 2), begin and end, and probabilities (W, C) by head, NaN where it is blind."""

    seconds: NDArray[np.float64]
    heads: dict[str, Probabilities]


class MoviePrediction(NamedTuple):
    """What a run says of a movie.

    Attributes:
        name: of the movie.
        classes: in the order of the probabilities.
        heads: probabilities (C,) of ``fused`` and of each branch; None where a head has nothing to judge by.
        answered_by: the head whose class is the answer; None where nothing could be judged.
        timeline: the same over sliding windows.
        notes: what is missing, in sentences.
        path: of the movie's file, whole; None where it was given as frames and samples.
        start: of the slice that was judged, in seconds of the movie; the timeline counts from it.
    """

    name: str
    classes: tuple[str, ...]
    heads: dict[str, Probabilities | None]
    answered_by: str | None
    timeline: Timeline
    notes: tuple[str, ...]
    path: str | None = None
    start: float = 0.0

    @property
    def probabilities(self) -> Probabilities | None:
        """Of the head that answers."""
        return None if self.answered_by is None else self.heads[self.answered_by]

    @property
    def emotion(self) -> str | None:
        """The answer: the class of highest probability."""
        found = self.probabilities
        return None if found is None else self.classes[int(np.argmax(found))]

    def record(self) -> dict[str, Any]:
        """Plain data: movie, file, start of the slice, answer, probabilities of all heads, timeline, notes."""

        def named(values: Probabilities | None) -> dict[str, float] | None:
            if values is None or np.isnan(values).any():
                return None
            return {name: round(float(value), 5) for name, value in zip(self.classes, values, strict=True)}

        windows = [
            {
                "begin": round(float(begin), 3),
                "end": round(float(end), 3),
                "heads": {head: named(values[place]) for head, values in self.timeline.heads.items()},
            }
            for place, (begin, end) in enumerate(self.timeline.seconds)
        ]
        return {
            "movie": self.name,
            "path": self.path,
            "start": round(self.start, 3),
            "emotion": self.emotion,
            "answered_by": self.answered_by,
            "heads": {head: named(values) for head, values in self.heads.items()},
            "timeline": windows,
            "notes": list(self.notes),
        }

    def json(self) -> str:
        """:meth:`record` as JSON."""
        return json.dumps(self.record(), indent=1, ensure_ascii=False) + "\n"


class MoviePredictor:
    """A trained run of the paper's system, ready to judge movies.

    Args:
        job: of the run.
        shape: of the corpus that it was trained on.
        extractors: the CNNs by modality.
        tail: the rest of the network, which reads the CNNs' features.
        device: where it runs.
    """

    def __init__(
        self, job: PaperJob, shape: Shape, extractors: Mapping[str, nn.Module], tail: MRPN, *, device: str = "cpu"
    ) -> None:
        self.job, self.shape, self.device = job, shape, torch.device(device)
        self.extractors = {name: part.to(self.device).eval() for name, part in extractors.items()}
        self.tail = tail.to(self.device).eval()

    @classmethod
    def open(cls, run: str | Path, *, device: str | None = None) -> "MoviePredictor":
        """Loads a finished run; the corpus that it was trained on is not needed.

        A run on frozen CNNs needs their weights where they lay, or where ``weights`` of the run say.

        Raises:
            TrainingError: no finished run of pixels and sound in the folder.
            InputError: the weights of frozen CNNs are gone or others.
        """
        run = Path(run)
        job, shape = open_job(run)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if job.system.frozen:
            _check_weights(job, run)
            extractors: dict[str, nn.Module] = {
                name: build_extractor(name, job.system, job.options, shape) for name in job.modalities
            }
            tail = build_tail(
                job.network, {n: width_of(e) for n, e in extractors.items()}, job.system, job.options, shape
            )
            load_weights(run / BEST, tail)
            return cls(job, shape, extractors, tail, device=device)
        system = replace(job.system, weights=Weights())
        whole = build_system(job.network, system, job.options, shape)
        load_weights(run / BEST, whole)
        extractors = {name: cast(nn.Module, branch.extractor) for name, branch in whole.branches.items()}
        tail = build_tail(job.network, {n: width_of(e) for n, e in extractors.items()}, system, job.options, shape)
        kept = {key: value for key, value in whole.state_dict().items() if ".extractor." not in key}
        tail.load_state_dict(kept)
        return cls(job, shape, extractors, tail, device=device)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.shape.classes

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames | None,
        speech: NDArray[np.float32] | None,
        *,
        name: str = "movie",
        window: float = 1.5,
        hop: float = 0.25,
    ) -> MoviePrediction:
        """Judges crops of a face and the sound that goes with them.

        Args:
            frames: crops (T, H, W, 3) of the size that the network was trained on; None or T = 0: no face.
            speech: (n,) at 16 kHz; None or n = 0: no sound.
            name: of the movie.
            window: seconds of a window of the timeline, at least 1, the duration of a segment of sound.
            hop: seconds from window to window.

        Raises:
            InputError: frames of another size, windows that are too short.
        """
        if window < 1 or not hop > 0:
            raise InputError(f"A window of {window} s every {hop} s: windows need a second or more, a hop above 0.")
        steps, times, notes = self._steps(frames, speech)
        seen = {name: part for name, part in steps.items() if len(part)}
        seconds = max(
            len(frames.pixels) / frames.fps if frames is not None and len(frames.pixels) else 0.0,
            len(speech) / SPEECH_RATE if speech is not None else 0.0,
        )
        whole = {n: p[0] for n, p in self._judge({n: [part] for n, part in steps.items()}).items()}
        heads: dict[str, Probabilities | None] = {n: None if np.isnan(p).any() else p for n, p in whole.items()}
        begins = np.arange(0.0, max(seconds - window, 0.0) + 1e-9, hop)
        spans = np.stack([begins, np.minimum(begins + window, seconds)], axis=1)
        pieces = {n: [part[_inside(times[n], span)] for span in spans] for n, part in steps.items()}
        timeline = Timeline(spans, self._judge(pieces))
        answering = self._answering(seen)
        if seen and len(seen) < len(steps):
            notes.append(
                f"The {answering} branch alone answers."
                if answering != FUSED
                else "This network has no head for one branch (N0): the fusion answers, with zeros for what is missing."
            )
        if not seen:
            notes.append("Nothing is left to judge by.")
        return MoviePrediction(name, self.classes, heads, answering, timeline, tuple(notes))

    def _answering(self, seen: Mapping[str, Tensor]) -> str | None:
        if not seen:
            return None
        if len(seen) == len(self.extractors) or not len(self.tail.sides):
            return FUSED
        return next(iter(seen))

    def _steps(
        self, frames: Frames | None, speech: NDArray[np.float32] | None
    ) -> tuple[dict[str, Tensor], dict[str, NDArray[np.float64]], list[str]]:
        """Features of every step of each modality, the middle of each step in seconds, and what is missing."""
        steps, times, notes = {}, {}, []
        for name, extractor in self.extractors.items():
            if name == "video":
                inputs, rate, first = self._crops(frames)
                lacking = "The movie has no face."
            else:
                inputs = torch.from_numpy(np.asarray(speech if speech is not None else [], dtype=np.float32))
                rate, first = 1 / self.job.options.hop_seconds, 0.5
                lacking = "The movie has no sound."
            if len(inputs):
                steps[name] = extractor(Sequences.of([inputs.to(self.device)])).steps.float()
            else:
                steps[name] = torch.zeros(0, width_of(extractor), device=self.device)
                notes.append(lacking)
            times[name] = np.arange(len(steps[name])) / rate + first
        if "audio" in times and speech is not None:
            times["audio"] = np.minimum(times["audio"], len(speech) / SPEECH_RATE)  # of less than a second, padded
        return steps, times, notes

    def _crops(self, frames: Frames | None) -> tuple[Tensor, float, float]:
        """Frames as the CNN reads them, how many a second, and the time of the first."""
        if frames is None or not len(frames.pixels):
            return torch.zeros(0, *self.shape.frame, dtype=torch.uint8), 1.0, 0.0
        every = EveryNth(frames.fps, self.job.system.frames_per_second or self.shape.fps)
        pixels = every(torch.from_numpy(frames.pixels))
        self._check(pixels)
        return pixels, frames.fps / every.n, 0.0

    def _judge(self, pieces: Mapping[str, list[Tensor]]) -> dict[str, Probabilities]:
        """Probabilities (W, C) of every head for W pieces of features."""
        inputs = {name: Sequences.of(parts) for name, parts in pieces.items()}
        precise = torch.autocast(self.device.type, torch.bfloat16) if self._half else nullcontext()
        with precise:
            output = self.tail(inputs, sides=True)
        present = {name: part.lengths > 0 for name, part in inputs.items()}
        present[FUSED] = torch.stack(list(present.values())).any(dim=0)
        scores = {FUSED: output.fused[TARGET], **{n: s[TARGET] for n, s in output.branches.items()}}
        found = {}
        for head, values in scores.items():
            probabilities = torch.softmax(values.float(), dim=-1)
            probabilities[~present[head]] = torch.nan
            found[head] = probabilities.cpu().numpy()
        return found

    @property
    def _half(self) -> bool:
        return self.job.system.precision == "bfloat16"

    def _check(self, frames: Tensor) -> None:
        check_frames(frames)
        if tuple(frames.shape[1:]) != self.shape.frame:
            raise InputError(
                f"Frames are {tuple(frames.shape[1:])}; the run was trained on {self.shape.frame}. Prepare crops of "
                "that size."
            )


def _inside(times: NDArray[np.float64], span: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy((times >= span[0]) & (times <= span[1]))


def _check_weights(job: PaperJob, run: Path) -> None:
    from examples.aver.job import RUN

    stored = json.loads((run / RUN).read_text(encoding="utf-8"))["system"]["weights"]
    if job.system.weights.fingerprint() != stored:
        raise InputError(
            f"The weights of the frozen CNNs of {run}, {vars(job.system.weights)}, are not those that it was trained "
            "with. Put these back."
        )

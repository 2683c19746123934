"""How fast and how exactly faces are cropped, against dlib's CNN on every full picture.

Claim: preparing the face of a 720p clip (decoding, finding, following, cropping) is at least 100 times faster than
dlib's CNN detector on each of its pictures at full size, and its boxes agree with that detector's: mean IoU ≥ 0.80.

The reference is the detector alone, on a sample of evenly spaced pictures of each movie; decoding for it is not
counted. Both run by turns in one process with one thread, and time is that of the processor, so that other work on the
machine takes nothing away; the wall clock is beside it. Boxes are compared as they are, without a margin. The
reference's come in steps of 6/5 in size and of some thirty pixels in place, which bounds the agreement.

Two movies were looked at when the settings were chosen; their agreement is apart. A movie that shows the same take as
another is left out.

    OMP_NUM_THREADS=1 python -m benchmarks.face_preparation [--small] [--pictures 4] [--turns 1]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from examples.aver.faces import DlibCnn, FaceSettings, iou, squares
from examples.aver.faces.boxes import as_shapes
from examples.aver.movies import Pictures
from examples.aver.preparation import MovieSettings, PreparedMovie, prepare_movie
from mrpnkit.report import Figure, print_figures, write_result
from mrpnkit.report.results import this_command

RESULT = Path(__file__).parent / "results" / "face_preparation.json"
DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess_mp4" / "Actor_01"
LOOKED_AT = ("01-01-01-01-01-01-01", "01-01-08-01-02-02-01")
HELD_OUT = ("01-01-01-01-01-02-01", "01-01-01-01-02-01-01", "01-01-08-02-02-02-01")

T = TypeVar("T")


class Timed(NamedTuple):
    """Seconds of the processor and of the clock."""

    cpu: float
    wall: float


def timed(function: Callable[[], T]) -> tuple[T, Timed]:
    """A result, and how long it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return result, Timed(time.process_time() - cpu, time.perf_counter() - wall)


def sample(path: Path, count: int) -> list[tuple[float, NDArray[np.uint8]]]:
    """Evenly spaced pictures of a movie at full size, with their times."""
    times = [picture.time for picture in Pictures(path)]
    wanted = set(np.linspace(0, len(times) - 1, count).round().astype(int).tolist())
    return [(picture.time, picture.rgb()) for place, picture in enumerate(Pictures(path)) if place in wanted]


def compare(path: Path, detector: DlibCnn, settings: MovieSettings, *, count: int, turns: int) -> dict[str, Any]:
    """Preparation and reference of one movie, by turns: some of the pictures, the movie, some, the movie, ...."""
    pictures = sample(path, count)
    boxes: list[tuple[float, tuple[float, ...]]] = []
    reference: list[Timed] = []
    prepared: list[Timed] = []
    movie: PreparedMovie | None = None
    for turn in range(turns + 1):
        for at, image in pictures[turn :: turns + 1]:
            (found,), seconds = timed(partial(detector, [image]))
            reference.append(seconds)
            if found:
                boxes.append((at, max(found, key=lambda face: face.score).box))
        if turn < turns:
            movie, seconds = timed(partial(prepare_movie, path, settings, modalities=("video",), detector=detector))
            prepared.append(seconds)
    assert movie is not None
    margin = settings.faces.margin
    faces = squares(as_shapes(movie.boxes.astype(np.float64)), margin=-margin / (1 + 2 * margin))
    overlaps = [
        float(iou(faces[min(len(faces) - 1, round(at * movie.rate))], np.array(box))) for at, box in sorted(boxes)
    ]
    per_picture = [statistics.mean(values) for values in zip(*reference, strict=True)]
    per_clip = [statistics.mean(values) for values in zip(*prepared, strict=True)]
    frames = len(movie.video)
    return {
        "movie": path.stem,
        "frames": frames,
        "reference_seconds_a_picture": {"cpu": per_picture[0], "wall": per_picture[1]},
        "preparation_seconds": {"cpu": per_clip[0], "wall": per_clip[1]},
        "speedup": {"cpu": frames * per_picture[0] / per_clip[0], "wall": frames * per_picture[1] / per_clip[1]},
        "reference_without_face": len(pictures) - len(boxes),
        "iou": overlaps,
    }


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one movie and two pictures; writes no result file")
    parser.add_argument("--pictures", type=int, default=4, help="of each movie that the reference sees")
    parser.add_argument("--turns", type=int, default=1, help="how often each movie is prepared")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"No data: {DATA} is no folder; set MRPNKIT_DATA. Nothing was measured.")
        return
    torch.set_num_threads(1)
    settings, detector = MovieSettings(faces=FaceSettings()), DlibCnn()
    detector([np.zeros((90, 90, 3), np.uint8)])  # loads the weights
    names = HELD_OUT[:1] if arguments.small else (*LOOKED_AT, *HELD_OUT)
    rows = []
    count, turns = (2, 1) if arguments.small else (arguments.pictures, arguments.turns)
    for name in names:
        rows.append(compare(DATA / f"{name}.mp4", detector, settings, count=count, turns=turns))
        speedup, agreement = rows[-1]["speedup"], statistics.mean(rows[-1]["iou"])
        print(f"{name}: {speedup['cpu']:.0f} × (clock {speedup['wall']:.0f} ×), IoU {agreement:.3f}", flush=True)
    held = [value for row in rows if row["movie"] in HELD_OUT for value in row["iou"]]
    looked = [value for row in rows if row["movie"] in LOOKED_AT for value in row["iou"]]
    figures = {
        "speedup": Figure.mean([row["speedup"]["cpu"] for row in rows], "times"),
        "speedup/wall": Figure.mean([row["speedup"]["wall"] for row in rows], "times"),
        "iou": Figure.mean(held, ""),
        "reference/cpu": Figure.mean([row["reference_seconds_a_picture"]["cpu"] for row in rows], "s a picture"),
        "preparation/cpu": Figure.mean([row["preparation_seconds"]["cpu"] for row in rows], "s a clip"),
    }
    if looked:
        figures["iou/looked_at"] = Figure.mean(looked, "")
    if not arguments.small:
        write_result(
            RESULT,
            claim="Preparing the face of a 720p clip is at least 100 times faster than dlib's CNN on every full "
            "picture of it, and its boxes agree with that detector's with a mean IoU of at least 0.80.",
            command=f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')} {this_command()}",
            config={
                "settings": settings.faces.__dict__ | {"rate": settings.rate},
                "reference": "dlib's CNN detector on 1280 × 720 pictures, no upsampling, detection alone",
                "pictures_a_movie": arguments.pictures,
                "preparation": "decoding twice, finding, following, smoothing, cropping; no sound",
                "preparations_a_movie": turns,
                "threads": {"torch": torch.get_num_threads(), "decoder": 1, "omp": os.environ.get("OMP_NUM_THREADS")},
                "time": "of the process's processor; speedup/wall is by the clock of a machine with other work",
                "iou_held_out": list(HELD_OUT),
                "iou_looked_at_when_settings_were_chosen": list(LOOKED_AT),
                "dlib": version("dlib-bin"),
                "av": version("av"),
            },
            figures=figures,
            rows={"movies": rows},
        )
    print_figures(figures)


if __name__ == "__main__":
    main()

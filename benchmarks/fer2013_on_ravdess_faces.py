"""The network that was trained on FER-2013, as it is, on face crops of RAVDESS clips.

What it guards: a figure that is reported whatever it is, of how far photographs of faces carry over to movies. The
clips are 52 of one actor, so no accuracy of RAVDESS is claimed. A clip is given the mean of the probabilities of its 20
frames; its emotion is one of FER-2013's seven classes, since there is no calm among the clips. Nothing is adapted. The
network reads frames through the extractor ``frames_timm``, at the size at which it was selected, and keeps its
classifier.

    python -m examples.aver pretrain fer2013 --data FER2013
    python -m benchmarks.fer2013_on_ravdess_faces [--weights FILE] [--size PIXELS] [--result FILE] [--small]
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from examples.aver.pretrain.faces import CLASSES
from examples.aver.pretrain.fer2013 import SIZE
from mrpnkit import Sequences
from mrpnkit.extractors import FramesTimm
from mrpnkit.report import Figure, print_figures, write_result

DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess_faces"
RESULT = Path(__file__).parent / "results" / "fer2013_on_ravdess_faces.json"
EMOTIONS = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust", "08": "surprise"}
"""RAVDESS's number of an emotion, second in a clip's name, and FER-2013's name; 02, calm, has none."""
FRAMES = 20


def read_clips(folder: Path) -> list[tuple[str, NDArray[np.uint8], int]]:
    """Name, grey frames (20, H, W) and label of each clip."""
    found = []
    for file in sorted(folder.rglob("*.jpg")):
        with Image.open(file) as image:
            strip = np.asarray(image.convert("L"), dtype=np.uint8)
        frames = np.stack(np.split(strip, FRAMES, axis=1))
        found.append((file.stem, frames, CLASSES.index(EMOTIONS[file.stem.split("-")[1]])))
    return found


def drawn_clips() -> list[tuple[str, NDArray[np.uint8], int]]:
    """Noise instead of faces, where there are none."""
    generator = np.random.default_rng(0)
    return [(f"drawn-{n}", generator.integers(0, 256, (FRAMES, 112, 112), dtype=np.uint8), n % 7) for n in range(7)]


@torch.inference_mode()
def clip_probabilities(extractor: FramesTimm, weight: Tensor, bias: Tensor, frames: NDArray[np.uint8]) -> Tensor:
    """Mean over frames of the probabilities (7,) of the classifier (7, D) on the extractor's features."""
    features = extractor(Sequences.of([torch.from_numpy(frames)])).steps
    return torch.softmax(features @ weight.T + bias, 1).mean(0)


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("runs/pretrain/fer2013/best.safetensors"))
    parser.add_argument("--size", type=int, default=SIZE, help="the last of pretrain's --sizes")
    parser.add_argument("--result", type=Path, default=RESULT, help="the file that is written")
    parser.add_argument("--small", action="store_true", help="a quick run with random weights and no result file")
    given = parser.parse_args()
    torch.manual_seed(0)
    size = (given.size, given.size)
    clips = (read_clips(DATA) if DATA.is_dir() else drawn_clips())[:: 8 if given.small else 1]
    if given.small:
        extractor = FramesTimm(1, architecture="test_resnet", size=size).eval()
        weight, bias = torch.randn(7, extractor.out_features), torch.zeros(7)
    else:
        extractor = FramesTimm(1, architecture="resnet18", weights=str(given.weights), size=size).eval()
        classifier = load_file(given.weights)
        weight, bias = classifier["fc.weight"], classifier["fc.bias"]
    means = torch.stack([clip_probabilities(extractor, weight, bias, frames) for _, frames, _ in clips])
    labels = torch.tensor([label for _, _, label in clips])
    chosen = means.argmax(1)
    counts = torch.bincount(labels * 7 + chosen, minlength=49).view(7, 7)
    recalls = (counts.diag()[counts.sum(1) > 0] / counts.sum(1)[counts.sum(1) > 0]).tolist()
    figures = {
        "accuracy": Figure(float((chosen == labels).double().mean()), "fraction", n=len(labels)),
        "uar": Figure(sum(recalls) / len(recalls), "fraction", n=len(recalls)),
    }
    if not given.small:
        write_result(
            given.result,
            claim="How a network trained on FER-2013 alone does on face crops of RAVDESS clips, whatever it is.",
            config={
                "weights": f"{given.weights}, of pretrain fer2013, as they are",
                "clips": f"{len(clips)} of one actor; {FRAMES} grey frames of 112x112, evenly spaced",
                "size": list(size),
                "clip": "mean of the probabilities of its frames",
                "classes": list(CLASSES),
                "adapted": "nothing",
            },
            figures=figures,
            rows={
                "confusion": counts.tolist(),
                "clips": {name: CLASSES[place] for (name, _, _), place in zip(clips, chosen.tolist(), strict=True)},
            },
        )
    print_figures(figures)


if __name__ == "__main__":
    main()

"""What it saves to compute the spectrogram of a clip once instead of that of every overlapping segment.

Claim: at least 4 times less work for the clips of RAVDESS, segments of one second every 0.2 s (Hann window 512, hop 64,
256×250), and the same values wherever the window of a frame lies within its segment. Work is measured in seconds of
the processor: the clip's one transform with all segments as views, against the segments cut out of the wave, both
through the same code. Runs alternate; the figure is the median of the ratios over clips. Beside it stands by how much
fewer frames are transformed. Without the real data clips of the same length are made of noise.

    python benchmarks/spectrogram_segments.py [--small]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from examples.aver.clips import read_wave
from mrpnkit.extractors import SpectrogramSegments
from mrpnkit.report import Figure, print_figures, write_result

DATA = Path(os.environ.get("MRPNKIT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ravdess" / "audio"
RESULT = Path(__file__).parent / "results" / "spectrogram_segments.json"


def waves(count: int) -> list[Tensor]:
    """Clips of RAVDESS, evenly spread, or noise of their mean length."""
    files = sorted(DATA.glob("*.flac"))
    if files:
        return [torch.from_numpy(read_wave(file)) for file in files[:: max(1, len(files) // count)][:count]]
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(59_000, generator=generator) for _ in range(count)]


def one_by_one(cut: SpectrogramSegments, samples: Tensor) -> Tensor:
    """The spectrogram of each segment alone, of the samples that belong to it and silence around them; (S, H, W)."""
    long, step = cut.width * cut.hop, cut.step * cut.hop
    count = cut.count(len(samples))
    padded = torch.nn.functional.pad(samples, (0, (count - 1) * step + long - len(samples)))
    return torch.stack([cut.spectrogram(piece, 0, cut.width) for piece in padded.unfold(0, long, step)])


def all_views(cut: SpectrogramSegments, samples: Tensor) -> Tensor:
    """The segments as views of one spectrogram; (S, H, W)."""
    return cut.segments(samples, 0, cut.count(len(samples)))


def seconds(function: Callable[[SpectrogramSegments, Tensor], Tensor], cut: SpectrogramSegments, wave: Tensor) -> float:
    """Of the processor in one call, which other processes do not lengthen as they do those on the wall."""
    start = time.thread_time()
    function(cut, wave)
    return time.thread_time() - start


def main() -> None:
    """Measures, prints, and writes the result file unless ``--small``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick run that writes no result file")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    clips, repeats = (6, 2) if small else (200, 5)
    cut, found = SpectrogramSegments(scale="log"), waves(clips)
    reach = cut.window // 2 // cut.hop  # frames at each border whose window reaches beyond the segment
    inner = slice(reach, cut.width - reach + 1)
    ratios, work, once, apart, deviations = [], [], [], [], []
    for wave in found:
        samples = cut.levelled(wave)
        whole = all_views(cut, samples)
        alone = one_by_one(cut, samples)
        deviations.append(float((whole - alone)[:, :, inner].abs().max()))
        frames = (len(whole) - 1) * cut.step + cut.width
        work.append(len(whole) * cut.width / frames)
        pairs = [(seconds(all_views, cut, samples), seconds(one_by_one, cut, samples)) for _ in range(repeats)]
        first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
        once.append(first)
        apart.append(second)
        ratios.append(second / first)
    figures = {
        "speedup": Figure(statistics.median(ratios), "times", statistics.stdev(ratios), len(ratios)),
        "work": Figure.mean(work, "times"),
        "once": Figure(1e3 * statistics.median(once), "ms", n=len(once)),
        "one_by_one": Figure(1e3 * statistics.median(apart), "ms", n=len(apart)),
        "largest_deviation": Figure(max(deviations), "of the deviation of speech"),
        "clip_seconds": Figure.mean([len(wave) / cut.rate for wave in found], "s"),
    }
    if not small:
        write_result(
            RESULT,
            claim="One transform of a clip is at least 4 times less work than one of each segment, with equal values.",
            config={
                "segments": "1 s every 0.2 s, Hann window 512, hop 64, 256 bands, logarithm",
                "clips": len(found),
                "source": "RAVDESS speech, evenly spread" if DATA.is_dir() else "noise",
                "repeats": repeats,
                "threads": 1,
                "speedup": "median over clips of the ratio of processor seconds, each a median of alternating runs",
                "work": "frames transformed, one by one against once",
                "compared": "frames whose window lies within the segment",
            },
            figures=figures,
            rows={"ratios": np.round(ratios, 3).tolist()},
        )
    print_figures(figures)


if __name__ == "__main__":
    main()

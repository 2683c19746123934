"""Recordings of a few speakers for tests: drawn voices, as a table of files or laid out as VoxCeleb is."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000


def voice(speaker: int, take: int, seconds: float = 0.9) -> np.ndarray:
    """A tone of the speaker's own pitch in some noise."""
    generator = np.random.default_rng((speaker, take))
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * n * (150 + 120 * speaker) * time + generator.random()) / n for n in (1, 2, 3))
    return (0.2 * tone + 0.02 * generator.standard_normal(len(time))).astype(np.float32)


def as_table(folder: Path, takes: int = 10) -> Path:
    with (folder / "speakers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "speaker", "seconds"])
        for speaker in range(3):
            for take in range(takes):
                name = f"set_{speaker % 2}/{speaker}-{take}.wav"
                (folder / name).parent.mkdir(exist_ok=True)
                soundfile.write(folder / name, voice(speaker, take), RATE)
                writer.writerow([name, f"s{speaker}", 0.9])
    return folder


def as_voxceleb(folder: Path, ending: str = "wav") -> Path:
    for speaker in range(2):
        for video in range(4):
            target = folder / "dev" / ending / f"id1000{speaker}" / f"video{video}" / f"00001.{ending}"
            target.parent.mkdir(parents=True)
            if ending == "wav":
                soundfile.write(target, voice(speaker, video), RATE)
            else:
                write_aac(target, voice(speaker, video))
            if ending == "wav" and video == 0:
                soundfile.write(target.with_name("00002.wav"), voice(speaker, 9), RATE)
    return folder


def write_aac(path: Path, wave: np.ndarray, rate: int = RATE) -> None:
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'mrpnkit[av]'")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)

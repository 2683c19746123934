"""Figures 2, 3, 5, 9 and 10: what they are drawn from, and that the commands draw them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mrpnkit[report]'")

from examples.aver.__main__ import app
from examples.aver.paper.embedding import draw_embedding, embed, features_of
from examples.aver.paper.figures import augmentation, one_of_each, save, slices, spaced
from examples.aver.paper.job import make_model, open_job, run_paper_job
from examples.aver.recipe import TARGET
from mrpnkit.data import Corpus
from mrpnkit.errors import InputError
from mrpnkit.train import load_weights
from tests.aver.paper_corpora import noise, tiny_job


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise(tmp_path_factory.mktemp("figures") / "corpus", seconds=1.6)


@pytest.fixture(scope="module")
def run(corpus: Path) -> Path:
    job = tiny_job(corpus, corpus.parent / "runs")
    run_paper_job(job)
    return job.folder


@pytest.mark.parametrize("number", [2, 3, 9, 10])
def test_the_command_draws(number: int, corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "figure.png"
    shown = CliRunner().invoke(app, ["figure", str(number), "--corpus", str(corpus), "--to", str(target)])
    assert shown.exit_code == 0, shown.output
    assert target.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "again.png"
    CliRunner().invoke(app, ["figure", str(number), "--corpus", str(corpus), "--to", str(again)])
    assert again.read_bytes() == target.read_bytes()


def test_figure_5_shows_what_the_network_computes(run: Path, corpus: Path) -> None:
    """Against the network's own scores: a Dense of f̂_m, and Scoring of g, are what it answers."""
    found = features_of(run)
    job, shape = open_job(run)
    opened = Corpus.open(corpus)
    model = make_model(job, shape, opened)
    load_weights(run / "best.safetensors", model)
    model.eval()
    with np.load(run / "test.npz") as saved, torch.no_grad():
        np.testing.assert_array_equal(found.labels, saved[f"labels/{TARGET}"])
        for name in ("video", "audio"):
            side: Any = model.sides[name]
            scores = side[TARGET](torch.from_numpy(found.vectors[name]))
            np.testing.assert_allclose(scores.numpy(), saved[f"scores/{name}/{TARGET}"], atol=1e-4)
        fusion: Any = model.fusion
        scores = fusion.scoring[TARGET](torch.from_numpy(found.vectors["fused"]))
        np.testing.assert_allclose(scores.numpy(), saved[f"scores/fused/{TARGET}"], atol=1e-4)
    assert found.about == "noise; N2, test actors, never seen in training"
    assert len(features_of(run, part="all").labels) == len(opened)


def test_clusters_stay_together() -> None:
    centres = np.repeat(np.eye(3, 10) * 30, 20, axis=0)
    placed = embed((centres + np.random.default_rng(0).standard_normal((60, 10))).astype(np.float32))
    groups = placed.reshape(3, 20, 2)
    within = np.linalg.norm(groups - groups.mean(1, keepdims=True), axis=2).max()
    between = min(np.linalg.norm(groups[a].mean(0) - groups[b].mean(0)) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * within


def test_figure_5_of_a_run(run: Path, tmp_path: Path) -> None:
    drawn = draw_embedding(run, tmp_path / "five.png", part="all")
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn(corpus: Path, tmp_path: Path) -> None:
    for arguments, text in (
        (["figure", "4", "--corpus", str(corpus)], "no figure 4 to draw; there are 2, 3, 5, 9, 10"),
        (["figure", "5"], "needs a trained run"),
    ):
        shown = CliRunner().invoke(app, arguments)
        assert isinstance(shown.exception, InputError)
        assert text in str(shown.exception)
    job = tiny_job(corpus, tmp_path, "vm")
    run_paper_job(job)
    with pytest.raises(InputError, match="needs a network that fuses two modalities"):
        features_of(job.folder)


def test_one_clip_of_each_emotion_by_one_actor(corpus: Path) -> None:
    opened = Corpus.open(corpus)
    found = one_of_each(opened, np.random.default_rng(3))
    assert list(found) == opened.classes[TARGET]
    assert [opened.targets[TARGET][row] for row in found.values()] == [0, 1, 2]
    assert len({opened.groups["actor"][row] for row in found.values()}) == 1
    assert spaced(9, 5).tolist() == [0, 2, 4, 6, 8]


def test_slices_have_a_second_or_more(corpus: Path, tmp_path: Path) -> None:
    drawing = slices(Corpus.open(corpus), np.random.default_rng(0))
    labels = [axis.get_ylabel() for axis in drawing.axes if axis.get_ylabel()]
    assert [label.rpartition("\n")[0] for label in labels] == ["original", "from the\nbeginning", "from the\nmiddle"]
    assert all(float(label.rpartition("\n")[2].removesuffix(" s")) >= 1.0 for label in labels)
    assert save(drawing, tmp_path / "a.png").stat().st_size < 300 * 1024


def test_figure_9_is_of_a_clip_with_frames() -> None:
    """Most clips show no face, as a corpus of recordings with a few movies."""
    random = np.random.default_rng(1)
    frames = random.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    labels = ["calm"] * 9
    video = [frames if row == 5 else frames[:0] for row in range(9)]
    corpus = Corpus.from_arrays({"video": video}, {TARGET: labels})
    for seed in range(5):
        drawing = augmentation(corpus, np.random.default_rng(seed))
        shown = [np.asarray(axis.images[0].get_array()) for axis in drawing.axes[:8]]
        np.testing.assert_array_equal(np.stack(shown), frames[spaced(20, 8)])
    faceless = Corpus.from_arrays({"video": [frames[:0]] * 9}, {TARGET: labels})
    with pytest.raises(InputError, match="Figure 9 shows frames, and none of the 9 clips of this corpus has any"):
        augmentation(faceless, random)

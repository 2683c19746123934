"""Figure 5: t-SNE of what the branches say and of what is fused, coloured by emotion."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from examples.aver import job as landmark_jobs
from examples.aver.figures import STYLE
from examples.aver.paper.figures import save
from examples.aver.paper.job import KIND, evaluation_batches, make_model, open_job
from examples.aver.recipe import TARGET, build_model
from mrpnkit import MRPN
from mrpnkit.data import Corpus, Loader
from mrpnkit.errors import InputError
from mrpnkit.mrpn import FusionComponent
from mrpnkit.names import FUSED
from mrpnkit.train import load_weights
from mrpnkit.train.state import BEST, LAST

Part = Literal["test", "validation", "train", "all"]
TITLES = {"video": "face: $f_v$", "audio": "voice: $f_a$", FUSED: "fused"}


class Features(NamedTuple):
    """Of n clips: f̂_m of each branch and the fusion's g, (n, D) by name; labels (n,); classes; what was read."""

    vectors: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    classes: list[str]
    about: str


@torch.no_grad()
def features_of(run: Path, *, part: Part = "test") -> Features:
    """f̂_v, f̂_a (3) and g, what the fusion scores (3), of the clips of a part of a finished run.

    Args:
        run: of pixels and sound, or of landmarks + speech; its corpus must be there.
        part: of the run's fold, or ``"all"``.

    Raises:
        TrainingError: no finished run.
        InputError: a fusion that is not the paper's, or one modality.
    """
    model, batches, corpus, about = _opened(run, part)
    fusion = model.fusion
    if not isinstance(fusion, FusionComponent) or len(model.branches) < 2:
        raise InputError(f"{run}: Figure 5 needs a network that fuses two modalities as the paper does (N0, N1 or N2).")
    model.eval()
    found: dict[str, list[torch.Tensor]] = {name: [] for name in (*model.branches, FUSED)}
    labels = []
    for batch in batches:
        features = model.features(batch.inputs)
        for name, normalised in features.normalised.items():
            found[name].append(normalised)
        joined = fusion.joint(
            [features.corrected[n] for n in model.branches], [features.present[n] for n in model.branches]
        )
        found[FUSED].append(joined)
        labels.append(batch.labels[TARGET])
    vectors = {name: torch.cat(parts).float().numpy() for name, parts in found.items()}
    return Features(vectors, torch.cat(labels).numpy(), list(corpus.classes[TARGET]), about)


def embed(vectors: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """(n, D) → (n, 2) by scikit-learn's t-SNE; perplexity 30, or a third of the clips where those are few."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(2.0, (len(vectors) - 1) / 3))
    placed = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    return np.asarray(placed.fit_transform(vectors), dtype=np.float32)


def draw_embedding(run: Path, path: Path, *, part: Part = "test", seed: int = 0) -> Path:
    """Figure 5 of a run, as PNG; returns its path."""
    found = features_of(run, part=part)
    colours = mpl.colormaps["tab10"](np.arange(10))
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(3.1 * len(found.vectors) + 1.0, 3.4), dpi=110, layout="constrained")
        axes = drawing.subplots(1, len(found.vectors), squeeze=False)[0]
        for axis, (name, vectors) in zip(axes, found.vectors.items(), strict=True):
            placed = embed(vectors, seed=seed)
            for label, emotion in enumerate(found.classes):
                chosen = placed[found.labels == label]
                axis.scatter(chosen[:, 0], chosen[:, 1], s=11, color=colours[label % 10], label=emotion, linewidths=0)
            axis.set_title(TITLES.get(name, name))
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(True)
        handles, names = axes[0].get_legend_handles_labels()
        drawing.legend(handles, names, loc="outside right center", markerscale=1.8, title="emotion")
        drawing.suptitle(found.about, fontsize=8, color="#555555")
        path.parent.mkdir(parents=True, exist_ok=True)
        return save(drawing, path)


def _opened(run: Path, part: Part) -> tuple[MRPN, Loader, Corpus, str]:
    """Network, batches and corpus of a run of either kind, and a line about it."""
    description = run / landmark_jobs.RUN
    kind = json.loads(description.read_text(encoding="utf-8")).get("kind") if description.is_file() else None
    if kind == KIND or (kind is None and not description.is_file()):
        job, shape = open_job(run)
        corpus = job.read_corpus()
        model = make_model(job, shape, corpus)
        load_weights(run / BEST, model)
        batches = evaluation_batches(job, corpus, _rows(job, corpus, part))
        source = Corpus.open(job.corpus).about.get("source", KIND)
        return model, batches, corpus, f"{source}; {job.network.upper()}, {_whose(part)}"
    old = landmark_jobs.Job.of_run(run)
    corpus = Corpus.open(old.corpus)
    model = build_model(old.network, corpus, old.recipe)
    load_weights(run / (BEST if old.recipe.keep == "best" else LAST), model)
    batches = landmark_jobs.evaluation_loader(old.network, corpus, _rows(old, corpus, part))
    return model, batches, corpus, f"{corpus.about.get('source', '')}; {old.network.upper()}, {_whose(part)}"


def _rows(job: Any, corpus: Corpus, part: Part) -> NDArray[np.int64]:
    if part == "all":
        return np.arange(len(corpus))
    return cast("NDArray[np.int64]", getattr(job.split(corpus), part))


def _whose(part: Part) -> str:
    return {"test": "test actors, never seen in training", "validation": "validation actors",
            "train": "training actors", "all": "all actors"}[part]  # fmt: skip

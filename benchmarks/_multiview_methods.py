"""What is compared on multi-view sets, how each is trained, and what it decides."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor, nn

from benchmarks._multiview_data import Part, Split
from mrpnkit import MRPN, Branch, Classification, Objective, Sequences
from mrpnkit.aggregators import Last
from mrpnkit.balancing import OGMGE, PMR, Fixed, GradientBlending, MMPareto, Uncertainty
from mrpnkit.data import Augmentation, CorpusDataset, ModalityDropout, even_batch_size, loader
from mrpnkit.extractors import MLP
from mrpnkit.fusions import FUSIONS, Witnesses
from mrpnkit.mrpn import Network
from mrpnkit.train import Trainer

RECIPE: Mapping[str, Any] = {
    "branch": "two layers of Dense, batch norm, ReLU, Dropout",
    "width": 128,
    "branch_dropout": 0.2,
    "hidden": 128,
    "dropout": 0.0,
    "batch_size": 128,
    "batches": "of at most that size, as equal as can be",
    "epochs": 25,
    "optimizer": "AdamW, fused",
    "learning_rate": 1e-2,
    "weight_decay": 1e-2,
    "schedule": "one cycle, warm-up 0.2",
    "label_smoothing": 0.1,
    "weights": "of the last epoch",
}
"""One for all sets and methods; chosen on validation parts, as docs/multiview.md tells."""
DOUBT, MODALITY_DROPOUT = 0.3, 0.2
SMALL_EPOCHS = 2


class Method(NamedTuple):
    """A network, its fusion, what balances its losses, and the share of modalities that training leaves out.

    ``decisions`` are the names under which what it decides is reported, several where one training serves them all.
    """

    network: Network
    fusion: str
    options: Mapping[str, Any] = {}
    balancer: Callable[[Sequence[str]], Any] | None = None
    modality_dropout: float = 0.0
    holds_out: bool = False
    decisions: Sequence[str] = ()


def _swapped(name: str, **options: Any) -> Method:
    """N2 with another fusion in the place of the paper's."""
    return Method("n2", name, options)


def _balanced(balancer: Callable[[Sequence[str]], Any], *, holds_out: bool = False) -> Method:
    """N2 with another way to join its losses."""
    return Method("n2", "concat", balancer=balancer, holds_out=holds_out)


def _decided(network: Network, *, name: str = "", modality_dropout: float = MODALITY_DROPOUT) -> Method:
    """N1 or N2, whose trained weights decide in three ways."""
    decisions = [f"{name or network}{way}" for way in ("", "_sum_of_softmax", "_witnesses")]
    return Method(network, "witnesses", {"doubt": DOUBT}, modality_dropout=modality_dropout, decisions=decisions)


METHODS: Mapping[str, Method] = {
    "n0": Method("n0", "concat", modality_dropout=MODALITY_DROPOUT),
    "n1": _decided("n1"),
    "n2": _decided("n2"),
    "all_views": _decided("n2", name="n2_all_views", modality_dropout=0.0),
    "sum": _swapped("sum"),
    "weighted": _swapped("weighted"),
    "gmu": _swapped("gmu"),
    "film": _swapped("film"),
    "tfn": _swapped("tfn"),
    "lmf": _swapped("lmf"),
    "mult": _swapped("mult", width=16, layers=1, heads=2),
    "mbt": _swapped("mbt", width=32, layers=1),
    "late_mean": _swapped("late", rule="mean"),
    "late_product": _swapped("late", rule="product"),
    "late_weighted": _swapped("late", rule="weighted"),
    "tmc": Method("n0", "tmc", {"annealing": 10}),
    "fixed": _balanced(lambda views: Fixed(weights=dict.fromkeys(views, 1 / len(views)))),
    "uncertainty": _balanced(lambda views: Uncertainty()),
    "gradient_blending": _balanced(lambda views: GradientBlending(), holds_out=True),
    "ogm_ge": _balanced(lambda views: OGMGE()),
    "pmr": _balanced(lambda views: PMR()),
    "mmpareto": _balanced(lambda views: MMPareto()),
}
"""By name; single views come on top, as ``only_VIEW``."""


def method_of(name: str) -> Method:
    """What the name stands for; a single view is N0 with one branch."""
    return METHODS[name] if name in METHODS else Method("n0", "concat")


def accuracies(split: Split, name: str, seed: int, *, small: bool = False) -> dict[str, dict[str, float]]:
    """Trains a method, or a single view, and gives for each of its decisions the accuracy, normal and conflicting.

    Of two classes also F1 of the second and the area under the ROC curve, on normal views: what MOGONET's table has.
    """
    views = [name.removeprefix("only_")] if name.startswith("only_") else list(split.train.views)
    method = method_of(name)
    model = trained(split, views, method, seed, epochs=SMALL_EPOCHS if small else int(RECIPE["epochs"]))
    found: dict[str, dict[str, float]] = {}
    for condition in ("normal", "conflicting"):
        part: Part = getattr(split, condition)
        for decision, probabilities in decided(model, part, views, method.decisions or (name,)).items():
            told = probabilities.argmax(1).numpy()
            scores = found.setdefault(decision, {})
            scores[condition] = float((told == part.labels).mean())
            if split.classes == 2 and condition == "normal":
                odds = (probabilities[:, 1] - probabilities[:, 0]).numpy()
                scores["f1"] = float(f1_score(part.labels, told))
                scores["auc"] = float(roc_auc_score(part.labels, odds))
    return found


def trained(split: Split, views: Sequence[str], method: Method, seed: int, *, epochs: int) -> MRPN:
    """A model after all epochs; nothing is selected on the way."""
    torch.manual_seed(seed)
    model, objective = built(split, views, method)
    rows = np.random.default_rng(seed).permutation(len(split.train.labels))
    held = len(rows) // 10 if method.holds_out else 0
    dropout = ModalityDropout(dict.fromkeys(views, method.modality_dropout)) if method.modality_dropout else None
    fit(
        model, objective, split, views, rows, seed, epochs=epochs, held=held, augmentation=Augmentation(dropout=dropout)
    )
    return model.eval()


def built(split: Split, views: Sequence[str], method: Method) -> tuple[MRPN, Objective]:
    """A method's network, with weights drawn from torch's generator, and what it is trained on."""
    corpus = split.train.corpus(split.classes)
    smoothing = float(RECIPE["label_smoothing"])
    targets, width = {"label": Classification(split.classes, label_smoothing=smoothing)}, int(RECIPE["width"])
    facts: dict[str, Any] = {"features": [width] * len(views), "targets": {"label": split.classes}}
    if "sequences" in getattr(FUSIONS[method.fusion], "reads", ()):
        facts["sequences"] = [width] * len(views)
    fusion: nn.Module = FUSIONS[method.fusion](
        **facts, hidden=RECIPE["hidden"], dropout=RECIPE["dropout"], **method.options
    )
    branches = {
        view: Branch(
            MLP(corpus.features(view), hidden=[width, width], dropout=float(RECIPE["branch_dropout"])), Last(width)
        )
        for view in views
    }
    model = MRPN(branches, {"label": split.classes}, network=method.network, fusion=fusion)
    objective = Objective(
        targets,
        balancer=method.balancer(views) if method.balancer is not None else None,
        criterion=getattr(fusion, "criterion", None),
    )
    return model, objective


def fit(
    model: nn.Module,
    objective: Objective,
    split: Split,
    views: Sequence[str],
    rows: NDArray[np.int64],
    seed: int,
    *,
    epochs: int,
    held: int = 0,
    augmentation: Augmentation | None = None,
) -> None:
    """Trains on the rows of the training part, but for the first ``held``, which balancers validate on."""
    corpus = split.train.corpus(split.classes)
    size = even_batch_size(len(rows) - held, int(RECIPE["batch_size"]))
    batches = loader(
        CorpusDataset(corpus, rows[held:], modalities=views, augmentation=augmentation or Augmentation(), seed=seed),
        size,
        shuffle_seed=seed,
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), float(RECIPE["learning_rate"]), weight_decay=float(RECIPE["weight_decay"]), fused=True
    )
    trainer = Trainer(
        model,
        objective,
        batches,
        loader(CorpusDataset(corpus, rows[:held], modalities=views), size) if held else None,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, float(RECIPE["learning_rate"]), total_steps=len(batches) * epochs, pct_start=0.2
        ),
        epochs=epochs,
        cpu=True,
    )
    trainer.fit(keep="last")


@torch.no_grad()
def decided(
    model: MRPN, part: Part, views: Sequence[str], names: Sequence[str], *, corrected: bool = False
) -> dict[str, Tensor]:
    """Probabilities (n, C), or what is in their place, of each decision that the model's scores allow.

    ``corrected``: its side scores read f' behind the residual perceptrons, as some variants do.
    """
    inputs = {view: Sequences.vectors(torch.from_numpy(part.views[view])) for view in views}
    if not isinstance(model.fusion, Witnesses):
        return {names[0]: model(inputs).fused["label"]}
    features = model.features(inputs)
    if corrected:
        features = features._replace(normalised=features.corrected)
    fused = torch.softmax(
        model.fusion.concat([features.corrected[v] for v in views], [None] * len(views))["label"], dim=1
    )
    output = model.score(features, sides=True)
    sides = torch.stack([torch.softmax(scores["label"], dim=1) for scores in output.branches.values()])
    return dict(zip(names, (fused, fused + sides.sum(0), output.fused["label"]), strict=True))

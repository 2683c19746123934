"""The commands ``python -m examples.aver pretrain fer2013`` and ``pretrain speakers``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

pretrain = typer.Typer(
    name="pretrain",
    help="Initial weights of the visual network (FER-2013) and of the one for speech (speaker recognition).",
    no_args_is_help=True,
)

Data = Annotated[Path, typer.Option("--data", help="The data set.")]
Seed = Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")]
Result = Annotated[Path | None, typer.Option("--result", help="Also write a result file (JSON).")]
Small = Annotated[bool, typer.Option("--small", help="Few samples and epochs: does everything work?")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, …; auto: a GPU where there is one.")]
Precision = Annotated[
    Literal["auto", "bfloat16", "float32"],
    typer.Option("--precision", help="Of the computation; auto: bfloat16 where the device computes in it."),
]


@pretrain.command()
def fer2013(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, metrics and curve.")] = Path(
        "runs/pretrain/fer2013"
    ),
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            help="Pixels and epochs; default: 48:11,64:19. After a slash those of another cycle of learning.",
            metavar="S:N,…",
        ),
    ] = None,
    augmentation: Annotated[
        Literal["mild", "full"], typer.Option("--augmentation", help="full: larger changes, for a long training.")
    ] = "mild",
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=2, help="Faces a step; default: 128.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=0, help="At the peak of the first cycle; default: 0.002.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0, help="Begins no epoch that would end later; default: trains all."),
    ] = None,
    mixing: Annotated[float, typer.Option("--mixing", min=0, help="The alpha of mixup; 0: none.")] = 0.0,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    small: Small = False,
    result: Result = None,
) -> None:
    """Trains ResNet-18 on FER-2013; goes on where it was stopped.

    DATA is fer2013.npz, the original fer2013.csv, or the folder with train/angry/….png and so on.

    Example: python -m examples.aver pretrain fer2013 --data fer2013.csv
    """
    from dataclasses import replace

    from examples.aver.pretrain.fer2013 import FaceRecipe, small_faces, train_faces
    from examples.aver.pretrain.outcomes import conclude_faces
    from examples.aver.pretrain.warp import Warp, mild

    device, recipe = _runs_on(device), FaceRecipe()
    recipe = replace(
        recipe,
        cycles=_cycles(sizes) if sizes else recipe.cycles,
        warp=mild() if augmentation == "mild" else Warp(),
        training=replace(
            recipe.training,
            batch_size=batch_size or recipe.training.batch_size,
            learning_rate=learning_rate or recipe.training.learning_rate,
            mixing=mixing,
            seed=seed,
            precision=_computed_in(precision, device),
        ),
    )
    if small:
        recipe = small_faces(recipe)
    outcome = train_faces(data, out, recipe, device=device, minutes=minutes, most=200 if small else None)
    conclude_faces(outcome, out, result)


@pretrain.command()
def speakers(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, metrics and curve.")] = Path(
        "runs/pretrain/speakers"
    ),
    hop: Annotated[int | None, typer.Option("--hop", help="Samples between frames; the paper's: 64.")] = None,
    bands: Annotated[int | None, typer.Option("--bands", help="Height of a segment; the paper's: 256.")] = None,
    scale: Annotated[Literal["linear", "log", "mel"] | None, typer.Option("--scale", help="Of the segments.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Default: the recipe's.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    small: Small = False,
    result: Result = None,
) -> None:
    """Trains ResNet-18 to tell speakers by spectrogram segments; goes on where it was stopped.

    DATA is a folder with speakers.csv (file, speaker), or one laid out as VoxCeleb is: id10001/VIDEO/00001.wav or .m4a.

    Example: python -m examples.aver pretrain speakers --data /path/to/voxceleb
    """
    from dataclasses import replace

    from examples.aver.pretrain.outcomes import conclude_speakers
    from examples.aver.pretrain.speakers import SpeakerRecipe, train_speakers

    device, recipe = _runs_on(device), SpeakerRecipe()
    recipe = replace(
        recipe,
        hop=hop or recipe.hop,
        bands=bands or recipe.bands,
        scale=scale or recipe.scale,
        epochs=2 if small else epochs or recipe.epochs,
        training=replace(
            recipe.training,
            seed=seed,
            precision=_computed_in(precision, device),
            batch_size=16 if small else recipe.training.batch_size,
        ),
    )
    conclude_speakers(train_speakers(data, out, recipe, device=device, most=400 if small else None), out, result)


def _runs_on(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _computed_in(precision: Literal["auto", "bfloat16", "float32"], device: str) -> Literal["bfloat16", "float32"]:
    from mrpnkit.extractors import suited_precision

    return suited_precision(device) if precision == "auto" else precision


def _cycles(text: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    try:
        cycles = [[tuple(map(int, pair.split(":"))) for pair in part.split(",")] for part in text.split("/")]
        found = tuple(tuple((size, epochs) for size, epochs in cycle) for cycle in cycles)
    except ValueError as error:
        raise typer.BadParameter(f"expected such as 40:5,48:7,64:15, got {text}", param_hint="--sizes") from error
    if min(min(pair) for cycle in found for pair in cycle) < 1:
        raise typer.BadParameter(f"expected numbers of at least 1, got {text}", param_hint="--sizes")
    return found

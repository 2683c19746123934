"""The commands ``python -m examples.aver pretrain fer2013`` and ``pretrain speakers``."""

from pathlib import Path
from typing import Annotated

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
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, …")]


@pretrain.command()
def fer2013(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, metrics and curve.")] = Path(
        "runs/pretrain/fer2013"
    ),
    seed: Seed = 0,
    device: Device = "cpu",
    small: Small = False,
    result: Result = None,
) -> None:
    """Trains ResNet-18 on FER-2013; goes on where it was stopped.

    DATA is fer2013.npz, the original fer2013.csv, or the folder with train/angry/….png and so on.

    Example: python -m examples.aver pretrain fer2013 --data fer2013.csv
    """
    from dataclasses import replace

    from examples.aver.pretrain.fer2013 import FaceRecipe, small_faces, train_faces

    recipe = FaceRecipe()
    recipe = replace(recipe, training=replace(recipe.training, seed=seed))
    outcome = train_faces(data, out, small_faces(recipe) if small else recipe, device=device)
    from examples.aver.pretrain.outcomes import conclude_faces

    conclude_faces(outcome, out, result)

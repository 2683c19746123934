"""The commands ``prepare-movies`` and ``download`` of ``python -m examples.aver``."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

Data = Annotated[Path, typer.Option("--data", help="Folder with the movies of RAVDESS or CREMA-D.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Folder that everything is written to.")]
SourceName = Annotated[
    Literal["ravdess", "cremad"] | None, typer.Option("--source", help="Default: found out by the movies' names.")
]
SoundFrom = Annotated[
    Literal["movie", "recording"],
    typer.Option("--sound", help="The movie's own, or the data set's recording of the same take where there is one."),
]
LabelsOf = Annotated[
    Literal["intended", "crowd"], typer.Option("--labels", help="Of CREMA-D: what was asked for, or what was seen.")
]
DetectorName = Annotated[str, typer.Option("--detector", help="dlib_cnn, dlib_hog, or none for cropped faces.")]
Size = Annotated[Literal["112", "224"], typer.Option("--size", help="Pixels of a side of the crops.")]


def add_commands(app: typer.Typer, console: Console) -> None:
    """Adds the commands to an application."""

    @app.command("prepare-movies")
    def prepare_movies_command(
        data: Data,
        out: Out = Path("runs/movies"),
        source: SourceName = None,
        sound: SoundFrom = "movie",
        labels: LabelsOf = "intended",
        detector: DetectorName = "dlib_cnn",
        size: Size = "112",
        margin: Annotated[
            float, typer.Option("--margin", min=0, help="Around a face, in parts of its side; none for 'none'.")
        ] = 0.2,
        rate: Annotated[float, typer.Option("--rate", min=0.1, help="Frames a second of the corpus.")] = 29.97,
        key_seconds: Annotated[
            float, typer.Option("--key-seconds", min=0.01, help="Between pictures in which the face is searched.")
        ] = 0.75,
        workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: cores.")] = None,
        keep_clips: Annotated[
            bool, typer.Option("--keep-clips", help="Keep the clips' files, for a data set that is still growing.")
        ] = False,
    ) -> None:
        """Crops the face of every movie and reads its sound, once, into OUT/corpus, with a report on every clip.

        It can be stopped at any moment; the same command goes on with the clips that are not done.

        Examples:
            python -m examples.aver prepare-movies --data /path/to/ravdess --out runs/movies
            python -m examples.aver prepare-movies --data /path/to/CREMA-D --labels crowd --size 224
        """
        from examples.aver.faces import FaceSettings
        from examples.aver.preparation.dataset import prepare_movies
        from examples.aver.preparation.movie import MovieSettings
        from examples.aver.sources import read_movies

        inventory = read_movies(data, source=source, sound=sound, labels=labels)
        faces = FaceSettings(size=int(size), margin=margin, key_seconds=key_seconds).with_detector(detector)
        settings = MovieSettings(faces=faces, rate=rate)
        corpus = prepare_movies(inventory, out, settings, console, workers=workers, keep_clips=keep_clips)
        console.print(f"{corpus!r}, in {out / 'corpus'}", soft_wrap=True)

    @app.command()
    def download(
        name: Annotated[Literal["ravdess", "cremad"], typer.Argument(help="Which data set.")],
        out: Out = Path("data"),
        actors: Annotated[
            str, typer.Option("--actors", help="Only these, such as 1,2,3 of RAVDESS or 1001,1002 of CREMA-D.")
        ] = "",
        keep_archives: Annotated[
            bool, typer.Option("--keep-archives", help="Keep the archives of RAVDESS once they are unpacked.")
        ] = False,
    ) -> None:
        """Fetches the movies of RAVDESS (some 13 GB) or CREMA-D, checked, and goes on where it was stopped.

        Examples:
            python -m examples.aver download ravdess --out data/ravdess --actors 1,2
            python -m examples.aver download cremad --out data/cremad
        """
        from examples.aver.sources.download import download_cremad, download_ravdess

        chosen = tuple(filter(None, (actor.strip() for actor in actors.split(","))))
        if name == "ravdess":
            download_ravdess(out, console, actors=chosen, keep_archives=keep_archives)
        else:
            download_cremad(out, console, actors=chosen)

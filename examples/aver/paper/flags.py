"""What the commands ``table`` and ``system`` take on the command line about the paper's system, written once."""

import inspect
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from examples.aver.paper.options import Options, Scale, Schedule, System, Weights
from mrpnkit.errors import InputError
from mrpnkit.extractors import suited_precision

PANEL = "The paper's system on pixels and sound"
MOST_READERS = 12
READER_BYTES = 512 * 2**20
"""Two batches of sixteen whole clips of 224×224 frames, which a reader is ahead."""
SHARED = Path("/dev/shm")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Each field is an option of the command line, with its default and its help."""

    options: Annotated[
        str,
        typer.Option(
            "--options", help="Of IA, VA or none; AO or WO; T or NT; lstm, bilstm or transformer: such as VA+WO. A "
            "table's rows overrule what they are about.", rich_help_panel=PANEL,
        ),
    ] = ""  # fmt: skip
    pairing: Annotated[
        float, typer.Option("--pairing", min=0, max=1, help="Share of voices from other clips of the class.",
                            rich_help_panel=PANEL),
    ] = 0.0  # fmt: skip
    cnn: Annotated[
        str, typer.Option("--cnn", help="Network of timm for both CNNs.", rich_help_panel=PANEL)
    ] = "resnet18"  # fmt: skip
    size: Annotated[
        int | None, typer.Option("--size", min=16, help="Resize frames to this many pixels.", rich_help_panel=PANEL)
    ] = None
    fps: Annotated[
        float | None, typer.Option("--fps", help="Thin frames to about so many a second.", rich_help_panel=PANEL)
    ] = None
    scale: Annotated[Scale, typer.Option("--scale", help="Of the spectrogram.", rich_help_panel=PANEL)] = "log"
    bands: Annotated[
        int, typer.Option("--bands", min=8, help="Height of a segment's picture.", rich_help_panel=PANEL)
    ] = 256
    spectrogram_hop: Annotated[
        int, typer.Option("--spectrogram-hop", min=1, help="Samples between its columns.", rich_help_panel=PANEL)
    ] = 64
    video_weights: Annotated[
        str | None, typer.Option("--video-weights", help="safetensors of `pretrain fer2013`.", rich_help_panel=PANEL)
    ] = None
    audio_weights: Annotated[
        str | None, typer.Option("--audio-weights", help="safetensors of `pretrain speakers`.", rich_help_panel=PANEL)
    ] = None
    frozen: Annotated[
        bool, typer.Option("--frozen", help="CNNs stay as they are; their features are computed once.",
                           rich_help_panel=PANEL),
    ] = False  # fmt: skip
    precision: Annotated[
        Literal["auto", "bfloat16", "float32"],
        typer.Option("--precision", help="Of the computation; auto: bfloat16 where the machine computes in it.",
                     rich_help_panel=PANEL),
    ] = "auto"  # fmt: skip
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Less memory for more computing.", rich_help_panel=PANEL)
    ] = False
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips of a batch.", rich_help_panel=PANEL)] = (
        16
    )
    frozen_epochs: Annotated[
        int,
        typer.Option("--frozen-epochs", min=0, help="CNNs rest at first, for so many epochs.", rich_help_panel=PANEL),
    ] = 0
    epochs_per_stage: Annotated[
        int,
        typer.Option("--epochs-per-stage", min=0, help="Then a stage more trains every so many epochs; 0: all at once.",
                     rich_help_panel=PANEL),
    ] = 0  # fmt: skip
    readers: Annotated[
        int | None,
        typer.Option("--readers", min=0, help="Processes that read clips ahead; default: 0, on CUDA a training's share "
                     "of the cores, up to 12.", rich_help_panel=PANEL),
    ] = None  # fmt: skip


def changed(flags: Flags) -> list[str]:
    """Options that are not as they are by default, as they are typed.

    >>> changed(Flags(options="VA+WO", batch_size=8))
    ['--options', '--batch-size']
    """
    return [
        f"--{field.name.replace('_', '-')}" for field in fields(Flags) if getattr(flags, field.name) != field.default
    ]


def refuse_pixels(options: list[str]) -> None:
    """Refuses options that the comparison on landmarks + speech, `table` without a number, would not heed.

    Raises:
        InputError: there are some.
    """
    if options:
        many = len(options) > 1
        raise InputError(
            f"{', '.join(options)} {'are options' if many else 'is an option'} of the paper's tables, on pixels and "
            "sound; `table` without a number compares networks on landmarks + speech, and does not know "
            f"{'them' if many else 'it'}. Name a table, such as `table 2`, or leave "
            f"{'them' if many else 'it'} out"
            + ("; the comparison's own short run is `demo --small`." if "--small" in options else ".")
        )


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer is to see it: in place of its parameter ``flags`` stand the fields of :class:`Flags`."""
    signature = inspect.signature(command)
    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.annotation is Flags:
            shown += [
                inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                                  annotation=field.type)
                for field in fields(Flags)
            ]  # fmt: skip
        else:
            shown.append(parameter)

    @wraps(command)
    def run(**given: Any) -> None:
        flags = Flags(**{field.name: given.pop(field.name) for field in fields(Flags)})
        command(**given, flags=flags)

    run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return run


def default_readers(trainings: int, *, frozen: bool = False) -> int:
    """Processes that read ahead for each of so many trainings at once, where nothing is said.

    A GPU computes a batch in less than a second whose frames take a core ten to augment. So there a training has its
    share of the cores, up to twelve, as far as there is shared memory for what they have read. On a CPU computing takes
    much longer than reading and needs the cores, and features of frozen CNNs are read in no time.
    """
    import torch

    if frozen or not torch.cuda.is_available():
        return 0
    room = shutil.disk_usage(SHARED).free / READER_BYTES / trainings if SHARED.is_dir() else MOST_READERS
    return min(MOST_READERS, max(1, (os.cpu_count() or 1) // trainings), int(room))


def chosen(*, flags: Flags, epochs: int | None, small: bool, trainings: int = 1) -> tuple[Options, System, Schedule]:
    """What the command line says, as the three parts of a job; ``trainings`` are at once on this machine."""
    start = Options(pairing=flags.pairing, image="none" if flags.frozen else "VA")
    system = System(
        cnn="test_resnet" if small else flags.cnn,
        features=32 if small else 256,
        size=flags.size,
        frames_per_second=flags.fps or (5.0 if small else None),
        scale=flags.scale,
        bands=64 if small else flags.bands,
        hop=320 if small else flags.spectrogram_hop,
        weights=Weights(flags.video_weights, flags.audio_weights),
        frozen=flags.frozen,
        precision=suited_precision() if flags.precision == "auto" else flags.precision,
        checkpointing=flags.checkpointing,
    )
    schedule = Schedule(
        epochs=epochs or (2 if small else Schedule().epochs),
        batch_size=flags.batch_size,
        frozen_epochs=flags.frozen_epochs,
        epochs_per_stage=flags.epochs_per_stage,
        workers=default_readers(trainings, frozen=flags.frozen) if flags.readers is None else flags.readers,
    )
    return Options.parse(flags.options, start), system, schedule

"""Gradual unfreezing: the CNNs rest for some epochs, then train, stage by stage from the output on."""

from torch import nn

from examples.aver.paper.options import Schedule
from mrpnkit.errors import InputError
from mrpnkit.extractors import FramesTimm
from mrpnkit.extractors.spectrogram_timm import SpectrogramTimm
from mrpnkit.extractors.timm_networks import stages_of_timm
from mrpnkit.mrpn import MRPN


def frozen_stages(schedule: Schedule, epoch: int, stages: int) -> int:
    """How many of the stages, from the input on, are not trained in an epoch, counted from 0.

    >>> schedule = Schedule(frozen_epochs=2, epochs_per_stage=3)
    >>> [frozen_stages(schedule, epoch, 5) for epoch in (0, 1, 2, 4, 5, 13, 14, 99)]
    [5, 5, 4, 4, 3, 1, 0, 0]
    """
    if epoch < schedule.frozen_epochs:
        return stages
    if not schedule.epochs_per_stage:
        return 0
    return max(0, stages - 1 - (epoch - schedule.frozen_epochs) // schedule.epochs_per_stage)


def freeze_for(model: nn.Module, schedule: Schedule, epoch: int) -> dict[str, int]:
    """Freezes the CNNs of a network as the schedule has it in an epoch; returns the frozen stages by branch.

    Raises:
        InputError: an extractor that cannot be frozen by stages.
    """
    if not isinstance(model, MRPN):
        raise InputError(f"freeze_for: {type(model).__name__} is no MRPN.")
    found = {}
    for name, branch in model.branches.items():
        extractor = branch.extractor
        if not isinstance(extractor, FramesTimm | SpectrogramTimm):
            raise InputError(f"Branch {name!r}: {type(extractor).__name__} has no stages to freeze.")
        stages = len(stages_of_timm(extractor.network))
        found[name] = frozen_stages(schedule, epoch, stages)
        extractor.refreeze("all" if found[name] == stages else found[name])
    return found


def is_gradual(schedule: Schedule) -> bool:
    """Whether anything is frozen at any time."""
    return bool(schedule.frozen_epochs or schedule.epochs_per_stage)

"""Where a training runs: Hugging Face accelerate's state, of which a process has one."""

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DataLoaderConfiguration
from accelerate.utils.environment import parse_flag_from_env

from mrpnkit.errors import InputError


def accelerator(*, cpu: bool) -> Accelerator:
    """The accelerator of a training: batches are split over processes, and no precision but the trainer's is used.

    accelerate keeps one state a process, so that a second accelerator is silently like the first. Where one process
    runs and another device is wanted, that state is made anew; what was trained before keeps its own device.

    Args:
        cpu: stay on the CPU although there is a GPU.

    Raises:
        InputError: several processes run on another device already, or an accelerator that somebody made before in
            this process computes in a mixed precision.
    """
    if PartialState._shared_state:
        _check_precision()
        _make_way(cpu=cpu or parse_flag_from_env("ACCELERATE_USE_CPU"))
    return Accelerator(cpu=cpu, mixed_precision="no", dataloader_config=DataLoaderConfiguration(split_batches=True))


def _check_precision() -> None:
    """Raises InputError where the state of this process has a mixed precision, which an Accelerator of ours has not."""
    precision = AcceleratorState._shared_state.get("_mixed_precision", "no")
    if precision != "no":
        raise InputError(
            f"Trainer: an Accelerator of this process computes in mixed_precision={precision!r}, and accelerate allows "
            "one precision a process; expected 'no'. Make it with mixed_precision='no' and give the trainer its "
            "precision, 'float32' or 'bfloat16'."
        )


def _make_way(*, cpu: bool) -> None:
    """Forgets accelerate's state where it stands on another device than the one that is wanted."""
    state = PartialState()
    if state.device.type == "cpu" if cpu else not state._cpu:
        return
    if state.num_processes > 1:
        wanted = "the CPU" if cpu else "a GPU, where there is one"
        raise InputError(
            f"Trainer: cpu={cpu} asks for {wanted}, and the {state.num_processes} processes of this run are already "
            f"joined on {state.device}. Several processes have one device each for good: give every Trainer of the run "
            "the same cpu."
        )
    AcceleratorState._reset_state(reset_partial_state=True)

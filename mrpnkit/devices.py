"""CUDA devices that several processes of one pool take in turn."""

import os
from collections.abc import Sequence
from typing import Any


def cuda_devices() -> list[str]:
    """The CUDA devices of this process, as ``CUDA_VISIBLE_DEVICES`` calls them: numbers, or UUIDs such as MIG's.

    None where there is one alone, which needs no turns. Found out in the first process, since one in which they were
    counted may heed the variable no more.
    """
    import torch

    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = given[:count] or [str(number) for number in range(count)]
    return names if len(names) > 1 else []


def begin(turn: Any, threads: int, devices: Sequence[str]) -> None:
    """In a new process, before it knows of any GPU: its threads, and its device where there are several.

    Args:
        turn: a ``multiprocessing.Value`` of the pool, the number of processes that have begun.
        threads: of this process.
        devices: of :func:`cuda_devices`, in the process that made the pool.
    """
    import torch

    with turn.get_lock():
        number = turn.value
        turn.value += 1
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    torch.set_num_threads(threads)

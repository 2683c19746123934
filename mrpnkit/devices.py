"""What the processes of a pool do first: follow the one that made it, and take its CUDA devices in turn."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import parent_process
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


def join(threads: int = 1, stop: Any = None, turn: Any = None, devices: Sequence[str] = ()) -> None:
    """What a process of a pool does first: it follows the one that made it, and takes its threads and its device.

    Args:
        threads: of this process.
        stop: as of :func:`follow`.
        turn: as of :func:`begin`; without it the process takes no device.
        devices: as of :func:`begin`.
    """
    import torch

    follow(stop)
    if turn is None:
        torch.set_num_threads(threads)
    else:
        begin(turn, threads, devices)


def follow(stop: Any = None) -> None:
    """In a new process: Ctrl-C is for the first one to answer, and the end of that one, however it came, is its own.

    Args:
        stop: a ``multiprocessing.RawValue`` that the first one sets to 1 where the others are to end at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_first, args=(stop,), daemon=True).start()


def _end_with_first(stop: Any) -> None:
    """Ends this process when the first one has ended or asks for it; files are whole or not there at any moment."""
    first = parent_process()
    while not (stop is not None and stop.value) and first is not None and first.is_alive():
        time.sleep(0.2)
    os._exit(1)

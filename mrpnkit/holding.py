"""A folder that one process alone works in, by a lock that the system lets go when the process ends, however it ends.

Where the system or the file system has no such locks, as on Windows, nothing is known about other processes.
"""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mrpnkit.errors import RunError

if sys.platform != "win32":
    import fcntl

HELD = (errno.EWOULDBLOCK, errno.EACCES)
PATIENCE = 15.0
"""Seconds. Processes that read ahead hold the lock, too, until they notice that the one they work for was killed."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Works in a folder alone; it is made if it does not exist.

    Raises:
        RunError: another process works in it, for longer than :data:`PATIENCE`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, time.monotonic() + PATIENCE)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for processes that were forked meanwhile
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, until: float) -> None:
    """Locks where there are locks; waits until then for others."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:
                return
            if time.monotonic() > until:
                raise RunError(
                    f"Another process works in {folder}. Wait until it has ended, or choose another folder (--out)."
                ) from error
            time.sleep(0.2)
        else:
            return

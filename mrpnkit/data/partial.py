"""A folder that one writer alone writes to and that gets its name when it is whole; dead writers' are cleared away.

Beside a target ``NAME`` lies ``NAME.TOKEN.partial`` for every process that is writing it, with a token of its own. A
writer holds a lock on its folder, which the system lets go when the process ends, however it ends. So a folder whose
lock can be had is a dead writer's, on whatever machine that ran. Where the system or the file system has no such locks,
as on Windows, nothing is known about others, and what a killed writer left stays until somebody removes it.
"""

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrpnkit.errors import CorpusError

if sys.platform != "win32":
    import fcntl


class Partial:
    """The folder of one writer: made when this is built, then either named or removed.

    Args:
        target: the name that the folder is to get. What dead writers of it left is removed.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target)
        while True:
            self.path = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
            self.path.mkdir()
            self._lock = _lock(self.path, wait=True)
            if self.path.exists():  # not cleared away by another in the moment before it was locked
                break
            self.close()

    def name(self) -> None:
        """Gives the folder its name, at once and whole.

        Raises:
            CorpusError: something has got that name meanwhile; it is left as it is.
        """
        try:
            self.path.rename(self.target)
        except OSError as error:
            if not self.target.exists():
                raise
            raise CorpusError(
                f"{self.target} was not there before and is now: another process made it meanwhile. It is left as it "
                "is, and what this process wrote is removed. Give the command again to go on with what is there, or "
                "choose another folder."
            ) from error

    def close(self) -> None:
        """Removes the folder unless it has its name, and lets go of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for this folder, which must exist.

    Where the system has no locks on folders the block runs without one.
    """
    lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _clear(target: Path) -> None:
    """Removes folders of dead writers, and the one without a token that earlier versions left."""
    pattern = re.compile(re.escape(target.name) + r"(\.[0-9a-f]{8})?\.partial")
    for path in target.parent.iterdir():
        if pattern.fullmatch(path.name) and path.is_dir():
            lock = _lock(path, wait=False)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that holds a folder until it is closed; None where others hold it or there are no such locks."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # it got its name, or was removed, since it was listed
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor

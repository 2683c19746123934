"""What is said where memory runs out."""

import re
from concurrent.futures import BrokenExecutor

READING = re.compile(r"DataLoader worker \(pid|shared memory object|allocate shared memory|write to file </torch")
SHORT = re.compile(r"out of memory|(can't|cannot) allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)


def what_ran_out(error: BaseException) -> str | None:
    """What to do about an error that tells of too little memory, in one line; None for any other.

    torch raises ``OutOfMemoryError`` on a GPU and a plain ``RuntimeError`` on a CPU, NumPy a ``MemoryError``. A process
    that the system ended for its memory breaks the pool that trains in it, or the loader that it reads for.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    said = next(filter(READING.search, lines), None)
    if said is not None:
        return (
            f"A process that reads clips ahead has failed: {said.strip()} If memory, or the shared memory in /dev/shm, "
            "ran out, give fewer --readers, or the container more of it, such as docker run --shm-size 8g."
        )
    if isinstance(error, BrokenExecutor):
        return (
            f"{lines[0]} The system may have ended it because memory ran out: give `table` fewer --workers. What is "
            "trained is not lost; the same command goes on with it."
        )
    said = next(filter(SHORT.search, lines), lines[0] if isinstance(error, MemoryError) else None)
    if said is not None:
        return (
            f"Memory ran out: {said.strip()} Trainings on frames and sound take less with a smaller --batch-size, with "
            "--checkpointing or with --precision bfloat16, each of which needs another --out; `table` takes less with "
            "fewer --workers, too, and then goes on where it was."
        )
    return None

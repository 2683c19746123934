"""Work on many clips in several processes, which survives a clip that ends the process that reads it.

Decoders are libraries in C, and a broken file may bring one down. The others' work goes on: whatever was under way is
tried once more, each alone in a process of its own, and what ends that one too is given back as crashed.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Generic, NamedTuple, TypeVar

from mrpnkit.devices import join

Item = TypeVar("Item")
Result = TypeVar("Result")


class Done(NamedTuple, Generic[Item, Result]):
    """An item and its result; None where it ended its process twice."""

    item: Item
    result: Result | None


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[Done[Item, Result]]:
    """Results in the order in which they are done. Errors that ``function`` raises are raised here.

    Args:
        function: of a module, so that it can be found by another process.
        items: what it is called with; they cross processes.
        workers: processes at once; each has one thread.
    """
    waiting = list(reversed(items))
    suspects: list[Item] = []
    while waiting:
        pool = processes(workers)
        under_way: dict[Future[Result], Item] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < workers:
                    item = waiting.pop()
                    under_way[pool.submit(function, item)] = item
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    yield Done(under_way.pop(future), result)
        except BrokenProcessPool:
            suspects += under_way.values()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for item in suspects:
        yield Done(item, _alone(function, item))


def _alone(function: Callable[[Item], Result], item: Item) -> Result | None:
    with processes(1) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return None


def processes(workers: int) -> ProcessPoolExecutor:
    """A pool whose processes have one thread each, leave Ctrl-C to their parent, and end when it does."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=join)

"""Threads for work that leaves Python's lock: hashing, deflating, reading, writing.

The only place that starts threads for speed. With one lane nothing is threaded: the plain way, of the same results.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

MOST = 8
"""What `auto` stops at: beyond it the disk is the limit, and a backup is a guest on its machine."""

_AHEAD = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lanes_for(jobs: int | None) -> int:
    """The number of threads for a profile's `jobs`; None: as many as there are cores to use, `MOST` at most."""
    return min(usable_cores(), MOST) if jobs is None else jobs


class Lanes:
    """`count` threads. Use as a context manager; what has begun is waited for at its end, the rest is dropped."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None
        self._side = ThreadPoolExecutor(1, thread_name_prefix="side") if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for threads in (self._threads, self._side):
            if threads is not None:
                threads.shutdown(wait=True, cancel_futures=True)

    def aside(self, work: Callable[[Item], object], item: Item) -> Callable[[], object]:
        """Begin `work` in a thread that does one after the other; the result waits for it, and raises as it did."""
        if self._side is None:
            work(item)
            return _nothing
        return self._side.submit(work, item).result

    def ordered(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`work` of each item, in the order of the items.

        `items` is read in the caller's thread, a few ahead: at most two for each thread are begun and not handed out.
        What `work` raises is raised here, in the item's turn; then no further item is begun.
        """
        if self._threads is None:
            yield from map(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._threads.submit(work, item))
                if len(waiting) > _AHEAD * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


class Stopped(Exception):
    """The work beside was told to stop. Never leaves this module."""


class Beside(Generic[Result]):
    """One piece of work in a thread beside the caller's. Use as a context manager: nothing of it runs afterwards.

    `work` is given `still_wanted`, which it calls often; that raises where the caller has given up.
    """

    def __init__(self, work: Callable[[Callable[[], None]], Result]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._done: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, name="beside", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises what the work has raised, if it has."""
        if self._done.done():
            self._done.result()

    def result(self) -> Result:
        """Wait for it. Raises what it raised."""
        return self._done.result()

    def _run(self) -> None:
        try:
            self._done.set_result(self._work(self._still_wanted))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._done.set_exception(error)

    def _still_wanted(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _nothing() -> None:
    """What was begun is done already."""

"""Threads for work that leaves Python's lock: hashing, deflating, reading, writing.

The only place that starts threads for speed. With one lane nothing is threaded: the plain way, of the same results.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from runner.errors import Interrupted

MOST = 8
"""What `auto` stops at: beyond it the disk is the limit, and a backup is a guest on its machine."""

_AHEAD = 2
_SLICE_SECONDS = 0.2

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


class Stopped(Exception):
    """This work was told to end, because what it was for has failed elsewhere."""


class Stop:
    """Tells work in other threads to end: it checks now and then, or says how what it waits for can be ended.

    `above` stops this one, too.
    """

    def __init__(self, above: "Stop | None" = None) -> None:
        self._above = above
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._endings: list[Callable[[], object]] = []

    @property
    def is_set(self) -> bool:
        return self._event.is_set() or (self._above is not None and self._above.is_set)

    def set(self) -> None:
        """May be called again, for what had just begun the last time."""
        self._event.set()
        with self._lock:
            for ending in self._endings:
                ending()

    def check(self) -> None:
        """Raises Stopped once it is set."""
        if self.is_set:
            raise Stopped

    @contextmanager
    def ending(self, ending: Callable[[], object]) -> Iterator[None]:
        """Inside, `set` calls `ending` in its own thread, which must not fail. Raises Stopped when it is set before.

        What then fails in the block is told as Stopped, too; an interruption stays one.
        """
        called = False

        def end() -> None:
            nonlocal called
            called = True
            ending()

        with self._lock:
            self._endings.append(end)
        try:
            self.check()
            yield
        except Exception as error:
            if called and not isinstance(error, Interrupted):
                raise Stopped from None
            raise
        finally:
            with self._lock:
                self._endings.remove(end)


class Lanes:
    """`count` threads. Use as a context manager; what has begun is waited for at its end, the rest is dropped.

    When the end is an error's, `stop` is set first: work that lasts checks it now and then.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.stop = Stop()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None
        self._side = ThreadPoolExecutor(1, thread_name_prefix="side") if count > 1 else None

    @property
    def at_once(self) -> int:
        """How many items `ordered` has asked for and not handed out, at most."""
        return 1 if self._threads is None else _AHEAD * self.count + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.stop.set()
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
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for each in waiting:
                each.cancel()


def _result(future: Future[Result]) -> Result:
    """Its result, in slices where a wait hears no Ctrl-C."""
    while os.name == "nt" and not future.done():
        wait((future,), _SLICE_SECONDS)
    return future.result()


def _nothing() -> None:
    """What was begun is done already."""

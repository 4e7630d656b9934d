"""Flushes many files at once: a file system that is asked by several threads writes its log once for all of them."""

import errno
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_THREADS = 8
_WAITING = 64


class Flushes:
    """Use as a context manager; what was given to it is on the disk when `finish` returns, or it raises OSError."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="flush")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True)

    def add(self, descriptor: int) -> None:
        """Flush and close a file or folder. May raise the OSError of an earlier one."""
        self._waiting.append(self._threads.submit(_flush, descriptor))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def finish(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems have no flush for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)

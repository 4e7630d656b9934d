"""Signals that end a run, held back while something runs that must not be cut short.

It knows the handlers that are there and not who put them there: what arrived is handed to them when the shield goes.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from runner.errors import RunnerError, SeveralFailed

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
Handler = Callable[[int, FrameType | None], Any]


class Shield:
    """Inside, signals that would end the run only call `told`; the first of them takes effect on the way out.

    What its handler raises joins the error that is on its way: neither hides the other. Signals that are ignored or
    end the process at once stay as they are, and outside the main thread there is nothing to hold back.
    """

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self._told = told
        self._before: dict[int, Handler] = {}
        self._arrived: list[tuple[int, FrameType | None]] = []

    def __enter__(self) -> "Shield":
        self._up()
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._down()
        except RunnerError as late:
            if isinstance(error, RunnerError):
                raise SeveralFailed((error, late)) from None
            raise

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let signals through for the time of a block; an exception that one raises leaves through the block."""
        self._down()
        try:
            yield
        finally:
            self._up()

    def _up(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for name in _ENDING:
            number = getattr(signal, name, None)
            handler = None if number is None else signal.getsignal(number)
            if number is not None and callable(handler) and handler != self._hold:
                self._before[number] = handler
                signal.signal(number, self._hold)

    def _down(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            if signal.getsignal(number) == self._hold:
                signal.signal(number, handler)
        arrived, self._arrived = self._arrived, []
        for number, frame in arrived[:1]:
            before[number](number, frame)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append((number, frame))
        self._told()

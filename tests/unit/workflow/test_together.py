"""Two pieces of work at once: both have ended when it returns, and whatever went wrong is told."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from runner.errors import IntegrityError, Interrupted, RunnerError, SeveralFailed, StepFailed, WorkspaceFailed
from runner.events import Event, Logged
from runner.lanes import Stop
from runner.messages import msg
from runner.workflow.together import Work, one_at_a_time, together


class Piece:
    """Waits until it is stopped, or fails once `fails_when` is set, and knows whether it has ended."""

    def __init__(self, error: BaseException | None = None, fails_when: threading.Event | None = None) -> None:
        self.stop = Stop()
        self.began = threading.Event()
        self.ended = False
        self._error = error
        self._fails_when = fails_when

    def run(self) -> None:
        self.began.set()
        try:
            for _ in range(3000):
                if self._error is not None and (self._fails_when is None or self._fails_when.wait(0.01)):
                    raise self._error
                self.stop.check()
                time.sleep(0.01)
            raise AssertionError("it was never stopped")
        finally:
            self.ended = True

    @property
    def work(self) -> Work:
        return Work(self.run, self.stop.set)


def done(log: list[str], name: str) -> Work:
    return Work(lambda: log.append(name), lambda: log.append(f"{name} stopped"))


def test_both_are_done_and_none_is_stopped() -> None:
    log: list[str] = []
    together(done(log, "here"), done(log, "beside"))
    assert sorted(log) == ["beside", "here"]


def test_they_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)
    together(Work(both.wait, both.abort), Work(both.wait, both.abort))


@pytest.mark.parametrize("error", [StepFailed(msg("full")), OSError(28, "full"), ValueError("full")], ids=repr)
@pytest.mark.parametrize("place", ["here", "beside"])
def test_a_failure_of_one_ends_the_other_and_is_told_as_it_is(error: Exception, place: str) -> None:
    other = Piece()
    failing = Piece(error, other.began)
    pieces = (failing, other) if place == "here" else (other, failing)
    with pytest.raises(type(error)) as caught:
        together(pieces[0].work, pieces[1].work)
    assert caught.value is error
    assert other.ended


def test_two_failures_are_both_told() -> None:
    here, beside = StepFailed(msg("the server")), IntegrityError(msg("the media"))
    first = Piece(here)
    second = Piece(beside, first.began)
    with pytest.raises(SeveralFailed) as caught:
        together(first.work, Work(second.run, lambda: None))
    assert caught.value.errors == (here, beside)
    disk = OSError(28, "No space left on device", "/media/x")
    with pytest.raises(SeveralFailed) as caught:
        together(Piece(here).work, Work(Piece(disk).run, lambda: None))
    assert [type(error) for error in caught.value.errors] == [StepFailed, WorkspaceFailed]
    assert "No space left" in str(caught.value.errors[1])


def test_a_bug_is_not_hidden_by_an_error() -> None:
    with pytest.raises(KeyError):
        together(Piece(StepFailed(msg("x"))).work, Work(Piece(KeyError("bug")).run, lambda: None))


@pytest.fixture
def interrupting() -> Iterator[Callable[[], None]]:
    if not hasattr(signal, "setitimer"):
        pytest.skip("a timer of POSIX systems")

    def interrupt(*_: object) -> None:
        raise Interrupted(msg("interrupted"))

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda: os.kill(os.getpid(), signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("is_done", [False, True], ids=["working", "waiting"])
def test_an_interruption_ends_both(interrupting: Callable[[], None], *, is_done: bool) -> None:
    here, beside = Piece(), Piece()
    timer = threading.Timer(0.1, interrupting)
    timer.start()
    with pytest.raises(Interrupted):
        together(Work(lambda: None, lambda: None) if is_done else here.work, beside.work)
    timer.join()
    assert beside.ended


def test_an_interruption_while_a_failure_is_waited_for_is_told_beside_it(interrupting: Callable[[], None]) -> None:
    deaf = threading.Event()

    def run() -> None:
        deaf.wait(0.5)

    timer = threading.Timer(0.2, interrupting)
    timer.start()
    with pytest.raises(RunnerError) as caught:
        together(Piece(StepFailed(msg("first"))).work, Work(run, lambda: None))
    timer.join()
    assert isinstance(caught.value, SeveralFailed)
    assert [type(error) for error in caught.value.errors] == [StepFailed, Interrupted]


@pytest.mark.parametrize("moment", ["start", "set"])
def test_a_signal_between_two_waits_leaves_nobody_alone(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """In the midst of what `together` does by itself: it takes effect when somebody can hear it."""

    def interrupt(*_: object) -> None:
        raise Interrupted(msg("interrupted"))

    main = threading.main_thread().ident
    owner = threading.Thread if moment == "start" else threading.Event
    does = getattr(owner, moment)

    def struck(self: threading.Thread) -> None:
        does(self)
        if threading.get_ident() == main:
            monkeypatch.undo()
            signal.raise_signal(signal.SIGTERM)

    beside = Piece()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(Interrupted):
            monkeypatch.setattr(owner, moment, struck)
            together(Work(lambda: None, lambda: None), beside.work)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert beside.ended


def test_a_reporter_is_told_one_thing_at_a_time() -> None:
    inside = 0
    most = 0

    def slow(_event: Event, /) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1

    report = one_at_a_time(slow)

    def often() -> None:
        for _ in range(20):
            report(Logged(msg("x")))

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1

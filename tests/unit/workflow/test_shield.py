"""Held signals take effect on the way out, once, and neither they nor an error on its way hide the other."""

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from runner.errors import Interrupted, SeveralFailed, StepFailed
from runner.messages import msg
from runner.workflow.shield import Shield


@pytest.fixture(autouse=True)
def _interrupting() -> Iterator[None]:
    """SIGTERM raises Interrupted, every time."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted(msg("interrupted"))

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_waits_for_the_end_and_is_told_at_once() -> None:
    told: list[str] = []
    with pytest.raises(Interrupted):
        with Shield(lambda: told.append("told")):
            interrupt()
            interrupt()
            told.append("went on")
    assert told == ["told", "told", "went on"]
    with pytest.raises(Interrupted):  # the handler is back
        interrupt()


def test_an_error_and_a_signal_are_both_told() -> None:
    with pytest.raises(SeveralFailed) as caught:
        with Shield():
            interrupt()
            raise StepFailed(msg("failed"))
    assert [type(error) for error in caught.value.errors] == [StepFailed, Interrupted]


def test_without_a_signal_an_error_passes_as_it_is() -> None:
    with pytest.raises(StepFailed):
        with Shield():
            raise StepFailed(msg("failed"))


def test_lifted_lets_signals_through_and_holds_them_again_afterwards() -> None:
    done: list[str] = []
    with Shield() as shield:
        with pytest.raises(Interrupted):
            with shield.lifted():
                interrupt()
                done.append("never")
        done.append("shielded")
    assert done == ["shielded"]
    with pytest.raises(Interrupted):
        with Shield() as shield:
            with shield.lifted():
                pass
            interrupt()
            done.append("held")
    assert done == ["shielded", "held"]


def test_what_arrived_before_it_is_lifted_takes_effect_then() -> None:
    done: list[str] = []
    with Shield() as shield:
        interrupt()
        with pytest.raises(Interrupted):
            with shield.lifted():
                done.append("never")
    assert done == []


def test_one_in_another_hands_the_signal_outwards() -> None:
    done: list[str] = []
    with pytest.raises(Interrupted):
        with Shield():
            with Shield():
                interrupt()
            done.append("still shielded")
    assert done == ["still shielded"]


def test_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Shield():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        interrupt()


def test_a_handler_that_was_replaced_inside_is_not_put_back() -> None:
    with Shield():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_another_thread_has_nothing_to_hold_back() -> None:
    done: list[str] = []

    def work() -> None:
        with Shield():
            done.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["done"]

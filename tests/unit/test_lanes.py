"""Work in threads: in order, bounded, and the same with one lane."""

import threading
from collections.abc import Iterator

import pytest

from runner.lanes import MOST, Lanes, Stop, Stopped, lanes_for, usable_cores

BOTH_WAYS = pytest.mark.parametrize("count", [1, 3])


def test_auto_uses_the_cores_there_are_and_no_more_than_a_guest_may() -> None:
    assert lanes_for(None) == min(usable_cores(), MOST)
    assert lanes_for(5) == 5


@BOTH_WAYS
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    with Lanes(count) as lanes:
        assert list(lanes.ordered(lambda number: number * number, range(100))) == [number**2 for number in range(100)]


@BOTH_WAYS
def test_a_failure_comes_in_its_turn_and_ends_it(count: int) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    def work(number: int) -> int:
        if number == 5:
            raise ValueError(number)
        return number

    done: list[int] = []
    with Lanes(count) as lanes, pytest.raises(ValueError, match="5"):
        for number in lanes.ordered(work, items()):
            done.append(number)  # noqa: PERF402 - what came before the failure counts
    assert done == [0, 1, 2, 3, 4]
    assert len(asked) < 20


def test_no_more_is_begun_than_a_few_ahead() -> None:
    begun = 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return number

    with Lanes(2) as lanes:
        results = lanes.ordered(work, range(1000))
        for handed_out in range(50):
            next(results)
            assert begun <= handed_out + 2 * 2 + 1


def test_several_threads_work_at_once() -> None:
    together = threading.Barrier(2, timeout=60)
    with Lanes(2) as lanes:
        assert len(list(lanes.ordered(lambda _number: together.wait(), range(4)))) == 4


@BOTH_WAYS
def test_what_is_done_aside_is_done_in_order_and_tells_its_failure(count: int) -> None:
    done: list[int] = []
    with Lanes(count) as lanes:
        for number in range(20):
            lanes.aside(done.append, number)
        lanes.aside(done.append, 20)()
        assert done == list(range(21))
        with pytest.raises(ZeroDivisionError):
            lanes.aside(lambda number: 1 // number, 0)()


def test_a_stop_ends_what_is_waited_for_and_all_below_it() -> None:
    above = Stop()
    stop = Stop(above)
    stop.check()
    ended = threading.Event()
    with stop.ending(ended.set):
        stop.set()
        assert ended.is_set()
        assert not above.is_set
    with pytest.raises(Stopped):
        stop.check()
    with pytest.raises(Stopped), stop.ending(ended.set):
        raise AssertionError
    other = Stop(above)
    above.set()
    assert other.is_set


def test_an_error_ends_what_the_other_lanes_still_do() -> None:
    begun = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            begun.wait(60)
            raise ValueError
        begun.set()
        while True:  # for ever, as far as it knows
            lanes.stop.check()

    with pytest.raises(ValueError), Lanes(2) as lanes:  # noqa: PT011 - it has no words
        list(lanes.ordered(work, range(2)))


def test_an_end_without_an_error_stops_nothing() -> None:
    with Lanes(2) as lanes:
        list(lanes.ordered(lambda number: number, range(3)))
    assert not lanes.stop.is_set

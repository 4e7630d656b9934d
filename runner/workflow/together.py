"""Two pieces of work at the same time: what goes wrong in one ends the other, and all of it is told.

Signals reach the main thread only, so that the piece that runs there is the one that they interrupt.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.errors import RunnerError, WorkspaceFailed, raise_all
from runner.events import Event, Reporter
from runner.lanes import Stopped
from runner.messages import msg
from runner.workflow.shield import Shield

_SLICE_SECONDS = 0.2
"""Between two times that work is told to stop: it may have begun something else meanwhile. Windows hears no Ctrl-C
during a longer wait."""


@dataclass(frozen=True, slots=True)
class Work:
    """`run` does it; `stop`, in another thread and more than once, makes it raise soon: Stopped, or what went wrong."""

    run: Callable[[], object]
    stop: Callable[[], object]


def together(here: Work, beside: Work) -> None:
    """Run both, `beside` in a thread of its own; when this returns or raises, both have ended.

    Raises what went wrong first, the error of either as it is; of several that are ours SeveralFailed, the one of this
    thread first. OSErrors among those are told as WorkspaceFailed. What is no failure but an end of the process or a
    bug is raised alone.
    """
    wrong: list[BaseException] = []
    wrong_beside: list[BaseException] = []
    ended, ended_beside = threading.Event(), threading.Event()

    def run_beside() -> None:
        try:
            beside.run()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits for this one
            wrong_beside.append(error)
            while not ended.is_set():
                here.stop()
                ended.wait(_SLICE_SECONDS)
        finally:
            ended_beside.set()

    thread = threading.Thread(target=run_beside, name="beside")
    try:
        # A signal takes effect in `here.run` and in the waits, and nowhere between: the other half is never left alone.
        with Shield() as shield:
            thread.start()
            try:
                with shield.lifted():
                    here.run()
            except BaseException as error:  # noqa: BLE001 - raised below, when the other has ended
                wrong.append(error)
            ended.set()
            # Not by `join`: one that a signal's exception leaves takes the thread for ended in Python 3.11 and 3.12.
            while not ended_beside.is_set() and thread.is_alive():
                if wrong:
                    beside.stop()
                try:
                    with shield.lifted():
                        ended_beside.wait(_SLICE_SECONDS)
                except BaseException as error:  # noqa: BLE001 - a signal's
                    wrong.append(error)
    except BaseException as error:  # noqa: BLE001 - a signal's, that came in between
        wrong.append(error)
    _raise([*wrong, *wrong_beside])


def one_at_a_time(reporter: Reporter) -> Reporter:
    """The same reporter, told by one thread at a time. A signal's handler may report while its own thread does."""
    lock = threading.RLock()

    def report(event: Event, /) -> None:
        with lock:
            reporter(event)

    return report


def _raise(errors: Sequence[BaseException]) -> None:
    told = [error for error in errors if not isinstance(error, Stopped)]
    for error in told:
        if len(told) == 1 or not isinstance(error, RunnerError | OSError):
            raise error
    raise_all([_as_ours(error) for error in told])
    if errors:
        raise errors[0]


def _as_ours(error: BaseException) -> RunnerError:
    if isinstance(error, RunnerError):
        return error
    reason = getattr(error, "strerror", None) or str(error)
    return WorkspaceFailed(
        msg("cannot be written: {reason}", reason=reason),
        where=getattr(error, "filename", None),
        hint=msg("free some space there, and check that the folder may be written to; then try again"),
    )

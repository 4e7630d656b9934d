"""Shows events: bars on a terminal, plain lines elsewhere, always on stderr.

Several stages may run at the same time, and events may come from several threads. What advances is counted and no more;
bars are drawn a few times a second, by a thread of their own.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.log import RunLog
from runner.cli.run import print_finding, tell
from runner.cli.settings import Settings
from runner.cli.stages import Stage
from runner.cli.text import printable
from runner.errors import RunnerError
from runner.events import Event, Logged, Noticed, StageAdvanced, StageEnded, StageStarted
from runner.model.plan import Action

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Clock = Callable[[], float]

_DRAWN_A_SECOND = 5
_WIDE = 90
_MIDDLE = 60


@contextlib.contextmanager
def reporter(settings: Settings, logs: Path | None = None) -> Iterator["Lines"]:
    """The reporter that fits the terminal and the options. A run that begins is logged in the folder `logs`."""
    log = None if logs is None else RunLog(logs)
    try:
        if not settings.shows_bars:
            yield Lines(settings, log=log)
        else:
            with _live(time.monotonic) as progress:
                yield Bars(settings, progress, log)
    except RunnerError as error:
        if log is not None:
            log.failed(error.findings)
        raise
    finally:
        if log is not None:
            log.close()


class Lines:
    """A line when a stage begins, and one when it ends that says how much was done in what time, unless it was short.

    Warnings come as they are found. Lines of several threads are never mixed.
    """

    def __init__(self, settings: Settings, clock: Clock = time.monotonic, log: RunLog | None = None) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._stages: dict[Action, Stage] = {}
        self._lock = threading.RLock()

    def __call__(self, event: Event, /) -> None:
        if type(event) is StageAdvanced:  # by far the most frequent one
            stage = self._stages.get(event.action)
            if stage is not None:
                stage.add(event.amount)
            return
        with self._lock:
            if self._log is not None:
                self._log.note(event)
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case Noticed(finding):
                print_finding("warning", finding)
            case StageStarted(action, title, total, unit):
                stage = Stage(printable(title.localized()), total, unit, self._clock())
                self._ended(action)
                self._stages[action] = stage
                self._began(action, stage)
            case StageEnded(action):
                self._ended(action)
            case Logged(message) if self._settings.verbose:
                tell(f"  {printable(message.localized())}")
            case _:
                pass

    def _began(self, _action: Action, stage: Stage) -> None:
        if not self._settings.quiet:
            tell(f"- {stage.title}")

    def _ended(self, action: Action) -> None:
        stage = self._stages.pop(action, None)
        if stage is not None and not self._settings.quiet and (text := stage.end_text(self._clock())) is not None:
            tell(f"- {text}")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal belongs to a question meanwhile."""
        yield


class Bars(Lines):
    """A bar a stage while it runs. Whatever is printed meanwhile goes through them, and `[y/N]` is taken for style."""

    def __init__(self, settings: Settings, progress: "Progress", log: RunLog | None = None) -> None:
        super().__init__(settings, log=log)
        self._progress = progress
        self._tasks: dict[Action, TaskID] = {}

    def _began(self, action: Action, stage: Stage) -> None:
        title = stage.title.replace("[", "\\[")
        self._tasks[action] = self._progress.add_task(title, total=stage.total or None, stage=stage)

    def _ended(self, action: Action) -> None:
        self._stages.pop(action, None)
        if action in self._tasks:
            self._progress.remove_task(self._tasks.pop(action))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


def _live(clock: Clock) -> "Progress":
    """The bars of all stages, drawn from what each stage has counted by then."""
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Live(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            now = clock()
            for task in self.tasks:
                stage: Stage = task.fields["stage"]
                stage.look(now)
                task.completed, task.total = stage.done, stage.known_total
            yield from super().get_renderables()

    class Words(ProgressColumn):
        def __init__(self, words: Callable[[Stage, float], str], width: int) -> None:
            super().__init__(Column(min_width=width, no_wrap=True, justify="right"))
            self._words = words

        def render(self, task: Task) -> Text:
            return Text(self._words(task.fields["stage"], clock()))

    console = Console(stderr=True)
    columns: list[ProgressColumn] = [
        Words(lambda stage, _now: stage.percent_text(), 4),
        BarColumn(bar_width=10, table_column=Column(min_width=10)),
        Words(lambda stage, now: stage.left_text(now), 5),
    ]
    if console.width >= _MIDDLE:
        columns.append(Words(lambda stage, now: stage.rate_text(now), 11))
    if console.width >= _WIDE:
        columns.append(Words(lambda stage, _now: stage.amount_text(), 22))
    # On a narrow terminal it is the words that are cut short, and not what moves.
    description = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns.append(TextColumn("{task.description}", table_column=description))
    return Live(*columns, console=console, transient=True, expand=True, refresh_per_second=_DRAWN_A_SECOND)

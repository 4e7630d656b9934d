"""Shows events: bars on a terminal, plain lines elsewhere, always on stderr."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner.cli.run import print_finding, tell
from runner.cli.settings import Settings
from runner.cli.text import printable
from runner.events import Event, Logged, Noticed, StageAdvanced, StageEnded, StageStarted
from runner.model.plan import Action

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextlib.contextmanager
def reporter(settings: Settings) -> Iterator["Lines"]:
    """The reporter that fits the terminal and the options."""
    if not settings.shows_bars:
        yield Lines(settings)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # On a narrow terminal it is the words that are cut short, and not what moves.
    columns = (
        TextColumn("{task.percentage:>3.0f}%", table_column=Column(min_width=4, no_wrap=True)),
        BarColumn(bar_width=10, table_column=Column(min_width=10)),
        TimeRemainingColumn(compact=True, table_column=Column(min_width=5, no_wrap=True)),
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as progress:
        yield Bars(settings, progress)


class Lines:
    """One line a stage; warnings as they come."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, event: Event, /) -> None:
        match event:
            case Noticed(finding):
                print_finding("warning", finding)
            case StageStarted(title=title) if not self._settings.quiet:
                tell(f"- {printable(str(title))}")
            case Logged(message) if self._settings.verbose:
                tell(f"  {printable(str(message))}")
            case _:
                pass

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal belongs to a question meanwhile."""
        yield


class Bars(Lines):
    """A bar a stage while it runs. Whatever is printed meanwhile goes through them, and `[y/N]` is taken for style."""

    def __init__(self, settings: Settings, progress: "Progress") -> None:
        super().__init__(settings)
        self._progress = progress
        self._tasks: dict[Action, TaskID] = {}

    def __call__(self, event: Event, /) -> None:
        match event:
            case StageStarted(action, title, total):
                self._tasks[action] = self._progress.add_task(printable(str(title)).replace("[", "\\["), total=total)
            case StageAdvanced(action, amount) if action in self._tasks:
                self._progress.advance(self._tasks[action], amount)
            case StageEnded(action) if action in self._tasks:
                self._progress.remove_task(self._tasks.pop(action))
            case Noticed() | Logged():
                super().__call__(event)
            case _:
                pass

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

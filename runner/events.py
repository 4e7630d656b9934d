"""Progress as typed events. Rooms report through a `Reporter`; only `cli` decides how that looks.

A stage begins, advances in its own unit and ends. Nothing waits for a reporter, and none can fail a backup.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from runner.errors import Finding
from runner.messages import Message
from runner.model.plan import Action

Unit = Literal["bytes", "files", "rows"]


@dataclass(frozen=True, slots=True)
class Began:
    """The first event of a run: what it is called and by which id its traces are known."""

    command: str
    run_id: str


@dataclass(frozen=True, slots=True)
class StageStarted:
    """`total` in `unit`s, None where it cannot be known before."""

    action: Action
    title: Message
    total: int | None = None
    unit: Unit = "bytes"


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """`amount` more units are done since the last event."""

    action: Action
    amount: int


@dataclass(frozen=True, slots=True)
class StageEnded:
    action: Action


@dataclass(frozen=True, slots=True)
class Noticed:
    """A warning, at the moment it is found."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Logged:
    """A line for the log: what a tool said, what was cleaned up."""

    message: Message


Event = Began | StageStarted | StageAdvanced | StageEnded | Noticed | Logged


class Reporter(Protocol):
    """Where events go."""

    def __call__(self, event: Event, /) -> None: ...


def silent(_event: Event, /) -> None:
    """A reporter that drops everything."""

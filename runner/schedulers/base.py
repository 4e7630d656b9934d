"""The contract of what starts backups: each system's own timer, which runs one command.

The command is `runner run-due`: it looks whether a backup is due, so a timer that comes too often, late or twice does
no harm. Timers therefore come every hour, at the minute of the schedule: what failed, or was missed, is tried again
by the next one. Some hold one entry a profile, cron one line for a project.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.errors import Finding, Refused, StepFailed
from runner.messages import msg
from runner.model.profile import Schedule

EVERY_MINUTES = 10
"""How often a timer comes where no minute of the hour is known."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be started. `command` begins with the absolute path of a program and is without the profile's name."""

    profile: str
    schedule: Schedule
    root_file: Path
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or another thing of the system, as it is written there."""

    place: str
    content: str


class Scheduler(Protocol):
    """A system's timer."""

    @property
    def name(self) -> str:
        """What `--with` calls it."""
        ...

    def parts(self, job: Job) -> tuple[Part, ...]:
        """What would be there after `install`. Pure."""
        ...

    def install(self, job: Job) -> tuple[Finding, ...]:
        """Put it there, in the place of an earlier one; returns what a person must know. Raises StepFailed, Refused."""
        ...

    def remove(self, job: Job) -> bool:
        """Take it away; whether it was there. Raises StepFailed, Refused."""
        ...

    def installed(self, job: Job) -> tuple[Part, ...]:
        """What is there now; nothing if it is not installed. Raises StepFailed."""
        ...


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raises StepFailed for what the system says of a file of its timers."""
    try:
        yield
    except OSError as error:
        message = msg("the timer cannot be written: {reason}", reason=error.strerror or str(error))
        hint = msg("check the permissions of the folder")
        raise StepFailed(message, where=str(place), hint=hint) from None


def write_text(path: Path, content: str, encoding: str = "utf-8") -> None:
    """Write a file of a timer, its folder too. Raises StepFailed."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding, newline="\n")


def foreign(job: Job, place: str) -> Refused:
    """What to say of a timer of that name that is of another project, or not of runner at all."""
    message = msg("there is one of that name already, and it does not start {root}", root=job.root_file)
    return Refused(message, where=place, hint=msg("remove it, or give this profile another name"))


@contextmanager
def put_back_on_failure(paths: Sequence[Path]) -> Iterator[None]:
    """What the files held before is in them again when the block fails: half a timer is none."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            with suppress(OSError):
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    path.write_bytes(content)
        raise

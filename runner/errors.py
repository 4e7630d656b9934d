"""Every error that runner raises on purpose. Anything else that reaches the user is a bug (exit code 1).

    RunnerError
    ├── UsageError                2    wrong usage
    │   ├── ProfileUnknown             no such profile
    │   └── ArchiveUnknown             no such archive
    ├── ConfigurationInvalid     10    every problem of one or more files
    ├── LockHeld                 11    another run of this profile is going on
    ├── DestinationFailed        12    an archive could not be put, read or listed there
    ├── IntegrityError           13    what was read is not what was written
    │   ├── ArchiveDamaged             an archive does not match its own manifest
    │   ├── DumpIncomplete             the database's tool said it was done, and was not
    │   ├── ReferencesMissing          the database points at files that are not there
    │   └── FileLost                   a referenced file could not be captured whole
    ├── StepFailed               14    a step failed, or what it needs is not there
    │   ├── ApplicationFailed          an application could not say where its data are
    │   ├── ToolFailed                 a child process ended badly
    │   ├── ToolMissing                a child process could not be found
    │   ├── HookFailed                 a program of `hooks` ended badly, took too long or is not there
    │   │   └── NotStartedAgain            it was one of `after_restore`, and the restored state is in
    │   ├── ServerUnavailable          the database server is not there, or went away
    │   ├── SourceMissing              a database file, media root or required folder is not there
    │   ├── SourceUnreadable           a file or folder that belongs in the backup cannot be read
    │   └── WorkspaceFailed            the state folder cannot be written (disk full, read-only, …)
    ├── Refused                  15    not done, on purpose
    │   └── Obstructed                 everything that stands in the way of a restore
    ├── RecoveryNeeded           16    an interrupted restore waits for `runner recover`
    ├── Interrupted             130    SIGINT or SIGTERM
    └── SeveralFailed                  more than one of the above; the exit code of the first

Foreign exceptions (OSError, psycopg.Error, sqlite3.Error, …) are mapped to these at the edge of the room that uses the
library, nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from runner.messages import Message


class ExitCode(IntEnum):
    """The exit codes of every command; `docs/exit-codes.md` explains them."""

    DONE = 0
    BUG = 1
    USAGE = 2
    WARNINGS = 3
    CONFIGURATION = 10
    LOCKED = 11
    DESTINATION = 12
    INTEGRITY = 13
    STEP = 14
    REFUSED = 15
    RECOVERY = 16
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person must read: an error or a warning, with its place and its way out."""

    code: str
    message: Message
    where: str | None = None
    hint: Message | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else str(self.message)


class RunnerError(Exception):
    """The root. `code` names the kind for programs, `exit_code` is what the process ends with."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: Message, *, where: str | None = None, hint: Message | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return str(self.message)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What to show the user; one for most errors."""
        return (Finding(self.code, self.message, self.where, self.hint),)


class UsageError(RunnerError):
    code = "usage"
    exit_code = ExitCode.USAGE


class ProfileUnknown(UsageError):
    code = "usage.profile"


class ArchiveUnknown(UsageError):
    code = "usage.archive"


class ConfigurationInvalid(RunnerError):
    """Every problem that was found, sorted by file and position."""

    code = "configuration"
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, message: Message, problems: Sequence[Finding], *, hint: Message | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.problems or super().findings


class LockHeld(RunnerError):
    code = "locked"
    exit_code = ExitCode.LOCKED


class DestinationFailed(RunnerError):
    code = "destination"
    exit_code = ExitCode.DESTINATION


class IntegrityError(RunnerError):
    code = "integrity"
    exit_code = ExitCode.INTEGRITY


class ArchiveDamaged(IntegrityError):
    """`damage` lists every place that differs, `message` sums it up."""

    code = "integrity.archive"

    def __init__(
        self,
        message: Message,
        damage: Sequence[Finding] = (),
        *,
        where: str | None = None,
        hint: Message | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.damage = tuple(damage)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*super().findings, *self.damage)


class DumpIncomplete(IntegrityError):
    code = "integrity.dump"


class ReferencesMissing(IntegrityError):
    """`missing` holds all of them; the message counts them."""

    code = "integrity.references"

    def __init__(self, message: Message, missing: Sequence[Finding], *, hint: Message | None = None) -> None:
        super().__init__(message, hint=hint)
        self.missing = tuple(missing)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*super().findings, *self.missing)


class FileLost(IntegrityError):
    code = "integrity.file"


class StepFailed(RunnerError):
    code = "step"
    exit_code = ExitCode.STEP


class ApplicationFailed(StepFailed):
    code = "step.application"


class ToolFailed(StepFailed):
    code = "step.tool"


class ToolMissing(StepFailed):
    code = "step.tool-missing"


class HookFailed(StepFailed):
    code = "step.hook"


class NotStartedAgain(HookFailed):
    code = "step.after-restore"


class ServerUnavailable(StepFailed):
    code = "step.server"


class SourceMissing(StepFailed):
    code = "step.source-missing"


class SourceUnreadable(StepFailed):
    code = "step.source-unreadable"


class WorkspaceFailed(StepFailed):
    code = "step.workspace"


class Refused(RunnerError):
    code = "refused"
    exit_code = ExitCode.REFUSED


class Obstructed(Refused):
    """Whatever a preflight found, all at once, each with its own code."""

    def __init__(self, obstacles: Sequence[Finding]) -> None:
        super().__init__(obstacles[0].message, where=obstacles[0].where, hint=obstacles[0].hint)
        self.obstacles = tuple(obstacles)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.obstacles


class RecoveryNeeded(RunnerError):
    code = "recovery-needed"
    exit_code = ExitCode.RECOVERY


class Interrupted(RunnerError):
    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class SeveralFailed(RunnerError):
    """More than one error, none of which hides another."""

    code = "several"

    def __init__(self, errors: Sequence[RunnerError]) -> None:
        super().__init__(errors[0].message, where=errors[0].where, hint=errors[0].hint)
        self.errors = tuple(errors)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for error in self.errors for finding in error.findings)

    def joined_by(self, later: RunnerError) -> "SeveralFailed":
        """The same with one more, which came later."""
        return SeveralFailed((*self.errors, later))


def raise_all(errors: Sequence[RunnerError]) -> None:
    """Raise nothing, the one error, or all of them as one."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralFailed(errors)


def interruption_in(error: RunnerError) -> Interrupted | None:
    """The interruption among what went wrong, if a person or the system asked for the end."""
    if isinstance(error, SeveralFailed):
        return next(filter(None, map(interruption_in, error.errors)), None)
    return error if isinstance(error, Interrupted) else None


def exit_code_of(error: RunnerError) -> ExitCode:
    """The exit code that a process which stopped on `error` ends with."""
    return exit_code_of(error.errors[0]) if isinstance(error, SeveralFailed) else error.exit_code

"""cron: one line a project in the user's crontab, which calls `runner run-due` every ten minutes.

The rest of the crontab is left as it is, byte by byte.
"""

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Finding, StepFailed, ToolFailed
from runner.messages import msg
from runner.process import run
from runner.schedulers.base import EVERY_MINUTES, Job, Part


@dataclass(frozen=True, slots=True)
class Crontab:
    """The crontab of the user who runs this."""

    name: str = "cron"

    def parts(self, job: Job) -> tuple[Part, ...]:
        return (Part("crontab", line_of(job).decode("utf-8", "backslashreplace") + "\n"),)

    def install(self, job: Job) -> tuple[Finding, ...]:
        kept = [line for line in _lines() if not _is_ours(line, job)]
        if kept and not kept[-1].endswith(b"\n"):
            kept[-1] += b"\n"
        _write(b"".join(kept) + line_of(job) + b"\n")
        return ()

    def remove(self, job: Job) -> bool:
        before = _lines()
        kept = [line for line in before if not _is_ours(line, job)]
        if len(kept) == len(before):
            return False
        _write(b"".join(kept))
        return True

    def installed(self, job: Job) -> tuple[Part, ...]:
        lines = [line.rstrip(b"\n") for line in _lines() if _is_ours(line, job)]
        return tuple(Part("crontab", line.decode("utf-8", "backslashreplace") + "\n") for line in lines)


def line_of(job: Job) -> bytes:
    """The line: `%` would end it for cron, and is escaped. What is said on stderr is mailed by cron."""
    command = shlex.join(job.command).replace("%", r"\%")
    return os.fsencode(f"*/{EVERY_MINUTES} * * * * {command} >/dev/null {_mark(job)}")


def _mark(job: Job) -> str:
    """A comment of the shell that runs the line; cron itself knows none there."""
    return f"# runner: {job.root_file}".replace("%", r"\%")


def _is_ours(line: bytes, job: Job) -> bool:
    """One that is commented out is a person's, who has a reason for it."""
    return line.rstrip().endswith(os.fsencode(_mark(job))) and not line.lstrip().startswith(b"#")


def _lines() -> list[bytes]:
    """The crontab's lines as they are, with their ends."""
    try:
        return run(["crontab", "-l"]).splitlines(keepends=True)
    except ToolFailed as error:
        if "no crontab" in str(error).lower():
            return []
        raise


def _write(content: bytes) -> None:
    """By way of a file: crontab takes its name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "crontab")
        try:
            file.write_bytes(content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StepFailed(msg("the crontab cannot be written: {reason}", reason=reason), where=str(file)) from None
        run(["crontab", str(file)])

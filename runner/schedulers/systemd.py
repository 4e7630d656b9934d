"""Timers of systemd: a user's own, or the system's.

`Persistent=true` catches up what was missed while the machine was off. A user's timers run only while that user is
logged in, unless the user lingers.
"""

import getpass
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Finding, StepFailed
from runner.messages import msg
from runner.model.profile import Schedule
from runner.process import run
from runner.schedulers.base import EVERY_MINUTES, Job, Part, foreign, put_back_on_failure, write_text, writing

_SYSTEM = Path("/etc/systemd/system")


@dataclass(frozen=True, slots=True)
class Systemd:
    """`user`: the timers of the user who runs this, otherwise the system's, for root."""

    user: bool = True

    @property
    def name(self) -> str:
        return "systemd" if self.user else "systemd-system"

    def parts(self, job: Job) -> tuple[Part, ...]:
        service, timer = self._paths(job)
        user = None if self.user else getpass.getuser()
        return Part(str(service), _service(job, user)), Part(str(timer), _timer(job))

    def install(self, job: Job) -> tuple[Finding, ...]:
        self._refuse_foreign(job)
        with put_back_on_failure(self._paths(job)):
            for part in self.parts(job):
                write_text(Path(part.place), part.content)
            self._control("daemon-reload")
            self._control("enable", "--now", self._paths(job)[1].name)
        return self._lingering()

    def remove(self, job: Job) -> bool:
        self._refuse_foreign(job)
        service, timer = self._paths(job)
        there = [path for path in (timer, service) if path.exists()]
        if timer in there:
            with suppress(StepFailed):  # one that was never enabled
                self._control("disable", "--now", timer.name)
        for path in there:
            with writing(path):
                path.unlink()
        if there:
            with suppress(StepFailed):  # it is gone at the next start at the latest
                self._control("daemon-reload")
        return bool(there)

    def installed(self, job: Job) -> tuple[Part, ...]:
        there = [path for path in self._paths(job) if path.exists()]
        try:
            self._control("is-enabled", self._paths(job)[1].name)
        except StepFailed:  # not enabled, or no systemd at all
            return ()
        return tuple(Part(str(path), path.read_text("utf-8", "replace")) for path in there)

    def _refuse_foreign(self, job: Job) -> None:
        for path in self._paths(job):
            if path.exists() and f"# For {job.root_file}" not in path.read_text("utf-8", "replace").splitlines():
                raise foreign(job, str(path))

    def _paths(self, job: Job) -> tuple[Path, Path]:
        folder = _SYSTEM
        if self.user:
            folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
        return folder / f"runner-{job.profile}.service", folder / f"runner-{job.profile}.timer"

    def _control(self, *arguments: str) -> None:
        try:
            run(["systemctl", *(["--user"] if self.user else []), *arguments])
        except StepFailed as error:
            hint = msg("without a systemd for this user, `--with systemd-system` (root) or `--with cron` will do")
            raise StepFailed(error.message, where="systemctl", hint=hint) from None

    def _lingering(self) -> tuple[Finding, ...]:
        if not self.user:
            return ()
        user = getpass.getuser()
        try:
            lingers = run(["loginctl", "show-user", user, "--property=Linger", "--value"]).strip() == b"yes"
        except StepFailed:
            lingers = False
        if lingers:
            return ()
        message = msg("the timers of {user} run only while {user} is logged in", user=user)
        hint = msg("`loginctl enable-linger {user}` lets them run always", user=user)
        return (Finding("schedule.lingering", message, hint=hint),)


def on_calendar(schedule: Schedule) -> str:
    """When the timer comes, as systemd.time(7) has it."""
    return f"*:0/{EVERY_MINUTES}" if schedule.minute is None else f"*-*-* *:{schedule.minute:02}:00"


def quoted(argument: str) -> str:
    """One argument of `ExecStart=`: systemd fills in `%` and `$`, and reads C's escapes."""
    text = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def _service(job: Job, user: str | None) -> str:
    """`user`: whom a unit of the system runs as; only then does systemd say where the home folder is."""
    runs_as = "" if user is None else f"User={user}\n"
    command = " ".join(map(quoted, (*job.command, job.profile)))
    return f"""\
# Written by `runner schedule install {job.profile}`; `runner schedule remove {job.profile}` takes it away.
# For {job.root_file}
[Unit]
Description=Backup of {job.profile}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
{runs_as}ExecStart={command}
# 3: done with warnings; 11: another run holds the lock
SuccessExitStatus=3 11
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=infinity
"""


def _timer(job: Job) -> str:
    return f"""\
# Written by `runner schedule install {job.profile}`; `runner schedule remove {job.profile}` takes it away.
# For {job.root_file}
[Unit]
Description=Backup of {job.profile}, by its schedule

[Timer]
# It looks whether a backup is due: by the schedule of the profile, or because the last one failed or was missed.
OnCalendar={on_calendar(job.schedule)}
Persistent=true
AccuracySec=1min

[Install]
WantedBy=timers.target
"""

"""Which timer this machine has."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from runner.errors import Refused, UsageError
from runner.messages import msg
from runner.schedulers.base import Scheduler
from runner.schedulers.crontab import Crontab
from runner.schedulers.launchd import Launchd
from runner.schedulers.systemd import Systemd
from runner.schedulers.task_scheduler import TaskScheduler

SCHEDULERS: Final[tuple[Scheduler, ...]] = (Systemd(), Systemd(user=False), Crontab(), Launchd(), TaskScheduler())
NAMES: Final = tuple(scheduler.name for scheduler in SCHEDULERS)


def named(name: str) -> Scheduler:
    """The one of that name. Raises UsageError."""
    for scheduler in SCHEDULERS:
        if scheduler.name == name:
            return scheduler
    hint = msg("the timers are {names}", names=", ".join(NAMES))
    raise UsageError(msg("there is no timer `{name}`", name=name), hint=hint)


def here() -> tuple[Scheduler, ...]:
    """Those that this system may have."""
    if sys.platform == "win32":
        return (TaskScheduler(),)
    return (Launchd(), Crontab()) if sys.platform == "darwin" else (Systemd(), Systemd(user=False), Crontab())


def own() -> Scheduler:
    """The one of this machine: systemd for root is the system's. Raises Refused where there is none."""
    if sys.platform == "win32":
        return TaskScheduler()
    if sys.platform == "darwin":
        return Launchd()
    if Path("/run/systemd/system").is_dir():
        return Systemd(user=os.geteuid() != 0)
    if shutil.which("crontab"):
        return Crontab()
    message = msg("this machine has neither systemd nor cron")
    raise Refused(message, hint=msg("let `runner run-due --watch` run: it does the same by itself"))

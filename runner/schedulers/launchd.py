"""launchd, on macOS: an agent of the user who is logged in. What it slept through is caught up."""

import os
import plistlib
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import Finding, StepFailed
from runner.process import run
from runner.schedulers.base import EVERY_MINUTES, Job, Part, foreign, put_back_on_failure, write_text, writing

_TRIES = 10
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Launchd:
    """The agents of the user who runs this."""

    name: str = "launchd"

    def parts(self, job: Job) -> tuple[Part, ...]:
        return (Part(str(_path(job)), plistlib.dumps(agent(job)).decode("utf-8")),)

    def install(self, job: Job) -> tuple[Finding, ...]:
        path = _path(job)
        _refuse_foreign(path, job)
        with put_back_on_failure([path]):
            if path.exists():
                _unload(job)
            (part,) = self.parts(job)
            write_text(path, part.content)
            _load(path)
        return ()

    def remove(self, job: Job) -> bool:
        path = _path(job)
        if not path.exists():
            return False
        _refuse_foreign(path, job)
        _unload(job)
        with writing(path):
            path.unlink()
        return True

    def installed(self, job: Job) -> tuple[Part, ...]:
        path = _path(job)
        try:
            run(["launchctl", "print", f"{_domain()}/{_label(job)}"])
        except StepFailed:  # not loaded, or no launchd at all
            return ()
        return (Part(str(path), path.read_text("utf-8", "replace")),) if path.exists() else ()


def _unload(job: Job) -> None:
    with suppress(StepFailed):  # one that is not loaded
        run(["launchctl", "bootout", f"{_domain()}/{_label(job)}"])


def _load(path: Path) -> None:
    """`bootout` returns before the old agent is gone, and until then there is no room for the new one."""
    for _ in range(_TRIES - 1):
        with suppress(StepFailed):
            run(["launchctl", "bootstrap", _domain(), str(path)])
            return
        time.sleep(_PAUSE_SECONDS)
    run(["launchctl", "bootstrap", _domain(), str(path)])


def _refuse_foreign(path: Path, job: Job) -> None:
    if not path.exists():
        return
    try:
        arguments = plistlib.loads(path.read_bytes()).get("ProgramArguments", [])
    except (OSError, ValueError, AttributeError):
        arguments = []
    if str(job.root_file) not in arguments:
        raise foreign(job, str(path))


def agent(job: Job) -> dict[str, Any]:
    """The property list: see launchd.plist(5)."""
    schedule = job.schedule
    entry: dict[str, Any] = {
        "Label": _label(job),
        "ProgramArguments": [*job.command, job.profile],
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 10,
    }
    if schedule.minute is None:
        entry["StartInterval"] = EVERY_MINUTES * 60
    else:
        entry["StartCalendarInterval"] = {"Minute": schedule.minute}
    return entry


def _label(job: Job) -> str:
    return f"runner.{job.profile}"


def _path(job: Job) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{_label(job)}.plist"


def _domain() -> str:
    return f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui/0"

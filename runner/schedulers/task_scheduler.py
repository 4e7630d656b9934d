"""The Task Scheduler of Windows: a task of the user who installs it, for another user has another OneDrive.

The task runs while that user is logged in; what was missed is made up for (`StartWhenAvailable`). Its XML follows the
schema that Microsoft publishes as "Task Scheduler Schema" (namespace below): the order of the elements is part of it.
"""

import getpass
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from runner.errors import Finding, StepFailed
from runner.process import command_line, run
from runner.schedulers.base import EVERY_MINUTES, Job, Part, foreign, write_text

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_BEGINNING = "2026-01-01"


@dataclass(frozen=True, slots=True)
class TaskScheduler:
    """The tasks in the folder `runner`."""

    name: str = "task-scheduler"

    def parts(self, job: Job) -> tuple[Part, ...]:
        return (Part(_name(job), task_xml(job, _user())),)

    def install(self, job: Job) -> tuple[Finding, ...]:
        self._refuse_foreign(job)
        (part,) = self.parts(job)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "task.xml")
            write_text(file, part.content, "utf-16")
            run(["schtasks", "/Create", "/TN", _name(job), "/XML", str(file), "/F"])
        return ()

    def remove(self, job: Job) -> bool:
        if not self.installed(job):
            return False
        self._refuse_foreign(job)
        run(["schtasks", "/Delete", "/TN", _name(job), "/F"])
        return True

    def installed(self, job: Job) -> tuple[Part, ...]:
        try:
            output = run(["schtasks", "/Query", "/TN", _name(job), "/XML"])
        except StepFailed:  # it says so in the language of the system
            return ()
        encoding = "oem" if os.name == "nt" else "utf-8"
        if output.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        return (Part(_name(job), output.decode(encoding, "replace")),)

    def _refuse_foreign(self, job: Job) -> None:
        for part in self.installed(job):
            if _description(part.content) != _describes(job):
                raise foreign(job, part.place)


def _describes(job: Job) -> str:
    return f"runner: {job.root_file}"


def _description(xml: str) -> str | None:
    """What a task says of itself; None where that cannot be read."""
    try:
        task = ElementTree.fromstring(xml.partition("?>")[2] or xml)  # noqa: S314 - the system's own answer
    except ElementTree.ParseError:
        return None
    return task.findtext(f"{{{NAMESPACE}}}RegistrationInfo/{{{NAMESPACE}}}Description")


def task_xml(job: Job, user: str) -> str:
    """The task, for `user` (`DOMAIN\\NAME`)."""
    task = ElementTree.Element("Task", {"version": "1.2", "xmlns": NAMESPACE})
    about = _under(task, "RegistrationInfo")
    _under(about, "Author", user)
    _under(about, "Description", _describes(job))
    _trigger(_under(task, "Triggers"), job)
    principal = _under(_under(task, "Principals"), "Principal", id="Author")
    _under(principal, "UserId", user)
    _under(principal, "LogonType", "InteractiveToken")
    _under(principal, "RunLevel", "LeastPrivilege")
    settings = _under(task, "Settings")
    for name, value in (
        ("MultipleInstancesPolicy", "IgnoreNew"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("AllowHardTerminate", "false"),
        ("StartWhenAvailable", "true"),
        ("RunOnlyIfNetworkAvailable", "false"),
        ("Enabled", "true"),
        ("Hidden", "false"),
        ("ExecutionTimeLimit", "PT0S"),
        ("Priority", "8"),
    ):
        _under(settings, name, value)
    run_it = _under(_under(task, "Actions", Context="Author"), "Exec")
    _under(run_it, "Command", job.command[0])
    _under(run_it, "Arguments", command_line([*job.command[1:], job.profile]))
    _under(run_it, "WorkingDirectory", str(job.root_file.parent))
    ElementTree.indent(task)
    return '<?xml version="1.0" encoding="UTF-16"?>\n' + ElementTree.tostring(task, "unicode") + "\n"


def _trigger(triggers: ElementTree.Element, job: Job) -> None:
    minute = job.schedule.minute
    trigger = _under(triggers, "TimeTrigger")
    repetition = _under(trigger, "Repetition")
    _under(repetition, "Interval", f"PT{EVERY_MINUTES}M" if minute is None else "PT1H")
    _under(repetition, "StopAtDurationEnd", "false")
    _under(trigger, "StartBoundary", f"{_BEGINNING}T00:{minute or 0:02}:00")
    _under(trigger, "Enabled", "true")


def _under(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name, attributes)
    element.text = text
    return element


def _name(job: Job) -> str:
    return f"\\runner\\{job.profile}"


def _user() -> str:
    domain = os.environ.get("USERDOMAIN")
    return f"{domain}\\{getpass.getuser()}" if domain else getpass.getuser()

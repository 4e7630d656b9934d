"""What is written for each system's timer, held against that system's own rules."""

import plistlib
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runner.model.profile import Schedule
from runner.schedulers.base import Job
from runner.schedulers.crontab import Crontab, line_of
from runner.schedulers.launchd import Launchd
from runner.schedulers.systemd import Systemd, on_calendar, quoted
from runner.schedulers.task_scheduler import NAMESPACE, TaskScheduler, task_xml
from tests.requirements import requires_program

HOURLY = Schedule("5 23 * * *", 5)
FIELDS = Schedule("*/20 8-18 * * mon-fri")
PATHS = [Path("/srv/app/backup.yml"), Path('/srv/École 100% du "Nord" $HOME/it\'s; here/backup.yml')]


def job(root: Path, schedule: Schedule = HOURLY) -> Job:
    return Job("school", schedule, root, ("/usr/bin/env", "-m", "runner", "-q", "-c", str(root), "run-due"))


@pytest.mark.parametrize("root", PATHS, ids=["plain", "odd"])
@pytest.mark.parametrize("schedule", [HOURLY, FIELDS], ids=["minute", "fields"])
def test_systemd_finds_nothing_wrong_with_its_units(tmp_path: Path, root: Path, schedule: Schedule) -> None:
    analyze = requires_program("systemd-analyze", only="linux")
    files = []
    for part in Systemd(user=False).parts(job(root, schedule)):
        file = tmp_path / Path(part.place).name
        file.write_text(part.content, "utf-8")
        files.append(file)
    done = subprocess.run([analyze, "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    broken = tmp_path / "broken.service"
    broken.write_text("[Service]\nExecStart=relative\n", "utf-8")
    assert subprocess.run([analyze, "verify", broken], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(("schedule", "normal"), [(HOURLY, "*-*-* *:05:00"), (FIELDS, "*-*-* *:00/10:00")])
def test_systemd_reads_the_times_as_they_are_meant(schedule: Schedule, normal: str) -> None:
    analyze = requires_program("systemd-analyze", only="linux")
    done = subprocess.run([analyze, "calendar", on_calendar(schedule)], capture_output=True, text=True, check=False)
    assert f"Normalized form: {normal}" in done.stdout


def test_systemd_hands_over_every_character() -> None:
    assert quoted('50 % "x" $HOME \\') == '"50 %% \\"x\\" $$HOME \\\\"'


@pytest.mark.parametrize("root", PATHS, ids=["plain", "odd"])
def test_the_shell_that_runs_the_line_of_cron_sees_the_command(root: Path) -> None:
    times, _, command = line_of(job(root)).decode().partition(" /")
    assert times == "*/10 * * * *"
    unescaped = f"/{command}".replace(r"\%", "%")  # as crontab(5) says
    assert "%" not in f"/{command}".replace(r"\%", "")
    words = shlex.split(unescaped, comments=True)
    assert words == [*job(root).command, ">/dev/null"]
    assert Crontab().parts(job(root))[0].place == "crontab"


def test_launchd_reads_its_property_list() -> None:
    (part,) = Launchd().parts(job(PATHS[1]))
    agent = plistlib.loads(part.content.encode())
    assert agent["ProgramArguments"] == [*job(PATHS[1]).command, "school"]
    assert agent["StartCalendarInterval"] == {"Minute": 5}
    (part,) = Launchd().parts(job(PATHS[1], FIELDS))
    assert plistlib.loads(part.content.encode())["StartInterval"] == 600


ORDER = {
    "Task": ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"],
    "TimeTrigger": ["Repetition", "StartBoundary", "EndBoundary", "ExecutionTimeLimit", "Enabled", "RandomDelay"],
    "Repetition": ["Interval", "Duration", "StopAtDurationEnd"],
    "Exec": ["Command", "Arguments", "WorkingDirectory"],
}
"""The sequences of the published schema (MS-TSCH, 2.5.x); the rest are `xs:all`, which has none."""

KNOWN = {
    "RegistrationInfo": {"URI", "SecurityDescriptor", "Source", "Date", "Author", "Version", "Description"},
    "Principal": {"UserId", "LogonType", "GroupId", "DisplayName", "RunLevel"},
    "Settings": {
        "AllowStartOnDemand",
        "AllowHardTerminate",
        "DisallowStartIfOnBatteries",
        "Enabled",
        "ExecutionTimeLimit",
        "Hidden",
        "MultipleInstancesPolicy",
        "Priority",
        "RunOnlyIfNetworkAvailable",
        "StartWhenAvailable",
        "StopIfGoingOnBatteries",
        "WakeToRun",
    },
}


@pytest.mark.parametrize("schedule", [HOURLY, FIELDS], ids=["minute", "fields"])
def test_the_task_of_windows_keeps_the_rules_of_its_schema(schedule: Schedule) -> None:
    task = ElementTree.fromstring(task_xml(job(PATHS[1], schedule), "ÉCOLE\\élodie").encode("utf-16"))
    for element in task.iter():
        assert element.tag.startswith(f"{{{NAMESPACE}}}")
        name = element.tag.partition("}")[2]
        children = [child.tag.partition("}")[2] for child in element]
        if name in ORDER:
            assert children == sorted(children, key=ORDER[name].index)
        if name in KNOWN:
            assert set(children) <= KNOWN[name]
            assert len(children) == len(set(children))
    found = {element.tag.partition("}")[2]: element.text for element in task.iter()}
    assert found["UserId"] == "ÉCOLE\\élodie"
    assert found["Interval"] == ("PT1H" if schedule is HOURLY else "PT10M")
    assert found["StartBoundary"] == ("2026-01-01T00:05:00" if schedule is HOURLY else "2026-01-01T00:00:00")
    assert found["Command"] == "/usr/bin/env"
    assert str(PATHS[1].parent) == found["WorkingDirectory"]
    assert (found["MultipleInstancesPolicy"], found["StartWhenAvailable"]) == ("IgnoreNew", "true")


def test_a_task_is_named_by_its_profile() -> None:
    assert TaskScheduler().parts(job(PATHS[0]))[0].place == "\\runner\\school"

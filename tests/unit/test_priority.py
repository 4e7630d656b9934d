"""Lowering the priority of a process: tried in one of its own, because there is no way back."""

import json
import subprocess
import sys

import pytest

from runner import priority

TRIED = """\
import ctypes, json, os, subprocess, sys, threading
{before}
from runner.priority import lower_priority
told = [str(message) for message in lower_priority()]
told += [str(message) for message in lower_priority()]
seen = []
thread = threading.Thread(target=lambda: seen.append(os.getpriority(os.PRIO_PROCESS, 0)))
thread.start()
thread.join()
child = subprocess.run([sys.executable, "-c", "import os; print(os.nice(0))"], capture_output=True, check=True)
disk = subprocess.run(["ionice"], capture_output=True, text=True).stdout.strip() if {asks_disk} else ""
print(json.dumps([told, os.nice(0), seen[0], int(child.stdout), disk]))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asks by the calls of Unix")


def tried(before: str = "", *, asks_disk: bool = False) -> tuple[list[str], int, int, int, str]:
    code = TRIED.format(before=before, asks_disk=asks_disk)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, own, thread, child, disk = json.loads(done.stdout)
    return told, own, thread, child, disk


def test_threads_and_programs_inherit_it_and_twice_is_once() -> None:
    assert tried()[:4] == ([], priority.NICE, priority.NICE, priority.NICE)


def test_what_is_lower_already_stays_as_it_is() -> None:
    assert tried("os.nice(15)")[:4] == ([], 15, 15, 15)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has levels for the disk")
def test_the_disk_comes_last_too() -> None:
    try:
        subprocess.run(["ionice"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no ionice here")
    assert tried(asks_disk=True)[4] == "best-effort: prio 7"
    idle = "subprocess.run(['ionice', '-c3', '-p', str(os.getpid())], check=True)"
    assert tried(idle, asks_disk=True)[4] == "idle"


def test_what_fails_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def unknown(*_: object) -> None:
        raise AttributeError("no such function")

    monkeypatch.setattr(priority, "_yield_processor", refused)
    monkeypatch.setattr(priority, "_yield_disk", unknown)
    assert [str(message) for message in priority.lower_priority()] == [
        "the priority could not be lowered: Permission denied",
        "the priority could not be lowered: no such function",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for the disk")
def test_a_machine_whose_calls_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "_IOPRIO_SET", {})
    monkeypatch.setattr(priority, "_yield_processor", lambda: None)
    (message,) = map(str, priority.lower_priority())
    assert message.startswith("the priority could not be lowered: the disk's is not known for ")

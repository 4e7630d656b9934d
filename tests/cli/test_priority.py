"""`priority: low`: what a backup and a restore start runs at a low priority, as they do."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from runner.events import Event, Logged
from runner.messages import Message, msg
from runner.priority import NICE
from runner.workflow import politeness
from runner.workflow.archives import opened_archive, verify_opened
from runner.workflow.choosing import Wanted
from tests.projects import sqlite_project
from tests.unit.workflow.small_archives import NOW, days_ago, profile_over, write_archive

HOOK = [sys.executable, "-c", "import os; open('nice', 'a').write(f'{os.nice(0)}\\n')"]


@pytest.mark.skipif(sys.platform == "win32", reason="asks by a call of Unix")
@pytest.mark.parametrize(("priority", "added"), [("low", NICE), ("normal", 0)])
def test_programs_of_a_run_inherit_what_the_profile_says(tmp_path: Path, priority: str, added: int) -> None:
    hooks = json.dumps({"before_apply": [HOOK], "before_restore": [HOOK]})
    project = sqlite_project(tmp_path / "project", rows=20, extra=f"priority: {priority}\nhooks: {hooks}\n")
    for arguments in (("apply", "app"), ("restore", "app", "--yes"), ("undo", "app", "--yes")):
        done = project.run(*arguments)
        assert done.returncode in (0, 3), done.stderr
    assert (project.folder / "nice").read_text("utf-8").split() == [str(added)] * 3


@pytest.mark.parametrize("priority", ["low", "normal"])
def test_a_verification_makes_way_and_a_failure_to_is_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, priority: Literal["low", "normal"]
) -> None:
    (tmp_path / "out").mkdir()
    write_archive(tmp_path / "out" / "app_20260101_000000.zip", **days_ago(3))
    profile = replace(profile_over(tmp_path / "project", tmp_path / "out"), priority=priority)
    refused = msg("the priority could not be lowered: not permitted")

    def failing() -> list[Message]:
        return [refused]

    monkeypatch.setattr(politeness, "lower_priority", failing)
    events: list[Event] = []
    with opened_archive(profile, Wanted(), NOW) as opened:
        assert verify_opened(opened, events.append, profile).damage == ()
    assert [event for event in events if isinstance(event, Logged)] == ([Logged(refused)] if priority == "low" else [])

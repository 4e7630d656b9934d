"""`runner` alone, and what a shell completes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.projects import Project, sqlite_project


def test_alone_it_says_how_things_stand_and_what_to_type(project: Project, tmp_path: Path) -> None:
    project.apply()
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert "app: last good backup 0 min ago" in done.stdout
    for command in ("runner apply PROFILE", "runner restore PROFILE", "runner doctor PROFILE"):
        assert command in done.stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    nowhere = Project(empty, empty).run()
    assert nowhere.returncode == 0
    assert "runner init" in nowhere.stdout


def completed(project: Project, words: str) -> list[str]:
    """What bash would offer after `words`."""
    count = len(words.split(" ")) - 1
    environment = {"_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = project.run(environment=environment)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_names_are_completed(project: Project) -> None:
    archive = project.apply()
    for command in ("apply", "restore", "list", "doctor", "schedule install", "notify test", "status", "run-due"):
        assert completed(project, f"runner {command} a") == ["app"]
    assert completed(project, "runner restore app ") == ["latest", archive.name]
    assert completed(project, "runner verify app lat") == ["latest"]
    assert completed(project, "runner sched") == ["schedule"]
    assert completed(project, "runner apply app --dry") == ["--dry-run"]


def test_what_is_wrong_completes_nothing_and_says_nothing(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=1)
    (project.folder / "backup.yml").write_text("version: [", "utf-8")
    done = project.run(
        environment={"_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": "runner apply ", "COMP_CWORD": "2"}
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_of_each_shell(project: Project, shell: str, tmp_path: Path) -> None:
    done = project.run("completion", shell)
    assert done.returncode == 0
    assert "_RUNNER_COMPLETE" in done.stdout
    if shell == "bash" and os.name != "nt" and shutil.which("bash"):
        script = tmp_path / "completion.sh"
        script.write_text(done.stdout, "utf-8")
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0

"""Hooks around a backup, run as users run it: what they guard, what always comes back, and what is shown of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.state import ProfileState
from tests.projects import COMMAND, Project, sqlite_project
from tests.servers import processes

WAIT_SECONDS = 60
NOTE = """\
import json, os, pathlib, sys
names = {name: value for name, value in os.environ.items() if name.startswith("RUNNER_")}
line = {"cwd": os.getcwd(), "said": sys.argv[1], "in": len(sys.stdin.read()), **names}
line["archives"] = len(list(pathlib.Path("out").glob("*.zip")))
with open("notes.jsonl", "a") as file:
    print(json.dumps(line), file=file)
print("hook says", sys.argv[1])
sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
"""
SLEEP = """\
import os, pathlib, subprocess, sys, time
heard = "signal.SIG_IGN" if sys.argv[1:] == ["deaf"] else "lambda *_: sys.exit(open('said-goodbye', 'w').close())"
lines = ["import signal, sys, time", f"signal.signal(signal.SIGTERM, {heard})", "print(flush=True)", "time.sleep(600)"]
child = subprocess.Popen([sys.executable, "-c", "; ".join(lines)], stdout=-1)
child.stdout.read(1)  # it is deaf by now
pathlib.Path("pids.partial").write_text(f"{os.getpid()} {child.pid}")
os.rename("pids.partial", "pids")
time.sleep(600)
"""
SLOW = """\
import os, pathlib, time
pathlib.Path("slow.begun").write_text("")
time.sleep(float(os.environ.get("SLOW_SECONDS", "2")))
pathlib.Path("slow.ended").write_text("")
"""


def note(said: str, code: int = 0) -> list[str]:
    return [sys.executable, "note.py", said, str(code)]


@pytest.fixture
def project_with(tmp_path: Path) -> Callable[..., Project]:
    """A project in a folder of its own with these hooks, and the scripts that they run."""

    def make(**hooks: object) -> Project:
        project = sqlite_project(tmp_path / "project", rows=20, extra=f"hooks: {json.dumps(hooks)}\n")
        for name, script in (("note", NOTE), ("sleep", SLEEP), ("slow", SLOW)):
            (project.folder / f"{name}.py").write_text(script, "utf-8")
        return project

    return make


def notes(project: Project) -> list[dict[str, object]]:
    path = project.folder / "notes.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def said(project: Project) -> list[object]:
    return [line["said"] for line in notes(project)]


def wait_for(path: Path, running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(project: Project, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "apply", "app"],
        cwd=project.folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_hooks_run_around_the_backup_in_order_and_are_told_about_it(project_with: Callable[..., Project]) -> None:
    project = project_with(before_apply=[note("one"), note("two")], after_apply=[note("three")], on_error=[note("no")])
    (project.folder / "elsewhere").mkdir()
    arguments = ("-c", "../backup.yml", "-v", "apply", "app", "--variant", "db-only")
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=project.folder / "elsewhere",
        env={**os.environ, "RUNNER_ERROR_CODE": "of an outer run", "COLUMNS": "200"},
        input="not for hooks",
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said(project) == ["one", "two", "three"]
    (archive,) = project.archives()
    first, second, third = notes(project)
    common = {"RUNNER_PROFILE": "app", "RUNNER_VARIANT": "db-only", "RUNNER_ERROR_CODE": "", "RUNNER_EXIT_CODE": ""}
    for line in (first, second, third):
        assert common.items() <= line.items()
        assert Path(str(line["cwd"])).samefile(project.folder)
        assert line["in"] == 0
    assert [line["archives"] for line in (first, second, third)] == [0, 0, 1]
    assert [line["RUNNER_EVENT"] for line in (first, second, third)] == ["before_apply", "before_apply", "after_apply"]
    assert (first["RUNNER_ARCHIVE"], Path(str(third["RUNNER_ARCHIVE"]))) == ("", archive)
    assert first["RUNNER_RUN_ID"] == third["RUNNER_RUN_ID"]
    assert "before_apply: hook says one" in done.stderr
    assert "after_apply: hook says three" in done.stderr
    assert "note.py two" in done.stderr


def test_output_is_told_only_when_more_is_asked_for_and_json_stays_one_object(
    project_with: Callable[..., Project],
) -> None:
    project = project_with(before_apply=[note("one")], after_apply=[note("two")])
    plain = project.run("apply", "app")
    assert "hook says" not in plain.stdout + plain.stderr
    assert "before_apply: run" in plain.stderr
    done = project.run("-v", "apply", "app", "--format", "json")
    assert json.loads(done.stdout)["status"] == "ok"
    assert "hook says two" in done.stderr


def test_a_dry_run_shows_them_and_runs_none(project_with: Callable[..., Project]) -> None:
    project = project_with(before_apply=[note("one")], after_apply=[note("two words")], on_error=[note("three")])
    done = project.run("apply", "app", "--dry-run", "--format", "json")
    steps = [(step["action"], step["title"]) for step in json.loads(done.stdout)["plan"]["steps"]]
    actions = [action for action, _ in steps]
    assert actions[:3] == ["lock", "hook", "check"]
    assert actions[-3:] == ["put", "hook", "hook"]
    assert "before_apply" in steps[1][1]
    assert "'two words'" in steps[-2][1]
    assert "only if the backup fails" in steps[-1][1]
    assert notes(project) == []


def test_a_before_apply_that_fails_stops_the_backup(project_with: Callable[..., Project]) -> None:
    project = project_with(
        before_apply=[note("one"), note("two", 7), note("three")], after_apply=[note("back")], on_error=[note("told")]
    )
    done = project.run("apply", "app")
    assert done.returncode == 14
    for expected in ("before_apply", "note.py two", "exit code 7", "hook says two", "hint:", "nothing was backed up"):
        assert expected in done.stderr, expected
    assert said(project) == ["one", "two", "back", "told"]
    assert [line["RUNNER_ERROR_CODE"] for line in notes(project)] == ["", "", "step.hook", "step.hook"]
    assert notes(project)[-1]["RUNNER_EXIT_CODE"] == "14"
    assert (project.archives(), project.leftovers()) == ([], [])


def test_an_after_apply_that_fails_leaves_the_archive_and_the_other_hooks(
    project_with: Callable[..., Project],
) -> None:
    project = project_with(after_apply=[note("one", 5), note("two")], on_error=[note("told")])
    done = project.run("apply", "app")
    assert done.returncode == 14
    (archive,) = project.archives()
    for expected in (str(archive), "the archive is made and stays", "exit code 5"):
        assert expected in done.stderr, expected
    assert said(project) == ["one", "two", "told"]
    assert project.leftovers() == []


def test_what_before_apply_stopped_comes_back_when_the_backup_fails(project_with: Callable[..., Project]) -> None:
    project = project_with(before_apply=[note("stop")], after_apply=[note("start", 9)], on_error=[note("told")])
    (project.media / "reçus" / "00010.pdf").unlink()
    done = project.run("apply", "app")
    assert done.returncode == 13
    assert "00010.pdf" in done.stderr
    assert "exit code 9" in done.stderr
    assert said(project) == ["stop", "start", "told"]
    assert notes(project)[1]["RUNNER_ARCHIVE"] == ""
    assert notes(project)[1]["RUNNER_ERROR_CODE"] == "integrity.references"
    assert notes(project)[2]["RUNNER_EXIT_CODE"] == "13"


def test_without_a_before_apply_a_failed_backup_runs_no_after_apply(project_with: Callable[..., Project]) -> None:
    project = project_with(after_apply=[note("sync")])
    (project.media / "reçus" / "00010.pdf").unlink()
    assert project.run("apply", "app").returncode == 13
    assert notes(project) == []


def test_on_error_hides_nothing_when_it_fails(project_with: Callable[..., Project]) -> None:
    project = project_with(on_error=[["no-such-program-here"], note("two", 3)])
    (project.media / "reçus" / "00010.pdf").unlink()
    done = project.run("apply", "app")
    assert done.returncode == 13
    assert "error:" in done.stderr
    assert "00010.pdf" in done.stderr
    assert done.stderr.count("warning: on_error") == 2
    assert "no-such-program-here" in done.stderr
    assert said(project) == ["two"]


def test_a_run_that_finds_the_lock_held_stops_nothing_and_tells(project_with: Callable[..., Project]) -> None:
    project = project_with(before_apply=[note("stop")], after_apply=[note("start")], on_error=[note("told")])
    with ProfileState(project.folder / ".runner", "app").locked():
        assert project.run("apply", "app").returncode == 11
    assert said(project) == ["told"]
    assert notes(project)[0]["RUNNER_ERROR_CODE"] == "locked"


@pytest.mark.parametrize("child", ["well behaved", "deaf"])
def test_a_program_whose_time_is_up_is_ended_with_what_it_started(
    project_with: Callable[..., Project], child: str
) -> None:
    project = project_with(before_apply=[[sys.executable, "sleep.py", child]], after_apply=[note("start")], timeout=2)
    done = project.run("apply", "app")
    assert done.returncode == 14
    assert "did not end within 2 seconds" in done.stderr
    assert (project.folder / "said-goodbye").exists() is (child == "well behaved" and os.name != "nt")
    for pid in map(int, (project.folder / "pids").read_text().split()):
        assert not processes.is_alive(pid)
    assert said(project) == ["start"]
    assert project.archives() == []


def test_a_server_that_a_hook_starts_lives_on_and_keeps_nobody_waiting(project_with: Callable[..., Project]) -> None:
    serve = "import os, pathlib, time; pathlib.Path('server').write_text(str(os.getpid())); time.sleep(600)"
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {serve!r}])"
    project = project_with(after_apply=[[sys.executable, "-c", start]])
    project.apply()
    server = project.folder / "server"
    deadline = time.monotonic() + WAIT_SECONDS
    while not (server.exists() and server.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert processes.is_alive(int(server.read_text()))
    processes.kill_tree(int(server.read_text()))


def test_a_password_that_a_hook_prints_is_not_repeated(tmp_path: Path) -> None:
    password = "gr&nd secret"
    show = [sys.executable, "-c", "import os, sys; print('it is', os.environ['DB_WORD']); sys.exit(1)"]
    project = sqlite_project(tmp_path / "project", extra=f"hooks: {json.dumps({'before_apply': [show]})}\n")
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(
        "engine: sqlite, path: school.sqlite3", "engine: postgresql, name: x, password: {env: DB_WORD}"
    )
    profile.write_text(text, "utf-8")
    done = project.run("-v", "apply", "app", environment={"DB_WORD": password})
    assert done.returncode == 14, done.stderr
    assert "it is ****" in done.stderr
    assert password not in done.stdout + done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_brings_back_what_it_stopped(
    project_with: Callable[..., Project], number: signal.Signals
) -> None:
    """A second signal comes while the hook that brings it back is running."""
    project = project_with(
        before_apply=[note("stop"), [sys.executable, "sleep.py"]],
        after_apply=[[sys.executable, "slow.py"], note("start")],
        on_error=[note("told")],
    )
    with started(project) as running:
        wait_for(project.folder / "pids", running)
        running.send_signal(number)
        wait_for(project.folder / "slow.begun", running)
        running.send_signal(number)
        _, errors = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130, errors
    assert "it is not cut short" in errors
    assert "Traceback" not in errors
    assert (project.folder / "slow.ended").exists()
    assert said(project) == ["stop", "start", "told"]
    assert [line["RUNNER_EXIT_CODE"] for line in notes(project)] == ["", "130", "130"]
    for pid in map(int, (project.folder / "pids").read_text().split()):
        assert not processes.is_alive(pid)
    assert (project.archives(), project.leftovers()) == ([], [])


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
def test_an_interruption_waits_for_the_hooks_that_bring_it_back(project_with: Callable[..., Project]) -> None:
    """The first signal comes when the archive is there."""
    project = project_with(after_apply=[[sys.executable, "slow.py"], note("start")], on_error=[note("told")])
    with started(project) as running:
        wait_for(project.folder / "slow.begun", running)
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130, errors
    (archive,) = project.archives()
    assert "interrupted when the archive was made already" in errors
    assert str(archive) in errors
    assert said(project) == ["start", "told"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_what_a_hook_starts_after_an_interruption_can_be_ended(project_with: Callable[..., Project]) -> None:
    """Were signals ignored while everything is put back, a server started then would ignore them for ever."""
    look = "import pathlib, signal; pathlib.Path('seen').write_text(str(signal.getsignal(signal.SIGTERM).name))"
    project = project_with(before_apply=[[sys.executable, "sleep.py"]], after_apply=[[sys.executable, "-c", look]])
    with started(project) as running:
        wait_for(project.folder / "pids", running)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=WAIT_SECONDS)
    assert (project.folder / "seen").read_text() == "SIG_DFL"


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
def test_an_interruption_ends_all_profiles_whatever_else_went_wrong(project_with: Callable[..., Project]) -> None:
    project = project_with(before_apply=[[sys.executable, "sleep.py"]], after_apply=[note("start", 9)])
    (project.folder / "zoo").mkdir()
    (project.folder / "zoo" / "film.txt").write_text("film", "utf-8")
    other = "version: 1\nmedia: {root: zoo}\ndestinations: [{type: local, path: out}]\n"
    (project.folder / "profiles" / "zoo.yml").write_text(other, "utf-8")
    with subprocess.Popen(
        [*COMMAND, "apply", "--all"], cwd=project.folder, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for(project.folder / "pids", running)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130, errors
    assert "exit code 9" in " ".join(errors.split())
    assert project.archives() == []

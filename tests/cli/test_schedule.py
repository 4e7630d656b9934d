"""`runner schedule`, `run-due` and `status`: timers that come and go, backups that are due, clocks that are wrong."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crontabs import in_own_crontab
from tests.projects import COMMAND, Project, postgresql_project, sqlite_project
from tests.requirements import requires_program
from tests.servers.installation import find_installation
from tests.servers.postgresql import start_cluster

DAILY = 'schedule: {daily: "23:00"}\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return sqlite_project(tmp_path / "École", rows=10, extra=DAILY)


def at(moment: str) -> tuple[str, ...]:
    """What to put before a command, so that it is that moment."""
    return (str(requires_program("faketime", only="linux")), "-f", f"@{moment}:00")


def stand_ins(folder: Path) -> tuple[dict[str, str], Path]:
    """Programs in the place of systemd's, which note how they are called; nobody lingers."""
    if sys.platform == "win32":
        pytest.skip("systemd is for Linux")
    programs, calls = folder / "programs", folder / "calls"
    programs.mkdir()
    for name in ("systemctl", "loginctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n', "utf-8")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "XDG_CONFIG_HOME": str(folder / "config")}
    return environment, calls


def test_a_backup_is_made_once_for_each_time_it_is_due(project: Project) -> None:
    def due(moment: str) -> int:
        before = len(project.archives())
        done = project.run("run-due", before=at(moment))
        assert done.returncode == 0, done.stderr
        return len(project.archives()) - before

    assert due("2026-01-08 12:00") == 1  # there is none yet
    assert due("2026-01-08 22:59") == 0
    assert due("2026-01-08 23:00") == 1
    assert due("2026-01-08 23:10") == 0
    assert due("2026-01-12 09:00") == 1  # off for three days: caught up, once
    assert due("2026-01-12 09:10") == 0
    assert project.run("apply", "app", before=at("2026-01-12 23:05")).returncode == 0
    assert due("2026-01-12 23:10") == 0  # a person was quicker
    assert due("2027-06-01 12:00") == 1  # a clock that is wrong
    assert due("2026-01-14 12:00") == 1  # and right again: the record of the future holds nothing back


def test_half_a_backup_or_one_that_went_elsewhere_does_not_count(project: Project, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    usb.mkdir()
    assert project.run("apply", "app", before=at("2026-01-08 12:00")).returncode == 0
    assert project.run("apply", "app", "--dest", str(usb), before=at("2026-01-08 23:01")).returncode == 0
    assert project.run("apply", "app", "--variant", "db-only", before=at("2026-01-08 23:02")).returncode == 0
    assert project.run("run-due", before=at("2026-01-08 23:10")).returncode == 0
    assert len(project.archives()) == 3


def test_one_that_a_person_makes_after_a_failure_counts(project: Project) -> None:
    away = project.out.rename(project.out.with_name("away"))
    assert project.run("run-due", before=at("2026-01-08 23:00")).returncode == 12
    away.rename(project.out)
    assert project.run("apply", "app", before=at("2026-01-08 23:20")).returncode == 0
    assert project.run("run-due", before=at("2026-01-09 00:10")).returncode == 0
    assert len(project.archives()) == 1
    assert status(project, *at("2026-01-09 00:11")) == (0, "")


def test_what_fails_is_tried_again_but_not_for_ever(project: Project) -> None:
    project.out.rename(project.out.with_name("away"))
    tries = 0
    for moment in ("08 23:00", "08 23:30", "09 00:00", "09 01:00", "09 02:00", "09 12:00"):
        done = project.run("run-due", before=at(f"2026-01-{moment}"))
        tries += done.returncode == 12
        assert done.returncode in (0, 12)
    assert tries == 3
    assert project.run("run-due", before=at("2026-01-09 23:00")).returncode == 12
    project.out.with_name("away").rename(project.out)
    assert project.run("run-due", before=at("2026-01-10 00:00")).returncode == 0
    assert len(project.archives()) == 1


def test_another_run_that_goes_on_is_no_failure_of_ours(project: Project) -> None:
    if sys.platform == "win32":
        pytest.skip("fcntl is not there")
    import fcntl

    (project.folder / ".runner" / "app").mkdir(parents=True)
    with (project.folder / ".runner" / "app" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert project.run("run-due").returncode == 11
    assert project.run("run-due").returncode == 0
    assert len(project.archives()) == 1


def test_it_watches_until_it_is_told_to_end(project: Project) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no SIGTERM")
    with subprocess.Popen(
        [*COMMAND, "run-due", "--watch"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "full backup of app" in process.stdout.readline()
        while True:
            line = process.stdout.readline()
            if line.strip().endswith(" s"):
                break
        process.terminate()
        assert process.wait(60) == 0


def test_a_profile_without_a_schedule_is_passed_over_or_told(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=1)
    assert project.run("run-due").returncode == 0
    assert project.archives() == []
    for arguments in (("run-due", "app"), ("schedule", "install", "app", "--with", "cron")):
        done = project.run(*arguments)
        assert done.returncode == 15
        assert 'schedule: {daily: "23:00"}' in done.stderr


def test_units_are_installed_shown_and_removed(project: Project, tmp_path: Path) -> None:
    environment, calls = stand_ins(tmp_path)
    done = project.run("schedule", "install", "app", "--with", "systemd", environment=environment)
    assert done.returncode == 3, done.stderr
    assert "loginctl enable-linger" in done.stderr
    units = tmp_path / "config" / "systemd" / "user"
    assert {unit.name for unit in units.iterdir()} == {"runner-app.service", "runner-app.timer"}
    assert "systemctl --user enable --now runner-app.timer" in calls.read_text("utf-8")
    shown = project.run("schedule", "show", "app", "--with", "systemd", environment=environment)
    assert "OnCalendar=*-*-* *:00:00" in shown.stdout
    assert "next backup of app due" in shown.stdout
    removed = project.run("schedule", "remove", "app", "--with", "systemd", environment=environment)
    assert removed.returncode == 0
    assert list(units.iterdir()) == []
    assert "systemctl --user disable --now runner-app.timer" in calls.read_text("utf-8")
    again = project.run("schedule", "remove", "app", "--with", "systemd", environment=environment)
    assert "there is no timer" in again.stdout


def test_the_unit_runs_what_it_says(project: Project, tmp_path: Path) -> None:
    import shlex

    environment, _ = stand_ins(tmp_path)
    assert project.run("schedule", "install", "app", "--with", "systemd", environment=environment).returncode == 3
    unit = (tmp_path / "config" / "systemd" / "user" / "runner-app.service").read_text("utf-8")
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    command = shlex.split(line.removeprefix("ExecStart="))
    bare = {name: value for name, value in os.environ.items() if name in ("PYTHONPATH", "HOME")}
    done = subprocess.run(command, cwd="/", env={**bare, "PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(project.archives()) == 1


def test_a_timer_goes_although_the_schedule_or_the_profile_is_gone(project: Project, tmp_path: Path) -> None:
    environment, _ = stand_ins(tmp_path)
    units = tmp_path / "config" / "systemd" / "user"
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8")
    for end in (lambda: profile.write_text(text.replace(DAILY, ""), "utf-8"), profile.unlink):
        profile.write_text(text, "utf-8")
        assert project.run("schedule", "install", "app", "--with", "systemd", environment=environment).returncode == 3
        end()
        removed = project.run("schedule", "remove", "app", "--with", "systemd", environment=environment)
        assert removed.returncode == 0, removed.stderr
        assert list(units.iterdir()) == []


def test_a_timer_that_cannot_be_installed_leaves_nothing(project: Project, tmp_path: Path) -> None:
    environment, _ = stand_ins(tmp_path)
    (tmp_path / "programs" / "systemctl").write_text("#!/bin/sh\necho no bus >&2; exit 1\n", "utf-8")
    done = project.run("schedule", "install", "app", "--with", "systemd", environment=environment)
    assert done.returncode == 14
    assert "no bus" in done.stderr
    assert list((tmp_path / "config" / "systemd" / "user").iterdir()) == []
    assert "there is no timer" in project.run("schedule", "show", "app", "--with", "systemd").stdout


def test_a_folder_of_that_name_is_not_taken_for_the_program(project: Project, tmp_path: Path) -> None:
    environment, _ = stand_ins(tmp_path)
    for name in ("runner", "calendar"):
        (project.folder / name).mkdir()
        (project.folder / name / "__init__.py").write_text("raise SystemExit(1)", "utf-8")
    command = [sys.executable, "-P", "-m", "runner", "schedule", "install", "app", "--with", "systemd"]
    done = subprocess.run(
        command, cwd=project.folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr


def test_a_timer_of_another_project_is_not_replaced(project: Project, tmp_path: Path) -> None:
    environment, _ = stand_ins(tmp_path)
    other = sqlite_project(tmp_path / "other", rows=1, extra=DAILY)
    assert other.run("schedule", "install", "app", "--with", "systemd", environment=environment).returncode == 3
    for action in ("install", "remove"):
        done = project.run("schedule", action, "app", "--with", "systemd", environment=environment)
        assert done.returncode == 15
        assert "does not start" in done.stderr


def test_the_rest_of_a_crontab_is_left_alone(project: Project, tmp_path: Path) -> None:
    runner = f"{sys.executable} -m runner"
    (tmp_path / "mine").write_bytes(b'# mine\n\n17 3 * * 1  echo "50 \\%"\n')
    script = f"""
        crontab {tmp_path}/mine
        {runner} schedule install app --with cron; crontab -l > {tmp_path}/installed
        {runner} schedule install app --with cron; crontab -l > {tmp_path}/again
        {runner} schedule remove app --with cron; crontab -l > {tmp_path}/removed
        crontab -r; {runner} schedule remove app --with cron
        {runner} schedule install app --with cron; crontab -l > {tmp_path}/first
    """
    done = in_own_crontab(project.folder, script)
    assert done.returncode == 0, done.stderr
    mine = b'# mine\n\n17 3 * * 1  echo "50 \\%"\n'
    (line,) = (tmp_path / "first").read_bytes().splitlines(keepends=True)
    assert line.startswith(b"*/10 * * * * ")
    assert b"run-due" in line
    assert (tmp_path / "installed").read_bytes() == mine + line
    assert (tmp_path / "again").read_bytes() == mine + line
    assert (tmp_path / "removed").read_bytes() == mine
    assert "there is no timer of app" in done.stdout


def test_one_line_of_cron_serves_every_profile(project: Project, tmp_path: Path) -> None:
    second = f"version: 1\nmedia: {{root: more}}\ndestinations: [{{type: local, path: out}}]\n{DAILY}"
    (project.folder / "profiles" / "second.yml").write_text(second, "utf-8")
    runner = f"{sys.executable} -m runner"
    script = f"""
        {runner} schedule install app --with cron
        {runner} schedule install second --with cron || true
        crontab -l | grep -c run-due
        {runner} schedule remove app --with cron
    """
    done = in_own_crontab(project.folder, script)
    assert done.returncode == 15, done.stderr
    assert "\n1\n" in done.stdout
    assert "serves other profiles, too: `second`" in done.stderr


SERVER = "engine: postgresql, host: localhost, name: school, password: {env: SCHOOL_PASSWORD}"


def test_variables_that_a_timer_lacks_are_named_and_kept_when_asked(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "app", rows=1, extra=DAILY)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace("engine: sqlite, path: school.sqlite3", SERVER), "utf-8")
    environment, _ = stand_ins(tmp_path)
    environment |= {"SCHOOL_PASSWORD": "geheim=#1 "}
    refused = project.run("schedule", "install", "app", "--with", "systemd", environment=environment)
    assert refused.returncode == 15
    assert "--keep SCHOOL_PASSWORD" in refused.stderr
    assert not (tmp_path / "config").exists()
    kept = project.run(
        "-v", "schedule", "install", "app", "--with", "systemd", "--keep", "SCHOOL_PASSWORD", environment=environment
    )
    assert kept.returncode == 3, kept.stderr
    assert "geheim" not in refused.stdout + refused.stderr + kept.stdout + kept.stderr
    file = project.folder / ".runner" / "app" / "environment"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text("utf-8") == "SCHOOL_PASSWORD=geheim=#1 \n"
    assert "geheim" not in "".join(unit.read_text("utf-8") for unit in (tmp_path / "config").rglob("runner-*"))
    assert project.run("run-due", "--check").returncode == 0
    unset = project.run("schedule", "install", "app", "--with", "systemd", "--keep", "NOT_SET", environment=environment)
    assert unset.returncode == 2


def test_a_scheduled_run_finds_the_password_that_was_kept(tmp_path: Path) -> None:
    password = "clé = à nous #1"
    with start_cluster(find_installation(), password=password) as cluster:
        cluster.create_database("school")
        cluster.sql("school", "CREATE TABLE payment (id int); INSERT INTO payment VALUES (1)")
        project = postgresql_project(tmp_path / "app", cluster, "school", extra=DAILY)
        profile = project.folder / "profiles" / "app.yml"
        secret = f"user: {cluster.user}, password: {{env: SCHOOL_PASSWORD}}"
        profile.write_text(profile.read_text("utf-8").replace(f"user: {cluster.user}", secret), "utf-8")
        assert project.run("run-due").returncode == 10
        environment, _ = stand_ins(tmp_path)
        environment |= {"SCHOOL_PASSWORD": password}
        install = ("schedule", "install", "app", "--with", "systemd", "--keep", "SCHOOL_PASSWORD")
        assert project.run(*install, environment=environment).returncode == 3
        (project.folder / ".runner" / "app" / "attempt.json").unlink()  # which would wait for an hour
        done = project.run("run-due")
        assert done.returncode == 0, done.stderr
        assert len(project.archives()) == 1
        logs = (project.folder / ".runner" / "app" / "logs").iterdir()
        assert not [log for log in logs if password in log.read_text("utf-8")]


def test_printing_changes_nothing(project: Project) -> None:
    for kind in ("systemd", "systemd-system", "cron", "launchd", "task-scheduler"):
        done = project.run("schedule", "install", "app", "--with", kind, "--print")
        assert done.returncode == 0, done.stderr
        assert "run-due" in done.stdout
    assert not (project.folder / ".runner").exists()


def status(project: Project, *before: str) -> tuple[int, str]:
    """The exit code, and the codes of the warnings."""
    done = project.run("status", "--format", "json", before=before)
    document = json.loads(done.stdout)
    return done.returncode, " ".join(warning["code"] for warning in document["warnings"])


def test_status_says_how_old_the_newest_good_backup_is(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "app", rows=10, extra=f"{DAILY}alert: {{max_age: 36h}}\n")
    assert status(project) == (3, "status.none")
    assert project.run("apply", "app", before=at("2026-01-08 12:00")).returncode == 0
    assert status(project, *at("2026-01-09 23:00")) == (0, "")
    assert status(project, *at("2026-01-10 01:00")) == (3, "status.overdue")
    assert project.run("apply", "app", "--variant", "db-only", before=at("2026-01-10 02:00")).returncode == 0
    assert status(project, *at("2026-01-10 03:00")) == (3, "status.overdue")  # half a backup is none
    text = project.run("status", before=at("2026-01-10 03:00"))
    assert "39 h ago" in text.stdout
    assert "next one due 2026-01-10 23:00:00" in text.stdout
    project.out.rename(project.out.with_name("away"))
    assert status(project) == (3, "status.unseen")


def test_status_tells_of_a_scheduled_run_that_failed(project: Project) -> None:
    assert project.run("apply", "app").returncode == 0
    project.out.rename(project.out.with_name("away"))
    assert project.run("run-due", before=at("2030-01-01 23:30")).returncode == 12
    project.out.with_name("away").rename(project.out)
    assert status(project) == (3, "status.failed")

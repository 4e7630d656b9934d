"""French by option, by variable and by locale, on a console of any encoding; JSON is English."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.main import COMMANDS
from runner.language import chosen
from tests.projects import COMMAND, Project, sqlite_project

FRENCH = {"RUNNER_LANG": "fr"}


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "fr_CA"}, "fr"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "en_US", "RUNNER_LANG": "fr"}, "fr"),
        ({"LANG": "fr_FR", "RUNNER_LANG": "en"}, "en"),
        ({"LANG": "fr_FR", "RUNNER_LANG": "klingon"}, "fr"),
    ],
)
def test_the_language_is_said_or_that_of_the_system(environ: dict[str, str], language: str) -> None:
    if os.name == "nt" and "LANG" not in environ:
        pytest.skip("Windows has a language of its own")
    assert chosen(environ) == language


EVERY_COMMAND = (
    ("validate",),
    ("apply", "app", "--dry-run"),
    ("apply", "app"),
    ("list", "app"),
    ("show", "app", "--match", "*.pdf"),
    ("verify", "app"),
    ("doctor", "app"),
    ("status",),
    ("run-due",),
    ("run-due", "--check"),
    ("schedule", "install", "app", "--with", "cron", "--print"),
    ("restore", "app", "--dry-run"),
    ("restore", "app", "--yes"),
    ("undo", "app", "--yes"),
    ("recover", "app"),
    ("demo", "new"),
    (),
)

ENCODINGS = ("utf-8", "cp1252")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_in_french(tmp_path: Path, encoding: str) -> None:
    project = sqlite_project(tmp_path / "project", rows=20, extra='schedule: {daily: "23:00"}\n')
    environment = {**FRENCH, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    said: list[str] = []
    for arguments in EVERY_COMMAND:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=project.folder,
            env={**os.environ, **environment, "COLUMNS": "200"},
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr  # 3: there is no timer
        said.append((done.stdout + done.stderr).decode(encoding))
    text = "\n".join(said)
    assert "sauvegarde" in text
    assert "2 fichiers" in text
    assert "vérifié" in text
    assert "\\x" not in text
    words = re.sub(r"\S*/\S*|\S+\.zip|app_backup\S*", "", text)
    assert not re.search(r"\b(backup|verified|files|nothing|newest)\b", words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_is_french(name: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--lang", "fr", name, "--help"], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.startswith("Utilisation")
    assert "Show this message and exit" not in done.stdout
    assert "Examples" not in done.stdout


def test_mistakes_are_told_in_french(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=1)
    wrong = project.run("--lang", "fr", "apply")
    assert wrong.returncode == 2
    assert "Erreur" in wrong.stderr
    unknown = project.run("aply", environment=FRENCH)
    assert "aply" in unknown.stderr
    assert "No such command" not in unknown.stderr
    missing = project.run("apply", "nobody", environment=FRENCH)
    assert missing.stderr.startswith("erreur\u00a0: ")
    assert "conseil\u00a0: " in missing.stderr


def test_programs_are_told_in_english(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=1)
    for arguments in (("apply", "nobody"), ("apply",), ("validate", "nobody"), ("doctor", "app"), ("apply", "app")):
        texts = [project.run("--lang", language, *arguments, "--format", "json").stdout for language in ("en", "fr")]
        english, french = (re.sub(r"\d+(\.\d+)?", "0", text) for text in texts)
        if arguments[-1] != "app":
            assert english == french
        assert json.loads(texts[1])["errors"] == json.loads(texts[0])["errors"]


def test_the_log_of_a_run_is_english_and_kept(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=10)
    assert project.run("apply", "app", environment=FRENCH).returncode == 0
    next(project.media.rglob("*.pdf")).unlink()
    assert project.run("apply", "app", environment=FRENCH).returncode == 13
    logs = list((project.folder / ".runner" / "app" / "logs").iterdir())
    bad, good = sorted(logs, key=lambda log: " error " not in log.read_text("utf-8"))
    assert re.fullmatch(r"\d{8}_\d{6}-[0-9a-f]{8}\.log", good.name)
    lines = good.read_text("utf-8").splitlines()
    assert re.fullmatch(rf"\S+ begin   apply {good.stem}", lines[0])
    assert [line for line in lines if " start   dump: dump the database" in line]
    assert " error   integrity.references: " in bad.read_text("utf-8")
    if sys.platform != "win32":
        assert good.stat().st_mode & 0o777 == 0o600


def test_old_logs_go(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path, rows=10)
    logs = project.folder / ".runner" / "app" / "logs"
    logs.mkdir(parents=True)
    for number in range(60):
        (logs / f"20200101_0000{number:02}-00000000.log").touch()
    assert project.run("apply", "app").returncode == 0
    assert len(list(logs.iterdir())) == 50
    assert (logs / "20200101_000059-00000000.log").exists()


def test_a_first_profile_is_commented_in_french(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "there", rows=1)
    (tmp_path / "elsewhere").mkdir()
    (project.folder / "school.sqlite3").rename(tmp_path / "elsewhere" / "school.sqlite3")
    done = Project(tmp_path / "elsewhere", tmp_path).run("init", "--yes", environment=FRENCH)
    assert done.returncode == 0, done.stderr
    assert "sauvegardé" in (tmp_path / "elsewhere" / "profiles" / "elsewhere.yml").read_text("utf-8")

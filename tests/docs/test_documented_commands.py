"""The commands of the quickstart are run as they stand: the blocks behind `<!-- test: NAME -->`, in order."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import yaml

from runner import config
from runner.cli.main import COMMANDS
from tests.django_projects import django_project
from tests.requirements import requires_program

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"<!-- test: (\w+) -->\n```(\w+)\n(.*?)```", re.DOTALL)
YAML_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def make_application(folder: Path) -> None:
    """What the page's reader has already."""
    receipt = folder / "media" / "payment_receipts" / "2026" / "benali.pdf"
    receipt.parent.mkdir(parents=True)
    receipt.write_bytes(b"%PDF-1.4")
    with closing(sqlite3.connect(folder / "db.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE finance_payment (id INTEGER PRIMARY KEY, receipt TEXT)")
        connection.execute("INSERT INTO finance_payment (receipt) VALUES ('payment_receipts/2026/benali.pdf')")


def output_of(blocks: list[tuple[str, str, str]], folder: Path, programs: Path) -> str:
    """Do in `folder` what the blocks say: write the files, run the commands; everything that they print."""
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    programs.mkdir()
    for name, arguments in (("runner", "-m runner"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    output = ""
    for _, language, content in blocks:
        if language == "yaml":
            (folder / content.splitlines()[0].removeprefix("# ")).write_text(content, "utf-8")
            continue
        script = ["sh", "-e", "-c", content]
        done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        output += done.stdout
    return output


def test_the_quickstart_works_as_written(tmp_path: Path) -> None:
    requires_program("unzip")
    make_application(tmp_path)
    blocks = BLOCK.findall((ROOT / "docs" / "quickstart.md").read_text("utf-8"))
    assert [name for name, _, _ in blocks] == ["project", "profile", "folder", "check", "backup", "restore", "by_hand"]
    output = output_of(blocks, tmp_path, tmp_path / "programs")
    for expected in (
        "school: valid",
        "every byte verified",
        "1 file matches",
        "full restore from",
        "full undo from",
        "RESTORE BY HAND",
    ):
        assert expected in output


def test_the_sample_comes_back_on_a_new_machine_as_the_disaster_page_says(tmp_path: Path) -> None:
    requires_program("unzip")
    requires_program("sqlite3")
    blocks = BLOCK.findall((ROOT / "docs" / "disaster.md").read_text("utf-8"))
    names = ["disaster", "project", "profile", "look", "restore", "undo", "by_hand"]
    assert [name for name, _, _ in blocks] == names
    folder = tmp_path / "new machine"
    output = output_of(blocks, folder, tmp_path / "programs")
    lines = output.splitlines()
    assert not (folder / "sample").exists()
    assert any("every byte is as it was written" in line for line in lines)
    assert lines.count("480") == 2
    assert "ok" in lines
    assert len(list((folder / "by_hand" / "media").rglob("*.jpg"))) > 50
    assert not (folder / "media" / "payment_receipts").exists()  # undone, mistake and all


def test_a_django_project_in_five_commands(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "django.md").read_text("utf-8"))
    assert [name for name, _, _ in blocks] == ["five"]
    django = django_project(tmp_path / "shop", more='INSTALLED_APPS += ["runner.contrib.django"]')
    django.fill(2)
    output = output_of(blocks, django.folder, tmp_path / "programs")
    assert output.count("4 checked, 0 missing") == 2
    assert "full restore from" in output


def test_every_profile_that_a_page_shows_is_valid(tmp_path: Path) -> None:
    shown = 0
    french = ROOT / "docs" / "fr"
    english = [ROOT / "docs" / f"{name}.md" for name in ("quickstart", "disaster", "django")]
    francais = [french / f"{name}.md" for name in ("demarrage", "sinistre", "django")]
    for page in (ROOT / "README.md", *english, *francais):
        for content in YAML_BLOCK.findall(page.read_text("utf-8")):
            if "destinations:" not in content:
                continue
            folder = tmp_path / str(shown)
            (folder / "profiles").mkdir(parents=True)
            (folder / "backup.yml").write_text("version: 1\n", "utf-8")
            (folder / "profiles" / "school.yml").write_text(content, "utf-8")
            checked = config.check(config.find_root(None, folder), environ={"HOME": str(folder)})
            assert [str(problem.message) for problem in checked.problems] == []
            shown += 1
    assert shown == 13


COMMAND = re.compile(r"`runner ([a-z][a-z-]*)")
LINE = re.compile(r"^(?:\.\\\.venv\\Scripts\\)?runner (?:-\S+ )*([a-z][a-z-]*)", re.MULTILINE)
CODE = re.compile(r"^ *```(?:sh|powershell|yaml|dockerfile)\n(.*?)```", re.MULTILINE | re.DOTALL)


def test_every_command_that_a_page_names_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    texts = [page.read_text("utf-8") for page in pages]
    named = {name for text in texts for name in COMMAND.findall(text)}
    named |= {name for text in texts for block in CODE.findall(text) for name in LINE.findall(block)}
    assert named - set(COMMANDS) <= {"drill"}  # which is named as what is not there yet


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "fr" / "guide" / "index.html").is_file()


def test_the_ci_jobs_of_the_readme_are_yaml() -> None:
    blocks = YAML_BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    (job,) = [yaml.safe_load(block) for block in blocks if "runs-on" in block]
    commands = [step["run"] for step in job["jobs"]["check"]["steps"] if "run" in step]
    assert commands[1:] == ["runner validate --format github", "runner apply --all --dry-run"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert "runner-validate" in [hook["id"] for hook in hooks]


def test_the_readmes_ci_job_needs_no_database_no_network_and_no_secret(tmp_path: Path) -> None:
    """The two commands on the shipped profiles, with an empty environment."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "PYTHONPATH")}
    environment["HOME"] = str(tmp_path)
    for arguments in (["validate", "--format", "github"], ["apply", "--all", "--dry-run"]):
        command = [sys.executable, "-m", "runner", "-c", str(ROOT / "backup.yml"), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout

"""The scripts of `runner init --powershell`: syntax, bytes and, where there is PowerShell, their work."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from tests.projects import Project, sqlite_project

SCRIPTS = ("backup_data.ps1", "restore_data_latest.ps1")
SHELLS = [shell for shell in ("pwsh", "powershell") if shutil.which(shell)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = sqlite_project(tmp_path / "École du Nord", rows=10)
    done = project.run("init", "--powershell")
    assert done.returncode == 0, done.stderr
    return project


def parts(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from parts(child)


def parsed(content: bytes) -> Node:
    return Parser(Language(tree_sitter_powershell.language())).parse(content).root_node


@pytest.mark.parametrize("name", SCRIPTS)
def test_they_are_powershell(project: Project, name: str) -> None:
    content = (project.folder / name).read_bytes().removeprefix(b"\xef\xbb\xbf")
    assert [part for part in parts(parsed(content)) if part.is_error or part.is_missing] == []
    assert parsed(b"if ($a { exit 1 }").has_error  # so that the line above means something


@pytest.mark.parametrize("name", SCRIPTS)
def test_windows_powershell_reads_their_accents(project: Project, name: str) -> None:
    content = (project.folder / name).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\n") == content.count(b"\r\n") > 50
    assert "données" in content.decode("utf-8-sig")
    assert b"@PROFILE@" not in content


def test_they_take_what_the_old_ones_took(project: Project) -> None:
    taken = {
        "backup_data.ps1": "OnlyDb OnlyMedia Dest",
        "restore_data_latest.ps1": "File OnlyDb OnlyMedia Force TrustSql",
    }
    for name, parameters in taken.items():
        text = (project.folder / name).read_text("utf-8-sig")
        declared = re.findall(r"^    \[(?:switch|string)\]\$(\w+)", text, re.MULTILINE)
        assert declared == parameters.split()
        assert set(re.findall(r"^\.PARAMETER (\w+)", text, re.MULTILINE)) == set(declared)


def test_old_scripts_are_not_replaced(project: Project) -> None:
    (project.folder / SCRIPTS[0]).write_text("# the old one", "utf-8")
    (project.folder / SCRIPTS[1]).unlink()
    done = project.run("init", "--powershell")
    assert done.returncode == 15
    assert "Rename-Item backup_data.ps1" in done.stderr
    assert (project.folder / SCRIPTS[0]).read_text("utf-8") == "# the old one"
    assert not (project.folder / SCRIPTS[1]).exists()


@pytest.mark.skipif(not SHELLS, reason="there is no PowerShell on this machine; on Windows there is")
@pytest.mark.parametrize("shell", SHELLS)
def test_they_back_up_and_restore(project: Project, shell: str, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def run(name: str, *arguments: str) -> int:
        command = [shell, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", str(project.folder / name), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode

    elsewhere = tmp_path / "Mes sauvegardes à part"
    elsewhere.mkdir()
    assert run(SCRIPTS[0]) == 0
    assert run(SCRIPTS[0], "-OnlyMedia", "-Dest", f"{elsewhere}{os.sep}") == 0
    assert run(SCRIPTS[0], "-OnlyMedia", "-OnlyDb") == 2
    assert len(list(elsewhere.glob("*.zip"))) == 1
    for file in project.media.rglob("*.pdf"):
        file.unlink()
    assert run(SCRIPTS[1], "-File", str(elsewhere / "app_backup_*.zip"), "-OnlyMedia", "-Force") == 0
    assert list(project.media.rglob("*.pdf"))
    assert run(SCRIPTS[1], "-File", "nothing.zip", "-Force") == 2

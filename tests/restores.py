"""Scenes for restores: a project with an archive and a live state that moved on since, and what either looks like."""

import re
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.journal import Journal
from runner.state import ProfileState
from tests.extract import Described, described
from tests.projects import Project, sqlite_project

State = tuple[tuple[str, ...], Described]
CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat2", "link", "unlink", "mkdir", "rmdir")


def sqlite_content(path: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.iterdump())


@dataclass(frozen=True, slots=True)
class Scene:
    """A SQLite project whose live state is `old`, and whose one archive holds `new`; `reset` makes it so again."""

    project: Project
    template: Path
    old: State
    new: State

    def reset(self) -> None:
        shutil.rmtree(self.project.folder)
        shutil.copytree(self.template, self.project.folder, symlinks=True)

    def live(self) -> State:
        media = described(self.project.media)
        return sqlite_content(self.project.folder / "school.sqlite3"), media

    def is_interrupted(self) -> bool:
        """Whether a swap has begun and is not finished."""
        journal = Journal.read(ProfileState(self.project.folder / ".runner", "app").journal_path)
        return journal is not None and journal.swap_began

    def leftovers(self) -> list[Path]:
        """Whatever carries a run's id beside the live data, and what lies in the work folder."""
        hidden = [path for path in self.project.folder.iterdir() if re.search(r"\d{8}_\d{6}-", path.name)]
        journal = ProfileState(self.project.folder / ".runner", "app").journal_path
        return hidden + self.project.leftovers() + ([journal] if journal.exists() else [])


def sqlite_scene(folder: Path, *, extra: str = "") -> Scene:
    """Rows and files deleted, changed and added since the archive was made."""
    project = sqlite_project(folder / "project", rows=60, extra=extra)
    (project.media / "vide").mkdir(mode=0o750)
    (project.media / "lien").symlink_to("reçus/00010.pdf")
    project.apply()
    new = (sqlite_content(project.folder / "school.sqlite3"), described(project.media))
    with closing(sqlite3.connect(project.folder / "school.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM finance_payment WHERE id % 3 = 0")
        connection.execute("INSERT INTO finance_payment VALUES (1000, 'later', 'reçus/later.pdf')")
        connection.execute("CREATE TABLE newer (id INTEGER PRIMARY KEY)")
    (project.media / "reçus" / "later.pdf").write_bytes(b"%PDF-later")
    (project.media / "reçus" / "00020.pdf").unlink()
    (project.media / "reçus" / "00030.pdf").write_bytes(b"changed")
    old = (sqlite_content(project.folder / "school.sqlite3"), described(project.media))
    template = folder / "template"
    shutil.copytree(project.folder, template, symlinks=True)
    return Scene(project, template, old, new)


def counted_calls(project: Project, strace: str, log: Path, *arguments: str) -> dict[str, list[int]]:
    """For each kind of call, the numbers (within a process) of those that touch a file of the project's."""
    names = "|".join(CALLS)
    trace = (strace, "-f", "-y", "-qq", "-e", f"trace={names.replace('|', ',')}", "-o", str(log))
    done = project.run(*arguments, before=trace)
    assert done.returncode == 0, done.stderr
    numbers: Counter[tuple[str, str]] = Counter()
    touching: dict[str, list[int]] = {name: [] for name in CALLS}
    for line in log.read_text("utf-8", "replace").splitlines():
        call = re.match(rf"(\d+) +({names})\((?:\d+<(.*?)>)?", line)
        if call is None:
            continue
        numbers[call[1], call[2]] += 1
        if str(project.folder) in line:
            touching[call[2]].append(numbers[call[1], call[2]])
    return touching


def strike(
    project: Project, strace: str, call: str, number: int, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command and kill it at one call."""
    options = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
    return project.run(*arguments, before=(strace, "-f", "-qq", "-o", "/dev/null", *options))

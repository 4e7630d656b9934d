"""Scenes for restores: a project with an archive and a live state that moved on since, and what either looks like."""

import re
import secrets
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.journal import Journal
from runner.state import ProfileState
from tests.extract import Described, described
from tests.projects import Project, postgresql_project, sqlite_project
from tests.servers.postgresql import Cluster

State = tuple[tuple[str, ...], Described]
CALLS = ("write", "pwrite64", "fsync", "syncfs", "fdatasync", "rename", "renameat2", "link", "unlink", "mkdir", "rmdir")


def sqlite_content(path: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.iterdump())


@dataclass(slots=True)
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
        return self.content(), described(self.project.media)

    def content(self) -> tuple[str, ...]:
        return sqlite_content(self.project.folder / "school.sqlite3")

    def is_interrupted(self) -> bool:
        """Whether a swap has begun and is not finished."""
        journal = Journal.read(ProfileState(self.project.folder / ".runner", "app").journal_path)
        return journal is not None and journal.swap_began

    def leftovers(self) -> list[Path]:
        """Whatever carries a run's id beside the live data, and what lies in the work folder."""
        hidden = [path for path in self.project.folder.iterdir() if re.search(r"\d{8}_\d{6}-", path.name)]
        journal = ProfileState(self.project.folder / ".runner", "app").journal_path
        return hidden + self.project.leftovers() + ([journal] if journal.exists() else [])


@dataclass(slots=True)
class PostgresqlScene(Scene):
    """The same on a PostgreSQL server; a copy of the database in its old state is the template."""

    cluster: Cluster
    name: str

    def reset(self) -> None:
        super(PostgresqlScene, self).reset()
        self.cluster.start()
        for leftover in self.databases():
            self.cluster.drop_database(leftover)
        self.cluster.drop_database(self.name)
        self.cluster.create_database(self.name, template=f"{self.name}_template")

    def content(self) -> tuple[str, ...]:
        return postgresql_content(self.cluster, self.name)

    def leftovers(self) -> list[Path]:
        return [*super(PostgresqlScene, self).leftovers(), *map(Path, self.databases())]

    def databases(self) -> list[str]:
        """Those that a restore has left on the server."""
        found = self.cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner\\_%'")
        return [str(name) for (name,) in found]


def postgresql_content(cluster: Cluster, name: str) -> tuple[str, ...]:
    """Everything that pg_dump says of a database, in no particular order."""
    text = cluster.run("pg_dump", dbname=name).stdout.decode("utf-8")
    return tuple(sorted(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))))


SCHOOL = """
CREATE TABLE finance_payment (id serial PRIMARY KEY, memo text, receipt text NOT NULL);
CREATE TABLE school_student (id integer PRIMARY KEY, name text);
INSERT INTO school_student SELECT n, 'élève ' || n FROM generate_series(1, 300) n;
INSERT INTO finance_payment (memo, receipt) SELECT 'tranche ' || n, '' FROM generate_series(1, 50) n;
"""
NEWER = """
DELETE FROM finance_payment WHERE id % 3 = 0;
UPDATE school_student SET name = 'changed' WHERE id % 7 = 0;
CREATE TABLE newer_migration (id integer);
INSERT INTO newer_migration VALUES (1);
"""


def postgresql_scene(
    folder: Path, cluster: Cluster, name: str, *, extra: str = "", statements: str = ""
) -> PostgresqlScene:
    """Rows, a table and files changed since the archive was made. The database must be there, and is empty.

    `extra` goes into the profile, `statements` are run before the backup.
    """
    cluster.sql(name, SCHOOL + statements)
    project = postgresql_project(folder / "project", cluster, name, extra=extra)
    project.apply()
    new = (postgresql_content(cluster, name), described(project.media))
    cluster.sql(name, NEWER)
    (project.media / "affiches" / "film n° 3.txt").unlink()
    (project.media / "affiches" / "film n° 4.txt").write_bytes(b"changed")
    (project.media / "later.txt").write_bytes(b"later")
    old = (postgresql_content(cluster, name), described(project.media))
    template = folder / "template"
    shutil.copytree(project.folder, template, symlinks=True)
    cluster.create_database(f"{name}_template", template=name)
    cluster.sql("postgres", "CHECKPOINT")  # otherwise a crash would move its sequences on
    return PostgresqlScene(project, template, old, new, cluster, name)


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


def counted_calls(
    project: Project, strace: str, log: Path, *arguments: str, alone: bool = False
) -> dict[str, list[int]]:
    """For each kind of call, the numbers (within a thread) of those that touch a file of the project's.

    A strike at one of them strikes every thread and every program at its call of that number. `alone`: only those
    numbers that no call has which is for something else, such as a line on stderr.
    """
    names = "|".join(CALLS)
    trace = (strace, "-f", "-y", "-qq", "-e", f"trace={names.replace('|', ',')}", "-o", str(log))
    done = project.run(*arguments, before=trace)
    assert done.returncode == 0, done.stderr
    numbers: Counter[tuple[str, str]] = Counter()
    touching: dict[str, list[int]] = {name: [] for name in CALLS}
    elsewhere: dict[str, set[int]] = {name: set() for name in CALLS}
    for line in log.read_text("utf-8", "replace").splitlines():
        call = re.match(rf"(\d+) +({names})\((?:\d+<(.*?)>)?", line)
        if call is None:
            continue
        numbers[call[1], call[2]] += 1
        if str(project.folder) in line:
            touching[call[2]].append(numbers[call[1], call[2]])
        else:
            elsewhere[call[2]].add(numbers[call[1], call[2]])
    if alone:
        return {name: [each for each in found if each not in elsewhere[name]] for name, found in touching.items()}
    return touching


def strike(
    project: Project, strace: str, call: str, number: int, *arguments: str, what: str = "signal=SIGKILL"
) -> "subprocess.CompletedProcess[str]":
    """Run the command and strike it at one call: kill it, unless `what` says otherwise."""
    options = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}")
    return project.run(*arguments, before=(strace, "-f", "-qq", "-o", "/dev/null", *options))


def assert_whole_after_recovery(scene: Scene, where: str, told: str = "") -> str:
    """Whatever was interrupted: refused until it is recovered, then exactly old or exactly new, nothing left unnamed.

    `told` is what the interrupted run said.
    """
    if scene.is_interrupted():
        assert scene.project.run("apply", "app").returncode == 16, where
        assert scene.project.run("undo", "app", "--yes").returncode == 16, where
    recovered = scene.project.run("recover", "app")
    assert recovered.returncode in (0, 3), (where, recovered.stderr)
    live = scene.live()
    assert live in (scene.old, scene.new), where
    named = told + recovered.stderr
    assert [path for path in scene.leftovers() if str(path) not in named] == [], where
    return "old" if live == scene.old else "new"


@contextmanager
def fresh_postgresql_scene(
    folder: Path, cluster: Cluster, *, extra: str = "", statements: str = ""
) -> Iterator[PostgresqlScene]:
    """A scene over a database of its own; whatever it leaves on the server goes with it."""
    name = cluster.create_database(f"school_{secrets.token_hex(4)}", encoding="UTF8")
    try:
        yield postgresql_scene(folder, cluster, name, extra=extra, statements=statements)
    finally:
        cluster.start()
        cluster.drop_database(name)
        cluster.drop_database(f"{name}_template")
        for (left,) in cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner\\_%'"):
            cluster.drop_database(str(left))


def there_and_back(scene: Scene) -> None:
    """A full restore, and its undo."""
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert scene.live() == scene.new
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def contents(folder: Path) -> dict[str, bytes]:
    """What the files below a folder hold, whatever their modes and times."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spoken(text: str) -> str:
    """What was said, however the lines were broken."""
    return " ".join(text.split())

"""Small projects for tests: a backup.yml, one profile, a database, media, and `runner` run as users run it."""

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runner.archive.reader import ArchiveReader
from runner.archive.verify import verify_archive
from runner.model.manifest import Manifest
from tests.servers.postgresql import Cluster

COMMAND = (sys.executable, "-m", "runner")
TIMEOUT_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Project:
    """A project in `folder` whose profile is called `app`; archives go to `out`."""

    folder: Path
    out: Path

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def work(self) -> Path:
        """Where a run keeps its temporary files; empty between runs."""
        return self.folder / ".runner" / "app" / "work"

    def run(
        self, *arguments: str, before: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `runner` in the project; `before` is a command that runs it (strace, timeout, …)."""
        return subprocess.run(
            [*before, *COMMAND, *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", **(environment or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def apply(self, *arguments: str) -> Path:
        """A backup that must go well; returns the new archive."""
        earlier = set(self.archives())
        done = self.run("apply", "app", *arguments)
        assert done.returncode == 0, done.stderr
        (new,) = set(self.archives()) - earlier
        return new

    def archives(self) -> list[Path]:
        """Everything at the destination that carries a final name."""
        return sorted(self.out.glob("*.zip"))

    def leftovers(self) -> list[Path]:
        """Whatever a run has left that it should have taken away."""
        hidden = [path for path in self.out.iterdir() if path.suffix != ".zip"]
        return hidden + (list(self.work.iterdir()) if self.work.exists() else [])


def make_project(folder: Path, database: str, *, out: Path | None = None, media: str = "", extra: str = "") -> Project:
    """Write backup.yml and the profile. `database` and `media` are YAML flow mappings' inner text."""
    out = folder / "out" if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "media").mkdir(exist_ok=True)
    (folder / "backup.yml").write_text("version: 1\n", "utf-8")
    (folder / "profiles" / "app.yml").write_text(
        "version: 1\n"
        f"database: {{{database}}}\n"
        f"media: {{root: media{media}}}\n"
        f"destinations: [{{type: local, path: '{out.as_posix()}'}}]\n{extra}",
        "utf-8",
    )
    return Project(folder, out)


def sqlite_project(folder: Path, *, out: Path | None = None, rows: int = 200, extra: str = "") -> Project:
    """A SQLite school of `rows` payments, a tenth of them with a receipt of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    references = ", references: [{table: finance_payment, column: receipt}]"
    project = make_project(folder, "engine: sqlite, path: school.sqlite3", out=out, media=references, extra=extra)
    receipts = project.media / "reçus"
    receipts.mkdir()
    with sqlite3.connect(folder / "school.sqlite3") as connection:
        connection.execute("CREATE TABLE finance_payment (id INTEGER PRIMARY KEY, memo TEXT, receipt TEXT NOT NULL)")
        for number in range(1, rows + 1):
            receipt = f"reçus/{number:05d}.pdf" if number % 10 == 0 else ""
            connection.execute("INSERT INTO finance_payment VALUES (?, ?, ?)", (number, f"tranche {number}", receipt))
            if receipt:
                (project.media / receipt).write_bytes(b"%PDF-1.4\n" + str(number).encode() * 500)
    connection.close()
    return project


def postgresql_project(
    folder: Path, cluster: Cluster, name: str, *, out: Path | None = None, extra: str = ""
) -> Project:
    """A project over an existing database of a test cluster, with a few media files."""
    folder.mkdir(parents=True, exist_ok=True)
    database = f"engine: postgresql, host: {cluster.host}, port: {cluster.port}, name: {name}, user: {cluster.user}"
    project = make_project(folder, f"{database}, tools: {{bin: '{cluster.bin.as_posix()}'}}", out=out, extra=extra)
    (project.media / "affiches").mkdir()
    for number in range(20):
        (project.media / "affiches" / f"film n° {number}.txt").write_text(f"affiche {number}\n" * 1000, "utf-8")
    return project


def damage_of(archive: Path) -> list[str]:
    """What verification finds wrong with an archive."""
    with ArchiveReader.open(archive) as reader:
        return [str(finding) for finding in verify_archive(reader).damage]


def manifest_of(archive: Path) -> Manifest:
    """The archive's manifest."""
    with ArchiveReader.open(archive) as reader:
        return reader.manifest

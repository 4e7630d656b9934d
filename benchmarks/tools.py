"""What is measured: runner, and what people use without it. Each tool is a few lines of shell, as they would type them.

`Tool` is the contract; the tools here need nothing but PostgreSQL's programs and small system packages. Those that
are installed for the comparison are in `peers`.
"""

import shlex
import shutil
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import runner
from benchmarks.machine import said_by, version_in
from benchmarks.school import REFERENCES
from benchmarks.source import DATABASE, Source

# In the name of each result, so that the newest is the last one.
STAMP = "$(date +%Y%m%d_%H%M%S_%N)"


class Unavailable(Exception):
    """A tool cannot be measured here; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a tool works: its own empty folder, which is the working directory of its commands, and the application.

    `peers` is where the tools are that were fetched.
    """

    folder: Path
    source: Source
    peers: Path

    @property
    def media(self) -> str:
        """The media folder, quoted for the shell."""
        return shlex.quote(str(self.source.media))

    @property
    def application(self) -> str:
        """The folder that `media` lies in, quoted for the shell."""
        return shlex.quote(str(self.source.folder))


@dataclass(frozen=True, slots=True)
class Tool(ABC):
    """One tool with one set of settings. `group` is what it is called in the list of tools to choose from."""

    group: str
    title: str

    @property
    def restores_over_live(self) -> bool:
        """Whether the application is still there, spoilt, when the restore begins; otherwise both halves are empty."""
        return False

    def install(self, peers: Path) -> None:
        """Make the tool usable, below `peers` where it has to be fetched. Raises `Unavailable`."""
        del peers

    def versions(self, peers: Path) -> dict[str, str]:
        """Program → its version, once it is installed."""
        del peers
        return {}

    def prepare(self, stage: Stage) -> str:
        """Write what has to be there before the first backup, and return the commands that make the rest of it."""
        del stage
        return ""

    @abstractmethod
    def backup(self, stage: Stage) -> str:
        """The commands of one backup."""

    @abstractmethod
    def restore(self, stage: Stage) -> str:
        """The commands that bring the newest backup back, into the empty database and the empty media folder."""


@dataclass(frozen=True, slots=True)
class Runner(Tool):
    """This project, run from the checkout by the interpreter that runs the benchmarks.

    As it comes, it reads each archive again, and keeps what a restore replaces. Lean, it does neither, as the others.
    """

    lean: bool = False

    @property
    def restores_over_live(self) -> bool:
        return not self.lean

    def versions(self, peers: Path) -> dict[str, str]:
        del peers
        return {"runner": runner.__version__, "isal": version("isal")}

    def prepare(self, stage: Stage) -> str:
        write_profile(stage.folder, stage.source, verify=not self.lean)
        return ""

    def backup(self, stage: Stage) -> str:
        del stage
        return f"{runner_command()} apply school"

    def restore(self, stage: Stage) -> str:
        del stage
        return f"{runner_command()} restore school --yes" + (" --no-safety-copy" if self.lean else "")


OURS = Runner("runner", "runner, as it comes: re-read; safety copy")
OURS_LEAN = Runner("runner", "runner, `archive.verify: false`; `--no-safety-copy`", lean=True)


def runner_command() -> str:
    """How to start runner in a shell."""
    return f"{shlex.quote(sys.executable)} -m runner"


def write_profile(folder: Path, source: Source, *, verify: bool) -> None:
    """backup.yml, the profile `school`, and the destination `out`, all below `folder`."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "backup.yml").write_text("version: 1\n", "utf-8")
    lines = ["version: 1"]
    if source.has_database:
        cluster = source.cluster
        server = f"host: {cluster.host}, port: {cluster.port}, user: {cluster.user}, tools: {{bin: '{cluster.bin}'}}"
        lines.append(f"database: {{engine: postgresql, name: {DATABASE}, {server}}}")
    lines += ["media:", f"  root: '{source.media}'"]
    if source.has_database:
        lines.append("  references:")
        lines += [f"    - {{table: {table}, column: {column}}}" for table, column in REFERENCES]
    lines += [f"archive: {{verify: {str(verify).lower()}}}", "destinations: [{type: local, path: out}]"]
    (folder / "profiles" / "school.yml").write_text("\n".join(lines) + "\n", "utf-8")


ZIP_SCRIPT = """\
import sys, zipfile
from pathlib import Path
media = Path(sys.argv[2])
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write("dump.sql")
    for path in media.rglob("*"):
        archive.write(path, Path("media") / path.relative_to(media))
"""


@dataclass(frozen=True, slots=True)
class Naive(Tool):
    """The script that people write first."""

    def install(self, peers: Path) -> None:
        del peers
        need("unzip")

    def versions(self, peers: Path) -> dict[str, str]:
        del peers
        return {"unzip": version_in(said_by("unzip", "-v"))}

    def prepare(self, stage: Stage) -> str:
        (stage.folder / "zip.py").write_text(ZIP_SCRIPT, "utf-8")
        return ""

    def backup(self, stage: Stage) -> str:
        return (
            f"pg_dump {DATABASE} > dump.sql\n"
            f'{shlex.quote(sys.executable)} zip.py "backup_{STAMP}.zip" {stage.media}\n'
            "rm dump.sql"
        )

    def restore(self, stage: Stage) -> str:
        return (
            "newest=$(ls -d backup_*.zip | tail -n 1)\n"
            'unzip -q "$newest" dump.sql\n'
            f"unzip -q \"$newest\" 'media/*' -d {stage.application}\n"
            f"psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d {DATABASE} -f dump.sql\n"
            "rm dump.sql"
        )


@dataclass(frozen=True, slots=True)
class Pipeline(Tool):
    """The shell pipeline of somebody who knows the tools, and has two cores."""

    def install(self, peers: Path) -> None:
        del peers
        need("tar", "zstd")

    def versions(self, peers: Path) -> dict[str, str]:
        del peers
        return {"tar": version_in(said_by("tar", "--version")), "zstd": version_in(said_by("zstd", "--version"))}

    def backup(self, stage: Stage) -> str:
        return (
            f'out="backup_{STAMP}"\n'
            'mkdir "$out"\n'
            f"pg_dump -Fd -j2 -Z0 -f dump {DATABASE}\n"
            'tar -cf - dump | zstd -q -1 -T2 -o "$out/dump.tar.zst"\n'
            "rm -r dump\n"
            f'tar -cf - -C {stage.application} media | zstd -q -1 -T2 -o "$out/media.tar.zst"'
        )

    def restore(self, stage: Stage) -> str:
        return (
            "newest=$(ls -d backup_* | tail -n 1)\n"
            'zstd -q -d -c "$newest/dump.tar.zst" | tar -xf -\n'
            f'zstd -q -d -c "$newest/media.tar.zst" | tar -xf - -C {stage.application}\n'
            f"pg_restore -j2 -d {DATABASE} dump\n"
            "rm -r dump"
        )


NAIVE = Naive("naive", "naive script: pg_dump, Python's zipfile; unzip, psql")
PIPELINE = Pipeline("pipeline", "shell: pg_dump -Fd -j2 -Z0, tar, zstd -1 -T2; tar -x, pg_restore -j2")


def need(*programs: str) -> None:
    """Raises `Unavailable` where one of them is not on the PATH."""
    for program in programs:
        if shutil.which(program) is None:
            raise Unavailable(f"`{program}` is not installed")

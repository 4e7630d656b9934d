"""Finds PostgreSQL's client programs and picks the pair that fits the server.

pg_dump works on servers up to its own major version and refuses newer ones, so a client of the server's own major is
preferred and the next newer one is second best.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Refused, StepFailed, ToolMissing
from runner.messages import msg
from runner.process import run

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\S+))?")
_SUFFIX = ".exe" if os.name == "nt" else ""

_USUAL_FOLDERS = {
    "linux": ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib64/pgsql/bin"),
    "darwin": (
        "/opt/homebrew/opt/postgresql@*/bin",
        "/opt/homebrew/opt/libpq/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/usr/local/opt/libpq/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
        "/Library/PostgreSQL/*/bin",
    ),
    "win32": ("C:/Program Files/PostgreSQL/*/bin", "C:/Program Files (x86)/PostgreSQL/*/bin"),
}


@dataclass(frozen=True, slots=True)
class Tools:
    """One installation of the client programs, and its version."""

    bin: Path
    major: int
    version: str

    def path(self, program: str) -> str:
        """The full path of `pg_dump`, `pg_restore` or `psql`."""
        return str(self.bin / f"{program}{_SUFFIX}")


def find_tools(server_major: int, folder: Path | None) -> Tools:
    """The client programs for a server. `folder` (the profile's `tools.bin`) replaces the search.

    Raises ToolMissing when there are none, Refused when all are older than the server.
    """
    candidates = [tools for place in _places(folder) if (tools := _inspect(place)) is not None]
    if not candidates:
        raise ToolMissing(
            msg("pg_dump and pg_restore were not found"),
            where=None if folder is None else str(folder),
            hint=msg(
                "install the PostgreSQL {major} client programs, or name their folder in `database.tools.bin`",
                major=server_major,
            ),
        )
    fitting = sorted((tools for tools in candidates if tools.major >= server_major), key=lambda tools: tools.major)
    if not fitting:
        newest = max(candidates, key=lambda tools: tools.major)
        raise Refused(
            msg(
                "pg_dump {client} cannot dump a PostgreSQL {server} server",
                client=newest.version,
                server=server_major,
            ),
            where=str(newest.bin),
            hint=msg(
                "install the client programs of PostgreSQL {server}, or name their folder in `database.tools.bin`",
                server=server_major,
            ),
        )
    return fitting[0]


def _places(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    for usual in _USUAL_FOLDERS.get(sys.platform, ()):
        pattern = Path(usual)
        yield from sorted(Path(pattern.anchor).glob(pattern.relative_to(pattern.anchor).as_posix()))
    found = shutil.which("pg_dump")
    if found is not None:
        yield Path(found).parent


def _inspect(folder: Path) -> Tools | None:
    """The installation in `folder`, None when it has not both programs or they do not run."""
    pg_dump = folder / f"pg_dump{_SUFFIX}"
    if not (pg_dump.is_file() and (folder / f"pg_restore{_SUFFIX}").is_file()):
        return None
    try:
        answer = run([str(pg_dump), "--version"]).decode("utf-8", "replace")
    except StepFailed:
        return None
    match = _VERSION.search(answer)
    return None if match is None else Tools(folder, int(match[1]), match[0].removeprefix("(PostgreSQL) "))

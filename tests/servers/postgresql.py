"""Real PostgreSQL clusters, made for one test run and gone with it.

A cluster lives in a folder of its own below the system's folder for temporary files. It is stopped and removed by
`Cluster.remove`, at the end of the process at the latest; when the process is killed, its `Watchdog` does it.
"""

import atexit
import lzma
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict

import psycopg
from psycopg import sql

from tests.servers import processes
from tests.servers.installation import Installation, InstallationUnavailable, find_installation, is_root
from tests.servers.watchdog import Watchdog

if sys.platform != "win32":
    import pwd

__all__ = ["Cluster", "Installation", "InstallationUnavailable", "find_installation", "start_cluster"]

# Nothing here has to survive a loss of power, and every cluster shares a small machine with others.
# `synchronous_commit` stays on: a commit must survive `Cluster.crash`.
DEFAULT_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_wal_size": "256MB",
    "log_statement": "none",
}
READY_SECONDS = 60
ATTEMPTS = 5

Mode = Literal["smart", "fast", "immediate"]


class _Owner(TypedDict, total=False):
    """The `subprocess` arguments that make a child run as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(slots=True)
class Cluster:
    """One running (or stopped) server. Every name given to it is data, never SQL text."""

    installation: Installation
    base: Path
    options: Mapping[str, str]
    password: str | None = None
    host: str = "127.0.0.1"
    user: str = "postgres"
    port: int = 0
    _owner: _Owner = field(default_factory=_Owner)
    _watchdog: Watchdog | None = None

    @property
    def bin(self) -> Path:
        return self.installation.bin

    @property
    def major(self) -> int:
        return self.installation.major

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        """What the server said; a test may read it."""
        return self.base / "log"

    @property
    def socket_folder(self) -> Path:
        """Where the Unix socket is (not on Windows)."""
        return self.base

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a client: this one, with every `PG*` variable replaced by this cluster's."""
        clean = _clean_environment() | {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user}
        return clean | ({"PGPASSWORD": self.password} if self.password else {})

    def dsn(self, dbname: str = "postgres") -> str:
        """A connection string for libpq and psycopg."""
        secret = {"password": self.password} if self.password else {}
        return psycopg.conninfo.make_conninfo(host=self.host, port=self.port, user=self.user, dbname=dbname, **secret)

    def connect(self, dbname: str = "postgres", *, autocommit: bool = True) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn(dbname), autocommit=autocommit)

    def sql(self, dbname: str, statement: str) -> list[tuple[Any, ...]]:
        """Run one or more statements; the rows of the last one, none where it has none."""
        with self.connect(dbname) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description is not None else []

    def create_database(
        self, name: str, *, template: str = "template0", encoding: str | None = None, owner: str | None = None
    ) -> str:
        """`encoding` is the template's where it is None. Returns `name`."""
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        if encoding:
            query += sql.SQL(" ENCODING {}").format(sql.Literal(encoding))
        if owner:
            query += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        with self.connect() as connection:
            connection.execute(query)
        return name

    def copy_of(self, template: str) -> str:
        """A new database that equals `template`, under a name of its own."""
        return self.create_database(f"{template.removesuffix('_template')}_{secrets.token_hex(4)}", template=template)

    def drop_database(self, name: str) -> None:
        """End its sessions and drop it; nothing happens where it is gone already."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run(
        self,
        tool: str,
        *arguments: str | Path,
        dbname: str = "postgres",
        input: bytes | None = None,  # noqa: A002 - the name that `subprocess` gives it
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of this installation against `dbname` (by `PGDATABASE`), as this cluster's superuser.

        Raises `AssertionError` with the program's stderr when it fails and `check` is on.
        """
        done = subprocess.run(
            [self.installation.program(tool), *arguments],
            input=b"" if input is None else input,
            capture_output=True,
            env=self.environment | {"PGDATABASE": dbname},
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{tool} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done

    def load_sql_xz(self, path: Path, dbname: str) -> None:
        """Feed a compressed script to psql; the first error is raised."""
        with lzma.open(path) as script:
            self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, dbname=dbname, input=script.read())

    def is_running(self) -> bool:
        pid = self._postmaster()
        return pid is not None and processes.is_alive(pid)

    def start(self) -> None:
        """Start on the port it had, or on a free one at first. Does nothing where it runs."""
        if self.is_running():
            return
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt or not self.port:
                self.port = _free_port()
            self._forget_crash()
            already = self.log.stat().st_size if self.log.exists() else 0
            options = ["-l", str(self.log), "-t", str(READY_SECONDS), "-o", f"-p {self.port}"]
            done = self._as_owner("pg_ctl", "-D", str(self.data), "-w", "-s", *options, "start", check=False)
            if done == 0:
                return
            said = self.log.read_bytes()[already:].decode(errors="replace")
            if "could not bind" not in said:
                break
        raise AssertionError(f"PostgreSQL did not start:\n{said}")

    def stop(self, mode: Mode = "fast") -> None:
        """Stop and wait. Does nothing where it does not run."""
        if self.is_running():
            self._as_owner("pg_ctl", "-D", str(self.data), "-w", "-s", "-t", str(READY_SECONDS), "-m", mode, "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def crash(self) -> None:
        """Kill every process of the server at once, as a loss of power to it would; returns when all are gone."""
        if (pid := self._postmaster()) is not None:
            processes.kill_tree(pid)

    def remove(self) -> None:
        """Stop for good and delete every file. May be called again."""
        if self._watchdog is None:
            return
        try:
            self.stop("immediate")
        except AssertionError:
            self.crash()
        self._watchdog.dismiss()
        self._watchdog = None
        atexit.unregister(self.remove)
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _postmaster(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _forget_crash(self) -> None:
        # Its processes are gone, but may be zombies for a while, and PostgreSQL takes those for a live server.
        for stale in (self.data / "postmaster.pid", *self.base.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _as_owner(self, tool: str, *arguments: str, check: bool = True) -> int:
        # Output goes to a file: on Windows the server inherits a pipe, and reading to its end would never end.
        said = self.base / "said"
        with said.open("wb") as output:
            done = subprocess.run(
                [self.installation.program(tool), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.base,
                env=_clean_environment() | {"LC_ALL": "C"},
                check=False,
                **self._owner,
            )
        if check and done.returncode != 0:
            raise AssertionError(f"{tool} ended with {done.returncode}: {said.read_text(errors='replace')}")
        return done.returncode

    def _initialise(self) -> None:
        arguments = ["--no-sync", "--encoding=UTF8", "--locale=C", f"--username={self.user}", f"--pgdata={self.data}"]
        arguments += ["--auth-local=trust", f"--auth-host={'scram-sha-256' if self.password else 'trust'}"]
        if self.password:
            secret = self.base / "password"
            secret.write_text(self.password + "\n")
            if "user" in self._owner:
                shutil.chown(secret, self._owner["user"], self._owner["group"])
            arguments.append(f"--pwfile={secret}")
        self._as_owner("initdb", *arguments)
        lines = [f"{name} = {_quoted(value)}\n" for name, value in self.options.items()]
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.writelines(lines)


def start_cluster(
    installation: Installation, *, options: Mapping[str, str] | None = None, password: str | None = None
) -> Cluster:
    """A new, empty, running cluster; use it as a context manager, or call `remove`.

    `options` are settings for `postgresql.conf`. With `password`, TCP asks for it by SCRAM; otherwise it trusts.
    """
    owner = _unprivileged()
    base = _new_folder(owner)
    sockets = {} if sys.platform == "win32" else {"unix_socket_directories": str(base)}
    cluster = Cluster(installation, base, DEFAULT_OPTIONS | sockets | dict(options or {}), password, _owner=owner)
    cluster._watchdog = Watchdog(base, cluster.data)
    atexit.register(cluster.remove)
    try:
        cluster._initialise()
        cluster.start()
    except BaseException:
        cluster.remove()
        raise
    return cluster


def _unprivileged() -> _Owner:
    """Whom the server runs as: it refuses to run as root. On Windows `pg_ctl` itself drops the privileges."""
    if sys.platform != "win32" and is_root():
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        for name in ("postgres", "_postgres", "nobody"):
            if entry := known.get(name):
                return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        raise InstallationUnavailable("as root, the server needs a user `postgres` or `nobody` to run as")
    return {}


def _new_folder(owner: _Owner) -> Path:
    base = Path(tempfile.mkdtemp(prefix="runner-pg-")).resolve()
    if "user" in owner:
        shutil.chown(base, owner["user"], owner["group"])
    return base


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

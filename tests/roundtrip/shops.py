"""PostgreSQL databases that ordinary roles own, with a dump of each, for the tests that restore them in place."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from runner.databases.base import DumpScript, Offer
from runner.databases.postgresql.in_place import InPlaceRestoration
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import DatabaseMarks, PostgresqlMarks, RunNames
from runner.model.profile import PostgresqlConfig
from tests.servers.postgresql import Cluster
from tests.unit.databases.test_compare import dump

RUN = "20260108_110353-0123abcd"

SCHOOL = """
CREATE TABLE pupil (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO pupil (name) SELECT 'x' FROM generate_series(1, 100);
CREATE SCHEMA other; CREATE VIEW other.seen AS SELECT * FROM pupil;
CREATE FUNCTION count_pupils() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM pupil; END;
SELECT lo_from_bytea(4242, 'twelve bytes');
GRANT SELECT ON pupil TO pg_monitor;
"""

LATER = "CREATE TABLE newer (x integer); CREATE SCHEMA s; CREATE TABLE s.t (x integer); CREATE TYPE mood AS ENUM ('a')"


@dataclass(slots=True)
class Shop:
    """A database owned by an ordinary role, with a dump of it."""

    cluster: Cluster
    config: PostgresqlConfig
    folder: Path
    record: PostgresqlRecord
    work: Path
    notes: list[PostgresqlMarks] = field(default_factory=list)

    def note(self, marks: DatabaseMarks) -> None:
        assert isinstance(marks, PostgresqlMarks)
        self.notes.append(marks)

    def restoration(self, marks: PostgresqlMarks | None = None) -> InPlaceRestoration:
        return InPlaceRestoration(self.config, RunNames(RUN), marks, self.work)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        config = self.config
        return psycopg.connect(
            host=config.host, port=config.port, user=config.user, dbname=config.name, autocommit=True
        )

    def content(self) -> bytes:
        dumped = self.cluster.run("pg_dump", dbname=self.config.name).stdout
        self.wait_alone()
        return b"".join(line for line in dumped.splitlines(keepends=True) if b"restrict " not in line)

    def wait_alone(self) -> None:
        """The server takes a moment to forget a session that has ended; one that is held open is not waited for."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.config.name}' AND usesysid IS NOT NULL"
        until = time.monotonic() + 2
        while self.cluster.sql("postgres", query) != [(0,)] and time.monotonic() < until:
            time.sleep(0.02)

    def is_open(self) -> bool:
        query = f"SELECT datallowconn FROM pg_database WHERE datname = '{self.config.name}'"
        return bool(self.cluster.sql("postgres", query)[0][0])

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description is not None else []

    def errors(self, record: PostgresqlRecord | None = None) -> list[str]:
        self.wait_alone()
        with self.restoration() as restoration:
            preflight = restoration.preflight(Offer("folder", record or self.record))
        return [str(error) for error in preflight.errors]


MakeShop = Callable[[Path | None, str], Shop]


def own(cluster: Cluster, role: str) -> str:
    """A new database of `role`'s."""
    with cluster.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    return cluster.create_database(f"shop_{secrets.token_hex(4)}", encoding="UTF8", owner=role)


def drop(cluster: Cluster, name: str, role: str) -> None:
    cluster.start()
    cluster.drop_database(name)
    with cluster.connect() as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextlib.contextmanager
def shops(cluster: Cluster, tmp_path: Path) -> Iterator[MakeShop]:
    """Makes a shop: of an archive of pg_dump's, of statements, or of both."""
    made: list[tuple[str, str]] = []

    def make(folder: Path | None, statements: str) -> Shop:
        role = f'App "{secrets.token_hex(4)}'
        name = own(cluster, role)
        made.append((name, role))
        config = PostgresqlConfig(name, cluster.host, cluster.port, role, tools_bin=cluster.bin)
        if folder is not None:
            arguments = ("--no-owner", "--exit-on-error", f"--username={role}", "--dbname=")
            cluster.run("pg_restore", *arguments, str(folder), dbname=name)
        if statements:
            with psycopg.connect(
                host=cluster.host, port=cluster.port, user=role, dbname=name, autocommit=True
            ) as connection:
                connection.execute(statements.encode())
        dumped, record = dump(config, tmp_path / name)
        (tmp_path / f"{name}.work").mkdir()
        return Shop(cluster, config, dumped, record, tmp_path / f"{name}.work")

    yield make
    for name, role in made:
        drop(cluster, name, role)


def script_with(shop: Shop, last: str) -> DumpScript:
    script = shop.cluster.run("pg_restore", "--file=-", str(shop.folder)).stdout
    marker = b"--\n-- PostgreSQL database dump complete"
    assert marker in script
    return DumpScript("db.sql", iter([script.replace(marker, last.encode() + b"\n" + marker)]))


def school_record(cluster: Cluster, config: PostgresqlConfig, folder: Path) -> PostgresqlRecord:
    return dump(config, folder / "empty")[1]

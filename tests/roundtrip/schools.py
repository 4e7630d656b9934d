"""Live PostgreSQL databases with a dump of each, for the tests that restore them by a staged database."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from runner.databases.base import DumpFolder, DumpSource, Offer, Restoration
from runner.databases.postgresql.choice import open_restoration
from runner.databases.postgresql.restoration import SwapRestoration
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import DatabaseMarks, PostgresqlMarks, RunNames, Side
from runner.model.profile import AdminConfig, PostgresqlConfig
from tests.servers.postgresql import Cluster
from tests.unit.databases.test_compare import dump

NAMES = RunNames("20260108_110353-0123abcd")
SCHOOL = """
CREATE TABLE pupil (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO pupil (name) SELECT 'x' FROM generate_series(1, 100);
CREATE TABLE mark (id integer);
INSERT INTO mark VALUES (1), (2);
SELECT lo_from_bytea(4242, 'twelve bytes');
GRANT SELECT ON pupil TO pg_monitor;
"""


@dataclass(slots=True)
class School:
    """A live database, a dump of it, and a role that restores it."""

    cluster: Cluster
    config: PostgresqlConfig
    folder: Path
    record: PostgresqlRecord
    work: Path
    admin: AdminConfig | None = None
    notes: list[PostgresqlMarks] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def offer(self) -> Offer:
        return Offer("folder", self.record, trusted=True)

    def note(self, marks: DatabaseMarks) -> None:
        assert isinstance(marks, PostgresqlMarks)
        self.notes.append(marks)

    def open(self, marks: PostgresqlMarks | None = None) -> Restoration:
        return open_restoration(self.config, self.admin, NAMES, marks, self.work)

    def sql(self, statement: str, name: str | None = None) -> list[tuple[object, ...]]:
        return self.cluster.sql(name or self.name, statement)

    def content(self, name: str | None = None, *options: str) -> bytes:
        dumped = self.cluster.run("pg_dump", *options, dbname=name or self.name).stdout
        return b"".join(line for line in dumped.splitlines(keepends=True) if b"restrict " not in line)

    def databases(self) -> list[str]:
        rows = self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'runner%' ORDER BY 1", "postgres")
        return [str(name) for (name,) in rows]

    def properties(self, name: str | None = None) -> list[tuple[object, ...]]:
        query = """
        SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datacl::text,
               datistemplate, shobj_description(d.oid, 'pg_database'),
               (SELECT array_agg(setrole::regrole::text || ' ' || setting ORDER BY setting)
                FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = '{}'
        """
        return self.sql(query.format(name or self.name), "postgres")

    def restore(self, source: DumpSource | None = None, offer: Offer | None = None) -> None:
        with self.open() as restoration:
            preflight = restoration.preflight(offer or self.offer)
            assert [str(error) for error in preflight.errors] == []
            restoration.stage(source or DumpFolder(self.folder), self.record, self.note)
            assert restoration.compare(self.record) == ()
            restoration.swap(self.note, None)
            restoration.open()
            assert restoration.side() is Side.NEW
            restoration.let_go(self.note)
        assert self.databases() == []

    @contextlib.contextmanager
    def staged(self) -> Iterator[Restoration]:
        """A restore that stands before its swap."""
        with self.open() as restoration:
            restoration.preflight(self.offer)
            restoration.stage(DumpFolder(self.folder), self.record, self.note)
            self.sql("INSERT INTO mark VALUES (3)")
            yield restoration

    def marks(self) -> int:
        """2 in the dump, 3 in the live database of `staged`."""
        return int(str(self.sql("SELECT count(*) FROM mark")[0][0]))

    def is_open(self) -> bool:
        return bool(self.sql(f"SELECT datallowconn FROM pg_database WHERE datname = '{self.name}'", "postgres")[0][0])

    def errors(self, offer: Offer | None = None) -> str:
        with self.open() as restoration:
            assert isinstance(restoration, SwapRestoration)
            found = restoration.preflight(offer or self.offer)
        assert all(error.hint is not None for error in found.errors)
        return "\n".join(str(error) for error in found.errors)

    def warnings(self, offer: Offer | None = None) -> str:
        with self.open() as restoration:
            found = restoration.preflight(offer or self.offer)
        assert found.errors == []
        return "\n".join(f"{warning} {warning.hint}" for warning in found.warnings)


Make = Callable[..., School]


@contextlib.contextmanager
def schools(cluster: Cluster, tmp_path: Path) -> Iterator[Make]:
    """Makes a school: `role` are the attributes of an ordinary owner, None: the superuser's database."""
    names: list[str] = []
    roles: list[str] = []

    def build(role: str | None = None, statements: str = SCHOOL, source: str | None = None) -> School:
        user = cluster.user if role is None else f"app_{secrets.token_hex(4)}"
        if role is not None:
            cluster.sql("postgres", f"CREATE ROLE {user} LOGIN {role}")
            roles.append(user)
        name = cluster.create_database(f"school_{secrets.token_hex(4)}", encoding="UTF8", owner=user)
        names.append(name)
        config = PostgresqlConfig(name, cluster.host, cluster.port, user, tools_bin=cluster.bin)
        with psycopg.connect(cluster.dsn(name), user=user, autocommit=True) as connection:
            connection.execute(statements.encode())
        captured = config if source is None else replace(config, name=source, user=cluster.user)
        folder, record = dump(captured, tmp_path / name)
        return School(cluster, config, folder, record, tmp_path / f"{name}.work")

    yield build
    cluster.start()
    left = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner%'")
    for name in (*names, *(str(name) for (name,) in left)):
        cluster.drop_database(name)
    for user in roles:
        cluster.sql("postgres", f"DROP OWNED BY {user}; DROP ROLE {user}")


def admin_of(cluster: Cluster) -> AdminConfig:
    return AdminConfig(cluster.user)

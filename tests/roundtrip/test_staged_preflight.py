"""What speaks against a restore by a staged database is said before anything is touched, all of it at once."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from runner.databases.base import Offer
from runner.databases.postgresql.choice import open_restoration
from runner.databases.postgresql.in_place import InPlaceRestoration
from runner.databases.postgresql.restoration import SwapRestoration
from runner.errors import ServerUnavailable
from runner.model.manifest import ExtensionRecord, RoleRecord, SqliteRecord
from tests.roundtrip.schools import NAMES, Make, School, admin_of, schools
from tests.servers.postgresql import Cluster, find_installation, start_cluster


def changed(school: School, **fields: object) -> Offer:
    """The school's offer, with another record."""
    return replace(school.offer, record=msgspec.structs.replace(school.record, **fields))


def test_nothing_speaks_against_a_good_one(make: Make) -> None:
    for school in (make(), make("CREATEDB")):
        assert school.errors() == ""
        assert school.warnings() == ""


def test_a_newer_servers_dump_is_refused(make: Make) -> None:
    school = make()
    assert "the backup is of PostgreSQL 99.1" in school.errors(changed(school, server_version="99.1"))


def test_client_programs_that_cannot_read_the_dump(make: Make, tmp_path: Path) -> None:
    school = make()
    if school.cluster.major < 17:
        assert "need pg_restore 17 or newer" in school.errors(changed(school, client_version="18.1"))
    school.config = replace(school.config, tools_bin=tmp_path)
    assert "pg_restore were not found" in school.errors()


def test_extensions_that_are_missing_or_not_for_this_role(make: Make) -> None:
    def having(name: str) -> tuple[ExtensionRecord, ...]:
        return (ExtensionRecord(name=name, version="1", schema="public"),)

    school = make("CREATEDB")
    assert "not installed on the server: nowhere" in school.errors(changed(school, extensions=having("nowhere")))
    if not school.sql("SELECT FROM pg_available_extensions WHERE name = 'pageinspect'"):
        pytest.skip("this PostgreSQL has no contributed extensions")
    untrusted = changed(school, extensions=having("pageinspect"))
    assert "only a superuser may create: pageinspect" in school.errors(untrusted)
    assert school.errors(changed(school, extensions=having("citext"))) == ""
    helped = make("")
    helped.admin = admin_of(school.cluster)
    assert helped.errors(untrusted) == ""
    assert "pageinspect" in helped.errors(replace(untrusted, trusted=False))


def test_encodings_and_orders(make: Make) -> None:
    school = make()
    assert "SQL_ASCII" in school.errors(changed(school, encoding="SQL_ASCII"))
    assert "sorts as xx_YY" in school.warnings(changed(school, collation="xx_YY"))
    school.cluster.drop_database(school.name)
    assert "sorts as `xx_YY.UTF-8`" in school.errors(changed(school, collation="xx_YY.UTF-8"))
    assert school.errors() == ""
    assert school.databases() == []


def test_roles_that_do_not_exist_are_named_with_the_way_to_make_them(make: Make) -> None:
    school = make()
    create = "CREATE ROLE nobody_here LOGIN"
    warnings = school.warnings(changed(school, roles=(RoleRecord(name="nobody_here", owns=True, create=create),)))
    assert create in warnings
    assert "what is theirs will belong to `postgres`" in warnings


def test_owners_for_whom_the_role_may_not_act(make: Make) -> None:
    school = make("CREATEDB")
    offer = changed(school, roles=(RoleRecord(name="postgres", owns=True, create="CREATE ROLE postgres"),))
    assert f"postgres in the backup will belong to `{school.config.user}`" in school.warnings(offer)


def test_sessions_that_the_role_may_not_end(make: Make) -> None:
    school = make("CREATEDB")
    with school.cluster.connect(school.name):
        assert "may not end the sessions of postgres" in school.errors()
        school.admin = admin_of(school.cluster)
        school.cluster.sql("postgres", f"ALTER ROLE {school.config.user} NOCREATEDB")
        assert school.errors() == ""


def test_an_untrusted_dump_as_superuser(make: Make) -> None:
    school = make()
    with school.open() as restoration:
        found = restoration.preflight(replace(school.offer, trusted=False)).errors
    (error,) = found
    assert "could run any program" in str(error)
    assert "--trust-sql" in str(error.hint)
    ordinary = make("CREATEDB")
    assert ordinary.errors(replace(ordinary.offer, trusted=False)) == ""
    ordinary.cluster.sql("postgres", f"GRANT pg_execute_server_program TO {ordinary.config.user}")
    assert "could run any program" in ordinary.errors(replace(ordinary.offer, trusted=False))


def test_rights_that_are_missing(make: Make) -> None:
    school, other = make("CREATEDB"), make("CREATEDB")
    school.config = replace(school.config, user=other.config.user)
    errors = school.errors()
    assert "may not rename it" in errors
    assert "may not create anything in it" in errors


def test_a_database_to_be_made_by_a_role_that_may_not(make: Make) -> None:
    school = make("")
    school.cluster.drop_database(school.name)
    assert f"`{school.config.user}` may not create databases" in school.errors()


def test_the_way_is_picked_by_what_the_role_may(make: Make) -> None:
    school = make("")
    assert isinstance(school.open(), InPlaceRestoration)
    assert isinstance(open_restoration(school.config, admin_of(school.cluster), NAMES, None, school.work),
                      SwapRestoration)  # fmt: skip
    school.cluster.sql("postgres", f"ALTER ROLE {school.config.user} CREATEDB")
    assert isinstance(school.open(), SwapRestoration)
    with school.open() as restoration:
        marks = restoration.marks
    school.cluster.sql("postgres", f"ALTER ROLE {school.config.user} NOCREATEDB")
    assert isinstance(open_restoration(school.config, None, NAMES, marks, school.work), SwapRestoration)  # type: ignore[arg-type]
    with pytest.raises(ServerUnavailable):
        open_restoration(replace(school.config, port=1), None, NAMES, None, school.work)


def test_a_closed_database_and_one_that_is_for_maintenance(make: Make) -> None:
    school = make()
    school.config = replace(school.config, maintenance=school.name)
    assert "cannot be the maintenance database too" in school.errors()
    school.config = replace(school.config, maintenance="postgres")
    school.sql(f"ALTER DATABASE {school.name} ALLOW_CONNECTIONS false", "postgres")
    assert "does not accept connections" in school.errors()


def test_tablespaces_and_space(make: Make) -> None:
    school = make()
    properties = msgspec.structs.replace(school.record.properties, tablespaces=("fast",))
    offer = changed(school, properties=properties)
    assert "tablespaces do not exist here: fast" in school.warnings(offer)
    assert "tablespaces do not exist here: fast" in school.errors(replace(offer, kind="script"))
    assert "bytes left" in school.errors(changed(school, size=1 << 60))


def test_another_engine(make: Make) -> None:
    school = make()
    sqlite = SqliteRecord(path="x", sqlite_version="3", encoding="UTF-8", page_size=4096, journal_mode="wal",
                          user_version=0, application_id=0, size=1, dump="x", tables=(), sequences=())  # fmt: skip
    assert "SQLite" in school.errors(Offer("file", sqlite, trusted=True))


def test_everything_at_once(make: Make) -> None:
    school = make()
    offer = replace(changed(school, server_version="99.1", encoding="SQL_ASCII", size=1 << 60), trusted=False)
    assert len(school.errors(offer).splitlines()) == 4


@pytest.fixture
def logical(tmp_path: Path) -> Iterator[Cluster]:
    options = {"wal_level": "logical", "max_prepared_transactions": "5"}
    with start_cluster(find_installation(None), options=options) as started:
        yield started


def test_prepared_transactions_and_slots(logical: Cluster, tmp_path: Path) -> None:
    with schools(logical, tmp_path) as build:
        school = build()
        school.sql("SELECT pg_create_logical_replication_slot('news', 'test_decoding')")
        assert "news" in school.warnings()
        school.sql("BEGIN; INSERT INTO mark VALUES (7); PREPARE TRANSACTION 'half done'")
        assert "half done" in school.errors()
        school.sql("ROLLBACK PREPARED 'half done'")
        school.restore()
        assert logical.sql("postgres", "SELECT slot_name FROM pg_replication_slots") == []


@contextlib.contextmanager
def pooler(cluster: Cluster) -> Iterator[int]:
    """A proxy that gives its clients a key of its own, as every pooler does, and passes on all the rest."""
    listener = socket.create_server(("127.0.0.1", 0))
    everything: list[socket.socket] = [listener]

    def pass_on(source: socket.socket, target: socket.socket, *, changes: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                key = data.find(b"K\x00\x00\x00\x0c") if changes else -1
                if key >= 0:
                    data = data[: key + 5] + b"\x00\x00\x00\x07" + data[key + 9 :]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((cluster.host, cluster.port))
                everything.extend((client, server))
                for pair, changes in (((client, server), False), ((server, client), True)):
                    threading.Thread(target=pass_on, args=pair, kwargs={"changes": changes}, daemon=True).start()

    acceptor = threading.Thread(target=serve, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for each in everything:
            each.close()
        acceptor.join(5)


def test_a_pooler_in_between(make: Make) -> None:
    school = make()
    with pooler(school.cluster) as port:
        school.config = replace(school.config, port=port, sslmode="disable")
        assert "connection pooler" in school.errors()

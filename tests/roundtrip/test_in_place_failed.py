"""A restore in place that fails, is killed or crashes changes nothing, and its outcome is known afterwards."""

import threading
import time
from pathlib import Path

import msgspec
import psycopg
import pytest

from runner.databases.base import DumpFolder, DumpScript, Keep
from runner.databases.postgresql import occupied
from runner.errors import IntegrityError, RunnerError, ServerUnavailable, StepFailed
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import PostgresqlMarks, Side
from runner.model.profile import DatabaseConfig
from tests.roundtrip.shops import LATER, SCHOOL, MakeShop, Shop, script_with
from tests.servers.postgresql import find_installation, start_cluster


@pytest.fixture
def school(make_shop: MakeShop) -> Shop:
    return make_shop(None, SCHOOL)


def refused(
    shop: Shop,
    source: DumpFolder | DumpScript,
    record: PostgresqlRecord | None,
    error: type[RunnerError],
    keep: Keep | None = None,
) -> RunnerError:
    """A restore that fails in its swap, and changes nothing."""
    shop.sql("CREATE TABLE newer (x integer)")
    before = shop.content()
    with shop.restoration() as restoration:
        restoration.stage(source, record, shop.note)
        with pytest.raises(error) as failed:
            restoration.swap(shop.note, keep)
        assert restoration.side() is Side.OLD
        restoration.discard(shop.note)
        assert restoration.side() is Side.OLD
    assert shop.is_open()
    assert shop.content() == before
    return failed.value


def test_a_difference_takes_everything_back(school: Shop) -> None:
    tables = tuple(msgspec.structs.replace(table, rows=(table.rows or 0) + 1) for table in school.record.tables)
    error = refused(
        school, DumpFolder(school.folder), msgspec.structs.replace(school.record, tables=tables), IntegrityError
    )
    assert "has 100 rows instead of 101" in str(error)


def test_an_error_of_the_last_statement_takes_everything_back(school: Shop) -> None:
    error = refused(school, script_with(school, "SELECT 1 / 0;"), school.record, StepFailed)
    assert "division by zero" in str(error)


def test_a_session_that_is_killed_at_the_end(school: Shop) -> None:
    refused(school, script_with(school, "SELECT pg_terminate_backend(pg_backend_pid());"), None, ServerUnavailable)


def test_a_commit_inside_the_dump(school: Shop) -> None:
    refused(school, script_with(school, "COMMIT;"), school.record, IntegrityError)


def test_a_server_that_crashes_at_the_end(school: Shop) -> None:
    crashed = threading.Event()

    def crash() -> None:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"
        while school.cluster.sql("postgres", asleep) != [(1,)]:
            time.sleep(0.1)
        school.cluster.crash()
        crashed.set()

    before = school.content()
    with school.restoration() as restoration:
        restoration.stage(script_with(school, "SELECT pg_sleep(60);"), school.record, school.note)
        thread = threading.Thread(target=crash)
        thread.start()
        with pytest.raises(ServerUnavailable):
            restoration.swap(school.note, None)
        thread.join()
        assert crashed.is_set()
        with pytest.raises(ServerUnavailable):
            restoration.side()
    school.cluster.start()
    with school.restoration(school.notes[-1]) as recovery:
        assert not school.is_open()
        assert recovery.side() is Side.OLD
        recovery.discard(school.note)
    assert school.is_open()
    assert without_positions(school.content()) == without_positions(before)


def without_positions(content: bytes) -> list[bytes]:
    """A crash lets a sequence jump forward, whoever uses it."""
    return [line for line in content.splitlines() if b"pg_catalog.setval(" not in line]


def test_a_session_that_cannot_be_ended(school: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupied, "_END_SECONDS", 1.0)
    with school.cluster.connect(school.config.name) as superuser:
        error = refused(school, DumpFolder(school.folder), school.record, StepFailed)
        assert superuser.execute("SELECT 1").fetchall() == [(1,)]
    assert "sessions do not end: postgres" in str(error)


def test_another_process_finds_a_restore_that_was_committed(school: Shop) -> None:
    before = school.content()
    school.sql(LATER)
    with school.restoration() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.swap(school.note, None)
    school.cluster.crash()
    school.cluster.start()
    marks = msgspec.json.decode(msgspec.json.encode(school.notes[-1]), type=PostgresqlMarks)
    with school.restoration(marks) as recovery:
        assert recovery.side() is Side.NEW
        recovery.swap(school.note, None)
        with pytest.raises(StepFailed):
            recovery.discard(school.note)
        assert not school.is_open()
        recovery.open()
        recovery.open()
    assert school.content() == before


def test_a_transaction_that_outlives_its_client_is_ended_before_it_is_judged(school: Shop) -> None:
    ((oid,),) = school.sql("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    assert isinstance(oid, int)
    with school.cluster.connect() as other, school.connect() as orphan:
        orphan.execute("BEGIN")
        marks = replace_marks(school.restoration().marks, oid, occupied.number_of(orphan, other))
        with school.restoration(marks) as recovery:
            assert recovery.side() is Side.OLD
        with pytest.raises(psycopg.OperationalError):
            orphan.execute("COMMIT")
        orphan.close()


def replace_marks(marks: PostgresqlMarks, oid: int, number: str) -> PostgresqlMarks:
    return msgspec.structs.replace(marks, live_oid=oid, xid=number)


def test_the_number_of_a_transaction_is_never_given_again(tmp_path: Path) -> None:
    """A server that crashed gives out numbers again that nothing on its disk knew of."""
    with start_cluster(find_installation()) as cluster:
        other = cluster.connect()
        with cluster.connect() as lost:
            lost.execute("BEGIN")
            number = occupied.number_of(lost, other)
            cluster.crash()
            lost.close()
        other.close()
        cluster.start()
        with cluster.connect() as connection:
            for _ in range(20):
                connection.execute("SELECT pg_current_xact_id()")
            assert occupied.outcome_of(connection, number, None) is Side.OLD
            assert occupied.outcome_of(connection, None, None) is Side.OLD
            assert occupied.outcome_of(connection, str(int(number) + 1_000_000), None) is Side.UNCLEAR


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE late (x integer); INSERT INTO late VALUES (1)",
        "SELECT lo_put(4242, 0, 'changed')",
        "SELECT lo_create(0)",
        "CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_what_no_lock_holds_off_is_noticed(school: Shop, change: str) -> None:
    shop = school

    def keep(_: DatabaseConfig) -> None:
        shop.content()
        shop.sql(change)

    with shop.restoration() as restoration:
        restoration.stage(DumpFolder(shop.folder), shop.record, shop.note)
        with pytest.raises(StepFailed, match="while its safety copy was made"):
            restoration.swap(shop.note, keep)
        assert restoration.side() is Side.OLD
    assert shop.is_open()


def test_a_safety_copy_that_fails_stops_it(school: Shop) -> None:
    def keep(_: DatabaseConfig) -> None:
        raise KeyboardInterrupt

    before = school.content()
    with school.restoration() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        with pytest.raises(KeyboardInterrupt):
            restoration.swap(school.note, keep)
        assert restoration.side() is Side.OLD
    assert school.is_open()
    assert school.content() == before

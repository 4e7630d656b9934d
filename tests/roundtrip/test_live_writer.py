"""A live school: rows and files change all the while a backup runs, and the archive is of one instant.

The writer moves amounts between accounts (their sum never changes), and adds and deletes payments together with their
receipts. The archive's rows must add up, and every receipt that they name must be in the archive, or be named as one
that was deleted meanwhile, with a warning.
"""

import contextlib
import multiprocessing
import random
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.model.manifest import PostgresqlRecord, SqliteRecord
from tests.projects import Project, damage_of, make_project, manifest_of
from tests.requirements import requires_data
from tests.servers.postgresql import Cluster

ACCOUNTS = 50
TOTAL = ACCOUNTS * 1000
BACKUPS = 3
MOST_ROUNDS = 200_000

Execute = Callable[..., Any]


def change(execute: Execute, media: Path, chance: random.Random, number: int) -> None:
    """One transaction of the application: an amount moves, a payment comes with its file, another's is replaced."""
    first, second = chance.sample(range(ACCOUNTS), 2)
    amount = chance.randrange(1, 100)
    execute("UPDATE account SET balance = balance - %s WHERE id = %s", (amount, first))
    execute("UPDATE account SET balance = balance + %s WHERE id = %s", (amount, second))
    name = f"receipts/{number:06d}.pdf"
    for path in (media / name, media / f"receipts/{number - 1:06d}.pdf"):  # the new one, and the last one anew
        scratch = media.with_name("scratch.pdf")
        scratch.write_bytes(b"%PDF-1.4\n" + chance.randbytes(200))
        scratch.replace(path)
    execute("INSERT INTO payment (id, receipt) VALUES (%s, %s)", (number, name))


def forget(execute: Execute, number: int) -> str:
    execute("DELETE FROM payment WHERE id = %s", (number,))
    return f"receipts/{number:06d}.pdf"


def write_to_postgresql(dsn: str, media: Path, stop: Event) -> None:
    chance = random.Random(1)
    with psycopg.connect(dsn) as connection:
        for number in range(1000, 1000 + MOST_ROUNDS):
            if stop.is_set():
                return
            change(connection.execute, media, chance, number)
            gone = forget(connection.execute, number - 200)
            connection.commit()
            (media / gone).unlink(missing_ok=True)


def write_to_sqlite(path: str, media: Path, stop: Event) -> None:
    chance = random.Random(1)
    connection = sqlite3.connect(path, timeout=60)

    def execute(statement: str, values: tuple[object, ...]) -> object:
        return connection.execute(statement.replace("%s", "?"), values)

    with contextlib.closing(connection):
        for number in range(1000, 1000 + MOST_ROUNDS):
            if stop.is_set():
                return
            change(execute, media, chance, number)
            gone = forget(execute, number - 200)
            connection.commit()
            (media / gone).unlink(missing_ok=True)


@contextlib.contextmanager
def writing(target: Callable[[str, Path, Event], None], database: str, media: Path) -> Iterator[None]:
    """The writer, running in a process of its own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=target, args=(database, media, stop))
    writer.start()
    try:
        while not (media / "receipts" / "001005.pdf").exists():
            writer.join(0.02)
            assert writer.exitcode is None
        yield
        assert writer.exitcode is None, "the writer ended before the backups did"
    finally:
        stop.set()
        writer.join(60)


REFERENCES = ", references: [{table: payment, column: receipt}]"
TABLES = (
    "CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL);"
    "CREATE TABLE payment (id integer PRIMARY KEY, receipt varchar(100) NOT NULL);"
)
ROWS = "".join(f"INSERT INTO account VALUES ({number}, 1000);" for number in range(ACCOUNTS))


def back_up(project: Project) -> Path:
    """A backup while the writer runs: well, or with warnings about what was deleted meanwhile."""
    before = set(project.archives())
    done = project.run("apply", "app")
    assert done.returncode in (0, 3), done.stderr
    if done.returncode == 3:
        assert "during the backup" in done.stderr or "vanished while it was read" in done.stderr
    (archive,) = set(project.archives()) - before
    assert damage_of(archive) == []
    return archive


def assert_receipts_are_there(archive: Path, named: set[str]) -> None:
    """Every receipt that the archive's rows name is in it, or is recorded as gone."""
    references = manifest_of(archive).references
    assert references is not None
    assert references.checked == len(named)
    with zipfile.ZipFile(archive) as opened:
        held = {name.removeprefix("media/") for name in opened.namelist()}
    assert named - held == set(references.missing)


def test_postgresql_with_a_writer(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.create_database("live_writer", encoding="UTF8")
    restored = f"{name}_restored"
    try:
        cluster.sql(name, TABLES + ROWS)
        database = f"engine: postgresql, host: {cluster.host}, port: {cluster.port}, name: {name}, user: {cluster.user}"
        project = make_project(
            tmp_path / "project", f"{database}, tools: {{bin: '{cluster.bin.as_posix()}'}}", media=REFERENCES
        )
        (project.media / "receipts").mkdir()
        with writing(write_to_postgresql, cluster.dsn(name), project.media):
            archives = [back_up(project) for _ in range(BACKUPS)]
        for archive in archives:
            record = manifest_of(archive).database
            assert isinstance(record, PostgresqlRecord)
            folder = tmp_path / archive.stem
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder, [each for each in opened.namelist() if each.startswith("db_")])
            cluster.create_database(restored, encoding="UTF8")
            cluster.run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(folder / record.dump))
            assert cluster.sql(restored, "SELECT sum(balance), count(*) FROM account") == [(TOTAL, ACCOUNTS)]
            named = {row[0] for row in cluster.sql(restored, "SELECT receipt FROM payment")}
            assert {table.name: table.rows for table in record.tables} == {
                "public.account": ACCOUNTS,
                "public.payment": len(named),
            }
            assert_receipts_are_there(archive, named)
            cluster.drop_database(restored)
    finally:
        cluster.drop_database(restored)
        cluster.drop_database(name)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sqlite_with_a_writer(journal: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "engine: sqlite, path: live.sqlite3", media=REFERENCES)
    live = project.folder / "live.sqlite3"
    with contextlib.closing(sqlite3.connect(live)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.executescript(TABLES + ROWS)
    (project.media / "receipts").mkdir()
    with writing(write_to_sqlite, str(live), project.media):
        archives = [back_up(project) for _ in range(BACKUPS)]
    for archive in archives:
        record = manifest_of(archive).database
        assert isinstance(record, SqliteRecord)
        with zipfile.ZipFile(archive) as opened:
            copy = opened.extract(record.dump, tmp_path / archive.stem)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT sum(balance), count(*) FROM account").fetchall() == [(TOTAL, ACCOUNTS)]
            named = {row[0] for row in connection.execute("SELECT receipt FROM payment")}
        assert {table.name: table.rows for table in record.tables} == {"account": ACCOUNTS, "payment": len(named)}
        assert_receipts_are_there(archive, named)


@pytest.mark.slow
def test_a_school_of_made_data_with_a_writer(cluster: Cluster, tmp_path: Path) -> None:
    """The sample data of `make_data.py --scale 0.05`, its media, and a writer over them."""
    (make_data,) = requires_data("make_data.py")
    name = cluster.create_database("live_school", encoding="UTF8")
    try:
        for arguments in (["pg", "--dsn", cluster.dsn(name)], ["media", "--out", str(tmp_path / "project" / "media")]):
            (tmp_path / "project").mkdir(exist_ok=True)
            command = [sys.executable, str(make_data), *arguments, "--scale", "0.05"]
            subprocess.run(command, check=True, capture_output=True)
        cluster.sql(name, TABLES + ROWS)
        references = ", references: [{table: payment, column: receipt}, {table: finance_payment, column: receipt}]"
        database = f"engine: postgresql, host: {cluster.host}, port: {cluster.port}, name: {name}, user: {cluster.user}"
        project = make_project(
            tmp_path / "project", f"{database}, tools: {{bin: '{cluster.bin.as_posix()}'}}", media=references
        )
        (project.media / "receipts").mkdir()
        with writing(write_to_postgresql, cluster.dsn(name), project.media):
            archive = back_up(project)
        record = manifest_of(archive).database
        assert isinstance(record, PostgresqlRecord)
        counts = {table.name: table.rows for table in record.tables}
        assert counts["public.school_attendance"] == cluster.sql(name, "SELECT count(*) FROM school_attendance")[0][0]
        assert counts["public.account"] == ACCOUNTS
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(tmp_path / "out", [each for each in opened.namelist() if each.startswith("db_")])
        restored = cluster.create_database("live_school_restored", encoding="UTF8")
        cluster.run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(tmp_path / "out" / record.dump))
        assert cluster.sql(restored, "SELECT sum(balance) FROM account") == [(TOTAL,)]
        for table, rows in counts.items():
            assert cluster.sql(restored, f"SELECT count(*) FROM {table}") == [(rows,)]
        cluster.drop_database(restored)
    finally:
        cluster.drop_database(name)

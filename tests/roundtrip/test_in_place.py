"""A role that may not create databases: the content of its own one is replaced, and comes back whole."""

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from runner.databases.base import DumpFolder, DumpScript, Offer
from runner.errors import RunnerError, StepFailed
from runner.model.marks import Side
from runner.model.profile import DatabaseConfig, PostgresqlConfig
from tests.roundtrip.shops import LATER, SCHOOL, MakeShop, Shop, drop, own, school_record, script_with
from tests.servers.postgresql import Cluster
from tests.unit.databases.test_compare import dump


@pytest.fixture
def school(make_shop: MakeShop) -> Shop:
    return make_shop(None, SCHOOL)


@pytest.fixture
def film_shop(cluster: Cluster, pagila: str, make_shop: MakeShop, tmp_path: Path) -> Shop:
    config = PostgresqlConfig(pagila, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)
    return make_shop(dump(config, tmp_path / "pagila")[0], "")


@pytest.mark.parametrize("kind", ["folder", "script"])
def test_pagila_comes_back_whole(film_shop: Shop, kind: str) -> None:
    shop = film_shop
    before = shop.content()
    shop.sql(LATER + "; DELETE FROM payment; ALTER TABLE actor ADD COLUMN later integer; DROP TABLE rental CASCADE")
    kept: list[bytes] = []

    def keep(config: DatabaseConfig) -> None:
        assert config == shop.config
        kept.append(shop.content())

    changed = shop.content()
    with shop.restoration() as restoration:
        assert restoration.preflight(Offer("folder", shop.record)).errors == []
        assert restoration.look().exists
        until = time.monotonic() + 10  # the server takes a moment to forget the preflight's own session
        while (seen := restoration.look().sessions) and time.monotonic() < until:
            time.sleep(0.05)
        assert seen == ()
        source: DumpFolder | DumpScript = DumpFolder(shop.folder)
        if kind == "script":
            script = shop.cluster.run("pg_restore", "--file=-", str(shop.folder)).stdout
            assert b"OWNER TO" in script
            source = DumpScript("db.sql", iter([script]))
        restoration.stage(source, shop.record, shop.note)
        assert shop.content() == changed
        restoration.swap(shop.note, keep)
        assert restoration.side() is Side.NEW
        assert not shop.is_open()
        with pytest.raises(psycopg.OperationalError):
            shop.connect()
        with pytest.raises(StepFailed, match="replaced already"):
            restoration.swap_back(shop.note)
        restoration.open()
        assert shop.is_open()
        assert restoration.replaced() is None
        restoration.let_go(shop.note)
    assert kept == [changed]
    assert shop.content() == before
    assert list(shop.work.iterdir()) == []


def test_every_row_that_a_writer_was_told_of_is_in_the_safety_copy(school: Shop) -> None:
    shop, told, stop, kept = school, list[str](), threading.Event(), list[bytes]()

    def write() -> None:
        while not stop.is_set():
            try:
                with shop.connect() as connection:
                    while not stop.is_set():
                        name = f"row-{secrets.token_hex(8)}"
                        connection.execute("INSERT INTO pupil (name) VALUES (%s)", [name])
                        told.append(name)
            except psycopg.OperationalError:
                time.sleep(0.01)

    def keep(_: DatabaseConfig) -> None:
        time.sleep(0.3)
        kept.append(shop.content())
        time.sleep(0.3)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        time.sleep(0.3)
        with shop.restoration() as restoration:
            restoration.stage(DumpFolder(shop.folder), shop.record, shop.note)
            restoration.swap(shop.note, keep)
            before_open = len(told)
            restoration.open()
        until = time.monotonic() + 10
        while len(told) < before_open + 10 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert before_open > 10
    assert len(told) >= before_open + 10
    lines = set(kept[0].decode().split())
    assert [name for name in told[:before_open] if name not in lines] == []
    now = {str(name) for (name,) in shop.sql("SELECT name FROM pupil")}
    assert set(told[before_open:]) == now - {"x"}


def test_privileges_come_back_as_far_as_roles_exist(school: Shop) -> None:
    query = "SELECT grantee::text, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'pupil'"
    before = sorted(school.cluster.sql(school.config.name, query))
    assert ("pg_monitor", "SELECT") in before
    other = (
        "SET SESSION AUTHORIZATION {}; GRANT SELECT ON TABLE public.pupil TO pg_monitor; RESET SESSION AUTHORIZATION;"
    )
    last = (
        "GRANT SELECT ON TABLE public.pupil TO nobody_at_all;"
        + other.format("postgres")
        + other.format("nobody_at_all")
    )
    source = script_with(school, last)
    with school.restoration() as restoration:
        restoration.stage(source, school.record, school.note)
        restoration.swap(school.note, None)
        restoration.open()
    assert sorted(school.cluster.sql(school.config.name, query)) == before


def test_a_table_that_could_not_be_read_is_left_out(school: Shop) -> None:
    """On purpose, and named: the rest of the dump comes back."""
    school.sql("DELETE FROM pupil; SELECT lo_unlink(4242)")
    (member,) = (table.member for table in school.record.tables if table.name == "public.pupil")
    assert member is not None
    (school.folder.parent / member).unlink()
    with school.restoration() as restoration:
        with pytest.raises(RunnerError, match="pg_restore"):
            restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.preflight(Offer("folder", school.record, skip_damaged=frozenset({member})))
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.swap(school.note, None)
        restoration.open()
        restoration.let_go(school.note)
    assert school.sql("SELECT count(*) FROM pupil") == [(0,)]
    assert school.sql("SELECT lo_get(4242)") == [(b"twelve bytes",)]
    assert list(school.work.iterdir()) == []


TRIGRAMS = "CREATE INDEX ON pupil USING gin (name {}.gin_trgm_ops)"


@pytest.mark.parametrize("administered", [False, True])
def test_extensions_of_the_role_and_of_an_administrator(
    make_shop: MakeShop, cluster: Cluster, tmp_path: Path, administered: bool
) -> None:
    shop = make_shop(None, SCHOOL)
    create = "CREATE EXTENSION pg_trgm SCHEMA public"
    if administered:
        cluster.sql(shop.config.name, create)
    else:
        shop.sql(create)
    shop.sql(TRIGRAMS.format("public"))
    folder, record = dump(shop.config, tmp_path / "again")
    before = shop.content()
    with shop.restoration() as restoration:
        assert restoration.preflight(Offer("folder", record)).errors == []
        restoration.stage(DumpFolder(folder), record, shop.note)
        restoration.swap(shop.note, None)
        restoration.open()
    assert shop.content() == before


@pytest.mark.slow
@pytest.mark.parametrize("major", [14, 16, 17, 18])
def test_every_version(cluster_of: Callable[[int | None], Cluster], major: int, tmp_path: Path) -> None:
    cluster = cluster_of(major)
    role = f'App "{secrets.token_hex(4)}'
    name = own(cluster, role)
    try:
        config = PostgresqlConfig(name, cluster.host, cluster.port, role, tools_bin=cluster.bin)
        shop = Shop(cluster, config, tmp_path, school_record(cluster, config, tmp_path), tmp_path / "run")
        shop.sql(SCHOOL)
        folder, record = dump(config, tmp_path / "dump")
        before = shop.content()
        shop.sql(LATER)
        with shop.restoration() as restoration:
            assert restoration.preflight(Offer("folder", record)).errors == []
            restoration.stage(DumpFolder(folder), record, shop.note)
            restoration.swap(shop.note, None)
            assert restoration.side() is Side.NEW
            restoration.open()
        assert shop.content() == before
    finally:
        drop(cluster, name, role)

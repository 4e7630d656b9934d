"""The test servers keep their own promises."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Source
from tests.servers import processes
from tests.servers.installation import PROGRAMS
from tests.servers.postgresql import Cluster, find_installation, start_cluster


def test_the_installation_holds_server_and_clients() -> None:
    installation = find_installation()
    assert all(installation.program(name).exists() for name in PROGRAMS)


def test_a_copy_is_dropped_with_its_test_and_its_template_stays(pagila: str, cluster: Cluster) -> None:
    assert cluster.sql(pagila, "SELECT count(*) FROM film") == [(1000,)]
    assert cluster.sql("postgres", "SELECT datallowconn FROM pg_database WHERE datname = 'pagila_template'") == [
        (False,)
    ]


def test_the_regression_database_is_whole(regression: str, cluster: Cluster) -> None:
    tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384"
    assert cluster.sql(regression, tables) == [(537,)]


@pytest.mark.slow
@pytest.mark.parametrize("major", [14, 15, 16, 17, 18])
def test_every_supported_major_runs_and_holds_pagila(major: int, pagila_source: Callable[[int | None], Source]) -> None:
    source = pagila_source(major)
    assert source.cluster.major == major
    assert source.cluster.sql(source.name, "SELECT count(*) FROM film") == [(1000,)]
    dumped = source.cluster.run("pg_dump", "--schema-only", dbname=source.name)
    assert b"CREATE TABLE public.film" in dumped.stdout


def test_committed_rows_survive_a_crash() -> None:
    with start_cluster(find_installation()) as own:
        own.sql("postgres", "CREATE TABLE kept (x integer)")
        own.sql("postgres", "INSERT INTO kept VALUES (42)")
        own.crash()
        assert not own.is_running()
        own.start()
        assert own.sql("postgres", "SELECT x FROM kept") == [(42,)]


def test_a_password_is_asked_for() -> None:
    with start_cluster(find_installation(), password="d'accord \\") as own:
        assert own.sql("postgres", "SELECT 1") == [(1,)]
        assert own.run("psql", "-XAtc", "SELECT 2").stdout.strip() == b"2"
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=own.host, port=own.port, user=own.user, dbname="postgres", password="other")


def test_no_server_outlives_a_killed_test_run() -> None:
    script = (
        "from tests.servers.postgresql import find_installation, start_cluster\n"
        "import time\n"
        "one = start_cluster(find_installation())\n"
        "print(one.base, (one.data / 'postmaster.pid').read_text().split()[0], flush=True)\n"
        "time.sleep(600)\n"
    )
    checkout = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script], cwd=checkout, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        base, pid = run.stdout.readline().rsplit(maxsplit=1)
        assert processes.is_alive(int(pid))
        run.kill()
    deadline = time.monotonic() + 30
    while processes.is_alive(int(pid)) or Path(base).exists():
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)

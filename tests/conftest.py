"""Fixtures that more than one folder of tests uses. Servers are started when the first test asks for one."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.requirements import folder_on_another_disk, requires_data, requires_program, unmet
from tests.servers.postgresql import Cluster, InstallationUnavailable, find_installation, start_cluster

# Every command of the tests speaks English, on a French machine too.
os.environ["RUNNER_LANG"] = "en"

# A shell starts what runs in its background with SIGINT ignored, and every program that a test starts would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PAGILA = ("pagila-schema-pg15.sql.xz", "pagila-data.sql.xz")
REGRESSION = ("regression-pg15.sql.xz",)


@dataclass(frozen=True, slots=True)
class Source:
    """A database of the test's own; it is dropped after the test, whoever is connected."""

    cluster: Cluster
    name: str

    @property
    def dsn(self) -> str:
        return self.cluster.dsn(self.name)


@pytest.fixture
def strace() -> str:
    """The program that kills, fails and counts system calls."""
    return str(requires_program("strace", only="linux"))


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A new folder on another file system than `tmp_path`."""
    with folder_on_another_disk(tmp_path) as folder:
        yield folder


@pytest.fixture(scope="session")
def cluster_of() -> Iterator[Callable[[int | None], Cluster]]:
    """The running cluster of a major version, one a session; `None`: the system's newest."""
    clusters: dict[Path, Cluster] = {}
    with contextlib.ExitStack() as running:

        def start(major: int | None = None) -> Cluster:
            try:
                installation = find_installation(major)
            except InstallationUnavailable as why:
                unmet(f"needs PostgreSQL: {why}")
            if installation.bin not in clusters:
                clusters[installation.bin] = running.enter_context(start_cluster(installation))
            started = clusters[installation.bin]
            started.start()  # a test may have stopped or crashed it
            return started

        yield start


@pytest.fixture
def cluster(cluster_of: Callable[[int | None], Cluster]) -> Cluster:
    """The system's newest PostgreSQL, running. Shared: a test that changes settings starts a cluster of its own."""
    return cluster_of(None)


@pytest.fixture
def database_from(
    cluster_of: Callable[[int | None], Cluster],
) -> Iterator[Callable[[tuple[str, ...], Cluster], Source]]:
    """A copy of the database that the given data files make; loaded once a cluster, then copied for each call."""
    with contextlib.ExitStack() as dropped:

        def make(names: tuple[str, ...], cluster: Cluster) -> Source:
            template = names[0].split("-")[0] + "_template"
            files = requires_data(*names)
            if not cluster.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{template}'"):
                _load(cluster, template, files)
            source = Source(cluster, cluster.copy_of(template))
            dropped.callback(_drop, source)
            return source

        yield make


@pytest.fixture
def pagila_source(
    cluster_of: Callable[[int | None], Cluster], database_from: Callable[[tuple[str, ...], Cluster], Source]
) -> Callable[[int | None], Source]:
    """Pagila on a server of the given major version."""

    def make(major: int | None) -> Source:
        return database_from(PAGILA, cluster_of(major))

    return make


@pytest.fixture
def pagila(pagila_source: Callable[[int | None], Source]) -> str:
    """The name of a fresh Pagila on `cluster`."""
    return pagila_source(None).name


@pytest.fixture
def regression(cluster: Cluster, database_from: Callable[[tuple[str, ...], Cluster], Source]) -> str:
    """The name of a fresh copy of PostgreSQL 15's regression database on `cluster`."""
    if not cluster.sql("postgres", "SELECT 1 FROM pg_collation WHERE collprovider = 'i' LIMIT 1"):
        unmet("the regression database needs a PostgreSQL with ICU")
    return database_from(REGRESSION, cluster).name


def _load(cluster: Cluster, template: str, files: list[Path]) -> None:
    # Under another name first: a load that failed must not be taken for a template.
    loading = cluster.create_database(f"{template}_loading", encoding="UTF8")
    try:
        for file in files:
            cluster.load_sql_xz(file, loading)
        cluster.sql("postgres", f"ALTER DATABASE {loading} RENAME TO {template}")
        cluster.sql("postgres", f"ALTER DATABASE {template} ALLOW_CONNECTIONS false")
    except BaseException:
        cluster.drop_database(loading)
        raise


def _drop(source: Source) -> None:
    source.cluster.start()
    source.cluster.drop_database(source.name)

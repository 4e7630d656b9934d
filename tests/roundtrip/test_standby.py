"""A PostgreSQL server that replays what another one writes."""

import shutil
from pathlib import Path

import pytest

from runner.model.manifest import PostgresqlRecord
from tests.projects import damage_of, manifest_of
from tests.roundtrip.test_databases import project_over, result
from tests.servers.postgresql import Cluster, start_cluster


def test_a_standby_is_backed_up_like_its_primary(cluster: Cluster, tmp_path: Path) -> None:
    """A standby exports snapshots, too (since PostgreSQL 10)."""
    installation = cluster.installation
    if not Path(installation.program("pg_basebackup")).is_file():
        pytest.skip("this PostgreSQL comes without pg_basebackup")
    with start_cluster(installation) as primary, start_cluster(installation) as standby:
        primary.sql(
            "postgres", "CREATE TABLE t (id serial, x text); INSERT INTO t (x) SELECT 'x' FROM generate_series(1, 9)"
        )
        standby.stop("immediate")
        shutil.rmtree(standby.data)
        source = ("-h", primary.host, "-p", str(primary.port), "-U", primary.user)
        standby._as_owner(
            "pg_basebackup", *source, "-D", str(standby.data), "--write-recovery-conf", "--checkpoint=fast"
        )
        with (standby.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"unix_socket_directories = '{standby.socket_folder.as_posix()}'\n")
        standby.start()
        assert standby.sql("postgres", "SELECT pg_is_in_recovery()") == [(True,)]
        project = project_over(tmp_path / "project", standby, "postgres")
        assert result(project)["exit_code"] == 0
        (archive,) = project.archives()
        assert damage_of(archive) == []
        record = manifest_of(archive).database
        assert isinstance(record, PostgresqlRecord)
        assert {table.name: table.rows for table in record.tables} == {"public.t": 9}
        assert [sequence.last_value for sequence in record.sequences] == [9]

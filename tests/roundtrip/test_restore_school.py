"""A whole school of made data: backed up, wrecked, restored and taken back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.extract import described
from tests.projects import make_project
from tests.requirements import requires_data
from tests.restores import postgresql_content
from tests.servers.postgresql import Cluster


@pytest.mark.slow
def test_a_school_of_made_data_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    """The sample data of `make_data.py --scale 0.05` and its media."""
    (make_data,) = requires_data("make_data.py")
    name = cluster.create_database("restored_school", encoding="UTF8")
    folder = tmp_path / "project"
    folder.mkdir()
    try:
        for arguments in (["pg", "--dsn", cluster.dsn(name)], ["media", "--out", str(folder / "media")]):
            subprocess.run([sys.executable, str(make_data), *arguments, "--scale", "0.05"], check=True)
        database = f"engine: postgresql, host: {cluster.host}, port: {cluster.port}, name: {name}, user: {cluster.user}"
        references = ", references: [{table: finance_payment, column: receipt}]"
        project = make_project(folder, f"{database}, tools: {{bin: '{cluster.bin.as_posix()}'}}", media=references)
        project.apply()
        whole = postgresql_content(cluster, name), described(project.media)
        cluster.sql(
            name,
            "TRUNCATE school_attendance CASCADE; DELETE FROM finance_payment WHERE id % 2 = 0;"
            "CREATE TABLE newer_migration (id integer); INSERT INTO newer_migration VALUES (1);",
        )
        files = sorted(path for path in project.media.rglob("*") if path.is_file())
        for number, path in enumerate(files):
            if number % 3 == 0:
                path.unlink()
            elif number % 3 == 1:
                path.write_bytes(b"wrecked")
        (project.media / "later.txt").write_bytes(b"later")
        wrecked = postgresql_content(cluster, name), described(project.media)
        for variant, expected, code in (
            ("full", whole, 0),
            ("db-only", (whole[0], wrecked[1]), 3),  # receipts that the old database names are not there
            ("media-only", (wrecked[0], whole[1]), 0),
        ):
            done = project.run("restore", "app", "--variant", variant, "--yes")
            assert done.returncode == code, done.stderr
            assert (postgresql_content(cluster, name), described(project.media)) == expected
            undone = project.run("undo", "app", "--yes")
            assert undone.returncode in (0, 3), undone.stderr
            assert (postgresql_content(cluster, name), described(project.media)) == wrecked
        assert project.leftovers() == []
    finally:
        cluster.drop_database(name)

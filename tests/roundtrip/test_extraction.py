"""What is staged from an archive equals what was backed up: databases of both engines, and media with odd names."""

import gzip
import io
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner.archive.damage import Condition
from runner.archive.reader import ArchiveReader
from runner.databases.base import DumpFile, DumpFolder, DumpScript
from runner.errors import ArchiveDamaged, DestinationFailed, IntegrityError
from runner.media.owners import Owners
from runner.media.staging import TreeWriter
from runner.workflow.archives import Opened, opened_file
from runner.workflow.incoming import (
    incoming_media,
    inspect_opened,
    survey_opened,
    unpack_database,
    unpacked_bytes,
)
from tests.extract import described
from tests.projects import postgresql_project, sqlite_project
from tests.servers.postgresql import Cluster
from tests.unit.archive.crafted_zips import Crafted, crafted
from tests.unit.archive.test_survey import hit

ODD_NAMES = (b"a\xff.bin", b"line\nbreak", b"back\\slash", b"%41", b"10:30.txt", "été".encode(), b" ", b"-rf")


def stage_media(opened: Opened, staged: Path, root: Path, skip: frozenset[str] = frozenset()) -> None:
    staged.mkdir(mode=0o700)
    with TreeWriter(staged, root, Owners(None), lambda _: None, lanes=2) as writer:
        writer.fill(incoming_media(opened, skip))
        writer.finish()


@pytest.mark.skipif(os.name == "nt", reason="names that Windows has not")
def test_a_sqlite_archive_comes_out_as_it_was(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    odd = project.media / "odd"
    (odd / "empty folder").mkdir(parents=True)
    for name in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).write_bytes(name * 1000)
    (odd / "link").symlink_to("été")
    (odd / "été").chmod(0o604)
    os.utime(odd / "été", ns=(1, 1_234_567_890_123_456_789))
    before = described(project.media)
    archive = project.apply()
    with opened_file(archive) as opened:
        inspect_opened(opened)
        dump = unpack_database(opened, tmp_path, tmp_path / "staged.sqlite3")
        stage_media(opened, tmp_path / "staged", project.media)
        assert survey_opened(opened).skip == frozenset()
        assert unpacked_bytes(opened) == (tmp_path / "staged.sqlite3").stat().st_size
    assert dump == DumpFile(tmp_path / "staged.sqlite3")
    assert described(tmp_path / "staged") == before
    for path in (project.folder / "school.sqlite3", tmp_path / "staged.sqlite3"):
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT count(*), sum(length(memo)) FROM finance_payment").fetchall()
            assert rows == [(200, sum(len(f"tranche {number}") for number in range(1, 201)))]


def test_a_postgresql_archive_comes_out_as_pg_restore_reads_it(tmp_path: Path, cluster: Cluster, pagila: str) -> None:
    archive = postgresql_project(tmp_path / "project", cluster, pagila).apply()
    with opened_file(archive) as opened:
        assert opened.reader is not None
        dump = unpack_database(opened, tmp_path, tmp_path / "unused")
        record = opened.reader.manifest.database
        assert record is not None
        assert isinstance(dump, DumpFolder)
        assert unpacked_bytes(opened) == sum(path.stat().st_size for path in dump.path.iterdir())
        for table in record.tables:
            if table.member is not None:
                content = gzip.decompress((tmp_path / table.member).read_bytes())
                assert len(content) == table.size
    assert not (tmp_path / "unused").exists()
    restored = cluster.create_database("extracted", encoding="UTF8")
    try:
        cluster.run("pg_restore", "--exit-on-error", "--dbname", cluster.dsn(restored), str(dump.path))
        query = "SELECT md5(string_agg(p::text, '|' ORDER BY p::text)) FROM payment p"
        assert cluster.sql(restored, query) == cluster.sql(pagila, query)
    finally:
        cluster.drop_database(restored)


def test_a_damaged_archive_gives_all_but_what_is_named(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    archive = project.apply()
    names = frozenset(f"media/reçus/{number:05d}.pdf" for number in (10, 150))
    archive.write_bytes(hit(archive.read_bytes(), *names))
    with opened_file(archive) as opened:
        with pytest.raises(IntegrityError):
            stage_media(opened, tmp_path / "refused", project.media)
        damage = survey_opened(opened)
        assert (damage.database, damage.media, damage.skip) == (Condition.WHOLE, Condition.PARTLY, names)
        stage_media(opened, tmp_path / "staged", project.media, damage.skip)
    expected = {
        path: found for path, found in described(project.media).items() if f"media/{path.decode()}" not in names
    }
    assert described(tmp_path / "staged") == expected


OLD = crafted(
    Crafted(b"db_postgres_20260108_110353.sql", "-- été\n".encode("utf-16"), method=8),
    Crafted(b"media\\receipts\\2026\\a.pdf", b"%PDF" * 500, method=8),
    Crafted(b"media/empty/", b""),
    Crafted(b"media/b.txt", b"b"),
    Crafted(b"README.txt", b"not media"),
).getvalue()


def test_an_old_archive_comes_out_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(OLD)
    with opened_file(path) as opened:
        inspect_opened(opened)
        dump = unpack_database(opened, tmp_path, tmp_path / "unused")
        assert isinstance(dump, DumpScript)
        assert b"".join(dump.chunks).decode("utf-16") == "-- été\n"
        stage_media(opened, tmp_path / "staged", tmp_path / "media")
        with pytest.raises(ArchiveDamaged, match="cannot be accepted"):
            survey_opened(opened)
    found = described(tmp_path / "staged")
    assert {name: (kind, content) for name, (kind, _, _, content) in found.items()} == {
        b"": ("directory", b""),
        b"b.txt": ("file", b"b"),
        b"empty": ("directory", b""),
        b"receipts": ("directory", b""),
        b"receipts/2026": ("directory", b""),
        b"receipts/2026/a.pdf": ("file", b"%PDF" * 500),
    }


def test_an_old_sqlite_archive_becomes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(crafted(Crafted(b"db.sqlite3", b"SQLite", method=8)).getvalue())
    with opened_file(path) as opened:
        assert unpacked_bytes(opened) == 6
        assert unpack_database(opened, tmp_path, tmp_path / "db") == DumpFile(tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == b"SQLite"


def test_a_hostile_old_archive_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(crafted(Crafted(b"db.sqlite3"), Crafted(b"media/../../evil")).getvalue())
    with opened_file(path) as opened, pytest.raises(ArchiveDamaged, match="not a safe name"):
        inspect_opened(opened)
    assert [each.name for each in tmp_path.iterdir()] == ["old.zip"]


class _FailingDisk(io.BytesIO):
    going = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.going:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_is_the_destination_and_not_the_place_that_is_written_to(tmp_path: Path) -> None:
    disk = _FailingDisk(sqlite_project(tmp_path / "project").apply().read_bytes())
    opened = Opened("a.zip", "disk:a.zip", 0, disk, ArchiveReader(disk, "disk:a.zip"), None)
    entries = [entry for entry in incoming_media(opened) if entry.kind == "file"]
    disk.going = True
    for work in (
        lambda: list(entries[0].chunks()),
        lambda: list(incoming_media(opened)),
        lambda: unpack_database(opened, tmp_path, tmp_path / "db"),
        lambda: survey_opened(opened),
    ):
        with pytest.raises(DestinationFailed) as raised:
            work()
        assert raised.value.where == "disk:a.zip"

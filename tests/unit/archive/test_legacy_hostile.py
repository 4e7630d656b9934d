"""Legacy archives that lie: each is refused by name before anything of it is put anywhere."""

import io
import stat
import struct
import time
import zlib
from pathlib import Path

import pytest

from runner.archive.legacy import check_legacy, inspect_legacy, legacy_content, unpack_legacy
from runner.errors import ArchiveDamaged, ExitCode, WorkspaceFailed, exit_code_of
from tests.unit.archive.crafted_zips import Crafted, crafted, deflated

DUMP = Crafted(b"db_postgres_20260108_110353.sql", b"-- dump\n")
RECEIPT = Crafted(b"media/receipts/a.pdf", b"%PDF")


def unicode_path_extra(name: bytes, other: bytes) -> bytes:
    """Info-ZIP's field 0x7075: another name for a member."""
    return struct.pack("<2HBL", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other


def attributes(kind: int) -> int:
    return (kind | 0o777) << 16


BOMB = deflated(b"\0" * (10 << 20))

HOSTILE: dict[str, tuple[tuple[Crafted, ...], str]] = {
    "parent": ((Crafted(b"media/../../evil"),), "media/../../evil"),
    "parent at the top": ((Crafted(b"../evil"),), "../evil"),
    "parent at the end": ((Crafted(b"media/a/.."),), "media/a/.."),
    "dot": ((Crafted(b"media/./a"),), "media/./a"),
    "absolute": ((Crafted(b"/etc/cron.d/evil"),), "/etc/cron.d/evil"),
    "two slashes": ((Crafted(b"media//etc/passwd"),), "media//etc/passwd"),
    "drive": ((Crafted(b"C:/Windows/evil"),), "C:/Windows/evil"),
    "drive without a slash": ((Crafted(b"C:evil"),), "C:evil"),
    "drive below media": ((Crafted(b"media/C:/evil"),), "media/C:/evil"),
    "drive with backslashes": ((Crafted(b"c:\\evil"),), "c:/evil"),
    "backslash parent": ((Crafted(b"media\\..\\..\\evil"),), "media/../../evil"),
    "backslash and slash": ((Crafted(b"media/..\\evil"),), "media/../evil"),
    "share": ((Crafted(b"\\\\server\\share\\evil"),), "//server/share/evil"),
    "NUL": ((Crafted(b"media/a.pdf\0.exe"),), "media/a.pdf\\x00.exe"),
    "line break": ((Crafted(b"media/a\nb"),), "media/a\\nb"),
    "escape sequence": ((Crafted(b"media/\x1b[2Ja"),), "media/\\x1b[2Ja"),
    "empty name": ((Crafted(b""),), ""),
    "only a slash": ((Crafted(b"/"),), "/"),
    "another name in an extra field": ((Crafted(b"../x", extra=unicode_path_extra(b"../x", b"media/x")),), "../x"),
    "duplicate": ((RECEIPT, Crafted(b"media/receipts/a.pdf", b"other")), "media/receipts/a.pdf"),
    "duplicate in two spellings": ((RECEIPT, Crafted(b"media\\receipts\\a.pdf", b"other")), "media/receipts/a.pdf"),
    "duplicate dump": ((DUMP,), "db_postgres_20260108_110353.sql"),
    "file as a folder": ((Crafted(b"media/a"), Crafted(b"media/a/b")), "media/a/b"),
    "file and folder": ((Crafted(b"media/a/", b""), Crafted(b"media/a")), "media/a/"),
    "link": ((Crafted(b"media/a", b"/etc", attributes=attributes(stat.S_IFLNK)),), "media/a"),
    "link as a folder": ((Crafted(b"media/a/", b"", attributes=attributes(stat.S_IFLNK)),), "media/a/"),
    "device": ((Crafted(b"media/a", attributes=attributes(stat.S_IFBLK)),), "media/a"),
    "FIFO": ((Crafted(b"media/a", b"", attributes=attributes(stat.S_IFIFO)),), "media/a"),
    "folder without a slash": ((Crafted(b"media/a", b"", attributes=attributes(stat.S_IFDIR)),), "media/a"),
    "encrypted": ((Crafted(b"media/a", flags=0x801),), "media/a"),
    "strongly encrypted": ((Crafted(b"media/a", flags=0x841),), "media/a"),
    "encrypted where it lies": ((Crafted(b"media/a", local_flags=0x801),), "media/a"),
    "a method of their own": ((Crafted(b"media/a", method=12, stored=b"x"),), "media/a"),
    "another method where it lies": ((Crafted(b"media/a", local_method=8),), "media/a"),
    "another name where it lies": ((Crafted(b"media/a", local_name=b"../aaaa"),), "media/a"),
    "another size where it lies": ((Crafted(b"media/a", b"xyz", local_size=2),), "media/a"),
    "stored, and larger": ((Crafted(b"media/a", size=2),), "media/a"),
    "stored, and smaller": ((Crafted(b"media/a", b"xyz", size=2),), "media/a"),
    "more than deflate can": ((Crafted(b"media/a", method=8, stored=BOMB, size=(1 << 32) - 2),), "media/a"),
    "folder with content": ((Crafted(b"media/a/", b"x"),), "media/a/"),
    "the same place twice": ((Crafted(b"media/a", at=0, local_name=b"media/a"),), "media/a"),
    "reaches into the next": ((Crafted(b"media/a", size_stored=60, size=60), Crafted(b"media/b")), "media/a"),
    "reaches into the directory": ((Crafted(b"media/a", size_stored=30, size=30),), "media/a"),
    "beyond the end": ((Crafted(b"media/a", at=1 << 30),), "media/a"),
    "in the directory": ((Crafted(b"media/a", at=70),), "media/a"),
    "two dumps": ((Crafted(b"db_postgres_x.sql"),), "more than one database dump"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_name(name: str) -> None:
    members, shown = HOSTILE[name]
    file = crafted(DUMP, *members)
    with pytest.raises(ArchiveDamaged) as raised:
        inspect_legacy(file, "old.zip")
    assert exit_code_of(raised.value) is ExitCode.INTEGRITY
    assert any(shown in str(finding.message) for finding in raised.value.damage)
    assert all(str(finding.message).isprintable() for finding in raised.value.findings)
    assert raised.value.hint is not None
    if shown != "more than one database dump":
        assert check_legacy(file, "old.zip")


def test_the_same_without_what_is_hostile_is_accepted() -> None:
    file = crafted(
        DUMP,
        Crafted(b"media/", b"", attributes=attributes(stat.S_IFDIR)),
        Crafted(b"media/", b""),
        RECEIPT,
        Crafted(b"media\\posters\\\xc3\xa9t\xc3\xa9.png", b"png", method=8, attributes=attributes(stat.S_IFREG)),
        Crafted(b"media/10:30.txt", b"x" * 100_000, method=8),
        Crafted(b"media/..a", b""),
    )
    archive = inspect_legacy(file, "old.zip")
    assert check_legacy(file, "old.zip") == []
    content = {member.name: b"".join(legacy_content(file, member, "old.zip")) for member in archive.media}
    assert content == {
        "media/receipts/a.pdf": b"%PDF",
        "media/posters/été.png": b"png",
        "media/10:30.txt": b"x" * 100_000,
        "media/..a": b"",
    }
    assert archive.dump is not None
    assert b"".join(legacy_content(file, archive.dump, "old.zip")) == b"-- dump\n"


def test_the_extra_field_names_nothing() -> None:
    """Some readers take the name in it; all of this one take the same."""
    member = Crafted(b"media/a", extra=unicode_path_extra(b"media/a", b"media/../../evil"))
    assert [each.name for each in inspect_legacy(crafted(DUMP, member), "old.zip").media] == ["media/a"]


@pytest.mark.parametrize(
    "member",
    [
        Crafted(b"media/a", b"xyz", crc=1),
        Crafted(b"media/a", method=8, stored=BOMB, size=10),
        Crafted(b"media/a", method=8, stored=BOMB, size=10, crc=zlib.crc32(b"\0" * 10)),
        Crafted(b"media/a", method=8, stored=deflated(b"xyz"), size=5),
        Crafted(b"media/a", method=8, stored=deflated(b"xyz")[:-1], content=b"xyz"),
        Crafted(b"media/a", method=8, stored=deflated(b"xyz") + b"more", content=b"xyz"),
        Crafted(b"media/a", method=8, stored=b"\xff" * 9, content=b"xyz"),
    ],
    ids=["CRC", "bomb", "bomb with a CRC", "smaller", "cut", "more behind it", "no deflate"],
)
def test_content_that_lies_is_never_whole_and_never_more_than_it_claims(member: Crafted, tmp_path: Path) -> None:
    file = crafted(DUMP, member)
    (media,) = inspect_legacy(file, "old.zip").media
    with pytest.raises(ArchiveDamaged, match="`media/a` cannot be read whole"):
        unpack_legacy(file, media, tmp_path / "a", "old.zip")
    assert (tmp_path / "a").stat().st_size <= media.size
    assert [str(finding.message) for finding in check_legacy(file, "old.zip")] == ["`media/a` cannot be read whole"]


def test_a_file_is_made_private_and_never_replaced(tmp_path: Path) -> None:
    file = crafted(Crafted(b"db.sqlite3", b"SQLite format 3\0", method=8))
    archive = inspect_legacy(file, "old.zip")
    assert archive.dump is not None
    unpack_legacy(file, archive.dump, tmp_path / "db", "old.zip")
    assert (tmp_path / "db").read_bytes() == b"SQLite format 3\0"
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o600
    with pytest.raises(WorkspaceFailed):
        unpack_legacy(file, archive.dump, tmp_path / "db", "old.zip")


def test_times_are_local() -> None:
    (member,) = inspect_legacy(crafted(DUMP, RECEIPT), "old.zip").media
    assert time.localtime(member.mtime_ns // 10**9)[:6] == (2026, 1, 8, 11, 1, 2)


def test_no_legacy_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveDamaged, match="no archive of the old scripts"):
        inspect_legacy(io.BytesIO(b"PK"), "old.zip")

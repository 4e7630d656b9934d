"""The headers are those of the ZIP standard: what other programs read in them is what was meant."""

import stat
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from runner.archive import layout
from runner.archive.inventory import path_fields
from runner.archive.reader import ArchiveReader
from runner.archive.verify import verify_archive
from runner.archive.writer import ArchiveWriter
from runner.lanes import Lanes
from runner.model.manifest import InventoryEntry, Manifest, MediaRecord
from runner.model.profile import Compression

PARIS = datetime(2026, 7, 14, 10, 0, 1, tzinfo=timezone(timedelta(hours=2)))


def write(path: Path, content: list[bytes], *, expected: int, mtime_ns: int = 0) -> Path:
    """An archive with one media file."""
    with path.open("w+b") as file, ArchiveWriter(file, path.parent, PARIS, Compression.AUTO, Lanes(1)) as writer:
        root = InventoryEntry(path=".", type="directory", mtime_ns=mtime_ns, mode=0o2755)
        writer.add_packed([writer.pack_node(root)])
        name, name_b64 = path_fields("reçu.csv".encode())
        entry = InventoryEntry(path=name, path_b64=name_b64, type="file", mtime_ns=mtime_ns, mode=0o640)
        writer.record(writer.add_media_file(entry, content, expected))
        writer.end_media()
        media = MediaRecord(root="/m", exclude=(), files=1, directories=1, links=0, bytes=sum(map(len, content)))
        writer.seal(
            Manifest(
                format_version=1,
                archive_id="1",
                profile="p",
                instance="p",
                host="h",
                variant="media-only",
                created_at=PARIS.astimezone(UTC).isoformat(),
                created_at_local=PARIS.isoformat(),
                runner_version="0",
                members=(),
                media=media,
            )
        )
    return path


def is_intact(path: Path) -> bool:
    with ArchiveReader.open(path) as reader:
        return verify_archive(reader).intact


def test_times_are_local_at_the_offset_of_the_archive(tmp_path: Path) -> None:
    instant = datetime(2026, 1, 8, 11, 3, 53, tzinfo=UTC)
    path = write(tmp_path / "a.zip", [b"x"], expected=1, mtime_ns=int(instant.timestamp()) * 10**9 + 5)
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo("media/reçu.csv")
    assert info.date_time == (2026, 1, 8, 13, 3, 52)
    assert info.extra[4:] == b"\1" + int(instant.timestamp()).to_bytes(4, "little")
    assert is_intact(path)


def test_modes_are_in_the_external_attributes(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip", [b"x"], expected=1)) as opened:
        assert opened.getinfo("media/reçu.csv").external_attr >> 16 == stat.S_IFREG | 0o640
        folder = opened.getinfo("media/")
        assert folder.external_attr >> 16 == stat.S_IFDIR | 0o2755
        assert folder.is_dir()


@pytest.mark.parametrize(
    "mtime_ns",
    [0, -1, -(10**18), -(2**63) + 1, 2**63 - 1, 315_532_799 * 10**9, 2**31 * 10**9, 4_354_819_200 * 10**9],
)
def test_times_outside_what_a_zip_can_say(tmp_path: Path, mtime_ns: int) -> None:
    path = write(tmp_path / "a.zip", [b"x"], expected=1, mtime_ns=mtime_ns)
    assert is_intact(path)
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        assert 1980 <= opened.getinfo("media/reçu.csv").date_time[0] <= 2107


def test_room_for_large_sizes_is_made_in_advance(tmp_path: Path) -> None:
    """A file that was expected to be large gets a 64-bit header, even when it turns out to be small."""
    content = [bytes([number % 251]) * (1 << 20) for number in range(3)]
    path = write(tmp_path / "a.zip", content, expected=layout.ZIP64_FROM)
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo("media/reçu.csv")
        assert (info.file_size, info.extract_version) == (3 << 20, 45)
        assert opened.read(info) == b"".join(content)
    assert is_intact(path)


@pytest.mark.parametrize("members", [65_534, 65_535, 65_536])
def test_the_end_of_an_archive_of_many_members(members: int) -> None:
    ending = layout.Ending(5_000_000_000, 7_000_000, members, 1234, "ab" * 32)
    assert layout.parse_ending(layout.end_records(ending)[-layout.TAIL_LENGTH :]) == ending
    near = layout.Ending(5_000_000, 7_000, members, 1234, "ab" * 32)
    tail = b"\0" * layout.TAIL_LENGTH + layout.end_records(near)
    assert layout.parse_ending(tail[-layout.TAIL_LENGTH :]) == near


def test_what_is_no_ending() -> None:
    assert layout.parse_ending(b"") is None
    assert layout.parse_ending(b"\0" * 500) is None
    assert layout.parse_ending(b"PK\5\6" + b"\0" * 18) is None

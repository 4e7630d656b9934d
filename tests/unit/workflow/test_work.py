"""How much is done to list and to show archives: counted, because times differ from machine to machine."""

import os
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from runner.archive import inventory, positions
from runner.archive.reader import ArchiveReader
from runner.archive.writer import ArchiveWriter
from runner.lanes import Lanes
from runner.model.manifest import InventoryEntry, Manifest, MediaRecord
from runner.model.profile import Compression
from runner.workflow.catalogue import list_archives
from runner.workflow.contents import count_folders
from tests.unit.workflow.small_archives import NOW, profile_over

pytestmark = pytest.mark.skipif(not hasattr(os, "pread"), reason="reads are counted where they are calls of the system")

FILES = 300
_PLAIN = Manifest(
    format_version=1,
    archive_id="",
    profile="app",
    instance="app",
    host="here",
    variant="media-only",
    created_at="2026-01-08T10:03:53+00:00",
    created_at_local="2026-01-08T11:03:53+01:00",
    runner_version="0.1.0",
    members=(),
)


def write_media_archive(path: Path, size_bytes: int) -> Path:
    """A sealed archive of `FILES` files in three folders, `size_bytes` each."""
    made = datetime.fromisoformat(_PLAIN.created_at_local)
    folders = [InventoryEntry(path=name, type="directory", mtime_ns=0, mode=0o755) for name in (".", "a", "b", "c")]
    with path.open("w+b") as file, ArchiveWriter(file, path.parent, made, Compression.STORE, Lanes(1)) as writer:
        for folder in folders:
            writer.add_packed([writer.pack_node(folder)])
            for number in range(0 if folder.path == "." else FILES // 3):
                name = f"{folder.path}/{number:04}.pdf"
                entry = InventoryEntry(path=name, type="file", mtime_ns=0, mode=0o644)
                writer.add_packed([writer.pack(entry, bytes(size_bytes))])
        writer.end_media()
        media = MediaRecord(
            root="/m", exclude=(), files=FILES, directories=len(folders), links=0, bytes=FILES * size_bytes
        )
        writer.seal(msgspec.structs.replace(_PLAIN, archive_id=path.stem, media=media))
    return path


class Reads:
    """What was asked of the system: calls, and bytes that came."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.calls = self.bytes = 0
        patched.setattr(positions, "_read_file_at", self._read)

    def _read(self, descriptor: int, position: int, length: int) -> bytes:
        found = os.pread(descriptor, length, position)
        self.calls += 1
        self.bytes += len(found)
        return found


def test_a_list_reads_the_end_of_each_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    profile = profile_over(tmp_path / "project", tmp_path / "out")
    archives = [write_media_archive(tmp_path / "out" / f"app_{number}.zip", 2000) for number in range(5)]
    reads = Reads(monkeypatch)
    assert len(list_archives(profile, NOW).archives) == len(archives)
    assert reads.calls <= 2 * len(archives)
    assert reads.bytes < 4000 * len(archives)
    assert reads.bytes < sum(path.stat().st_size for path in archives) / 100


def test_a_list_decodes_no_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    profile = profile_over(tmp_path / "project", tmp_path / "out")
    write_media_archive(tmp_path / "out" / "app.zip", 0)
    decoded: list[InventoryEntry] = []
    monkeypatch.setattr(inventory, "_is_plain", decoded.append)
    assert list_archives(profile, NOW).archives
    assert decoded == []


def test_what_an_archive_holds_is_told_without_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inventory is read twice, once to be proven and once to be used, each line is decoded once, and no file is."""
    path = write_media_archive(tmp_path / "app.zip", 50_000)
    decoded = 0
    is_plain = inventory._is_plain

    def counted(entry: InventoryEntry) -> bool:
        nonlocal decoded
        decoded += 1
        return is_plain(entry)

    monkeypatch.setattr(inventory, "_is_plain", counted)
    with ArchiveReader.open(path) as archive:
        reads = Reads(monkeypatch)
        archive._read_at = positions.reading_at(archive._file)
        folders = count_folders(archive)
        (found,) = (each.member for each in archive.own_members() if each.member.name == "files.jsonl")
    assert {name: count.files for name, count in folders.items()} == {"a": 100, "b": 100, "c": 100}
    assert decoded == FILES + 4
    assert reads.bytes == 2 * found.stored_bytes
    assert reads.bytes < path.stat().st_size / 100


def test_no_thorough_test_is_made_of_an_ordinary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_media_archive(tmp_path / "app.zip", 1)
    thorough: list[str] = []
    checked_key = inventory._checked_key

    def counted(entry: InventoryEntry, number: int) -> bytes:
        thorough.append(entry.path)
        return checked_key(entry, number)

    monkeypatch.setattr(inventory, "_checked_key", counted)
    with ArchiveReader.open(path) as archive:
        assert len(list(archive.entries())) == FILES + 4
    assert thorough == ["."]

"""Verification finds every damage: flipped bits anywhere, every kind of truncation, members moved or swapped."""

import io
import random
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.archive.inventory import path_fields
from runner.archive.reader import ArchiveReader
from runner.archive.verify import verify_archive
from runner.archive.writer import ArchiveWriter
from runner.errors import ArchiveDamaged, Refused
from runner.lanes import Lanes
from runner.model.manifest import InventoryEntry, Manifest, MediaRecord
from runner.model.profile import Compression

CREATED = datetime(2026, 1, 8, 11, 3, 53, tzinfo=UTC)
MTIME_NS = 1_767_870_233_123_456_789


def build_archive(folder: Path) -> bytes:
    """A small archive that has every kind of member: stored, deflated, streamed, empty, folder, link, odd names."""
    noise = random.Random(7)
    files = {
        b"a.txt": b"hello " * 3000,
        b"b\xff\n.bin": noise.randbytes(700),
        b"big.csv": b"0123456789;" * 150_000,
        b"empty": b"",
    }
    path = folder / "archive.zip"
    with path.open("w+b") as file, ArchiveWriter(file, folder, CREATED, Compression.AUTO, Lanes(1)) as writer:
        writer.add_member("db_postgres_20260108_110353/toc.dat", [b"PGDMP" + noise.randbytes(300)], 400, deflate=True)
        writer.add_member("db_postgres_20260108_110353/1.dat.gz", [noise.randbytes(900)], 900, deflate=False)
        root = InventoryEntry(path=".", type="directory", mtime_ns=MTIME_NS, mode=0o755)
        writer.add_packed([writer.pack_node(root)])
        for raw, content in sorted(files.items()):
            name, name_b64 = path_fields(raw)
            entry = InventoryEntry(path=name, path_b64=name_b64, type="file", mtime_ns=MTIME_NS, mode=0o640)
            chunks = [content[start : start + (1 << 20)] for start in range(0, len(content), 1 << 20)]
            writer.record(writer.add_media_file(entry, chunks, len(content)))
        folder_entry = InventoryEntry(path="été", type="directory", mtime_ns=MTIME_NS, mode=0o755)
        link = InventoryEntry(path="été/lien", type="link", target="../a.txt", mtime_ns=MTIME_NS, mode=0o777)
        writer.add_packed([writer.pack_node(folder_entry), writer.pack_node(link)])
        writer.end_media()
        writer.add_member("RESTORE.txt", [b"by hand"], 7, deflate=True)
        writer.seal(
            Manifest(
                format_version=1,
                archive_id="20260108_110353-0",
                profile="school",
                instance="school",
                host="host",
                variant="full",
                created_at=CREATED.isoformat(),
                created_at_local=CREATED.isoformat(),
                runner_version="0",
                members=(),
                media=MediaRecord(
                    root="/media",
                    exclude=(),
                    files=len(files),
                    directories=2,
                    links=1,
                    bytes=sum(len(content) for content in files.values()),
                ),
            )
        )
    return path.read_bytes()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build_archive(tmp_path_factory.mktemp("archive"))


def is_intact(content: bytes) -> bool:
    """Whether the reader accepts these bytes. Any other error than its own is a failure of the test."""
    try:
        with ArchiveReader(io.BytesIO(content), "test") as reader:
            plain, threaded = verify_archive(reader), verify_archive(reader, lanes=3)
            assert plain == threaded
            return plain.intact
    except (ArchiveDamaged, Refused):
        return False


def flipped(content: bytes, bits: list[int]) -> bytes:
    damaged = bytearray(content)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_the_archive_itself_is_intact(archive: bytes) -> None:
    assert is_intact(archive)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_is_found(archive: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(archive) * 8 - 1))
    assert not is_intact(flipped(archive, [bit]))


@pytest.mark.parametrize("count", [40, 4000])
def test_many_flipped_bits_are_found(archive: bytes, count: int) -> None:
    chosen = random.Random(count)
    for _ in range(60):
        start = chosen.randrange(len(archive) * 8 - count)
        together = range(start, start + count)
        scattered = chosen.sample(range(len(archive) * 8), count)
        assert not is_intact(flipped(archive, list(together)))
        assert not is_intact(flipped(archive, scattered))


def structure_bits(content: bytes) -> list[int]:
    """Every bit of the local headers, the central directory and the end: where no checksum of a zip tool looks."""
    places: set[int] = set()
    for signature, length in ((b"PK\3\4", 90), (b"PK\1\2", 110), (b"PK\5\6", 160)):
        start = content.find(signature)
        while start >= 0:
            places.update(range(start, min(start + length, len(content))))
            start = content.find(signature, start + 1)
    return [place * 8 + bit for place in sorted(places) for bit in range(8)]


def test_flips_in_headers_are_found(archive: bytes) -> None:
    bits = structure_bits(archive)
    for bit in random.Random(1).sample(bits, 1200):
        assert not is_intact(flipped(archive, [bit]))


@pytest.mark.slow
def test_a_flip_of_every_single_bit_of_every_header_is_found(archive: bytes) -> None:
    for bit in structure_bits(archive):
        assert not is_intact(flipped(archive, [bit]))


def test_the_padding_of_a_deflate_stream_is_covered(archive: bytes) -> None:
    """The last byte of a deflated member has bits that no inflater looks at."""
    with ArchiveReader(io.BytesIO(archive), "test") as reader:
        checked = 0
        for each in reader.walk():
            if each.member.method == "deflate":
                for bit in range(8):
                    assert not is_intact(flipped(archive, [(each.end - 1) * 8 + bit]))
                checked += 1
    assert checked >= 3


def test_content_changed_with_its_crc_put_right_is_found(archive: bytes) -> None:
    """A CRC-32 is no proof: whoever changes the content can change it too."""
    content = random.Random(7).randbytes(700)
    changed = bytes([content[0] ^ 1]) + content[1:]
    assert archive.count(content) == 1
    forged = archive.replace(content, changed)
    old, new = zlib.crc32(content).to_bytes(4, "little"), zlib.crc32(changed).to_bytes(4, "little")
    assert forged.count(old) == 2
    forged = forged.replace(old, new)
    assert zipfile.ZipFile(io.BytesIO(forged)).testzip() is None
    assert not is_intact(forged)


def test_every_truncation_is_found(archive: bytes) -> None:
    ends = {0, 1, 21, 22, len(archive) // 2, *range(len(archive) - 300, len(archive))}
    ends |= set(random.Random(3).sample(range(len(archive)), 100))
    for end in sorted(ends):
        assert not is_intact(archive[:end])


def test_bytes_before_or_behind_are_found(archive: bytes) -> None:
    assert not is_intact(archive + b"\0")
    assert not is_intact(b"\0" + archive)
    assert not is_intact(archive + archive)


def test_two_blocks_swapped_are_found(archive: bytes) -> None:
    chosen = random.Random(4)
    for _ in range(100):
        first, second = sorted(chosen.sample(range(0, len(archive) - 64, 64), 2))
        swapped = bytearray(archive)
        swapped[first : first + 64], swapped[second : second + 64] = (
            archive[second : second + 64],
            archive[first : first + 64],
        )
        if bytes(swapped) != archive:
            assert not is_intact(bytes(swapped))

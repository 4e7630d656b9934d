"""However the work is cut, verification finds the same, and reads no more at once than it says."""

import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.archive import verify
from runner.archive.reader import ArchiveReader
from runner.archive.verify import MAX_FINDINGS, Verification, verify_archive
from runner.archive.writer import ArchiveWriter
from runner.errors import ArchiveDamaged
from runner.lanes import Lanes
from runner.model.manifest import InventoryEntry, Manifest, MediaRecord
from runner.model.profile import Compression
from tests.unit.archive.test_damage import build_archive, flipped

# Everything streamed, one by one, is the plainest way; the others must agree with it.
WAYS: dict[str, dict[str, int]] = {
    "streamed": {"_SMALL_BYTES": -1},
    "alone": {"_BATCH_MEMBERS": 1},
    "in threes": {"_BATCH_MEMBERS": 3},
    "in a few bytes": {"_BATCH_BYTES": 2000},
    "together": {},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build_archive(tmp_path_factory.mktemp("archive"))


def damaged_ones(archive: bytes) -> Iterator[bytes]:
    """Flips, few and many, blocks moved, bytes lost in the middle."""
    yield archive
    chosen = random.Random(11)
    for count in (1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 10, 10, 100, 1000):
        yield flipped(archive, chosen.sample(range(8 * (len(archive) - 200)), count))
    for _ in range(10):
        at, length = chosen.randrange(len(archive) - 3000), chosen.randrange(1, 2000)
        yield archive[:at] + bytes(length) + archive[at + length :]
        yield archive[:at] + archive[at + length :]


def found(content: bytes, lanes: int) -> Verification | str:
    done: list[int] = []
    try:
        with ArchiveReader(io.BytesIO(content), "test") as reader:
            result = verify_archive(reader, done.append, lanes)
    except ArchiveDamaged as error:
        return str(error.message)
    assert sum(done) == result.bytes
    return result


def test_what_is_found_does_not_depend_on_how_the_work_is_cut(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = list(damaged_ones(archive))
    results: dict[tuple[str, int], list[Verification | str]] = {}
    for way, limits in WAYS.items():
        with monkeypatch.context() as patched:
            for name, value in limits.items():
                patched.setattr(verify, name, value)
            for lanes in (1, 4):
                results[way, lanes] = [found(content, lanes) for content in contents]
    plainest = results["streamed", 1]
    assert all(result == plainest for result in results.values())
    assert sum(isinstance(result, Verification) and not result.intact for result in plainest) > 10


def archive_claiming(folder: Path, size_bytes: int, claims: list[InventoryEntry]) -> bytes:
    """An archive with that many bytes of zeros where its inventory claims other members."""
    path = folder / "claiming.zip"
    created = datetime(2026, 1, 8, 11, 3, 53, tzinfo=UTC)
    with path.open("w+b") as file, ArchiveWriter(file, folder, created, Compression.STORE, Lanes(1)) as writer:
        zeros = InventoryEntry(path="zeros", type="file", mtime_ns=0, mode=0o644)
        writer.add_media_file(zeros, [bytes(size_bytes)], size_bytes)
        for entry in claims:
            writer.record(entry)
        writer.end_media()
        writer.seal(
            Manifest(
                format_version=1,
                archive_id="1",
                profile="p",
                instance="p",
                host="h",
                variant="media-only",
                created_at=created.isoformat(),
                created_at_local=created.isoformat(),
                runner_version="0",
                members=(),
                media=MediaRecord(root="/m", exclude=(), files=1, directories=0, links=0, bytes=size_bytes),
            )
        )
    return path.read_bytes()


def claimed(path: str, size: int, *, zip64: bool = False, stored: int | None = None) -> InventoryEntry:
    digest = "0" * 64
    if stored is None:
        return InventoryEntry(path=path, type="file", mtime_ns=0, mode=0o644, size=size, sha256=digest, zip64=zip64)
    return InventoryEntry(
        path=path,
        type="file",
        mtime_ns=0,
        mode=0o644,
        size=size,
        sha256=digest,
        method="deflate",
        size_stored=stored,
        sha256_stored=digest,
        zip64=zip64,
    )


class Counting(io.BytesIO):
    """A file that remembers the most that was asked of it at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        self.most = max(self.most, size)
        return super().read(size)


@pytest.mark.parametrize(
    "last",
    [
        claimed("z", 1 << 62, zip64=True),
        claimed("z", 2**32 - 2),
        claimed("z", 1 << 62, zip64=True, stored=100),
        claimed("z", 10, zip64=True, stored=1 << 62),
    ],
)
def test_no_claim_makes_it_read_more_at_once_than_a_batch(tmp_path: Path, last: InventoryEntry) -> None:
    sizes = [1 << 20, (1 << 20) - 200, 0, 700_000, 700_000, (1 << 20) + 1]
    claims = [claimed(f"f{number:03}", size) for number, size in enumerate(sizes)]
    file = Counting(archive_claiming(tmp_path, sum(sizes) + 1000, [*claims, last]))
    with ArchiveReader(file, "test") as reader:
        result = verify_archive(reader, lanes=2)
    assert len([each for each in result.damage if "differs from its checksum" in str(each.message)]) == len(claims) + 1
    assert file.most <= verify._BATCH_BYTES


def test_an_inventory_that_breaks_off_comes_behind_what_was_found_before(tmp_path: Path) -> None:
    content = archive_claiming(tmp_path, 1000, [claimed("a", 1), claimed("../b", 1)])
    with ArchiveReader(io.BytesIO(content), "test") as reader:
        results = [verify_archive(reader, lanes=lanes) for lanes in (1, 2)]
    assert results[0] == results[1]
    messages = [str(each.message) for each in results[0].damage]
    assert messages == [
        "`media/a` differs from its checksum",
        "the inventory cannot be read: line 2: unsafe path `../b`",
    ]


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_list_that_is_full_says_so(tmp_path: Path, lanes: int) -> None:
    claims = [claimed(f"{number:05}", 1) for number in range(3 * MAX_FINDINGS)]
    with ArchiveReader(io.BytesIO(archive_claiming(tmp_path, 1 << 20, claims)), "test") as reader:
        result = verify_archive(reader, lanes=lanes)
    assert len(result.damage) == MAX_FINDINGS + 1
    assert str(result.damage[-1].message).startswith(f"more than {MAX_FINDINGS} places")

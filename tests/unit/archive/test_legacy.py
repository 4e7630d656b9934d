"""Archives of the old scripts: what is recognised, what is believed, and what hostile ones cost."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.archive import legacy
from runner.archive.legacy import read_legacy
from runner.archive.reader import ArchiveReader
from runner.archive.verify import MAX_FINDINGS
from runner.archive.writer import ArchiveWriter
from runner.lanes import Lanes
from runner.model.manifest import FORMAT_VERSION, Manifest
from runner.model.profile import Compression
from tests.unit.workflow.small_archives import NOW

DUMP = "db_postgres_20260108_110353.sql"
CLAIMS = {
    "project": "école",
    "created_at": "2026-01-08T11:03:53",
    "django_version": "5.0",
    "db_engine": "django.db.backends.postgresql",
}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def damage_of(file: io.BytesIO) -> list[str]:
    return [str(finding.message) for finding in legacy.check_legacy(file, "x.zip")]


def central(name: bytes, size: int, size_stored: int, *, crc: int = 0, method: int = 8, offset: int = 0) -> bytes:
    return (
        struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, method, 0, 33, crc, size_stored, size, len(name), *[0] * 5, offset
        )
        + name
    )


def local(name: bytes, content: bytes, *, crc: int, size: int) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(content), size, len(name), 0) + name + content


def end(count: int, directory: bytes, offset: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), offset, 0)


@pytest.mark.parametrize(
    "encode",
    [str.encode, lambda text: text.encode("utf-16"), lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
     lambda text: text.encode("utf-8-sig")],
    ids=["utf-8", "utf-16 little", "utf-16 big", "utf-8 bom"],
)  # fmt: skip
def test_a_manifest_of_powershell_is_read(encode: Callable[[str], bytes]) -> None:
    content = encode(json.dumps(CLAIMS, ensure_ascii=False))
    found = read_legacy(zipped({DUMP: b"--", "media/a/b.pdf": b"%PDF", "manifest.json": content}))
    assert found is not None
    assert (found.project, found.created_at, found.django_version) == ("école", "2026-01-08T11:03:53", "5.0")
    assert (found.engine, found.database) == ("postgresql", DUMP)
    assert [(member.name, member.size) for member in found.media] == [("media/a/b.pdf", 4)]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe\x00", b'{"project": 1}', b"[" * 100_000, b'{"a": ' + b"9" * 9_999 + b"}",
     b'{"project": "' + b"x" * (2 << 20) + b'"}'],
    ids=["empty", "list", "cut", "bad utf-16", "number", "deep", "digits", "two MiB"],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_claims_nothing(content: bytes) -> None:
    found = read_legacy(zipped({DUMP: b"--", "manifest.json": content}))
    assert found is not None
    assert found.project == ""


@pytest.mark.parametrize(
    ("members", "engine"),
    [
        ({DUMP: b"--"}, "postgresql"),
        ({"db.sqlite3": b"x"}, "sqlite"),
        ({"media/a": b"x", "manifest.json": json.dumps(CLAIMS).encode()}, ""),
        ({"media/a": b"x"}, None),
        ({"manifest.json": json.dumps(CLAIMS).encode()}, None),
        ({f"sub/{DUMP}": b"--"}, None),
        ({"media/db.sqlite3": b"x"}, None),
        ({}, None),
    ],
)
def test_what_makes_a_legacy_archive(members: dict[str, bytes], engine: str | None) -> None:
    found = read_legacy(zipped(members))
    assert (None if found is None else found.engine) == engine


def test_backslashes_are_separators() -> None:
    file = zipped({DUMP: b"--", "media|payment_receipts|a.pdf": b"%PDF"})
    found = read_legacy(io.BytesIO(file.getvalue().replace(b"|", b"\\")))
    assert found is not None
    assert [member.name for member in found.media] == ["media/payment_receipts/a.pdf"]


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\5\6" + b"\0" * 18, b"x" * 5000], ids=["0", "2", "end", "text"])
def test_no_zip_is_none(content: bytes) -> None:
    assert read_legacy(io.BytesIO(content)) is None


@pytest.fixture(scope="module")
def plain_archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One of ours that looks most like a legacy one: `format: plain` names its dump as the old scripts did."""
    path: Path = tmp_path_factory.mktemp("plain") / "a.zip"
    draft = Manifest(
        format_version=FORMAT_VERSION,
        archive_id="a",
        profile="app",
        instance="app",
        host="here",
        variant="db-only",
        created_at="2026-01-08T10:03:53+00:00",
        created_at_local="2026-01-08T11:03:53+01:00",
        runner_version="0.1.0",
        members=(),
    )
    with path.open("w+b") as file, ArchiveWriter(file, path.parent, NOW, Compression.FAST, Lanes(1)) as writer:
        for name in (DUMP, "RESTORE.txt"):
            writer.add_member(name, [b"-- dump\n" * 40], 320, deflate=True)
        writer.seal(draft)
    return path.read_bytes()


def test_a_damaged_archive_of_ours_is_never_legacy(plain_archive: bytes) -> None:
    """Not with one bit changed, wherever, and not when it is cut short."""
    assert ArchiveReader(io.BytesIO(plain_archive), "a.zip").manifest.archive_id == "a"
    for place in range(len(plain_archive)):
        content = bytearray(plain_archive)
        content[place] ^= 1 << place % 8
        assert read_legacy(io.BytesIO(bytes(content))) is None, place
    for length in range(0, len(plain_archive), 7):
        assert read_legacy(io.BytesIO(plain_archive[:length])) is None, length


def test_every_member_is_read(tmp_path: Path) -> None:
    file = zipped({DUMP: b"-- dump\n" * 9000, "media/a.pdf": b"%PDF" * 500, "media/empty": b""}, zipfile.ZIP_STORED)
    done: list[int] = []
    assert legacy.check_legacy(file, "x.zip", done.append) == []
    assert sum(done) == 9000 * 8 + 500 * 4
    content = bytearray(file.getvalue())
    content[content.index(b"%PDF") + 1000] ^= 1
    assert damage_of(io.BytesIO(bytes(content))) == ["`media/a.pdf` cannot be read whole"]


def test_an_encrypted_member_is_damage() -> None:
    content = bytearray(zipped({DUMP: b"-- dump", "media/a": b"x"}).getvalue())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.rindex(signature) + flags] |= 1
    assert read_legacy(io.BytesIO(bytes(content))) is not None
    assert damage_of(io.BytesIO(bytes(content))) == ["`media/a` is encrypted, and the old scripts never did that"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_make_much_of_little_are_never_inflated(method: int) -> None:
    bomb = zipped({DUMP: b"--", "media/bomb": b"\0" * (64 << 20)}, method)
    assert "`media/bomb` is compressed as the old scripts never did" in damage_of(bomb)
    claims = zipped({DUMP: b"--", "manifest.json": json.dumps(CLAIMS).encode()}, method)
    found = read_legacy(claims)
    assert found is not None
    assert found.project == ""


def test_members_that_overlap_are_not_read() -> None:
    """One kernel of 50 kB that the directory names a thousand times would be 50 GB."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = kernel.compress(b"\0" * (50 << 20)) + kernel.flush()
    crc = zlib.crc32(b"\0" * (50 << 20))
    name = DUMP.encode()
    member = local(name, content, crc=crc, size=50 << 20)
    directory = central(name, 50 << 20, len(content), crc=crc) * 1000
    file = io.BytesIO(member + directory + end(1000, directory, len(member)))
    assert read_legacy(file) is not None
    assert damage_of(file) == ["its members overlap, so none of them was read"]


def test_a_member_larger_than_it_claims_is_damage() -> None:
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = kernel.compress(b"\0" * (50 << 20)) + kernel.flush()
    name = DUMP.encode()
    member = local(name, content, crc=0, size=10)
    directory = central(name, 10, len(content))
    assert damage_of(io.BytesIO(member + directory + end(1, directory, len(member)))) == [
        f"`{DUMP}` cannot be read whole"
    ]


def test_a_directory_without_end_is_not_read() -> None:
    directory = central(DUMP.encode(), 0, 0) + central(b"", 0, 0) * 800_000
    file = io.BytesIO(directory + end(0xFFFF, directory, 0))
    assert read_legacy(file) is None
    assert damage_of(file) == ["the zip's own directory cannot be read"]


def test_the_list_of_damage_ends() -> None:
    directory = b"".join(central(DUMP.encode(), 5, 0, offset=1 << 30) for _ in range(MAX_FINDINGS + 50))
    found = damage_of(io.BytesIO(directory + end(MAX_FINDINGS + 50, directory, 0)))
    assert len(found) == MAX_FINDINGS + 1
    assert found[-1] == f"more than {MAX_FINDINGS} places; the rest was not read"


def test_a_name_with_a_nul_hides_nothing() -> None:
    content = zipped({DUMP: b"--", "media/a.pdf|.exe": b"x"}).getvalue().replace(b"|", b"\0")
    found = read_legacy(io.BytesIO(content))
    assert found is not None
    assert all("\0" not in member.name for member in found.members)
    assert damage_of(io.BytesIO(content)) == ["`media/a.pdf\\x00.exe` is not a safe name"]


class _FailingDisk(io.BytesIO):
    """Reads fail from the second on, as on a disk that is going."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_is_not_damage() -> None:
    content = zipped({DUMP: b"--"}).getvalue()
    with pytest.raises(OSError, match="Input/output"):
        read_legacy(_FailingDisk(content))
    with pytest.raises(OSError, match="Input/output"):
        damage_of(_FailingDisk(content))


def test_no_byte_of_a_zip_can_raise_anything() -> None:
    whole = zipped({DUMP: b"-- dump\n" * 200, "media/a/b.pdf": b"%PDF" * 30, "manifest.json": b"{}"}).getvalue()
    for place in range(len(whole)):
        for value in (0, 0xFF):
            content = bytearray(whole)
            content[place] = value
            read_legacy(io.BytesIO(bytes(content)))
            damage_of(io.BytesIO(bytes(content)))

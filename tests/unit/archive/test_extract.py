"""What comes out of an archive is what went in, and nothing that a hostile one proposes is ever made."""

import errno
import hashlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.archive.extract import dump_members, dump_stream, located, unpack_dump, unpack_file
from runner.archive.inventory import InventoryInvalid, encode_line, path_fields, raw_path, read_lines
from runner.archive.reader import ArchiveReader
from runner.archive.writer import ArchiveWriter
from runner.errors import ArchiveDamaged, WorkspaceFailed
from runner.lanes import Lanes
from runner.model.manifest import (
    DatabaseRecord,
    InventoryEntry,
    LargeObjectsRecord,
    Manifest,
    MediaRecord,
    PostgresqlRecord,
    PropertiesRecord,
    SqliteRecord,
    TableRecord,
)
from runner.model.profile import Compression
from tests.unit.archive.test_damage import CREATED, MTIME_NS

DUMP = "db_postgres_20260108_110353"
PARTS = {
    "toc.dat": b"PGDMP",
    "3001.dat.gz": b"\x1f\x8b rows",
    "blobs.toc": b"1 blob_1.dat\n",
    "blob_1.dat.gz": b"\x1f\x8b",
}


def sqlite_record(dump: str = "db_sqlite_20260108_110353.sqlite3") -> SqliteRecord:
    return SqliteRecord(
        path="/app/db.sqlite3",
        sqlite_version="3.40",
        encoding="UTF-8",
        page_size=4096,
        journal_mode="wal",
        user_version=0,
        application_id=0,
        size=0,
        dump=dump,
        tables=(),
        sequences=(),
    )


def postgresql_record(dump: str = DUMP, tables: tuple[TableRecord, ...] = (), **claims: Any) -> PostgresqlRecord:
    fields: dict[str, Any] = {
        "name": "school",
        "host": None,
        "port": None,
        "format": "directory",
        "server_version": "15",
        "client_version": "15",
        "encoding": "UTF8",
        "collation": "C",
        "ctype": "C",
        "locale_provider": "libc",
        "extensions": (),
        "properties": PropertiesRecord(owner="school"),
        "roles": (),
        "large_objects": LargeObjectsRecord(count=0, size=0),
        "size": 0,
        "sequences": (),
    }
    return PostgresqlRecord(dump=dump, tables=tables, **{**fields, **claims})


def entry_of(path: str | bytes, kind: str = "file", content: bytes = b"", **claims: Any) -> InventoryEntry:
    """A line; for a link, `content` is the target."""
    name, name_b64 = path_fields(path if isinstance(path, bytes) else path.encode())
    fields: dict[str, Any] = {"mtime_ns": MTIME_NS, "mode": 0o755 if kind == "directory" else 0o640}
    if kind != "directory":
        fields |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if kind == "link":
        fields |= {"target": content.decode()}
    return InventoryEntry(path=name, path_b64=name_b64, type=kind, **{**fields, **claims})  # type: ignore[arg-type]  # one of three


def archive_of(
    folder: Path,
    record: DatabaseRecord | None,
    parts: dict[str, bytes],
    media: list[tuple[InventoryEntry, bytes]] | None = None,
    behind: dict[str, bytes] | None = None,
) -> bytes:
    """An archive that says exactly this, whether it makes sense or not; every checksum in it is right."""
    path = folder / "made.zip"
    with path.open("w+b") as file, ArchiveWriter(file, folder, CREATED, Compression.AUTO, Lanes(1)) as writer:
        for name, content in parts.items():
            writer.add_member(name, [content], len(content), deflate=not name.endswith(".gz"))
        for entry, content in media or []:
            is_file = entry.type == "file"
            writer.add_packed([writer.pack(entry, content) if is_file else writer.pack_node(entry)])
        if media is not None:
            writer.end_media()
        for name, content in {"RESTORE.txt": b"by hand", **(behind or {})}.items():
            writer.add_member(name, [content], len(content), deflate=True)
        kinds = [entry.type for entry, _ in media or []]
        writer.seal(
            Manifest(
                format_version=1,
                archive_id="a",
                profile="app",
                instance="app",
                host="here",
                variant="full",
                created_at=CREATED.isoformat(),
                created_at_local=CREATED.isoformat(),
                runner_version="0",
                members=(),
                database=record,
                media=None
                if media is None
                else MediaRecord(
                    root="/media",
                    exclude=(),
                    files=kinds.count("file"),
                    directories=kinds.count("directory"),
                    links=kinds.count("link"),
                    bytes=sum(len(content) for entry, content in media if entry.type == "file"),
                ),
            )
        )
    return path.read_bytes()


def reader_of(content: bytes) -> ArchiveReader:
    return ArchiveReader(io.BytesIO(content), "made.zip")


def directory_dump(
    folder: Path, parts: dict[str, bytes] | None = None, dump: str = DUMP, **claims: Any
) -> ArchiveReader:
    parts = PARTS if parts is None else parts
    table = TableRecord(name="public.payment", rows=3, member=f"{dump}/3001.dat.gz")
    record = postgresql_record(dump, (table, TableRecord(name="public.session", rows=None)), **claims)
    return reader_of(archive_of(folder, record, {f"{dump}/{name}": content for name, content in parts.items()}))


def test_a_directory_dump_comes_out_as_it_lay(tmp_path: Path) -> None:
    done: list[int] = []
    target = unpack_dump(directory_dump(tmp_path), tmp_path, advance=done.append)
    assert target == tmp_path / DUMP
    assert {path.name: path.read_bytes() for path in target.iterdir()} == PARTS
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o600}
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert sum(done) == sum(map(len, PARTS.values()))


def test_what_is_to_be_left_out_is_not_there(tmp_path: Path) -> None:
    target = unpack_dump(directory_dump(tmp_path), tmp_path, frozenset({f"{DUMP}/3001.dat.gz"}))
    assert {path.name for path in target.iterdir()} == set(PARTS) - {"3001.dat.gz"}


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / DUMP).mkdir()
    with pytest.raises(WorkspaceFailed, match="cannot be written") as raised:
        unpack_dump(directory_dump(tmp_path), tmp_path)
    assert raised.value.where == str(tmp_path / DUMP)
    (tmp_path / "db").write_bytes(b"live")
    reader = reader_of(archive_of(tmp_path, sqlite_record(), {sqlite_record().dump: b"SQLite"}))
    with pytest.raises(WorkspaceFailed):
        unpack_file(reader, tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == b"live"


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_a_file_comes_out_as_it_was(tmp_path: Path, size: int) -> None:
    content = b"SQLite format 3\0"[:size] * max(1, size // 16)
    reader = reader_of(archive_of(tmp_path, sqlite_record(), {sqlite_record().dump: content}, []))
    unpack_file(reader, tmp_path / "staged")
    assert (tmp_path / "staged").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "staged").stat().st_mode) == 0o600


def test_a_script_is_streamed(tmp_path: Path) -> None:
    record = postgresql_record(f"{DUMP}.sql", format="plain")
    content = b"INSERT INTO payment VALUES (1);\n" * 100_000
    reader = reader_of(archive_of(tmp_path, record, {f"{DUMP}.sql": content}))
    assert b"".join(dump_stream(reader)) == content


def test_an_archive_without_a_database_has_no_dump(tmp_path: Path) -> None:
    assert dump_members(reader_of(archive_of(tmp_path, None, {}, []))) == ()


ODD_DUMPS: dict[str, dict[str, bytes]] = {
    "no table of contents": {"3001.dat.gz": b""},
    "no file of a table": {"toc.dat": b""},
    "in a folder below": {**PARTS, "more/1.dat": b""},
    "a file of another kind": {**PARTS, "run.sh": b""},
    "a file that starts like one": {**PARTS, "1.dat.gz.exe": b""},
    "a name of a device": {**PARTS, "nul": b""},
    "plain and compressed": {**PARTS, "3001.dat": b""},
    "upper case": {**PARTS, "TOC.DAT": b""},
    "other digits": {**PARTS, "٣.dat": b""},
}


@pytest.mark.parametrize("name", ODD_DUMPS)
def test_a_directory_that_is_no_dump_is_refused(tmp_path: Path, name: str) -> None:
    reader = directory_dump(tmp_path, ODD_DUMPS[name])
    with pytest.raises(ArchiveDamaged, match="not that of its dump"):
        unpack_dump(reader, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["made.zip"]


@pytest.mark.parametrize("dump", ["media2", "db_postgres/a", "db_a:b", "db_", "etc/db_x", "db_postgres_é"])
def test_a_dump_of_an_odd_name_is_refused(tmp_path: Path, dump: str) -> None:
    with pytest.raises(ArchiveDamaged):
        dump_members(directory_dump(tmp_path, dump=dump))
    with pytest.raises(ArchiveDamaged):
        dump_members(reader_of(archive_of(tmp_path, sqlite_record(dump), {dump: b"x"})))


@pytest.mark.parametrize("dump", ["../db_x", "/db_x", "db_x\\..\\y", "db_x\0", "C:\\db_x"])
def test_a_member_of_an_unsafe_name_is_refused_with_the_manifest(tmp_path: Path, dump: str) -> None:
    with pytest.raises(ArchiveDamaged):
        reader_of(archive_of(tmp_path, sqlite_record(dump), {dump: b"x"}))


@pytest.mark.parametrize(
    ("record", "parts", "behind"),
    [
        (None, {"db_sqlite_x.sqlite3": b"x"}, {}),
        (sqlite_record("db_x.sqlite3"), {}, {}),
        (sqlite_record("db_x.sqlite3"), {"db_y.sqlite3": b"x"}, {}),
        (sqlite_record("db_x.sqlite3"), {"db_x.sqlite3": b"x", "db_y.sqlite3": b"x"}, {}),
        (sqlite_record("db_x.sqlite3"), {}, {"db_x.sqlite3": b"x"}),
        (sqlite_record("db_x.sqlite3"), {"db_x.sqlite3": b"x"}, {"more": b"x"}),
        (postgresql_record("db_x", format="plain"), {"db_x/toc.dat": b"x"}, {}),
        (postgresql_record("db_x"), {"db_x": b"x"}, {}),
        (postgresql_record("db_x"), {"db_x/toc.dat": b"x", "db_y/1.dat": b"x"}, {}),
    ],
)
def test_members_that_the_record_does_not_explain_are_refused(
    tmp_path: Path, record: DatabaseRecord | None, parts: dict[str, bytes], behind: dict[str, bytes]
) -> None:
    with pytest.raises(ArchiveDamaged, match="not that of its dump"):
        dump_members(reader_of(archive_of(tmp_path, record, parts, behind=behind)))


MEDIA = [
    (entry_of(b"", "directory"), b""),
    (entry_of(b"a\xff\n\\%41", content=b"odd"), b"odd"),
    (entry_of("empty"), b""),
    (entry_of("été", "directory"), b""),
    (entry_of("été/lien", "link", b"../empty"), b""),
    (entry_of("été/grand", content=b"0123" * 600_000), b"0123" * 600_000),
]
MEDIA.sort(key=lambda pair: raw_path(pair[0]) + (b"/" if pair[0].type == "directory" and raw_path(pair[0]) else b""))


def test_every_member_is_found_where_it_lies(tmp_path: Path) -> None:
    parts = {f"{DUMP}/{name}": content for name, content in PARTS.items()}
    reader = reader_of(archive_of(tmp_path, postgresql_record(), parts, MEDIA))
    content = {member.name: b"".join(reader.content(member, at)) for member, at, _ in located(reader)}
    assert content["media/été/grand"] == b"0123" * 600_000
    assert content["media/été/lien"] == b"../empty"
    assert content["media/a%FF%0A%5C%2541"] == b"odd"
    assert content["RESTORE.txt"] == b"by hand"
    assert list(content)[-1] == "manifest.json"
    assert [entry.path for _, _, entry in located(reader) if entry is not None] == [entry.path for entry, _ in MEDIA]
    assert [(each.member, each.position) for each in dump_members(reader)] == [
        (member, at) for member, at, _ in located(reader) if member.name.startswith(DUMP)
    ]


ODD_MEDIA: dict[str, list[tuple[InventoryEntry, bytes]]] = {
    "through a link": [(entry_of("a", "link", b"/etc"), b""), (entry_of("a/passwd"), b"")],
    "a link through a link": [(entry_of("a", "link", b".."), b""), (entry_of("a/b", "link", b"c"), b"")],
    "a folder through a link": [(entry_of("a", "link", b".."), b""), (entry_of("a/b", "directory"), b"")],
    "below a file": [(entry_of("a"), b""), (entry_of("a/b"), b"")],
    "a file and a folder": [(entry_of("a"), b""), (entry_of("a-b"), b""), (entry_of("a", "directory"), b"")],
    "a link and a folder": [
        (entry_of("a", "link", b".."), b""),
        (entry_of("a", "directory"), b""),
        (entry_of("a/b"), b""),
    ],
    "in no folder": [(entry_of("a/b"), b"")],
    "in no folder, further down": [(entry_of("a", "directory"), b""), (entry_of("a/b/c"), b"")],
    "a file of a folder's name": [(entry_of("a/", content=b""), b"")],
    "parent": [(entry_of("..", "directory"), b""), (entry_of("../a"), b"")],
    "absolute": [(entry_of("/etc", "directory"), b"")],
    "backslashes": [(entry_of("a").__class__(path="a\\..\\b", type="file", mtime_ns=0, mode=0), b"")],
    "twice": [(entry_of("a"), b"1"), (entry_of("a"), b"2")],
    "not in order": [(entry_of("b"), b""), (entry_of("a"), b"")],
}


@pytest.mark.parametrize("name", ODD_MEDIA)
def test_an_inventory_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    root = (entry_of(b"", "directory"), b"")
    reader = reader_of(archive_of(tmp_path, None, {}, [root, *ODD_MEDIA[name]]))
    with pytest.raises(ArchiveDamaged, match="the inventory cannot be read"):
        list(located(reader))


@pytest.mark.parametrize("claims", [{"target": "other"}, {"target": None}, {"size": 4}, {"sha256": "0" * 64}])
def test_a_link_whose_member_says_something_else_is_refused(claims: dict[str, Any]) -> None:
    """`unzip` would make one link, and this reader another."""
    assert list(read_lines(io.BytesIO(encode_line(entry_of("a", "link", b"there")))))
    with pytest.raises(InventoryInvalid):
        list(read_lines(io.BytesIO(encode_line(entry_of("a", "link", b"there", **claims)))))


def test_the_disk_of_the_archive_is_not_taken_for_the_one_that_is_written_to(tmp_path: Path) -> None:
    reader = directory_dump(tmp_path)

    def fails(*_: object) -> Iterator[bytes]:
        yield b"x"
        raise OSError(errno.EIO, "Input/output error")

    reader.content = fails  # type: ignore[assignment,method-assign]  # a disk that fails while it is read
    with pytest.raises(OSError, match="Input/output error") as raised:
        unpack_dump(reader, tmp_path)
    assert not isinstance(raised.value, WorkspaceFailed)

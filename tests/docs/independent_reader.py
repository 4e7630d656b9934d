"""A reader of archives, written from docs/archive-format.md alone, with the standard library alone.

`check` raises `Damaged` for anything that is not as the page says. It imports nothing of runner: that is its point.
"""

import base64
import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

COMMENT_BYTES = len("runner-archive/1 manifest-size=000000000000 manifest-sha256=") + 64
LARGE = 0xFFFFFFFF
TYPES = {"file": 0o100000, "directory": 0o040000, "link": 0o120000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Damaged(Exception):
    """Something is not as the page says."""


@dataclass
class Member:
    name: str
    record: dict[str, Any]
    moment: datetime
    mode: int

    @property
    def zip64(self) -> bool:
        return bool(self.record.get("zip64", False))

    @property
    def size(self) -> int:
        return int(self.record.get("size", 0))

    @property
    def stored(self) -> int:
        return int(self.record.get("size_stored", self.size))

    @property
    def deflated(self) -> bool:
        return bool(self.record.get("method", "store") == "deflate")


def check(archive: bytes) -> dict[str, bytes]:
    """Verify everything; returns the content of every member by its name."""
    try:
        return _check(archive)
    except (ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error, OverflowError) as error:
        raise Damaged(str(error)) from error


def _check(archive: bytes) -> dict[str, bytes]:
    comment = archive[-COMMENT_BYTES:].decode("ascii").split(" ")
    demand(len(archive) > 22 + COMMENT_BYTES and comment[0] == "runner-archive/1", "the comment")
    end = archive[-COMMENT_BYTES - 22 : -COMMENT_BYTES]
    directory = struct.unpack("<L", end[16:20])[0]
    if directory == LARGE or struct.unpack("<H", end[10:12])[0] == 0xFFFF:
        directory = struct.unpack("<Q", archive[-COMMENT_BYTES - 22 - 20 - 56 :][48:56])[0]
    size = int(comment[1].removeprefix("manifest-size="))
    digest = comment[2].removeprefix("manifest-sha256=")
    content = archive[directory - size : directory]
    demand(size > 0 and len(content) == size and sha256(content) == digest, "the manifest")
    manifest = json.loads(content)
    demand(manifest["format_version"] == 1, "the version")
    return Walk(archive, manifest, directory, size, digest).run()


class Walk:
    def __init__(self, archive: bytes, manifest: dict[str, Any], directory: int, size: int, digest: str) -> None:
        self.archive = archive
        self.manifest = manifest
        self.directory = self.central = directory
        self.manifest_size, self.digest = size, digest
        self.created = datetime.fromisoformat(manifest["created_at_local"]).replace(microsecond=0)
        self.position = 0
        self.contents: dict[str, bytes] = {}

    def run(self) -> dict[str, bytes]:
        members = self.manifest["members"]
        lines = iter([line for each in members if each["name"] == "files.jsonl" for line in self.inventory(each)])
        for record in members:
            here = record.get("offset")
            while record["name"] == "files.jsonl" if here is None else self.position < here:
                line = next(lines, None)
                if line is None:
                    break
                self.member(self.media(line))
            demand(here in (None, self.position), "the offset of a member")
            self.member(Member(record["name"], record, self.created, 0o100600))
        demand(next(lines, None) is None, "media behind the last member")
        record = {"size": self.manifest_size, "sha256": self.digest}
        self.member(Member("manifest.json", record, self.created, 0o100600))
        self.ending()
        return self.contents

    def inventory(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """Found from the end: what lies behind the media has sizes that the manifest knows."""
        behind = self.manifest["members"]
        behind = behind[behind.index(record) :]
        sizes = [
            header_bytes(Member(each["name"], each, self.created, 0)) + each.get("size_stored", each["size"])
            for each in behind
        ]
        manifest = header_bytes(Member("manifest.json", {"size": 0}, self.created, 0)) + self.manifest_size
        start = self.directory - manifest - sum(sizes) + header_bytes(Member(record["name"], record, self.created, 0))
        content = inflate(self.archive[start : start + record.get("size_stored", record["size"])], record)
        demand(sha256(content) == record["sha256"], "the inventory")
        lines = [json.loads(line) for line in content.split(b"\n")[:-1]]
        keys = [
            raw_path(line) + (b"/" if line["type"] == "directory" and line["path"] != "." else b"") for line in lines
        ]
        demand(keys == sorted(set(keys)), "the order of the inventory")
        counts = [sum(line["type"] == kind for line in lines) for kind in TYPES]
        media = self.manifest["media"]
        total = sum(line.get("size", 0) for line in lines if line["type"] == "file")
        demand([*counts, total] == [media["files"], media["directories"], media["links"], media["bytes"]], "the counts")
        return lines

    def media(self, line: dict[str, Any]) -> Member:
        name = (
            "media/" if line["path"] == "." else "media/" + line["path"] + ("/" if line["type"] == "directory" else "")
        )
        offset = self.created.utcoffset() or timedelta(0)
        try:
            moment = (EPOCH + timedelta(seconds=line["mtime_ns"] // 10**9)).astimezone(timezone(offset))
        except OverflowError:
            moment = EPOCH.astimezone(timezone(offset))
        empty = {"sha256": sha256(b"")} if line["type"] == "directory" else {}
        return Member(name, {**line, **empty}, moment, TYPES[line["type"]] | line["mode"])

    def member(self, member: Member) -> None:
        start = self.position + header_bytes(member)
        stored = self.archive[start : start + member.stored]
        if member.deflated:
            demand(sha256(stored) == member.record["sha256_stored"], member.name)
        content = inflate(stored, member.record)
        demand(len(content) == member.size and sha256(content) == member.record["sha256"], member.name)
        common = self.common(member, zlib.crc32(content))
        name = member.name.encode()
        extra = time_extra(member.moment)
        sizes64 = struct.pack("<2Q", member.size, member.stored) if member.zip64 else b""
        local = extra + (struct.pack("<2H", 1, 16) + sizes64 if member.zip64 else b"")
        needed = struct.pack("<H", 45 if member.zip64 else 20)
        self.expect(
            self.position, b"PK\3\4" + needed + common + struct.pack("<2H", len(name), len(local)) + name + local
        )
        large = sizes64 + (struct.pack("<Q", self.position) if self.position >= LARGE else b"")
        central = extra + (struct.pack("<2H", 1, len(large)) + large if large else b"")
        needed = struct.pack("<2H", 0x032D, 45 if large else 20)
        attributes = member.mode << 16 | (0x10 if member.mode & 0o170000 == 0o040000 else 0)
        tail = struct.pack("<5H2L", len(name), len(central), 0, 0, 0, attributes, min(self.position, LARGE))
        self.central = self.expect(self.central, b"PK\1\2" + needed + common + tail + name + central)
        self.position = start + member.stored
        self.contents[member.name] = content

    def common(self, member: Member, crc: int) -> bytes:
        """The fields that both headers share, from the flags to the sizes."""
        stored, size = (LARGE, LARGE) if member.zip64 else (member.stored, member.size)
        time, date = dos(member.moment)
        return struct.pack("<4H3L", 0x0800, 8 if member.deflated else 0, time, date, crc, stored, size)

    def expect(self, position: int, expected: bytes) -> int:
        demand(self.archive[position : position + len(expected)] == expected, f"the bytes at {position}")
        return position + len(expected)

    def ending(self) -> None:
        demand(self.position == self.directory, "the start of the directory")
        count, size, offset = len(self.contents), self.central - self.directory, self.directory
        expected = b""
        if count >= 0xFFFF or size >= LARGE or offset >= LARGE:
            expected += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 0x032D, 45, 0, 0, count, count, size, offset)
            expected += struct.pack("<4sLQL", b"PK\6\7", 0, self.central, 1)
        count, size, offset = min(count, 0xFFFF), min(size, LARGE), min(offset, LARGE)
        expected += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, offset, COMMENT_BYTES)
        expected += f"runner-archive/1 manifest-size={self.manifest_size:012d} manifest-sha256={self.digest}".encode()
        demand(self.archive[self.central :] == expected, "the end")


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Damaged(what)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def raw_path(line: dict[str, Any]) -> bytes:
    if "path_b64" in line:
        return base64.b64decode(line["path_b64"])
    return b"" if line["path"] == "." else str(line["path"]).encode()


def inflate(stored: bytes, record: dict[str, Any]) -> bytes:
    if record.get("method", "store") == "store":
        return stored
    inflater = zlib.decompressobj(-15)
    content = inflater.decompress(stored)
    demand(inflater.eof and not inflater.unused_data, "a deflate stream")
    return content


def header_bytes(member: Member) -> int:
    return 30 + len(member.name.encode()) + len(time_extra(member.moment)) + (20 if member.zip64 else 0)


def time_extra(moment: datetime) -> bytes:
    seconds = int((moment - EPOCH).total_seconds())
    return struct.pack("<2HBl", 0x5455, 5, 1, seconds) if -(2**31) <= seconds < 2**31 else b""


def dos(moment: datetime) -> tuple[int, int]:
    if moment.year < 1980:
        return 0, 1 << 5 | 1
    if moment.year > 2107:
        return 23 << 11 | 59 << 5 | 29, 127 << 9 | 12 << 5 | 31
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    return moment.hour << 11 | moment.minute << 5 | moment.second // 2, date

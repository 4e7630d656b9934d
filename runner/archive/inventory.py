"""The inventory: one line of JSON a media file, folder or link, sorted, streamed both ways.

The order is that of the members' names as bytes (a folder's ends in `/`, the root comes first); it makes duplicates
impossible to hide and lets a reader walk inventory and archive side by side.
"""

import base64
import binascii
import stat
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from runner.archive.layout import is_representable
from runner.archive.names import encode_path, is_safe_member
from runner.messages import Message, msg
from runner.model.manifest import MEDIA_PREFIX, InventoryEntry

_MAX_LINE = 1 << 20
_decoder = msgspec.json.Decoder(InventoryEntry)
_encoder = msgspec.json.Encoder()

ROOT_PATH = "."
_KINDS = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK}


class InventoryInvalid(ValueError):
    """A line that no inventory of ours holds. `reason` is a message for the user."""

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


def encode_line(entry: InventoryEntry) -> bytes:
    """The line, with its line break."""
    return _encoder.encode(entry) + b"\n"


def raw_path(entry: InventoryEntry) -> bytes:
    """The bytes of the path below the media root; empty for the root itself."""
    if entry.path_b64 is not None:
        return base64.b64decode(entry.path_b64, validate=True)
    return b"" if entry.path == ROOT_PATH else entry.path.encode("utf-8")


def raw_target(entry: InventoryEntry) -> bytes:
    """The bytes of a link's target."""
    if entry.target_b64 is not None:
        return base64.b64decode(entry.target_b64, validate=True)
    return (entry.target or "").encode("utf-8")


def member_name(entry: InventoryEntry) -> str:
    """The name of the entry's member in the zip."""
    if entry.path == ROOT_PATH:
        return MEDIA_PREFIX
    return f"{MEDIA_PREFIX}{entry.path}{'/' if entry.type == 'directory' else ''}"


def stat_mode(entry: InventoryEntry) -> int:
    """Type and permission bits, as in `stat` and in a zip's external attributes."""
    return _KINDS[entry.type] | entry.mode


def sort_key(raw: bytes, *, is_directory: bool) -> bytes:
    """What entries are sorted by."""
    return raw + b"/" if is_directory and raw else raw


def path_fields(raw: bytes) -> tuple[str, str | None]:
    """`path` and `path_b64` of an entry."""
    if not raw:
        return ROOT_PATH, None
    name = encode_path(raw)
    return (name, None) if name.encode("utf-8") == raw else (name, base64.b64encode(raw).decode("ascii"))


def read_lines(file: BinaryIO) -> Iterator[InventoryEntry]:
    """Decode an inventory line by line, in constant memory; every entry is checked. Raises InventoryInvalid."""
    previous: bytes | None = None
    number = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        entry = _decode(line, number)
        key = sort_key(raw_path(entry), is_directory=entry.type == "directory")
        if previous is not None and key <= previous:
            raise InventoryInvalid(
                msg("line {number}: not in order, or twice: `{path}`", number=number, path=entry.path)
            )
        previous = key
        yield entry


def _decode(line: bytes, number: int) -> InventoryEntry:
    if not line.endswith(b"\n"):
        raise InventoryInvalid(msg("line {number}: cut short or too long", number=number))
    try:
        entry = _decoder.decode(line)
        raw = raw_path(entry)
        raw_target(entry)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise InventoryInvalid(msg("line {number}: {reason}", number=number, reason=str(error))) from None
    if path_fields(raw) != (entry.path, entry.path_b64):
        raise InventoryInvalid(msg("line {number}: the path is not in its own form", number=number))
    if entry.path != ROOT_PATH and not is_safe_member(member_name(entry)):
        raise InventoryInvalid(msg("line {number}: unsafe path `{path}`", number=number, path=entry.path))
    if not _is_consistent(entry):
        raise InventoryInvalid(msg("line {number}: fields that do not go together", number=number))
    return entry


def _is_consistent(entry: InventoryEntry) -> bool:
    """The fields that each kind has, and no others; all sizes in range."""
    stored = entry.size if entry.size_stored is None else entry.size_stored
    if not is_representable(member_name(entry), entry.size, stored, zip64=entry.zip64):
        return False
    if not 0 <= entry.mode <= 0o7777:
        return False
    if entry.type == "directory":
        return entry.sha256 is None and entry.size == 0 and entry.method == "store" and not entry.zip64
    if entry.sha256 is None or (entry.path == ROOT_PATH):
        return False
    if entry.type == "link" and (entry.target is None or entry.method != "store"):
        return False
    deflated = entry.method == "deflate"
    return (entry.size_stored is not None) == deflated and (entry.sha256_stored is not None) == deflated

"""The inventory: one line of JSON a media file, folder or link, sorted, streamed both ways.

The order is that of the members' names as bytes (a folder's ends in `/`, the root comes first); it makes duplicates
impossible to hide and lets a reader walk inventory and archive side by side. Every entry lies in a folder that has a
line of its own, so that nothing can be put through a link or into a file.
"""

import base64
import binascii
import hashlib
import stat
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from runner.archive.layout import MAX_NAME, is_representable, largest_size
from runner.archive.names import encode_path, is_safe_member
from runner.messages import Message, msg
from runner.model.manifest import MEDIA_PREFIX, InventoryEntry

_MAX_LINE = 1 << 20
_BLOCK_BYTES = 64 << 10
_MEDIA = MEDIA_PREFIX.encode("ascii")
_LARGEST = largest_size(zip64=False)
_MAX_PLAIN = MAX_NAME // 4 - len(_MEDIA)  # a character takes four bytes at most
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
    return (entry for entry, _ in read_named(file))


def read_named(file: BinaryIO) -> Iterator[tuple[InventoryEntry, bytes]]:
    """As `read_lines`, each entry with its member's name as it stands in the zip."""
    fault = _Places().fault
    decode, is_plain = _decoder.decode, _is_plain
    for number, line in enumerate(_lines(file), 1):
        try:
            entry = decode(line)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise _not_decoded(number, error) from None
        key = entry.path.encode("utf-8") if is_plain(entry) else _checked_key(entry, number)
        if entry.type == "directory" and key:
            key += b"/"
        if (reason := fault(key, number, entry.path)) is not None:
            raise InventoryInvalid(reason)
        yield entry, _MEDIA + key if entry.path_b64 is None else member_name(entry).encode("utf-8")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines, less their ends. Raises InventoryInvalid for one that has none within `_MAX_LINE` bytes."""
    rest, number = b"", 0
    while block := file.read(_BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if lines and len(lines[0]) >= _MAX_LINE:  # no other of them began in an earlier block
            break
        yield from lines
        number += len(lines)
        if len(rest) >= _MAX_LINE:
            break
    else:
        if not rest:
            return
    raise InventoryInvalid(msg("line {number}: cut short or too long", number=number + 1))


class _Places:
    """Where entries lie, in memory that grows with the depth of a path alone.

    `_open` holds the lengths of all earlier keys that the last key starts with: its folders, and files whose names it
    continues. In sorted order no other earlier key can be a later entry's folder, or bear a later folder's name.
    """

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._open: list[int] = []

    def fault(self, key: bytes, number: int, path: str) -> Message | None:
        """What is wrong with an entry of this key in this place; None: nothing."""
        last, opened = self._last, self._open
        if last is not None:
            if key <= last:
                return msg("line {number}: not in order, or twice: `{path}`", number=number, path=path)
            while opened and not key.startswith(last[: opened[-1]]):
                opened.pop()
        is_folder = key.endswith(b"/")
        length = len(key)
        folder = key.rfind(b"/", 0, length - 1) + 1
        if folder and folder not in opened:
            return msg("line {number}: `{path}` lies in no folder of this inventory", number=number, path=path)
        if is_folder and length - 1 in opened:
            return msg("line {number}: a file and a folder at once: `{path}`", number=number, path=path)
        self._last = key
        opened.append(length)
        return None


def _is_plain(entry: InventoryEntry) -> bool:
    """Whether it is an ordinary file or folder, which is right by these quick tests alone.

    They accept nothing that `_checked_key` refuses; for what they do not accept, it has the word.
    """
    path = entry.path
    # Printable text has no control characters, half characters or line separators, so it is its own encoded form.
    if not path.isprintable() or "%" in path or "\\" in path or len(path) > _MAX_PLAIN:
        return False
    parts = f"/{path}/"
    if "//" in parts or "/." in parts or entry.path_b64 is not None:
        return False
    if not 0 <= entry.mode <= 0o7777 or entry.zip64 or entry.target is not None or entry.target_b64 is not None:
        return False
    return _is_plain_content(entry)


def _is_plain_content(entry: InventoryEntry) -> bool:
    stored, has_hash = entry.size_stored, entry.sha256 is not None
    if entry.method == "deflate":
        has_both = stored is not None and 0 <= stored <= _LARGEST and entry.sha256_stored is not None
        return entry.type == "file" and has_hash and has_both and 0 <= entry.size <= _LARGEST
    if stored is not None or entry.sha256_stored is not None:
        return False
    if entry.type == "file":
        return has_hash and 0 <= entry.size <= _LARGEST
    return entry.type == "directory" and not has_hash and entry.size == 0


def _checked_key(entry: InventoryEntry, number: int) -> bytes:
    """The raw bytes of the path, when all of the entry is as it must be. Raises InventoryInvalid."""
    try:
        raw = raw_path(entry)
        raw_target(entry)
    except (binascii.Error, UnicodeError) as error:
        raise _not_decoded(number, error) from None
    if path_fields(raw) != (entry.path, entry.path_b64):
        raise InventoryInvalid(msg("line {number}: the path is not in its own form", number=number))
    if entry.path != ROOT_PATH and not is_safe_member(member_name(entry)):
        raise InventoryInvalid(msg("line {number}: unsafe path `{path}`", number=number, path=entry.path))
    if not _is_consistent(entry):
        raise InventoryInvalid(msg("line {number}: fields that do not go together", number=number))
    return raw


def _not_decoded(number: int, error: Exception) -> InventoryInvalid:
    return InventoryInvalid(msg("line {number}: {reason}", number=number, reason=str(error)))


def _is_consistent(entry: InventoryEntry) -> bool:
    """The fields that each kind has, and no others; all sizes in range."""
    stored = entry.size if entry.size_stored is None else entry.size_stored
    if not is_representable(member_name(entry), entry.size, stored, zip64=entry.zip64):
        return False
    if not 0 <= entry.mode <= 0o7777:
        return False
    if entry.type == "directory":
        return entry.sha256 is None and entry.size == 0 and entry.method == "store" and not entry.zip64
    if entry.sha256 is None or entry.path == ROOT_PATH or entry.path.endswith("/"):
        return False
    if entry.type == "link" and not _is_link(entry):
        return False
    deflated = entry.method == "deflate"
    return (entry.size_stored is not None) == deflated and (entry.sha256_stored is not None) == deflated


def _is_link(entry: InventoryEntry) -> bool:
    """Whether its member, where other tools look, holds the very target that stands in the line."""
    target = raw_target(entry)
    is_target = len(target) == entry.size and hashlib.sha256(target).hexdigest() == entry.sha256
    return entry.target is not None and entry.method == "store" and is_target

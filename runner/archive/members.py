"""A member as the manifest or the inventory describes it, and the headers that follow from that."""

import stat
from typing import NamedTuple

from runner.archive import layout
from runner.archive.layout import Stamp
from runner.model.manifest import InventoryEntry, Member, Method

MANIFEST_MODE = stat.S_IFREG | 0o600


class StoredMember(NamedTuple):
    """One member: its name as it stands in the zip, sizes in bytes, hashes in hex, `mode` as in stat.

    `stored_bytes` is how many bytes the content takes in the archive, `header_length` how many the local header.
    """

    name_bytes: bytes
    size: int
    sha256: str
    method: Method
    stored_bytes: int
    sha256_stored: str | None
    zip64: bool
    stamp: Stamp
    mode: int
    header_length: int

    @property
    def name(self) -> str:
        return self.name_bytes.decode("utf-8")

    @property
    def whole_length(self) -> int:
        """Local header and content."""
        return self.header_length + self.stored_bytes

    def directory_length(self, position: int) -> int:
        """The length of its header in the central directory, when its local header lies at `position`."""
        return layout.central_length(len(self.name_bytes), self.stamp, position, zip64=self.zip64)

    def headers(self, crc: int, position: int) -> tuple[bytes, bytes]:
        """The local and the central header that the archive must hold for content with this CRC-32."""
        return layout.headers(self, crc, position)


def stored_member(
    described: InventoryEntry | Member, name: bytes, sha256: str, stamp: Stamp, mode: int
) -> StoredMember:
    """The member that a line of the inventory or the manifest describes."""
    size, zip64, stored = described.size, described.zip64, described.size_stored
    return StoredMember(
        name,
        size,
        sha256,
        described.method,
        size if stored is None else stored,
        described.sha256_stored,
        zip64,
        stamp,
        mode,
        layout.local_length(len(name), stamp, zip64=zip64),
    )


class Located(NamedTuple):
    """A member and where its local header lies; a media member with its line of the inventory."""

    member: StoredMember
    position: int
    entry: InventoryEntry | None = None

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.position + self.member.whole_length

"""A member as the reader sees it: what the manifest or the inventory promises, and the headers that follow from it."""

import stat
from typing import NamedTuple

from runner.archive import layout
from runner.archive.layout import Stamp
from runner.model.manifest import InventoryEntry, Method

MANIFEST_MODE = stat.S_IFREG | 0o600


class StoredMember(NamedTuple):
    """One member: its name as it stands in the zip, sizes in bytes, hashes in hex, `mode` as in stat."""

    name_bytes: bytes
    size: int
    sha256: str
    method: Method
    size_stored: int | None
    sha256_stored: str | None
    zip64: bool
    stamp: Stamp
    mode: int

    @property
    def name(self) -> str:
        return self.name_bytes.decode("utf-8")

    @property
    def stored_bytes(self) -> int:
        """How many bytes the content takes in the archive."""
        return self.size if self.size_stored is None else self.size_stored

    @property
    def header_length(self) -> int:
        """The length of the local header."""
        return layout.local_length(len(self.name_bytes), self.stamp, zip64=self.zip64)

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


class Located(NamedTuple):
    """A member and where its local header lies; a media member with its line of the inventory."""

    member: StoredMember
    position: int
    entry: InventoryEntry | None = None

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.position + self.member.whole_length

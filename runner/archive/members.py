"""A member as the reader sees it: what the manifest or the inventory promises, and the headers that follow from it."""

import stat
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from runner.archive import layout
from runner.archive.layout import Header
from runner.model.manifest import InventoryEntry, Method

MANIFEST_MODE = stat.S_IFREG | 0o600


@dataclass(frozen=True, slots=True)
class StoredMember:
    """One member: sizes in bytes, hashes in hex, `mode` as in stat, `modified` aware."""

    name: str
    size: int
    sha256: str
    method: Method
    size_stored: int | None
    sha256_stored: str | None
    zip64: bool
    modified: datetime
    mode: int

    @property
    def stored_bytes(self) -> int:
        """How many bytes the content takes in the archive."""
        return self.size if self.size_stored is None else self.size_stored

    @property
    def header_length(self) -> int:
        """The length of the local header."""
        return layout.local_header_length(self.name.encode("utf-8"), self.modified, zip64=self.zip64)

    @property
    def whole_length(self) -> int:
        """Local header and content."""
        return self.header_length + self.stored_bytes

    def header(self, crc: int) -> Header:
        """The header that the archive must hold for content with this CRC-32."""
        return Header(
            name=self.name.encode("utf-8"),
            method=layout.STORED if self.method == "store" else layout.DEFLATED,
            crc=crc,
            size=self.size,
            size_stored=self.stored_bytes,
            modified=self.modified,
            mode=self.mode,
            zip64=self.zip64,
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

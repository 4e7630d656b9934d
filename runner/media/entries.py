"""What a tree is made of while it comes back: its entries, from wherever they come, and what became of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from runner.errors import Finding
from runner.media.owners import Attributes


@dataclass(frozen=True, slots=True)
class Incoming:
    """One entry that comes back. `raw` is its path below the root with `/` between the parts; empty: the root itself.

    `name` is how messages call it. `chunks` gives a file's content and is asked once, in any thread. `sha256` is of the
    content, for a link of its target; None: nobody recorded one.
    """

    raw: bytes
    kind: Literal["file", "directory", "link"]
    name: str
    mode: int | None = None
    mtime_ns: int | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None
    target: bytes | None = None
    size: int = 0
    sha256: str | None = None
    chunks: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()))

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.mode, self.mtime_ns, self.uid, self.gid, self.owner, self.group)


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staged tree holds, the root not counted, and what a person should know of it."""

    files: int = 0
    directories: int = 0
    links: int = 0
    bytes: int = 0
    findings: tuple[Finding, ...] = ()

"""A destination in memory, for tests: the shortest thing that keeps the contract of `runner.destinations.base`."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from runner.destinations.base import Stored, Verify, numbered
from runner.errors import ArchiveUnknown, DestinationFailed
from runner.messages import msg


class MemoryDestination:
    """See `runner.destinations.base.Destination`. `reachable` may be set to False to lose it, and back."""

    def __init__(self, label: str = "memory") -> None:
        self.label = label
        self.reachable = True
        self._stored: dict[str, bytes] = {}

    def check(self) -> None:
        if not self.reachable:
            raise DestinationFailed(
                msg("the destination is out of reach"), where=self.label, hint=msg("set `reachable` again")
            )

    def names(self) -> frozenset[str]:
        self.check()
        return frozenset(self._stored)

    def put(self, source: Path, name: str, verify: Verify | None, note_partial: Callable[[Path], None]) -> str:  # noqa: ARG002 - it makes no temporary file
        content = source.read_bytes()
        if verify is not None:
            verify(io.BytesIO(content))
        chosen = numbered(name, self.names())
        self._stored[chosen] = content
        return chosen

    def list(self) -> list[Stored]:
        return [Stored(name, len(self._stored[name])) for name in self.names() if name.endswith(".zip")]

    def open(self, name: str) -> BinaryIO:
        if name not in self.names():
            raise ArchiveUnknown(msg("there is no archive `{name}`", name=name), where=self.label)
        return io.BytesIO(self._stored[name])

    def locate(self, name: str) -> str:
        return f"{self.label}:{name}"

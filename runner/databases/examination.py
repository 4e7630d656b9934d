"""What `runner doctor` asks of a database: is it there, may a backup read it, may a restore replace it.

Everything that is tried is taken back. Both engines answer in the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.messages import Message


@dataclass(frozen=True, slots=True)
class Seen:
    """A database that could be looked at. `facts`: one line each for a person; `clock`: the server's, if it has one."""

    label: str
    facts: Sequence[Message]
    clock: datetime | None = None

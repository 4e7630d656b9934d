"""A problem in a configuration file, at its line and column."""

from dataclasses import dataclass

from runner.errors import Finding
from runner.messages import Message


@dataclass(frozen=True, slots=True, order=False)
class Problem:
    """One thing that is wrong in a configuration file.

    `file` is the path as the user would type it (relative to the current folder where it lies below it), `line` and
    `column` count from 1, `key` is the dotted path (`destinations[0].path`; empty for the file as a whole). No text
    of a problem ever holds a value that could be a secret.
    """

    file: str
    line: int
    column: int
    key: str
    message: Message
    hint: Message | None = None
    code: str = "configuration"

    @property
    def position(self) -> tuple[str, int, int, str]:
        """What problems are sorted by."""
        return (self.file, self.line, self.column, self.key)

    def as_finding(self) -> Finding:
        """The same, in the shape that every command reports."""
        where = f"{self.file}:{self.line}:{self.column}"
        return Finding(self.code, self.message, f"{where}  {self.key}" if self.key else where, self.hint)

"""Where something stands in a configuration file, and how its place is written for people.

Owns positions, key paths and the one exception that ends the reading of a file. Knows nothing of YAML or of profiles.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.messages import Message
from runner.model.problem import Problem

KeyPath = tuple[str | int, ...]
"""The way from the root of a document to a value: keys of mappings and indices of lists."""

ROOT: Final[KeyPath] = ()

SECRET_KEYS: Final = frozenset(
    {
        *("password", "identity", "access_key_id", "secret_access_key", "account_key", "credentials", "private_key"),
        *("ping", "url", "webhook"),
    }
)
"""The keys whose value is a secret; a test holds this set to the schema."""

SECRET_FORMS: Final = frozenset({"env", "file", "command"})


@dataclass(frozen=True, slots=True)
class Position:
    """A character in a file; `line` and `column` count from 1, `file` is written as the user would type it."""

    file: str
    line: int
    column: int

    def problem(self, message: Message, *, key: str = "", hint: Message | None = None) -> Problem:
        """The problem that stands here."""
        return Problem(self.file, self.line, self.column, key, message, hint)


class Unreadable(Exception):
    """A file that cannot be read any further, with the one problem that says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem.message))
        self.problem = problem


def dotted(path: KeyPath) -> str:
    """A key path as text: `destinations[0].path`.

    What a person wrote below a secret in place of one of its three forms may be the secret itself: it is left out.
    """
    text = ""
    for depth, step in enumerate(path):
        if depth and path[depth - 1] in SECRET_KEYS and step not in SECRET_FORMS:
            break
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def shown(file: Path, cwd: Path) -> str:
    """`file` as the user would type it: relative to `cwd` where it lies below it. Slashes go forward in either case."""
    return (file.relative_to(cwd) if file.is_relative_to(cwd) else file).as_posix()

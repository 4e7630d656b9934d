"""Secrets: where one stands (a reference, printable) and its value (never printable).

A reference is what a profile holds. The value exists only between the step that needs it and the child process or
connection that gets it; see `runner.secrets`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """The value of an environment variable."""

    variable: str

    def __str__(self) -> str:
        return f"environment variable {self.variable}"


@dataclass(frozen=True, slots=True)
class FileSecret:
    """The content of a file, less one trailing line break."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class CommandSecret:
    """What a program prints on stdout, less one trailing line break. An argument list, never a shell string."""

    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"command {self.arguments[0]}"


SecretReference = EnvironmentSecret | FileSecret | CommandSecret


class Secret:
    """A value that cannot be printed, formatted, pickled or compared by accident."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself; call it only in the argument of what needs it."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be serialised")

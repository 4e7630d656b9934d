"""A document: plain data, and the position of every key and value in it.

Knows how two documents merge and where a problem stands; not how a document is read, nor what it ought to hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from runner.config.place import KeyPath, Position, dotted
from runner.config.scalars import Scalar
from runner.messages import Message
from runner.model.problem import Problem

Value: TypeAlias = "Scalar | list[Value] | dict[str, Value]"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says and where it says it.

    `data` is None where nothing could be read; `problems` then says why. Otherwise `problems` are those that left the
    rest readable, and `holes` the places where a value is not known because of one of them.
    """

    file: str
    data: Value = None
    keys: Mapping[KeyPath, Position] = field(default_factory=dict)
    values: Mapping[KeyPath, Position] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    holes: frozenset[KeyPath] = frozenset()

    def position(self, path: KeyPath, *, of_key: bool = False) -> Position:
        """Where the value at `path` stands, or its key; for what is not there, the key of what it is missing from."""
        if of_key and path in self.keys:
            return self.keys[path]
        if path in self.values:
            return self.values[path]
        return self.position(path[:-1], of_key=True) if path else Position(self.file, 1, 1)

    def problem(self, path: KeyPath, message: Message, *, hint: Message | None = None, of_key: bool = False) -> Problem:
        """A problem at `path`. Its key starts with `defaults` where the value was merged in from another file."""
        position = self.position(path, of_key=of_key)
        key = path if position.file == self.file else ("defaults", *path)
        return position.problem(message, key=dotted(key), hint=hint)

    def at(self, path: KeyPath) -> Value:
        """The value at `path`; None where there is none."""
        try:
            return _find(self.data, path)
        except LookupError:
            return None

    def has(self, path: KeyPath) -> bool:
        """Whether there is a value at `path`, be it null."""
        try:
            _find(self.data, path)
        except LookupError:
            return False
        return True

    def in_hole(self, path: KeyPath) -> bool:
        """Whether `path` is a place, or below a place, whose value is not known."""
        return any(path[:depth] in self.holes for depth in range(len(path) + 1))

    def below(self, path: KeyPath) -> "Document":
        """The part of this document at `path`, with its positions."""
        depth = len(path)
        return Document(
            self.file,
            self.at(path),
            {key[depth:]: position for key, position in self.keys.items() if key[:depth] == path},
            {key[depth:]: position for key, position in self.values.items() if key[:depth] == path},
        )

    def over(self, defaults: "Document") -> "Document":
        """This document with `defaults` below it: mappings merge, everything else replaces; positions are kept."""
        merged = replace(self, data=_merged(self.data, defaults.data))
        keys = {path: position for path, position in defaults.keys.items() if merged.has(path)}
        values = {path: position for path, position in defaults.values.items() if merged.has(path)}
        return replace(merged, keys={**keys, **self.keys}, values={**values, **self.values})

    def without(self, *keys: str) -> "Document":
        """This document less some keys at its top."""
        if not isinstance(self.data, dict):
            return self
        return replace(self, data={key: value for key, value in self.data.items() if key not in keys})


def _find(data: Value, path: KeyPath) -> Value:
    for step in path:
        match data, step:
            case dict(), str():
                data = data[step]
            case list(), int():
                data = data[step]
            case _:
                raise KeyError(step)
    return data


def _merged(upper: Value, lower: Value) -> Value:
    if not isinstance(upper, dict) or not isinstance(lower, dict):
        return upper
    both = {key: _merged(value, lower[key]) if key in lower else value for key, value in upper.items()}
    return {**lower, **both}

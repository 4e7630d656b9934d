"""From a file to a `Document`.

The document is composed from the parser's events, with every bound checked while it is read: at most `MAX_DEPTH` levels
and `MAX_NODES` values, counted with aliases expanded. So a file that explodes costs as much as one of that size.

Keys are texts, each once in its mapping. Merge keys, tags and second documents are refused: what a profile says stands
where it says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from runner.config.document import Document, Value
from runner.config.place import ROOT, KeyPath, Position, Unreadable, dotted
from runner.config.scalars import Scalar, resolve
from runner.config.source import FORBIDDEN, read_text
from runner.config.syntax import explain, is_too_deep
from runner.messages import Message, msg
from runner.model.problem import Problem

try:
    from yaml import CSafeLoader as _FastLoader
except ImportError:  # PyYAML was built without libyaml
    LOADER: type[Any] = yaml.SafeLoader
else:
    LOADER = _FastLoader

MAX_DEPTH: Final = 50
MAX_NODES: Final = 10_000

_NO_KEY: Final = "?"


def read_document(path: Path, file: str) -> Document:
    """Read `path`. Never raises for what stands in it; `file` is the name that positions and problems use."""
    try:
        return compose(read_text(path, file), file)
    except Unreadable as reason:
        return Document(file, problems=(reason.problem,))


def compose(text: str, file: str, *, loader: type[Any] = LOADER) -> Document:
    """The document that `text` is."""
    return Composer(text, file, loader).document()


@dataclass(frozen=True, slots=True)
class _Node:
    """A value in the file. An alias shares the content of its anchor and stands in its own place."""

    position: Position
    content: Scalar | list["_Node"] | dict[str, tuple[Position, "_Node"]]


class Composer:
    """One pass over the parser's events into nodes, then one over the nodes, aliases expanded, into data.

    `visited` counts the values that the current pass has met: what its work is proportional to.
    """

    def __init__(self, text: str, file: str, loader: type[Any] = LOADER) -> None:
        self.visited = 0
        self._text = text
        self._last = Position(file, 1, 1)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._taken = 0
        self._anchors: dict[str, _Node] = {}
        self._keys: dict[KeyPath, Position] = {}
        self._values: dict[KeyPath, Position] = {}
        self._problems: list[Problem] = []
        self._holes: set[KeyPath] = set()

    def document(self) -> Document:
        file = self._last.file
        try:
            root = self._root()
            self.visited = 0
            data = self._plain(root, ROOT)
        except Unreadable as reason:
            return Document(file, problems=(*self._problems, reason.problem))
        return Document(file, data, self._keys, self._values, tuple(self._problems), frozenset(self._holes))

    def _root(self) -> _Node:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise Unreadable(_empty(self._last.file))
        root = self._node(self._next(), ROOT)
        if root.content is None:
            raise Unreadable(_empty(self._last.file))
        self._next()  # the end of the document
        if not isinstance(self._next(), yaml.StreamEndEvent):
            self._report(ROOT, msg("a second document starts here"), msg("remove this `---` and what follows it"))
        return root

    def _next(self) -> yaml.Event:
        try:
            event = next(self._events)
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: escapes beyond Unicode
            if is_too_deep(error):
                return self._next_in_python()
            raise Unreadable(explain(error, self._text, self._last)) from None
        self._taken += 1
        if event.start_mark is not None:
            self._last = replace(self._last, line=event.start_mark.line + 1, column=event.start_mark.column + 1)
        return event

    def _next_in_python(self) -> yaml.Event:
        """The next event by PyYAML's own parser, which has no bound of its depth and so comes to `MAX_DEPTH`.

        libyaml looks ahead: from 0.2.6 on it gives up at level 1000 before it has told of the first one.
        """
        self._events = islice(yaml.parse(self._text, Loader=yaml.SafeLoader), self._taken, None)
        return self._next()

    def _node(self, event: yaml.Event, path: KeyPath) -> _Node:
        position = self._last
        self._count(path, position)
        match event:
            case yaml.AliasEvent():
                return replace(self._anchored(event, path), position=position)
            case yaml.SequenceStartEvent():
                node = _Node(position, self._items(event, path))
            case yaml.MappingStartEvent():
                node = _Node(position, self._entries(event, path))
            case yaml.ScalarEvent():
                node = _Node(position, self._scalar(event, path))
            case _:
                raise AssertionError(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _anchored(self, event: yaml.AliasEvent, path: KeyPath) -> _Node:
        if event.anchor in self._anchors:
            return self._anchors[event.anchor]
        # The name is not shown: a password that starts with `*` looks like an alias.
        self._report(
            path,
            msg("this is read as an alias, and no anchor of that name stands above it"),
            msg('put a text that starts with `*` in quotes, as in `"*.tmp"`'),
            hole=True,
        )
        return _Node(self._last, None)

    def _items(self, start: yaml.SequenceStartEvent, path: KeyPath) -> list[_Node]:
        self._refuse_tag(start, path)
        items: list[_Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _entries(self, start: yaml.MappingStartEvent, path: KeyPath) -> dict[str, tuple[Position, _Node]]:
        self._refuse_tag(start, path)
        entries: dict[str, tuple[Position, _Node]] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            position = self._last
            key = self._key(event, path)
            value = self._node(self._next(), (*path, _NO_KEY if key is None else key))
            if key is None:
                continue
            if key in entries:
                first, _ = entries[key]
                message = msg("duplicate key; the first stands in line {line}", line=first.line)
                hint = msg("keep one of the two")
                self._problems.append(position.problem(message, key=dotted((*path, key)), hint=hint))
            else:
                entries[key] = (position, value)
        return entries

    def _key(self, event: yaml.Event, path: KeyPath) -> str | None:
        """The text of a key; None where it is not one, which is reported."""
        position = self._last
        place = (*path, _NO_KEY)
        key = self._node(event, place).content
        if place in self._holes:  # reported already
            self._holes.remove(place)
            return None
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and key == "<<":
            # The end of the reading: without what it would have merged in, the rest would seem wrong everywhere.
            message = msg("merge keys (`<<`) are not used here")
            hint = msg("write what several profiles share under `defaults:` in backup.yml")
            raise Unreadable(position.problem(message, key=dotted(path), hint=hint))
        if not isinstance(key, str):
            message, hint = msg("a key must be text"), msg("put it in quotes")
        elif not key.isprintable():  # a line break, or a no-break space that was copied from a web page
            message, hint = msg("this key holds an invisible character"), msg("type it anew")
        else:
            return key
        self._problems.append(position.problem(message, key=dotted(path), hint=hint))
        return None

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Scalar:
        self._refuse_tag(event, path)
        if odd := FORBIDDEN.search(event.value):
            message = msg("the text holds the character U+{code:04X}, written as an escape", code=ord(odd[0]))
            self._report(path, message, msg("remove it"), hole=True)
        return resolve(event.value) if event.implicit[0] else event.value

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: KeyPath) -> None:
        if event.tag is not None:
            message = msg("tags (`!name`) are not used here")
            self._report(path, message, msg("remove it; put a text that starts with `!` in quotes"), hole=True)

    def _report(self, path: KeyPath, message: Message, hint: Message, *, hole: bool = False) -> None:
        self._problems.append(self._last.problem(message, key=dotted(path), hint=hint))
        if hole:
            self._holes.add(path)

    def _count(self, path: KeyPath, position: Position) -> None:
        self.visited += 1
        if len(path) > MAX_DEPTH:
            message = msg("nested more than {limit} levels deep", limit=MAX_DEPTH)
            raise Unreadable(position.problem(message, hint=msg("a profile needs five")))
        if self.visited > MAX_NODES:
            message = msg("more than {limit} values, counted with aliases expanded", limit=MAX_NODES)
            hint = msg("a profile needs a few dozen; write shared parts once, under `defaults:` in backup.yml")
            raise Unreadable(position.problem(message, hint=hint))

    def _plain(self, node: _Node, path: KeyPath) -> Value:
        """The data of `node`, whose positions are noted. Aliases are walked once for each place where they stand."""
        self._count(path, self._keys.get(path[:1], node.position))
        self._values[path] = node.position
        match node.content:
            case list() as items:
                return [self._plain(item, (*path, index)) for index, item in enumerate(items)]
            case dict() as entries:
                data: dict[str, Value] = {}
                for key, (position, value) in entries.items():
                    self._keys[*path, key] = position
                    data[key] = self._plain(value, (*path, key))
                return data
            case scalar:
                return scalar


def _empty(file: str) -> Problem:
    return Position(file, 1, 1).problem(msg("nothing is written in this file"), hint=msg("begin with `version: 1`"))

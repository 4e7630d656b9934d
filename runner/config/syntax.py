"""What the YAML parser stumbled over, in words for people.

PyYAML's two parsers (libyaml's and the one in Python) word the same mistake differently, and both may quote the text.
The table below knows the mistakes that people make by what the two have in common; nothing is quoted.
"""

import re
from dataclasses import dataclass
from typing import Final

import yaml

from runner.config.place import Position
from runner.messages import Message, msg
from runner.model.problem import Problem

_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
_INDENTATION: Final = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class _Mistake:
    """`sign` occurs in what the parser says; `opening`: the place is where the construct began, not where it broke."""

    sign: re.Pattern[str]
    message: Message
    hint: Message
    opening: bool = False


_MISTAKES: Final = (
    _Mistake(
        re.compile("quoted scalar.*end of stream"),
        msg("the quote that opens here is never closed"),
        msg("close it; write a single quote inside single quotes twice"),
        opening=True,
    ),
    _Mistake(
        re.compile("quoted scalar"),
        msg("in double quotes a backslash starts an escape, and this text holds one that is not known"),
        msg("write Windows paths in single quotes or without quotes, or with forward slashes"),
        opening=True,
    ),
    _Mistake(
        re.compile("flow sequence"),
        msg("the list that opens here is not closed where it should be"),
        msg("close it with `]`, put a comma between items, and quotes around texts that hold `,`, `[` or `]`"),
        opening=True,
    ),
    _Mistake(
        re.compile("flow mapping"),
        msg("the mapping that opens here is not closed where it should be"),
        msg("close it with `}}`, put a comma between keys, and quotes around texts that start with `{{`"),
        opening=True,
    ),
    _Mistake(
        re.compile("scanning an alias"),
        msg("a value that starts with `*` is read as an alias"),
        msg('put the text in quotes, as in `"*.tmp"`'),
        opening=True,
    ),
    _Mistake(
        re.compile("scanning an anchor|parsing a tag|scanning a tag|tag handle"),
        msg("a value may not start with `&` or `!`"),
        msg("put the text in quotes"),
        opening=True,
    ),
    _Mistake(
        re.compile("cannot start any token"),
        msg("a value may not start with this character"),
        msg("put the text in quotes"),
    ),
    _Mistake(
        re.compile("mapping values are not allowed"),
        msg("a `:` is not expected here"),
        msg(
            "put a text that holds `: ` in quotes, align the keys of one mapping, and see that the line above has "
            "its `:` followed by a space"
        ),
    ),
    _Mistake(
        re.compile("could not find expected ':'"),
        msg("this key has no `:`"),
        msg("write `key: value`, with a space after the `:`"),
        opening=True,
    ),
    _Mistake(
        re.compile("expected key|expected <block end>"),
        msg("this does not fit the lines above it"),
        msg('align the keys of one mapping, and put a text in quotes as a whole: `"{{timestamp}}.zip"`'),
    ),
)

_UNKNOWN: Final = _Mistake(
    re.compile(""), msg("this is not valid YAML"), msg("look at this line and at the one above it")
)


def explain(error: Exception, text: str, last: Position) -> Problem:
    """The problem behind `error`. `last` is the position of the last thing that was read well."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return last.problem(_UNKNOWN.message, hint=_UNKNOWN.hint)
    broken = error.problem_mark
    if tab := _tab_before(text, broken.line, broken.column):
        position = Position(last.file, broken.line + 1, tab)
        return position.problem(msg("a tab is used as indentation"), hint=msg("indent with spaces"))
    said = f"{error.context} {error.problem}"
    mistake = next((each for each in _MISTAKES if each.sign.search(said)), _UNKNOWN)
    mark = error.context_mark if mistake.opening and error.context_mark is not None else broken
    return Position(last.file, mark.line + 1, mark.column + 1).problem(mistake.message, hint=mistake.hint)


def is_too_deep(error: Exception) -> bool:
    """Whether libyaml gave up because of its own bound of nesting, which is no mistake of YAML."""
    return isinstance(error, yaml.MarkedYAMLError) and "nesting depth" in f"{error.problem}"


def _tab_before(text: str, line: int, column: int) -> int | None:
    """The column, counted from 1, of a tab in the indentation of a line, up to and with `column` counted from 0."""
    lines = _LINE_BREAK.split(text)
    indentation = _INDENTATION.match(lines[line]) if line < len(lines) else None
    if indentation is None or indentation.end() < column or "\t" not in indentation[0]:
        return None
    return indentation[0].index("\t") + 1

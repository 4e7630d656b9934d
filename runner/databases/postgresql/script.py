"""Takes SQL scripts apart, as pg_dump and pg_restore write them, without running anything on this machine.

psql would run commands of its own that stand in a script (`\\!`, `\\copy`, `\\i`, …); here they are refused. Its own
restricted mode is no protection: in some minor versions even `\\unrestrict` runs what stands in backquotes.

Source: PostgreSQL's chapter "Lexical Structure", src/backend/parser/scan.l and src/fe_utils/psqlscan.l, 14 to 18.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NoReturn

from runner.databases.postgresql.syntax import StatementSyntax
from runner.errors import DumpIncomplete, IntegrityError
from runner.messages import Message, msg

_MAX_STATEMENT_BYTES = 1 << 30  # PostgreSQL itself takes no more
_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*"
_TOKEN = re.compile(
    rb"(?P<space>[ \t\n\r\f\v]+)|(?P<comment>--[^\n\r]*)|(?P<block>/\*)"
    rb"|(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)"
    rb"|(?P<dollar>\$(?:" + _WORD + rb")?\$)|(?P<cut>\$" + _WORD + rb"\Z)"
    rb"|(?P<quote>')|(?P<name>\")|(?P<open>\()|(?P<close>\))|(?P<end>;)|(?P<command>\\)"
    rb"|(?P<other>[^ \t\n\r\f\v'\"$;\\()/\-A-Za-z_\x80-\xff]+|[-/$])"
)
_ALONE = frozenset({"quote", "name", "open", "close", "end", "command", "block", "dollar"})
_STOPS = {"plain": re.compile(rb"'"), "escape": re.compile(rb"['\\]"), "name": re.compile(rb'"')}
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_REST_OF_LINE = re.compile(rb"[ \t\r]*\n")
_END_OF_COPY = re.compile(rb"\\\.\r?(?:\n|\Z)")
_RESTRICTION = re.compile(rb"\\(restrict|unrestrict) ([A-Za-z0-9]{1,100})\r?(?:\n|\Z)")
_RESTRICTION_BYTES = 200
_COMMAND = re.compile(rb"\\[^\s\\]{0,20}")
_SETTING = re.compile(
    rb"SET\s+(?:(?:SESSION|LOCAL)\s+)?(standard_conforming_strings|client_encoding|names)\s*(?:=|\sTO\s)?\s*"
    rb"['\"]?([\w-]+)['\"]?\s*",
    re.IGNORECASE,
)
# In these a character may hold the byte of a quote or a backslash.
_UNSAFE_ENCODINGS = frozenset({"sjis", "shiftjis", "shiftjis2004", "big5", "gbk", "uhc", "johab", "gb18030"})
_HEADER = b"-- PostgreSQL database dump"
_TRAILER = b"-- PostgreSQL database dump complete"


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement without its semicolon. `words` are its first unquoted words in upper case, four at most.

    `conforming`: whether the script takes backslashes in plain strings for what they are from here on.
    """

    text: bytes
    line: int
    words: tuple[str, ...]
    conforming: bool = True


@dataclass(frozen=True, slots=True)
class CopyBlock:
    """`COPY … FROM stdin` and its data, to be read before the next piece is asked for; what is left is passed over."""

    statement: Statement
    data: Iterator[bytes]


def read_script(chunks: Iterator[bytes], name: str) -> Iterator[Statement | CopyBlock]:
    """The pieces of a script, in order; at most one statement or one chunk of data is held in memory.

    `name` is the member's, for messages. Raises IntegrityError for a command of psql (pg_dump's own `\\restrict` and
    `\\unrestrict` are passed over) and for what no dump holds, DumpIncomplete for a script that ends too early or holds
    no statement at all.
    """
    return _Reader(chunks, name).pieces()


def decoded(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The script in UTF-8: from UTF-16 with a byte order mark, as Windows PowerShell's `>` writes it (its CRLF become
    LF), or as it is.

    `name` is the member's, for messages. Raises IntegrityError for UTF-16 that is none, DumpIncomplete for half a
    character at the end.
    """
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= 2:
            break
    encoding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(start[:2])
    if encoding is None:
        if start:
            yield start
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    kept = ""
    try:
        for chunk in chain((start[2:],), chunks):
            text = kept + decoder.decode(chunk)
            kept = "\r" if text.endswith("\r") else ""
            yield text.removesuffix("\r").replace("\r\n", "\n").encode()
        yield (kept + decoder.decode(b"", final=True)).encode()
    except UnicodeDecodeError as error:
        kind = DumpIncomplete if "truncated" in error.reason or "unexpected end" in error.reason else IntegrityError
        raise kind(
            msg("the script begins as UTF-16 and does not go on as such: {reason}", reason=error.reason),
            where=name,
            hint=msg("the file is cut short or damaged; take another backup"),
        ) from None


class _Reader:
    """The script from the start of the current statement on, and what has been seen of it."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._buffer = bytearray()
        self._line = 1
        self._last = 0x0A  # the byte before the buffer
        self._conforming = True
        self._token: bytes | None = None  # of \restrict
        self._released = False
        self._begun = False  # a statement was read
        self._open_headers = 0

    def pieces(self) -> Iterator[Statement | CopyBlock]:
        if self._ensure(3) and self._buffer.startswith(codecs.BOM_UTF8):
            del self._buffer[:3]
        while self._skip_to_statement():
            statement, copies = self._statement()
            if statement is None:
                continue
            if not copies:
                yield statement
                continue
            data = self._copy_data(statement)
            yield CopyBlock(statement, data)
            for _ in data:
                pass
        self._check_end()

    # --- the buffer

    def _more(self) -> bool:
        """Read on. False at the end of the script."""
        for chunk in self._chunks:
            if chunk:
                self._buffer += chunk
                if len(self._buffer) > _MAX_STATEMENT_BYTES + len(chunk):
                    self._refuse(msg("a statement is longer than PostgreSQL takes one"), 0)
                return True
        return False

    def _ensure(self, size: int) -> bool:
        """Whether the buffer holds `size` bytes, after reading on where it must."""
        while len(self._buffer) < size:
            if not self._more():
                return False
        return True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        if taken:
            del self._buffer[:size]
            self._line += taken.count(b"\n")
            self._last = taken[-1]
        return taken

    def _next(self, position: int) -> tuple[str, int]:
        """The kind and the end of the token at `position`; kind "" at the end of the script."""
        while True:
            match = _TOKEN.match(self._buffer, position)
            kind = "" if match is None else match.lastgroup or ""
            if kind in _ALONE or (kind and match is not None and match.end() < len(self._buffer)):
                assert match is not None  # noqa: S101 - a kind has a match
                return kind, match.end()
            size = len(self._buffer)
            del match  # it holds the buffer
            if not self._more():
                break
            if kind == "space" and not position:
                self._take(size)
        match = _TOKEN.match(self._buffer, position)
        return ("", position) if match is None else (match.lastgroup or "", match.end())

    # --- between statements

    def _skip_to_statement(self) -> bool:
        """Pass over what is not SQL. False at the end of the script."""
        while True:
            kind, end = self._next(0)
            if not kind:
                return False
            if kind == "space":
                self._take(end)
            elif kind == "comment":
                comment = self._take(end).rstrip()
                self._open_headers += (comment == _HEADER) - (comment == _TRAILER)
            elif kind == "block":
                self._take(self._block_end(end))
            elif kind == "command":
                self._restriction()
            elif self._released:
                self._refuse(msg("there are statements after `\\unrestrict`"), 0)
            else:
                self._begun = True
                return True

    def _restriction(self) -> None:
        """pg_dump's own pair, word for word; everything else is refused."""
        while b"\n" not in self._buffer[:_RESTRICTION_BYTES] and len(self._buffer) < _RESTRICTION_BYTES:
            if not self._more():
                break
        match = _RESTRICTION.match(self._buffer)
        if match is None or self._last != 0x0A:
            self._refuse_command(0)
        end, opens, token = match.end(), match[1] == b"restrict", match[2]
        if opens and self._token is None and not self._begun:
            self._token = token
        elif not opens and token == self._token and not self._released:
            self._released = True
        else:
            self._refuse_command(0)
        self._take(end)

    def _check_end(self) -> None:
        if self._open_headers > 0 or (self._token is not None and not self._released):
            self._incomplete(msg("the dump ends before its last line"))
        if not self._begun:  # what a pg_dump that failed leaves behind; it would restore as an empty database
            self._incomplete(msg("the script is empty: there is no statement in it"))

    # --- a statement

    def _statement(self) -> tuple[Statement | None, bool]:
        """The statement at the start of the buffer, None for an empty one, and whether COPY data follow it."""
        line, position, syntax = self._line, 0, StatementSyntax()
        while True:
            kind, end = self._next(position)
            if kind == "end" and syntax.at_top:
                break
            if not kind:
                self._incomplete(msg("the script ends inside a statement that begins on line {line}", line=line))
            if kind == "command":
                self._refuse_command(position)
            position = self._token_end(kind, position, end, syntax)
        text = self._take(position)
        self._take(1)
        if b"\x00" in text:
            self._refuse_at(msg("a statement holds a NUL byte"), line)
        self._note_setting(text, line, syntax.words)
        statement = Statement(text, line, tuple(syntax.words), self._conforming)
        return (statement if text else None), syntax.copies

    def _token_end(self, kind: str, position: int, end: int, syntax: StatementSyntax) -> int:
        """Where the token really ends: strings and comments go on past their opening."""
        if kind in ("space", "comment"):
            syntax.blank(newline=b"\n" in self._buffer[position:end] or b"\r" in self._buffer[position:end])
            return end
        if kind == "quote":
            escapes = syntax.quote(conforming=self._conforming, touches=syntax.word_end == position)
            return self._quoted_end(end, "escape" if escapes else "plain")
        if kind == "word":
            syntax.word(bytes(self._buffer[position:end]).upper(), end)
            return end
        if kind == "block":
            return self._block_end(end)
        syntax.other(kind)
        if kind == "name":
            return self._quoted_end(end, "name")
        return self._dollar_end(position, end) if kind == "dollar" else end

    def _quoted_end(self, position: int, how: str) -> int:
        stop = _STOPS[how]
        while True:
            match = stop.search(self._buffer, position)
            if match is None:
                position = len(self._buffer)
                if not self._more():
                    self._incomplete(msg("the script ends inside a string or a quoted name"))
                continue
            end, found = match.end(), match[0]
            del match
            there = self._ensure(end + 1)
            if found != b"\\" and not (there and self._buffer[end] == found[0]):
                return end
            position = end + 1

    def _dollar_end(self, start: int, position: int) -> int:
        tag = bytes(self._buffer[start:position])
        while (found := self._buffer.find(tag, position)) < 0:
            position = max(position, len(self._buffer) - len(tag) + 1)
            if not self._more():
                self._incomplete(msg("the script ends inside a string in dollar signs"))
        return found + len(tag)

    def _block_end(self, position: int) -> int:
        depth = 1
        while depth:
            match = _COMMENT_EDGE.search(self._buffer, position)
            if match is None:
                position = max(position, len(self._buffer) - 1)
                if not self._more():
                    self._incomplete(msg("the script ends inside a comment"))
                continue
            position = match.end()
            depth += 1 if match[0] == b"/*" else -1
            del match
        return position

    def _note_setting(self, text: bytes, line: int, words: list[str]) -> None:
        if words[:1] != ["SET"]:
            return
        match = _SETTING.fullmatch(text)
        if match is None:
            return
        setting, value = (word.decode("ascii", "replace").casefold() for word in match.groups())
        if setting == "standard_conforming_strings":
            self._conforming = value in ("on", "true", "yes", "1")
        elif re.sub(r"[^a-z0-9]", "", value) in _UNSAFE_ENCODINGS:
            self._refuse_at(msg("the script is written in the encoding {encoding}", encoding=value), line)

    # --- COPY data

    def _copy_data(self, statement: Statement) -> Iterator[bytes]:
        """Up to the line `\\.`, which is not part of it."""
        match = None
        while match is None:
            match = _REST_OF_LINE.match(self._buffer)
            if match is None:
                if self._buffer.strip(b" \t\r"):
                    self._refuse(msg("there is something behind `COPY … FROM stdin;` on its line"), 0)
                if not self._more():
                    self._no_end_of_copy(statement)
        end = match.end()
        del match
        self._take(end)
        while True:
            found = self._line_of_backslash_dot()
            if found < 0:
                if (ready := len(self._buffer) - 2) > 0:
                    yield self._take(ready)
                if not self._more():
                    self._no_end_of_copy(statement)
                continue
            self._ensure(found + 4)
            match = _END_OF_COPY.match(self._buffer, found)
            size = 0 if match is None else match.end() - found
            del match
            if chunk := self._take(found if size else found + 2):
                yield chunk
            if size:
                self._take(size)
                return

    def _line_of_backslash_dot(self) -> int:
        """Where in the buffer the next line begins with `\\.`; -1 where none does so far."""
        if self._last == 0x0A and self._ensure(2) and self._buffer.startswith(b"\\."):
            return 0
        found = self._buffer.find(b"\n\\.")
        return found + 1 if found >= 0 else -1

    def _no_end_of_copy(self, statement: Statement) -> NoReturn:
        self._incomplete(msg("the script ends inside the data of the COPY on line {line}", line=statement.line))

    # --- errors

    def _refuse_command(self, position: int) -> NoReturn:
        self._ensure(position + 20)
        match = _COMMAND.match(self._buffer, position)
        command = "\\" if match is None else match[0].decode("ascii", "backslashreplace")
        message = msg("the script holds the psql command `{command}`, and none is ever run", command=command)
        self._refuse(message, position)

    def _refuse(self, message: Message, position: int) -> NoReturn:
        self._refuse_at(message, self._line + self._buffer.count(b"\n", 0, position))

    def _refuse_at(self, message: Message, line: int) -> NoReturn:
        raise IntegrityError(
            msg("line {line}: {reason}", line=line, reason=message),
            where=self._name,
            hint=msg("no dump of pg_dump's holds such a line: do not trust this archive, take another one"),
        )

    def _incomplete(self, message: Message) -> NoReturn:
        raise DumpIncomplete(
            msg("the dump is not whole: {reason}", reason=message),
            where=self._name,
            hint=msg("the script is cut short; take another backup"),
        )

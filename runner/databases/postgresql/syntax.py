"""What has to be known of one SQL statement to tell where it ends, token by token.

Source: PostgreSQL's chapter "Lexical Structure", src/backend/parser/scan.l and src/fe_utils/psqlscan.l, 14 to 18.
"""

_KNOWN_WORDS = 4


class StatementSyntax:
    """What has been seen of one statement, as far as its end depends on it."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.copies = False
        self.word_end = -1
        self._last = b""  # the last word, when nothing but blanks came after it
        self._parentheses = 0
        self._bodies = 0  # BEGIN ATOMIC and the CASEs in it
        self._escapes = False  # the last token was a string with escapes,
        self._newline = False  # and a newline came after it: a string that follows continues it

    @property
    def at_top(self) -> bool:
        """Whether a semicolon here ends the statement."""
        return not self._parentheses and not self._bodies

    def blank(self, *, newline: bool) -> None:
        self._newline = self._newline or newline

    def quote(self, *, conforming: bool, touches: bool) -> bool:
        """Whether backslashes escape in the string that begins here; `touches`: right behind a word."""
        prefixed = touches and self._last == b"E"
        self._escapes = prefixed or not conforming or (self._escapes and self._newline)
        self._newline, self._last = False, b""
        return self._escapes

    def word(self, word: bytes, end: int) -> None:
        if len(self.words) < _KNOWN_WORDS:
            self.words.append(word.decode("ascii", "replace"))
        if not self._parentheses:
            if self._is_routine():
                self._body(word)
            self.copies = self.copies or (
                self.words[0] == "COPY" and self._last == b"FROM" and word in (b"STDIN", b"STDOUT")
            )
        self._last, self.word_end, self._escapes = word, end, False

    def other(self, kind: str) -> None:
        if kind == "open":
            self._parentheses += 1
        elif kind == "close":
            self._parentheses = max(0, self._parentheses - 1)
        self._last, self._escapes = b"", False

    def _body(self, word: bytes) -> None:
        if word == b"ATOMIC" and self._last == b"BEGIN":
            self._bodies = max(self._bodies, 1)
        elif self._bodies and word == b"CASE":
            self._bodies += 1
        elif self._bodies and word == b"END":
            self._bodies -= 1

    def _is_routine(self) -> bool:
        words = self.words[:1] + (self.words[3:] if self.words[1:3] == ["OR", "REPLACE"] else self.words[1:])
        return words[:1] == ["CREATE"] and words[1:2] in (["FUNCTION"], ["PROCEDURE"])

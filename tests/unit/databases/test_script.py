"""SQL scripts taken apart: where statements end, what data are, and what is refused."""

import codecs
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.databases.postgresql.script import CopyBlock, decoded, read_script
from runner.errors import DumpIncomplete, IntegrityError

Pieces = list[tuple[str, ...]]


def pieces(script: str | bytes, cuts: list[int] | None = None) -> Pieces:
    """The statements of a script; a COPY with its data as the second element."""
    raw = script.encode() if isinstance(script, str) else script
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts or []), len(raw)]
    chunks = (raw[start:end] for start, end in itertools.pairwise(edges))
    found: Pieces = []
    for piece in read_script(chunks, "db.sql"):
        if isinstance(piece, CopyBlock):
            found.append((piece.statement.text.decode(), b"".join(piece.data).decode()))
        else:
            found.append((piece.text.decode(),))
    return found


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        (";;  ; SELECT 1 ;;\n", ["SELECT 1 "]),
        ("SELECT ';'; SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT ''';'; SELECT 2;", ["SELECT ''';'", "SELECT 2"]),
        (r"SELECT '\'; SELECT 2;", [r"SELECT '\'", "SELECT 2"]),
        (r"SELECT E'\';'; SELECT 2;", [r"SELECT E'\';'", "SELECT 2"]),
        (r"SELECT e'\\'; SELECT 2;", [r"SELECT e'\\'", "SELECT 2"]),
        (r"SELECT E'a''\';'; SELECT 2;", [r"SELECT E'a''\';'", "SELECT 2"]),
        ("SELECT E'a'\n  '\\';'; SELECT 2;", ["SELECT E'a'\n  '\\';'", "SELECT 2"]),
        ("SELECT E'a' -- c\n '\\';'; SELECT 2;", ["SELECT E'a' -- c\n '\\';'", "SELECT 2"]),
        ("SELECT 'a'\n'\\'; SELECT 2;", ["SELECT 'a'\n'\\'", "SELECT 2"]),
        (r"SELECT name'\'; SELECT 2;", [r"SELECT name'\'", "SELECT 2"]),
        (r"SELECT U&'\0441;'; SELECT 2;", [r"SELECT U&'\0441;'", "SELECT 2"]),
        (r"""SELECT U&"\0441;"; SELECT 2;""", [r"""SELECT U&"\0441;" """.strip(), "SELECT 2"]),
        (r"""SELECT "a"";\"; SELECT 2;""", [r"""SELECT "a"";\" """.strip(), "SELECT 2"]),
        ("SELECT $$;'$$; SELECT 2;", ["SELECT $$;'$$", "SELECT 2"]),
        ("SELECT $a$;$$;$b$;$a$; SELECT 2;", ["SELECT $a$;$$;$b$;$a$", "SELECT 2"]),
        ("SELECT $é$;\\! x$é$; SELECT 2;", ["SELECT $é$;\\! x$é$", "SELECT 2"]),
        ("SELECT a$b$ FROM c$b$; SELECT 2;", ["SELECT a$b$ FROM c$b$", "SELECT 2"]),
        ("SELECT $1; SELECT $2$x;", ["SELECT $1", "SELECT $2$x"]),
        ("SELECT /* ; /* ' */ ; */ 1; SELECT 2;", ["SELECT /* ; /* ' */ ; */ 1", "SELECT 2"]),
        ("/* \\! x /* */ ; */ -- ; \\! y\n SELECT 1;", ["SELECT 1"]),
        ("SELECT 1 -- ;'\n + 1; SELECT 2;", ["SELECT 1 -- ;'\n + 1", "SELECT 2"]),
        ("SELECT 1 - - 1 / 2; SELECT 2;", ["SELECT 1 - - 1 / 2", "SELECT 2"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
         ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"]),
        ("SELECT 1); SELECT 2;", ["SELECT 1)", "SELECT 2"]),
        ("SET standard_conforming_strings = off; SELECT '\\';'; SELECT 2;",
         ["SET standard_conforming_strings = off", "SELECT '\\';'", "SELECT 2"]),
        ("set session standard_conforming_strings to 'off' ; SELECT '\\';';",
         ["set session standard_conforming_strings to 'off' ", "SELECT '\\';'"]),
        ("SET standard_conforming_strings=off;SET standard_conforming_strings=on; SELECT '\\'; SELECT 2;",
         ["SET standard_conforming_strings=off", "SET standard_conforming_strings=on", "SELECT '\\'", "SELECT 2"]),
        ("\ufeffSELECT 1;", ["SELECT 1"]),
        ("SELECT 'a\r\nb';\r\nSELECT 2;\r\n", ["SELECT 'a\r\nb'", "SELECT 2"]),
    ],
)  # fmt: skip
def test_where_statements_end(script: str, statements: list[str]) -> None:
    assert pieces(script) == [(each,) for each in statements]
    every = list(range(len(script.encode())))
    assert pieces(script, every) == [(each,) for each in statements]


BODIES = [
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 2; END",
    "create or replace procedure p() LANGUAGE sql begin atomic insert into t values (1); select 1; end",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT t.begin FROM t; SELECT 1; END",
    "CREATE FUNCTION f(begin int) RETURNS int RETURN begin",
    "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'",
]


@pytest.mark.parametrize("body", BODIES)
def test_bodies_of_routines(body: str) -> None:
    assert pieces(f"{body};\nSELECT 2;") == [(body,), ("SELECT 2",)]


def test_begin_atomic_means_nothing_elsewhere() -> None:
    assert pieces("SELECT begin atomic; SELECT 2;") == [("SELECT begin atomic",), ("SELECT 2",)]


@pytest.mark.parametrize(
    ("script", "data"),
    [
        ("COPY t FROM stdin;\n1\t2\n\\.\n", "1\t2\n"),
        ("COPY t FROM stdin;\n\\.\n", ""),
        ("COPY t (a, b) FROM STDIN WITH (FORMAT text);\n\\\\.\n\\.\n", "\\\\.\n"),
        ("copy t from\n /* c */ stdin ; \r\n1\r\n\\.\r\n", "1\r\n"),
        ("COPY t FROM stdin;\n\\N\n'\n$$\n/*\n;\n\\.", "\\N\n'\n$$\n/*\n;\n"),
        ("COPY t FROM stdin;\n\\restrict\n\\! touch x\n\\copy t to program 'touch x'\n\\.\n",
         "\\restrict\n\\! touch x\n\\copy t to program 'touch x'\n"),
        ("COPY t FROM stdin;\na\\.\n\\.b\n\\.\n", "a\\.\n\\.b\n"),
        ('COPY "from stdin" FROM stdin;\n1\n\\.\n', "1\n"),
        ("COPY t FROM stdin;\n\n\n\\.\n", "\n\n"),
    ],
)  # fmt: skip
def test_copy_data(script: str, data: str) -> None:
    for cuts in ([], list(range(len(script)))):
        (copy, last) = pieces(f"{script}\nSELECT 2;" if script.endswith("\n") else script, cuts) + (
            [] if script.endswith("\n") else [("SELECT 2",)]
        )
        assert copy == (script.partition(";")[0], data)
        assert last == ("SELECT 2",)


@pytest.mark.parametrize(
    "statement",
    ["COPY t TO STDOUT", "COPY (SELECT x FROM stdin) TO STDOUT", "COPY t FROM 'stdin'", "COPY t FROM \"stdin\"",
     "SELECT x FROM stdin"],
)  # fmt: skip
def test_statements_without_copy_data(statement: str) -> None:
    assert pieces(f"{statement};\nSELECT 2;") == [(statement,), ("SELECT 2",)]


def test_data_that_nobody_reads_are_passed_over() -> None:
    script = b"COPY t FROM stdin;\n1\n;\n\\.\nSELECT 2;"
    found = [
        piece.statement.text if isinstance(piece, CopyBlock) else piece.text
        for piece in read_script(iter([script]), "x")
    ]
    assert found == [b"COPY t FROM stdin", b"SELECT 2"]


def test_lines_and_words() -> None:
    script = '-- a\n\nSELECT\n1;/*\n*/ COPY t FROM stdin;\n1\n2\n\\.\nALTER TABLE "x" OWNER TO y;'
    found = [
        piece.statement if isinstance(piece, CopyBlock) else piece for piece in read_script(iter([script.encode()]), "")
    ]
    assert [each.line for each in found] == [3, 5, 9]
    assert found[2].words == ("ALTER", "TABLE", "OWNER", "TO")


TOKEN = "Zx9" * 21
DUMP = (
    f"--\n-- PostgreSQL database dump\n--\n\n\\restrict {TOKEN}\n\n-- Dumped\nSELECT 1;\n\n"
    f"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict {TOKEN}\n\n"
)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_pair_that_pg_dump_writes_is_passed_over(newline: str) -> None:
    assert pieces(DUMP.replace("\n", newline)) == [("SELECT 1",)]
    assert pieces(DUMP.replace("\n", newline), list(range(len(DUMP) + 20))) == [("SELECT 1",)]


HOSTILE = {
    r"\! touch x": 1,
    "SELECT 1;\n\\! touch x": 2,
    "SELECT 1 \\! touch x\n;": 1,
    "SELECT 1 \\g |touch x\n": 1,
    "\n\n\\copy t to program 'touch x'\n": 3,
    "\\i file\n": 1,
    "\\ir file\n": 1,
    "\\o |touch x\n": 1,
    "\\connect other\n": 1,
    "\\set x `touch x`\n": 1,
    "\\\\": 1,
    "\\": 1,
    "SELECT '\\'; \\! touch x\n": 1,
    "SELECT $a$ $a$ \\! x": 1,
    "/* */ \\! x": 1,
    "-- c\r\\! x": 1,
    "COPY t FROM stdin;\n1\n\\.\n\\! touch x\n": 4,
    "COPY t FROM stdin; \\! touch x\n1\n\\.\n": 1,
    "COPY t FROM stdin; 1\n\\.\n": 1,
    "COPY t TO STDOUT;\n\\.\n": 2,
    "\\restrict\n": 1,
    "\\restrict `touch x`\n": 1,
    "\\restrict abc def\n": 1,
    "SELECT 1;\n\\restrict abc\n\\unrestrict abc\n": 2,
    "SELECT 1;\\restrict abc\n": 1,
    " \\restrict abc\n": 1,
    "\\restrict abc\n\\restrict abc\n\\unrestrict abc": 2,
    "\\restrict abc\n\\unrestrict `touch x`\n": 2,
    "\\restrict abc\n\\unrestrict abx\n": 2,
    "\\restrict abc\n\\unrestrict abc `touch x`\n": 2,
    "\\restrict abc\n\\unrestrict abc\n\\! touch x\n": 3,
    "\\restrict abc\n\\unrestrict abc\nSELECT 1;": 3,
    "\\restrict abc\n\\unrestrict abc\n\\unrestrict abc\n": 3,
    "\\unrestrict abc\n": 1,
    "SELECT '\x00';": 1,
    "SET client_encoding = 'SJIS';": 1,
    "SET NAMES 'big5';": 1,
}


@pytest.mark.parametrize("script", HOSTILE)
def test_what_no_dump_holds_is_refused(script: str) -> None:
    for cuts in ([], list(range(len(script)))):
        with pytest.raises(IntegrityError) as refused:
            pieces(script, cuts)
        assert not isinstance(refused.value, DumpIncomplete)
        assert str(refused.value).startswith(f"line {HOSTILE[script]}: ")
        assert refused.value.where == "db.sql"


@pytest.mark.parametrize(
    "script",
    [
        "SELECT 1", "SELECT '", "SELECT 'a''", "SELECT E'\\", 'SELECT "a', "SELECT $$ a", "SELECT $a$ $a", "/* ",
        "/* /* */",
        "COPY t FROM stdin;", "COPY t FROM stdin;\n1\n", "COPY t FROM stdin;\n1\n\\", "COPY t FROM stdin;\n1",
        "SELECT (1;", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;", "\\restrict abc\nSELECT 1;\n",
        "-- PostgreSQL database dump\nSELECT 1;\n", "SELECT $a",
    ],
)  # fmt: skip
def test_a_script_that_is_cut_short_is_told(script: str) -> None:
    for cuts in ([], list(range(len(script)))):
        with pytest.raises(DumpIncomplete) as incomplete:
            pieces(script, cuts)
        assert incomplete.value.where == "db.sql"


RICH = (
    "-- PostgreSQL database dump\n\\restrict abc\nSET standard_conforming_strings = on;\n"
    "SELECT E'a''\\';'\n'\\';', U&'\\0441', \"a\"\";\", $tag$ ; $$ \\! $tag$ /* ; /* */ ' */;\n"
    f"{BODIES[0]};\nCOPY t FROM stdin;\n\\N\t'\n\\restrict\n\\.x\n\\.\r\nCOPY u FROM stdin;\n\\.\n"
    "CREATE RULE r AS ON INSERT TO é DO ALSO (SELECT 1; SELECT 2);\n"
    "-- PostgreSQL database dump complete\n\\unrestrict abc\n"
)  # fmt: skip


@given(st.lists(st.integers(0, 2000), max_size=40))
@example(list(range(len(RICH.encode()))))
def test_the_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    assert pieces(RICH, cuts) == pieces(RICH)
    assert len(pieces(RICH)) == 6


FRAGMENTS = [
    "'",
    '"',
    "$$",
    "$a$",
    "/*",
    "*/",
    "--",
    "\n",
    ";",
    "\\",
    "E'",
    "E",
    "(",
    ")",
    "a",
    "$",
    " ",
    "\\.\n",
    "é",
    "1",
]
FRAGMENTS += ["COPY t FROM stdin;\n", "SET standard_conforming_strings = off;", "BEGIN ATOMIC ", "CREATE FUNCTION f() "]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25), st.lists(st.integers(0, 500), max_size=20))
def test_any_text_is_read_alike_however_it_comes(fragments: list[str], cuts: list[int]) -> None:
    def outcome(cuts: list[int]) -> Pieces | str:
        try:
            return pieces("".join(fragments), cuts)
        except IntegrityError as error:
            return f"{type(error).__name__} {error}"

    assert outcome(cuts) == outcome([])


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
@given(cuts=st.lists(st.integers(0, 200), max_size=20))
def test_utf_16_becomes_utf_8(mark: bytes, cuts: list[int]) -> None:
    text = "SELECT 'é日𝄞\r';\r\nSELECT 2;\r\n\r\r\n\r"
    raw = mark + text.encode("utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be")
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    chunks: Iterator[bytes] = (raw[start:end] for start, end in itertools.pairwise(edges))
    assert b"".join(decoded(chunks, "dump.sql")).decode() == "SELECT 'é日𝄞\r';\nSELECT 2;\n\r\n\r"


@pytest.mark.parametrize(
    "raw", [b"", b"S", b"SELECT 1;\r\n", codecs.BOM_UTF8 + b"x", "é".encode(), b"\xff", b"\xe9\r\n"]
)
def test_everything_else_passes_as_it_is(raw: bytes) -> None:
    assert b"".join(decoded(iter([raw]), "dump.sql")) == raw
    assert b"".join(decoded((raw[at : at + 1] for at in range(len(raw))), "dump.sql")) == raw


def test_damaged_utf_16() -> None:
    with pytest.raises(DumpIncomplete):
        list(decoded(iter([codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"c"]), "dump.sql"))
    with pytest.raises(IntegrityError):
        list(decoded(iter([codecs.BOM_UTF16_LE + b"\x00\xdc\x00\xdc" + b"ab"]), "dump.sql"))

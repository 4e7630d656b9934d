"""A data file of pg_dump: how many rows it holds, and whether all of it is there."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.databases.postgresql.dump import CHUNK_BYTES, Dumping, count_rows, finished_files
from runner.databases.postgresql.tools import Tools
from runner.errors import DumpIncomplete, ExitCode, ToolFailed, exit_code_of
from runner.model.profile import PostgresqlConfig

END = b"\\.\n\n\n"

# A row as COPY writes it: no line break, and a backslash only before the character that it escapes.
fields = st.lists(st.sampled_from([b"a", b"\\\\", b"\\n", b"\\N", b"\\t", b".", "é".encode(), b"\t", b" "]), max_size=5)
rows_of_text = st.lists(fields.map(b"".join), max_size=8)


def count(content: bytes) -> int:
    found: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.dat")
        path.write_bytes(content)
        assert b"".join(count_rows(path, found.append)) == content
    (rows,) = found
    return rows


@given(rows_of_text)
def test_every_row_is_counted(rows: list[bytes]) -> None:
    assert count(b"".join(row + b"\n" for row in rows) + END) == len(rows)


@given(rows_of_text, st.data())
def test_a_file_that_is_cut_anywhere_is_not_whole(rows: list[bytes], data: st.DataObject) -> None:
    content = b"".join(row + b"\n" for row in rows) + END
    cut = content[: data.draw(st.integers(0, len(content) - len(END) + 2))]
    with pytest.raises(DumpIncomplete) as caught:
        count(cut)
    assert exit_code_of(caught.value) is ExitCode.INTEGRITY
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (END, 0),
        (b"\\.\n", 0),
        (b"\n" + END, 1),
        (b"\n" * 7 + END, 7),  # a table without columns: each row is an empty line
        (b"\\\\.\n" + END, 1),  # a row that is a backslash and a dot
        (b"\\N\n" + END, 1),
        (b"." + b"\n" + END, 1),
        (b"x" * (CHUNK_BYTES - 2) + b"\n" + END, 1),
        (b"x" * (CHUNK_BYTES - 3) + b"\n" + END, 1),
        (b"x\n" * CHUNK_BYTES + END, CHUNK_BYTES),
    ],
)
def test_rows_of_every_kind(content: bytes, rows: int) -> None:
    assert count(content) == rows


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a\n", b"a", b"\\.", b"a\\.\n", b"\\\\.\n", b"\\.\nmore\n", b"\0" * 100]
)
def test_what_is_no_end(content: bytes) -> None:
    with pytest.raises(DumpIncomplete):
        count(content)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for pg_dump is a script")
@pytest.mark.parametrize(("jobs", "told"), [(1, False), (2, True)])
def test_a_table_that_somebody_waits_to_change(tmp_path: Path, *, jobs: int, told: bool) -> None:
    """pg_dump's further connections do not wait behind one who waits for a table; the first one does."""
    program = tmp_path / "pg_dump"
    words = 'pg_dump: error: query failed: ERROR:  could not obtain lock on relation "payment"'
    program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", "utf-8")
    program.chmod(0o755)
    dumping = Dumping(Tools(tmp_path, 15, "15"), {}, "1", tmp_path / "work" / "dump", jobs)
    with pytest.raises(ToolFailed, match="could not obtain lock") as caught:
        list(finished_files(PostgresqlConfig("x"), dumping, str, lambda: None))
    assert ("`jobs: 1`" in str(caught.value.hint)) is told

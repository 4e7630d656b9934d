"""Scripts on a real server: equal to what psql makes of them, and harmless where psql is not."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.databases.postgresql.replay import replay
from runner.databases.postgresql.script import CopyBlock, read_script
from runner.errors import DumpIncomplete, IntegrityError, RunnerError, ServerUnavailable, StepFailed
from tests.servers.postgresql import Cluster


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes fresh, empty databases."""
    made: list[str] = []

    def make() -> str:
        made.append(cluster.create_database(f"empty_{secrets.token_hex(6)}", encoding="UTF8"))
        return made[-1]

    yield make
    cluster.start()
    for name in made:
        cluster.drop_database(name)


@pytest.fixture(params=["pagila", "regression"])
def rich(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def chunked(script: bytes) -> Iterator[bytes]:
    return (script[start : start + 65_536] for start in range(0, len(script), 65_536))


def run(cluster: Cluster, name: str, script: str | bytes) -> None:
    with cluster.connect(name) as connection:
        replay(connection, chunked(script.encode() if isinstance(script, str) else script), "db.sql")


def content(cluster: Cluster, name: str) -> bytes:
    """The database as text, less what is another one in every dump."""
    dumped = cluster.run("pg_dump", dbname=name).stdout
    return b"".join(line for line in dumped.splitlines(keepends=True) if b"restrict " not in line)


@pytest.mark.parametrize(
    ("rich", "option"),
    [
        ("pagila", "--format=plain"),
        ("pagila", "--rows-per-insert=500"),
        ("regression", "--format=plain"),
        pytest.param("pagila", "--column-inserts", marks=pytest.mark.slow),
        pytest.param("regression", "--rows-per-insert=500", marks=pytest.mark.slow),
    ],
    indirect=["rich"],
)
def test_what_psql_makes_of_it(cluster: Cluster, rich: str, empty: Callable[[], str], option: str) -> None:
    script = cluster.run("pg_dump", option, dbname=rich).stdout
    by_psql, by_replay = empty(), empty()
    cluster.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", dbname=by_psql, input=script)
    run(cluster, by_replay, script)
    assert len(script) > 2_000_000
    assert content(cluster, by_replay) == content(cluster, by_psql)


def test_every_byte_of_a_script_is_a_statement_or_data(cluster: Cluster, rich: str) -> None:
    """What is left between the pieces of a whole dump are comments and blanks."""
    script = cluster.run("pg_dump", dbname=rich).stdout
    rest = script
    for piece in read_script(chunked(script), "db.sql"):
        text = piece.statement.text if isinstance(piece, CopyBlock) else piece.text
        before, found, rest = rest.partition(text)
        assert found
        between = before.removeprefix(b";").splitlines()
        assert all(not line or line.startswith((b"--", b"\\restrict ", b"\\.")) for line in between), between
        if isinstance(piece, CopyBlock):
            data = b"".join(piece.data)
            assert rest.startswith(b";\n" + data + b"\\.\n")
            rest = rest[2 + len(data) :]


def hostile(target: Path) -> list[str]:
    return [
        f"\\! touch {target}\n",
        f"SELECT 1 \\! touch {target}\n;",
        f"\\copy (SELECT 1) to program 'touch {target}'\n",
        f"\\o |touch {target}\nSELECT 1;\n",
        f"SELECT 1 \\g |touch {target}\n",
        f"\\restrict abc\nSELECT 1;\n\\unrestrict `touch {target}`\n",
        f"\\restrict `touch {target}`\n",
        f"\\set x `touch {target}`\n",
        "\\i /etc/passwd\n",
        "\\connect postgres\n",
    ]


def test_no_command_of_psql_runs(cluster: Cluster, empty: Callable[[], str], tmp_path: Path) -> None:
    name, target = empty(), tmp_path / "touched"
    for script in hostile(target):
        with pytest.raises(IntegrityError) as refused:
            run(cluster, name, script)
        assert refused.value.exit_code == 13
        assert refused.value.where == "db.sql"
        assert not target.exists(), script


def test_data_that_look_like_a_command_are_data(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    run(cluster, name, "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n\\restrict\n\\\\! touch x\nSELECT 1;\n\\.\n")
    assert cluster.sql(name, "SELECT x FROM t") == [("\restrict",), ("\\! touch x",), ("SELECT 1;",)]


def test_strings_of_either_kind(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    run(
        cluster,
        name,
        "SET standard_conforming_strings = off; SET escape_string_warning = off; CREATE TABLE t (x text);"
        "INSERT INTO t VALUES ('a\\';b');"
        "SET standard_conforming_strings = on; INSERT INTO t VALUES ('%s\\'), (E'\\'%;');",
    )
    assert cluster.sql(name, "SELECT x FROM t") == [("a';b",), ("%s\\",), ("'%;",)]


def test_a_hidden_change_of_strings_is_noticed(cluster: Cluster, empty: Callable[[], str]) -> None:
    with pytest.raises(IntegrityError, match=r"line 2: .* hidden"):
        run(cluster, empty(), "SELECT 1;\nSELECT set_config('standard_conforming_strings', 'off', false);")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("CREATE TABLE t (x integer);\n\nINSERT INTO t\nVALUES ('a');", 'refused line 4: invalid input syntax .*"a"'),
        ("SELECT 1;\nCOPY pg_class TO STDOUT;", "refused line 2"),
        ("CREATE TABLE t (x integer);\nCOPY t FROM stdin;\n1\nx\n\\.\n", "refused line 2: invalid input .*: \"x\""),
        ("CREATE TABLE t (x integer);\nCOPY t FROM stdin;\n1\n\\.x\n2\n\\.\n", "refused line 2: "),
        ("SET client_encoding = 'LATIN1';\nSELECT 'é' FROM no_such;", 'line 2: relation "no_such" does not exist'),
    ],
)  # fmt: skip
def test_the_first_error_stops_it(cluster: Cluster, empty: Callable[[], str], script: str, told: str) -> None:
    name = empty()
    with pytest.raises(StepFailed, match=told) as failed:
        run(cluster, name, script + "\nCREATE TABLE after (x integer);")
    assert failed.value.hint is not None
    assert cluster.sql(name, "SELECT to_regclass('after')") == [(None,)]


def test_a_script_that_is_cut_short(cluster: Cluster, empty: Callable[[], str]) -> None:
    """Rows that came before the cut are not kept."""
    name = empty()
    with pytest.raises(DumpIncomplete):
        run(cluster, name, "CREATE TABLE t (x integer);\nCOPY t FROM stdin;\n1\n2\n")
    assert cluster.sql(name, "SELECT count(*) FROM t") == [(0,)]
    with pytest.raises(DumpIncomplete):
        run(cluster, name, "DROP TABLE t;\nCREATE TABLE u (x integer)")
    assert cluster.sql(name, "SELECT to_regclass('t'), to_regclass('u')") == [(None, None)]


@pytest.mark.parametrize(
    "control",
    ["COMMIT", "/* */ commit AND CHAIN", "ROLLBACK", "BEGIN; BEGIN", "BEGIN; ROLLBACK", "BEGIN; COMMIT; COMMIT",
         "START TRANSACTION", "END", "ABORT", "SAVEPOINT a",
     "PREPARE TRANSACTION 'x'", "DO $$ BEGIN COMMIT; END $$"],
)  # fmt: skip
def test_a_transaction_of_ours_stays_ours(cluster: Cluster, empty: Callable[[], str], control: str) -> None:
    name = empty()
    with cluster.connect(name) as connection:
        connection.execute("BEGIN")
        script = f"CREATE TABLE t (x integer);\n{control};\nCREATE TABLE u (x integer);"
        with pytest.raises(RunnerError, match="line 2: "):
            replay(connection, chunked(script.encode()), "db.sql")
        connection.execute("ROLLBACK")
    assert cluster.sql(name, "SELECT to_regclass('t'), to_regclass('u')") == [(None, None)]


def test_a_pair_of_the_script_becomes_a_part_of_ours(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    cluster.sql(name, "SELECT lo_from_bytea(4242, 'twelve bytes')")
    script = cluster.run("pg_dump", dbname=name).stdout
    assert b"BEGIN;\n\nSELECT pg_catalog.lo_open" in script
    restored = empty()
    with cluster.connect(restored) as connection:
        connection.execute("BEGIN")
        replay(connection, chunked(script), "db.sql")
        assert cluster.sql(restored, "SELECT count(*) FROM pg_largeobject") == [(0,)]
        connection.execute("COMMIT")
    assert cluster.sql(restored, "SELECT lo_get(4242)") == [(b"twelve bytes",)]


def test_a_transaction_of_the_script_is_its_own(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    run(cluster, name, "BEGIN;\nCREATE TABLE t (x integer);\nCOMMIT;\nSET transaction_timeout = 0;")
    assert cluster.sql(name, "SELECT to_regclass('t')::text") == [("t",)]


@pytest.mark.parametrize("begin", [False, True])
def test_a_transaction_that_does_not_end_was_cut_short(cluster: Cluster, empty: Callable[[], str], begin: bool) -> None:
    name = empty()
    with cluster.connect(name) as connection:
        if begin:
            connection.execute("BEGIN")
        with pytest.raises(DumpIncomplete):
            replay(connection, chunked(b"BEGIN;\nCREATE TABLE t (x integer);"), "db.sql")
        connection.execute("ROLLBACK")
    assert cluster.sql(name, "SELECT to_regclass('t')") == [(None,)]


def test_statements_that_are_left_out_or_may_fail(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    script = (
        "CREATE TABLE t (x integer);\nALTER TABLE t OWNER TO nobody_at_all;\nGRANT SELECT ON t TO nobody_at_all;\n"
        "COPY t FROM stdin;\n1\n\\.\nCREATE TABLE u (x integer);"
    )
    with cluster.connect(name) as connection:
        connection.execute("BEGIN")
        replay(
            connection,
            chunked(script.encode()),
            "db.sql",
            lambda statement: "OWNER" in statement.words or statement.words[0] == "COPY",
            lambda statement: statement.words[0] == "GRANT",
        )
        connection.execute("COMMIT")
    assert cluster.sql(name, "SELECT count(*), to_regclass('u')::text FROM t") == [(0, "u")]


def test_a_server_that_goes_away(cluster: Cluster, empty: Callable[[], str]) -> None:
    name = empty()
    script = "SELECT 1;\nSELECT pg_terminate_backend(pg_backend_pid());\nSELECT 2;"
    with pytest.raises(ServerUnavailable, match="line 2"):
        run(cluster, name, script)

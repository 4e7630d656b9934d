"""Runs an SQL script on the server, statement by statement, over a connection of ours: nothing of it runs here."""

from collections.abc import Callable, Iterator

import psycopg
from psycopg.pq import TransactionStatus

from runner.databases.postgresql.catalog import Connection
from runner.databases.postgresql.script import CopyBlock, Statement, read_script
from runner.errors import DumpIncomplete, IntegrityError, ServerUnavailable, StepFailed
from runner.messages import Message, msg

LeaveOut = Callable[[Statement], bool]

_TRANSACTION_WORDS = frozenset({"ABORT", "BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT", "START"})
_SERVER_GONE = ("08", "57P")
_PASSED_OVER = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidGrantOperation,
    psycopg.errors.InvalidParameterValue,  # SET SESSION AUTHORIZATION to a role that does not exist
)
_HINTS = {
    "42501": msg("connect as the owner of the database, or name a role that may do it in `restore.admin`"),
    "0A000": msg("the dump comes from a server that can more than this one: restore it on one at least as new"),
    "42704": msg("the dump needs a role, type or setting that this server does not have: create it, then try again"),
    "58P01": msg("the dump needs an extension or library that this server does not have: install it, then try again"),
    "53200": msg("raise `max_locks_per_transaction` of the server, then try again"),
    "53100": msg("free space on the server's disk, then try again"),
}
_HINT = msg("nothing of the restore remains; see the server's log for the statement")


def nothing(_: Statement) -> bool:
    """Leaves out nothing."""
    return False


def replay(
    connection: Connection,
    chunks: Iterator[bytes],
    name: str,
    leave_out: LeaveOut = nothing,
    may_fail: LeaveOut = nothing,
) -> None:
    """Execute the script on `connection` up to its end, or to the first error.

    In a transaction of the caller's the script's own become a part of it: a BEGIN and its COMMIT, as pg_dump puts them
    around large objects, are passed over, and all else that would end the caller's is refused. `name` is the member's,
    for messages. `leave_out` picks statements that are not run, `may_fail` those that are passed over when a role is
    missing or a right (in a transaction only). `SET transaction_timeout` is left out where the server does not know it.
    The script's settings stay in the session.

    Raises StepFailed with PostgreSQL's words and the line, ServerUnavailable, IntegrityError for a script that is none
    of pg_dump's, DumpIncomplete for one that is cut short; the script's own transaction is open then.
    """
    begun = False
    inside = connection.info.transaction_status != TransactionStatus.IDLE
    with connection.cursor() as cursor:
        cursor.execute("SET standard_conforming_strings = on")
        for piece in read_script(chunks, name):
            statement = piece.statement if isinstance(piece, CopyBlock) else piece
            if leave_out(statement) or _is_unknown_setting(statement, connection):
                continue
            if inside and statement.text.upper() == (b"COMMIT" if begun else b"BEGIN"):
                begun = not begun
                continue
            if inside and _is_transaction_control(statement):
                _refuse(name, statement, msg("the script would end the transaction that it runs in"))
            with _Mapped(name, statement):
                if isinstance(piece, CopyBlock):
                    _copy(cursor, piece)
                elif inside and may_fail(statement):
                    _try(connection, statement)
                else:
                    cursor.execute(statement.text)
            _check(connection, name, statement, inside=inside)
    if begun or (not inside and connection.info.transaction_status != TransactionStatus.IDLE):
        raise DumpIncomplete(
            msg("the dump is not whole: the script ends inside a transaction of its own"),
            where=name,
            hint=msg("the script is cut short; take another backup"),
        )


def _copy(cursor: psycopg.Cursor[tuple[object, ...]], block: CopyBlock) -> None:
    with cursor.copy(block.statement.text) as copy:
        for chunk in block.data:
            copy.write(chunk)


def _try(connection: Connection, statement: Statement) -> None:
    try:
        with connection.transaction():
            connection.execute(statement.text)
    except _PASSED_OVER:
        pass  # there is no such role here, or it is not this role's to say


def _check(connection: Connection, name: str, statement: Statement, *, inside: bool) -> None:
    """What the server and this side think of the session must stay the same."""
    conforming = connection.info.parameter_status("standard_conforming_strings") == "on"
    if conforming != statement.conforming:
        _refuse(name, statement, msg("the script changes the meaning of its strings in a hidden way"))
    if inside and connection.info.transaction_status != TransactionStatus.INTRANS:
        _refuse(name, statement, msg("the script ended the transaction that it runs in"))


def _is_transaction_control(statement: Statement) -> bool:
    return statement.words[:1] != () and (
        statement.words[0] in _TRANSACTION_WORDS or statement.words[:2] == ("PREPARE", "TRANSACTION")
    )


def _is_unknown_setting(statement: Statement, connection: Connection) -> bool:
    return statement.words[:2] == ("SET", "TRANSACTION_TIMEOUT") and connection.info.server_version < 170000


def _refuse(name: str, statement: Statement, reason: Message) -> None:
    raise IntegrityError(
        msg("line {line}: {reason}", line=statement.line, reason=reason),
        where=name,
        hint=msg("no dump of pg_dump's holds such a line: do not trust this archive, take another one"),
    )


class _Mapped:
    """Turns psycopg's errors into ours, with the line that they are about."""

    def __init__(self, name: str, statement: Statement) -> None:
        self._name = name
        self._statement = statement

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, psycopg.Error):
            return
        state = error.sqlstate or ""
        words = str(error).strip().partition("\n")[0]
        if isinstance(error, psycopg.OperationalError) and (not state or state.startswith(_SERVER_GONE)):
            raise ServerUnavailable(
                msg("the PostgreSQL server went away on line {line}: {words}", line=self._statement.line, words=words),
                where=self._name,
                hint=msg("check that the server runs, then try again"),
            ) from None
        raise StepFailed(
            msg("PostgreSQL refused line {line}: {words}", line=self._line_of(error), words=words),
            where=self._name,
            hint=_HINTS.get(state, _HINT),
        ) from None

    def _line_of(self, error: psycopg.Error) -> int:
        position = error.diag.statement_position
        if position is None or not position.isdigit():
            return self._statement.line
        return self._statement.line + self._statement.text.decode("utf-8", "replace")[: int(position) - 1].count("\n")

"""Replaces the content of a database in one transaction, for a role that may not create databases.

The role has to own the database and everything in it. Readers wait and writers are shut out while it runs.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runner.databases.base import DumpFolder, DumpScript, DumpSource, Keep, LiveDatabase, Note, Offer, Preflight
from runner.databases.postgresql import in_place_rules as rules
from runner.databases.postgresql import occupied
from runner.databases.postgresql.compare import differences
from runner.databases.postgresql.connection import describe, restore_errors
from runner.databases.postgresql.maintenance import Connection, Maintenance, connect_unlimited, read_server
from runner.databases.postgresql.replay import replay
from runner.databases.postgresql.script import CopyBlock, decoded, read_script
from runner.databases.postgresql.tools import Tools, find_tools
from runner.durable import make_private_folder
from runner.errors import Finding, IntegrityError, Interrupted, Refused, RunnerError, StepFailed
from runner.lanes import Stop
from runner.messages import msg
from runner.model.manifest import DatabaseRecord, PostgresqlRecord
from runner.model.marks import PostgresqlMarks, RunNames, Side
from runner.model.profile import DatabaseConfig, PostgresqlConfig
from runner.process import run, stream

if TYPE_CHECKING:
    from runner.databases.base import Restoration

_CHUNK_BYTES = 1 << 20
_PATIENCE_SECONDS = 10.0
_SCRIPT = "restore.sql"
_LIST = "restore.list"


class InPlaceRestoration:
    """See `runner.databases.base.Restoration`. `swap` is where everything happens, the comparison included."""

    def __init__(
        self, config: PostgresqlConfig, names: RunNames, marks: PostgresqlMarks | None, workspace: Path
    ) -> None:
        """`marks` None: a new restore. `workspace` is a private folder of this run's; a script is kept in it."""
        self._config = config
        self._workspace = workspace
        self._marks = marks or PostgresqlMarks(
            way="in-place",
            name=config.name,
            staged_name=names.staged_database,
            replaced_name=names.replaced_database,
        )
        self._maintenance = Maintenance(replace(config, name=config.maintenance), config.name, _PATIENCE_SECONDS)
        self._source: DumpFolder | DumpScript | None = None
        self._tools: Tools | None = None
        self._record: PostgresqlRecord | None = None
        self._skip: frozenset[str] = frozenset()
        self._stop = Stop()

    @property
    def label(self) -> str:
        return describe(self._config)

    @property
    def has_door(self) -> bool:
        """True: from before the commit until `open` nobody is let in."""
        return True

    @property
    def marks(self) -> PostgresqlMarks:
        return self._marks

    def __enter__(self) -> "InPlaceRestoration":
        self._maintenance.open(self._marks.server)
        return self

    def __exit__(self, *_: object) -> None:
        self._maintenance.close()

    def look(self, tables: Collection[str] = ()) -> LiveDatabase:
        with self._maintenance.session() as session:
            sessions = rules.sessions(session, self._config.name)
            if not rules.exists(session, self._config.name):
                return LiveDatabase(exists=False)
        with connect_unlimited(self._config) as live, restore_errors(self._config):
            return rules.look(live, sessions, tables)

    def preflight(self, offer: Offer) -> Preflight:
        """What this way cannot do is among the errors: objects of other roles, extensions, too few locks, …

        Tells `stage` and `swap` what the offer leaves out.
        """
        self._skip = offer.skip_damaged
        record = offer.record if isinstance(offer.record, PostgresqlRecord) else None
        found = Preflight()
        if offer.kind not in ("folder", "script"):
            found.errors.append(rules.no_such_way(self.label))
        with self._maintenance.session() as session:
            if not rules.exists(session, self._config.name):
                found.errors.append(rules.no_database(self.label))
                return found
            rules.check_server(session, self._config.name, record, found)
        with connect_unlimited(self._config) as live, restore_errors(self._config):
            rules.check_content(live, record, found)
        try:
            self._find_tools(record)
        except Interrupted:
            raise
        except RunnerError as error:
            found.errors += error.findings
        return found

    def stage(self, source: DumpSource, record: DatabaseRecord | None, note: Note) -> None:
        """Make sure that the dump is whole and holds what this way can bring; nothing goes to the server yet."""
        self._record = record if isinstance(record, PostgresqlRecord) else None
        with self._maintenance.session() as session:
            self._marks = msgspec.structs.replace(
                self._marks, live_oid=rules.oid_of(session, self._config.name), server=read_server(session)
            )
        note(self._marks)
        match source:
            case DumpFolder():
                tools = self._find_tools(self._record)
                listing = run([tools.path("pg_restore"), "--list", str(source.path)])
                rules.check_contents(listing, self.label)
                make_private_folder(self._workspace)
                self._list.write_bytes(rules.chosen_entries(listing, self._skip))
                for _ in self._folder_script(source):
                    self._stop.check()
                self._source = source
            case DumpScript():
                make_private_folder(self._workspace)
                with self._script.open("wb") as file:
                    for chunk in decoded(source.chunks, source.name):
                        self._stop.check()
                        file.write(chunk)
                for piece in read_script(_read(self._script), source.name):
                    if isinstance(piece, CopyBlock):
                        for _ in piece.data:
                            self._stop.check()
                self._source = DumpScript(source.name, iter(()))
            case _:
                refusal = rules.no_such_way(self.label)
                raise Refused(refusal.message, where=refusal.where, hint=refusal.hint)

    def stop(self) -> None:
        """See `runner.databases.base.Restoration`."""
        self._stop.set()

    def findings(self) -> tuple[Finding, ...]:
        """Nothing: what this way leaves out, the preflight has said."""
        return ()

    def compare(self, record: DatabaseRecord) -> tuple[Finding, ...]:  # noqa: ARG002 - the contract's parameter
        """Nothing: there is no staged database. `swap` compares before it commits, and fails where anything differs."""
        return ()

    def swap(self, note: Note, keep: Keep | None) -> None:
        """Replace the content in one transaction and leave the database closed.

        Whatever fails before the commit is rolled back, and the database is opened again. `keep` makes the safety copy
        while readers are let in and writers are not; then the door is closed. Raises StepFailed, ServerUnavailable,
        IntegrityError when the new content is not what the manifest says. Nothing is left to do where an earlier call
        has committed.
        """
        if self._marks.xid is not None and self.side() is Side.NEW:
            return
        self._statements()
        committing = False
        live = connect_unlimited(self._config)
        try:
            with restore_errors(self._config):
                self._occupy(live, note, keep)
                self._replace(live)
                committing = True
                live.execute("COMMIT")
        except BaseException:
            live.close()
            if not committing:
                with suppress(RunnerError):
                    self.open()
            raise
        live.close()

    def swap_back(self, note: Note) -> None:  # noqa: ARG002 - the contract's parameter
        """Nothing before the commit. Raises StepFailed after it: the old content is in the safety copy alone."""
        if self.side() is not Side.OLD:
            raise StepFailed(
                msg("the database is replaced already, and what it held is in the safety copy alone"),
                where=self.label,
                hint=msg(
                    "remove what stopped the files and run `runner recover`, which goes on; "
                    "or restore the safety copy `db_pre_restore_…` afterwards with `runner undo`"
                ),
            )

    def open(self) -> None:
        if self._marks.xid is None:  # it is noted before the door is closed
            return
        with self._maintenance.session() as session:
            if rules.oid_of(session, self._config.name) == self._marks.live_oid:
                occupied.set_door(session, self._config.name, open_to_all=True)

    def side(self) -> Side:
        """From the transaction's own outcome. One whose client is gone is ended before it is judged."""
        with self._maintenance.session() as session:
            return occupied.outcome_of(session, self._marks.xid, self._marks.live_oid)

    def replaced(self) -> DatabaseConfig | None:
        """None: `swap` has kept it."""
        return None

    def let_go(self, note: Note) -> None:  # noqa: ARG002 - the contract's parameter
        self._clear()

    def discard(self, note: Note) -> None:  # noqa: ARG002 - the contract's parameter
        """Raises StepFailed when the new content is the live one."""
        if self.side() is not Side.OLD:
            raise StepFailed(
                msg("the old content is not the live one, so there is nothing to go back to"),
                where=self.label,
                hint=msg("run `runner recover`"),
            )
        self._clear()
        self.open()

    @property
    def _script(self) -> Path:
        return self._workspace / _SCRIPT

    @property
    def _list(self) -> Path:
        return self._workspace / _LIST

    def _clear(self) -> None:
        for path in (self._script, self._list):
            path.unlink(missing_ok=True)

    def _find_tools(self, record: PostgresqlRecord | None) -> Tools:
        """Client programs that can read the dump: as new as the one that wrote it, and as the server."""
        if self._tools is None:
            with self._maintenance.session() as session:
                server = session.info.server_version // 10_000
            self._tools = find_tools(
                max(server, rules.major(record.client_version if record else "")), self._config.tools_bin
            )
        return self._tools

    def _occupy(self, live: Connection, note: Note, keep: Keep | None) -> None:
        """Lock, note the transaction, keep a copy, close the door; nothing is lost between any two of these."""
        oid = self._marks.live_oid
        with self._maintenance.session() as session:
            if oid is None or oid != rules.oid_of(session, self._config.name):
                raise StepFailed(
                    msg("the database is another one than the one that was looked at"),
                    where=self.label,
                    hint=msg("start the restore again"),
                )
            occupied.lock_tables(live, oid)
            self._marks = msgspec.structs.replace(self._marks, xid=occupied.number_of(live, session))
        note(self._marks)
        before = occupied.fingerprint(live)
        if keep is not None:
            keep(self._config)
        with self._maintenance.session() as session:
            occupied.close_door(session, self._config.name, oid, live.info.backend_pid)
        if keep is not None and occupied.fingerprint(live) != before:
            raise StepFailed(
                msg("somebody changed the database while its safety copy was made"),
                where=self.label,
                hint=msg("stop the application (see `hooks.before_restore`), then try again"),
            )

    def _replace(self, live: Connection) -> None:
        """Everything up to the commit. Raises IntegrityError when the content differs from the record."""
        live.execute("DROP OWNED BY CURRENT_USER CASCADE")
        live.execute("CREATE SCHEMA IF NOT EXISTS public")
        name = self._source.name if isinstance(self._source, DumpScript) else "toc.dat"
        replay(live, self._statements(), name, rules.is_left_out, rules.may_fail)
        live.execute("RESET ROLE")
        live.execute("SELECT pg_catalog.set_config('client_encoding', 'UTF8', false)")
        live.execute("SET CONSTRAINTS ALL IMMEDIATE")
        found = () if self._record is None else differences(live, self._record, self._skip)
        if found:
            raise IntegrityError(
                msg(
                    "the restored database differs from the backup in {count} places, the first: {first}",
                    count=len(found),
                    first=found[0],
                ),
                where=self.label,
                hint=msg("everything was rolled back; verify the archive and restore another one"),
            )
        live.execute("ANALYZE")
        number = live.execute("SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text").fetchall()
        if number != [(self._marks.xid,)]:
            raise IntegrityError(
                msg("the dump left the transaction that it was restored in"),
                where=self.label,
                hint=msg("do not trust this archive, take another one"),
            )
        live.execute("SET LOCAL synchronous_commit = on")

    def _statements(self) -> Iterator[bytes]:
        match self._source:
            case DumpFolder():
                return self._folder_script(self._source)
            case DumpScript():
                return _read(self._script)
            case None:
                raise StepFailed(
                    msg("nothing was staged"), where=self.label, hint=msg("start the restore again from its beginning")
                )

    def _folder_script(self, source: DumpFolder) -> Iterator[bytes]:
        pg_restore = self._find_tools(self._record).path("pg_restore")
        arguments = [pg_restore, "--no-owner", f"--use-list={self._list}", "--file=-", str(source.path)]
        return stream(arguments, ending=self._stop.ending)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


if TYPE_CHECKING:

    def _keeps_the_contract(restoration: InPlaceRestoration) -> "Restoration":
        return restoration
